"""Mutated answers: a sample of `make fuzz`, and the answers that once kept the judge busy for minutes."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from autograder.grading import bounds
from autograder.judging import Draw, Fault, NoAnswer, Observation
from autograder.model.assignment import assignment
from autograder.sandbox.launch import launcher
from tests.experiments import forgeries, fuzz

QUESTIONS = ("1-3", "1-4")


def test_every_mutated_answer_ends_in_a_verdict() -> None:
    solutions = assignment().solutions
    assert solutions is not None
    boxes = launcher(None, None, [], gpu=False)
    try:
        answers, _ = forgeries.recorded(solutions, boxes, "today", QUESTIONS)
        found = fuzz.fuzz(answers, boxes, 10, QUESTIONS)
    finally:
        boxes.close()
    assert found.verdicts > 150
    assert not found.faults
    assert not found.slow


class Forged:
    """Takes the place of a submission whose probes are replaced. answer: makes an answer of a probe's inputs."""

    def __init__(self, answer: Callable[..., dict[str, Any]]) -> None:
        self.answer = answer

    def ask(self, probe: str, /, *, seconds: float = 0, **inputs: Any) -> Observation:
        answer = self.answer(**inputs)
        bounds.require_moderate(answer)
        return Observation(answer)

    ask_once = ask


def steps(passes: int, codes: int) -> Callable[..., dict[str, Any]]:
    """Calls of training_step with invented gradients, whose generator was called many times, or with many codes."""

    def answer(batches: list[Tensor], generator: Any, discriminator: Any, **_: Any) -> dict[str, Any]:
        weights = {"generator": generator, "discriminator": discriminator}
        gradients = {
            f"{network} gradients": {name: torch.rand(value.shape) for name, value in state.items()}
            for network, state in weights.items()
        }
        made = [{"event": "generator", "noise": torch.rand(codes, 64), "training": True}] * passes
        taken = [{"event": f"{network} step", **weights, **gradients} for network in weights][::-1]
        events = [*made, taken[0], *made, taken[1]]
        call = {
            "events": events,
            "returned": [0.7, 0.7],
            "before": weights,
            "after": weights,
            "left": weights,
        }
        return {"calls": [call for _ in batches]}

    return answer


def loader(shades: Tensor, labels: Tensor, **_: Any) -> dict[str, Any]:
    """A batch of images with millions of axes."""
    batch = {"shades": shades[:4], "labels": labels[:4], "shape": [1] * 3_900_000}
    return {"is_loader": True, "length": 1, "epochs": [{"batches": [batch]}]}


def filled(images: Tensor, **_: Any) -> dict[str, Any]:
    """A discriminator whose convolutions have thousands of channels."""
    wide = {"kind": "convolution", "weight": torch.rand(1536, 96, 4, 4), "scale": 1.0}
    computed = {"operations": [wide] * 3, "logits": torch.zeros(len(images), 1)}
    return {"training": computed, "evaluation": computed, "random": False}


@pytest.mark.parametrize(
    ("check", "answer"),
    [
        ("hidden.test_gan_training:discriminator_gradient", steps(1500, 1)),
        ("hidden.test_gan_training:generator_gradient", steps(1, 40_000)),
        ("hidden.test_gan_training:returned_losses", steps(6, 8192)),
        ("public.test_autoencoder:loader_serves_full_batches", loader),
        ("public.test_gan_spectral:all_convolutions_are_normed_early", filled),
    ],
    ids=["many passes", "many codes", "many codes in some passes", "many axes", "many channels"],
)
def test_an_answer_far_beyond_what_was_asked_is_refused_at_once(check: str, answer: Any) -> None:
    module, _, name = check.partition(":")
    function = getattr(importlib.import_module(f"autograder.generative.checks.{module}"), f"test_{name}")
    began = time.process_time()
    with pytest.raises(
        (Fault, NoAnswer), match=r"too large to judge|real images of the batch|channels of Discr"
    ):
        function(Forged(answer), Draw(3))
    assert time.process_time() - began < 3.0
