"""Hidden checks of 2-1a: the classification loss."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from autograder.checks.public.test_gan import loss_number, rounding
from autograder.judging import Mistake, Observation, check, close, expect, expect_close

LOSS = "_classification_loss(logits, labels): sigmoid, then binary cross-entropy, the mean over the batch."


@check(
    "2-1a",
    points=0.5,
    title="The classification loss is the mean binary cross-entropy of the sigmoid, with its gradient",
    asks=LOSS,
    rubric="Value and gradient of the classification loss",
)
def test_classification_loss_value(submission, draw):
    logits, labels = draw.normal(9, 1, std=2, mean=0.5), (draw.permutation(9).view(9, 1) < 4).float()
    seen = submission.ask("gan.loss_value", name="_classification_loss", first=logits, second=labels)
    bce = F.binary_cross_entropy_with_logits
    right = bce(logits, labels)
    expect_close(
        loss_number(seen, right.item(), "the loss"),
        right,
        what="the loss",
        mistakes=[
            Mistake(9 * right, "The sum over the batch is taken where the mean is asked.", "Take the mean."),
            Mistake(
                bce(labels, logits),
                "Logits and labels are swapped: the labels are taken for the prediction.",
                "PyTorch's losses take the prediction first.",
            ),
            Mistake(
                bce(logits, 1 - labels), "The labels are flipped.", "A label of 1 asks for a high logit."
            ),
            Mistake(-right, "The sign is turned.", "Cross-entropy is never negative."),
            Mistake(
                bce(logits.sigmoid(), labels),
                "The sigmoid is taken twice.",
                "binary_cross_entropy_with_logits takes it itself.",
            ),
            Mistake(
                (logits - labels).square().mean(),
                "The squared error is taken, and of the logits: the sigmoid is missing too.",
                "Take the binary cross-entropy of the sigmoid.",
            ),
            Mistake(
                (logits.sigmoid() - labels).square().mean(),
                "The squared error is taken where binary cross-entropy is asked.",
                "Take the binary cross-entropy of the sigmoid.",
            ),
            Mistake(right / math.log(2), "The logarithm is to the base 2.", "Use the natural logarithm."),
        ],
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
    expect(
        isinstance(seen.get("loss"), torch.Tensor) and seen.get("gradient") is not None,
        expected="the loss: a scalar tensor, through which gradients flow",
        seen="the right value without a graph"
        if isinstance(seen.get("loss"), torch.Tensor)
        else "a plain number",
        mistake=Mistake(
            None,
            "The loss is cut off from its graph, so that nothing can learn from it.",
            "Return the tensor as it is: no item(), detach() or no_grad().",
        ),
    )
    seen.tensor("loss", (), what="the loss", hint="Return a scalar tensor, with its graph.")


@check(
    "2-1a",
    points=0.5,
    title="The classification loss is right for logits as large as 100, and in float64",
    asks=LOSS + " It is right at logits of +-100, which a sigmoid followed by a logarithm is not.",
    rubric="The classification loss at large logits",
)
def test_classification_loss_at_large_logits(submission, draw):
    size = torch.cat([torch.full((2, 1), 100.0), draw.uniform(4, 1, low=18, high=60)])
    logits = torch.cat([size, -size])
    right_way = (logits > 0).float()
    bce = F.binary_cross_entropy_with_logits
    for labels in (1 - right_way, right_way):
        seen = submission.ask("gan.loss_value", name="_classification_loss", first=logits, second=labels)
        right = bce(logits, labels)
        loss = loss_number(seen, right.item(), "the loss at large logits", finite=False)
        if not close(loss, right, rtol=1e-3, atol=1e-5):
            small = submission.ask(
                "gan.loss_value", name="_classification_loss", first=logits / 50, second=labels
            )
            value = small.number("loss", what="the loss at small logits", finite=False)
            expect(
                False,
                expected=f"the loss at large logits: {right.item():.6g}",
                seen=f"{loss:.6g}",
                hint="Use a function that takes the logits and does both at once.",
                # Only a loss that is right elsewhere has gone wrong because the logits are large.
                mistake=rounding(submission)
                if close(value, bce(logits / 50, labels), rtol=1e-3, atol=1e-5)
                else None,
            )
        expect_close(
            seen.tensor("gradient", (12, 1), what="the gradient at large logits"),
            (logits.sigmoid() - labels) / 12,
            what="the gradient at large logits",
            rtol=1e-3,
            atol=1e-5,
            hint="Use a function that takes the logits and does both at once.",
        )
    fine, targets = draw.normal(7, 1, std=3).double(), (draw.uniform(7, 1) < 0.5).double()
    seen = submission.ask("gan.loss_value", name="_classification_loss", first=fine, second=targets)
    expect_close(
        seen.number("loss", what="the loss in float64"),
        bce(fine, targets),
        what="the loss in float64",
        rtol=1e-5,
    )
