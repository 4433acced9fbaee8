"""How reparameterize is judged, of VAE and CVAE: spread, independence and gradients of its noise."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from autograder.checks.hidden import expected_vae as expected
from autograder.checks.hidden.expected_sampling import expect_own_draws
from autograder.checks.public import given
from autograder.judging import (
    Draw,
    Mistake,
    expect,
    expect_close,
    expect_fresh,
    expect_standard_normal,
    fail,
)

WRONG_SPREADS = [
    (
        "log_sigma is read as the log of the variance: the noise is scaled by exp(0.5 log_sigma).",
        lambda log_sigma: torch.exp(log_sigma / 2),
    ),
    ("log_sigma is not exponentiated: the noise is scaled by log_sigma itself.", lambda log_sigma: log_sigma),
    (
        "The noise is scaled by the variance, exp(2 log_sigma), not by sigma.",
        lambda log_sigma: torch.exp(2 * log_sigma),
    ),
    ("The noise is not scaled by sigma.", torch.ones_like),
    ("The noise is scaled by 1 / sigma.", lambda log_sigma: torch.exp(-log_sigma)),
    ("log_sigma goes through a softplus where it should be exponentiated.", torch.nn.functional.softplus),
]


def expect_right_spread(submission: Any, draw: Draw, probe: str) -> None:
    """(z - mu) / exp(log_sigma) is N(0, 1), where sigma is small and where it is large."""
    for shape in _shapes(draw):
        mu, log_sigma = draw.normal(*shape, mean=0.5, std=2.0), draw.uniform(*shape, low=-1.5, high=1.0)
        seen = submission.ask(probe, mu=mu, log_sigma=log_sigma, pull=torch.ones(shape))
        given.refuse_64(seen, shape[0])
        z = seen.tensor("z", shape, what="z")
        eps = (z.double() - mu) / log_sigma.double().exp()
        if bool((eps.abs() > 1e-6).any()):
            expect_own_draws(eps.reshape(shape[0], -1), "the noise")
        wide = log_sigma > log_sigma.median()
        if not (expected.is_standard_normal(eps[wide]) and expected.is_standard_normal(eps[~wide])):
            name_wrong_spread(z.double() - mu, log_sigma.double())
            for part in (eps, eps[wide], eps[~wide]):
                expect_standard_normal(part, what="(z - mu) / exp(log_sigma)")
        # The noise has nothing to do with mu: the correlation's standard error is 1 / sqrt(n), n >= 2400.
        correlation = torch.corrcoef(torch.stack([eps.flatten(), mu.double().flatten()]))[0, 1].abs().item()
        expect(
            correlation < 0.14,
            expected="noise that is independent of mu",
            seen=f"a correlation of {correlation:.2f}",
            hint="z = mu + exp(log_sigma) * eps: mu is added once, as it is.",
        )
        given.expect_no_seed(seen.flag("seed_kept"), "reparameterize")


def _shapes(draw: Draw) -> list[tuple[int, ...]]:
    n, nz = draw.integer(240, 300), draw.integer(10, 20)
    return [(n, 1, nz), (n + 5, nz)]


def name_wrong_spread(noise: Tensor, log_sigma: Tensor) -> None:
    """Ends the check when a known wrong scale explains the noise, and clearly better than the other ones do."""
    scales = [log_sigma.exp(), *(scale(log_sigma) for _, scale in WRONG_SPREADS)]
    sizes = [scale.abs().clamp(min=1e-6) for scale in scales]
    # The log-likelihood of normal noise with each scale, in nats.
    fits = torch.stack([-(0.5 * (noise / size) ** 2 + size.log()).sum() for size in sizes])
    best = int(fits.argmax())
    clearly = bool((fits[best] - fits > 15).sum() == len(fits) - 1)
    if best > 0 and clearly and expected.is_standard_normal(noise / scales[best]):
        fail(
            expected="(z - mu) / exp(log_sigma): independent draws from N(0, 1)",
            seen=f"draws with variance {(noise / log_sigma.exp()).var().item():.3f}",
            hint="log_sigma is the logarithm of the standard deviation: sigma = exp(log_sigma).",
            diagnosis=WRONG_SPREADS[best - 1][0],
        )
    if bool((noise.abs() < 1e-6).all()):
        fail(
            expected="z = mu + exp(log_sigma) * eps",
            seen="z = mu, without noise",
            diagnosis="No noise is drawn: z is the mean.",
        )


def expect_own_noise(submission: Any, draw: Draw, probe: str) -> None:
    """No two samples, dimensions or calls share their noise."""
    n, nz = draw.integer(9, 30), draw.integer(4, 9)
    for shape in [(n, 1, nz), (n, nz)]:
        mu, log_sigma = draw.normal(*shape), torch.zeros(shape)
        seen = submission.ask(probe, mu=mu, log_sigma=log_sigma, pull=torch.ones(shape))
        given.refuse_64(seen, n)
        z, again = (seen.tensor(k, shape, what="z").double() - mu for k in ("z", "again"))
        expect(
            bool((z.abs() > 1e-6).any()),
            expected="z = mu + exp(log_sigma) * eps",
            seen="z = mu, without noise",
        )
        expect_fresh(z, again, what="the noise")
        expect_own_draws(z.reshape(n, nz), "the noise")


def expect_noise_gradients(submission: Any, draw: Draw, probe: str) -> None:
    """dz/dmu = 1 and dz/dlog_sigma = z - mu, in float32 and float64; the arguments are kept."""
    for dtype in (torch.float32, torch.float64):
        shape = (draw.integer(80, 90), 1, draw.integer(13, 19))
        mu, log_sigma = draw.normal(*shape).to(dtype), draw.uniform(*shape, low=-1.0, high=1.0).to(dtype)
        pull = draw.normal(*shape).to(dtype)
        seen = submission.ask(probe, mu=mu, log_sigma=log_sigma, pull=pull)
        given.refuse_64(seen, shape[0])
        z = seen.tensor("z", shape, what="z")
        if seen.get("grad_mu") is None or seen.get("grad_log_sigma") is None:
            name_wrong_spread(z.double() - mu, log_sigma.double())
            fail(
                expected="gradients of z with respect to mu and to log_sigma",
                seen="z hangs on neither, or on one alone",
                hint="torch.distributions' sample() cuts the graph, rsample() keeps it; detach() and no_grad() cut it too.",
                diagnosis="z is cut off from mu or log_sigma, so the encoder cannot learn through it.",
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
            mistakes=[
                Mistake(
                    right / 2,
                    "log_sigma is read as the log of the variance: it is halved before it is exponentiated.",
                ),
                Mistake(right * 2, "The noise is scaled by the variance, exp(2 log_sigma), not by sigma."),
            ],
        )
        expect(
            seen.flag("kept"),
            expected="arguments that are left as they are",
            seen="mu or log_sigma was changed",
        )
