"""What the public checks of VAE and CVAE judge in the same way."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from autograder.judging import Mistake, Observation, close, expect, expect_close, first_shown

from ...mistakes.public.autoencoder import LOSS_ARGUMENTS_SWAPPED, LOSS_SUMMED, LOSS_SUMMED_OVER_PIXELS
from ...mistakes.public.training import HISTORY_KEEPS_GRAPHS
from ...mistakes.public.vae import Q_IS_A_PAIR, RECONSTRUCT_KEEPS_GRAPH, RECONSTRUCT_SAMPLES
from ...mistakes.public.vae_loss import (
    KL_NOT_REDUCED,
    LOSS_CHANGES_ARGUMENTS,
    PARTS_ARE_NUMBERS,
    PARTS_NOT_IN_DICTIONARY,
    REC_SQUARED_ERROR,
    TOTAL_ALONE,
    TOTAL_CUT_OFF,
)
from ...stand_ins import autoencoder as stand_in
from . import judge_calls as calls
from .judge_history import expect_entries, wrong_lengths


def expect_posterior_shape(q: Tensor, n: int, nz: int, *, what: str, mistake: Mistake) -> None:
    """Raises a fault unless `q` holds a mean and a log sigma for each latent dimension: (N, 1, 2 nz) or (N, 2 nz).

    mistake: named where `q` is half as wide.
    """
    expect(
        q.shape in [(n, 1, 2 * nz), (n, 2 * nz)],
        expected=f"{what}: shape ({n}, 1, {2 * nz}), the means and the log sigmas",
        seen=f"shape {tuple(q.shape)}",
        hint="The encoder has 2 nz outputs: one for each mean and one for each log sigma.",
        mistake=first_shown([mistake], q.shape, n, nz),
        form=True,
    )


def expect_one_tensor(seen: Observation) -> None:
    """Ends the check when q is the pair (mu, log_sigma); for the end of a check, when all else is right."""
    expect(
        not seen.flag("q_is_a_pair"),
        expected='outputs["q"]: one tensor (N, 1, 2 nz)',
        seen="a pair of tensors",
        mistake=Q_IS_A_PAIR,
    )


def expect_no_graph(seen: Observation, what: str) -> None:
    """Raises a fault when reconstructions are attached to a graph."""
    expect(
        not seen.flag("graph"),
        expected=f"{what}: images without a graph",
        seen="a tensor that requires gradients",
        mistake=RECONSTRUCT_KEEPS_GRAPH,
    )


def part(seen: Observation, name: str) -> Tensor:
    """A scalar of the parts that loss returned: "rec_loss" or "kl_loss"."""
    _expect_two_values(seen)
    parts = seen.part("parts", what="the second value that loss returned")
    value = parts.get(name)
    many = name == "kl_loss" and isinstance(value, Tensor) and value.numel() > 1
    mistakes = [KL_NOT_REDUCED.giving(tuple(value.shape))] if many and isinstance(value, Tensor) else []
    if isinstance(value, (int, float)) and not isinstance(value, bool):  # see expect_tensors
        parts = Observation({name: torch.tensor(parts.number(name, what=f'parts["{name}"]'))})
    return parts.tensor(name, (), what=f'parts["{name}"]', mistakes=mistakes)


def expect_tensors(seen: Observation) -> None:
    """Ends the check when the parts are plain numbers; for the end of a check, when their values are right."""
    parts = seen.part("parts", what="the second value that loss returned")
    for name in ("rec_loss", "kl_loss"):
        value = parts.get(name)
        expect(
            not isinstance(value, (int, float)),
            expected=f'parts["{name}"]: a tensor of shape ()',
            seen=f"the number {value}",
            mistake=PARTS_ARE_NUMBERS,
        )


def _expect_two_values(seen: Observation) -> None:
    """Raises a fault unless loss returned two values."""
    values = seen.number("values", what="the number of values that loss returned")
    total = seen.get("total")
    alone = values == 1 and isinstance(total, Tensor) and total.dim() == 0
    expect(
        values == 2,
        expected='two values: the total and {"rec_loss": ..., "kl_loss": ...}',
        seen="one value" if values == 1 else f"{values:.0f} values",
        mistake=TOTAL_ALONE if alone else PARTS_NOT_IN_DICTIONARY if values == 3 else None,
        form=True,
    )


def expect_loss_of_grey(seen: Observation, x: Tensor, grey: Tensor) -> Tensor:
    """The rec_loss of reconstructions that are 0.5 everywhere: ln 2, or what the given reconstruction loss makes of them."""
    rec_loss, x = part(seen, "rec_loss"), x.double()
    given = stand_in.reconstruction_loss(grey.double(), x)
    if not close(rec_loss, given, rtol=1e-3, atol=1e-6):
        expect_close(
            rec_loss,
            math.log(2),
            rtol=1e-3,
            what="rec_loss of reconstructions that are 0.5 everywhere: ln 2, the reconstruction loss of such images",
            mistakes=[
                REC_SQUARED_ERROR.giving((grey.double() - x).square().mean()),
                LOSS_ARGUMENTS_SWAPPED.giving(-0.5 * (x.log() + (1 - x).log()).mean()),
                LOSS_ARGUMENTS_SWAPPED.giving(stand_in.reconstruction_loss(x, grey.double())),
                *(LOSS_SUMMED_OVER_PIXELS.giving(784 * right) for right in (math.log(2), given)),
                *(LOSS_SUMMED.giving(x.numel() * right) for right in (math.log(2), given)),
            ],
            hint='rec_loss is reconstruction_loss(outputs["rec"], x).',
        )
    return rec_loss


def expect_loss_to_teach(seen: Observation) -> None:
    """Ends the check when loss changed its arguments, or when no gradient flows from its total to q and rec."""
    expect(
        seen.flag("kept"),
        expected="unchanged arguments",
        seen="outputs or x was changed",
        mistake=LOSS_CHANGES_ARGUMENTS,
    )
    expect(
        seen.get("grad_q") is not None and seen.get("grad_rec") is not None,
        expected="a total that gradients flow through",
        seen="no gradient",
        mistake=TOTAL_CUT_OFF,
    )


def expect_deterministic(
    seen: Observation, n: int, decoded: Callable[[Tensor], bool] = lambda images: False
) -> Tensor:
    """The images (N, 28, 28) of the first of two calls of reconstruct, after checking that the second gave the same.

    decoded: whether a decoder made the images: only then does the mistake of sampling explain everything.
    """
    calls.expect_one_half(seen, n)
    asked = (n, 28, 28)
    first, second = (
        seen.tensor(key, asked, what=f"reconstruct of {n} images{again}", mistakes=calls.misshapen(asked))
        for key, again in (("first", ""), ("second", ", called again"))
    )
    expect(
        torch.allclose(first, second, atol=1e-6),
        expected="the same images at every call",
        seen=f"images that differ by up to {float((first - second).abs().max()):.3g}",
        mistake=replace(RECONSTRUCT_SAMPLES, once=decoded(first)),
    )
    return first


def expect_histories(seen: Observation, epochs: int, per_epoch: int) -> None:
    """Raises a fault unless there are two lists of plain floats, one entry per iteration, and rec_loss falls."""
    history = seen.part("history", what="the value that the training returned")
    found = {
        name: expect_entries(
            history,
            name,
            epochs * per_epoch,
            f'history["{name}"] of {epochs} epochs of {per_epoch} batches',
            wrong_lengths(seen, epochs, per_epoch),
            "Append both losses inside the inner loop, at every batch.",
        )
        for name in ("rec_loss", "kl_loss")
    }
    losses = found["rec_loss"]
    expect(
        not seen.flag("graph"),
        expected="plain floats",
        seen="tensors with their autograd graphs",
        mistake=HISTORY_KEEPS_GRAPHS,
    )
    expect(
        any(values[-1] < 0.98 * values[0] for values in (losses.once, losses.others) if values),
        expected="a reconstruction loss that falls by several per cent in 8 epochs",
        seen=f"{losses.once[0]:.4f} at the first iteration, {losses.once[-1]:.4f} at the last",
        hint="In every iteration: forward pass, loss, zero_grad, backward on the total, optimiser step.",
    )
    for name, entries in found.items():
        entries.expect_once(f'history["{name}"]')
    calls.expect_flattened(seen)
