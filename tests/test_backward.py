"""Gradients of any loss on the small networks are told from numbers that no backward pass made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from autograder.generative.checks.public import judge_backward, models_gan
from autograder.generative.stand_ins.gan import gradients, weights
from autograder.judging import Draw, Observation

LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cross-entropy": lambda real, fake: F.softplus(-real).mean() + F.softplus(fake).mean(),
    "labels exchanged": lambda real, fake: F.softplus(real).mean() + F.softplus(-fake).mean(),
    "hinge": lambda real, fake: (1 - real).relu().sum() + (1 + fake).relu().sum(),
    "one image": lambda real, fake: real[0].square().sum() - 3 * fake[1].sum(),
}


def call(of: str, loss: Callable[[Tensor, Tensor], Tensor], training: bool, seed: int = 0) -> dict[str, Any]:
    """What is observed of a call of training_step that computes gradients of a loss, for one network."""
    draw = Draw(seed)
    discriminator = models_gan.discriminator_from(models_gan.discriminator_state(draw)).train(training)
    generator = models_gan.generator_from(models_gan.generator_state(draw))
    real, codes = draw.uniform(7, 3, 32, 32), draw.normal(7, 64)
    networks = {"discriminator": discriminator, "generator": generator}
    torch.autograd.backward(loss(discriminator(real), discriminator(generator(codes))))
    network = networks[of]
    return {"event": f"{of} step", of: weights(network), f"{of} gradients": gradients(network)}


def judged(event: dict[str, Any]) -> bool:
    return judge_backward.any_backward(
        Observation({"events": [event], "before": {}, "after": {}, "left": {}})
    )


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("of", ["discriminator", "generator"])
def test_gradients_of_any_loss_are_accepted(of: str, training: bool, loss: str) -> None:
    assert all(judged(call(of, LOSSES[loss], training, seed)) for seed in range(3))


@pytest.mark.parametrize("of", ["discriminator", "generator"])
def test_numbers_that_no_backward_pass_made_are_not(of: str, torch_seed: int) -> None:
    event = call(of, LOSSES["hinge"], True)
    right = event[f"{of} gradients"]
    for wrong in (
        {name: torch.randn_like(value) for name, value in right.items()},
        {name: value + 0.1 * value.abs().mean() * torch.randn_like(value) for name, value in right.items()},
        {name: torch.zeros_like(value) for name, value in right.items()},
        {name: torch.ones_like(value) for name, value in right.items()},
        {name: torch.full_like(value, torch.inf) for name, value in right.items()},
        dict.fromkeys(right),
        {},
    ):
        assert not judged({**event, f"{of} gradients": wrong})
