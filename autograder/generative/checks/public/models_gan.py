"""Weights for the small networks that take the place of a DCGAN's own, drawn so that everything in them matters."""

from __future__ import annotations

import torch
from torch import Tensor

from autograder.judging import Draw

from ...stand_ins.gan import CODE_SIZE, SmallDiscriminator, SmallGenerator

State = dict[str, Tensor]


def generator_state(draw: Draw) -> State:
    """Weights and running averages of a generator whose images depend strongly on its codes."""
    return {
        "fc.weight": draw.normal(48, CODE_SIZE, std=0.06),
        "fc.bias": draw.normal(48, std=0.2),
        "upsample_and_generate.0.weight": draw.normal(3, mean=1, std=0.2),
        "upsample_and_generate.0.bias": draw.normal(3, std=0.3),
        "upsample_and_generate.0.running_mean": draw.normal(3, std=0.3),
        "upsample_and_generate.0.running_var": draw.uniform(3, low=0.5, high=2),
        "upsample_and_generate.0.num_batches_tracked": torch.tensor(7),
    }


def discriminator_state(draw: Draw) -> State:
    """Weights and running averages of a discriminator whose logits are of moderate size."""
    return {
        "downsample.0.weight": draw.normal(5, 3, 8, 8, std=0.12),
        "downsample.0.bias": draw.normal(5, std=0.2),
        "downsample.2.weight": draw.normal(5, mean=1, std=0.2),
        "downsample.2.bias": draw.normal(5, std=0.3),
        "downsample.2.running_mean": draw.normal(5, std=0.2),
        "downsample.2.running_var": draw.uniform(5, low=0.2, high=0.8),
        "downsample.2.num_batches_tracked": torch.tensor(7),
        "fc.weight": draw.normal(1, 80, std=0.15),
        "fc.bias": draw.normal(1, std=0.3),
    }


def generator_from(state: State) -> SmallGenerator:
    network = SmallGenerator()
    network.load_state_dict(state)
    return network


def discriminator_from(state: State) -> SmallDiscriminator:
    network = SmallDiscriminator()
    network.load_state_dict(state)
    return network


def reachable_images(state: State, draw: Draw, count: int) -> Tensor:
    """Images (count, 3, 32, 32) near those of codes so far out that 500 steps do not reach them."""
    network = generator_from(state).eval()
    with torch.no_grad():
        images = network(draw.normal(count, CODE_SIZE, std=5))
    return (images + draw.uniform(count, 3, 32, 32, high=0.1)).clamp(0, 1)
