"""Mistakes of a VAE's or CVAE's loss, in its reconstruction term and its total, and of reconstruct."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from autograder.judging import Candidate, Mistake, candidates

from . import vae
from .vae import MEAN_OF_KL, VAES, Posterior

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

TOTAL_ALONE = Mistake(
    "loss-returns-total-alone",
    "loss returns the total alone, without its two parts.",
    hint='Return two values: the total, and a dictionary with "rec_loss" and "kl_loss".',
    questions=VAES,
)
PARTS_NOT_IN_DICTIONARY = Mistake(
    "loss-parts-not-in-dictionary",
    "loss returns its two parts as values of their own, not in a dictionary.",
    hint='Return two values: the total, and a dictionary with "rec_loss" and "kl_loss".',
    questions=VAES,
)

PARTS_ARE_NUMBERS = Mistake(
    "loss-parts-are-numbers",
    "The parts of the loss are plain numbers, not tensors.",
    hint="Leave out item() inside loss: the training loop takes it.",
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
    hint="The total is rec_loss plus beta times kl_loss; the constructor keeps beta.",
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

HALVES_SWAPPED = Mistake(
    "halves-of-q-swapped",
    "The two halves of q are swapped; the mean should come first, log sigma second.",
    hint="The first nz numbers of q are the mean, the others log sigma.",
    questions=VAES,
    once=True,
)

# kl_loss: `gives` is its value for a posterior

KL_OF_LOG_VARIANCE = Mistake(
    "kl-of-log-variance",
    "The second half of q is read as the log of the variance.",
    hint="It is log sigma, the log of the standard deviation.",
    questions=VAES,
    gives=lambda posterior: Posterior(posterior.mu, posterior.log_sigma / 2).kl.mean(),
    once=True,
)
KL_PER_PIXEL = Mistake(
    "kl-divided-by-pixels",
    "The KL divergence is divided by the number of pixels.",
    hint=MEAN_OF_KL,
    questions=VAES,
    gives=lambda posterior: posterior.kl.sum(-1).mean() / 784,
    once=True,
)
KL_NEGATED = Mistake(
    "kl-negated",
    "The KL divergence has the wrong sign.",
    hint="It is never negative.",
    questions=VAES,
    gives=lambda posterior: -posterior.kl.mean(),
    once=True,
)
KL_OF_SIGMA = Mistake(
    "kl-of-sigma",
    "sigma is passed where log sigma is asked for.",
    hint="The second half of q is log sigma already: do not exponentiate it.",
    questions=VAES,
    gives=lambda posterior: Posterior(posterior.mu, posterior.log_sigma.exp()).kl.mean(),
    once=True,
)
KL_WITHOUT_MEANS = Mistake(
    "kl-without-means",
    "The means are left out of the KL divergence.",
    hint="Pass mu as the first argument.",
    questions=VAES,
    gives=lambda posterior: Posterior(0 * posterior.mu, posterior.log_sigma).kl.mean(),
    once=True,
)
KL_DOUBLED = Mistake(
    "kl-doubled",
    "The KL divergence lacks the factor 1/2.",
    questions=VAES,
    gives=lambda posterior: 2 * posterior.kl.mean(),
    once=True,
)
KL_NOT_REDUCED = Mistake(
    "kl-not-reduced",
    "kl_loss is not reduced: it has one entry for each element.",
    hint=MEAN_OF_KL,
    questions=VAES,
)
KL_WEIGHED = Mistake(
    "kl-loss-times-beta",
    "kl_loss is multiplied by beta before it is returned.",
    hint="beta belongs in the total only.",
    questions=VAES,
    once=True,
)
KL = (*vae.KL, KL_OF_LOG_VARIANCE, KL_PER_PIXEL, KL_NEGATED, KL_DOUBLED, KL_OF_SIGMA, KL_WITHOUT_MEANS)


def kl_losses(posterior: Posterior, beta: float) -> list[Candidate]:
    """Known wrong values of kl_loss."""
    return [
        *candidates(KL, posterior),
        HALVES_SWAPPED.giving(Posterior(posterior.log_sigma, posterior.mu).kl.mean()),
        KL_WEIGHED.giving(beta * posterior.kl.mean()),
    ]
