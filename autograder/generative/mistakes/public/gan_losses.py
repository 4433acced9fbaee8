"""Mistakes in `DCGAN.training_step` that show in the gradients at an optimiser's step, in its losses or in its modes.

Most of them minimise the wrong loss. `gives` is that loss (a tuple if a mistake has several forms)
for a case of the phase: a mistake is recognised when the gradient of its loss is the gradient that was seen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from autograder.judging import Mistake

from ...stand_ins.gan import SmallDiscriminator, SmallGenerator

Loss = Callable[[Tensor, Tensor], Tensor]  # of logits and labels, both (N, 1)


@dataclass(frozen=True)
class DiscriminatorCase:
    """The discriminator's phase: the network that learns, what it judges, (N, 3, 32, 32), and the loss."""

    net: SmallDiscriminator
    real: Tensor
    fakes: Tensor
    loss: Loss

    @cached_property
    def judged(self) -> tuple[tuple[Tensor, float], ...]:
        """The logits of each batch with their label."""
        return (self.net(self.real), 1.0), (self.net(self.fakes), 0.0)

    def labelled(self, for_real: float, for_fakes: float) -> Tensor:
        """The sum of the losses of both batches with these labels."""
        (real, _), (fakes, _) = self.judged
        return labelled(self.loss, real, for_real) + labelled(self.loss, fakes, for_fakes)

    def mixed(self) -> Tensor:
        """The mean loss of one batch that holds the real images and the fakes."""
        logits = self.net(torch.cat([self.real, self.fakes]))
        labels = torch.cat([torch.ones(len(self.real), 1), torch.zeros(len(self.fakes), 1)])
        return self.loss(logits, labels)

    def rescaled(self) -> Tensor:
        """The loss with the real images rescaled to [-1, 1]."""
        _, (fakes, _) = self.judged
        return labelled(self.loss, self.net(2 * self.real - 1), 1) + labelled(self.loss, fakes, 0)


@dataclass(frozen=True)
class GeneratorCase:
    """The generator's phase: the network that learns, its fakes, the discriminator now and before its step, the loss."""

    net: SmallGenerator
    fakes: Tensor
    discriminator: SmallDiscriminator
    old_discriminator: SmallDiscriminator
    loss: Loss

    @cached_property
    def judged(self) -> tuple[tuple[Tensor, float], ...]:
        """The logits of the fakes with their label."""
        return ((self.discriminator(self.fakes), 1.0),)

    def labelled(self, label: float) -> Tensor:
        ((logits, _),) = self.judged
        return labelled(self.loss, logits, label)

    def by_old_discriminator(self) -> Tensor:
        return labelled(self.loss, self.old_discriminator(self.fakes), 1)


Case = DiscriminatorCase | GeneratorCase


def labelled(loss: Loss, logits: Tensor, label: float) -> Tensor:
    """The loss of logits that all have one label."""
    return loss(logits, torch.full_like(logits, label))


def sum_of(case: Case, losses: Sequence[Loss]) -> Tensor:
    """The sum of a phase's losses with the right labels, each computed by its own function."""
    pairs = zip(losses, case.judged, strict=True)
    return torch.stack([labelled(loss, logits, label) for loss, (logits, label) in pairs]).sum()


def total(case: Case, loss: Loss) -> Tensor:
    """The sum of a phase's losses (two for the discriminator, one for the generator), with the right labels."""
    losses = [labelled(loss, logits, label) for logits, label in case.judged]
    return torch.stack(losses).sum()


def _summed(logits: Tensor, labels: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, labels, reduction="sum")


def _squared_error_of_sigmoid(logits: Tensor, labels: Tensor) -> Tensor:
    return F.mse_loss(logits.sigmoid(), labels)


def _wasserstein(logits: Tensor, labels: Tensor) -> Tensor:
    return ((1 - 2 * labels) * logits).mean()


# --- Both phases ------------------------------------------------------------------------------------------

LOSS_NEGATED = Mistake(
    "step-loss-negated",
    "The loss has the wrong sign.",
    hint="The optimiser makes the loss smaller: do not negate it.",
    questions=("2-1b",),
    gives=lambda case: -total(case, case.loss),
    once=True,
)
SIGMOID_BEFORE_LOSS = Mistake(
    "step-sigmoid-before-loss",
    "A sigmoid is applied to the logits before a loss that applies one itself.",
    hint="Give the discriminator's logits to the loss unchanged.",
    questions=("2-1b",),
    gives=lambda case: total(case, lambda logits, labels: case.loss(logits.sigmoid(), labels)),
    once=True,
)
LOGITS_AS_LABELS = Mistake(
    "step-logits-and-labels-exchanged",
    "Logits and labels are swapped in a call of the classification loss.",
    hint="_classification_loss takes the logits first.",
    questions=("2-1b",),
    gives=lambda case: (
        ()
        if len(case.judged) == 1
        and case.loss is F.binary_cross_entropy_with_logits  # then it is WASSERSTEIN's
        else (
            total(case, lambda logits, labels: case.loss(labels, logits)),
            *(
                sum_of(
                    case,
                    [
                        case.loss if n != m else lambda logits, labels: case.loss(labels, logits)
                        for m in range(2)
                    ],
                )
                for n in range(len(case.judged))
                if len(case.judged) == 2
            ),
        )
    ),
    once=True,
)
LOSSES_SUMMED = Mistake(
    "step-losses-summed",
    "The losses are sums over the batch instead of means.",
    hint="Take the mean over the batch.",
    questions=("2-1b",),
    gives=lambda case: total(case, _summed),
    once=True,
)
LEAST_SQUARES = Mistake(
    "step-least-squares",
    "The squared error of logits and labels (a least-squares GAN) is used instead of the cross-entropy.",
    hint="Use _classification_loss.",
    questions=("2-1b",),
    gives=lambda case: total(case, F.mse_loss),
    once=True,
)
SQUARED_ERROR = Mistake(
    "step-squared-error",
    "The squared error of probabilities and labels is used instead of the cross-entropy.",
    hint="Use _classification_loss.",
    questions=("2-1b",),
    gives=lambda case: total(case, _squared_error_of_sigmoid),
    once=True,
)
WASSERSTEIN = Mistake(
    "step-wasserstein",
    "The means of the logits (a Wasserstein GAN) are used instead of the cross-entropy.",
    hint="Use _classification_loss.",
    questions=("2-1b",),
    gives=lambda case: total(case, _wasserstein),
    once=True,
)
# These replace the required loss, so the case's own loss does not matter.
OTHER_LOSSES = (LOSSES_SUMMED, LEAST_SQUARES, SQUARED_ERROR, WASSERSTEIN)

GRADIENTS_NOT_CLEARED = Mistake(
    "step-gradients-not-cleared",
    "The gradients are not cleared: those of the previous phase or call are added to them.",
    hint="Call zero_grad() on the network's own optimiser before its backward pass.",
    questions=("2-1b",),
    once=True,
)
GRADIENTS_SCALED = Mistake(
    "step-gradients-scaled",
    "The gradients are clipped, or the loss is scaled: the gradients have the right direction but the wrong length.",
    hint="Do not change the gradients or scale the loss.",
    questions=("2-1b",),
    once=True,
)
EVALUATION_MODE = Mistake(
    "step-in-evaluation-mode",
    "A network is in evaluation mode while one of the two is trained.",
    hint="Leave both networks in training mode for the whole step.",
    questions=("2-1b",),
    once=True,
)
LEFT_IN_EVALUATION_MODE = Mistake(
    "step-leaves-evaluation-mode",
    "training_step leaves a network in evaluation mode.",
    hint="Leave both networks in training mode: the next step needs it.",
    questions=("2-1b",),
)


# --- The discriminator's phase ----------------------------------------------------------------------------

REAL_RESCALED = Mistake(
    "step-real-rescaled",
    "The real images are rescaled to [-1, 1] before the discriminator sees them, and the fakes are not.",
    hint="Do not rescale the images: they are in [0, 1], like the fakes after the generator's sigmoid.",
    questions=("2-1b",),
    gives=DiscriminatorCase.rescaled,
    once=True,
)
LABELS_FLIPPED = Mistake(
    "step-labels-flipped",
    "The labels are flipped: real images are labelled 0 and fakes 1.",
    hint="Label real images 1 and fakes 0.",
    questions=("2-1b",),
    gives=lambda case: case.labelled(0, 1),
    once=True,
)
MEAN_OF_LOSSES = Mistake(
    "step-mean-of-two-losses",
    "The mean of the two losses is used instead of their sum.",
    hint="Add the two losses, without the factor 1/2.",
    questions=("2-1b",),
    gives=lambda case: case.labelled(1, 0) / 2,
    once=True,
)
REAL_ONLY = Mistake(
    "step-real-batch-only",
    "Only the real batch counts: the loss of the fake batch is missing, or its gradient was cleared or never computed.",
    hint="Add both losses before backward(), or clear the gradients once, before both.",
    questions=("2-1b",),
    gives=lambda case: labelled(case.loss, *case.judged[0]),
    once=True,
)
FAKES_ONLY = Mistake(
    "step-fake-batch-only",
    "Only the fake batch counts: the loss of the real batch is missing, or its gradient was cleared.",
    hint="Add both losses before backward(), or clear the gradients once, before both.",
    questions=("2-1b",),
    gives=lambda case: labelled(case.loss, *case.judged[1]),
    once=True,
)
ALL_LABELLED_REAL = Mistake(
    "step-all-labelled-real",
    "Both batches have the label 1.",
    hint="Label fakes 0 in the discriminator's phase.",
    questions=("2-1b",),
    gives=lambda case: case.labelled(1, 1),
    once=True,
)
MIXED_BATCH = Mistake(
    "step-mixed-batch",
    "Real images and fakes go through the discriminator in one mixed batch, so that batch normalisation mixes their "
    "statistics.",
    hint="Call the discriminator twice: once for the real batch, once for the fakes.",
    questions=("2-1b",),
    # The mean over both batches, or the sum of their means when the logits are split again.
    gives=lambda case: (case.mixed(), 2 * case.mixed()),
    once=True,
)
LABELS_SMOOTHED = Mistake(
    "step-labels-smoothed",
    "The labels are smoothed: the real images' label is less than 1.",
    hint="Label real images 1 and fakes 0.",
    questions=("2-1b",),
    once=True,
)
DISCRIMINATOR_MISTAKES = (
    REAL_RESCALED,
    LABELS_FLIPPED,
    MEAN_OF_LOSSES,
    REAL_ONLY,
    FAKES_ONLY,
    ALL_LABELLED_REAL,
    LOSS_NEGATED,
    MIXED_BATCH,
    SIGMOID_BEFORE_LOSS,
    LOGITS_AS_LABELS,
)


# --- The generator's phase --------------------------------------------------------------------------------

SATURATING = Mistake(
    "step-saturating-loss",
    "The generator's loss is the saturating one: it maximises the discriminator's loss on fakes labelled 0.",
    hint="Minimise the classification loss of the fakes with label 1.",
    questions=("2-1b",),
    gives=lambda case: -case.labelled(0),
    once=True,
)
GENERATOR_LABELS_ZERO = Mistake(
    "step-generator-labels-zero",
    "The fakes are labelled 0 in the generator's phase: it learns to make fakes that are recognised.",
    hint="Label the fakes 1 in the generator's phase: the discriminator should take them for real images.",
    questions=("2-1b",),
    gives=lambda case: case.labelled(0),
    once=True,
)
OLD_DISCRIMINATOR = Mistake(
    "step-old-discriminator",
    "The generator learns from the discriminator as it was before its step.",
    hint="Send the fakes through the discriminator after optimizerD.step().",
    questions=("2-1b",),
    gives=GeneratorCase.by_old_discriminator,
    once=True,
)
GENERATOR_WITHOUT_GRADIENT = Mistake(
    "step-generator-without-gradient",
    "The generator gets no gradient: in its own phase its fakes are detached, made under no_grad(), or its parameters are frozen.",
    hint="Detach the fakes in the discriminator's phase only, and let the generator's parameters require gradients again.",
    questions=("2-1b",),
)
CLEARED_BEFORE_STEP = Mistake(
    "step-cleared-before-step",
    "The gradients are cleared between backward() and the optimiser's step(), so there is nothing left to learn from.",
    hint="The order is zero_grad(), backward(), step().",
    questions=("2-1b",),
)
STEP_BEFORE_BACKWARD = Mistake(
    "step-before-backward",
    "An optimiser's step() is called before backward(), when there are no gradients yet.",
    hint="The order is zero_grad(), backward(), step().",
    questions=("2-1b",),
)
GENERATOR_NOT_USED = Mistake(
    "step-generator-not-used",
    "The generator's loss is not computed from the generator's fakes, so no gradient reaches it.",
    hint="Send new noise through self._generator, and its fakes through self._discriminator.",
    questions=("2-1b",),
)
GENERATOR_MISTAKES = (
    SATURATING,
    GENERATOR_LABELS_ZERO,
    OLD_DISCRIMINATOR,
    LOSS_NEGATED,
    SIGMOID_BEFORE_LOSS,
    LOGITS_AS_LABELS,
)


# --- The returned losses ----------------------------------------------------------------------------------

RESULTS_SWAPPED = Mistake(
    "step-returned-losses-swapped",
    "The two losses are returned in the wrong order.",
    hint="Return (dis_loss, gen_loss).",
    questions=("2-1b",),
)
MEAN_RETURNED = Mistake(
    "step-returns-mean-of-two-losses",
    "The discriminator's loss is returned as the mean of its two losses instead of their sum.",
    hint="Add the two losses.",
    questions=("2-1b",),
    once=True,
)
