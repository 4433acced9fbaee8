"""Probes of `reconstruct`: what it returns for a small generator, and what it leaves behind."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .gan import blank_model, plain
from .gan_training import equip
from .kit import has_graph, same, snapshot
from .posing import mixing
from .stand_ins.gan import Tape


def reconstruct(
    samples: Tensor,
    generator: dict[str, Tensor] | None = None,
    array: bool = False,
    training: list[bool] | None = None,
) -> dict[str, Any]:
    """Calls `reconstruct` on images (as an array if asked) with a small generator on the DCGAN.

    training: whether the generator and the discriminator are handed over in training mode.
    """
    model = blank_model()
    tape, networks = equip(model, generator)
    modes = training or [True, True]
    for network, mode in zip(networks.values(), modes, strict=True):
        network.train(mode)
    before = {name: state(network) for name, network in networks.items()}
    given: Any = samples.numpy().copy() if array else samples.clone()
    returned = model.reconstruct(given)
    pair = list(returned) if isinstance(returned, (list, tuple)) else [returned]
    told = [plain(snapshot(value)) for value in pair]
    unchanged = same(samples, torch.from_numpy(given) if array else given)
    codes = [event["noise"] for event in tape if event["event"] == "generator"]
    return {
        "returned": told,
        "graph": any(has_graph(value) for value in pair),
        "unchanged": unchanged,
        "first": codes[0] if codes else None,
        "last": codes[-1] if codes else None,
        "forwards": len(codes),
        "steps": sum(event["event"].endswith("step") for event in tape),
        "start": start(networks["generator"], samples, tape),
        "same": {
            name: {part: same(was, state(network)[part]) for part, was in before[name].items()}
            for name, network in networks.items()
        },
        "gradients": {name: largest_gradient(network) for name, network in networks.items()},
    }


def state(network: nn.Module) -> dict[str, Any]:
    """Everything of a network that reconstruction might disturb."""
    return {
        "parameters": {name: snapshot(p) for name, p in network.named_parameters()},
        "buffers": {name: snapshot(b) for name, b in network.named_buffers()},
        "modes": {name: m.training for name, m in network.named_modules()},
        "trainable": {name: p.requires_grad for name, p in network.named_parameters()},
    }


def largest_gradient(network: nn.Module) -> float | None:
    """The largest entry of all gradients left on a network; None where there is none."""
    left = [float(p.grad.abs().max()) for p in network.parameters() if p.grad is not None]
    return max(left, default=None)


def start(generator: nn.Module, samples: Tensor, tape: Tape) -> Tensor:
    """The images of the zero codes, in evaluation mode."""
    modes = [(m, m.training) for m in generator.modules()]
    generator.eval()
    with torch.no_grad():
        images: Tensor = generator(torch.zeros(samples.shape[0], 64))
    for module, mode in modes:
        module.training = mode
    tape.pop()
    return snapshot(images)


def elsewhere(samples: Tensor) -> dict[str, Any]:
    """Calls `reconstruct` where the networks are on another device than the CPU: what collides, and where the images are."""
    images: list[str] = []

    def run(device: torch.device) -> None:
        model = blank_model(device)
        equip(model, device=device)
        returned = model.reconstruct(samples.clone())
        found = returned[1] if isinstance(returned, (list, tuple)) and len(returned) == 2 else None
        images.append(found.device.type if isinstance(found, torch.Tensor) else type(found).__name__)

    collision = mixing(run)
    if collision is None and not images:  # it raised: let that be seen, if it is the same on the CPU
        reconstruct(samples)
    return {"collision": collision, "devices": images}
