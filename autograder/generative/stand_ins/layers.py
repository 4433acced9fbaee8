"""Weights for three linear layers with ReLU between them that together compute one given linear map.

With them a check can hand a student's own networks the very weights that it gives to a stand-in, and knows what they
compute. A value a passes a ReLU as the pair relu(a), relu(-a), whose difference is a again; each value is carried by several
pairs of different scale, so that every layer is used in full.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

Weights = Mapping[str, Tensor]
WIDTHS = {"encoder": (256, 64), "decoder": (64, 256)}  # of the hidden layers, as the stubs ask for them
# Own encoders get log sigmas that are smaller by this: noise that does not come from PyTorch is too small to matter, so that
# training can be worked out.
QUIET = 40.0
# The bias of second layers. Where all of a unit's inputs are off, its value must not be 0, at which ReLUs have different slopes.
BELOW = -1e-6


def encoder(weights: Weights, quiet: bool = False) -> list[Tensor]:
    """Weight and bias of each layer of an encoder: [x, onehot] -> the outputs of the given linear encoder.

    quiet: whether the second half of the outputs, the log sigmas, is lower by QUIET.
    """
    matrix, bias = _with_labels(weights, "encoder"), weights["encoder_bias"]
    outputs = len(bias)
    last = torch.zeros(outputs)
    if quiet:
        last[outputs // 2 :] -= QUIET
    return _layers(matrix, bias, torch.eye(outputs), last, WIDTHS["encoder"])


def decoder(weights: Weights) -> list[Tensor]:
    """The same for a decoder: [z, onehot] -> the logits of the given decoder."""
    matrix = _with_labels(weights, "decoder")
    inputs = matrix.shape[1]
    return _layers(torch.eye(inputs), torch.zeros(inputs), matrix, weights["decoder_bias"], WIDTHS["decoder"])


def _with_labels(weights: Weights, part: str) -> Tensor:
    table = weights.get(f"{part}_labels")
    matrix = weights[f"{part}_weight"]
    return matrix if table is None else torch.cat([matrix, table.T], 1)


def _layers(
    first: Tensor, first_bias: Tensor, last: Tensor, last_bias: Tensor, widths: Sequence[int]
) -> list[Tensor]:
    """Layers for x -> last (first x + first_bias) + last_bias, whose inner values pass two hidden layers in pairs."""
    values = len(first)
    if values > min(widths) // 2:
        raise ValueError(f"{values} values do not fit into {min(widths)} units in pairs")
    (into, from_first), (through, from_second) = (_carriers(width, values) for width in widths)
    return [
        into @ first,
        into @ first_bias,
        through @ from_first,
        torch.full((widths[1],), BELOW),
        last @ from_second,
        last_bias.clone(),
    ]


def _carriers(width: int, values: int) -> tuple[Tensor, Tensor]:
    """A matrix (width, values) that spreads values over pairs of units, and (values, width), which reads them after a ReLU."""
    pairs = torch.arange(width // 2)
    scale = 0.7 + 0.6 * torch.frac(pairs * 0.618)
    spread = torch.nn.functional.one_hot(pairs % values, values).float() * scale[:, None]  # (pairs, values)
    read = (spread / spread.square().sum(0)).T  # (values, pairs)
    return torch.stack([spread, -spread], 1).flatten(0, 1), torch.stack([read, -read], 2).flatten(1)
