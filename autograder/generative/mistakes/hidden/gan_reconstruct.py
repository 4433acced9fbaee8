"""Mistakes in `DCGAN.reconstruct` that are recognised by comparison with the judge's own search."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy

from autograder.judging import Mistake, first_shown

from ..public.gan_reconstruct import (
    CODES_NEVER_MOVE,
    FIRST_IMAGE_ONLY,
    GRADIENT_DESCENT,
    IN_TRAINING_MODE,
    RANDOM_START,
    RATE_LEFT_OUT,
    RATE_OF_TRAINING,
    SAMPLES_CHANGED,
    STEPS_NOT_500,
)

SECONDS = 7.0  # of computing, to find out which mistake leads to some images; trying all takes 2 to 4

Optimiser = Callable[[list[Tensor]], torch.optim.Optimizer]


class SearchCase(Protocol):
    """What a recogniser may ask of one search.

    first, last: the codes of the generator's first and last call, None if there were no calls. calls: how many.
    steps: the number of right steps that lead to the returned images; None when no number does.
    """

    first: Tensor | None
    last: Tensor | None
    calls: int

    @property
    def steps(self) -> int | None: ...

    def samples_changed(self) -> bool:
        """Whether the call changed its argument."""

    def fits_rate(self, rate: float) -> bool:
        """Whether a search with an Adam of this rate leads to the images."""

    def hardly_moved(self) -> bool:
        """Whether the images are where plain gradient descent at the same rate leads."""

    def fits(self, make: Optimiser | None = None, *, cleared: bool = True, training: bool = False) -> bool:
        """Whether a search with this optimiser leads to the images; cleared: whether it clears old gradients;
        training: whether the generator is in training mode."""


def adam(rate: float = 1e-2, **settings: Any) -> Optimiser:
    """Makes an Adam over the codes."""
    return lambda codes: torch.optim.Adam(codes, lr=rate, **settings)


def adam_w(codes: list[Tensor]) -> torch.optim.Optimizer:
    return torch.optim.AdamW(codes, lr=1e-2)


class ForgetfulAdam(torch.optim.Adam):
    """An Adam that begins anew in every step."""

    def step(self, closure: Any = None) -> Any:
        self.state.clear()
        return super().step(closure)


def adam_every_step(codes: list[Tensor]) -> torch.optim.Optimizer:
    return ForgetfulAdam(codes, lr=1e-2)


DECAYS: tuple[Optimiser, ...] = (*(adam(weight_decay=w) for w in (1e-2, 1e-3, 1e-4, 1e-5)), adam_w)


def bound(codes: Tensor | None) -> float | None:
    """The magnitude that codes are clamped to: the largest one, where more than two codes have it; else None."""
    if codes is None or codes.numel() == 0:
        return None
    codes = codes.unique(dim=0)  # rows that are equal have their largest value in common
    largest = codes.abs().max()
    return largest.item() if largest > 0.1 and int((codes.abs() == largest).sum()) > 2 else None


CROSS_ENTROPY = Mistake(
    "squared-error-is-cross-entropy",
    "The binary cross-entropy is used instead of the squared error.",
    hint="Take the mean squared error.",
    questions=("2-4",),
    gives=lambda case: binary_cross_entropy(case.reconstruction, case.x).item(),
    once=True,
)
RETURNS_MEAN_LOSS = Mistake(
    "search-returns-mean-loss",
    "The mean loss of all steps is returned.",
    hint="Return the loss after the last step.",
    questions=("2-4",),
    once=True,
)
TRAINING_OPTIMISER = Mistake(
    "search-steps-training-optimiser",
    "reconstruct calls step() on optimizerG or optimizerD, which changes a network instead of the codes.",
    hint="Make a new Adam for the codes.",
    questions=("2-4",),
)

CODES_CLAMPED = Mistake(
    "search-clamps-codes",
    "The codes are clamped to an interval.",
    hint="Do not limit the codes: Adam may move them wherever the loss falls.",
    questions=("2-4",),
    shows=lambda case: bound(case.last) is not None,
)
BETAS_OF_TRAINING = Mistake(
    "search-betas-of-training",
    "Adam has the betas of the training, (0.5, 0.999), instead of its default betas.",
    hint="Leave out the betas here.",
    questions=("2-4",),
    shows=lambda case: case.fits(adam(betas=(0.5, 0.999))),
)
WEIGHT_DECAY = Mistake(
    "search-weight-decay",
    "Adam has weight decay (AdamW has it by default), which pulls the codes back to 0.",
    hint="Make a plain Adam.",
    questions=("2-4",),
    shows=lambda case: any(case.fits(make) for make in DECAYS),
)
ADAM_EVERY_STEP = Mistake(
    "search-adam-every-step",
    "A new Adam is made in every step, so its averages are lost.",
    hint="Make the optimiser once, before the loop.",
    questions=("2-4",),
    shows=lambda case: case.fits(adam_every_step),
)
GRADIENTS_NOT_CLEARED = Mistake(
    "search-gradients-not-cleared",
    "The codes' gradients are not cleared between the steps.",
    hint="Call zero_grad() on the codes' optimiser in every step.",
    questions=("2-4",),
    shows=lambda case: case.fits(cleared=False),
)
# In the order in which they are tried: those with an unmistakable sign, and those that need another search.
SIGNS = (SAMPLES_CHANGED, RANDOM_START, FIRST_IMAGE_ONLY)
SEARCH = (
    GRADIENT_DESCENT,
    CODES_NEVER_MOVE,
    STEPS_NOT_500,
    CODES_CLAMPED,
    GRADIENTS_NOT_CLEARED,
    RATE_OF_TRAINING,
    RATE_LEFT_OUT,
    ADAM_EVERY_STEP,
    BETAS_OF_TRAINING,
    WEIGHT_DECAY,  # the longest: five searches
)


def mistake_of(case: SearchCase) -> Mistake | None:
    """The mistake that leads to the images of a search, if a known one does and is found in time.

    An unknown one is compared with all that are known, which would use up the time of the check.
    """
    until = time.process_time() + SECONDS
    if (found := first_shown(SIGNS, case)) is not None:
        return found
    if case.fits(training=True):  # first, because this one costs points once
        return IN_TRAINING_MODE
    for mistake in SEARCH:
        if first_shown([mistake], case) is not None:
            return mistake
        if time.process_time() > until:
            break
    return None


def measured(case: SearchCase, mistake: Mistake | None) -> str:
    """What the recogniser of a mistake measured, to be added to what was seen; "" for the other mistakes."""
    if mistake is STEPS_NOT_500:
        return f"; they are those after {case.steps} steps"
    if mistake is CODES_CLAMPED:
        return f"; the last codes lie between -{bound(case.last):.3g} and {bound(case.last):.3g}"
    if mistake is RANDOM_START and case.first is not None:
        return f"; the first codes lie between {case.first.min():.3g} and {case.first.max():.3g}"
    return ""
