"""Public checks of gan.py: question 2-1b, the gradients that the two networks learn from."""

from __future__ import annotations

from autograder.judging import Candidate, Draw, Submission, check

from ...mistakes.public.gan_losses import GRADIENTS_NOT_CLEARED
from .expected_gan import discriminator_gradients, generator_gradients
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
    for network, judge, gradients in (
        ("discriminator", expect_discriminator_gradient, discriminator_gradients),
        ("generator", expect_generator_gradient, generator_gradients),
    ):
        left = first.left(network)
        piled_up: list[Candidate] = []
        if float(left.norm()) > 0:
            piled_up = [GRADIENTS_NOT_CLEARED.giving(value + left) for value in gradients(second)]
        judge(second, piled_up)
