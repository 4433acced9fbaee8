"""Inputs of the checks: drawn from a seed made of the course secret, the submission's content and the check's name."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from autograder.judging.catalogue import Mistake

# Where one usual size alone is not enough, the code may hold several of them, or count on axes longer than 1.
USUAL_SIZES_ONLY = Mistake(
    "sizes-fixed",
    "The code works with the usual sizes only.",
    hint="Take sizes from the arguments.",
    once=True,
)
# Code that works at all sizes but this.
AXIS_OF_LENGTH_ONE = Mistake(
    "axis-of-length-one",
    "The code fails where an axis has the length 1, such as a batch of one.",
    hint="Count on no axis being longer than 1: squeeze() drops every axis of length 1, squeeze(dim) only the one that you mean.",
    once=True,
)

T = TypeVar("T")


def seed_from(*parts: str) -> int:
    """A 63-bit seed from texts: the same texts give the same seed, on every machine."""
    digest = hashlib.sha256("\x1f".join(parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


class Draw:
    """A repeatable source of inputs. `restart` begins the same sequence again.

    usual: by kind, the size that `size` returns in place of a drawn one (see `restart`). shortest: no size is smaller.
    kinds: the kinds of sizes that were drawn.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.usual: Mapping[str, int] = {}
        self.shortest = 1
        self.kinds: set[str] = set()
        self._generator = torch.Generator()
        self.restart()

    def restart(self, usual: Mapping[str, int] | None = None, shortest: int = 1) -> None:
        """Begins again; with `usual`, sizes of these kinds are the usual ones; no size is smaller than `shortest`.

        So code that works at no other size is judged at these, and pays for the size once (see grading.grader).
        """
        self.usual, self.shortest = usual or {}, shortest
        self._generator.manual_seed(self.seed)

    def size(self, kind: str, low: int, high: int, unlike: int | None = None) -> int:
        """A size of a kind that the assignment may declare ("batch"), low <= size < high, other than `unlike`."""
        self.kinds.add(kind)
        drawn = self.integer(low, high)
        while drawn == unlike and high - low > 1:
            drawn = self.integer(low, high)
        return self.or_usual(kind, drawn)

    def or_usual(self, kind: str, size: int) -> int:
        """The size of this kind, or the usual one in its place."""
        self.kinds.add(kind)
        return self.usual.get(kind, max(size, self.shortest))

    def normal(self, *shape: int, mean: float = 0.0, std: float = 1.0) -> Tensor:
        """float32 values ~ N(mean, std^2)."""
        return torch.randn(*shape, generator=self._generator) * std + mean

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """float32 values, uniform in [low, high)."""
        return torch.rand(*shape, generator=self._generator) * (high - low) + low

    def integers(self, low: int, high: int, *shape: int) -> Tensor:
        """int64 values, low <= value < high."""
        return torch.randint(low, high, shape, generator=self._generator)

    def labels(self, classes: int, n: int) -> Tensor:
        """int64 values (n,), 0 <= value < classes, the first and the last class among them where n > 1."""
        drawn = self.integers(0, classes, n)
        order = self.permutation(n)
        if n > 1:
            drawn[order[:2]] = torch.tensor([0, classes - 1])
        return drawn

    def integer(self, low: int, high: int) -> int:
        """One integer, low <= value < high."""
        return int(self.integers(low, high, 1).item())

    def number(self, low: float, high: float) -> float:
        return float(self.uniform(1, low=low, high=high).item())

    def permutation(self, n: int) -> Tensor:
        return torch.randperm(n, generator=self._generator)

    def choice(self, options: Sequence[T]) -> T:
        return options[self.integer(0, len(options))]
