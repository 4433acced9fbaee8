"""Parameters that have not moved are no training, whatever images the model is said to have got."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from autograder.generative.checks.hidden import expected_steps, expected_training
from autograder.generative.checks.public import models_autoencoder as small
from autograder.generative.stand_ins import models
from autograder.judging import Draw, Fault, Observation

SIZE = small.Sizes(nz=3, images=6, batch=3, epochs=3, rate=1e-3)


def run_of(batches: list[Tensor], images: Tensor) -> expected_training.Run:
    """A run of which these batches came back, and the parameters as they were handed over."""
    weights = small.weights(Draw(7), SIZE.nz, outputs=SIZE.nz)
    parameters = {n: p.detach() for n, p in models.AutoEncoder(weights).named_parameters()}
    seen = {
        "batches": [{"x": x, "c": None} for x in batches],
        "parameters": parameters,
        "training": True,
        "training_first": True,
        "rates": [],
        "seed_kept": True,
    }
    return expected_training.Run(
        seen=Observation(seen),
        size=SIZE,
        images=images,
        labels=torch.zeros(SIZE.images, dtype=torch.long),
        make=lambda: models.AutoEncoder(weights).double(),
        losses=expected_steps.autoencoder_losses(),
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x[:0],
        lambda x: 1e9 * x,
        lambda x: float("nan") * x,
        lambda x: x,
        lambda x: x.round(),
    ],
    ids=["none", "huge", "nan", "right", "rounded"],
)
def test_no_images_make_up_for_training(change: Callable[[Tensor], Tensor]) -> None:
    images = torch.rand(SIZE.images, 1, 28, 28)
    flat = images.reshape(2, 3, 1, 784)
    run = run_of([change(flat[i % 2]) for i in range(6)], images)
    with pytest.raises(Fault):
        run.expect_steps("train_autoencoder")


def test_the_same_order_in_all_epochs_is_no_shuffling() -> None:
    images = torch.rand(SIZE.images, 1, 28, 28)
    first, second = images.reshape(2, 3, 1, 784)
    with pytest.raises(Fault) as caught:
        run_of([first, second] * 3, images).expect_images()
    assert caught.value.mistake == "training-batches-kept"
    run_of([first, second, second, first, first.flip(0), second], images).expect_images()
