"""Mistakes in a DCGAN's initialisation, recognised by a layer's weight, or by a batch normalisation's weights of several models."""

from __future__ import annotations

import math

from torch import Tensor

from autograder.judging import Mistake

from .gan import BATCH_NORMS_MISSED

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
CONVOLUTIONS_CONSTANT = Mistake(
    "init-convolutions-constant",
    "All weights of a convolution are the same number: mean and standard deviation are swapped.",
    hint="The mean is 0 and the standard deviation 0.02.",
    questions=("2-1a",),
    shows=lambda weight: weight.std().item() < 1e-6,
)
CONVOLUTIONS_OF_UNIT_SPREAD = Mistake(
    "init-convolutions-deviation-one",
    "The convolutions' weights are drawn with a standard deviation of 1: 0.02 is passed as the mean, or left out.",
    hint="The mean is 0 and the standard deviation 0.02.",
    questions=("2-1a",),
    shows=lambda weight: abs(weight.mean().item()) < 0.1 and abs(weight.std().item() - 1) < 0.1,
)


def spreads_by_size(weight: Tensor) -> list[float]:
    """The standard deviations that Xavier's and He's methods give a kernel, by its inputs, its outputs or both."""
    a, b = weight[0].numel(), weight[:, 0].numel()
    return [math.sqrt(2 / (a + b)), *(math.sqrt(gain / n) for gain in (1, 2) for n in (a, b))]


CONVOLUTIONS_BY_SIZE = Mistake(
    "init-convolutions-by-layer-size",
    "The spread of a convolution's weights depends on the layer's size, as in Xavier's or He's method.",
    hint="Draw the weights of every convolution from N(0, 0.02).",
    questions=("2-1a",),
    shows=lambda weight: (
        abs(weight.mean().item()) < 0.1
        and abs(weight.std().item() / STD - 1) > 0.3
        and any(abs(weight.std().item() / spread - 1) < 0.04 for spread in spreads_by_size(weight))
    ),
)
CONVOLUTIONS_OTHER_SPREAD = Mistake(
    "init-convolutions-other-spread",
    "The convolutions' weights are drawn with a standard deviation other than 0.02.",
    hint="Compare the arguments of the call that draws them: a mean of 0 and a standard deviation of 0.02.",
    questions=("2-1a",),
    shows=lambda weight: abs(weight.mean().item()) < 0.1 and abs(weight.std().item() / STD - 1) > 0.3,
)
CONVOLUTION_MISTAKES = (
    CONVOLUTIONS_CONSTANT,
    VARIANCE_FOR_DEVIATION,
    CONVOLUTIONS_UNIFORM,
    CONVOLUTIONS_AROUND_ONE,
    CONVOLUTIONS_OF_UNIT_SPREAD,
    CONVOLUTIONS_BY_SIZE,
    CONVOLUTIONS_OTHER_SPREAD,
)

BATCH_NORMS_AROUND_ZERO = Mistake(
    "init-batch-norms-around-zero",
    "The batch normalisations' weights are drawn with mean 0, like the convolutions'.",
    hint="Draw them from N(1, 0.02).",
    questions=("2-1a",),
    shows=lambda weight: abs(weight.mean().item()) < 0.1 and 0.5 < weight.std().item() / STD < 2,
)
BATCH_NORMS_SWAPPED = Mistake(
    "init-batch-norms-swapped",
    "The batch normalisations' weights have a standard deviation of 1: mean and standard deviation are swapped, or left out.",
    hint="The mean is 1 and the standard deviation 0.02.",
    questions=("2-1a",),
    # Within four standard errors.
    shows=lambda weight: (
        max(abs(weight.mean().item()), abs(weight.std().item() - 1)) < 4 / math.sqrt(len(weight))
    ),
)
BATCH_NORMS_CONSTANT = Mistake(
    "init-batch-norms-constant",
    "All weights of a batch normalisation are set to the same number; they should be drawn at random.",
    hint="Draw them from N(1, 0.02).",
    questions=("2-1a",),
    shows=lambda weight: bool(weight.max() == weight.min()) and not bool((weight == 1).all()),
)
BATCH_NORMS_OTHER_SPREAD = Mistake(
    "init-batch-norms-other-spread",
    "The batch normalisations' weights are drawn with a standard deviation other than 0.02.",
    hint="Draw them from N(1, 0.02).",
    questions=("2-1a",),
    shows=lambda weight: abs(weight.mean().item() - 1) < 0.02 and abs(weight.std().item() / STD - 1) > 0.3,
)
BATCH_NORM_MISTAKES = (
    BATCH_NORMS_MISSED,
    BATCH_NORMS_AROUND_ZERO,
    BATCH_NORMS_SWAPPED,
    BATCH_NORMS_CONSTANT,
    VARIANCE_FOR_DEVIATION,
)
BATCH_NORM_BIASES_DRAWN = Mistake(
    "init-batch-norm-biases-drawn",
    "The biases of the batch normalisations are drawn too.",
    hint="Set them to 0.",
    questions=("2-1a",),
    shows=lambda bias: bool(bias.max() > bias.min()),
)
BATCH_NORM_BIASES_ONE = Mistake(
    "init-batch-norm-biases-one",
    "The biases of the batch normalisations are 1, as if they were weights.",
    hint="Set them to 0.",
    questions=("2-1a",),
    shows=lambda bias: bool((bias == 1).all()),
)
BATCH_NORM_BIASES_CONSTANT = Mistake(
    "init-batch-norm-biases-constant",
    "The biases of the batch normalisations are set to a number other than 0.",
    hint="Set them to 0.",
    questions=("2-1a",),
    shows=lambda bias: bool(bias.max() == bias.min()),
)
BATCH_NORM_BIAS_MISTAKES = (BATCH_NORM_BIASES_DRAWN, BATCH_NORM_BIASES_ONE, BATCH_NORM_BIASES_CONSTANT)

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
