"""Answers invented by hostile code (every flag good, no work done) pass no DCGAN check that gives points."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from autograder.judging import Draw, Fault, Observation

MODULES = (
    "public.test_gan",
    "public.test_gan_spectral",
    "public.test_gan_training",
    "public.test_gan_gradients",
    "public.test_gan_reconstruct",
    "public.test_wrong_devices",
    "public.test_gan_initialisation",
    "hidden.test_gan_loss",
    "public.test_gan_optimisers",
    "hidden.test_gan_training",
    "hidden.test_gan_spectral",
    "hidden.test_gan_reconstruct",
)
CONSTANTS = {
    "num_epoch": 25,
    "batch_size": 128,
    "log_step": 100,
    "visualize_step": 2,
    "code_size": 64,
    "learning_rate": 2e-4,
    "vis_learning_rate": 1e-2,
}
UNTOUCHED = {
    network: dict.fromkeys(("parameters", "buffers", "modes", "trainable"), True)
    for network in ("generator", "discriminator")
}
NO_GRADIENT = {"generator": None, "discriminator": None}


def points_giving_checks() -> Iterator[Any]:
    for name in MODULES:
        module = importlib.import_module(f"autograder.generative.checks.{name}")
        for function in vars(module).values():
            for mark in getattr(function, "pytestmark", []):
                if mark.kwargs["points"] > 0 and mark.kwargs["question"].startswith("2-"):
                    yield pytest.param(function, id=f"{mark.kwargs['question']}-{function.__name__}")


def training_call(batch: Tensor) -> dict[str, Any]:
    """A training step that never happened: the right number of events, with nothing in them."""
    noise, logits = torch.randn(len(batch), 64), torch.zeros(len(batch), 1)
    generator = {"event": "generator", "noise": noise, "training": True, "grad": True}
    discriminator = {
        "event": "discriminator",
        "images": len(batch),
        "logits": logits,
        "training": True,
        "grad": True,
    }
    steps = [
        {
            "event": f"{name} step",
            "generator": {},
            "discriminator": {},
            "generator gradients": {},
            "discriminator gradients": {},
            "after": {"generator": {}, "discriminator": {}},
        }
        for name in ("discriminator", "generator")
    ]
    return {
        "events": [generator, discriminator, discriminator, steps[0], generator, discriminator, steps[1]],
        "returned": [0.7, 0.7],
        "graph": False,
        "unchanged": True,
        "before": {"generator": {}, "discriminator": {}},
        "after": {"generator": {}, "discriminator": {}},
        "left": {"generator": {}, "discriminator": {}},
        "training": {"generator": True, "discriminator": True},
    }


class MadeUp:
    """Takes the place of a submission whose code answers every probe itself with whatever looks good.

    copies: whether it returns the given images as their own reconstruction (else it returns None).
    """

    def __init__(self, copies: bool = False) -> None:
        self.copies = copies

    def ask(self, probe: str, /, *, seconds: float = 0, **inputs: Any) -> Observation:
        return Observation(self.answer(probe.partition(".")[2], inputs))

    ask_once = ask

    def answer(self, name: str, inputs: dict[str, Any]) -> dict[str, Any]:
        if name == "constants":
            return CONSTANTS
        if name == "construct":
            made = {"generated": torch.zeros(3, 3, 32, 32), "logits": torch.zeros(5, 1)}
            return {**made, "devices": ["cpu"], "can_step": {"optimizerG": True, "optimizerD": True}}
        if name == "initial_weights":
            return {"layers": [], "more": [[]] * inputs.get("repeats", 1)}
        if name == "optimiser_steps":
            network = "generator" if inputs["optimiser"] == "optimizerG" else "discriminator"
            nothing = torch.zeros(8)
            return {
                "amsgrad": False,
                "parameters": [
                    {
                        "network": n,
                        "name": "w",
                        "size": 8,
                        "before": nothing,
                        "after": nothing,
                        "moved": n == network,
                    }
                    for n in ("generator", "discriminator")
                ],
            }
        if name == "loss_value":
            return {
                "loss": torch.tensor(0.0),
                "gradient": torch.zeros_like(inputs["first"]),
                "unchanged": True,
            }
        if name == "architecture":
            return {"operations": [], "plain": [], "logits": torch.zeros(5, 1), "gradients": [1.0] * 4}
        if name == "filled":
            computed = {"operations": [], "logits": torch.zeros(len(inputs["images"]), 1)}
            return {"training": computed, "evaluation": computed, "random": False}
        if name == "classes":
            return {"true": True, "false": False}
        if name == "steps":
            return {"calls": [training_call(batch) for batch in inputs["batches"]]}
        if name == "elsewhere" and "batch" in inputs:
            return {"collision": None, "here": training_call(inputs["batch"])}
        if name == "construct_elsewhere":
            return {"collision": None, "elsewhere": []}
        images = inputs["samples"]
        return {
            "returned": [0.0, images.clone() if self.copies else None],
            "collision": None,
            "devices": ["cpu"],
            "graph": False,
            "unchanged": True,
            "first": torch.zeros(len(images), 64),
            "last": torch.zeros(len(images), 64),
            "own_loss": True,
            "steps": 0,
            "same": UNTOUCHED,
            "gradients": NO_GRADIENT,
        }


@pytest.mark.parametrize("function", list(points_giving_checks()))
def test_made_up_answers_pass_no_check(function: Callable[..., None]) -> None:
    arguments: dict[str, Any] = {"submission": MadeUp()}
    arguments |= {name: Draw(3) for name in inspect.signature(function).parameters if name != "submission"}
    with pytest.raises(Fault):
        function(**arguments)


def test_copies_of_the_images_are_not_a_reconstruction() -> None:
    judge: Callable[..., None] = importlib.import_module(
        "autograder.generative.checks.public.test_gan_reconstruct"
    ).test_reconstruction_comes_nearer
    with pytest.raises(Fault):
        judge(MadeUp(copies=True), Draw(3))
