"""Mistakes in the training loops of Problem 1 that public checks recognise."""

from __future__ import annotations

from autograder.judging import Mistake

LOOPS = ("1-2", "1-5", "1-8")

HISTORY_ONE_ENTRY_PER_EPOCH = Mistake(
    "history-one-entry-per-epoch",
    "The history has one entry per epoch, not one per iteration.",
    hint="Append the loss inside the inner loop, at every batch.",
    questions=LOOPS,
)
HISTORY_TWICE = Mistake(
    "history-entries-twice",
    "Every entry of the history is appended twice.",
    hint="Append each loss once per iteration, in one place.",
    questions=LOOPS,
    once=True,
)
HISTORY_KEEPS_GRAPHS = Mistake(
    "history-keeps-graphs",
    "The history keeps the autograd graph of every iteration in memory.",
    hint="Append loss.item(), not the loss tensor, which keeps its whole graph.",
    questions=LOOPS,
)
BATCHES_NOT_FLATTENED = Mistake(
    "batches-not-flattened",
    "The batches are not flattened before they go into the model.",
    hint="Use x.reshape(len(x), 1, 784) or x.flatten(1).unsqueeze(1).",
    questions=LOOPS,
)
