"""Judges reparameterize, of VAE and CVAE: spread, independence and gradients of its noise."""

from __future__ import annotations

import torch
from torch import Tensor

from autograder.judging import (
    Draw,
    Fault,
    Submission,
    candidates,
    expect,
    expect_close,
    expect_fresh,
    expect_standard_normal,
    fail,
    first_shown,
)

from ...mistakes.hidden import vae as mistakes
from ...mistakes.public.vae import SIGMA_FROM_HALF_LOG, SIGMA_SQUARED, WITHOUT_NOISE
from ...mistakes.public.vae_loss import Z_CUT_OFF
from ..public import judge_common as common
from ..public.expected_sampling import expect_own_draws

FORMULA = "z = mu + exp(log_sigma) * eps"


def expect_right_spread(submission: Submission, draw: Draw, probe: str) -> None:
    """(z - mu) / exp(log_sigma) is N(0, 1), where sigma is small and where it is large.

    A log_sigma that is clamped to 2 is too small for two ninths of the values: for nearly all of the quarter whose sigma is
    largest, where the variance is a half then. Each quarter has at least 1,200 values, so that 0.72 would pass there.
    """
    nz = draw.size("latent", 20, 40)
    for shape in [(draw.size("batch", 240, 300), 1, nz), (draw.size("batch", 240, 300), nz)]:
        mu, log_sigma = draw.normal(*shape, mean=0.5, std=2.0), draw.uniform(*shape, low=-1.5, high=3.0)
        seen = submission.ask(probe, mu=mu, log_sigma=log_sigma, pull=torch.ones(shape))
        common.expect_no_seed(seen.flag("seed_kept"), "reparameterize")
        z = seen.tensor("z", shape, what="z")
        if not torch.equal(z, mu):
            expect_fresh(z, seen.tensor("again", shape, what="z of a second call"), what="the noise")
        eps = (z.double() - mu) / log_sigma.double().exp()
        if bool((eps.abs() > 1e-6).any()):
            expect_own_draws(eps.reshape(shape[0], -1), "the noise")
        quarters = eps.flatten()[log_sigma.flatten().argsort()].chunk(4)
        if not all(is_standard_normal(quarter) for quarter in quarters):
            expect_no_known_scale(z.double() - mu, log_sigma.double())
            for part in (eps, *quarters):
                expect_standard_normal(part, what="(z - mu) / exp(log_sigma)")
        # The noise is independent of mu: the correlation's standard error is 1 / sqrt(n), n >= 4800.
        correlation = torch.corrcoef(torch.stack([eps.flatten(), mu.double().flatten()]))[0, 1].abs().item()
        expect(
            correlation < 0.14,
            expected="noise that is independent of mu",
            seen=f"a correlation of {correlation:.2f}",
            hint=f"{FORMULA}: mu is added once, unscaled.",
        )


def is_standard_normal(noise: Tensor) -> bool:
    """True when the values pass for independent draws from N(0, 1)."""
    try:
        expect_standard_normal(noise, what="the noise")
    except Fault:
        return False
    return True


def expect_no_known_scale(noise: Tensor, log_sigma: Tensor) -> None:
    """Raises a fault when a known wrong scale explains the noise, clearly better than the others, or it is all zero."""
    wrong = candidates(mistakes.SCALES, log_sigma)
    scales = [log_sigma.exp(), *(candidate.value for candidate in wrong)]
    sizes = [scale.abs().clamp(min=1e-6) for scale in scales]
    # The log-likelihood of normal noise with each scale, in nats.
    fits = torch.stack([-(0.5 * (noise / size) ** 2 + size.log()).sum() for size in sizes])
    best = int(fits.argmax())
    clearly = bool((fits[best] - fits > 15).sum() == len(fits) - 1)
    if best > 0 and clearly and is_standard_normal(noise / scales[best]):
        fail(
            expected="(z - mu) / exp(log_sigma): independent draws from N(0, 1)",
            seen=f"draws with variance {(noise / log_sigma.exp()).var().item():.3f}",
            mistake=wrong[best - 1].mistake,
        )
    zero = first_shown([WITHOUT_NOISE], noise)
    expect(zero is None, expected=FORMULA, seen="z = mu, without noise", mistake=zero)


def expect_own_noise(submission: Submission, draw: Draw, probe: str) -> None:
    """No two samples, dimensions or calls share their noise."""
    n, nz = draw.size("batch", 9, 30), draw.size("latent", 4, 9)
    for shape in [(n, 1, nz), (n, nz)]:
        # Means far apart, so that noise which does not belong to them shows.
        mu, log_sigma = draw.normal(*shape, std=30.0), torch.zeros(shape)
        seen = submission.ask(probe, mu=mu, log_sigma=log_sigma, pull=torch.ones(shape))
        noise, again = (seen.tensor(k, shape, what="z").double() - mu for k in ("z", "again"))
        # Noise that is all zero has two possible reasons here: none is drawn, or it is scaled by log_sigma, which is 0.
        expect(bool((noise.abs() > 1e-6).any()), expected=FORMULA, seen="z = mu, without noise")
        expect_fresh(noise, again, what="the noise")
        resting = seen.tensor("in_evaluation", shape, what="z in evaluation mode").double() - mu
        expect(
            bool((resting.abs() > 1e-6).any()),
            expected=f"{FORMULA}, in evaluation mode as well",
            seen="z = mu, without noise",
            mistake=mistakes.NO_NOISE_IN_EVALUATION,
        )
        expect_own_draws(noise.reshape(n, nz), "the noise")
        largest = float(noise.abs().max())
        expect(largest < 12, expected=FORMULA, seen=f"z up to {largest:.3g} away from mu, where sigma is 1")


def expect_noise_gradients(submission: Submission, draw: Draw, probe: str) -> None:
    """dz/dmu = 1 and dz/dlog_sigma = z - mu, in float32 and float64; the arguments are unchanged."""
    for dtype in (torch.float32, torch.float64):
        shape = (draw.size("batch", 80, 90), 1, draw.size("latent", 13, 19))
        mu, log_sigma = draw.normal(*shape).to(dtype), draw.uniform(*shape, low=-1.0, high=1.0).to(dtype)
        pull = draw.normal(*shape).to(dtype)
        seen = submission.ask(probe, mu=mu, log_sigma=log_sigma, pull=pull)
        z = seen.tensor("z", shape, what="z")
        if seen.get("grad_mu") is None or seen.get("grad_log_sigma") is None:
            expect_no_known_scale(z.double() - mu, log_sigma.double())
            fail(
                expected="gradients of z with respect to mu and to log_sigma",
                seen="no gradient with respect to at least one of them",
                mistake=Z_CUT_OFF,
            )
        expect_close(
            seen.tensor("grad_mu", shape),
            pull,
            rtol=1e-3,
            what="the gradient of sum(z * g) with respect to mu, which is g",
        )
        right = pull * (z - mu)
        expect_close(
            seen.tensor("grad_log_sigma", shape),
            right,
            rtol=2e-3,
            atol=1e-5,
            what="the gradient of sum(z * g) with respect to log_sigma, which is g * (z - mu)",
            mistakes=[SIGMA_FROM_HALF_LOG.giving(right / 2), SIGMA_SQUARED.giving(right * 2)],
        )
        # Without noise, gradients are right for the wrong reason.
        zero = first_shown([WITHOUT_NOISE], z.double() - mu)
        expect(zero is None, expected=FORMULA, seen="z = mu, without noise", mistake=zero)
        expect(seen.flag("kept"), expected="unchanged arguments", seen="mu or log_sigma was changed")
