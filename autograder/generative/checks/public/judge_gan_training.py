"""How the hidden checks of `training_step` judge the gradients at the optimisers' steps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from autograder.judging import Candidate, Draw, Mistake, Submission, expect, fail

from ...mistakes.public import gan_losses as mistakes
from ...mistakes.public.gan_training import FAKES_NOT_DETACHED
from .expected_gan import (
    LOSSES,
    NEAR,
    Step,
    Wrong,
    discriminator_cases,
    discriminator_losses,
    discriminator_mistakes,
    generator_losses,
    generator_mistakes,
    gradient_of,
    gradients,
    is_gradient_of,
    losses_in_modes_seen,
    near,
    weights,
)
from .judge_training_step import ask_calls, why_no_gradient, wrong_order


def ask_in_a_row(submission: Submission, draw: Draw, count: int, phases: Sequence[str] = ()) -> list[Step]:
    """One call of training_step, or two in a row on the same small networks.

    phases: the halves of the step, one of which is enough where the whole step does not run.
    """
    asked = ask_calls(submission, draw, count, phases)
    steps = [
        Step(call, real, asked.generator, asked.discriminator)
        for call, real in zip(asked.calls, asked.batches, strict=True)
    ]
    steps[0].expect_begun_as_given()
    for step, following in pairwise(steps):
        expect_continued(step, following)
    return steps


def expect_continued(step: Step, following: Step) -> None:
    """Raises a fault unless a call began with the networks that the call before left."""
    for network in ("generator", "discriminator"):
        state = step.state(network)
        left = weights(step.call.part("after"), network, state)
        found = weights(following.call.part("before"), network, state)
        expect(
            all(torch.equal(left[name], found[name]) for name in left),
            expected=f"the {network} left as it is between two calls of training_step",
            seen="other weights",
        )


def expect_discriminator_gradient(step: Step, others: Iterable[Candidate] = ()) -> None:
    """Raises a fault unless the discriminator's gradient is right.

    others: further mistakes with the gradients that they lead to, tried first.
    """
    seen = step.gradient("discriminator")
    losses = discriminator_losses(step)
    expect(bool(losses), expected="fakes, made by self._generator for the discriminator to see", seen="none")
    if is_gradient_of(seen, losses):
        return
    values = gradients(losses)
    fail(
        expected="at optimizerD's step, the discriminator's gradients are those of the loss of the real batch (label 1) plus "
        "the loss of the fake batch (label 0)",
        seen=difference(step, "discriminator", seen, values),
        mistake=(why_no_gradient(step.call) if seen.norm() == 0 else None)
        or first_near(seen, others)
        or first_near(seen, gradients_of(discriminator_mistakes(step)))
        or first_near(seen, gradients_of(losses_in_modes_seen(step, "discriminator")))
        or smoothed_labels(step, seen)
        or scaled_gradient(seen, values)
        or wrong_order(step.call),
        hint="Check the phase by hand: which images, which labels, which losses are in the sum, and what was in .grad "
        "before backward().",
    )


def expect_generator_gradient(step: Step, others: Iterable[Candidate] = ()) -> None:
    """Raises a fault unless the generator's gradient is right; `others` as for the discriminator."""
    seen = step.gradient("generator")
    losses = generator_losses(step)
    expect(bool(losses), expected="fakes, made by self._generator for its own step", seen="none")
    if is_gradient_of(seen, losses):
        return
    values = gradients(losses)
    expect(
        float(seen.norm()) > 0,
        expected="gradients on the generator at optimizerG's step",
        seen="none",
        mistake=why_without_gradient(step),
    )
    leaked = step.leaked()
    if float(leaked.norm()) > 0:
        others = [*others, *(FAKES_NOT_DETACHED.giving(value + leaked) for value in values)]
    fail(
        expected="at optimizerG's step, the generator's gradients are those of the classification loss of its fakes with label "
        "1, through the discriminator after its step",
        seen=difference(step, "generator", seen, values),
        mistake=first_near(seen, others)
        or first_near(seen, gradients_of(generator_mistakes(step)))
        or first_near(seen, gradients_of(losses_in_modes_seen(step, "generator")))
        or scaled_gradient(seen, values),
        hint="Check the phase by hand: which noise, which discriminator, which labels, and what was in .grad before "
        "backward().",
    )


def why_without_gradient(step: Step) -> Mistake:
    """Why the generator has no gradient at its optimiser's step."""
    if (order := wrong_order(step.call)) is not None:
        return order
    if bool(step.left("generator").any()):
        return mistakes.STEP_BEFORE_BACKWARD
    if (cleared := why_no_gradient(step.call, "generator")) is not None:
        return cleared
    reused = any(event.flag("attached") for event in step.passes("generator", "discriminator"))
    if not step.passes("generator", "generator") and not reused:
        return mistakes.GENERATOR_NOT_USED
    return mistakes.GENERATOR_WITHOUT_GRADIENT


def difference(step: Step, phase: str, seen: Tensor, values: Sequence[Tensor]) -> str:
    """How far a gradient is from the nearest right one, in words, and which network was in evaluation mode."""
    network = step.in_evaluation_mode(phase)
    mode = f"; the {network} was in evaluation mode" if network else ""
    if not bool(torch.isfinite(seen).all()):
        return f"gradients that are not finite{mode}"
    if seen.norm() == 0:
        return f"no gradient at all{mode}"
    nearest = min(values, key=lambda value: float((seen - value).norm()))
    cosine = float(seen @ nearest / (seen.norm() * nearest.norm() + 1e-30))
    length = float(seen.norm() / nearest.norm())
    return f"gradients {length:.3g} times as long, at a cosine of {cosine:.3f} to the right ones{mode}"


# --- Which mistake explains a gradient --------------------------------------------------------------------


def first_near(seen: Tensor, explanations: Iterable[Candidate]) -> Mistake | None:
    """The first mistake that leads to the gradient that was seen."""
    return next((c.mistake for c in explanations if c.value.norm() > 0 and near(seen, c.value)), None)


def gradients_of(wrong: Iterable[Wrong]) -> Iterator[Candidate]:
    """The mistakes with the gradients of their losses."""
    for mistake, loss, network in wrong:
        yield mistake.giving(gradient_of(loss, network))


def smoothed_labels(step: Step, seen: Tensor) -> Mistake | None:
    """The mistake of labels that are neither 0 nor 1: the gradient of every loss is linear in its labels."""
    for case in discriminator_cases(step):
        for loss in LOSSES:
            zeros, ones = (
                [gradient_of(mistakes.labelled(loss, logits, label), case.net) for logits, _ in case.judged]
                for label in (0.0, 1.0)
            )
            slopes = torch.stack([one - zero for zero, one in zip(zeros, ones, strict=True)], dim=1).double()
            rest = (seen - sum(zeros)).double()
            labels = torch.linalg.lstsq(slopes, rest.unsqueeze(1)).solution.flatten()
            if float((slopes @ labels - rest).norm()) > NEAR * float(seen.norm()):
                continue
            for_real, for_fakes = labels.tolist()
            if 0.5 < for_real < 0.999 and abs(for_fakes) < 0.5:
                return mistakes.LABELS_SMOOTHED
    return None


def scaled_gradient(seen: Tensor, values: Iterable[Tensor]) -> Mistake | None:
    """The mistake of a gradient that has the right direction and another length."""
    if seen.norm() > 0 and any(near(seen / seen.norm(), value / value.norm()) for value in values):
        return mistakes.GRADIENTS_SCALED
    return None
