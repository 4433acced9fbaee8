"""Mistakes of a VAE's or CVAE's loss, in its reconstruction term and its total, and of reconstruct."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from autograder.judging import Mistake

from .vae import VAES

Z_CUT_OFF = Mistake(
    "reparameterize-z-cut-off",
    "z is detached from mu or log_sigma, so the encoder cannot learn through it.",
    hint="sample() of torch.distributions detaches z, and so do detach() and no_grad(); rsample() does not.",
    questions=VAES,
    once=True,
)
REC_SQUARED_ERROR = Mistake(
    "rec-loss-squared-error",
    "rec_loss is the mean squared error.",
    hint='Call reconstruction_loss(outputs["rec"], x).',
    questions=VAES,
    once=True,
)

# The total: `gives` is its value


@dataclass(frozen=True)
class Terms:
    """The terms of the total, and the weight of the KL term."""

    rec: Tensor
    kl: Tensor
    beta: float


BETA_LEFT_OUT = Mistake(
    "total-without-beta",
    "beta is left out of the total, or is not stored by __init__.",
    hint="Return rec_loss + self.beta * kl_loss, with self.beta = beta in __init__.",
    questions=VAES,
    gives=lambda terms: terms.rec + terms.kl,
    once=True,
)
BETA_AT_REC = Mistake(
    "total-beta-at-rec-loss",
    "beta multiplies the reconstruction loss, not the KL term.",
    questions=VAES,
    gives=lambda terms: terms.beta * terms.rec + terms.kl,
    once=True,
)
BETA_AT_BOTH = Mistake(
    "total-beta-at-both-terms",
    "beta multiplies both terms, not only the KL term.",
    questions=VAES,
    gives=lambda terms: terms.beta * (terms.rec + terms.kl),
    once=True,
)
KL_SUBTRACTED = Mistake(
    "total-kl-subtracted",
    "The KL term is subtracted.",
    hint="The total is minimised: both terms are added.",
    questions=VAES,
    gives=lambda terms: terms.rec - terms.beta * terms.kl,
    once=True,
)
TOTAL_NEGATED = Mistake(
    "total-negated",
    "The total has the wrong sign: it is minimised, so both terms are added.",
    questions=VAES,
    gives=lambda terms: -(terms.rec + terms.beta * terms.kl),
    once=True,
)
KL_LEFT_OUT = Mistake(
    "total-without-kl",
    "The KL term is left out of the total.",
    questions=VAES,
    gives=lambda terms: terms.rec,
    once=True,
)
BETA_TWICE = Mistake(
    "total-beta-twice",
    "beta is applied twice.",
    questions=VAES,
    gives=lambda terms: terms.rec + terms.beta**2 * terms.kl,
    once=True,
)
TOTALS = (BETA_LEFT_OUT, BETA_AT_REC, BETA_AT_BOTH, KL_SUBTRACTED, TOTAL_NEGATED, KL_LEFT_OUT, BETA_TWICE)

LOSS_CHANGES_ARGUMENTS = Mistake(
    "loss-changes-arguments",
    "loss changes its arguments, outputs or x, in place.",
    hint="Assign results to new names: outputs belongs to the caller.",
    questions=VAES,
    once=True,
)
TOTAL_CUT_OFF = Mistake(
    "total-cut-off",
    "The total is detached from q or rec (by detach, item or no_grad), so nothing can be learned.",
    questions=VAES,
    once=True,
)

# reconstruct: `gives` is the images, for the posterior and a function that decodes codes

RECONSTRUCT_DECODES_LOG_SIGMA = Mistake(
    "reconstruct-decodes-log-sigma",
    "log sigma, the second half of q, is decoded instead of the mean.",
    hint="The mean is the first half of the encoder's output.",
    questions=VAES,
    gives=lambda posterior, decode: decode(posterior.log_sigma),
    once=True,
)
RECONSTRUCT_DECODES_SIGMA = Mistake(
    "reconstruct-decodes-sigma",
    "sigma is decoded instead of the mean.",
    hint="The mean is the first half of the encoder's output.",
    questions=VAES,
    gives=lambda posterior, decode: decode(posterior.log_sigma.exp()),
    once=True,
)
RECONSTRUCT_ADDS_SIGMA = Mistake(
    "reconstruct-adds-sigma",
    "mean + sigma is decoded instead of the mean.",
    hint="Decode the mean without noise.",
    questions=VAES,
    gives=lambda posterior, decode: decode(posterior.mu + posterior.log_sigma.exp()),
    once=True,
)
RECONSTRUCTIONS = (RECONSTRUCT_DECODES_LOG_SIGMA, RECONSTRUCT_DECODES_SIGMA, RECONSTRUCT_ADDS_SIGMA)
