"""Mistakes in sampling from a decoder, with labels or without."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from autograder.judging import Mistake, first_shown

from .common import IMAGES_ROUNDED

SAMPLING = ("1-3", "1-9")
LABELLED = ("1-9",)

NOTHING_DRAWN = Mistake(
    "code-not-drawn",
    "Nothing is drawn: the code is zero.",
    hint="Draw it with torch.randn.",
    questions=SAMPLING,
    once=True,
)
LABELS_NOT_PASSED = Mistake(
    "labels-not-passed-to-decoder",
    "The labels are not passed to the decoder.",
    hint="Call model.decoder(z, labels).",
    questions=LABELLED,
    shows=lambda decoded_with, labels: decoded_with(None),
)
LABELS_REORDERED = Mistake(
    "labels-reordered",
    "The labels are not kept in their order.",
    hint="The i-th image belongs to the i-th label.",
    questions=LABELLED,
    shows=lambda decoded_with, labels: any(
        decoded_with(other) for other in (labels.flip(0), labels.sort().values)
    ),
)


def sampling_mistake(
    images: Tensor, labels: Tensor | None, decoded_with: Callable[[Tensor | None], bool]
) -> Mistake | None:
    """The mistake that explains sampled images that the decoder does not make from the right labels.

    decoded_with: whether the decoder makes the images of some codes, with the labels given (None: without).
    """
    rounded = first_shown([IMAGES_ROUNDED], images)
    if rounded or labels is None:
        return rounded
    return first_shown([LABELS_NOT_PASSED, LABELS_REORDERED], decoded_with, labels)
