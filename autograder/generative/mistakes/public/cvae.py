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
    accepted = [["", "", ""], ["", "", "ValueError"], ["", "ValueError", ""]]
    return [
        *(NUM_LABELS_NOT_REQUIRED.giving(raised) for raised in accepted),
        ONE_LABEL_REFUSED.giving(["ValueError"] * 3),
    ]
