"""Mistakes of cvae.py (questions 1-8 and 1-9) that only hidden checks recognise; those of its VAE part are in vae.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from autograder.judging import Mistake, shared_rows

# idx2onehot: each `shows` takes the answer to labels that should be refused


@dataclass(frozen=True)
class Accepted:
    """An answer of idx2onehot(labels, n) where an exception is expected; good: (N,) labels from which the bad ones were made."""

    labels: Tensor
    answer: Any
    good: Tensor
    n: int

    def holds(self, rows: Tensor) -> bool:
        """True when the answer is (N, n) and equals `rows`."""
        right_shape = isinstance(self.answer, Tensor) and self.answer.shape == (len(self.good), self.n)
        return right_shape and torch.equal(self.answer.double(), rows.double())

    @property
    def wrapped(self) -> bool:
        """True when the answer is right for the labels modulo n."""
        whole = self.labels.dim() == 1 and not self.labels.is_floating_point()
        return whole and self.holds(torch.eye(self.n)[self.labels % self.n])


def _two_hot(seen: Accepted) -> bool:
    if seen.labels.dim() != 2 or seen.labels.shape[1] != 2:
        return False
    both = torch.eye(seen.n)[seen.labels].sum(1)
    return seen.holds(both) or seen.holds(both.clamp(max=1))


IN_RANGE = "Raise ValueError unless every label is at least 0 and below n."
TWO_HOT = Mistake(
    "one-hot-two-hot-rows",
    "Labels of shape (N, 2) become rows with two ones.",
    hint="Raise ValueError unless idx has shape (N,) or (N, 1).",
    questions=("1-8",),
    shows=_two_hot,
)
OTHER_SHAPE = Mistake(
    "one-hot-accepts-other-shapes",
    "Labels of a shape other than (N,) and (N, 1) are accepted.",
    hint="Check idx.shape first.",
    questions=("1-8",),
    shows=lambda seen: seen.labels.dim() != 1,
)
FLOATS = Mistake(
    "one-hot-accepts-floats",
    "Labels of a float type are accepted as if they were integers.",
    hint="Raise ValueError unless idx has an integer dtype.",
    questions=("1-8",),
    shows=lambda seen: seen.labels.is_floating_point() and seen.holds(torch.eye(seen.n)[seen.good]),
)
NEGATIVE = Mistake(
    "one-hot-negative-from-the-end",
    "Negative labels are accepted and count from the end.",
    hint=IN_RANGE,
    questions=("1-8",),
    shows=lambda seen: bool((seen.labels < 0).any()) and seen.wrapped,
)
MODULO = Mistake(
    "one-hot-labels-modulo-n",
    "Labels of n or more are accepted and taken modulo n.",
    hint=IN_RANGE,
    questions=("1-8",),
    shows=lambda seen: seen.wrapped,
)
ACCEPTED = (TWO_HOT, OTHER_SHAPE, FLOATS, NEGATIVE, MODULO)
ONEHOT_ON_CPU = Mistake(
    "one-hot-on-cpu",
    "The one-hot vectors stay on the CPU while the labels are on another device.",
    hint="Create the tensor with device=idx.device.",
    questions=("1-8",),
)

# forward: `gives` is q, for a function that encodes the images with given labels, and the labels

ENCODER_WITHOUT_LABELS = Mistake(
    "forward-encodes-without-labels",
    "The labels are not passed to the encoder in forward.",
    hint="Call self.encoder(x, c).",
    questions=("1-8",),
    gives=lambda encode, c: encode(None),
    once=True,
)
ENCODER_WITH_LABEL_ZERO = Mistake(
    "forward-encodes-label-zero",
    "Every image is encoded with label 0, not with its own.",
    hint="Call self.encoder(x, c).",
    questions=("1-8",),
    gives=lambda encode, c: encode(0 * c),
    once=True,
)
ENCODINGS = (ENCODER_WITHOUT_LABELS, ENCODER_WITH_LABEL_ZERO)
DECODER_WITHOUT_LABELS = Mistake(
    "forward-decodes-without-labels",
    "The labels are not passed to the decoder in forward.",
    hint="Call self.decoder(z, c).",
    questions=("1-8",),
    once=True,
)

# reconstruct: `gives` is the images


@dataclass(frozen=True)
class Labelled:
    """Images with labels between given networks; both functions take labels, or None for a call without them."""

    c: Tensor
    mean: Callable[[Tensor | None], Tensor]
    decode: Callable[[Tensor, Tensor | None], Tensor]


USE_LABELS = "Call self.encoder(x, c), then self.decoder(mean, c)."
RECONSTRUCT_DECODES_WITHOUT_LABELS = Mistake(
    "reconstruct-decodes-without-labels",
    "reconstruct does not pass the labels to the decoder.",
    hint=USE_LABELS,
    questions=("1-8",),
    gives=lambda case: case.decode(case.mean(case.c), None),
    once=True,
)
RECONSTRUCT_ENCODES_WITHOUT_LABELS = Mistake(
    "reconstruct-encodes-without-labels",
    "reconstruct does not pass the labels to the encoder.",
    hint=USE_LABELS,
    questions=("1-8",),
    gives=lambda case: case.decode(case.mean(None), case.c),
    once=True,
)
RECONSTRUCT_WITHOUT_LABELS = Mistake(
    "reconstruct-without-labels",
    "reconstruct does not use the labels.",
    hint=USE_LABELS,
    questions=("1-8",),
    gives=lambda case: case.decode(case.mean(None), None),
    once=True,
)
RECONSTRUCT_WITH_LABEL_ZERO = Mistake(
    "reconstruct-decodes-label-zero",
    "reconstruct decodes every image with label 0, not with its own.",
    hint=USE_LABELS,
    questions=("1-8",),
    gives=lambda case: case.decode(case.mean(case.c), 0 * case.c),
    once=True,
)
RECONSTRUCTIONS = (
    RECONSTRUCT_DECODES_WITHOUT_LABELS,
    RECONSTRUCT_ENCODES_WITHOUT_LABELS,
    RECONSTRUCT_WITHOUT_LABELS,
    RECONSTRUCT_WITH_LABEL_ZERO,
)

# sample_conditional


def code_per_class(codes: Tensor, labels: Tensor) -> bool:
    """True when samples with one label share their code, and the others do not."""
    classes = [codes[labels == k] for k in labels.unique() if int((labels == k).sum()) > 1]
    return not shared_rows(codes) and all(shared_rows(rows) for rows in classes)


ONE_CODE_PER_CLASS = Mistake(
    "samples-one-code-per-class",
    "One code is drawn for each class, not for each label.",
    hint="Draw a tensor of shape (len(labels), nz).",
    questions=("1-9",),
    shows=code_per_class,
)
