"""Judging samples: which codes a given decoder made them of, and whether those are fresh draws from N(0, I)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from autograder.judging import (
    Observation,
    expect,
    expect_fresh,
    expect_standard_normal,
    expect_unit_spread,
    fail,
    shared_columns,
    shared_rows,
)

from ...mistakes.public.common import NOISE_MIRRORED, NOISE_SHARED_BY_BATCH, NOISE_SHARED_BY_DIMENSIONS
from ...mistakes.public.sampling import NOTHING_DRAWN, UNDONE, sampling_mistake
from . import models_autoencoder as small
from .judge_calls import misshapen


def sampled(seen: Observation, key: str, asked: tuple[int, ...]) -> Tensor:
    """The sampled images, in the shape `asked`. Another shape of as many images is a public check's matter."""
    value = seen.get(key)
    as_many = isinstance(value, Tensor) and value.shape[:1] == asked[:1] and value.numel() == math.prod(asked)
    if as_many:
        return seen.tensor(key, what="the samples").reshape(asked)
    return seen.tensor(key, asked, what="the samples", mistakes=misshapen(asked))


def codes_in_any_form(weights: dict[str, Tensor], images: Tensor, labels: Tensor | None, what: str) -> Tensor:
    """As `codes`, also of images that were decoded without labels or with reordered ones, or that were changed afterwards.

    That is another check's matter.
    """
    others = [] if labels is None else [None, labels.flip(0), labels.sort().values]
    for given in (labels, *others):
        z = small.codes_in(weights, images, given)
        if z is not None:
            return z
    for undo in UNDONE:
        z = small.codes_in(weights, undo(images), labels)
        if z is not None:
            return z
    return codes(weights, images, labels, what)


def codes(weights: dict[str, Tensor], images: Tensor, c: Tensor | None, what: str) -> Tensor:
    """The codes (N, nz) of sampled images; raises a fault when the given decoder did not make the images."""
    z = small.codes_in(weights, images, c)
    if z is not None:
        return z
    fail(
        expected=f"{what}: what model.decoder returns for the codes"
        + (" and their labels" if c is not None else ""),
        seen="images that the decoder returns for no code",
        hint="Return the decoder's output as it is; only its shape changes.",
        mistake=sampling_mistake(images, c, lambda x, o: small.codes_in(weights, x, o) is not None),
    )


def _expect_something(z: Tensor, what: str) -> None:
    """Raises a fault when every code is zero."""
    expect(
        bool((z.abs() > 1e-3).any()),
        expected=f"{what}: drawn at random",
        seen="zeros",
        mistake=NOTHING_DRAWN,
    )


def expect_own_draws(z: Tensor, what: str) -> None:
    """Raises a fault when samples or dimensions share their noise. z: (N, nz), N >= 2, nz >= 2."""
    _expect_something(z, what)
    expected = f"{what}: one draw for every sample and every dimension"
    expect(
        not shared_rows(z),
        expected=expected,
        seen="the same code for all samples",
        mistake=NOISE_SHARED_BY_BATCH,
    )
    expect(
        not shared_columns(z),
        expected=expected,
        seen="the same number in all dimensions",
        mistake=NOISE_SHARED_BY_DIMENSIONS,
    )
    apart = torch.cdist(z, z) + torch.eye(len(z), dtype=z.dtype) * 1e9
    expect(
        bool(apart.min() > 1e-3),
        expected=expected,
        seen="some samples have the same code",
        hint="Draw a tensor of shape (number of samples, nz) at once.",
    )
    mirrored = torch.cdist(z, -z) + torch.eye(len(z), dtype=z.dtype) * 1e9
    expect(
        bool(mirrored.min() > 1e-3),
        expected=expected,
        seen="pairs of samples whose codes differ in their signs alone",
        mistake=NOISE_MIRRORED,
    )
    between = torch.cdist(z.T, z.T) + torch.eye(z.shape[1], dtype=z.dtype) * 1e9
    expect(bool(between.min() > 1e-3), expected=expected, seen="some dimensions hold the same numbers")


def expect_new_draws(first: Tensor, second: Tensor, what: str) -> None:
    """Raises a fault when two calls drew the same values, or nothing at all."""
    for z in (first, second):
        _expect_something(z, what)
    expect_fresh(first, second, what=what)


def expect_prior_draws(first: Tensor, second: Tensor, what: str) -> None:
    """Raises a fault unless both tensors (N, nz) look like fresh draws from N(0, I)."""
    expect_new_draws(first, second, what)
    expect_own_draws(first, what)
    both = torch.cat([first, second])
    expect_own_draws(both, what)  # before the rest: a few numbers, repeated, can look like any distribution
    expect_unit_spread(both, what=what)
    expect_standard_normal(both, what=what, hint="Use torch.randn.")
