"""Mistakes of CVAE (question 1-8) that public checks recognise; labels.py and vae.py hold others of cvae.py."""

from __future__ import annotations

from autograder.judging import Candidate, Mistake

# The constructor: what CVAE(nz, conditional=True, num_labels=n) raises for n = 1, 0 and -1

NUM_LABELS_NOT_REQUIRED = Mistake(
    "cvae-num-labels-not-required",
    "A conditional model without any labels is accepted.",
    hint="Raise ValueError in __init__ when conditional and num_labels < 1.",
    questions=("1-8",),
)
ONE_LABEL_REFUSED = Mistake(
    "cvae-one-label-refused",
    "A conditional model with one label is refused.",
    hint="One label is enough: raise ValueError for num_labels < 1 only.",
    questions=("1-8",),
)


def refusals() -> list[Candidate]:
    """The known wrong lists of exceptions."""
    accepted = [["", "", ""], ["", "", "an exception"], ["", "an exception", ""]]
    return [
        *(NUM_LABELS_NOT_REQUIRED.giving(raised) for raised in accepted),
        ONE_LABEL_REFUSED.giving(["an exception"] * 3),
    ]


# The two parts: what they do with the label

LABEL_FIRST = Mistake(
    "label-before-input",
    "The label comes before the input; the order should be [input, onehot].",
    hint="Join them in this order, along the last axis.",
    questions=("1-8",),
)
LABEL_AS_NUMBER = Mistake(
    "label-as-one-number",
    "The label is joined to the input as one number, not as a one-hot vector.",
    hint="Join the one-hot vectors that idx2onehot makes of the labels.",
    questions=("1-8",),
)
ENCODER_IGNORES_LABELS = Mistake(
    "cvae-encoder-ignores-labels",
    "The encoder does not use the label: its output is the same for every label.",
    hint="Join the one-hot vector to the image before the first layer.",
    questions=("1-8",),
)
DECODER_IGNORES_LABELS = Mistake(
    "cvae-decoder-ignores-labels",
    "The decoder does not use the label: its output is the same for every label.",
    hint="Join the one-hot vector to the code before the first layer.",
    questions=("1-8",),
)
IGNORED_LABELS = {"encoder": ENCODER_IGNORES_LABELS, "decoder": DECODER_IGNORES_LABELS}
