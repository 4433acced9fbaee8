"""Mistakes in the layers of `SpectralNormDiscriminator`."""

from __future__ import annotations

from collections.abc import Sequence

from autograder.judging import Mistake, Observation

Operations = Sequence[Observation]


def kinds(operations: Operations) -> list[str]:
    return [operation.text("kind") for operation in operations]


def lacks_batch_norm(ours: Operations, plain: Operations) -> bool:
    return kinds(ours) == [kind for kind in kinds(plain) if kind != "batch norm"]


def has_other_convolutions(ours: Operations, plain: Operations) -> bool:
    differing = [b for a, b in zip(ours, plain, strict=False) if dict(a) != dict(b)]
    return kinds(ours) == kinds(plain) and "convolution" in kinds(differing)


REPLACES_BATCH_NORM = Mistake(
    "spectral-norm-replaces-batch-norm",
    "The batch normalisations are replaced by spectral normalisation.",
    hint="Keep both batch normalisations; only the convolutions' weights change.",
    questions=("2-3",),
    shows=lacks_batch_norm,
)
OTHER_CONVOLUTIONS = Mistake(
    "spectral-norm-other-convolutions",
    "A convolution has other settings (channels, kernel, stride or padding) than in Discriminator.",
    hint="Normalise the convolutions of Discriminator without changing their settings.",
    questions=("2-3",),
    shows=has_other_convolutions,
)
# Recognised by the operations of the student's discriminator and those of Discriminator.
LAYERS = (REPLACES_BATCH_NORM, OTHER_CONVOLUTIONS)
