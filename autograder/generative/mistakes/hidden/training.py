"""Mistakes in the training loops of Problem 1, and how a simulated loop makes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from autograder.judging import Candidate, Mistake, candidates

from ..public.training import (
    DECODER_ALONE,
    ENCODER_ALONE,
    HISTORY_PARTS_SWAPPED,
    HISTORY_SUMMED_OVER_BATCH,
    HISTORY_SUMMED_OVER_PIXELS,
    HISTORY_TOTAL_FOR_PART,
    LOOPS,
    NOT_CLEARED,
    RATE_LEFT_OUT,
    RIGHT_ENTRY,
    SGD,
)

LABELLED = ("1-8",)
TERMS = ("1-5", "1-8")  # losses of several terms

# The model's inputs.
ONE_STEP_PER_EPOCH = Mistake(
    "training-one-step-per-epoch",
    "There is one step per epoch, not one per batch.",
    hint="Take the step inside the loop over the batches.",
    questions=LOOPS,
)
ENDS_EARLY = Mistake(
    "training-ends-early",
    "Batches of a long epoch are left out: the loop ends early, for instance.",
    hint="Look for a break or a return that was left from trying the loop out.",
    questions=LOOPS,
)
IMAGES_ROUNDED = Mistake(
    "training-images-rounded",
    "The images are rounded to 0 and 1 before the model sees them.",
    hint="Train on the grey values: the cross-entropy takes them as they are.",
    questions=LOOPS,
)
BATCHES_KEPT = Mistake(
    "training-batches-kept",
    "The batches of the first epoch are kept and used again, so they are never shuffled anew.",
    hint="Go through the loader itself in every epoch: list(loader) and itertools.cycle(loader) keep its batches.",
    questions=LOOPS,
)
LABELS_NOT_PASSED = Mistake(
    "training-labels-not-passed",
    "The labels are not passed: the CVAE is trained as if it were the plain VAE.",
    hint="Call model(x, labels) when model.conditional is true.",
    questions=LABELLED,
)
LABELS_SHUFFLED = Mistake(
    "training-labels-shuffled",
    "The labels no longer match their images: they are in a different order.",
    hint="Pass the labels of the batch in the loader's order.",
    questions=LABELLED,
)

# Steps: each with the settings of `simulate` (checks/hidden/expected_steps.py) that make the mistake.
ADAM_EVERY_EPOCH = Mistake(
    "training-adam-every-epoch",
    "A new Adam is made every epoch, so its state is lost.",
    hint="Make the optimiser once, before the loops.",
    questions=LOOPS,
    once=True,
)
ADAM_EVERY_BATCH = Mistake(
    "training-adam-every-batch",
    "A new Adam is made for every batch, so its state is lost.",
    hint="Make the optimiser once, before the loops.",
    questions=LOOPS,
    once=True,
)
CLEARED_EVERY_EPOCH = Mistake(
    "training-gradients-cleared-every-epoch",
    "The gradients are cleared once per epoch: those of the epoch's earlier batches are added to them.",
    hint="Clear the gradients once in every iteration.",
    questions=LOOPS,
    once=True,
)
ADAMW = Mistake(
    "training-adamw",
    "The optimiser is AdamW, which decays the weights.",
    hint="Use torch.optim.Adam.",
    questions=LOOPS,
    once=True,
)
WEIGHT_DECAY = Mistake(
    "training-weight-decay",
    "Adam is given a weight_decay, which pulls the weights towards 0.",
    hint="Leave weight_decay out: the question asks for Adam's defaults.",
    questions=LOOPS,
    once=True,
)
BETAS_OF_GAN = Mistake(
    "training-betas-of-the-gan",
    "Adam has the betas of the DCGAN, (0.5, 0.999), in place of its defaults.",
    hint="Leave the betas out: the question asks for Adam's defaults.",
    questions=LOOPS,
    once=True,
)
GRADIENTS_CLIPPED = Mistake(
    "training-gradients-clipped",
    "The gradients are clipped to a norm of 1 before the step.",
    hint="Leave the gradients as they are: the question does not ask for clipping.",
    questions=LOOPS,
    once=True,
)
NO_STEP = Mistake(
    "training-no-step",
    "No step is taken, or the gradients are cleared between backward and step.",
    hint="The order is zero_grad, backward, step.",
    questions=LOOPS,
    once=True,
)
WRONG_LOOPS: tuple[tuple[Mistake, Mapping[str, Any]], ...] = (
    (RATE_LEFT_OUT, {"rate": 1e-3}),
    (NOT_CLEARED, {"clear": "never"}),
    (CLEARED_EVERY_EPOCH, {"clear": "epoch"}),
    (ADAM_EVERY_EPOCH, {"renew": "epoch"}),
    (ADAM_EVERY_BATCH, {"renew": "step"}),
    (SGD, {"kind": "SGD"}),
    (ADAMW, {"kind": "AdamW"}),
    (BETAS_OF_GAN, {"betas": (0.5, 0.999)}),
    (GRADIENTS_CLIPPED, {"clip": 1.0}),
    *((WEIGHT_DECAY, {"decay": decay}) for decay in (1e-2, 1e-3, 5e-4, 1e-4, 1e-5)),
    (NO_STEP, {"kind": "none"}),
    (DECODER_ALONE, {"only": "decoder"}),
    (ENCODER_ALONE, {"only": "encoder"}),
)

# Totals: `gives` is what is minimised, as a function of the losses by name.
REC_ALONE = Mistake(
    "training-minimises-rec-loss-alone",
    "Only rec_loss is minimised; the KL term is left out.",
    hint="Minimise the total that model.loss returns.",
    questions=TERMS,
    gives=lambda losses: losses["rec_loss"],
    once=True,
)
WITHOUT_BETA = Mistake(
    "training-minimises-total-without-beta",
    "rec_loss + kl_loss is minimised, without beta.",
    hint="Minimise the total that model.loss returns.",
    questions=TERMS,
    gives=lambda losses: losses["rec_loss"] + losses["kl_loss"],
    once=True,
)
WRONG_TOTALS = (REC_ALONE, WITHOUT_BETA)
OTHER_WEIGHT = Mistake(
    "training-weighs-kl-loss-itself",
    "The loop adds up the two terms itself, and weighs kl_loss by a number other than the model's beta.",
    hint="Minimise the total that model.loss returns.",
    questions=TERMS,
    once=True,
)

# The history: `gives` is the list of entries, as a function of the right ones and of the batches' lengths.
HISTORY_RUNNING_MEANS = Mistake(
    "history-running-means",
    "The entries are running means.",
    hint=RIGHT_ENTRY,
    questions=LOOPS,
    once=True,
)
HISTORY_KL_WEIGHTED = Mistake(
    "history-kl-loss-times-beta",
    "beta * kl_loss is recorded in place of kl_loss.",
    hint="Record kl_loss as model.loss returns it; beta belongs in the total only.",
    questions=TERMS,
    once=True,
)
WRONG_ENTRIES = (HISTORY_SUMMED_OVER_BATCH, HISTORY_SUMMED_OVER_PIXELS)


def wrong_histories(
    name: str, losses: Sequence[Mapping[str, float]], lengths: Sequence[int], per_epoch: int, beta: float
) -> list[Candidate]:
    """Known wrong entries for the losses called `name`. losses: those at each step; lengths: of the batches."""
    right = [entry[name] for entry in losses]
    others = [
        (HISTORY_TOTAL_FOR_PART if other == "total" else HISTORY_PARTS_SWAPPED).giving(
            [entry[other] for entry in losses]
        )
        for other in losses[0]
        if other != name
    ]
    means = [HISTORY_RUNNING_MEANS.giving(_running_means(right, every)) for every in (len(right), per_epoch)]
    weighed = [HISTORY_KL_WEIGHTED.giving([beta * loss for loss in right])] if name == "kl_loss" else []
    return [*candidates(WRONG_ENTRIES, right, lengths), *means, *weighed, *others]


def _running_means(values: Sequence[float], every: int) -> list[float]:
    """The mean up to each value, from the last multiple of `every` on."""
    starts = [i - i % every for i in range(len(values))]
    return [sum(values[start : i + 1]) / (i + 1 - start) for i, start in enumerate(starts)]
