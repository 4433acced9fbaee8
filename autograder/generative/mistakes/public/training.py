"""Mistakes in the training loops of Problem 1 that public checks recognise."""

from __future__ import annotations

from autograder.judging import Mistake

LOOPS = ("1-2", "1-5", "1-8")

HISTORY_ONE_ENTRY_PER_EPOCH = Mistake(
    "history-one-entry-per-epoch",
    "The history has one entry per epoch, not one per iteration.",
    hint="Append the loss inside the inner loop, at every batch.",
    questions=LOOPS,
    once=True,
)
ONE_EPOCH = Mistake(
    "training-one-epoch",
    "The loop goes through the loader only once, whatever `epochs` is.",
    hint="Go through the loader anew in every epoch; a `return` inside the loops would end them early.",
    questions=LOOPS,
)
ONE_EPOCH_TOO_FEW = Mistake(
    "training-one-epoch-too-few",
    "The loop runs one epoch too few.",
    hint="range(epochs) counts `epochs` times, from 0; range(1, epochs) leaves one out.",
    questions=LOOPS,
)
LAST_BATCH_LEFT_OUT = Mistake(
    "training-last-batch-left-out",
    "The last batch of every epoch is left out.",
    hint="Take a step on every batch that the loader yields: it leaves out incomplete ones itself.",
    questions=LOOPS,
)
ONE_BATCH = Mistake(
    "training-one-batch",
    "The loop ends after the first batch.",
    hint="If a `return` stands inside the loops, move it out of both.",
    questions=LOOPS,
)
HISTORY_LAST_EPOCH = Mistake(
    "history-last-epoch-only",
    "The history begins anew in every epoch, so it holds the last epoch only.",
    hint="Make the history once, before the loops.",
    questions=LOOPS,
    once=True,
)
HISTORY_TWICE = Mistake(
    "history-entries-twice",
    "Every entry of the history is appended twice.",
    hint="Append each loss once per iteration, in one place.",
    questions=LOOPS,
    once=True,
)
HISTORY_ONE_LIST = Mistake(
    "history-one-list-for-both",
    "Both keys of the history hold the same list, so it gets the entries of both.",
    hint='Make two lists: {"rec_loss": [], "kl_loss": []}. dict.fromkeys(names, []) makes one.',
    questions=("1-5", "1-8"),
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

# Steps, by their size.
NOT_IN_TRAINING_MODE = Mistake(
    "training-mode-not-set",
    "The model is not switched to training mode.",
    hint="Switch the model to training mode before the first step.",
    questions=LOOPS,
)
TRAINING_MODE_LEFT = Mistake(
    "training-mode-left",
    "The first step is in training mode, later ones are not.",
    hint="Where the loop evaluates the model in between, switch it back to training mode afterwards.",
    questions=LOOPS,
)
RATE_LEFT_OUT = Mistake(
    "training-rate-left-out",
    "Adam's learning rate is left out: it trains with the default, 1e-3.",
    hint="Use Adam(..., lr=learning_rate).",
    questions=LOOPS,
    once=True,
)
NOT_CLEARED = Mistake(
    "training-gradients-not-cleared",
    "The gradients are not cleared: those of earlier batches are added to them.",
    hint="Clear the gradients once in every iteration.",
    questions=LOOPS,
    once=True,
)
SGD = Mistake(
    "training-sgd",
    "The optimiser is plain gradient descent (SGD), not Adam.",
    hint="Use torch.optim.Adam.",
    questions=LOOPS,
    once=True,
)
DECODER_ALONE = Mistake(
    "training-decoder-alone",
    "Only the decoder is trained.",
    hint="Pass model.parameters() to the optimiser.",
    questions=LOOPS,
    once=True,
)
ENCODER_ALONE = Mistake(
    "training-encoder-alone",
    "Only the encoder is trained.",
    hint="Pass model.parameters() to the optimiser.",
    questions=LOOPS,
    once=True,
)
RATE_CHANGES = Mistake(
    "training-rate-changes",
    "The learning rate changes during training.",
    hint="Keep the learning rate constant.",
    questions=LOOPS,
)

# The history: `gives` is the list of entries, as a function of the right ones and of the batches' lengths.
RIGHT_ENTRY = "Record the loss of the batch that the step is taken on."
HISTORY_SUMMED_OVER_BATCH = Mistake(
    "history-summed-over-batch",
    "The recorded loss is summed over the batch.",
    hint=RIGHT_ENTRY,
    questions=LOOPS,
    gives=lambda right, lengths: [r * n for r, n in zip(right, lengths, strict=True)],
    once=True,
)
HISTORY_SUMMED_OVER_PIXELS = Mistake(
    "history-summed-over-pixels",
    "The recorded loss is summed over pixels.",
    hint=RIGHT_ENTRY,
    questions=LOOPS,
    gives=lambda right, lengths: [r * 784 for r in right],
    once=True,
)
HISTORY_TOTAL_FOR_PART = Mistake(
    "history-total-for-part",
    "The total is recorded instead of one of its parts.",
    hint="Record rec_loss and kl_loss, each under its own name.",
    questions=("1-5", "1-8"),
    once=True,
)
HISTORY_PARTS_SWAPPED = Mistake(
    "history-parts-swapped",
    "One part of the loss is recorded instead of the other: rec_loss for kl_loss, or the reverse.",
    hint="Record rec_loss and kl_loss, each under its own name.",
    questions=("1-5", "1-8"),
    once=True,
)
