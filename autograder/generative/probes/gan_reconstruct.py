"""Probes of `reconstruct`: what it returns for a small generator, and what it changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from autograder.sandbox.kit import has_graph, same, snapshot
from autograder.sandbox.posing import DevicesMixed, mixing

from .gan import blank_model, plain
from .gan_training import equip

T = TypeVar("T")


def reconstruct(
    samples: Tensor,
    generator: dict[str, Tensor] | None = None,
    training: list[bool] | None = None,
) -> dict[str, Any]:
    """Calls `reconstruct` on images (N, 3, 32, 32), with a small generator as the DCGAN's.

    training: whether the generator and the discriminator are in training mode before the call.
    """

    def run(given: Any) -> dict[str, Any]:
        return one_search(given, generator, training or [True, True])

    return in_either_form(run, samples)


def in_either_form(run: Callable[[Any], T], samples: Tensor) -> T:
    """Calls `run` with the images as a tensor and, if that raises, as an array: code may take either of them.

    `run` must make a new model, since a call that raises may leave it in any state.
    """
    try:
        return run(samples.clone())
    except DevicesMixed:
        raise
    except Exception as first:
        try:
            return run(samples.numpy().copy())
        except DevicesMixed:
            raise
        except Exception:
            raise first from None


def one_search(given: Any, generator: dict[str, Tensor] | None, training: list[bool]) -> dict[str, Any]:
    """One call of `reconstruct` on a new model: what it returned, which codes it used, and what it changed."""
    model = blank_model()
    tape, networks = equip(model, generator)
    for network, mode in zip(networks.values(), training, strict=True):
        network.train(mode)
    before = {name: state(network) for name, network in networks.items()}
    kept = torch.as_tensor(given).clone()
    returned = model.reconstruct(given)
    pair = list(returned) if isinstance(returned, (list, tuple)) else [returned]
    codes = [event["noise"] for event in tape if event["event"] == "generator"]
    return {
        "returned": [plain(snapshot(value)) for value in pair],
        "graph": any(has_graph(value) for value in pair),
        "unchanged": same(kept, torch.as_tensor(given)),
        "first": codes[0] if codes else None,
        "last": codes[-1] if codes else None,
        "steps": sum(event["event"].endswith("step") for event in tape),
        "same": {
            name: {part: same(was, state(network)[part]) for part, was in before[name].items()}
            for name, network in networks.items()
        },
        "gradients": {name: largest_gradient(network) for name, network in networks.items()},
    }


def state(network: nn.Module) -> dict[str, Any]:
    """Everything in a network that `reconstruct` might change."""
    return {
        "parameters": {name: snapshot(p) for name, p in network.named_parameters()},
        "buffers": {name: snapshot(b) for name, b in network.named_buffers()},
        "modes": {name: m.training for name, m in network.named_modules()},
        "trainable": {name: p.requires_grad for name, p in network.named_parameters()},
    }


def largest_gradient(network: nn.Module) -> float | None:
    """The largest magnitude in the gradients left on a network; None if there are no gradients."""
    left = [float(p.grad.abs().max()) for p in network.parameters() if p.grad is not None]
    return max(left, default=None)


def elsewhere(samples: Tensor, generator: dict[str, Tensor]) -> dict[str, Any]:
    """Calls `reconstruct` with the networks on a device other than the CPU.

    collision: the operation that mixed devices, if one did. devices: where the returned images are.
    """
    images: list[str] = []
    returned: list[Any] = []
    last: list[Tensor] = []

    def run(device: torch.device) -> None:
        in_either_form(lambda given: search(given, device), samples)

    def search(given: Any, device: torch.device) -> None:
        model = blank_model(device)
        tape, _ = equip(model, generator, device=device)
        found = model.reconstruct(given)
        pair = list(found) if isinstance(found, (list, tuple)) else [found]
        images.extend(v.device.type for v in pair if isinstance(v, Tensor) and v.dim() == 4)
        returned.extend(plain(snapshot(value)) for value in pair)
        last.extend(event["noise"] for event in tape[-1:] if event["event"] == "generator")

    collision = mixing(run)
    if collision is None and not returned:  # it raised; if it raises on the CPU as well, that is reported
        here = reconstruct(samples, generator)
        return {"collision": None, "devices": [], "returned": here["returned"], "last": here["last"]}
    return {
        "collision": collision,
        "devices": images,
        "returned": returned,
        "last": last[-1] if last else None,
    }
