"""What checks of both problems judge in the same way."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from autograder.judging import Observation, expect

from ...mistakes.public import common as mistakes
from .models_autoencoder import encoded


def expect_no_seed(seed_kept: bool, what: str) -> None:
    """Ends the check when the random generator was seeded inside the student's function."""
    expect(
        seed_kept,
        expected=f"{what}: the random generator is left as it is",
        seen="torch.manual_seed (or the like) was called inside",
        mistake=mistakes.GENERATOR_RESEEDED,
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
        mistake=mistakes.TENSOR_ON_CPU,
    )


def expect_encoded(seen: Observation, weights: dict[str, Tensor], x: Tensor, what: str) -> None:
    """Raises a fault unless the given encoder was first called with images of `x`, on the CPU.

    Every attempt does this much, right or wrong; code that does nothing, or only claims that all is well, does not.
    """
    worked = rows_of(seen, weights["encoder_weight"].shape[0])
    right = encoded(weights, x)
    expect(
        worked is not None
        and len(worked) <= len(right)
        and bool((torch.cdist(worked, right).min(1).values < 1e-2).all()),
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
    """One batch of a loader of numbered images."""

    shape: list[int]  # of the images
    numbers: Tensor  # (N,) the number of each image
    labels: Tensor  # (N,)


def loader_epochs(seen: Observation, epochs: int) -> list[list[LoaderBatch]]:
    """What the loader returned in each epoch; raises a fault unless every epoch has a batch."""
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
