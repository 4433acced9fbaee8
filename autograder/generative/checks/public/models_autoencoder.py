"""Weights of the small models that Problem 1's checks hand over, and the codes behind the images that they decode."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from autograder.judging import Draw

PIXELS = 784


def weights(draw: Draw, nz: int, *, outputs: int | None = None, labels: int = 0) -> dict[str, Tensor]:
    """One linear layer each way: pixels -> `outputs` (2 nz when not given), nz -> pixels; label tables if asked.

    For pixels in [0, 1], means are near N(0, 1) and log sigmas mostly between -1.5 and 0.7.
    """
    outputs = outputs or 2 * nz
    rows = torch.full((outputs, 1), 0.06)
    rows[nz:] = 0.025
    bias = draw.normal(outputs, std=0.4)
    bias[nz:] = -0.4 + 0.5 * bias[nz:]
    made = {
        "encoder_weight": draw.normal(outputs, PIXELS) * rows,
        "encoder_bias": bias,
        "decoder_weight": draw.normal(PIXELS, nz, std=0.3),
        "decoder_bias": draw.normal(PIXELS, std=0.3),
    }
    if labels:
        made["encoder_labels"] = draw.normal(labels, outputs, std=0.3)
        made["decoder_labels"] = draw.normal(labels, PIXELS, std=0.5)
    return made


def encoded(given: dict[str, Tensor], x: Tensor, c: Tensor | None = None) -> Tensor:
    """What the given encoder returns for x (N, 1, 784): (N, outputs), in float64."""
    out = x.double().flatten(1) @ given["encoder_weight"].double().T + given["encoder_bias"].double()
    return out if c is None else out + given["encoder_labels"].double()[c.flatten()]


def decoded(given: dict[str, Tensor], z: Tensor, c: Tensor | None = None) -> Tensor:
    """What the given decoder returns for z (N, nz): (N, 784), in float64."""
    out = z.double() @ given["decoder_weight"].double().T + given["decoder_bias"].double()
    return torch.sigmoid(out if c is None else out + given["decoder_labels"].double()[c.flatten()])


def codes_in(given: dict[str, Tensor], images: Tensor, c: Tensor | None = None) -> Tensor | None:
    """The codes (N, nz) that the given decoder turns into `images` (N, ...); None when there are none."""
    pixels = images.double().flatten(1)
    if pixels.shape[1] != PIXELS:
        return None
    logits = torch.logit(pixels.clamp(1e-7, 1 - 1e-7)) - given["decoder_bias"].double()
    if c is not None:
        logits = logits - given["decoder_labels"].double()[c.flatten()]
    # Least squares. Pixels near 0 or 1 are rounded coarsely before the logit, so each is weighted by its precision.
    slope = (pixels * (1 - pixels)).clamp(min=1e-6).square()
    matrix = given["decoder_weight"].double()
    products = (matrix[:, :, None] * matrix[:, None, :]).flatten(1)
    normal = (slope @ products).unflatten(1, (matrix.shape[1], -1))
    z = torch.linalg.solve(normal, (slope * logits) @ matrix)
    return z if torch.allclose(decoded(given, z, c), pixels, atol=2e-4) else None


def are_rounded(given: dict[str, Tensor], images: Tensor, c: Tensor | None = None) -> bool:
    """Whether the given decoder made the images of some codes, and they were rounded to 0 and 1 afterwards."""
    pixels = images.double().flatten(1)
    if pixels.shape[1] != PIXELS or not bool(((pixels == 0) | (pixels == 1)).all()):
        return False
    signs, added = 2 * pixels - 1, given["decoder_bias"].double()
    if c is not None:
        added = added + given["decoder_labels"].double()[c.flatten()]
    matrix = given["decoder_weight"].double()
    z = torch.linalg.lstsq(matrix, (signs - added).T).solution
    # Codes fit rounded decodings to nine pixels in ten, and random pixels to six.
    agrees = ((matrix @ z).T + added).sign() == signs
    return bool((agrees.double().mean(1) > 0.75).all())


@dataclass(frozen=True)
class Sizes:
    """Sizes of a training run whose last batch is smaller than the others."""

    nz: int
    images: int
    batch: int
    epochs: int
    rate: float

    @property
    def iterations(self) -> int:
        return self.epochs * math.ceil(self.images / self.batch)


def long_epoch(draw: Draw) -> Sizes:
    """Sizes of a run whose only epoch has more batches than a loop takes that was cut short to try it out."""
    nz = draw.size("latent", 3, 6)
    return Sizes(nz=nz, images=2 * draw.integer(101, 110), batch=2, epochs=1, rate=1e-3)


def sizes(draw: Draw) -> Sizes:
    """Sizes of a training run, drawn for each check."""
    batch = draw.size("batch", 4, 8)
    full, rest = draw.integer(2, 4), draw.integer(2, batch)
    return Sizes(
        nz=draw.size("latent", 3, 6),
        # Where the batch has the usual size, every batch has.
        images=full * batch + (0 if "batch" in draw.usual else rest),
        batch=batch,
        # Not the number of batches: an entry per epoch is another mistake than one epoch's entries. And so many that all but one
        # are several.
        epochs=draw.choice([count for count in (3, 4, 5) if count not in (full, full + 1)]),
        rate=draw.choice([5e-4, 2e-3, 3e-3, 4e-3]),
    )
