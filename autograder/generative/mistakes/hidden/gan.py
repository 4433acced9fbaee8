"""Mistakes in a DCGAN's initialisation, optimisers and classification loss that hidden checks recognise."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from autograder.judging import Mistake

from ..public.gan import BATCH_NORMS_MISSED, LOSS_SUMMED

# --- Initialisation: recognised by a layer's weight, or by a batch normalisation's weights of several models -----

STD = 0.02  # of every initialised weight


VARIANCE_FOR_DEVIATION = Mistake(
    "init-variance",
    "0.02 is used as the variance; it is the standard deviation.",
    hint="torch.nn.init.normal_ takes the standard deviation.",
    questions=("2-1a",),
    shows=lambda weight: abs(weight.std().item() / math.sqrt(STD) - 1) < 0.15,
)
CONVOLUTIONS_UNIFORM = Mistake(
    "init-convolutions-uniform",
    "The weights are drawn from a uniform distribution.",
    hint="Draw them from N(0, 0.02).",
    questions=("2-1a",),
    # The largest value of U(-b, b) is b, and its standard deviation b / sqrt(3).
    shows=lambda weight: (
        0.95 < weight.abs().max().item() / (weight.std().item() * math.sqrt(3) + 1e-12) < 1.05
    ),
)
CONVOLUTIONS_AROUND_ONE = Mistake(
    "init-convolutions-around-one",
    "The convolutions' weights are drawn with mean 1.",
    hint="Draw them from N(0, 0.02); only batch normalisations have mean 1.",
    questions=("2-1a",),
    shows=lambda weight: abs(weight.mean().item() - 1) < 0.1,
)
CONVOLUTION_MISTAKES = (VARIANCE_FOR_DEVIATION, CONVOLUTIONS_UNIFORM, CONVOLUTIONS_AROUND_ONE)

BATCH_NORMS_AROUND_ZERO = Mistake(
    "init-batch-norms-around-zero",
    "The batch normalisations' weights are drawn with mean 0, like the convolutions'.",
    hint="Draw them from N(1, 0.02).",
    questions=("2-1a",),
    shows=lambda weight: abs(weight.mean().item()) < 0.1,
)
BATCH_NORMS_OTHER_SPREAD = Mistake(
    "init-batch-norms-other-spread",
    "The batch normalisations' weights are drawn with a standard deviation other than 0.02.",
    hint="Draw them from N(1, 0.02).",
    questions=("2-1a",),
    shows=lambda weight: abs(weight.mean().item() - 1) < 0.02 and abs(weight.std().item() / STD - 1) > 0.3,
)
BATCH_NORM_MISTAKES = (BATCH_NORMS_MISSED, BATCH_NORMS_AROUND_ZERO, VARIANCE_FOR_DEVIATION)
BATCH_NORM_BIASES_DRAWN = Mistake(
    "init-batch-norm-biases-drawn",
    "The biases of the batch normalisations are drawn too.",
    hint="Set them to 0.",
    questions=("2-1a",),
    shows=lambda bias: bool(bias.std() > 0),
)
BATCH_NORM_BIASES_ONE = Mistake(
    "init-batch-norm-biases-one",
    "The biases of the batch normalisations are 1, as if they were weights.",
    hint="Set them to 0.",
    questions=("2-1a",),
    shows=lambda bias: bool((bias == 1).all()),
)
BATCH_NORM_BIAS_MISTAKES = (BATCH_NORM_BIASES_DRAWN, BATCH_NORM_BIASES_ONE)

LINEAR_LAYERS_TOO = Mistake(
    "init-linear-layers",
    "The linear layers are initialised with N(0, 0.02) too.",
    hint="Change convolutions and batch normalisations only.",
    questions=("2-1a",),
    shows=lambda weight: abs(weight.std().item() / STD - 1) < 0.15 and bool(weight.abs().max() > 2.8 * STD),
)
LINEAR_BIASES_ZERO = Mistake(
    "init-linear-biases-zero",
    "The biases of the linear layers are set to 0.",
    hint="Change convolutions and batch normalisations only.",
    questions=("2-1a",),
    shows=lambda bias: bool((bias == 0).all()),
)


# --- Optimisers: recognised by where a few steps with given gradients lead ---------------------------------------

RATE, BETAS = 2e-4, (0.5, 0.999)
PLAIN_ADAM = "Use Adam(parameters, lr=self.learning_rate, betas=(0.5, 0.999))."

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
    "The optimisers are swapped.",
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


# --- Classification loss: recognised by its value for a `LossCase` -----------------------------------------------

bce = F.binary_cross_entropy_with_logits

LOSS_MISTAKES = (
    LOSS_SUMMED,
    Mistake(
        "classification-loss-arguments-swapped",
        "Logits and labels are swapped: the labels are used as the prediction.",
        hint="PyTorch's losses take the prediction first.",
        questions=("2-1a",),
        gives=lambda case: bce(case.labels, case.logits),
    ),
    Mistake(
        "classification-loss-labels-flipped",
        "The labels are flipped.",
        hint="With label 1, a higher logit must give a lower loss.",
        questions=("2-1a",),
        gives=lambda case: bce(case.logits, 1 - case.labels),
    ),
    Mistake(
        "classification-loss-negated",
        "The loss has the wrong sign.",
        hint="Cross-entropy is never negative.",
        questions=("2-1a",),
        gives=lambda case: -case.right,
    ),
    Mistake(
        "classification-loss-two-sigmoids",
        "The sigmoid is applied twice.",
        hint="binary_cross_entropy_with_logits already applies one.",
        questions=("2-1a",),
        gives=lambda case: bce(case.logits.sigmoid(), case.labels),
    ),
    Mistake(
        "classification-loss-squared-error-of-logits",
        "The loss is the squared error of the logits: it is not the cross-entropy, and the sigmoid is missing too.",
        hint="Take the binary cross-entropy of the sigmoid.",
        questions=("2-1a",),
        gives=lambda case: F.mse_loss(case.logits, case.labels),
    ),
    Mistake(
        "classification-loss-squared-error",
        "The loss is the squared error instead of the binary cross-entropy.",
        hint="Take the binary cross-entropy of the sigmoid.",
        questions=("2-1a",),
        gives=lambda case: F.mse_loss(case.logits.sigmoid(), case.labels),
    ),
    Mistake(
        "classification-loss-base-two",
        "The logarithm is to the base 2.",
        hint="Use the natural logarithm.",
        questions=("2-1a",),
        gives=lambda case: case.right / math.log(2),
    ),
)
LOSS_WITHOUT_GRAPH = Mistake(
    "gan-loss-without-graph",
    "The loss is detached from its autograd graph, so nothing can learn from it.",
    hint="Return the tensor itself: do not use item(), detach() or no_grad().",
    questions=("2-1a", "2-4"),
)
