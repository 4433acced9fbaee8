"""Mistakes of vae.py (questions 1-4 to 1-7) that public checks recognise; a CVAE can have most of them as well."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from autograder.judging import Candidate, Mistake, candidates, first_shown
from autograder.judging.statistics import UNIFORM, UNIFORM_CENTRED

VAES = ("1-4", "1-8")

# Shapes of the posterior


def half_as_wide(shape: Sequence[int], n: int, nz: int) -> bool:
    """True for the shape with one number per latent dimension instead of two (mean and log sigma)."""
    return tuple(shape) in [(n, 1, nz), (n, nz)]


ENCODER_HALF_AS_WIDE = Mistake(
    "encoder-half-as-wide",
    "The encoder has nz outputs instead of 2 nz.",
    hint="Return one output for each mean and one for each log sigma: 2 nz in all.",
    questions=VAES,
    shows=half_as_wide,
)
Q_OVERWRITTEN = Mistake(
    "q-overwritten-by-z",
    "q is overwritten by z: it holds the sampled code, not the posterior.",
    hint='Return the encoder\'s output, means and log sigmas, as outputs["q"].',
    questions=VAES,
    shows=half_as_wide,
)

Q_IS_A_PAIR = Mistake(
    "q-is-a-pair",
    "q is a pair (mu, log_sigma), not one tensor.",
    hint="Return one tensor of 2 nz numbers per image: the encoder's output, or torch.cat([mu, log_sigma], dim=-1).",
    questions=VAES,
)

# reparameterize: `gives` is the factor of the noise, as a function of log_sigma

READ_AS = "log_sigma is the logarithm of the standard deviation: sigma = exp(log_sigma)."
SIGMA_FROM_HALF_LOG = Mistake(
    "sigma-from-half-log",
    "log_sigma is read as the log of the variance: the noise is scaled by exp(0.5 log_sigma).",
    hint=READ_AS,
    questions=VAES,
    gives=lambda log_sigma: torch.exp(log_sigma / 2),
    once=True,
)
SIGMA_NOT_EXPONENTIATED = Mistake(
    "sigma-not-exponentiated",
    "log_sigma is not exponentiated: the noise is scaled by log_sigma itself.",
    hint=READ_AS,
    questions=VAES,
    gives=lambda log_sigma: log_sigma,
    once=True,
)
SIGMA_SQUARED = Mistake(
    "sigma-squared",
    "The noise is scaled by the variance, exp(2 log_sigma), not by sigma.",
    hint=READ_AS,
    questions=VAES,
    gives=lambda log_sigma: torch.exp(2 * log_sigma),
    once=True,
)
SIGMA_LEFT_OUT = Mistake(
    "sigma-left-out",
    "The noise is not scaled by sigma.",
    hint="Multiply it by exp(log_sigma).",
    questions=VAES,
    gives=torch.ones_like,
    once=True,
)
WITHOUT_NOISE = Mistake(
    "reparameterize-without-noise",
    "No noise is drawn: z is the mean.",
    hint="Add noise: draws from N(0, 1), one for each element, times exp(log_sigma).",
    questions=VAES,
    shows=lambda noise: bool((noise.abs() <= 1e-6).all()),
)
SCALES = (SIGMA_FROM_HALF_LOG, SIGMA_NOT_EXPONENTIATED, SIGMA_SQUARED, SIGMA_LEFT_OUT)


def scale_mistake(shift: float, std: float, sigma: float) -> Mistake | None:
    """The one mistake that explains noise around `shift` with standard deviation `std` instead of N(0, sigma)."""
    log_sigma = torch.tensor(math.log(sigma), dtype=torch.float64)
    known = [
        (0.5 * sigma, sigma / math.sqrt(12), UNIFORM),
        (0.0, sigma / math.sqrt(3), UNIFORM_CENTRED),
        *((0.0, abs(float(scaled.value)), scaled.mistake) for scaled in candidates(SCALES, log_sigma)),
    ]
    fitting = [
        mistake
        for mean, spread, mistake in known
        if abs(shift - mean) < 0.1 * spread and abs(std / spread - 1) < 0.06
    ]
    return fitting[0] if len(fitting) == 1 else None


# kl_loss: `gives` is its value for a posterior


@dataclass(frozen=True)
class Posterior:
    """The posterior q(z|x) in a KL divergence: mu and log_sigma, (N, ..., nz) each."""

    mu: Tensor
    log_sigma: Tensor

    @property
    def q(self) -> Normal:
        return Normal(self.mu, self.log_sigma.exp())

    @property
    def kl(self) -> Tensor:
        """KL[q || N(0, I)] of each element, in nats."""
        return kl_divergence(self.q, PRIOR)


PRIOR = Normal(0.0, 1.0)
MEAN_OF_KL = "Take the mean over the batch and over the latent dimensions."
KL_SUMMED = Mistake(
    "kl-summed",
    "The KL divergence is summed over the batch and the latent dimensions.",
    hint=MEAN_OF_KL,
    questions=VAES,
    gives=lambda posterior: posterior.kl.sum(),
    once=True,
)
KL_SUMMED_OVER_DIMENSIONS = Mistake(
    "kl-summed-over-dimensions",
    "The KL divergence is summed over the latent dimensions.",
    hint=MEAN_OF_KL,
    questions=VAES,
    gives=lambda posterior: posterior.kl.sum(-1).mean(),
    once=True,
)
KL_SUMMED_OVER_BATCH = Mistake(
    "kl-summed-over-batch",
    "The KL divergence is summed over the batch.",
    hint=MEAN_OF_KL,
    questions=VAES,
    gives=lambda posterior: posterior.kl.mean(-1).sum(),
    once=True,
)
KL_SWAPPED = Mistake(
    "kl-arguments-swapped",
    "The KL divergence's arguments are swapped: it is KL[N(0, I) || q(z|x)].",
    hint="KL[q || p] is not symmetric: the posterior comes first, the prior second.",
    questions=VAES,
    gives=lambda posterior: kl_divergence(PRIOR, posterior.q).mean(),
    once=True,
)
KL_PRIOR_LOG_SIGMA_ONE = Mistake(
    "kl-prior-log-sigma-one",
    "The prior's log sigma is set to 1 instead of 0.",
    hint="N(0, I) has standard deviation 1, and log 1 = 0.",
    questions=VAES,
    gives=lambda posterior: kl_divergence(posterior.q, Normal(0.0, math.e)).mean(),
    once=True,
)
KL = (KL_SUMMED, KL_SUMMED_OVER_DIMENSIONS, KL_SUMMED_OVER_BATCH, KL_SWAPPED, KL_PRIOR_LOG_SIGMA_ONE)

# reconstruct

RECONSTRUCT_SAMPLES = Mistake(
    "reconstruct-samples",
    "reconstruct samples: it decodes a random code instead of the posterior mean.",
    hint="Decode the first half of the encoder's output, without noise.",
    questions=VAES,
)

RECONSTRUCT_KEEPS_GRAPH = Mistake(
    "reconstruct-keeps-graph",
    "The reconstructions are still attached to an autograd graph.",
    hint="Reconstruct under torch.no_grad().",
    questions=VAES,
)

BETA_TRAINED = Mistake(
    "beta-trained",
    "beta is a parameter, so the optimiser lowers it with the loss.",
    hint="Store the number itself: self.beta is the argument, not an nn.Parameter.",
    questions=("1-4",),
)

# BETA and INTERPOLATIONS

BETA_IS_TUPLE = Mistake(
    "beta-is-tuple",
    "BETA is a tuple: there is a comma after the number.",
    hint="Take the comma away.",
    questions=("1-6",),
    shows=lambda beta: isinstance(beta, list) and len(beta) == 1,
)
BETA_IS_TEXT = Mistake(
    "beta-is-text",
    "BETA is a string that contains a number.",
    hint="Write the number without quotes.",
    questions=("1-6",),
    shows=lambda beta: isinstance(beta, str),
)
FLAT_LIST_OF_LABELS = Mistake(
    "interpolations-flat-list",
    "The labels are in one flat list, not in pairs.",
    hint="Write each pair as (a, b).",
    questions=("1-7",),
    shows=lambda found: bool(found) and all(isinstance(label, int) for label in found),
)
NOT_TWO_PAIRS = Mistake(
    "interpolations-not-two-pairs",
    "INTERPOLATIONS holds pairs, but not exactly two.",
    questions=("1-7",),
)
NESTED_ONCE_MORE = Mistake(
    "interpolations-nested",
    "The list of pairs stands inside another list.",
    hint="Write [(a, b), (c, d)], without further brackets.",
    questions=("1-7",),
    shows=lambda found: (
        len(found) == 1
        and isinstance(found[0], list)
        and bool(found[0])
        and all(isinstance(pair, list) for pair in found[0])
    ),
)
LABELS_ARE_FLOATS = Mistake(
    "interpolations-labels-are-floats",
    "The labels are floats: there is a decimal point.",
    hint="Write 4, not 4.0.",
    questions=("1-7",),
    shows=lambda label: isinstance(label, float) and label.is_integer(),
)
LABEL_NOT_A_DIGIT = Mistake(
    "interpolations-label-not-a-digit",
    "A label is not a digit from 0 to 9.",
    hint="MNIST's labels are the digits 0 to 9.",
    questions=("1-7",),
    shows=lambda label: not 0 <= label <= 9,
)
SAME_DIGIT_TWICE = Mistake(
    "interpolations-same-digit-twice",
    "A pair holds the same digit twice.",
    hint="Choose two different digits.",
    questions=("1-7",),
    shows=lambda pair: pair[0] == pair[1],
)
SAME_PAIR_TWICE = Mistake(
    "interpolations-same-pair-twice",
    "The second pair is the same as the first.",
    hint="Choose a different pair; a reversed pair counts as the same.",
    questions=("1-7",),
    shows=lambda first, second: set(first) == set(second),
)


def wrong_count(found: Sequence[Any]) -> list[Candidate]:
    """The mistake of a wrong number of pairs, when pairs were found."""
    if first_shown([NESTED_ONCE_MORE], found):
        return [NESTED_ONCE_MORE.giving(len(found))]
    pairs = all(isinstance(pair, list) and len(pair) == 2 for pair in found)
    return [NOT_TWO_PAIRS.giving(len(found))] if pairs else []
