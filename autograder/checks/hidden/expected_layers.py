"""What Encoder and Decoder compute, worked out from their parameters, which are told apart by shape."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise, permutations

import torch
from torch import Tensor
from torch.nn import functional as F

from autograder.judging import Mistake, Observation, expect_close, fail
from autograder.judging.observation import FLOATS
from autograder.probes.stand_ins.autoencoder import Tint

Curve = Callable[[Tensor], Tensor]


def same(x: Tensor) -> Tensor:
    return x


RIGHT: dict[str, tuple[Curve, ...]] = {
    "encoder": (F.relu, F.relu, same),
    "decoder": (F.relu, F.relu, torch.sigmoid),
}
CUT_OFF = "The last layer's values are cut off (by a ReLU or a clamp) where a sigmoid is asked."
NOT_RELU: dict[str, Curve] = {
    "LeakyReLU": F.leaky_relu,
    "tanh": torch.tanh,
    "a sigmoid": torch.sigmoid,
    "GELU": F.gelu,
    "ELU": F.elu,
    "SiLU": F.silu,
}


@dataclass
class Layers:
    """Three linear layers as a student's model has them, in float64: weights (out, in) and biases, with gradients."""

    weights: list[Tensor]
    biases: list[Tensor]
    weight_grads: list[Tensor | None]
    bias_grads: list[Tensor | None]

    def run(self, x: Tensor, curves: Sequence[Curve]) -> Tensor:
        out = x.double()
        for weight, bias, curve in zip(self.weights, self.biases, curves, strict=True):
            out = curve(out @ weight.T + bias)
        return out


def find(seen: Observation, sizes: Sequence[int]) -> Layers | None:
    """The layers sizes[0] -> sizes[1] -> ... among the observed parameters; None when there are others or others' shapes."""
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
    """As `find`; raises a fault when the layers are not there."""
    found = find(seen, sizes)
    if found is None:
        asked = ", ".join(f"Linear({a}, {b})" for a, b in pairwise(sizes))
        shapes = _shapes(seen)
        fail(
            expected=f"{what}: the layers {asked}, each with a weight and a bias",
            seen=f"parameters of shapes {shapes}" if shapes else "no parameters",
            hint="Compare the sizes of the layers, one by one, with those that the question names.",
            diagnosis=_wrong_widths(shapes, sizes),
        )
    assert found is not None
    return found


def _shapes(seen: Observation) -> list[tuple[int, ...]]:
    return [tuple(v.shape) for p in seen.parts("parameters") if isinstance(v := p.get("value"), Tensor)]


def _wrong_widths(shapes: Sequence[tuple[int, ...]], sizes: Sequence[int]) -> str | None:
    """Names hidden layers of other widths, when the layers are three and lead from the asked input to the asked output."""
    weights = [s for s in shapes if len(s) == 2]
    biases = [s for s in shapes if len(s) == 1]
    if len(weights) != 3 or len(biases) != 3 or len(shapes) != 6:
        return None
    inside, *_, outside = sizes
    chains = {
        (a[0], b[0])
        for a, b, c in permutations(weights)
        if a[1] == inside and b[1] == a[0] and c[1] == b[0] and c[0] == outside
    }
    if len(chains) != 1 or chains == {tuple(sizes[1:3])}:
        return None
    ((first, second),) = chains
    return f"The hidden layers have the widths {first} and {second}, not {sizes[1]} and {sizes[2]}."


def mistakes(layers: Layers, x: Tensor, part: str, shape: Sequence[int]) -> list[Mistake]:
    """Known wrong arrangements of the activations, with the output each would give."""
    first, second, last = RIGHT[part]
    wrong: list[tuple[str, tuple[Curve, ...]]] = [
        ("The ReLU after the first layer is missing.", (same, second, last)),
        ("The ReLU after the second layer is missing.", (first, same, last)),
        ("Both ReLUs are missing: the layers together are a single linear map.", (same, same, last)),
    ]
    if part == "encoder":
        wrong += [
            (
                "There is a ReLU after the last layer: a code could never be negative.",
                (first, second, F.relu),
            ),
            ("There is a sigmoid after the encoder's last layer.", (first, second, torch.sigmoid)),
            ("There is a tanh after the encoder's last layer.", (first, second, torch.tanh)),
        ]
    else:
        wrong += [
            ("The sigmoid at the end is missing.", (first, second, same)),
            ("There is a tanh at the end where a sigmoid is asked.", (first, second, torch.tanh)),
            (CUT_OFF, (first, second, F.relu)),
            (CUT_OFF, (first, second, lambda v: v.clamp(0, 1))),
            (
                "There is a ReLU between the last layer and the sigmoid.",
                (first, second, lambda v: F.relu(v).sigmoid()),
            ),
            ("The sigmoid is applied twice.", (first, second, lambda v: v.sigmoid().sigmoid())),
        ]
    wrong += [
        (f"The activation is {name} where ReLU is asked.", (c, c, last)) for name, c in NOT_RELU.items()
    ]
    return [Mistake(layers.run(x, curves).reshape(tuple(shape)).float(), says) for says, curves in wrong]


def expect_output(out: Tensor, layers: Layers, x: Tensor, part: str, what: str) -> None:
    """Raises a fault unless `out` is what the layers make of x with the activations that are asked."""
    expect_close(
        out,
        layers.run(x, RIGHT[part]).reshape(out.shape).float(),
        rtol=1e-3,
        atol=1e-5,
        what=what,
        mistakes=mistakes(layers, x, part, out.shape),
        hint="Compare the layers and the activations between them with those that the question names.",
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
            return
        expect_close(
            grad,
            asked,
            rtol=1e-2,
            atol=1e-4 * float(asked.abs().max()) + 1e-8,
            what=f"{what}: gradient of the parameter of shape {tuple(value.shape)}",
        )


def dyed(seen: Observation, inputs: int, outputs: int, x: Tensor, part: str) -> Tensor | None:
    """What a model that is built on the stand-in Encoder or Decoder returns; None when it is built otherwise."""
    single = find(seen, (inputs, outputs))
    if single is None:
        return None
    tint: Curve = Tint()
    curve = tint if part == "encoder" else (lambda v: torch.sigmoid(tint(v)))
    return single.run(x, (curve,))
