"""Public checks of gan.py: question 2-1a, the optimisers, judged by the steps that they take."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from autograder.judging import Draw, Observation, Submission, candidates, check, expect, fail, first_shown

from ...mistakes.public import gan_optimisers as mistakes
from ...probes.gan import ENTRIES, pattern

SETTINGS = "optimizerG and optimizerD: Adam with `learning_rate` and betas (0.5, 0.999), nothing else."
PARAMETERS = "optimizerG is over the generator's parameters only, optimizerD over the discriminator's only."

OPTIMISERS = {"optimizerG": "generator", "optimizerD": "discriminator"}
LARGEST = 10.0  # of a parameter: float32 resolves a step of Adam well below this
NEAR = 0.02 * mistakes.RATE  # how far parameters may be from where Adam takes them


FEW = (1.0, 3.0, 0.3)
# Adam's second beta shows late: in how long a large gradient is remembered.
MANY = (10.0, *FEW, *FEW, *FEW, *FEW, *FEW)


def waves(draw: Draw, sizes: Sequence[float]) -> list[list[float]]:
    """Gradients of these sizes and different patterns (angle, offset, scale), none near 0 at its first entry."""
    return [[draw.number(0.3, 1.2), draw.number(0.6, 1.2), size] for size in sizes]


@check(
    "2-1a",
    points=0,
    title="Both optimisers are Adam with learning rate 2e-4 and betas (0.5, 0.999) (for information)",
    asks=SETTINGS,
)
def test_optimisers_are_adam_as_asked_early(submission: Submission, draw: Draw) -> None:
    for optimiser, network in OPTIMISERS.items():
        sent = waves(draw, MANY)
        seen = submission.ask("gan.optimiser_steps", optimiser=optimiser, waves=sent)
        own = [p for p in seen.parts("parameters") if p.text("network") == network and p.flag("moved")]
        expect(
            bool(own),
            expected=f"{optimiser} moves the parameters of the {network}",
            seen="none of them moved",
            hint="Give the optimiser the parameters of the network that the model keeps.",
        )
        before = [p.tensor("before", (min(int(p.number("size")), ENTRIES),)) for p in own]
        expect(
            all(float(b.abs().max()) < LARGEST for b in before),
            expected=f"parameters smaller than {LARGEST:g} at the start",
            seen="larger ones",
        )
        after = [p.tensor("after", b.shape) for p, b in zip(own, before, strict=True)]
        still = [pattern(torch.zeros_like(b), 1.0, 1.0, 1.0) == 0 for b in before]
        expect(
            all(torch.equal(b[s], a[s]) for b, a, s in zip(before, after, still, strict=True)),
            expected=f"{optimiser} leaves entries alone whose gradient has always been 0",
            seen="they moved",
            mistake=mistakes.WEIGHT_DECAY,
        )
        gradients = [[pattern(torch.zeros_like(b), *wave) for b in before] for wave in sent]
        case = mistakes.OptimiserCase(before, gradients)
        reached = torch.cat(after)
        off = _distance(case.after(mistakes.adam()), reached)
        if off > NEAR:
            others = candidates(mistakes.OTHER_OPTIMISERS, case)
            fail(
                expected=f"{optimiser}: after {len(sent)} steps with given gradients, the parameters where Adam with learning "
                "rate 2e-4 and betas (0.5, 0.999) takes them",
                seen=f"parameters up to {off / mistakes.RATE:.2g} learning rates away from there",
                mistake=next((c.mistake for c in others if _distance(c.value, reached) < NEAR), None),
            )
        expect(
            not seen.flag("amsgrad"),
            expected=f"{optimiser}: a plain Adam",
            seen="the variant amsgrad",
            mistake=mistakes.AMSGRAD,
        )


def _distance(a: Tensor, b: Tensor) -> float:
    return (a - b).abs().max().item()


@check(
    "2-1a",
    points=0,
    title="Each optimiser moves all of its own network and nothing of the other (for information)",
    asks=PARAMETERS,
)
def test_optimisers_keep_to_their_network_early(submission: Submission, draw: Draw) -> None:
    for optimiser, network in OPTIMISERS.items():
        sent = waves(draw, FEW)
        seen = submission.ask("gan.optimiser_steps", optimiser=optimiser, waves=sent)
        parameters = seen.parts("parameters")
        own = [p for p in parameters if p.text("network") == network]
        others = [p for p in parameters if p.text("network") != network]
        own_moved = sum(p.flag("moved") for p in own)
        others_moved = sum(p.flag("moved") for p in others)
        expect(
            own_moved == len(own) > 0 and others_moved == 0,
            expected=f"{optimiser}.step() moves every parameter of the {network} and none of the other network",
            seen=f"{len(own) - own_moved} of {len(own)} of its own did not move, {others_moved} of {len(others)} others moved",
            mistake=first_shown(
                mistakes.WRONG_PARAMETERS, mistakes.Moved(len(own), own_moved, len(others), others_moved)
            ),
        )
        cosine = _cosine(own, sent)
        expect(
            cosine > 0.2 and not any(_changed(p) for p in others),
            expected=f"{optimiser}.step() moves the {network}'s parameters along their gradients, and nothing else",
            seen=f"steps at a cosine of {cosine:.2f} to the gradients",
        )


def _changed(parameter: Observation) -> bool:
    before = parameter.tensor("before", (None,))
    return not torch.equal(before, parameter.tensor("after", before.shape))


def _cosine(parameters: list[Observation], sent: list[list[float]]) -> float:
    """The size of the cosine between the steps and the gradients that were given: the direction may be up or down."""
    steps, gradients = [], []
    for parameter in parameters:
        size = min(int(parameter.number("size")), ENTRIES)
        before = parameter.tensor("before", (size,))
        steps.append(parameter.tensor("after", before.shape) - before)
        of_steps = [pattern(torch.zeros(size), angle, offset, 1.0) for angle, offset, _ in sent]
        gradients.append(torch.stack(of_steps).sum(0))
    step, gradient = torch.cat(steps), torch.cat(gradients)
    return abs(float(step @ gradient) / (float(step.norm() * gradient.norm()) + 1e-30))
