"""What Encoder and Decoder compute with weights that the check draws, sends, and has put into their parameters by shape."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, permutations
from typing import NoReturn

import torch
from torch import Tensor
from torch.nn import functional as F

from autograder.judging import Draw, Observation, expect_close, fail

from ...mistakes.public.layers import (
    COMPARE,
    WRONG_WIDTHS,
    Activations,
    Curve,
    identity,
    wrong_activations,
)
from ...stand_ins.autoencoder import Tint

RIGHT: dict[str, tuple[Curve, ...]] = {
    "encoder": (F.relu, F.relu, identity),
    "decoder": (F.relu, F.relu, torch.sigmoid),
}


@dataclass(frozen=True)
class Layers:
    """Linear layers that the check draws and the probe puts into a student's model: weights (out, in) and biases."""

    weights: list[Tensor]
    biases: list[Tensor]

    @property
    def values(self) -> list[Tensor]:
        """Weight and bias of each layer, as they are sent."""
        return [v for pair in zip(self.weights, self.biases, strict=True) for v in pair]

    @property
    def sizes(self) -> list[int]:
        """The widths between the layers, from the inputs to the outputs."""
        return [self.weights[0].shape[1], *(len(b) for b in self.biases)]

    def run(self, x: Tensor, curves: Sequence[Curve]) -> Tensor:
        """The output for x in float64, with one activation after each layer."""
        out = x.double()
        for weight, bias, curve in zip(self.weights, self.biases, curves, strict=True):
            out = curve(out @ weight.double().T + bias.double())
        return out

    def narrowed(self, inputs: int) -> Layers:
        """The same layers without all but the first `inputs` inputs."""
        return Layers([self.weights[0][:, :inputs], *self.weights[1:]], self.biases)


def drawn(draw: Draw, sizes: Sequence[int]) -> Layers:
    """The layers sizes[0] -> sizes[1] -> ..., which neither shrink their values nor let them grow."""
    weights = [draw.normal(b, a, std=math.sqrt(2 / a)) for a, b in pairwise(sizes)]
    return Layers(weights, [draw.normal(b, std=0.3) for b in sizes[1:]])


def filled(seen: Observation) -> int | None:
    """Which of the layers that were sent the model computes with; None when none of them fit its parameters."""
    number = seen.get("filled")
    return number if isinstance(number, int) and not isinstance(number, bool) else None


def fail_widths(seen: Observation, sizes: Sequence[int], what: str) -> NoReturn:
    """Raises the fault of a model whose parameters are not those of the layers sizes[0] -> sizes[1] -> ..."""
    asked = ", ".join(f"Linear({a}, {b})" for a, b in pairwise(sizes))
    shapes = _shapes(seen)
    fail(
        expected=f"{what}: the layers {asked}, each with a weight and a bias",
        seen=f"parameters of shapes {shapes}" if shapes else "no parameters",
        hint="Compare the sizes of the layers, one by one, with those in the question.",
        mistake=WRONG_WIDTHS if _other_widths(shapes, sizes) else None,
        form=True,
    )


def _shapes(seen: Observation) -> list[tuple[int, ...]]:
    given = seen.get("shapes")
    found = [s for s in (given if isinstance(given, list) else []) if isinstance(s, list)]
    return [tuple(s) for s in found if all(isinstance(n, int) for n in s)]


def _other_widths(shapes: Sequence[tuple[int, ...]], sizes: Sequence[int]) -> bool:
    """True when three layers lead from the asked input to the asked output, through other widths."""
    weights = [s for s in shapes if len(s) == 2]
    biases = [s for s in shapes if len(s) == 1]
    if len(weights) != 3 or len(biases) != 3 or len(shapes) != 6:
        return False
    inside, *_, outside = sizes
    chains = {
        (a[0], b[0])
        for a, b, c in permutations(weights)
        if a[1] == inside and b[1] == a[0] and c[1] == b[0] and c[0] == outside
    }
    return len(chains) == 1 and chains != {tuple(sizes[1:3])}


def expect_output(out: Tensor, layers: Layers, x: Tensor, part: str, what: str) -> None:
    """Raises a fault unless `out` is the layers' output for x with the activations of `part` (encoder, decoder)."""

    def run(curves: Sequence[Curve]) -> Tensor:
        return layers.run(x, curves).reshape(out.shape).float()

    expect_close(
        out,
        run(RIGHT[part]),
        rtol=1e-3,
        atol=1e-5,
        what=what,
        mistakes=wrong_activations(Activations(run, RIGHT[part]), part),
        hint=COMPARE,
    )


def expect_gradients(
    seen: Observation, layers: Layers, x: Tensor, pull: Tensor, part: str, what: str
) -> None:
    """Raises a fault unless sum(output * pull) has the gradients that the layers should have."""
    free = Layers(
        [w.double().requires_grad_() for w in layers.weights],
        [b.double().requires_grad_() for b in layers.biases],
    )
    (free.run(x, RIGHT[part]).flatten() * pull.double().flatten()).sum().backward()
    grads = seen.list("gradients", len(free.values), what=f"{what}: the gradients")
    for value, grad in zip(free.values, grads, strict=True):
        asked, shape = value.grad, tuple(value.shape)
        assert asked is not None
        if grad is None:
            fail(
                expected=f"{what}: a gradient for the parameter of shape {shape}",
                seen="none",
                hint="Nothing may detach the output from the parameters.",
            )
        of = f"{what}: gradient of the parameter of shape {shape}"
        expect_close(
            Observation({"grad": grad}).tensor("grad", shape, what=of),
            asked,
            rtol=1e-2,
            atol=1e-4 * float(asked.abs().max()) + 1e-8,
            what=of,
        )


def stand_in_output(layer: Layers, x: Tensor, part: str) -> Tensor:
    """What a model that is built on the stand-in Encoder or Decoder, which has one layer, returns for x."""
    tint: Curve = Tint()
    curve = tint if part == "encoder" else (lambda v: torch.sigmoid(tint(v)))
    return layer.run(x, (curve,))
