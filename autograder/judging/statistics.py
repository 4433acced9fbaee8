"""Tests of noise whose false-alarm probability is known.

Every bound is at least five standard errors wide; the probability that correct code fails is stated with each.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from autograder.judging.catalogue import Mistake
from autograder.judging.expect import expect

# Mistakes that are possible in any assignment with noise.
UNIFORM = Mistake(
    "noise-uniform",
    "The noise is uniform (torch.rand); it should be normal.",
    hint="Use torch.randn or randn_like.",
)
UNIFORM_CENTRED = Mistake(
    "noise-uniform-centred",
    "The noise is uniform on [-1, 1]; it should be normal.",
    hint="Use torch.randn or randn_like.",
)
CUT_OFF = Mistake(
    "noise-cut-off",
    "The noise is cut off: draws far from 0 never occur.",
    hint="Use what torch.randn or randn_like returns as it is, without a clamp.",
)
OTHER_SPREAD = Mistake(
    "noise-other-spread",
    "The draws are normal, but their standard deviation is not 1.",
    hint="Use the draws of torch.randn as they are.",
)
DRAWN_ONCE = Mistake(
    "noise-drawn-once",
    "The noise is drawn once, or the random generator is reseeded inside.",
    hint="Draw the noise inside the function, at every call, and set no seed there.",
)


def expect_standard_normal(noise: Tensor, *, what: str, hint: str = "") -> None:
    """Raises a fault unless the values of `noise` look like independent draws from N(0, 1).

    Needs at least 1000 values. The mean may be 6 standard errors off (a false-alarm probability of about 2e-9), the
    second moment 7, and the fourth 7 below and 15 above, since its upper tail is long (below 1e-6 each, for n >= 1000). One
    value must be so far out that n draws from N(0, 1) are all nearer with a probability of exp(-25).
    """
    values = noise.double().flatten()
    n = values.numel()
    mean, second, fourth = values.mean().item(), values.square().mean().item(), values.pow(4).mean().item()
    low, high = values.min().item(), values.max().item()
    seen = (
        f"{n} values with mean {mean:.3f}, variance {values.var().item():.3f}, from {low:.2f} to {high:.2f}"
    )
    expected = f"{what}: independent draws from N(0, 1)"
    if low >= 0 and high <= 1 and abs(mean - 0.5) < 0.1 and values.std() > 0.2:
        expect(False, expected=expected, seen=seen, hint=hint, mistake=UNIFORM)
    if low >= -1 and high <= 1 and abs(mean) < 0.2 and abs(second - 1 / 3) < 0.1:
        expect(False, expected=expected, seen=seen, hint=hint, mistake=UNIFORM_CENTRED)
    # Standard errors under N(0, 1): sqrt(1/n) for the mean, sqrt(2/n) for x^2, sqrt(96/n) for x^4.
    expect(abs(mean) <= 6 / math.sqrt(n), expected=expected, seen=seen, hint=hint)
    expect(abs(second - 1) <= 7 * math.sqrt(2 / n), expected=expected, seen=seen, hint=hint)
    expect(-7 <= (fourth - 3) / math.sqrt(96 / n) <= 15, expected=expected, seen=seen, hint=hint)
    outermost = torch.special.ndtri(torch.tensor(1 - min(0.5, 12.5 / n), dtype=torch.float64)).item()
    expect(max(-low, high) >= outermost, expected=expected, seen=seen, mistake=CUT_OFF)


def expect_unit_spread(noise: Tensor, *, what: str) -> None:
    """Raises a fault when the values are normal draws around 0 whose standard deviation is clearly not 1.

    The standard deviation must be 8 standard errors off, and the shape a normal distribution's: its kurtosis is 3, with a
    standard error of sqrt(24 / n); a uniform distribution's is 1.8.
    """
    values = noise.double().flatten()
    n, std = values.numel(), values.std().item()
    if not std > 0:
        return
    scaled = values / std
    normal = abs(scaled.pow(4).mean().item() - 3) < 4 * math.sqrt(24 / n)
    centred = abs(scaled.mean().item()) < 6 / math.sqrt(n)
    expect(
        not (centred and normal and abs(std - 1) > 8 / math.sqrt(2 * n)),
        expected=f"{what}: independent draws from N(0, 1)",
        seen=f"{n} values with mean {values.mean().item():.3f} and standard deviation {std:.3f}",
        mistake=OTHER_SPREAD,
    )


def shared_rows(noise: Tensor) -> bool:
    """True when every row of `noise` (n, d) is the same: one draw shared by the whole batch."""
    return noise.shape[0] > 1 and bool(torch.allclose(noise, noise[:1].expand_as(noise), atol=1e-4))


def shared_columns(noise: Tensor) -> bool:
    """True when every column of `noise` (n, d) is the same: one draw shared by all dimensions."""
    return noise.shape[-1] > 1 and bool(torch.allclose(noise, noise[..., :1].expand_as(noise), atol=1e-4))


def expect_fresh(first: Tensor, second: Tensor, *, what: str, hint: str = "") -> None:
    """Raises a fault when two draws are the same (continuous noise: no false alarms)."""
    expect(
        first.shape != second.shape or not torch.allclose(first, second, atol=1e-6),
        expected=f"{what}: new draws at every call",
        seen="the same values twice",
        hint=hint,
        mistake=DRAWN_ONCE,
    )
