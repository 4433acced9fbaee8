"""Hidden checks of 2-1a: the optimisers, judged by the steps that they take."""

from __future__ import annotations

import torch
from torch import Tensor

from autograder.judging import Mistake, Observation, check, expect
from autograder.probes.gan import ENTRIES, pattern

OPTIMISERS = {"optimizerG": "generator", "optimizerD": "discriminator"}
RATE, BETAS = 2e-4, (0.5, 0.999)


def waves(draw) -> list[list[float]]:
    """Three gradients of different size and pattern, none near 0 at its first entry."""
    sizes = (1.0, 3.0, 0.3)
    return [[draw.number(0.3, 1.2), draw.number(0.6, 1.2), size] for size in sizes]


def after_steps(before: Tensor, size: int, sent: list[list[float]], make) -> Tensor:
    """The first entries of a parameter after an optimiser's steps with the gradients that the probe gave it."""
    value = before.clone().requires_grad_()
    optimiser = make([value])
    for angle, offset, scale in sent:
        value.grad = pattern(torch.zeros(min(size, ENTRIES)), angle, offset, scale)
        optimiser.step()
    return value.detach()


def adam(rate: float = RATE, betas: tuple[float, float] = BETAS, **more):
    return lambda parameters: torch.optim.Adam(parameters, lr=rate, betas=betas, **more)


OTHER_OPTIMISERS = (
    ("Adam's learning rate and betas are both left out.", adam(1e-3, (0.9, 0.999))),
    ("Adam's learning rate is left out: it takes its default, 1e-3.", adam(1e-3)),
    ("Adam's betas are left out: it takes its default, (0.9, 0.999).", adam(RATE, (0.9, 0.999))),
    ("The learning rate is that of reconstruct and actmax.", adam(1e-2)),
    ("The optimiser's sign is turned: it makes the loss larger.", adam(maximize=True)),
    ("Plain gradient descent takes the place of Adam.", lambda p: torch.optim.SGD(p, lr=RATE)),
    ("RMSprop takes the place of Adam.", lambda p: torch.optim.RMSprop(p, lr=RATE)),
)


@check(
    "2-1a",
    points=1,
    title="Both optimisers are Adam with learning rate 2e-4 and betas (0.5, 0.999)",
    asks="optimizerG and optimizerD: Adam with `learning_rate` and betas (0.5, 0.999), nothing else.",
    rubric="The optimisers' settings",
)
def test_optimisers_are_adam_as_asked(submission, draw):
    for optimiser, network in OPTIMISERS.items():
        sent = waves(draw)
        seen = submission.ask("gan.optimiser_steps", optimiser=optimiser, waves=sent)
        own = [p for p in seen.parts("parameters") if p.text("network") == network and p.flag("moved")]
        expect(
            bool(own),
            expected=f"{optimiser} moves the parameters of the {network}",
            seen="none of them moved",
            hint="Give the optimiser the parameters of the network that the model keeps.",
        )

        def gap(make, own=own, sent=sent) -> float:
            return max(
                (after_steps(p.tensor("before"), int(p.number("size")), sent, make) - p.tensor("after"))
                .abs()
                .max()
                .item()
                for p in own
            )

        still = [pattern(torch.zeros(p.tensor("before").numel()), 1.0, 1.0, 1.0) == 0 for p in own]
        drifted = any(
            not torch.equal(p.tensor("before")[where], p.tensor("after")[where])
            for p, where in zip(own, still, strict=True)
        )
        expect(
            not drifted,
            expected=f"{optimiser} leaves entries alone whose gradient has always been 0",
            seen="they moved",
            mistake=Mistake(
                None, f"{optimiser} has weight decay.", "Make a plain Adam, without weight_decay."
            ),
        )
        off = gap(adam())
        if off > 0.02 * RATE:
            expect(
                False,
                expected=f"{optimiser}: after three steps with given gradients, the parameters where Adam with learning rate "
                "2e-4 and betas (0.5, 0.999) takes them",
                seen=f"parameters up to {off:.2g} away from there",
                mistake=next(
                    (
                        Mistake(None, says, "Adam(parameters, lr=self.learning_rate, betas=(0.5, 0.999)).")
                        for says, make in OTHER_OPTIMISERS
                        if gap(make) < 0.02 * RATE
                    ),
                    None,
                ),
            )
        expect(
            not seen.flag("amsgrad"),
            expected=f"{optimiser}: a plain Adam",
            seen="the variant amsgrad",
            mistake=Mistake(
                None,
                f"{optimiser} is the variant amsgrad.",
                "Make a plain Adam: leave amsgrad out.",
            ),
        )


@check(
    "2-1a",
    points=0.5,
    title="Each optimiser moves all of its own network and nothing of the other",
    asks="optimizerG is over the generator's parameters only, optimizerD over the discriminator's only.",
    rubric="Each optimiser works on its own network",
)
def test_optimisers_keep_to_their_network(submission, draw):
    for optimiser, network in OPTIMISERS.items():
        sent = waves(draw)
        parameters = submission.ask("gan.optimiser_steps", optimiser=optimiser, waves=sent).parts(
            "parameters"
        )
        own = [p for p in parameters if p.text("network") == network]
        others = [p for p in parameters if p.text("network") != network]
        still = [p.text("name") for p in own if not p.flag("moved")]
        moved = [p.text("name") for p in others if p.flag("moved")]
        mistake = None
        if others and len(moved) == len(others):
            mistake = (
                Mistake(None, "The optimisers are swapped.", "optimizerG is the generator's.")
                if len(still) == len(own)
                else Mistake(
                    None,
                    f"{optimiser} is over both networks.",
                    f"Give it the parameters of the {network} only, not those of the whole model.",
                )
            )
        elif own and len(still) == len(own):
            mistake = Mistake(
                None,
                f"{optimiser} is over other parameters than the {network} has: of another network, or of one made before.",
                "Make each network once, keep it, and give its parameters to the optimiser.",
            )
        elif still and not moved:
            mistake = Mistake(
                None,
                f"{optimiser} is over a part of the {network} only: {len(still)} of its {len(own)} parameters are left out.",
                f"Give it all parameters of the {network}.",
            )
        expect(
            not still and not moved and bool(own),
            expected=f"{optimiser}.step() moves every parameter of the {network} and none of the other network",
            seen=f"{len(still)} of {len(own)} of its own did not move, {len(moved)} of {len(others)} others moved",
            mistake=mistake,
        )
        follows = following(own, sent)
        expect(
            follows > 0.2 and not any(changed(p) for p in others),
            expected=f"{optimiser}.step() moves the {network}'s parameters along their gradients, and nothing else",
            seen=f"steps at a cosine of {follows:.2f} to the gradients",
        )


def changed(parameter: Observation) -> bool:
    before = parameter.tensor("before", (None,))
    return not torch.equal(before, parameter.tensor("after", before.shape))


def following(parameters: list[Observation], sent: list[list[float]]) -> float:
    """How far steps go along the gradients that were given, up or down: the size of the cosine between the two."""
    steps, pulls = [], []
    for parameter in parameters:
        before = parameter.tensor("before", (None,))
        size = min(before.numel(), ENTRIES)
        steps.append(parameter.tensor("after", before.shape) - before)
        waves_of_it = [pattern(torch.zeros(size), angle, offset, 1.0) for angle, offset, _ in sent]
        pulls.append(torch.stack(waves_of_it).sum(0))
    step, pull = torch.cat(steps), torch.cat(pulls)
    return abs(float(step @ pull) / (float(step.norm() * pull.norm()) + 1e-30))
