"""Hidden checks of 2-1b: gradients and losses of the training step, one call and two."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from autograder.checks.hidden.expected_gan import (
    Step,
    discriminator_gradients,
    discriminator_losses,
    flat_gradient,
    generator_gradients,
    generator_losses,
    near,
)
from autograder.checks.hidden.mistakes_gan import (
    discriminator_mistakes,
    first_near,
    generator_mistakes,
    rescaled,
    smoothing,
)
from autograder.checks.public.gan_steps import BATCH, ask_steps, expect_trained
from autograder.checks.public.small_gan import discriminator_state, generator_state
from autograder.judging import Fault, Mistake, Observation, check, expect

ASKS = (
    "training_step(real): the discriminator learns from an all-real batch labelled 1 and an all-fake batch labelled 0, kept "
    "apart, the fakes detached; then the generator learns, from fresh noise, with its fakes labelled 1."
)


def run(submission, draw, sizes: list[int], training: bool = True) -> list[Step]:
    """Calls of training_step in a row on the same small networks."""
    generator, discriminator = generator_state(draw), discriminator_state(draw)
    batches = [draw.uniform(n, 3, 32, 32) ** draw.number(0.5, 2) for n in sizes]
    calls = ask_steps(submission, batches, generator, discriminator, training=training)
    steps = [Step(call, real, generator, discriminator) for call, real in zip(calls, batches, strict=True)]
    steps[0].expect_begun_as_given()
    return steps


def told(seen: Tensor, values: list[Tensor]) -> str:
    """How far a gradient is from the nearest right one, in words."""
    if not bool(torch.isfinite(seen).all()):
        return "gradients that are not finite"
    if seen.norm() == 0:
        return "no gradient at all"
    nearest = min(values, key=lambda value: float((seen - value).norm()))
    cosine = float(seen @ nearest / (seen.norm() * nearest.norm() + 1e-30))
    return f"gradients {float(seen.norm() / nearest.norm()):.3g} times as long, at a cosine of {cosine:.3f} to the right ones"


LEFT_OVER = (
    "The gradients are not cleared: those of the phase or call before are still in them.",
    "Call zero_grad() on the network's own optimiser before its backward pass.",
)


def evaluated(step: Step, phase: str) -> Mistake | None:
    """The mistake of a network that works in evaluation mode while one of the two is trained."""
    network = step.in_evaluation_mode(phase)
    if not network:
        return None
    return Mistake(
        None,
        f"The {network} is in evaluation mode in the {phase}'s phase.",
        "Leave both networks in training mode for the whole step.",
    )


def judge_discriminator(step: Step, more: list[tuple[str, str, Tensor]]) -> None:
    """Raises a fault unless the discriminator's gradient is right; `more` are further mistakes that might explain it."""
    seen = step.gradient("discriminator")
    values = discriminator_gradients(step)
    expect(bool(values), expected="fakes, made by self._generator for the discriminator to see", seen="none")
    if any(near(seen, value) for value in values):
        return
    mistake = (
        first_near(seen, more)
        or first_near(seen, discriminator_mistakes(step))
        or smoothing(step)
        or rescaled(seen, values, "discriminator")
        or evaluated(step, "discriminator")
    )
    expect(
        False,
        expected="at optimizerD's step, the discriminator's gradients are those of the loss of the real batch (label 1) plus "
        "the loss of the fake batch (label 0)",
        seen=told(seen, values),
        mistake=mistake,
        hint="Go through the phase by hand: which images, which labels, which losses are in the sum, and what was in .grad "
        "before backward().",
    )


def judge_generator(step: Step, more: list[tuple[str, str, Tensor]]) -> None:
    """Raises a fault unless the generator's gradient is right; `more` are further mistakes that might explain it."""
    seen = step.gradient("generator")
    values = generator_gradients(step)
    expect(bool(values), expected="fakes, made by self._generator for its own step", seen="none")
    if any(near(seen, value) for value in values):
        return
    expect(
        float(seen.norm()) > 0,
        expected="gradients on the generator at optimizerG's step",
        seen="none",
        mistake=Mistake(
            None,
            "The generator gets no gradient: its fakes are detached, or made under no_grad(), in its own phase.",
            "Detach the fakes in the discriminator's phase only.",
        ),
    )
    pulled = leaked(step)
    if float(pulled.norm()) > 0:
        more = [
            *more,
            *(
                (
                    "The fakes are not detached: gradients of the discriminator's phase are added to the generator's own.",
                    "Detach the fakes in the discriminator's phase, and clear the generator's gradients before its own.",
                    value + pulled,
                )
                for value in values
            ),
        ]
    mistake = (
        first_near(seen, more)
        or first_near(seen, generator_mistakes(step))
        or rescaled(seen, values, "generator")
        or evaluated(step, "generator")
    )
    expect(
        False,
        expected="at optimizerG's step, the generator's gradients are those of the classification loss of its fakes with label "
        "1, through the discriminator as it is by then",
        seen=told(seen, values),
        mistake=mistake,
        hint="Go through the phase by hand: which noise, which discriminator, which labels, and what was in .grad before "
        "backward().",
    )


def leaked(step: Step) -> Tensor:
    """The generator's gradient at the discriminator's step; zeros where there is none."""
    found = step.events("discriminator step")
    if not found:
        return torch.zeros(1)
    return flat_gradient(found[0].part("generator gradients"), step.generator, "generator")


@check(
    "2-1b",
    points=2.5,
    title="The discriminator's gradient is that of the real batch's loss plus the fake batch's",
    asks=ASKS,
    rubric="What the discriminator learns from",
)
def test_discriminator_gradient(submission, draw):
    (step,) = run(submission, draw, [BATCH])
    judge_discriminator(step, [])


@check(
    "2-1b",
    points=2.5,
    title="The generator's gradient is that of the non-saturating loss through the updated discriminator",
    asks=ASKS,
    rubric="What the generator learns from",
)
def test_generator_gradient(submission, draw):
    (step,) = run(submission, draw, [BATCH])
    judge_generator(step, [])


@check(
    "2-1b",
    points=1.5,
    title="A second call of training_step is as right as the first",
    asks=ASKS + " Old gradients are cleared.",
    rubric="Two training steps in a row",
)
def test_two_steps_in_a_row(submission, draw):
    first, second = run(submission, draw, [BATCH, BATCH])
    for network, judge, gradients in (
        ("discriminator", judge_discriminator, discriminator_gradients),
        ("generator", judge_generator, generator_gradients),
    ):
        left = first.left(network)
        more = []
        if float(left.norm()) > 0:
            more = [(*LEFT_OVER, value + left) for value in gradients(second)]
        judge(second, more)


@check(
    "2-1b",
    points=1,
    title="The two losses that were minimised are returned, the discriminator's first",
    asks="training_step(real) -> (dis_loss, gen_loss), as floats: the sum of the discriminator's two losses, and the generator's.",
    rubric="The returned losses",
)
def test_returned_losses(submission, draw):
    (step,) = run(submission, draw, [BATCH])
    returned = step.call.list("returned", 2, what="what training_step returned")
    pair = Observation({"dis_loss": returned[0], "gen_loss": returned[1]})
    dis, gen = (
        pair.number("dis_loss", what="the returned dis_loss"),
        pair.number("gen_loss", what="the returned gen_loss"),
    )
    right_dis = [loss.item() for loss, _, _ in discriminator_losses(step)]
    right_gen = [loss.item() for loss, _ in generator_losses(step)]
    expect(
        bool(right_dis and right_gen), expected="fakes made by self._generator in both phases", seen="none"
    )

    def among(value: float, values: list[float]) -> bool:
        return any(math.isclose(value, v, rel_tol=1e-3, abs_tol=1e-5) for v in values)

    if among(dis, right_dis) and among(gen, right_gen):
        return
    mistake = None
    if among(dis, right_gen) and among(gen, right_dis):
        mistake = Mistake(
            None, "The two losses are returned in the wrong order.", "Return (dis_loss, gen_loss)."
        )
    elif among(2 * dis, right_dis) and among(gen, right_gen):
        mistake = Mistake(
            None,
            "The discriminator's loss is returned as the mean of its two losses; their sum is asked.",
            "Add the two losses.",
        )
    raise Fault(
        expected=f"dis_loss {right_dis[0]:.4f} and gen_loss {right_gen[0]:.4f}",
        seen=f"{dis:.4f} and {gen:.4f}",
        hint=mistake.try_ if mistake else "Return what backward() was called on.",
        diagnosis=mistake.says if mistake else None,
    )


@check(
    "2-1b",
    points=0.5,
    title="Networks in evaluation mode are trained in training mode, and left in it",
    asks="training_step leaves both networks in training mode, also when they were in evaluation mode before.",
    rubric="Training mode",
)
def test_training_mode(submission, draw):
    (step,) = run(submission, draw, [BATCH], training=False)
    for network in ("discriminator", "generator"):
        expect(
            step.call.part("training").flag(network),
            expected=f"the {network} in training mode after training_step, when it was in evaluation mode before",
            seen="evaluation mode",
            mistake=Mistake(
                None,
                f"training_step does not put the {network} in training mode.",
                "Call train() at the start: drawing samples in between may have left evaluation mode on.",
            ),
        )
    learning = [e for e in step.events("discriminator") if e.flag("grad")]
    expect(
        bool(learning) and all(e.flag("training") for e in learning),
        expected="forward passes of the discriminator in training mode",
        seen="passes in evaluation mode",
        hint="Call train() before the forward passes.",
        mistake=next(
            (
                mistake
                for phase in ("discriminator", "generator")
                if (mistake := evaluated(step, phase)) is not None
            ),
            None,
        ),
    )
    expect_trained(step.call, dict(step.generator), dict(step.discriminator), step.real)
