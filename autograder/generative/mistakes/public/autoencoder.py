"""Mistakes in the auto-encoder: its data loader, its loss, its samples."""

from __future__ import annotations

from autograder.judging import Mistake

LOADER = ("1-1",)
LOSS = ("1-2", "1-4", "1-8")

FIXED_LOADER_BATCH_SIZE = Mistake(
    "loader-batch-size-fixed",
    "The loader's batch size is hard-coded as 64.",
    hint="Pass batch_size to the DataLoader.",
    questions=LOADER,
)
LAST_BATCH_KEPT = Mistake(
    "loader-last-batch-kept",
    "The last, incomplete batch is not dropped.",
    hint="DataLoader has an argument for this.",
    questions=LOADER,
)

LOSS_NOT_REDUCED = Mistake(
    "loss-not-reduced",
    "The loss is not reduced to one number: the mean of the returned values would be right.",
    hint="Take the mean over every element.",
    questions=("1-2",),
)
LOSS_ARGUMENTS_SWAPPED = Mistake(
    "reconstruction-loss-arguments-swapped",
    "The arguments of the reconstruction loss are swapped.",
    hint="The prediction comes first and the target second, as in PyTorch's function.",
    questions=LOSS,
    once=True,
)
LOSS_SUMMED_OVER_PIXELS = Mistake(
    "reconstruction-loss-summed-over-pixels",
    "The reconstruction loss is summed over pixels.",
    hint="Take the mean over every element.",
    questions=LOSS,
    once=True,
)
LOSS_SUMMED = Mistake(
    "reconstruction-loss-summed",
    "The reconstruction loss is summed over all elements.",
    hint="Take the mean over every element.",
    questions=LOSS,
    once=True,
)
LOSS_OF_LOGITS = Mistake(
    "reconstruction-loss-of-logits",
    "The prediction is treated as logits, although it has already passed through a sigmoid.",
    hint="Use the loss for probabilities, not the one 'with logits'.",
    questions=LOSS,
    once=True,
)
ORIGINALS_NOT_RESHAPED = Mistake(
    "originals-not-reshaped",
    "x is not reshaped to the shape of x_hat: the loss works only when the two shapes already agree.",
    hint="Start with x.reshape(x_hat.shape).",
    questions=("1-2",),
)

SAMPLE_COUNT_FIXED = Mistake(
    "sample-count-fixed",
    "The number of images does not depend on num_samples.",
    hint="Draw codes of shape (num_samples, nz).",
    questions=("1-3",),
)
