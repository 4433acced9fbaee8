"""A generator of the given architecture that takes the place of a DCGAN's own, with trained weights, in one check of `reconstruct`.

It is the stub's `Generator(64)` once more, so that nothing depends on the submission's copy, and keeps what it made.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from autograder.sandbox.kit import snapshot

from .gan import CODE_SIZE

KEPT = 4096  # images: those of a whole search for eight codes


class TrainedGenerator(nn.Module):
    """Codes (N, 64) -> images (N, 3, 32, 32) in [0, 1]. Keeps the codes and images of its last calls in `made`.

    distinct: where there is a multiple of this number of codes, only the first ones are used, and their images repeated.
    """

    def __init__(self, weights: Mapping[str, Tensor], distinct: int | None = None) -> None:
        super().__init__()
        self.fc = nn.Linear(CODE_SIZE, 2048)
        self.upsample_and_generate = nn.Sequential(
            nn.BatchNorm2d(128),
            nn.LeakyReLU(),
            nn.ConvTranspose2d(128, 64, kernel_size=4, stride=2, padding=1),
            nn.BatchNorm2d(64),
            nn.LeakyReLU(),
            nn.ConvTranspose2d(64, 32, kernel_size=4, stride=2, padding=1),
            nn.BatchNorm2d(32),
            nn.LeakyReLU(),
            nn.ConvTranspose2d(32, 3, kernel_size=4, stride=2, padding=1),
            nn.Sigmoid(),
        )
        self.load_state_dict(dict(weights))
        self.distinct = distinct
        self.made = Made()

    def forward(self, codes: Tensor) -> Tensor:
        rows, copies = codes.reshape(-1, CODE_SIZE), 1
        if self.distinct and len(rows) > self.distinct and len(rows) % self.distinct == 0:
            rows, copies = rows[: self.distinct], len(rows) // self.distinct
        images: Tensor = self.upsample_and_generate(self.fc(rows).reshape(-1, 128, 4, 4))
        self.made.add(rows, images)
        return images if copies == 1 else images.repeat(copies, 1, 1, 1)


class Made:
    """The last calls of a generator and of its copies, at most `KEPT` images; `total` counts all calls."""

    def __init__(self) -> None:
        self.calls: deque[tuple[Tensor, Tensor]] = deque()
        self.count = 0
        self.total = 0

    def __deepcopy__(self, memo: dict[int, object]) -> Made:
        return self

    def add(self, codes: Tensor, images: Tensor) -> None:
        self.calls.append((snapshot(codes), snapshot(images)))
        self.count += len(codes)
        self.total += 1
        while self.count > KEPT and len(self.calls) > 1:
            self.count -= len(self.calls.popleft()[0])

    def last(self) -> Tensor | None:
        """The codes of the last call."""
        return self.calls[-1][0] if self.calls else None

    def codes_of(self, images: Tensor) -> Tensor | None:
        """For each image (N, 3, 32, 32), the codes (N, 64) of the most similar one that the generator has made."""
        if not self.calls:
            return None
        codes, made = (torch.cat([call[part] for call in self.calls]) for part in (0, 1))
        nearest = [(made - image).square().flatten(1).mean(1).argmin() for image in images.to(made)]
        return codes[torch.stack(nearest)]


# Messages of exceptions name what a student knows; pickle finds it under that name.
TrainedGenerator.__name__ = TrainedGenerator.__qualname__ = "Generator"
Generator = TrainedGenerator
