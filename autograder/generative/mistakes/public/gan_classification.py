"""Mistakes in a DCGAN's classification loss, recognised by its value for a `LossCase`."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from autograder.judging import Mistake

from .gan import LOSS_SUMMED, USE_LOGITS

bce = F.binary_cross_entropy_with_logits

LOSS_MISTAKES = (
    LOSS_SUMMED,
    Mistake(
        "classification-loss-arguments-swapped",
        "Logits and labels are swapped: the labels are used as the prediction.",
        hint="PyTorch's losses take the prediction first.",
        questions=("2-1a",),
        gives=lambda case: bce(case.labels, case.logits),
    ),
    Mistake(
        "classification-loss-labels-flipped",
        "The labels are flipped.",
        hint="With label 1, a higher logit must give a lower loss.",
        questions=("2-1a",),
        gives=lambda case: bce(case.logits, 1 - case.labels),
    ),
    Mistake(
        "classification-loss-negated",
        "The loss has the wrong sign.",
        hint="Cross-entropy is never negative.",
        questions=("2-1a",),
        gives=lambda case: -case.right,
    ),
    Mistake(
        "classification-loss-two-sigmoids",
        "The sigmoid is applied twice.",
        hint="binary_cross_entropy_with_logits already applies one.",
        questions=("2-1a",),
        gives=lambda case: bce(case.logits.sigmoid(), case.labels),
    ),
    Mistake(
        "classification-loss-squared-error-of-logits",
        "The loss is the squared error of the logits: it is not the cross-entropy, and the sigmoid is missing too.",
        hint=USE_LOGITS,
        questions=("2-1a",),
        gives=lambda case: F.mse_loss(case.logits, case.labels),
    ),
    Mistake(
        "classification-loss-squared-error",
        "The loss is the squared error instead of the binary cross-entropy.",
        hint=USE_LOGITS,
        questions=("2-1a",),
        gives=lambda case: F.mse_loss(case.logits.sigmoid(), case.labels),
    ),
    Mistake(
        "classification-loss-base-two",
        "The logarithm is to the base 2.",
        hint="Use the natural logarithm.",
        questions=("2-1a",),
        gives=lambda case: case.right / math.log(2),
    ),
    Mistake(
        "classification-loss-of-labels-plus-minus-one",
        "The loss is that of labels 1 and -1; here they are 1 and 0.",
        hint=USE_LOGITS,
        questions=("2-1a",),
        gives=lambda case: F.softplus(-case.labels * case.logits).mean(),
    ),
    Mistake(
        "classification-loss-without-absolute-value",
        "The stable formula lacks its absolute value: the exponential is that of -|logit|.",
        hint=USE_LOGITS,
        questions=("2-1a",),
        gives=lambda case: (
            case.logits.clamp(min=0) - case.logits * case.labels + torch.log1p(torch.exp(-case.logits))
        ).mean(),
    ),
    Mistake(
        "classification-loss-of-classes",
        "The loss is always 0: cross_entropy treats the single logit as the only class.",
        hint="Use the binary cross-entropy with logits.",
        questions=("2-1a",),
        gives=lambda case: 0.0,
    ),
)
LOSS_WITHOUT_GRAPH = Mistake(
    "gan-loss-without-graph",
    "The loss is detached from its autograd graph, so nothing can learn from it.",
    hint="Return the tensor itself: do not use item(), detach() or no_grad().",
    questions=("2-1a", "2-4"),
)
