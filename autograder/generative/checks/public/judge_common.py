"""What checks of both problems judge in the same way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from autograder.judging import Draw, Mistake, Observation, expect

from ...mistakes.public import common as mistakes
from ...mistakes.public import training
from ...mistakes.public.sampling import IMAGES_CHANGED, UNDONE
from .models_autoencoder import are_rounded, codes_in, encoded


def repeated(draw: Draw, n: int) -> Tensor:
    """Which of about n / 2 different inputs each of n rows holds, in a drawn order: every function of an input repeats too.

    Constants and random numbers do not, so this much shows that the outputs were computed from the inputs.
    """
    return (torch.arange(n) % ((n + 1) // 2))[draw.permutation(n)]


def expect_repeated(out: Tensor, rows: Tensor, what: str) -> None:
    """Raises a fault unless the outputs (N, ...) are equal for equal inputs, and most differ for others; see `repeated`.

    Not all: one output unit may give two inputs the same float32 number.
    """
    flat = out.double().flatten(1)
    apart = torch.cdist(flat, flat, p=torch.inf, compute_mode="donot_use_mm_for_euclid_dist")
    equal = rows[:, None] == rows
    near = 1e-5 * (1 + float(flat.abs().max()))
    expect(
        bool((apart[equal] <= near).all()),
        expected=f"{what}: the same for the same input",
        seen="different outputs for equal inputs of a batch",
    )
    different = apart[~equal] > 0
    expect(
        bool(different.sum() * 2 >= len(different)),
        expected=f"{what}: different outputs for different inputs",
        seen="the same output for different inputs",
    )


def expect_no_seed(seed_kept: bool, what: str) -> None:
    """Ends the check when the random generator was seeded inside the student's function."""
    expect(
        seed_kept,
        expected=f"{what}: the random generator is left as it is",
        seen="torch.manual_seed (or the like) was called inside",
        mistake=mistakes.GENERATOR_RESEEDED,
    )


def expect_training_mode(seen: Observation) -> None:
    """Ends the check unless every step of a training loop was in training mode."""
    expect(
        seen.flag("training"),
        expected="encoder and decoder in training mode at every step (the model is passed in evaluation mode)",
        seen="evaluation mode" if seen.parts("batches") else "no call of the model",
        mistake=None
        if not seen.parts("batches")
        else training.TRAINING_MODE_LEFT
        if seen.flag("training_first")
        else training.NOT_IN_TRAINING_MODE,
    )


def expect_gradients_on(seen: Observation, what: str) -> None:
    """Ends the check when a function has switched gradients off for all that follows."""
    expect(
        seen.flag("grad_kept"),
        expected=f"{what}: gradients still enabled after the call",
        seen="torch.is_grad_enabled() is False after the call",
        mistake=mistakes.GRADIENTS_OFF_FOR_GOOD,
    )


def expect_decoded(given: dict[str, Tensor], images: Tensor, labels: Tensor | None, what: str) -> None:
    """Raises a fault unless the given decoder made the images of some codes, with these labels or in any wrong use of them.

    Which codes and labels they were is another check's matter.
    """
    orders = [None] if labels is None else [labels, None, labels.flip(0), labels.sort().values]
    expect(
        any(
            codes_in(given, images, order) is not None or are_rounded(given, images, order)
            for order in orders
        ),
        expected=f"{what}: what model.decoder returns for some codes",
        seen="images that the decoder returns for no code",
        mistake=why_not_decoded(given, images, labels),
        hint="Return the decoder's output as it is; only its shape changes.",
    )


def why_not_decoded(given: dict[str, Tensor], images: Tensor, labels: Tensor | None) -> Mistake | None:
    """The mistake that turns images that the decoder made into these, if it is a known one."""
    undone = (codes_in(given, undo(images), labels) for undo in UNDONE)
    return IMAGES_CHANGED if any(codes is not None for codes in undone) else None


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
        mistake=device_mistake(seen),
        hint="Return a tensor, or move it to the CPU before it becomes an array.",
    )


def device_mistake(seen: Observation) -> Mistake | None:
    """The mistake that a mix of devices shows; None where a tensor of the other device was to become an array."""
    return None if "to numpy" in seen.text("collision") else mistakes.TENSOR_ON_CPU


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
class Numbered:
    """A data set of images that can be told apart: all pixels of one have the same value, which no other has."""

    shades: Tensor  # (n,) in [0, 1]
    labels: Tensor  # (n,)

    @property
    def sent(self) -> dict[str, Any]:
        return {"shades": self.shades, "labels": self.labels}

    def numbers(self, shades: Tensor) -> Tensor:
        """The numbers of images with these shades; raises a fault for a shade that no image has."""
        gaps = (shades.double()[:, None] - self.shades.double()).abs()
        nearest = gaps.min(1)
        expect(
            bool((nearest.values < 0.3 / len(self.shades)).all()),
            expected="batches of the data set's images",
            seen="other images",
        )
        return nearest.indices


def numbered(draw: Draw, n: int, classes: int) -> Numbered:
    """A data set of n images in a drawn order of their shades, with drawn labels."""
    return Numbered(draw.permutation(n) / n, draw.labels(classes, n))


@dataclass(frozen=True)
class LoaderBatch:
    """One batch of a loader of numbered images."""

    shape: list[int]  # of the images
    numbers: Tensor  # (N,) the number of each image
    labels: Tensor  # (N,)


def loader_epochs(seen: Observation, epochs: int, data: Numbered) -> list[list[LoaderBatch]]:
    """What the loader returned in each epoch; raises a fault unless every epoch has a batch of the data set's images."""
    read = []
    for epoch in seen.parts("epochs"):
        batches = []
        for batch in epoch.parts("batches"):
            shades = batch.tensor("shades", (None,), what="the images of a batch")
            expect(
                len(shades) <= len(data.shades),
                expected=f"batches of at most {len(data.shades)} images, as many as the data set has",
                seen=f"a batch of {len(shades)}",
            )
            numbers = data.numbers(shades)
            labels = batch.tensor("labels", (len(numbers),), what="the labels of a batch", floating=False)
            shape = [int(n) for n in batch.numbers("shape", what="the shape of a batch of images")]
            expect(bool(shape), expected="images in every batch", seen="a batch without images")
            batches.append(LoaderBatch(shape, numbers, labels.long()))
        expect(bool(batches), expected="batches in every epoch", seen="none")
        served = torch.cat([batch.numbers for batch in batches])
        # Drawing with replacement, which another check is about, reaches 63 % of the images.
        expect(
            len(served.unique()) > 0.4 * len(served),
            expected="batches of different images",
            seen=f"{len(served.unique())} different images among {len(served)}",
        )
        read.append(batches)
    expect(len(read) == epochs, expected=f"{epochs} epochs", seen=str(len(read)))
    return read
