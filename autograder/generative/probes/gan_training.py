"""Probes of `training_step`: what goes through two small networks, and their gradients at every optimiser step."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from autograder.sandbox.kit import has_graph, same, snapshot, standing_in
from autograder.sandbox.posing import mixing

from ..stand_ins.gan import (
    RecordingAdam,
    SmallDiscriminator,
    SmallGenerator,
    Tape,
    gradients,
    stand_in_loss,
    weights,
)
from .gan import blank_model, plain


def equip(
    model: Any,
    generator: dict[str, Tensor] | None = None,
    discriminator: dict[str, Tensor] | None = None,
    training: bool = True,
    device: torch.device | None = None,
) -> tuple[Tape, dict[str, nn.Module]]:
    """Puts small networks (with the given states, if any) and recording optimisers on a DCGAN."""
    tape = Tape()
    small_generator, small_discriminator = SmallGenerator(tape), SmallDiscriminator(tape)
    if generator is not None:
        small_generator.load_state_dict(generator)
    if discriminator is not None:
        small_discriminator.load_state_dict(discriminator)
    networks: dict[str, nn.Module] = {"generator": small_generator, "discriminator": small_discriminator}
    for network in networks.values():
        network.train(training)
        if device is not None:
            network.to(device)
    model._generator, model._discriminator = small_generator, small_discriminator
    model.optimizerG = RecordingAdam("generator step", small_generator, networks, tape)
    model.optimizerD = RecordingAdam("discriminator step", small_discriminator, networks, tape)
    return tape, networks


def steps(
    batches: list[Tensor],
    generator: dict[str, Tensor] | None = None,
    discriminator: dict[str, Tensor] | None = None,
    training: bool = True,
) -> dict[str, Any]:
    """Calls `training_step` once for each batch, on the same small networks, and reports each call."""
    model = blank_model()
    tape, networks = equip(model, generator, discriminator, training)
    if "gan" in standing_in:
        model._classification_loss = stand_in_loss
    return {"calls": [one_step(model, tape, networks, batch) for batch in batches]}


def one_step(model: Any, tape: Tape, networks: dict[str, nn.Module], batch: Tensor) -> dict[str, Any]:
    """One call of `training_step`: its events, what it returned, and the networks afterwards."""
    tape.clear()
    before = {name: weights(network) for name, network in networks.items()}
    real = batch.clone()
    returned = model.training_step(real)
    pair = returned if isinstance(returned, (list, tuple)) else [returned]
    return {
        "events": list(tape),
        "returned": plain(snapshot(list(pair))),
        "graph": any(has_graph(value) for value in pair),
        "unchanged": same(batch, real),
        "before": before,
        "after": {name: weights(network) for name, network in networks.items()},
        "left": {name: gradients(network) for name, network in networks.items()},
        "training": {name: all(m.training for m in network.modules()) for name, network in networks.items()},
    }


def elsewhere(
    batch: Tensor, generator: dict[str, Tensor], discriminator: dict[str, Tensor]
) -> dict[str, Any]:
    """Calls `training_step` on the CPU, and then with networks and batch on another device: which tensors collide."""
    here = steps([batch], generator, discriminator)["calls"][0]

    def run(device: torch.device) -> None:
        model = blank_model(device)
        equip(model, generator, discriminator, device=device)
        if "gan" in standing_in:
            model._classification_loss = stand_in_loss
        for _ in range(2):
            model.training_step(batch.to(device))

    return {"collision": mixing(run), "here": {"events": here["events"]}}
