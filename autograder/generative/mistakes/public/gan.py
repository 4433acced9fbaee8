"""Mistakes in a DCGAN's construction, initialisation and classification loss that public checks recognise."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from autograder.judging import Mistake

NETWORKS_NOT_MOVED = Mistake(
    "networks-not-moved",
    "The networks are not moved to the device.",
    hint="Use .to(device).",
    questions=("2-1a",),
)
CONSTANT_CHANGED = Mistake(
    "constant-changed",
    "A constant of the class is changed; its constants are given.",
    hint="Leave the constants as they are.",
    questions=("2-1a",),
)


# --- Initialisation ---------------------------------------------------------------------------------------


def default_bound(weight: Tensor) -> float:
    """PyTorch draws the weights of convolutions and linear layers from U(-b, b), b = 1 / sqrt(fan in)."""
    return 1 / math.sqrt(weight[0].numel())


def looks_default(weight: Tensor) -> bool:
    """Whether a weight looks like the one that PyTorch gave its layer."""
    if weight.dim() < 2 or weight.numel() == 0:
        return False
    largest, bound = weight.abs().max().item(), default_bound(weight)
    return 0.95 * bound < largest <= bound * (1 + 1e-5) and abs(weight.std().item() / bound - 3**-0.5) < 0.06


@dataclass(frozen=True)
class InitialLayer:
    """A layer of a new DCGAN: its network, its weight, and whether it is a convolution (else a batch normalisation)."""

    network: str
    weight: Tensor
    is_convolution: bool

    @property
    def untouched(self) -> bool:
        return looks_default(self.weight) if self.is_convolution else bool((self.weight == 1).all())


def untouched_networks(layers: Sequence[InitialLayer]) -> set[str]:
    """The networks all of whose layers have PyTorch's default weights."""
    return {layer.network for layer in layers} - {layer.network for layer in layers if not layer.untouched}


def only_network_missed(layers: Sequence[InitialLayer]) -> bool:
    """Whether one network has default weights everywhere, and the other nowhere."""
    missed = untouched_networks(layers)
    return len(missed) == 1 and not any(layer.untouched for layer in layers if layer.network not in missed)


INIT_NOT_APPLIED = Mistake(
    "init-not-applied",
    "The weight initialisation is never applied, or is applied to the wrong object: all layers still have PyTorch's default "
    "weights.",
    hint="Call it in __init__, and let it visit the modules of both networks.",
    questions=("2-1a",),
    shows=lambda layers: len(untouched_networks(layers)) == 2,
)
INIT_ON_ONE_NETWORK = Mistake(
    "init-on-one-network",
    "Only one of the two networks is initialised: all layers of the other one still have PyTorch's default weights.",
    hint="Initialise the generator and the discriminator.",
    questions=("2-1a",),
    shows=only_network_missed,
)
# Recognised by the convolutions and batch normalisations of both networks.
UNTOUCHED_NETWORKS = (INIT_NOT_APPLIED, INIT_ON_ONE_NETWORK)
CONVOLUTIONS_MISSED = Mistake(
    "init-convolutions-missed",
    "Some convolutions of the generator or the discriminator are not initialised: they still have PyTorch's default weights.",
    hint="Think of both networks, and of Conv2d as well as ConvTranspose2d. A return or break in the loop would end it early.",
    questions=("2-1a",),
    shows=looks_default,
)
BATCH_NORMS_MISSED = Mistake(
    "init-batch-norms-missed",
    "A batch normalisation of the generator or the discriminator is not initialised: its weights are still 1, PyTorch's default.",
    hint="Go through the modules of both networks, and think of BatchNorm2d.",
    questions=("2-1a",),
    shows=lambda weight: bool((weight == 1).all()),
)


# --- Classification loss ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class LossCase:
    """One call of `_classification_loss`: both arguments, (N, 1), and the right loss."""

    logits: Tensor
    labels: Tensor
    right: Tensor | float


LOSS_NOT_REDUCED = Mistake(
    "gan-loss-not-reduced",
    "The loss is not reduced: one value per element is returned instead of their mean.",
    hint="Take the mean over every element.",
    questions=("2-1a", "2-4"),
)
LOSS_SUMMED = Mistake(
    "classification-loss-summed",
    "The loss is summed over the batch instead of averaged.",
    hint="Take the mean.",
    questions=("2-1a",),
    gives=lambda case: len(case.labels) * case.right,
    once=True,
)
USE_LOGITS = "Use a loss function that takes the logits and combines the sigmoid with the logarithm."
SIGMOID_MISSING = Mistake(
    "classification-loss-without-sigmoid",
    "The logits are treated as probabilities: the sigmoid is missing.",
    hint=USE_LOGITS,
    questions=("2-1a",),
    # At logits of 0: PyTorch clamps the logarithm of a probability of 0 at -100.
    gives=lambda case: 100 * case.labels.mean().item(),
)
MISTAKES_AT_ZERO = (LOSS_SUMMED, SIGMOID_MISSING)

# The loss at these logits with label 0 shows how a loss fails at large logits.
LARGE_LOGITS = (40.0, 60.0, 100.0)


def _capped(loss: Mapping[float, float]) -> bool:
    # A smaller number is no limit: ln 2, for instance, is the loss of a logit that is not used.
    return 1 < loss[40.0] == loss[60.0] == loss[100.0] < 40


SIGMOID_ROUNDED = Mistake(
    "classification-loss-sigmoid-rounded",
    "At large logits, the sigmoid is rounded to 0 or 1 before the logarithm is taken.",
    hint=USE_LOGITS,
    questions=("2-1a",),
    shows=lambda loss: not math.isfinite(loss[40.0]) or loss[40.0] == loss[60.0] == 100.0,
)
EXPONENTIAL_OVERFLOWS = Mistake(
    "classification-loss-overflows",
    "The exponential of a large logit overflows: it is infinite in float32.",
    hint=USE_LOGITS,
    questions=("2-1a",),
    shows=lambda loss: math.isfinite(loss[40.0]) and not math.isfinite(loss[100.0]),
)
PROBABILITIES_CLAMPED = Mistake(
    "classification-loss-clamped",
    "The probabilities are clamped before the logarithm (or a small number is added to them), which limits the loss.",
    hint=USE_LOGITS,
    questions=("2-1a",),
    shows=_capped,
)
MISTAKES_AT_LARGE_LOGITS = (SIGMOID_ROUNDED, EXPONENTIAL_OVERFLOWS, PROBABILITIES_CLAMPED)
