"""Probes of `training_step`: what goes through two small networks, and their gradients at every optimiser step."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from autograder.sandbox.kit import attribute, has_graph, same, snapshot, standing_in
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
from .gan import blank_model, plain, put
from .gan_places import network_in_place, optimiser_in_place


def small_model(device: torch.device | None = None) -> Any:
    """A DCGAN that small networks fit, to be equipped."""
    networks = {"_generator": SmallGenerator(), "_discriminator": SmallDiscriminator()}
    return blank_model(torch.device("cpu") if device is None else device, networks)


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
    for name, network in networks.items():
        network.train(training)
        if device is not None:
            network.to(device)
        networks[name] = network_in_place(model, f"_{name}", network)
    optimisers = {
        "optimizerG": RecordingAdam("generator step", networks["generator"], networks, tape),
        "optimizerD": RecordingAdam("discriminator step", networks["discriminator"], networks, tape),
    }
    old = {name: getattr(model, name, None) for name in optimisers}
    if old["optimizerG"] is not old["optimizerD"]:  # one for both would take the steps of both
        optimisers = {name: optimiser_in_place(model, old[name], new) for name, new in optimisers.items()}
    put(model, **{f"_{name}": network for name, network in networks.items()}, **optimisers)
    return tape, networks


class Forgiving(TorchFunctionMode):
    """PyTorch's losses with labels that have another number of axes or another type than the logits."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in LOSSES and len(args) >= 2:
            args = (args[0], fitting(args[1], args[0]), *args[2:])
        return func(*args, **(kwargs or {}))


LOSSES = (F.binary_cross_entropy_with_logits, F.binary_cross_entropy, F.mse_loss)


def fitting(labels: Tensor, logits: Tensor) -> Tensor:
    """The labels with the shape and the type of the logits, where they are as many."""
    same_number = isinstance(labels, Tensor) and labels.numel() == logits.numel()
    return labels.reshape(logits.shape).to(logits.dtype) if same_number else labels


def forgiving_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """The stand-in of `_classification_loss`, which takes labels as `Forgiving` does."""
    return stand_in_loss(logits, fitting(labels, logits))


def steps(
    batches: list[Tensor],
    generator: dict[str, Tensor] | None = None,
    discriminator: dict[str, Tensor] | None = None,
    phase: str = "",
    forgiving: bool = False,
) -> dict[str, Any]:
    """Calls `training_step` once for each batch, on the same small networks, and reports each call.

    phase: the part of a step that must run, the other may be unfinished: "discriminator" or "generator"; "" for both.
    forgiving: whether labels may have another number of axes or another type than the logits.
    """
    model, tape, networks = prepared(generator, discriminator, phase, forgiving)
    with Forgiving() if forgiving else nullcontext():
        return {"calls": [one_step(model, tape, networks, batch, phase) for batch in batches]}


def no_step(*args: Any, **kwargs: Any) -> float:
    """Stands in for a discriminator's step that is not written, or does not run."""
    return 0.0


def prepared(
    generator: dict[str, Tensor] | None,
    discriminator: dict[str, Tensor] | None,
    phase: str,
    forgiving: bool,
    device: torch.device | None = None,
) -> tuple[Any, Tape, dict[str, nn.Module]]:
    """A DCGAN with small networks and, where stand-ins are active, the stand-in of its loss; the rest as for `steps`."""
    model = small_model(device)
    tape, networks = equip(model, generator, discriminator, device=device)
    if "gan" in standing_in:
        put(model, _classification_loss=forgiving_loss if forgiving else stand_in_loss)
    if phase == "generator":
        attribute(model, "_generator_step", "DCGAN()")
        put(model, _discriminator_step=no_step)
    return model, tape, networks


def one_step(
    model: Any, tape: Tape, networks: dict[str, nn.Module], batch: Tensor, phase: str = ""
) -> dict[str, Any]:
    """One call of `training_step`: its events, what it returned, and the networks afterwards.

    An exception ends the call: it is raised again, unless phase is "discriminator" and an optimiser has taken a step.
    """
    tape.clear()
    before = {name: weights(network) for name, network in networks.items()}
    real = batch.clone()
    returned: Any = []
    try:
        returned = model.training_step(real)
    except Exception:
        if phase != "discriminator" or not any(event["event"].endswith(" step") for event in tape):
            raise
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
    batch: Tensor, generator: dict[str, Tensor], discriminator: dict[str, Tensor], phase: str = ""
) -> dict[str, Any]:
    """Calls `training_step` on the CPU, and then with networks and batch on another device: which tensors collide.

    What it raises on the CPU is raised only if no network was called: this probe is about devices.
    """
    model, here, networks = prepared(generator, discriminator, phase, forgiving=True)
    before = {name: weights(network) for name, network in networks.items()}
    with Forgiving():
        try:
            model.training_step(batch.clone())
        except Exception:
            if not here:
                raise

    def run(device: torch.device) -> None:
        model, _, _ = prepared(generator, discriminator, phase, forgiving=True, device=device)
        with Forgiving():
            for _ in range(2):
                model.training_step(batch.to(device))

    return {"collision": mixing(run), "here": {"events": list(here), "before": before}}
