"""Hidden checks of gan.py: question 2-1b, the gradients and losses of one and of two training steps."""

from __future__ import annotations

import math

from autograder.judging import Candidate, Draw, Observation, Submission, check, expect, fail

from ...mistakes.hidden import gan_training as mistakes
from ..public.judge_training_step import BATCH, events, expect_trained
from .expected_gan import (
    discriminator_gradients,
    discriminator_losses,
    generator_gradients,
    generator_losses,
)
from .judge_gan_training import (
    ask_in_a_row,
    evaluation_mode,
    expect_discriminator_gradient,
    expect_generator_gradient,
)

STEP = (
    "training_step(real): the discriminator learns from an all-real batch labelled 1 and an all-fake batch labelled 0, kept "
    "apart, the fakes detached; then the generator learns, from fresh noise, with its fakes labelled 1."
)
LOSSES = "training_step(real) -> (dis_loss, gen_loss), as floats: the sum of the discriminator's two losses, and the generator's."
MODE = "training_step leaves both networks in training mode, also when they were in evaluation mode before."


@check(
    "2-1b",
    points=2.5,
    title="The discriminator's gradient is that of the real batch's loss plus the fake batch's",
    asks=STEP,
    rubric="What the discriminator learns from",
)
def test_discriminator_gradient(submission: Submission, draw: Draw) -> None:
    (step,) = ask_in_a_row(submission, draw, [BATCH])
    expect_discriminator_gradient(step)


@check(
    "2-1b",
    points=2.5,
    title="The generator's gradient is that of the non-saturating loss through the updated discriminator",
    asks=STEP,
    rubric="What the generator learns from",
)
def test_generator_gradient(submission: Submission, draw: Draw) -> None:
    (step,) = ask_in_a_row(submission, draw, [BATCH])
    expect_generator_gradient(step)


@check(
    "2-1b",
    points=1.5,
    title="A second call of training_step is as right as the first",
    asks=f"{STEP} Old gradients are cleared.",
    rubric="Two training steps in a row",
)
def test_two_steps_in_a_row(submission: Submission, draw: Draw) -> None:
    first, second = ask_in_a_row(submission, draw, [BATCH, BATCH])
    for network, expect_gradient, gradients in (
        ("discriminator", expect_discriminator_gradient, discriminator_gradients),
        ("generator", expect_generator_gradient, generator_gradients),
    ):
        left = first.left(network)
        piled_up: list[Candidate] = []
        if float(left.norm()) > 0:
            piled_up = [mistakes.GRADIENTS_NOT_CLEARED.giving(value + left) for value in gradients(second)]
        expect_gradient(second, piled_up)


@check(
    "2-1b",
    points=1,
    title="The two losses that were minimised are returned, the discriminator's first",
    asks=LOSSES,
    rubric="The returned losses",
)
def test_returned_losses(submission: Submission, draw: Draw) -> None:
    (step,) = ask_in_a_row(submission, draw, [BATCH])
    returned = step.call.list("returned", 2, what="what training_step returned")
    pair = Observation({"dis_loss": returned[0], "gen_loss": returned[1]})
    dis = pair.number("dis_loss", what="the returned dis_loss")
    gen = pair.number("gen_loss", what="the returned gen_loss")
    right_dis = [loss.item() for loss, _ in discriminator_losses(step)]
    right_gen = [loss.item() for loss, _ in generator_losses(step)]
    expect(
        bool(right_dis and right_gen), expected="fakes made by self._generator in both phases", seen="none"
    )
    if _among(dis, right_dis) and _among(gen, right_gen):
        return
    mistake = None
    if _among(dis, right_gen) and _among(gen, right_dis):
        mistake = mistakes.RESULTS_SWAPPED
    elif _among(2 * dis, right_dis) and _among(gen, right_gen):
        mistake = mistakes.MEAN_RETURNED
    fail(
        expected=f"dis_loss {right_dis[0]:.4f} and gen_loss {right_gen[0]:.4f}",
        seen=f"{dis:.4f} and {gen:.4f}",
        hint="Return what backward() was called on.",
        mistake=mistake,
    )


def _among(value: float, values: list[float]) -> bool:
    return any(math.isclose(value, v, rel_tol=1e-3, abs_tol=1e-5) for v in values)


@check(
    "2-1b",
    points=0.5,
    title="Networks in evaluation mode are trained in training mode, and left in it",
    asks=MODE,
    rubric="Training mode",
)
def test_training_mode(submission: Submission, draw: Draw) -> None:
    (step,) = ask_in_a_row(submission, draw, [BATCH], training=False)
    for network in ("discriminator", "generator"):
        expect(
            step.call.part("training").flag(network),
            expected=f"the {network} in training mode after training_step, when it was in evaluation mode before",
            seen="evaluation mode",
            mistake=mistakes.MODE_NOT_SET,
        )
    passes = [event for event in events(step.call, "discriminator") if event.flag("grad")]
    expect(
        bool(passes) and all(event.flag("training") for event in passes),
        expected="forward passes of the discriminator in training mode",
        seen="passes in evaluation mode",
        hint="Call train() before the forward passes.",
        mistake=evaluation_mode(step, "discriminator") or evaluation_mode(step, "generator"),
    )
    expect_trained(step.call, dict(step.generator), dict(step.discriminator), step.real)
