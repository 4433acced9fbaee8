"""Whether gradients come from a backward pass, whatever the loss was: what holds for those of every loss on the small networks.

A network's output does not change when some of its parameters are scaled or moved together, so neither does any loss of it:

- Discriminator: LeakyReLU only scales, so the batch normalisation's weight and bias and the weights of `fc` behind them have the
  same effect: in each channel, w . dL/dw over `fc` equals gamma dL/dgamma + beta dL/dbeta.
- Generator, in training mode: the batch normalisation takes the mean away again, so the gradients of `fc`'s biases in front of it
  add up to 0 in each channel.

Numbers that were not made by a backward pass do not fit, except by chance.
"""

from __future__ import annotations

import torch
from torch import Tensor

from autograder.judging import Observation

from ...stand_ins.gan import SmallDiscriminator, SmallGenerator

Values = dict[str, Tensor]
ROUNDING = 1e-3  # how much the sums may differ, as a share of the sizes of their terms: float32 is rounded


def any_backward(call: Observation) -> bool:
    """Whether a call of training_step left gradients of a loss on one of the networks, at a step or at its end."""
    sources = [event for event in call.parts("events") if event.text("event").endswith(" step")]
    found = [(event.get(f"{name} gradients"), event.get(name)) for event in sources for name in FITTING]
    ends = [call.part("before"), call.part("after")]
    found += [(call.part("left").get(name), end.get(name)) for end in ends for name in FITTING]
    return any(_from_a_loss(gradients, weights) for gradients, weights in found)


def _from_a_loss(gradients: object, weights: object) -> bool:
    if not isinstance(gradients, dict) or not isinstance(weights, dict):
        return False
    for name, shapes in SHAPES.items():
        if set(shapes) == set(gradients) and all(
            _is(gradients[n], s) and _is(weights.get(n), s) for n, s in shapes.items()
        ):
            doubles = ({n: v[n].double() for n in shapes} for v in (gradients, weights))
            return FITTING[name](*doubles)
    return False


def _is(value: object, shape: torch.Size) -> bool:
    return (
        isinstance(value, Tensor)
        and value.shape == shape
        and value.is_floating_point()
        and bool(value.isfinite().all())
    )


def _fits_discriminator(grad: Values, value: Values) -> bool:
    weight, bias = "downsample.2.weight", "downsample.2.bias"
    behind = (value["fc.weight"] * grad["fc.weight"]).reshape(len(value[weight]), -1)
    before = torch.stack([value[weight] * grad[weight], value[bias] * grad[bias]], 1)
    size = behind.abs().sum(1) + before.abs().sum(1)
    return bool((grad["fc.weight"] != 0).any()) and _equal(behind.sum(1), before.sum(1), size)


def _fits_generator(grad: Values, value: Values) -> bool:
    biases = grad["fc.bias"].reshape(len(value["upsample_and_generate.0.weight"]), -1)
    return bool((biases != 0).any()) and _equal(
        biases.sum(1), torch.zeros(len(biases)).double(), biases.abs().sum(1)
    )


def _equal(one: Tensor, other: Tensor, size: Tensor) -> bool:
    return bool(((one - other).abs() <= ROUNDING * size).all())


FITTING = {"discriminator": _fits_discriminator, "generator": _fits_generator}
SHAPES = {
    "discriminator": {name: p.shape for name, p in SmallDiscriminator().named_parameters()},
    "generator": {name: p.shape for name, p in SmallGenerator().named_parameters()},
}
