"""Public checks of gan.py: question 2-1a, the initialisation of both networks."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from autograder.judging import (
    Observation,
    Submission,
    check,
    expect,
    expect_standard_normal,
    fail,
    first_shown,
)

from ...mistakes.public import gan_initialisation as mistakes
from ...mistakes.public.gan import (
    BATCH_NORMS_MISSED,
    CONVOLUTIONS_MISSED,
    UNTOUCHED_NETWORKS,
    default_bound,
    looks_default,
)
from ...mistakes.public.gan_initialisation import STD
from .judge_common import expect_no_seed
from .judge_gan import initial_layers

INIT = (
    "_weight_initialization: every Conv and ConvTranspose weight ~ N(0, 0.02), every BatchNorm weight ~ N(1, 0.02) and "
    "bias 0; Linear layers keep PyTorch's default. It is applied to both networks when a DCGAN is made."
)


def layers_of(observed: list[Observation], kind: str) -> list[Observation]:
    return [layer for layer in observed if layer.text("kind") == kind]


def equal_weights(one: list[Observation], other: list[Observation]) -> bool:
    pairs = [(a.tensor("weight"), b.tensor("weight")) for a, b in zip(one, other, strict=False)]
    return len(one) == len(other) and all(torch.equal(a, b) for a, b in pairs)


def name_of(layer: Observation) -> str:
    return f"{layer.text('network')}, {layer.text('name')}"


def moments(weight: Tensor) -> str:
    return f"mean {weight.mean().item():.4f}, standard deviation {weight.std().item():.4f}"


def span(bias: Tensor) -> str:
    return f"biases from {bias.min().item():.4g} to {bias.max().item():.4g}"


@check(
    "2-1a",
    points=0,
    title="Every convolution's weights are drawn from N(0, 0.02) (for information)",
    asks=INIT,
)
def test_convolutions_start_normal_early(submission: Submission) -> None:
    seen = submission.ask("gan.initial_weights")
    observed = seen.parts("layers")
    layers = layers_of(observed, "convolution")
    expect(len(layers) >= 6, expected="six convolutions in both networks together", seen=str(len(layers)))
    untouched = first_shown(UNTOUCHED_NETWORKS, initial_layers(observed))
    for layer in layers:
        weight = layer.tensor("weight")
        mistake = first_shown(mistakes.CONVOLUTION_MISTAKES, weight)
        if looks_default(weight):
            mistake = untouched or CONVOLUTIONS_MISSED
        if mistake is not None:
            fail(expected=f"{name_of(layer)}: weights from N(0, 0.02)", seen=moments(weight), mistake=mistake)
        expect_standard_normal(weight / STD, what=f"{name_of(layer)}: the weights divided by 0.02")
    expect_no_seed(seen.flag("seed_kept"), "making a DCGAN")


@check(
    "2-1a",
    points=0,
    title="Every batch normalisation's weights are drawn from N(1, 0.02), and its biases are 0 (for information)",
    asks=INIT,
)
def test_batch_norms_start_normal_early(submission: Submission) -> None:
    seen = submission.ask("gan.initial_weights", repeats=6)
    models = [Observation({"layers": m}).parts("layers") for m in [seen.list("layers"), *seen.list("more")]]
    rows = [layers_of(model, "batch norm") for model in models]
    # Code with a generator of its own, always from the same seed, has made one model several times.
    if all(equal_weights(row, rows[0]) for row in rows):
        rows = rows[:1]
    count = len(rows[0])
    expect(
        count >= 5 and all(len(row) == count for row in rows),
        expected="five batch normalisations in both networks together",
        seen=str(count),
    )
    untouched = first_shown(UNTOUCHED_NETWORKS, initial_layers(models[0]))
    together = []
    for layers in zip(*rows, strict=True):
        name = name_of(layers[0])
        weight = torch.cat([layer.tensor("weight", (None,)) for layer in layers])
        expected = f"{name}: weights from N(1, 0.02)"
        mistake = first_shown(mistakes.BATCH_NORM_MISTAKES, weight)
        if mistake is BATCH_NORMS_MISSED and untouched is not None:
            mistake = untouched
        if mistake is not None:
            fail(expected=expected, seen=moments(weight), mistake=mistake)
        z = (weight.double() - 1) / STD
        n = z.numel()
        # Chi-squared tails (Laurent and Massart 2000): each is passed with probability e^-18 at most.
        low, high = n - 2 * math.sqrt(18 * n), n + 2 * math.sqrt(18 * n) + 36
        expect(
            abs(z.mean().item()) < 6 / math.sqrt(n) and low < z.square().sum().item() < high,
            expected=expected,
            seen=moments(weight),
            mistake=first_shown([mistakes.BATCH_NORMS_OTHER_SPREAD], weight),
        )
        together.append(z)
        for layer in layers:
            bias = layer.tensor("bias", (None,))
            expect(
                bool((bias == 0).all()),
                expected=f"{name}: every bias is 0",
                seen=span(bias),
                mistake=first_shown(mistakes.BATCH_NORM_BIAS_MISTAKES, bias),
            )
    expect_standard_normal(
        torch.cat(together), what="the weights of all batch normalisations, less 1 and divided by 0.02"
    )


@check(
    "2-1a",
    points=0,
    title="Linear layers keep PyTorch's default initialisation (for information)",
    asks=INIT,
)
def test_linear_layers_keep_their_default_early(submission: Submission) -> None:
    layers = layers_of(submission.ask("gan.initial_weights").parts("layers"), "linear")
    expect(len(layers) == 2, expected="a linear layer in each network", seen=str(len(layers)))
    for layer in layers:
        weight, bias = layer.tensor("weight", (None, None)), layer.tensor("bias", (None,))
        bound = default_bound(weight)
        # 2048 values at least: the largest is below 0.95 b with probability 0.95^2048; the second moment's relative
        # standard error is 0.9 / sqrt(n).
        ratio = weight.double().square().mean().item() / (bound**2 / 3)
        expect(
            0.95 * bound < weight.abs().max().item() <= bound * (1 + 1e-5)
            and abs(ratio - 1) < 7 * 0.9 / math.sqrt(weight.numel()),
            expected=f"{name_of(layer)}: the weights that PyTorch gives it, uniform within {bound:.4f}",
            seen=moments(weight),
            mistake=first_shown([mistakes.LINEAR_LAYERS_TOO], weight),
        )
        # One of 2048 draws may be exactly 0: float32 has 2^24 numbers here.
        expect(
            bool((bias != 0).double().mean() > 0.9) and bias.abs().max().item() <= bound * (1 + 1e-5),
            expected=f"{name_of(layer)}: the biases that PyTorch gives it",
            seen=span(bias),
            mistake=first_shown([mistakes.LINEAR_BIASES_ZERO], bias),
        )
