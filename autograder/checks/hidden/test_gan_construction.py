"""Hidden checks of 2-1a: the initialisation of both networks."""

from __future__ import annotations

import math

import torch

from autograder.checks.public.test_gan import default_bound, not_initialised
from autograder.judging import Mistake, Observation, check, expect, expect_standard_normal

STD = 0.02
INIT = (
    "_weight_initialization: every Conv and ConvTranspose weight ~ N(0, 0.02), every BatchNorm weight ~ N(1, 0.02) and "
    "bias 0; Linear layers keep PyTorch's default. It is applied to both networks when a DCGAN is made."
)


def named(layer: Observation) -> str:
    return f"{layer.text('network')}, {layer.text('name')}"


@check(
    "2-1a",
    points=1,
    title="Every convolution's weights are drawn from N(0, 0.02)",
    asks=INIT,
    rubric="Initialisation of the convolutions",
)
def test_convolutions_start_normal(submission):
    layers = [
        layer
        for layer in submission.ask("gan.initial_weights").parts("layers")
        if layer.text("kind") == "convolution"
    ]
    expect(len(layers) >= 6, expected="six convolutions in both networks together", seen=str(len(layers)))
    untouched = not_initialised(layers)
    for layer in layers:
        weight = layer.tensor("weight")
        ratio = weight.std().item() / STD
        mistake = untouched
        if mistake is None and abs(ratio / (math.sqrt(STD) / STD) - 1) < 0.1:
            mistake = Mistake(
                None,
                "0.02 is taken for the variance; it is the standard deviation.",
                "torch.nn.init.normal_ takes the standard deviation.",
            )
        elif (
            mistake is None
            and 0.95 < weight.abs().max().item() / (weight.std().item() * math.sqrt(3) + 1e-12) < 1.05
        ):
            mistake = Mistake(
                None, "The weights are drawn from a uniform distribution.", "Draw them from N(0, 0.02)."
            )
        elif mistake is None and abs(weight.mean().item() - 1) < 0.1:
            mistake = Mistake(
                None,
                "The convolutions' weights are drawn around 1.",
                "Only batch normalisations start around 1.",
            )
        if mistake is not None:
            expect(
                False,
                expected=f"{named(layer)}: weights from N(0, 0.02)",
                seen=f"mean {weight.mean().item():.4f}, standard deviation {weight.std().item():.4f}",
                mistake=mistake,
            )
        expect_standard_normal(weight / STD, what=f"{named(layer)}: the weights divided by 0.02")


@check(
    "2-1a",
    points=1,
    title="Every batch normalisation's weights are drawn from N(1, 0.02), and its biases are 0",
    asks=INIT,
    rubric="Initialisation of the batch normalisations",
)
def test_batch_norms_start_normal(submission):
    seen = submission.ask("gan.initial_weights", repeats=6)
    runs = [Observation({"layers": r}).parts("layers") for r in [seen.list("layers"), *seen.list("more")]]
    rows = [[layer for layer in run if layer.text("kind") == "batch norm"] for run in runs]
    count = len(rows[0])
    expect(
        count >= 5 and all(len(row) == count for row in rows),
        expected="five batch normalisations in both networks together",
        seen=str(count),
    )
    together = []
    for layers in zip(*rows, strict=True):
        name = named(layers[0])
        pooled = torch.cat([layer.tensor("weight", (None,)) for layer in layers])
        told = f"mean {pooled.mean().item():.4f}, standard deviation {pooled.std().item():.4f}"
        expected = f"{name}: weights from N(1, 0.02)"
        if bool((pooled == 1).all()):
            expect(
                False,
                expected=expected,
                seen="every weight is exactly 1",
                mistake=Mistake(
                    None,
                    f"A batch normalisation of the {layers[0].text('network')} is not initialised: its weights still are "
                    "PyTorch's ones.",
                    "Go through the modules of both networks, and think of BatchNorm2d.",
                ),
            )
        if abs(pooled.mean().item()) < 0.1:
            expect(
                False,
                expected=expected,
                seen=told,
                mistake=Mistake(
                    None,
                    "The batch normalisations' weights are drawn around 0, as the convolutions' are.",
                    "Draw them from N(1, 0.02).",
                ),
            )
        if pooled.std() > 0 and abs(pooled.std().item() / math.sqrt(STD) - 1) < 0.15:
            expect(
                False,
                expected=expected,
                seen=told,
                mistake=Mistake(
                    None,
                    "0.02 is taken for the variance; it is the standard deviation.",
                    "torch.nn.init.normal_ takes the standard deviation.",
                ),
            )
        z = (pooled.double() - 1) / STD
        n = z.numel()
        # Chi-squared tails (Laurent and Massart 2000): each is passed with probability e^-18 at most.
        low, high = n - 2 * math.sqrt(18 * n), n + 2 * math.sqrt(18 * n) + 36
        expect(
            abs(z.mean().item()) < 6 / math.sqrt(n) and low < z.square().sum().item() < high,
            expected=expected,
            seen=told,
            mistake=Mistake(
                None,
                f"The batch normalisations' weights are drawn with a standard deviation of {pooled.std().item():.2g} where 0.02 "
                "is asked.",
                "Draw them from N(1, 0.02).",
            )
            if abs(pooled.mean().item() - 1) < 0.02 and abs(pooled.std().item() / STD - 1) > 0.3
            else None,
        )
        together.append(z)
        for layer in layers:
            bias = layer.tensor("bias", (None,))
            expect(
                bool((bias == 0).all()),
                expected=f"{name}: every bias is 0",
                seen=f"biases from {bias.min().item():.4g} to {bias.max().item():.4g}",
                mistake=Mistake(
                    None, "The biases of the batch normalisations are drawn too.", "Set them to 0."
                )
                if bias.std() > 0
                else Mistake(
                    None,
                    "The biases of the batch normalisations are 1, as if they were weights.",
                    "Set them to 0.",
                )
                if bool((bias == 1).all())
                else None,
            )
    expect_standard_normal(
        torch.cat(together), what="the weights of all batch normalisations, less 1 and divided by 0.02"
    )


@check(
    "2-1a",
    points=0.5,
    title="Linear layers keep PyTorch's default initialisation",
    asks=INIT,
    rubric="Initialisation leaves the linear layers alone",
)
def test_linear_layers_keep_their_default(submission):
    layers = [
        layer
        for layer in submission.ask("gan.initial_weights").parts("layers")
        if layer.text("kind") == "linear"
    ]
    expect(len(layers) == 2, expected="a linear layer in each network", seen=str(len(layers)))
    for layer in layers:
        weight, bias = layer.tensor("weight", (None, None)), layer.tensor("bias", (None,))
        bound = default_bound(weight)
        told = f"mean {weight.mean().item():.4f}, standard deviation {weight.std().item():.4f}"
        # 2048 values at least: the largest is below 0.95 b with probability 0.95^2048; the second moment's relative
        # standard error is 0.9 / sqrt(n).
        ratio = weight.double().square().mean().item() / (bound**2 / 3)
        expect(
            0.95 * bound < weight.abs().max().item() <= bound * (1 + 1e-5)
            and abs(ratio - 1) < 7 * 0.9 / math.sqrt(weight.numel()),
            expected=f"{named(layer)}: the weights that PyTorch gives it, uniform within {bound:.4f}",
            seen=told,
            mistake=Mistake(
                None,
                "The linear layers are initialised with N(0, 0.02) too.",
                "Change convolutions and batch normalisations only.",
            )
            if abs(weight.std().item() / STD - 1) < 0.15 and weight.abs().max() > 2.8 * STD
            else None,
        )
        expect(
            bool((bias != 0).all()) and bias.abs().max().item() <= bound * (1 + 1e-5),
            expected=f"{named(layer)}: the biases that PyTorch gives it",
            seen=f"biases from {bias.min().item():.4g} to {bias.max().item():.4g}",
            mistake=Mistake(
                None,
                "The biases of the linear layers are set to 0.",
                "Change convolutions and batch normalisations only.",
            )
            if bool((bias == 0).all())
            else None,
        )
