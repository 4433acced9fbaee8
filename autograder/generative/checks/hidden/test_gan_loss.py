"""Hidden checks of gan.py: question 2-1a, the classification loss."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from autograder.judging import (
    Draw,
    Observation,
    Submission,
    candidates,
    check,
    close,
    expect,
    expect_close,
    fail,
)

from ...mistakes.public.gan import USE_LOGITS, LossCase
from ...mistakes.public.gan_classification import LOSS_MISTAKES, LOSS_WITHOUT_GRAPH
from ..public.judge_gan import ask_loss, loss_number, mistake_at_large_logits

LOSS = "_classification_loss(logits, labels): sigmoid, then binary cross-entropy, the mean over the batch."
LARGE = "It is right at logits of +-100, which a sigmoid followed by a logarithm is not."

bce = F.binary_cross_entropy_with_logits


@check(
    "2-1a",
    points=0.5,
    title="The classification loss is the mean binary cross-entropy of the sigmoid, with its gradient",
    asks=LOSS,
    rubric="Value and gradient of the classification loss",
)
def test_classification_loss_value(submission: Submission, draw: Draw) -> None:
    logits, labels = draw.normal(9, 1, std=2, mean=0.5), (draw.permutation(9).view(9, 1) < 4).float()
    seen = ask_loss(submission, logits, labels)
    right = bce(logits, labels)
    expect_close(
        loss_number(seen, right.item(), "the loss"),
        right,
        what="the loss",
        mistakes=candidates(LOSS_MISTAKES, LossCase(logits, labels, right)),
    )
    expect_graph(seen)
    expect_close(
        seen.tensor("gradient", (9, 1), what="the loss's gradient with respect to the logits"),
        (logits.sigmoid() - labels) / 9,
        what="the loss's gradient with respect to the logits",
        rtol=1e-3,
        hint="The loss must keep its graph: no item(), detach() or no_grad().",
    )
    expect(
        seen.flag("unchanged"),
        expected="logits and labels left as they were",
        seen="one of them changed in place",
    )


def expect_graph(seen: Observation) -> None:
    """Raises a fault unless the loss, which has the right value, is a scalar tensor with a gradient."""
    is_tensor = isinstance(seen.get("loss"), torch.Tensor)
    expect(
        is_tensor and seen.get("gradient") is not None,
        expected="the loss: a scalar tensor, through which gradients flow",
        seen="the right value without a graph" if is_tensor else "a plain number",
        mistake=LOSS_WITHOUT_GRAPH,
    )
    seen.tensor("loss", (), what="the loss", hint="Return a scalar tensor, with its graph.")


@check(
    "2-1a",
    points=0.5,
    title="The classification loss is right for logits as large as 100, and in float64",
    asks=f"{LOSS} {LARGE}",
    rubric="The classification loss at large logits",
)
def test_classification_loss_at_large_logits(submission: Submission, draw: Draw) -> None:
    size = torch.cat([torch.full((2, 1), 100.0), draw.uniform(4, 1, low=18, high=60)])
    logits = torch.cat([size, -size])
    believed = (logits > 0).float()
    for labels in (1 - believed, believed):
        seen = ask_loss(submission, logits, labels)
        right = bce(logits, labels)
        loss = loss_number(seen, right.item(), "the loss at large logits", finite=False)
        if not close(loss, right, rtol=1e-3, atol=1e-5):
            small = ask_loss(submission, logits / 50, labels)
            value = small.number("loss", what="the loss at small logits", finite=False)
            # Large logits explain a wrong loss only if the loss is right at small ones.
            right_at_small = close(value, bce(logits / 50, labels), rtol=1e-3, atol=1e-5)
            fail(
                expected=f"the loss at large logits: {right.item():.6g}",
                seen=f"{loss:.6g}",
                hint=USE_LOGITS if right_at_small else "",
                mistake=mistake_at_large_logits(submission) if right_at_small else None,
            )
        expect_close(
            seen.tensor("gradient", (12, 1), what="the gradient at large logits"),
            (logits.sigmoid() - labels) / 12,
            what="the gradient at large logits",
            rtol=1e-3,
            atol=1e-5,
            hint=USE_LOGITS,
        )
    fine, targets = draw.normal(7, 1, std=3).double(), (draw.uniform(7, 1) < 0.5).double()
    seen = ask_loss(submission, fine, targets)
    expect_close(
        seen.number("loss", what="the loss in float64"),
        bce(fine, targets),
        what="the loss in float64",
        rtol=1e-5,
    )
