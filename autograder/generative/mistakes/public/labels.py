"""Mistakes with labels: one-hot vectors, and models that take labels."""

from __future__ import annotations

from torch import Tensor

from autograder.judging import Candidate, Mistake

ONE_HOT = ("1-8",)
CONDITIONAL = ("1-8",)

ONE_HOT_EXTRA_AXIS = Mistake(
    "one-hot-extra-axis",
    "Labels of shape (N, 1) give vectors with one axis too many.",
    hint="Reshape the labels to (N,) first.",
    questions=ONE_HOT,
)
ONE_HOT_FIXED_CLASSES = Mistake(
    "one-hot-classes-fixed",
    "The number of classes is hard-coded as 10.",
    hint="Make vectors of length n.",
    questions=ONE_HOT,
)
ONE_HOT_CLASSES_FROM_LABELS = Mistake(
    "one-hot-classes-from-labels",
    "The number of classes is taken from the largest label, not from n.",
    hint="Use n as the number of classes.",
    questions=ONE_HOT,
)
ONE_HOT_INTEGERS = Mistake(
    "one-hot-integers",
    "The one-hot vectors hold integers, not floats.",
    hint="Convert them with tensor.float(): the networks need floats.",
    questions=ONE_HOT,
)


def wrong_one_hot_shapes(idx: Tensor, n: int) -> list[Candidate]:
    """Known wrong shapes of the one-hot vectors of labels idx, (N,) or (N, 1), for n classes."""
    count, largest = len(idx), int(idx.max()) + 1
    wrong = []
    if idx.dim() == 2:
        wrong.append(ONE_HOT_EXTRA_AXIS.giving((count, 1, n)))
    if n != 10:
        wrong.append(ONE_HOT_FIXED_CLASSES.giving((count, 10)))
    if largest not in (n, 10):
        wrong.append(ONE_HOT_CLASSES_FROM_LABELS.giving((count, largest)))
    return wrong


NEEDS_LABELS = Mistake(
    "unconditional-needs-labels",
    "The unconditional model crashes when it is called without labels; the conditional one works.",
    hint="Use c, and enlarge the layers for it, only when conditional is true.",
    questions=CONDITIONAL,
)
REFUSED_UNCONDITIONAL = Mistake(
    "unconditional-refused",
    "Making an unconditional CVAE crashes; the conditional one works.",
    hint="num_labels is needed only when conditional is true.",
    questions=CONDITIONAL,
)
RECONSTRUCT_NEEDS_LABELS = Mistake(
    "unconditional-reconstruct-needs-labels",
    "reconstruct crashes without labels where the model is unconditional; forward works.",
    hint="Ask for labels only when conditional is true.",
    questions=CONDITIONAL,
)
LABELS_ADDED_UNASKED = Mistake(
    "unconditional-has-label-inputs",
    "The layers have inputs for labels even where conditional is False.",
    hint="Add num_labels to the number of inputs only when conditional is true.",
    questions=CONDITIONAL,
    once=True,
)
NEVER_RUN = Mistake(
    "reconstruct-never-run",
    "reconstruct crashes on images and labels that forward accepts: it may never have been run.",
    hint="Call the encoder and the decoder in reconstruct as forward does.",
    questions=CONDITIONAL,
)
