"""Weights of the small models that Problem 1's checks hand over, and how to read from an image the code it shows."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from autograder.judging import Draw, Mistake, Observation, expect, fail

PIXELS = 784
SIXTY_FOUR = Mistake(
    None,
    "The batch size 64 is written into the code, so that no other batch works.",
    "Take sizes from the arguments: randn_like(mu), zeros_like(mu), len(x), reshape(-1, ...).",
)


def weights(draw: Draw, nz: int, *, outputs: int | None = None, labels: int = 0) -> dict[str, Tensor]:
    """One linear layer each way: pixels -> `outputs` (2 nz when not given), nz -> pixels; label tables if asked.

    For pixels in [0, 1], means come out near N(0, 1) and log sigmas mostly between -1.5 and 0.7.
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
    """What the given encoder says of x (N, 1, 784): (N, outputs), in float64."""
    out = x.double().flatten(1) @ given["encoder_weight"].double().T + given["encoder_bias"].double()
    return out if c is None else out + given["encoder_labels"].double()[c.flatten()]


def decoded(given: dict[str, Tensor], z: Tensor, c: Tensor | None = None) -> Tensor:
    """What the given decoder makes of z (N, nz): (N, 784), in float64."""
    out = z.double() @ given["decoder_weight"].double().T + given["decoder_bias"].double()
    return torch.sigmoid(out if c is None else out + given["decoder_labels"].double()[c.flatten()])


def codes_in(given: dict[str, Tensor], images: Tensor, c: Tensor | None = None) -> Tensor | None:
    """The codes (N, nz) that the given decoder made `images` (N pixels-in-any-shape) of; None where no code does."""
    pixels = images.double().flatten(1)
    if pixels.shape[1] != PIXELS:
        return None
    logits = torch.logit(pixels.clamp(1e-7, 1 - 1e-7)) - given["decoder_bias"].double()
    if c is not None:
        logits = logits - given["decoder_labels"].double()[c.flatten()]
    # Least squares. Pixels near 0 or 1 are rounded coarsely before the logit: each counts by the precision it has.
    slope = (pixels * (1 - pixels)).clamp(min=1e-6).square()
    matrix = given["decoder_weight"].double()
    normal = (matrix.T * slope[:, None, :]) @ matrix
    z = torch.linalg.solve(normal, (slope * logits) @ matrix)
    return z if torch.allclose(decoded(given, z, c), pixels, atol=2e-4) else None


@dataclass(frozen=True)
class Sizes:
    """Odd sizes for a training run: the last batch is smaller than the others."""

    nz: int
    images: int
    batch: int
    epochs: int
    rate: float

    @property
    def iterations(self) -> int:
        return self.epochs * math.ceil(self.images / self.batch)


def sizes(draw: Draw) -> Sizes:
    """Sizes of a training run, drawn anew for every check."""
    batch = draw.integer(4, 8)
    full = draw.integer(2, 4)
    return Sizes(
        nz=draw.integer(3, 6),
        images=full * batch + draw.integer(2, batch),
        batch=batch,
        epochs=draw.integer(2, 4),
        rate=draw.choice([5e-4, 2e-3, 3e-3, 4e-3]),
    )


def refuse_64(seen: Observation, batch: int) -> None:
    """Ends the check when the call failed with `batch` samples and worked with 64."""
    if seen.flag("only_64"):
        fail(
            expected=f"a batch of {batch} works as well as one of 64",
            seen=f"with {batch} it raised: {seen.text('error')}",
            hint=SIXTY_FOUR.try_,
            diagnosis=SIXTY_FOUR.says,
        )


def expect_no_seed(seed_kept: bool, what: str) -> None:
    """Ends the check when the random generator was seeded inside the student's function."""
    expect(
        seed_kept,
        expected=f"{what}: the random generator is left as it is",
        seen="torch.manual_seed (or the like) was called inside",
        hint="Set seeds in the notebook, not in the functions: a seed inside makes every call draw the same values.",
        mistake=Mistake(None, "The random generator is reseeded inside the function."),
    )


def expect_other_images(first: Tensor, second: Tensor) -> None:
    """Ends the check when two calls sampled the same images."""
    expect(
        not torch.allclose(first, second, atol=1e-6),
        expected="other samples at every call",
        seen="the same images twice",
        hint="Draw the codes with torch.randn inside the function, at every call, and set no seed there.",
    )


def expect_no_collision(seen: Observation, what: str) -> None:
    """Ends the check when `what` mixed tensors of two devices."""
    expect(
        seen.get("collision") is None,
        expected=f"{what}: everything on the model's device, wherever that is",
        seen=f"on a device other than the CPU: {seen.text('collision')}",
        mistake=Mistake(
            None,
            "A tensor stays on the CPU while the model is on another device, such as a GPU.",
            "Make tensors with device=... or with functions such as zeros_like, and move every batch to the device.",
        ),
    )


def expect_encoded(seen: Observation, weights: dict[str, Tensor], x: Tensor, what: str) -> None:
    """Raises a fault unless the given encoder was asked about `x` first, on the CPU.

    This much every attempt does, right or wrong; code that does nothing, or only says that all is well, does not.
    """
    worked = rows_of(seen, weights["encoder_weight"].shape[0])
    right = encoded(weights, x)
    expect(
        worked is not None
        and len(worked) <= len(right)
        and torch.allclose(worked, right[: len(worked)], rtol=1e-3, atol=1e-3),
        expected=f"{what}: the model's encoder called with the images",
        seen="a model that was not called" if worked is None else "other codes than those of the images",
        hint="Send the images through the model.",
    )


def rows_of(seen: Observation, width: int) -> Tensor | None:
    """What a given module returned at its first call, as rows of that width in float64: one image or all of them."""
    worked = seen.get("worked")
    if not isinstance(worked, Tensor) or worked.numel() == 0 or worked.numel() % width:
        return None
    return worked.double().reshape(-1, width)


@dataclass(frozen=True)
class LoaderBatch:
    """One batch that a loader of numbered images served."""

    shape: list[int]  # of the images
    numbers: Tensor  # (N,) which image each is
    labels: Tensor  # (N,)


def loader_epochs(seen: Observation, epochs: int) -> list[list[LoaderBatch]]:
    """What the loader served in each epoch, every epoch with one batch at least."""
    read = []
    for epoch in seen.parts("epochs"):
        batches = []
        for batch in epoch.parts("batches"):
            numbers = batch.tensor("numbers", (None,), what="the images of a batch", floating=False)
            labels = batch.tensor("labels", (len(numbers),), what="the labels of a batch", floating=False)
            shape = [int(n) for n in batch.numbers("shape", what="the shape of a batch of images")]
            batches.append(LoaderBatch(shape, numbers.long(), labels.long()))
        expect(bool(batches), expected="batches in every epoch", seen="none")
        read.append(batches)
    expect(len(read) == epochs, expected=f"{epochs} epochs", seen=str(len(read)))
    return read
