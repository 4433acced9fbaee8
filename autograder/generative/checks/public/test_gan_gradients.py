"""Public checks of gan.py: question 2-1b, the gradients that the two networks learn from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor, nn

from autograder.judging import Candidate, Draw, Submission, check

from ...mistakes.public.gan_losses import GRADIENTS_NOT_CLEARED
from .expected_gan import discriminator_losses, generator_losses, gradient_of
from .judge_gan_training import ask_in_a_row, expect_discriminator_gradient, expect_generator_gradient
from .judge_training_step import PHASES

STEP = (
    "training_step(real): the discriminator learns from an all-real batch labelled 1 and an all-fake batch labelled 0, kept "
    "apart, the fakes detached; then the generator learns, from fresh noise, with its fakes labelled 1."
)


@check(
    "2-1b",
    points=0,
    title="The discriminator's gradient is that of the real batch's loss plus the fake batch's (for information)",
    asks=STEP,
)
def test_discriminator_gradient_early(submission: Submission, shared_draw: Draw) -> None:
    (step,) = ask_in_a_row(submission, shared_draw, 1, PHASES[:1])
    expect_discriminator_gradient(step)


@check(
    "2-1b",
    points=0,
    title="The generator's gradient is that of the non-saturating loss through the updated discriminator (for information)",
    asks=STEP,
)
def test_generator_gradient_early(submission: Submission, shared_draw: Draw) -> None:
    (step,) = ask_in_a_row(submission, shared_draw, 1, PHASES[1:])
    expect_generator_gradient(step)


@check(
    "2-1b",
    points=0,
    title="A second call of training_step is as right as the first (for information)",
    asks=f"{STEP} Old gradients are cleared.",
)
def test_two_steps_in_a_row_early(submission: Submission, shared_draw: Draw) -> None:
    first, second = ask_in_a_row(submission, shared_draw, 2)
    left = {network: first.left(network) for network in ("discriminator", "generator")}
    expect_discriminator_gradient(second, _piled_up(left["discriminator"], discriminator_losses(second)))
    expect_generator_gradient(second, _piled_up(left["generator"], generator_losses(second)))


def _piled_up(left: Tensor, losses: Sequence[tuple[Tensor, nn.Module]]) -> Iterator[Candidate]:
    """The gradients of a second step that are added to those left from the first, computed one at a time."""
    if float(left.norm()) > 0:
        for loss, network in losses:
            yield GRADIENTS_NOT_CLEARED.giving(gradient_of(loss, network) + left)
