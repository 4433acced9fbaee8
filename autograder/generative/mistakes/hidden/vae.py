"""Mistakes of vae.py (questions 1-4 to 1-6) that only hidden checks recognise; a CVAE can have most of them as well."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from autograder.judging import Candidate, Mistake, candidates

from ...stand_ins import autoencoder as stand_in
from ..public import vae as public
from ..public.autoencoder import LOSS_ARGUMENTS_SWAPPED, LOSS_SUMMED, LOSS_SUMMED_OVER_PIXELS
from ..public.vae import VAES, Posterior
from ..public.vae_loss import HALVES_SWAPPED, REC_SQUARED_ERROR

# reparameterize: `gives` is the factor of the noise, as a function of log_sigma

SIGMA_INVERTED = Mistake(
    "sigma-inverted",
    "The noise is scaled by 1 / sigma.",
    hint=public.READ_AS,
    questions=VAES,
    gives=lambda log_sigma: torch.exp(-log_sigma),
    once=True,
)
SIGMA_FROM_SOFTPLUS = Mistake(
    "sigma-from-softplus",
    "log_sigma is passed through a softplus instead of being exponentiated.",
    hint=public.READ_AS,
    questions=VAES,
    gives=F.softplus,
    once=True,
)
NO_NOISE_IN_EVALUATION = Mistake(
    "noise-in-training-only",
    "No noise is drawn in evaluation mode: z is the mean there.",
    hint="Draw in every mode; it is reconstruct that decodes the mean.",
    questions=VAES,
    once=True,
)
SIGMA_LIMITED = Mistake(
    "sigma-limited",
    "log_sigma is clamped to 2 at most before it is exponentiated.",
    hint="Take sigma = exp(log_sigma) as it is.",
    questions=VAES,
    gives=lambda log_sigma: log_sigma.clamp(max=2).exp(),
    once=True,
)
SCALES = (*public.SCALES, SIGMA_INVERTED, SIGMA_FROM_SOFTPLUS, SIGMA_LIMITED)

# forward: `gives` is the code that is decoded, for the posterior of the images

CHUNK = "Split q with mu, log_sigma = q.chunk(2, dim=-1), then draw z with reparameterize."
FORWARD_DECODES_MEAN = Mistake(
    "forward-decodes-mean",
    "The posterior mean is decoded; nothing is sampled.",
    hint=CHUNK,
    questions=VAES,
    gives=lambda posterior: posterior.mu,
    once=True,
)
FORWARD_DECODES_LOG_SIGMA = Mistake(
    "forward-decodes-log-sigma",
    "log sigma is decoded instead of a sample.",
    hint=CHUNK,
    questions=VAES,
    gives=lambda posterior: posterior.log_sigma,
    once=True,
)


def decoded_codes(
    posterior: Posterior, reparameterized: Callable[[Tensor, Tensor], Tensor]
) -> list[Candidate]:
    """Codes that are not a sample of the posterior; reparameterized: the given function that stands in for the draw."""
    return [
        *candidates([FORWARD_DECODES_MEAN, FORWARD_DECODES_LOG_SIGMA], posterior),
        HALVES_SWAPPED.giving(reparameterized(posterior.log_sigma, posterior.mu)),
    ]


# The total

BETA_ZERO_REPLACED = Mistake(
    "total-beta-zero-replaced",
    "A beta of 0 is replaced by 1.",
    hint="0 counts as false, so `beta or 1.0` is 1.0 where beta is 0. Leave the default to the signature.",
    questions=VAES,
)

# rec_loss


def rec_losses(rec: Tensor, x: Tensor) -> list[Candidate]:
    """Known wrong values of rec_loss, for rec and x of one shape: with the real reconstruction loss and the stand-in's."""
    wrong = [REC_SQUARED_ERROR.giving(F.mse_loss(rec, x))]
    for loss in (F.binary_cross_entropy, stand_in.reconstruction_loss):
        wrong += [
            LOSS_ARGUMENTS_SWAPPED.giving(loss(x, rec)),
            LOSS_SUMMED_OVER_PIXELS.giving(loss(rec, x) * 784),
            LOSS_SUMMED.giving(loss(rec, x) * rec.numel()),
        ]
    return wrong


# BETA

BETA_TOO_SMALL = Mistake(
    "beta-too-small",
    "BETA is too small: the posterior is hardly pulled towards the prior, so samples are poor.",
    questions=("1-6",),
)
BETA_TOO_LARGE = Mistake(
    "beta-too-large",
    "BETA is too large: the posterior is pulled onto the prior, so reconstructions are poor.",
    questions=("1-6",),
)
