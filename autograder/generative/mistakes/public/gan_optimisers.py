"""Mistakes in a DCGAN's optimisers, recognised by where a few steps with given gradients lead."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from autograder.judging import Mistake

RATE, BETAS = 2e-4, (0.5, 0.999)
PLAIN_ADAM = "Adam takes the rate and the pair of betas that the docstring gives, and nothing else."

MakeOptimiser = Callable[[list[Tensor]], torch.optim.Optimizer]


def adam(rate: float = RATE, betas: tuple[float, float] = BETAS, **more: Any) -> MakeOptimiser:
    return lambda parameters: torch.optim.Adam(parameters, lr=rate, betas=betas, **more)


@dataclass(frozen=True)
class OptimiserCase:
    """Parameters before an optimiser's steps, and their gradients at each step."""

    before: Sequence[Tensor]
    gradients: Sequence[Sequence[Tensor]]  # by step, by parameter

    def after(self, make: MakeOptimiser) -> Tensor:
        """Where an optimiser takes the parameters, as one vector."""
        values = [value.clone().requires_grad_() for value in self.before]
        optimiser = make(values)
        for gradients in self.gradients:
            for value, gradient in zip(values, gradients, strict=True):
                value.grad = gradient
            optimiser.step()
        return torch.cat([value.detach().flatten() for value in values])


def _optimiser(id: str, sentence: str, make: MakeOptimiser) -> Mistake:
    return Mistake(
        f"gan-{id}", sentence, hint=PLAIN_ADAM, questions=("2-1a",), gives=lambda case: case.after(make)
    )


OTHER_OPTIMISERS = (
    _optimiser(
        "adam-both-left-out",
        "Adam's learning rate and betas are both left out.",
        adam(1e-3, (0.9, 0.999)),
    ),
    _optimiser(
        "adam-rate-left-out",
        "Adam's learning rate is left out: it takes its default, 1e-3.",
        adam(1e-3),
    ),
    _optimiser(
        "adam-betas-left-out",
        "Adam's betas are left out: it takes its default, (0.9, 0.999).",
        adam(betas=(0.9, 0.999)),
    ),
    _optimiser(
        "adam-second-beta",
        "Adam's second beta is 0.99; the question asks for 0.999.",
        adam(betas=(0.5, 0.99)),
    ),
    _optimiser(
        "adam-betas-swapped",
        "Adam's two betas are in the wrong order.",
        adam(betas=(0.999, 0.5)),
    ),
    _optimiser(
        "adam-rate-of-reconstruct",
        "The learning rate is the one for reconstruct and actmax.",
        adam(1e-2),
    ),
    _optimiser(
        "adam-maximises",
        "The optimiser has the wrong sign: it makes the loss larger.",
        adam(maximize=True),
    ),
    _optimiser(
        "sgd",
        "Plain gradient descent (SGD) is used instead of Adam.",
        lambda parameters: torch.optim.SGD(parameters, lr=RATE),
    ),
    _optimiser(
        "rmsprop",
        "RMSprop is used instead of Adam.",
        lambda parameters: torch.optim.RMSprop(parameters, lr=RATE),
    ),
)
WEIGHT_DECAY = Mistake(
    "gan-adam-weight-decay",
    "An optimiser has weight decay.",
    hint="Make a plain Adam, without weight_decay.",
    questions=("2-1a",),
)
AMSGRAD = Mistake(
    "gan-adam-amsgrad",
    "An optimiser uses the AMSGrad variant of Adam.",
    hint="Make a plain Adam, without amsgrad.",
    questions=("2-1a",),
)


@dataclass(frozen=True)
class Moved:
    """How many parameters an optimiser moved, of its own network and of the other one."""

    own: int
    own_moved: int
    others: int
    others_moved: int

    @property
    def all_others(self) -> bool:
        return self.others_moved == self.others > 0


OPTIMISERS_SWAPPED = Mistake(
    "gan-optimisers-swapped",
    "An optimiser has the parameters of the other network.",
    hint="optimizerG is the generator's, optimizerD the discriminator's.",
    questions=("2-1a",),
    shows=lambda moved: moved.all_others and moved.own_moved == 0,
)
OPTIMISER_OVER_BOTH = Mistake(
    "gan-optimiser-over-both-networks",
    "An optimiser has the parameters of both networks.",
    hint="Give it the parameters of its own network only, not those of the whole model.",
    questions=("2-1a",),
    shows=lambda moved: moved.all_others and moved.own_moved > 0,
)
OPTIMISER_OVER_ANOTHER = Mistake(
    "gan-optimiser-over-another-network",
    "An optimiser has the wrong parameters: those of another network, or of one that was made earlier.",
    hint="Make each network once, keep it, and give its parameters to the optimiser.",
    questions=("2-1a",),
    shows=lambda moved: not moved.all_others and moved.own_moved == 0 < moved.own,
)
OPTIMISER_OVER_PART = Mistake(
    "gan-optimiser-over-part",
    "An optimiser has only a part of its network's parameters.",
    hint="Give it all parameters of the network.",
    questions=("2-1a",),
    shows=lambda moved: moved.others_moved == 0 < moved.own_moved < moved.own,
)
WRONG_PARAMETERS = (
    OPTIMISERS_SWAPPED,
    OPTIMISER_OVER_BOTH,
    OPTIMISER_OVER_ANOTHER,
    OPTIMISER_OVER_PART,
)
