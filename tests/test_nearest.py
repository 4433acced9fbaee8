"""A training run whose rounding has turned one step is judged by what comes nearest: a right loop, or a known mistake."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from autograder.generative.checks.hidden import expected_own as own
from autograder.generative.checks.hidden import expected_steps as steps
from autograder.generative.checks.hidden import expected_training as training
from autograder.generative.checks.public import models_autoencoder as small
from autograder.judging import Draw, Observation


def run(how: dict[str, Any], turned: bool, seed: int = 3) -> training.Run:
    """A run of a student's own VAE. how: what is wrong with its loop. turned: whether a bias begins one step off."""
    draw = Draw(seed)
    size = replace(small.sizes(draw), rate=training.OWN_RATE)
    weights, images = small.weights(draw, size.nz), draw.uniform(size.images, 1, 28, 28)
    order = [draw.permutation(size.images) for _ in range(size.epochs)]
    batches = [
        (images[i].reshape(-1, 1, 784), None) for epoch in order for i in torch.split(epoch, size.batch)
    ]
    model = own.Model(weights, beta=0.2)
    if turned:
        with torch.no_grad():
            dict(model.named_parameters())["encoder.2.bias"][0] += size.rate
    doubles = [(x.double(), None) for x, _ in batches]
    per_epoch, loss = len(batches) // size.epochs, own.losses()["own"]
    parameters, _ = steps.simulate(model, doubles, per_epoch, loss, **{"rate": size.rate, **how})
    seen = {
        "batches": [{"x": x, "c": None} for x, _ in batches],
        "parameters": {name: value.float() for name, value in parameters.items()},
    }
    return training.Run(
        seen=Observation(seen),
        size=size,
        images=images,
        labels=torch.zeros(size.images, dtype=torch.long),
        make=lambda: own.Model(weights, beta=0.2),
        losses=own.losses(),
        own=True,
    )


@pytest.mark.parametrize("seed", [3, 5, 8])  # those whose turned step makes a difference
def test_a_right_run_is_right_although_rounding_has_turned_a_step(torch_seed: int, seed: int) -> None:
    assert run({}, turned=False, seed=seed).fitting() == "own"
    found = run({}, turned=True, seed=seed)
    assert not found._fits(found._simulated("own")[0]), (
        "the turned step makes no difference: this tests nothing"
    )
    assert found.fitting() == "own"


LOOPS = [{"kind": "AdamW"}, {"clear": "never"}, {"renew": "epoch"}, {"rate": 1e-3}, {"kind": "SGD"}]


@pytest.mark.parametrize("how", LOOPS)
def test_a_wrong_run_is_wrong(torch_seed: int, how: dict[str, Any]) -> None:
    assert run(how, turned=False).fitting() is None


@pytest.mark.parametrize("how", LOOPS[1:])  # a turned step hides the decay of AdamW, which is smaller
def test_a_wrong_run_is_wrong_although_rounding_has_turned_a_step(
    torch_seed: int, how: dict[str, Any]
) -> None:
    assert run(how, turned=True).fitting() is None
