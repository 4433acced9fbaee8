"""What Encoder and Decoder compute, worked out from their parameters, which are told apart by shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, permutations

import torch
from torch import Tensor
from torch.nn import functional as F

from autograder.judging import Observation, expect_close, fail
from autograder.judging.observation import FLOATS

from ...mistakes.hidden.autoencoder import (
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


@dataclass
class Layers:
    """Three linear layers as a student's model has them, in float64: weights (out, in) and biases, with gradients."""

    weights: list[Tensor]
    biases: list[Tensor]
    weight_grads: list[Tensor | None]
    bias_grads: list[Tensor | None]

    def run(self, x: Tensor, curves: Sequence[Curve]) -> Tensor:
        """The output for x, with one activation after each layer."""
        out = x.double()
        for weight, bias, curve in zip(self.weights, self.biases, curves, strict=True):
            out = curve(out @ weight.T + bias)
        return out


def find(seen: Observation, sizes: Sequence[int]) -> Layers | None:
    """The layers sizes[0] -> sizes[1] -> ... among the observed parameters; None when the shapes differ from these."""
    left = []
    for p in seen.parts("parameters"):
        value, grad = p.get("value"), p.get("grad")
        if (
            not isinstance(value, Tensor)
            or value.dtype not in FLOATS
            or not bool(torch.isfinite(value).all())
        ):
            return None
        left.append((value.double(), grad.double() if isinstance(grad, Tensor) else None))
    found = Layers([], [], [], [])
    for inputs, outputs in pairwise(sizes):
        for shape, values, grads in [
            ((outputs, inputs), found.weights, found.weight_grads),
            ((outputs,), found.biases, found.bias_grads),
        ]:
            place = next((i for i, (v, _) in enumerate(left) if v.shape in (shape, shape[::-1])), None)
            if place is None:
                return None
            value, grad = left.pop(place)
            turned = value.shape != shape
            values.append(value.T if turned else value)
            grads.append(grad.T if turned and grad is not None else grad)
    return None if left else found


def need(seen: Observation, sizes: Sequence[int], what: str) -> Layers:
    """As `find`; raises a fault when the layers are missing."""
    found = find(seen, sizes)
    if found is None:
        asked = ", ".join(f"Linear({a}, {b})" for a, b in pairwise(sizes))
        shapes = _shapes(seen)
        fail(
            expected=f"{what}: the layers {asked}, each with a weight and a bias",
            seen=f"parameters of shapes {shapes}" if shapes else "no parameters",
            hint="Compare the sizes of the layers, one by one, with those in the question.",
            mistake=WRONG_WIDTHS if _other_widths(shapes, sizes) else None,
            form=True,
        )
    return found


def _shapes(seen: Observation) -> list[tuple[int, ...]]:
    return [tuple(v.shape) for p in seen.parts("parameters") if isinstance(v := p.get("value"), Tensor)]


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


def expect_gradients(layers: Layers, x: Tensor, pull: Tensor, part: str, what: str) -> None:
    """Raises a fault unless sum(output * pull) has the gradients that the layers should have."""
    free = Layers(
        [w.clone().requires_grad_() for w in layers.weights],
        [b.clone().requires_grad_() for b in layers.biases],
        [],
        [],
    )
    (free.run(x, RIGHT[part]).flatten() * pull.double().flatten()).sum().backward()
    for value, grad in [
        *zip(free.weights, layers.weight_grads, strict=True),
        *zip(free.biases, layers.bias_grads, strict=True),
    ]:
        asked = value.grad
        assert asked is not None
        if grad is None:
            fail(
                expected=f"{what}: a gradient for the parameter of shape {tuple(value.shape)}",
                seen="none",
                hint="Nothing may detach the output from the parameters.",
            )
        expect_close(
            grad,
            asked,
            rtol=1e-2,
            atol=1e-4 * float(asked.abs().max()) + 1e-8,
            what=f"{what}: gradient of the parameter of shape {tuple(value.shape)}",
        )


def stand_in_outputs(seen: Observation, inputs: int, outputs: int, x: Tensor, part: str) -> Tensor | None:
    """What a model that is built on the stand-in Encoder or Decoder returns; None when it is built otherwise."""
    single = find(seen, (inputs, outputs))
    if single is None:
        return None
    tint: Curve = Tint()
    curve = tint if part == "encoder" else (lambda v: torch.sigmoid(tint(v)))
    return single.run(x, (curve,))
