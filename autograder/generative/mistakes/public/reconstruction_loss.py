"""Mistakes in the auto-encoder's loss, with the values that they lead to."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from autograder.judging import Candidate, Mistake, candidates

from . import autoencoder as shared

LOSS = ("1-2",)

# The loss: `gives` is its value, as a function of a LossCase.


@dataclass(frozen=True)
class LossCase:
    """A prediction x_hat and its originals x, (N, 1, 784) each."""

    x_hat: Tensor
    x: Tensor

    @property
    def n(self) -> int:
        return len(self.x_hat)

    @property
    def right(self) -> Tensor:
        """The cross-entropy of both outcomes of a pixel, averaged; for predictions inside (0, 1)."""
        return -(self.x * self.x_hat.log() + (1 - self.x) * (1 - self.x_hat).log()).mean()

    @property
    def of_all_pairs(self) -> Tensor:
        """The mean over every prediction with every image. It is linear in the images, so that their mean gives the same."""
        x_hat = self.x_hat.reshape(self.n, -1)
        return F.binary_cross_entropy(x_hat, self.x.reshape(self.n, -1).mean(0).expand_as(x_hat))


MEAN = "Take the mean over every element."
LOSS_CUT_OFF = Mistake(
    "reconstruction-loss-cut-off",
    "Predictions are moved away from 0 and 1 too far: a certain and wrong one costs too little.",
    hint="PyTorch's own function needs no clamp; 1e-7 is enough where you write it yourself.",
    questions=LOSS,
    shows=lambda loss, right: bool(0.2 * right < loss < right),
    once=True,
)
CROSS_ENTROPY = "Use the binary cross-entropy."
WRONG_LOSSES = (
    Mistake(
        "reconstruction-loss-summed-over-batch",
        "The reconstruction loss is summed over the batch.",
        hint=MEAN,
        questions=LOSS,
        gives=lambda case: case.right * case.n,
        once=True,
    ),
    Mistake(
        "reconstruction-loss-divided-twice",
        "The reconstruction loss is divided by the batch size twice.",
        hint=MEAN,
        questions=LOSS,
        gives=lambda case: case.right / case.n,
        once=True,
    ),
    Mistake(
        "reconstruction-loss-wrong-sign",
        "The reconstruction loss has the wrong sign: a cross-entropy is positive.",
        hint="Take the mean of -[x log(x_hat) + (1 - x) log(1 - x_hat)].",
        questions=LOSS,
        gives=lambda case: -case.right,
        once=True,
    ),
    Mistake(
        "reconstruction-loss-squared-error",
        "The reconstruction loss is the mean squared error.",
        hint=CROSS_ENTROPY,
        questions=shared.LOSS,
        gives=lambda case: F.mse_loss(case.x_hat, case.x),
        once=True,
    ),
    Mistake(
        "reconstruction-loss-absolute-error",
        "The reconstruction loss is the mean absolute error.",
        hint=CROSS_ENTROPY,
        questions=LOSS,
        gives=lambda case: F.l1_loss(case.x_hat, case.x),
        once=True,
    ),
    Mistake(
        "reconstruction-loss-second-term-missing",
        "The second term of the cross-entropy, (1 - x) log(1 - x_hat), is missing.",
        hint="Add it: grey pixels need both terms.",
        questions=LOSS,
        gives=lambda case: -(case.x * case.x_hat.log()).mean(),
        once=True,
    ),
    Mistake(
        "reconstruction-loss-in-bits",
        "The reconstruction loss is in bits, not in nats.",
        hint="Use the natural logarithm.",
        questions=LOSS,
        gives=lambda case: case.right / torch.tensor(2.0).log(),
        once=True,
    ),
    Mistake(
        "reconstruction-loss-broadcast",
        "Shapes are broadcast: every prediction is compared with every image.",
        hint="Reshape x to the shape of x_hat first.",
        questions=LOSS,
        gives=lambda case: case.of_all_pairs,
        once=True,
    ),
)
LOSS_CHANGES_ARGUMENTS = Mistake(
    "reconstruction-loss-changes-arguments",
    "The loss changes its arguments in place.",
    hint="Functions whose names end in _ work in place: use those without the _.",
    questions=LOSS,
)
LOGARITHM_OF_ZERO = Mistake(
    "reconstruction-loss-logarithm-of-zero",
    "The logarithm of 0 is taken: it is minus infinity, and 0 times that is NaN.",
    hint="Use PyTorch's own function, which avoids both, or clamp the logarithm's argument.",
    questions=LOSS,
)


def wrong_losses(case: LossCase) -> list[Candidate]:
    """Known wrong reconstruction losses, each with its value."""
    return [
        shared.LOSS_ARGUMENTS_SWAPPED.giving(F.binary_cross_entropy(case.x, case.x_hat)),
        shared.LOSS_SUMMED_OVER_PIXELS.giving(case.right * 784),
        shared.LOSS_SUMMED.giving(case.right * case.n * 784),
        shared.LOSS_OF_LOGITS.giving(F.binary_cross_entropy_with_logits(case.x_hat, case.x)),
        *candidates(WRONG_LOSSES, case),
    ]
