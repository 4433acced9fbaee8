"""Probes of the DCGAN's construction and of its two loss functions."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from types import FunctionType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from autograder.sandbox.kit import attribute, has_graph, need, same, snapshot
from autograder.sandbox.posing import mixing

from .gan_places import replace_classes, restore_classes

CONSTANTS = (
    "num_epoch",
    "batch_size",
    "log_step",
    "visualize_step",
    "code_size",
    "learning_rate",
    "vis_learning_rate",
)
CPU = torch.device("cpu")
CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)
# How many entries of each parameter are reported when all would be too many.
ENTRIES = 300


def blank_model(device: torch.device = CPU, networks: Mapping[str, nn.Module] | None = None) -> Any:
    """A DCGAN to attach stand-ins to: the student's own, with the attributes that its constructor fails to set filled in.

    networks: what its constructor makes networks like, by name, where it does not fail with these.
    """
    restore_classes()
    cls = need("gan", "DCGAN")
    model = cls.__new__(cls)
    replace_classes(networks or {})
    try:
        cls.__init__(model, device=device)
    except Exception:
        if networks:
            return blank_model(device)
    if isinstance(model, nn.Module) and "_modules" not in vars(model):
        nn.Module.__init__(model)
    if not isinstance(getattr(model, "tracked_noise", None), Tensor):
        model.tracked_noise = torch.randn(64, 64, device=device)
    if not hasattr(model, "_actmax_label"):
        model._actmax_label = torch.ones(1, 1, device=device)
    if not hasattr(model, "device"):
        model.device = device
    return model


def put(model: Any, **parts: Any) -> None:
    """Sets attributes of a DCGAN, also those that are submodules or properties of it."""
    for name, value in parts.items():
        vars(model).get("_modules", {}).pop(name, None)
        vars(model).pop(name, None)
        with suppress(AttributeError):  # a property without a setter
            setattr(model, name, value)
        if getattr(model, name, None) is not value:
            fixed = staticmethod(value) if isinstance(value, FunctionType) else value
            model.__class__ = type(type(model).__name__, (type(model),), {name: fixed})


def plain(value: Any) -> Any:
    """`value` with numpy's numbers and arrays as Python's numbers and tensors."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        return torch.from_numpy(np.ascontiguousarray(value).copy())
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return value


def networks_of(model: Any) -> dict[str, nn.Module]:
    return {name: attribute(model, f"_{name}", "DCGAN()") for name in ("generator", "discriminator")}


def constants() -> dict[str, Any]:
    """The class's constants, if a DCGAN can be made."""
    cls = need("gan", "DCGAN")
    model = cls(device="cpu")
    return {name: plain(snapshot(getattr(model, name, None))) for name in CONSTANTS}


def construct(codes: Tensor, images: Tensor) -> dict[str, Any]:
    """Makes a DCGAN and sends codes and images through its networks."""
    model = need("gan", "DCGAN")(device="cpu")
    networks = networks_of(model)
    optimisers = {name: attribute(model, name, "DCGAN()") for name in ("optimizerG", "optimizerD")}
    with torch.no_grad():
        generated, logits = networks["generator"](codes), networks["discriminator"](images)
    return {
        "generated": snapshot(generated),
        "logits": snapshot(logits),
        "devices": sorted({p.device.type for net in networks.values() for p in net.parameters()}),
        "can_step": {
            name: callable(getattr(optimiser, "step", None)) for name, optimiser in optimisers.items()
        },
        "registered": isinstance(model, nn.Module)
        and all(any(m is net for m in model.modules()) for net in networks.values()),
    }


def construct_elsewhere() -> dict[str, Any]:
    """Makes a DCGAN on a device other than the CPU: which tensors collide, and which are left on the CPU."""
    elsewhere: list[str] = []

    def run(device: torch.device) -> None:
        model = need("gan", "DCGAN")(device=device)
        buffers = model.named_buffers(recurse=False)
        elsewhere.extend(f"buffer {name}" for name, b in buffers if b.device.type != device.type)
        for network, module in networks_of(model).items():
            tensors = dict(module.named_parameters())
            left = [f"_{network}.{name}" for name, p in tensors.items() if p.device.type != device.type]
            elsewhere.extend(left if len(left) < len(tensors) else [f"_{network}"])

    return {"collision": mixing(run), "elsewhere": elsewhere}


def initial_weights(repeats: int = 1) -> dict[str, Any]:
    """Weights of a new DCGAN's layers, and of the batch normalisations of `repeats` more, which have few values each."""
    make = need("gan", "DCGAN")
    seed = torch.initial_seed()
    layers = describe(networks_of(make(device="cpu")))
    seed_kept = torch.initial_seed() == seed
    more = []
    for _ in range(repeats):
        found = describe(networks_of(make(device="cpu")))
        more.append([layer for layer in found if layer["kind"] == "batch norm"])
    return {"layers": layers, "more": more, "seed_kept": seed_kept}


def describe(networks: dict[str, nn.Module]) -> list[dict[str, Any]]:
    """Network, kind, name, weight and bias of every layer that has a weight."""
    found = []
    for network, net in networks.items():
        for layer in net.modules():
            kind = (
                "convolution"
                if isinstance(layer, CONVOLUTIONS)
                else "batch norm"
                if isinstance(layer, nn.BatchNorm2d)
                else "linear"
                if isinstance(layer, nn.Linear)
                else ""
            )
            if kind and isinstance(getattr(layer, "weight", None), Tensor):
                found.append(
                    {
                        "network": network,
                        "kind": kind,
                        "name": short_name(layer),
                        "weight": snapshot(kernel_of(layer)),
                        "bias": snapshot(layer.bias),
                    }
                )
    return found


def short_name(layer: nn.Module) -> str:
    """A layer's class with its first numbers, as in "Conv2d(3, 32)"."""
    return ", ".join(str(layer).splitlines()[0].split(", ")[:2])[:80].rstrip(",)") + ")"


def kernel_of(layer: nn.Module) -> Any:
    """The parameter behind a layer's weight, which PyTorch's spectral normalisation computes from it."""
    if parametrize.is_parametrized(layer, "weight"):
        return layer.parametrizations["weight"].original  # type: ignore[index, union-attr]
    return getattr(layer, "weight_orig", layer.weight)


def pattern(like: Tensor, angle: float, offset: float, scale: float) -> Tensor:
    """A gradient that can be computed again anywhere: the first entries of `sine` in the shape of a parameter."""
    return shaped(sine(like.numel(), angle, offset, scale), like)


def sine(count: int, angle: float, offset: float, scale: float) -> Tensor:
    """A sine over the entries, in float64, and exactly 0 at every seventh."""
    values = torch.sin(torch.arange(count, dtype=torch.float64) * angle + offset) * scale
    values[3::7] = 0
    return values


def shaped(values: Tensor, like: Tensor) -> Tensor:
    """The first values in the shape of `like`."""
    # With the parameter's own layout in memory, as autograd's gradients have it: a fused optimiser relies on that.
    return torch.empty_like(like).copy_(values[: like.numel()].reshape(like.shape))


def optimiser_steps(optimiser: str, waves: list[list[float]]) -> dict[str, Any]:
    """For each wave, gives every parameter of both networks a gradient and lets one optimiser take a step."""
    model = need("gan", "DCGAN")(device="cpu")
    chosen = attribute(model, optimiser, "DCGAN()")
    named = [
        (net, name, p) for net, module in networks_of(model).items() for name, p in module.named_parameters()
    ]
    before = [snapshot(p) for _, _, p in named]
    longest = max((p.numel() for _, _, p in named), default=0)
    for wave in waves:
        values = sine(longest, *wave)
        for _, _, p in named:
            p.grad = shaped(values, p.detach())
        chosen.step()
    groups = getattr(chosen, "param_groups", [])
    return {
        "type": type(chosen).__name__,
        "amsgrad": any(isinstance(group, dict) and group.get("amsgrad") is True for group in groups),
        "parameters": [
            {
                "network": net,
                "name": name,
                "size": p.numel(),
                "before": was.flatten()[:ENTRIES],
                "after": snapshot(p).flatten()[:ENTRIES],
                "moved": not same(was, p),
            }
            for (net, name, p), was in zip(named, before, strict=True)
        ],
    }


def loss_value(name: str, first: Tensor, second: Tensor) -> dict[str, Any]:
    """Calls one of the two losses: its value, its gradient with respect to the first argument, whether it changed either."""
    function = attribute(blank_model(), name, "DCGAN()")
    leaf = first.clone().requires_grad_()
    target = second.clone()
    loss = function(leaf, target)
    gradient = None
    if isinstance(loss, Tensor) and has_graph(loss) and loss.dim() == 0:
        (gradient,) = torch.autograd.grad(loss, leaf, allow_unused=True)
    return {
        "loss": plain(snapshot(loss)),
        "gradient": snapshot(gradient),
        "unchanged": same(first, leaf) and same(second, target),
    }
