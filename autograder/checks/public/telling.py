"""Mistakes of Problem 1 that show in shapes, in lengths, and in what works where the asked call fails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from autograder.checks.public.given import PIXELS, SIXTY_FOUR
from autograder.examinee import Examinee, NoAnswer
from autograder.judging import Mistake, Observation, close, expect, fail
from autograder.judging.observation import FLOATS

Trial = tuple[Mapping[str, Any], Mistake]  # changed inputs, and what it means that the call works with them

FIXED_PIXELS = Mistake(
    None,
    "The image size 784 is written into the code, so that no other size works.",
    "Take the size from the argument: input_size, output_size.",
)
NEEDS_LABELS = Mistake(
    None,
    "The unconditional model crashes without labels, where the conditional one works.",
    "Look at c, and add to the sizes of the layers, only when conditional.",
)
NEVER_RUN = Mistake(
    None,
    "reconstruct crashes on the images and labels that forward takes: was it ever run?",
    "Call the encoder and the decoder in it as forward does.",
)
ONE_PER_EPOCH = "One entry is noted per epoch, not one per iteration."


def ask_telling(submission: Examinee, probe: str, trials: Sequence[Trial], /, **inputs: Any) -> Observation:
    """As submission.ask. Where the code raises, the first of the trials that it answers names the mistake."""
    try:
        return submission.ask(probe, **inputs)
    except NoAnswer as none:
        if none.status == "failed" and none.own_words and none.diagnosis is None:
            for changed, mistake in trials:
                if _answers(submission, probe, {**inputs, **changed}):
                    none.diagnosis, none.hint = mistake.says, mistake.try_
                    break
        raise


def _answers(submission: Examinee, probe: str, inputs: Mapping[str, Any]) -> bool:
    try:
        submission.ask(probe, **inputs)
    except NoAnswer:
        return False
    return True


def ask_naming(submission: Examinee, probe: str, mistake: Mistake, /, **inputs: Any) -> Observation:
    """As submission.ask, for a call of which it is known what it means when the code raises there."""
    try:
        return submission.ask(probe, **inputs)
    except NoAnswer as none:
        if none.status == "failed" and none.own_words and none.diagnosis is None:
            none.diagnosis, none.hint = mistake.says, mistake.try_
        raise


def by_64(x: Tensor) -> Tensor:
    """The first sample of `x`, repeated to a batch of 64."""
    return x[:1].repeat(64, *[1] * (x.dim() - 1))


def loss_trials(x_hat: Tensor, x: Tensor) -> list[Trial]:
    """What may work where reconstruction_loss(x_hat, x) raises."""
    own_shape = Mistake(
        None,
        "x is not brought to the shape of x_hat: only originals that have it already work.",
        "x.reshape(x_hat.shape), before anything else.",
    )
    return [
        ({"x_hat": by_64(x_hat), "x": by_64(x)}, SIXTY_FOUR),
        ({"x": x.reshape(x_hat.shape)}, own_shape),
    ]


def misshapen(asked: Sequence[int]) -> list[Mistake]:
    """Known wrong shapes where `asked` is asked: (N, 1, width), images (N, 28, 28) or (N, 1, 28, 28).

    What several mistakes can lead to is left out: for a single sample, which axis of length 1 is missing.
    """
    n, flat = asked[0], "The images are still flat: 784 numbers in place of 28 x 28."
    reshape = f"reshape({'N, ' + ', '.join(str(k) for k in asked[1:])})."
    if len(asked) == 3 and asked[1] == 1 and n > 1:
        says = f"The middle axis is missing: (N, {asked[2]}) where (N, 1, {asked[2]}) is asked."
        return [Mistake((n, asked[2]), says, "unsqueeze(1) adds it; flatten(1) takes it away.")]
    if tuple(asked[1:]) == (28, 28):
        lost = "The batch axis of a single image is lost."
        return [
            Mistake((n, 1, 28, 28), "There is a channel axis where none is asked.", reshape),
            *[Mistake(shape, flat, reshape) for shape in [(n, 1, PIXELS), (n, PIXELS)]],
            *(
                [Mistake((28, 28), lost, "squeeze() takes every axis of length 1: use reshape.")]
                if n == 1
                else []
            ),
        ]
    if tuple(asked[1:]) == (1, 28, 28):
        missing = [Mistake((n, 28, 28), "The channel axis is missing.", reshape)] if n > 1 else []
        return [*missing, *[Mistake(shape, flat, reshape) for shape in [(n, 1, PIXELS), (n, PIXELS)]]]
    return []


def fixed_size(asked: Sequence[int]) -> list[Mistake]:
    """As `misshapen`, of a network's output (N, 1, width): and the size 784, whatever width is asked."""
    fixed = Mistake((*asked[:-1], PIXELS), FIXED_PIXELS.says, FIXED_PIXELS.try_)
    return [*misshapen(asked), *([fixed] if asked[-1] != PIXELS else [])]


def expect_onehot(value: Any, labels: Tensor, n: int) -> Tensor:
    """The rows that idx2onehot made of the labels, (N,) or (N, 1), after checking shape, dtype and where the ones stand."""
    count, largest = len(labels), int(labels.max()) + 1
    what = f"idx2onehot of labels of shape {tuple(labels.shape)} with n = {n}"
    wrong: list[Mistake] = []
    if labels.dim() == 2:
        says = "Labels of shape (N, 1) give vectors with an axis too many."
        wrong.append(Mistake((count, 1, n), says, "Bring the labels to shape (N,) first."))
    if n != 10:
        says = "The number of classes, 10, is written into the code."
        wrong.append(Mistake((count, 10), says, "Make vectors of n numbers."))
    if largest not in (n, 10):
        says = "The number of classes is taken from the largest label, not from n."
        wrong.append(Mistake((count, largest), says, "Hand n on."))
    rows = Observation({"rows": value}).tensor("rows", (count, n), what=what, floating=False, mistakes=wrong)
    right = torch.equal(rows.double().sum(1), torch.ones(count).double())
    right = right and bool(((rows == 0) | (rows == 1)).all())
    right = right and torch.equal(rows.double().argmax(1), labels.flatten())
    expect(
        rows.dtype == torch.float32,
        expected=f"{what}: float32",
        seen=str(rows.dtype).removeprefix("torch."),
        hint="Asked are floats, which the networks can work with.",
        mistake=Mistake(None, "The one-hot vectors hold integers, not floats.", "tensor.float().")
        if right and not rows.is_floating_point() and rows.dtype != torch.bool
        else None,
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
        mistake=Mistake(
            None,
            "The loss is not reduced to one number: the mean of the values that it holds would be right.",
            "Take the mean over every element.",
        ),
    )


def expect_flattened(seen: Observation) -> None:
    """Ends the check when a training loop failed on images that it handed to the model as squares."""
    if seen.get("squares") is not None:
        fail(
            expected="images flattened to (N, 1, 784)",
            seen=f"the model was given shape {seen.text('squares')}, and raised: {seen.text('error')}",
            hint="x.reshape(len(x), 1, 784), or x.flatten(1).unsqueeze(1).",
            diagnosis="The batches are not flattened before they go into the model.",
        )


def expect_one_half(seen: Observation) -> None:
    """Ends the check when reconstruct handed all of q to the decoder, which raised."""
    if seen.flag("both_halves"):
        fail(
            expected="the decoder called with the posterior mean, nz numbers for each image",
            seen=f"it was called with 2 nz numbers and raised: {seen.text('error')}",
            hint="The encoder returns [mean, log sigma]: decode its first half alone.",
            diagnosis="reconstruct decodes both halves of q, not the mean alone.",
        )


def expect_gradient_flow(seen: Observation, whose: str) -> None:
    """Ends the check unless the drawings reach the encoder through z, and the loss every parameter of both networks."""
    both = seen.flag("encoder_reached") and seen.flag("decoder_reached")
    expect(
        seen.flag("drawings_reach_encoder"),
        expected=f"gradients that flow from the drawings of {whose} through z into every parameter of the encoder",
        seen="encoder parameters without a gradient",
        hint="Nothing may be detached between the encoder and the decoder.",
        mistake=Mistake(None, "z is cut off from the encoder, or from a part of it, before it is decoded.")
        if both
        else None,
    )
    for name in ("encoder", "decoder"):
        expect(
            seen.flag(f"{name}_reached"),
            expected=f"gradients of the loss in every parameter of the {name} of {whose}",
            seen="parameters without a gradient, or that are none of the model's",
            hint="Build encoder and decoder in __init__, and let nothing detach what flows through them.",
        )
