"""Mistakes in sampling from a decoder, with labels or without."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

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
IMAGES_CHANGED = Mistake(
    "samples-changed-after-decoding",
    "The decoder's images are changed before they are returned: scaled, inverted or transposed.",
    hint="Return the decoder's output as it is, in [0, 1]; only its shape changes.",
    questions=SAMPLING,
)
# What turns images that were changed so into the decoder's own: those of 0 to 255, (x + 1) / 2, 2 x - 1, 1 - x, transposed ones.
UNDONE: tuple[Callable[[Tensor], Tensor], ...] = (
    lambda images: images / 255,
    lambda images: 2 * images - 1,
    lambda images: (images + 1) / 2,
    lambda images: 1 - images,
    lambda images: images.transpose(-1, -2),
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
    images: Tensor, labels: Tensor | None, decoded_with: Callable[[Tensor, Tensor | None], bool]
) -> Mistake | None:
    """The mistake that explains sampled images that the decoder does not make from the right labels.

    decoded_with: whether the decoder makes some images of some codes, with the labels given (None: without).
    """
    rounded = first_shown([IMAGES_ROUNDED], images)
    if rounded:
        return rounded
    if any(decoded_with(undo(images), labels) for undo in UNDONE):
        return IMAGES_CHANGED
    if labels is None:
        return None
    return first_shown([LABELS_NOT_PASSED, LABELS_REORDERED], partial(decoded_with, images), labels)
