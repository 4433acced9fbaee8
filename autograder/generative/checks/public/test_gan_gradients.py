"""Public checks of gan.py: question 2-1b, the gradients that the two networks learn from."""

from __future__ import annotations

from autograder.judging import Draw, Submission, check

from .judge_gan_training import ask_in_a_row, expect_discriminator_gradient, expect_generator_gradient
from .judge_training_step import BATCH, PHASES

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
def test_discriminator_gradient_early(submission: Submission, draw: Draw) -> None:
    (step,) = ask_in_a_row(submission, draw, [BATCH], PHASES[:1])
    expect_discriminator_gradient(step)


@check(
    "2-1b",
    points=0,
    title="The generator's gradient is that of the non-saturating loss through the updated discriminator (for information)",
    asks=STEP,
)
def test_generator_gradient_early(submission: Submission, draw: Draw) -> None:
    (step,) = ask_in_a_row(submission, draw, [BATCH], PHASES[1:])
    expect_generator_gradient(step)
