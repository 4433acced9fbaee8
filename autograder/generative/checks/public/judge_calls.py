"""What checks of Problem 1 judge in the same way: calls that raise, shapes, one-hot vectors, what reaches a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from autograder.judging import (
    Candidate,
    Draw,
    Fault,
    Mistake,
    NoAnswer,
    Observation,
    Submission,
    close,
    expect,
    fail,
)
from autograder.judging.observation import FLOATS

from ...mistakes.public import autoencoder, common, labels, posterior, training
from ...mistakes.public.reconstruction_loss import LossCase, wrong_losses
from .models_autoencoder import PIXELS

Trial = tuple[Mapping[str, Any], Mistake]  # changed inputs, and the mistake if the call works with them


def ask_with_trials(
    submission: Submission, probe: str, trials: Sequence[Trial], /, **inputs: Any
) -> Observation:
    """As submission.ask. Where the code raises, the first of the trials with which it works names the mistake."""
    try:
        return submission.ask(probe, **inputs)
    except NoAnswer as none:
        if _raised(none):
            for changed, mistake in trials:
                if _works(submission, probe, {**inputs, **changed}):
                    none.name(mistake)
                    break
        raise


def ask_naming(submission: Submission, probe: str, mistake: Mistake, /, **inputs: Any) -> Observation:
    """As submission.ask, for a call that raises because of one mistake only."""
    try:
        return submission.ask(probe, **inputs)
    except NoAnswer as none:
        if _raised(none):
            none.name(mistake)
        raise


def _raised(none: NoAnswer) -> bool:
    """True when the student's code raised, and the reason is not known yet."""
    return none.status == "failed" and none.own_words and none.diagnosis is None


def _works(submission: Submission, probe: str, inputs: Mapping[str, Any]) -> bool:
    try:
        submission.ask(probe, **inputs)
    except NoAnswer:
        return False
    return True


def loss_trials(x_hat: Tensor, x: Tensor) -> list[Trial]:
    """What may work where reconstruction_loss(x_hat, x) raises."""
    return [
        ({"x": x.reshape(x_hat.shape)}, autoencoder.ORIGINALS_NOT_RESHAPED),
    ]


def mistakes_in_loss(submission: Submission, draw: Draw, seen: Any, right: float) -> list[Candidate]:
    """The mistake in reconstruction_loss that its value for a drawn prediction shows, as one that gives `seen`.

    None where `seen` is right, where the function has no value there or changes its arguments, or where several mistakes
    give it.
    """
    if close(seen, right, 1e-4, 1e-6):
        return []
    x_hat, x = (draw.uniform(7, 1, PIXELS, low=low, high=1 - low) for low in (0.05, 0.02))
    try:
        found = submission.ask("autoencoder.reconstruction_loss", x_hat=x_hat, x=x)
        value = found.number("loss")
    except (Fault, NoAnswer):
        return []
    if not found.flag("kept"):
        return []
    wrong = wrong_losses(LossCase(x_hat, x))
    fitting = {c.mistake.id: c.mistake for c in wrong if close(value, c.value, 1e-3, 1e-6)}
    return [mistake.giving(seen) for mistake in fitting.values()] if len(fitting) == 1 else []


def misshapen(asked: Sequence[int]) -> list[Candidate]:
    """Known wrong shapes where `asked` is asked: (N, width), (N, 1, width), images (N, 28, 28) or (N, 1, 28, 28).

    A shape that several mistakes give is left out: for a single sample, either axis of length 1 may be the missing one.
    """
    n = asked[0]
    flat = [common.IMAGES_FLAT.giving(shape) for shape in [(n, 1, PIXELS), (n, PIXELS)]]
    if len(asked) == 2:
        return [common.MIDDLE_AXIS_ADDED.giving((n, 1, asked[1]))]
    if len(asked) == 3 and asked[1] == 1 and n > 1:
        return [common.MIDDLE_AXIS_MISSING.giving((n, asked[2]))]
    if tuple(asked[1:]) == (28, 28):
        lost = [common.BATCH_AXIS_LOST.giving((28, 28))] if n == 1 else []
        return [common.CHANNEL_AXIS_ADDED.giving((n, 1, 28, 28)), *flat, *lost]
    if tuple(asked[1:]) == (1, 28, 28):
        missing = [common.CHANNEL_AXIS_MISSING.giving((n, 28, 28))] if n > 1 else []
        return [*missing, *flat]
    return []


def fixed_size(asked: Sequence[int]) -> list[Candidate]:
    """As `misshapen`, for a network's output (N, 1, width): also the width 784, whatever width is asked."""
    fixed = common.FIXED_IMAGE_SIZE.giving((*asked[:-1], PIXELS))
    return [*misshapen(asked), *([fixed] if asked[-1] != PIXELS else [])]


def expect_onehot(value: Any, idx: Tensor, n: int) -> Tensor:
    """The rows that idx2onehot made of the labels idx, (N,) or (N, 1), after checking shape, dtype and the ones' columns."""
    count = len(idx)
    what = f"idx2onehot of labels of shape {tuple(idx.shape)} with n = {n}"
    part = Observation({"rows": value})
    rows = part.tensor(
        "rows", (count, n), what=what, floating=False, mistakes=labels.wrong_one_hot_shapes(idx, n)
    )
    right = torch.equal(rows.double().sum(1), torch.ones(count).double())
    right = right and bool(((rows == 0) | (rows == 1)).all())
    right = right and torch.equal(rows.double().argmax(1), idx.flatten())
    integers = right and not rows.is_floating_point() and rows.dtype != torch.bool
    expect(
        rows.dtype == torch.float32,
        expected=f"{what}: float32",
        seen=str(rows.dtype).removeprefix("torch."),
        hint="Return floats, which the networks can work with.",
        mistake=labels.ONE_HOT_INTEGERS if integers else None,
    )
    expect(
        right,
        expected=f"{what}: zeros and a single 1 in each row, in the column of its label",
        seen=f"rows that sum to {rows.sum(1).tolist()[:5]}, largest in columns {rows.argmax(1).tolist()[:5]}",
    )
    return rows


def expect_reduced(seen: Observation, right: Any, what: str) -> None:
    """Ends the check when the loss holds many values, whose mean is the right loss."""
    value = seen.get("loss")
    if not isinstance(value, Tensor) or value.numel() < 2 or value.dtype not in FLOATS:
        return
    expect(
        not close(value.double().mean(), right, 1e-3, 1e-6),
        expected=f"{what}: one number, a tensor of shape ()",
        seen=f"shape {tuple(value.shape)}",
        mistake=autoencoder.LOSS_NOT_REDUCED,
    )


def expect_flattened(seen: Observation) -> None:
    """Ends the check when a training loop passed images to the model as squares; for the end of a check."""
    if seen.get("squares") is not None:
        fail(
            expected="images flattened to (N, 1, 784)",
            seen=f"the model was given shape {seen.text('squares')}",
            mistake=training.BATCHES_NOT_FLATTENED,
        )


def expect_one_half(seen: Observation, n: int) -> None:
    """Ends the check when reconstruct of n images passed all columns of q to the decoder, which raised."""
    if seen.flag("both_halves"):
        rows = seen.get("rows")
        sliced = isinstance(rows, int) and 0 < rows < n
        fail(
            expected="the decoder called with the posterior mean, nz numbers for each image",
            seen=f"it was called with 2 nz numbers for {rows} of {n} images and raised: {seen.text('error')}",
            mistake=posterior.SLICED_ALONG_BATCH if sliced else posterior.BOTH_HALVES_DECODED,
            form=True,
        )


def name_sliced_batch(submission: Submission, probe: str, none: NoAnswer, /, **inputs: Any) -> None:
    """Names the mistake of splitting q along the batch, where the code raised because of it."""
    nz = 3
    try:
        shapes = submission.ask(probe, nz=nz, **inputs).list("shapes") if _raised(none) else []
    except NoAnswer:
        return
    rows = len(inputs["x"])
    if any(isinstance(s, list) and len(s) > 1 and s[-1] == 2 * nz and s[0] != rows for s in shapes):
        none.name(posterior.SLICED_ALONG_BATCH)


def expect_gradient_flow(seen: Observation, whose: str) -> None:
    """Ends the check unless gradients reach the encoder through z, and every parameter of both networks from the loss."""
    both = seen.flag("encoder_reached") and seen.flag("decoder_reached")
    expect(
        seen.flag("drawings_reach_encoder"),
        expected=f"gradients that flow from the output of {whose} through z into every parameter of the encoder",
        seen="encoder parameters without a gradient",
        hint="Nothing may be detached between the encoder and the decoder.",
        mistake=posterior.Z_CUT_OFF if both else None,
    )
    for name in ("encoder", "decoder"):
        expect(
            seen.flag(f"{name}_reached"),
            expected=f"gradients of the loss in every parameter of the {name} of {whose}",
            seen="parameters without a gradient, or parameters that are not the model's",
            hint="Build encoder and decoder in __init__, and detach nothing that flows through them.",
        )
    expect(
        seen.flag("q_reaches_encoder"),
        expected=f'gradients of the KL term, through outputs["q"] of {whose}, in every parameter of the encoder',
        seen="encoder parameters without a gradient",
        mistake=posterior.Q_CUT_OFF,
    )
