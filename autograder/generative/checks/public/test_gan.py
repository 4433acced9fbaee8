"""Public checks of gan.py: question 2-1a, the DCGAN's construction and its classification loss.

They ask for shapes, ranges and facts that any right answer has.
"""

from __future__ import annotations

import math
from functools import partial

import torch

from autograder.judging import (
    Draw,
    Mistake,
    Submission,
    candidates,
    check,
    close,
    expect,
    expect_close,
    first_shown,
)

from ...mistakes.public import gan as mistakes
from ...mistakes.public.gan_initialisation import (
    BATCH_NORM_MISTAKES,
    BATCH_NORMS_OTHER_SPREAD,
    CONVOLUTION_MISTAKES,
)
from .judge_common import expect_repeated, repeated
from .judge_gan import ask_loss, initial_layers, loss_number, mistake_at_large_logits, mistake_in_loss

CONSTRUCTION = (
    "DCGAN(spectral_norm=False, device=None) makes _generator, _discriminator, optimizerG and optimizerD on the device; its "
    "constants keep the values given."
)
INIT = (
    "_weight_initialization: every Conv and ConvTranspose weight ~ N(0, 0.02), every BatchNorm weight ~ N(1, 0.02) and bias "
    "0, applied to both networks."
)
LOSS = "_classification_loss(logits, labels): sigmoid, then binary cross-entropy, the mean over the batch."

CONSTANTS = {
    "num_epoch": 25,
    "batch_size": 128,
    "log_step": 100,
    "visualize_step": 2,
    "code_size": 64,
    "learning_rate": 2e-4,
    "vis_learning_rate": 1e-2,
}


@check(
    "2-1a",
    points=0.5,
    title="A DCGAN has two networks, two optimisers and its constants",
    asks=CONSTRUCTION,
)
def test_networks_and_optimisers_are_made(submission: Submission, draw: Draw) -> None:
    of_codes, of_images = repeated(draw, 3), repeated(draw, 5)
    codes, given = draw.normal(3, 64)[of_codes], draw.uniform(5, 3, 32, 32)[of_images]
    seen = submission.ask("gan.construct", codes=codes, images=given)
    images = seen.tensor("generated", (3, 3, 32, 32), what="the output of _generator for codes (3, 64)")
    expect(
        bool(images.min() >= 0 and images.max() <= 1),
        expected="images with values in [0, 1]",
        seen=f"values from {images.min():.3g} to {images.max():.3g}",
    )
    logits = seen.tensor("logits", (5, 1), what="the output of _discriminator for images (5, 3, 32, 32)")
    expect_repeated(images, of_codes, "the output of _generator")
    expect_repeated(logits, of_images, "the output of _discriminator")
    can_step = seen.part("can_step")
    for name in ("optimizerG", "optimizerD"):
        expect(
            can_step.flag(name),
            expected=f"{name}: an optimiser, with a method step()",
            seen="an object without one",
        )
    devices = seen.list("devices")
    expect(
        devices == ["cpu"],
        expected="DCGAN(device='cpu'): both networks on the CPU",
        seen=f"parameters on {', '.join(str(d) for d in devices)}",
    )
    elsewhere = submission.ask("gan.construct_elsewhere")
    left = [str(name) for name in elsewhere.list("elsewhere")]
    networks_left = "_generator" in left or "_discriminator" in left
    expect(
        elsewhere.get("collision") is None and not left,
        expected="DCGAN(device=...): networks and buffers on that device",
        seen=f"on the CPU: {', '.join(left[:4])}{', ...' if len(left) > 4 else ''}"
        if left
        else elsewhere.text("collision"),
        mistake=mistakes.NETWORKS_NOT_MOVED if networks_left else None,
    )
    constants = submission.ask("gan.constants")
    for name, value in CONSTANTS.items():
        seen_value = constants.number(name, what=f"DCGAN.{name}")
        expect(
            close(seen_value, value, rtol=1e-6, atol=0),
            expected=f"DCGAN.{name}: {value:g}",
            seen=f"{seen_value:g}",
            mistake=mistakes.CONSTANT_CHANGED,
        )


@check(
    "2-1a",
    points=0.5,
    title="Convolutions start with small weights around 0, batch normalisations around 1",
    asks=INIT,
)
def test_initial_weights_are_roughly_right(submission: Submission) -> None:
    layers = submission.ask("gan.initial_weights").parts("layers")
    convolutions = [layer for layer in layers if layer.text("kind") == "convolution"]
    untouched = first_shown(mistakes.UNTOUCHED_NETWORKS, initial_layers(layers))
    for layer in layers:
        name = f"{layer.text('network')}, {layer.text('name')}"
        if layer.text("kind") == "convolution":
            deviation = layer.tensor("weight").std().item()
            expect(
                0.01 < deviation < 0.04,
                expected=f"{name}: weights with a standard deviation of 0.02",
                seen=f"{deviation:.4f}",
                hint="Compare the arguments of the call that draws these weights with those asked.",
                mistake=untouched
                or first_shown([mistakes.CONVOLUTIONS_MISSED, *CONVOLUTION_MISTAKES], layer.tensor("weight")),
            )
        if layer.text("kind") == "batch norm":
            weight = layer.tensor("weight")
            mean, deviation = weight.mean().item(), weight.std().item()
            expect(
                abs(mean - 1) < 0.03 and 0.005 < deviation < 0.06,
                expected=f"{name}: weights around 1 with a standard deviation of 0.02",
                seen=f"mean {mean:.4f}, standard deviation {deviation:.4f}",
                hint="Batch normalisations start at exactly 1 in PyTorch; here their weights are drawn.",
                mistake=untouched or first_shown([*BATCH_NORM_MISTAKES, BATCH_NORMS_OTHER_SPREAD], weight),
            )
    batch_norms = [layer for layer in layers if layer.text("kind") == "batch norm"]
    expect(
        len(convolutions) >= 6 and len(batch_norms) >= 5,
        expected="the given generator and discriminator: six convolutions and five batch normalisations together",
        seen=f"{len(convolutions)} convolutions and {len(batch_norms)} batch normalisations",
        hint="Use the given Generator and Discriminator as they are.",
    )


@check(
    "2-1a",
    points=1,
    title="The classification loss is ln 2 for an undecided discriminator, and finite for a very sure one",
    asks=LOSS,
)
def test_classification_loss_has_known_values(submission: Submission, draw: Draw) -> None:
    labels = (draw.permutation(6).view(6, 1) < draw.integer(2, 5)).float()  # some of either kind
    count = draw.integer(12, 40)
    undecided_too = (draw.permutation(count).view(count, 1) < draw.integer(3, count - 3)).float()
    undecided = torch.zeros(6, 1)
    at_zero = loss_number(ask_loss(submission, undecided, labels), math.log(2), "the loss at logits of 0")
    case = mistakes.LossCase(undecided, labels, right=math.log(2))
    wrong = None if close(at_zero, math.log(2), rtol=1e-4, atol=1e-6) else mistake_in_loss(submission, draw)
    expect_close(
        at_zero,
        math.log(2),
        what="the loss at logits of 0, where the probability is one half: ln 2",
        mistakes=[wrong.giving(at_zero)] if wrong else candidates(mistakes.MISTAKES_AT_ZERO, case),
    )
    # Of some logits: those of a discriminator that is undecided about a part of the images, and right about the others.
    share = undecided_too.mean().item()
    some = ask_loss(submission, 30 * (1 - undecided_too), torch.ones(count, 1))
    at_some = loss_number(some, share * math.log(2), "the loss at logits of 0 and 30, labels 1")
    wrong = (
        None
        if close(at_some, share * math.log(2), rtol=1e-3, atol=1e-6)
        else mistake_in_loss(submission, draw)
    )
    expect_close(
        at_some,
        share * math.log(2),
        rtol=1e-3,
        what=f"the loss at {undecided_too.sum():.0f} logits of 0 and {count - undecided_too.sum():.0f} of 30, all with label 1",
        mistakes=[wrong.giving(at_some)] if wrong else (),
    )
    size = draw.number(30, 60)
    for logit, label in ((size, 1.0), (-size, 0.0)):
        sure = torch.full((6, 1), logit)
        right = ask_loss(submission, sure, torch.full((6, 1), label))
        sure_and_wrong = ask_loss(submission, sure, torch.full((6, 1), 1 - label))
        at_right = right.number(
            "loss", what="the loss when the discriminator is sure and right", finite=False
        )
        at_wrong = sure_and_wrong.number(
            "loss", what="the loss when the discriminator is sure and wrong", finite=False
        )
        finite = math.isfinite(at_right) and math.isfinite(at_wrong)
        expect(
            finite and 0 <= at_right < 1e-3 and abs(at_wrong / size - 1) < 0.01,
            expected=f"close to 0 at logits of {logit:.1f} and labels {label:.0f}; {size:.1f}, the size of the logits, at labels "
            f"{1 - label:.0f}",
            seen=f"{at_right:.4g} and {at_wrong:.4g}",
            hint=mistakes.USE_LOGITS,
            mistake=partial(_why_wrong, submission, draw, large=logit > 0),
        )


def _why_wrong(submission: Submission, draw: Draw, large: bool) -> Mistake | None:
    """The mistake in a loss that is wrong at large logits. large: whether they were positive."""
    return mistake_in_loss(submission, draw) or (mistake_at_large_logits(submission) if large else None)
