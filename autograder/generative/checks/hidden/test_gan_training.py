"""Hidden checks of gan.py: question 2-1b, two training steps in a row, their losses and their modes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from torch import Tensor

from autograder.judging import (
    Draw,
    Mistake,
    Observation,
    Submission,
    again,
    check,
    expect,
    fail,
)

from ...mistakes.public import gan_losses as mistakes
from ..public import test_gan_gradients as public
from ..public.expected_gan import (
    Step,
    Wrong,
    discriminator_losses,
    discriminator_mistakes,
    generator_losses,
    generator_mistakes,
    gradient_of,
    is_gradient_of,
    losses_in_modes_seen,
    near,
)
from ..public.judge_gan_training import (
    ask_in_a_row,
)
from ..public.judge_training_step import (
    PHASES,
    events,
    expect_gradient,
    expect_trained,
    wrong_order,
)

STEP = (
    "training_step(real): the discriminator learns from an all-real batch labelled 1 and an all-fake batch labelled 0, kept "
    "apart, the fakes detached; then the generator learns, from fresh noise, with its fakes labelled 1."
)
LOSSES = "training_step(real) -> (dis_loss, gen_loss), as floats: the sum of the discriminator's two losses, and the generator's."
MODE = "training_step trains both networks in training mode, and leaves them in it."


test_discriminator_gradient = again(
    public.test_discriminator_gradient_early, points=2.5, rubric="What the discriminator learns from"
)

test_generator_gradient = again(
    public.test_generator_gradient_early, points=2.5, rubric="What the generator learns from"
)

test_two_steps_in_a_row = again(
    public.test_two_steps_in_a_row_early, points=1.5, rubric="Two training steps in a row"
)


@check(
    "2-1b",
    points=1,
    title="The two losses that were minimised are returned, the discriminator's first",
    asks=LOSSES,
    rubric="The returned losses",
)
def test_returned_losses(submission: Submission, shared_draw: Draw) -> None:
    for step in ask_in_a_row(submission, shared_draw, 2):
        expect_returned_losses(step)


def expect_returned_losses(step: Step) -> None:
    """Raises a fault unless a call returned the losses of both phases."""
    returned = step.call.list("returned", 2, what="what training_step returned")
    pair = Observation({"dis_loss": returned[0], "gen_loss": returned[1]})
    dis = pair.number("dis_loss", what="the returned dis_loss")
    gen = pair.number("gen_loss", what="the returned gen_loss")
    right_dis = [loss.item() for loss, _ in discriminator_losses(step)]
    right_gen = [loss.item() for loss, _ in generator_losses(step)]
    expect(
        bool(right_dis and right_gen), expected="fakes made by self._generator in both phases", seen="none"
    )
    if among(dis, right_dis) and among(gen, right_gen):
        return
    # Of several that are right, those with this code's own losses and noise.
    expected = (
        min(right, key=lambda r: abs(r - value)) for value, right in ((dis, right_dis), (gen, right_gen))
    )
    fail(
        expected="dis_loss {:.4f} and gen_loss {:.4f}".format(*expected),
        seen=f"{dis:.4f} and {gen:.4f}",
        hint="Return the values of the two losses that you called backward() on, as floats.",
        mistake=mistake_in_returned(step, dis, gen, right_dis, right_gen),
    )


def mistake_in_returned(
    step: Step, dis: float, gen: float, right_dis: Sequence[float], right_gen: Sequence[float]
) -> Mistake | None:
    """Why other losses were returned: in another order, or those that a mistake in one of the phases minimises."""
    if among(dis, right_gen) and among(gen, right_dis):
        return mistakes.RESULTS_SWAPPED
    found = []
    if not among(dis, right_dis):
        halved = among(2 * dis, right_dis) and is_right(step)
        seen = step.gradient("discriminator")
        in_modes = of_loss(dis, seen, losses_in_modes_seen(step, "discriminator"))
        wrong = mistakes.MEAN_RETURNED if halved else of_loss(dis, seen, discriminator_mistakes(step))
        found.append(wrong or in_modes)
    if not among(gen, right_gen):
        seen = step.gradient("generator")
        found.append(
            of_loss(gen, seen, generator_mistakes(step))
            or of_loss(gen, seen, losses_in_modes_seen(step, "generator"))
        )
    named = {mistake.id for mistake in found if mistake is not None}
    return found[0] if None not in found and len(named) == 1 else wrong_order(step.call)


def is_right(step: Step) -> bool:
    """Whether the discriminator's gradient is right."""
    seen = step.gradient("discriminator")
    return is_gradient_of(seen, discriminator_losses(step))


def of_loss(value: float, gradient: Tensor, wrong: Iterable[Wrong]) -> Mistake | None:
    """The first mistake that minimises a loss of this value with this gradient: of so many, one may have the value by chance."""
    return next(
        (
            mistake
            for mistake, loss, network in wrong
            if among(value, [loss.item()]) and near(gradient, gradient_of(loss, network))
        ),
        None,
    )


def among(value: float, values: Sequence[float]) -> bool:
    return any(math.isclose(value, v, rel_tol=1e-4, abs_tol=1e-6) for v in values)


@check(
    "2-1b",
    points=0.5,
    title="Networks in training mode are trained in it, and left in it",
    asks=MODE,
    rubric="Training mode",
)
def test_training_mode(submission: Submission, shared_draw: Draw) -> None:
    (step,) = ask_in_a_row(submission, shared_draw, 1, PHASES)
    for network in ("discriminator", "generator"):
        with_graph = [event for event in events(step.call, network) if event.flag("grad")]
        # What is only measured may be measured in any mode.
        trained_on = [event for event in with_graph if event.flag("backward")] or with_graph
        expect(
            all(event.flag("training") for event in trained_on),
            expected=f"the {network}'s forward passes in training mode",
            seen="passes in evaluation mode",
            mistake=mistakes.EVALUATION_MODE,
        )
        expect(
            step.call.part("training").flag(network),
            expected=f"the {network} left in training mode",
            seen="evaluation mode",
            mistake=mistakes.LEFT_IN_EVALUATION_MODE,
        )
    expect_gradient(step.call)
    expect_trained(step.call, dict(step.generator), dict(step.discriminator), step.real)
