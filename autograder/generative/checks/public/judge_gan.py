"""How checks ask for the two losses of a DCGAN, and what they have in common in judging them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from autograder.judging import (
    Draw,
    Fault,
    Mistake,
    NoAnswer,
    Observation,
    Submission,
    candidates,
    close,
    fail,
    first_shown,
)

from ...mistakes.public.gan import (
    LARGE_LOGITS,
    LOSS_NOT_REDUCED,
    MISTAKES_AT_LARGE_LOGITS,
    InitialLayer,
    LossCase,
)
from ...mistakes.public.gan_classification import LOSS_MISTAKES


def ask_loss(submission: Submission, logits: Tensor, labels: Tensor) -> Observation:
    """One call of _classification_loss: its value and its gradient with respect to the logits."""
    return submission.ask("gan.loss_value", name="_classification_loss", first=logits, second=labels)


def loss_number(seen: Observation, right: float, what: str, finite: bool = True) -> float:
    """The loss that was returned, as a number.

    right: what its mean must be if it was returned without being reduced.
    Raises Fault, with the mistake's name in that case.
    """
    value = seen.get("loss")
    if (
        isinstance(value, Tensor)
        and value.numel() > 1
        and value.is_floating_point()
        and close(value.mean().item(), right, rtol=1e-3, atol=1e-6)
    ):
        fail(
            expected=f"{what}: a number",
            seen=f"{value.numel()} values, of shape {tuple(value.shape)}",
            mistake=LOSS_NOT_REDUCED,
        )
    return seen.number("loss", what=what, finite=finite)


def mistake_at_large_logits(submission: Submission) -> Mistake | None:
    """Why a loss that is right for small logits is wrong for large ones: shown by its values at label 0."""
    zero = torch.zeros(1, 1)
    losses = {
        size: ask_loss(submission, torch.full((1, 1), size), zero).number("loss", finite=False)
        for size in LARGE_LOGITS
    }
    return first_shown(MISTAKES_AT_LARGE_LOGITS, losses)


def mistake_in_loss(submission: Submission, draw: Draw) -> Mistake | None:
    """Why a classification loss is wrong: shown by its value at drawn logits."""
    logits, labels = draw.normal(9, 1, std=2, mean=0.5), (draw.permutation(9).view(9, 1) < 4).float()
    try:
        seen = ask_loss(submission, logits, labels).number("loss", what="the loss")
    except (Fault, NoAnswer):
        return None
    right = F.softplus(logits).mean() - (logits * labels).mean()
    known = candidates(LOSS_MISTAKES, LossCase(logits, labels, right))
    found = {c.mistake.id: c.mistake for c in known if close(seen, c.value, rtol=1e-4, atol=1e-6)}
    return next(iter(found.values())) if len(found) == 1 else None


def initial_layers(layers: Sequence[Observation]) -> list[InitialLayer]:
    """The convolutions and batch normalisations of a new DCGAN."""
    return [
        InitialLayer(layer.text("network"), layer.tensor("weight"), layer.text("kind") == "convolution")
        for layer in layers
        if layer.text("kind") in ("convolution", "batch norm")
    ]
