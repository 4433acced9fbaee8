"""The second way: a student's own networks in place of the given ones, with weights that make them compute the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from autograder.sandbox.kit import need, snapshot, standing_in

from ..stand_ins import layers, models

Named = dict[
    str, tuple[nn.Parameter, torch.Size]
]  # a parameter by its place, and the shape of what it was set to


def parts() -> bool:
    """True when the student's own parts take the place of all stand-ins."""
    return not standing_in


def autoencoder(weights: models.Weights) -> Any:
    """An auto-encoder that computes what these weights say: a given one, or the student's own."""
    if not parts():
        return models.AutoEncoder(weights)
    model = need("autoencoder", "AutoEncoder")(weights["decoder_weight"].shape[1])
    fill(model, weights)
    return model


def vae(weights: models.Weights, beta: float, quiet: bool = False) -> Any:
    """A VAE that computes what these weights say: a given one, or the student's own. quiet: see layers.QUIET."""
    if not parts():
        return models.VAE(weights, beta)
    model = need("vae", "VAE")(weights["decoder_weight"].shape[1], beta)
    fill(model, weights, quiet)
    return model


def cvae(weights: models.Weights, beta: float, quiet: bool = False) -> Any:
    """The same for a CVAE, which is conditional when the weights hold label tables."""
    if not parts():
        return models.CVAE(weights, beta)
    table = weights.get("encoder_labels")
    model = need("cvae", "CVAE")(
        weights["decoder_weight"].shape[1], beta, table is not None, 0 if table is None else len(table)
    )
    fill(model, weights, quiet)
    return model


class NoNoise(TorchDispatchMode):
    """Normal draws return their mean, so that a training run of a student's own model can be worked out."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func.name().removeprefix("aten::")
        if name.startswith("randn"):
            return result.zero_()
        if name.startswith("normal_"):
            return result.fill_(args[1] if len(args) > 1 else 0.0)
        if name.startswith("normal.") and isinstance(result, Tensor):
            return result.copy_(args[0]) if isinstance(args[0], Tensor) else result.fill_(args[0])
        return result


def fill(model: Any, weights: models.Weights, quiet: bool = False) -> None:
    """Puts the weights into the layers of the model's own encoder and decoder; raises ValueError where they do not fit."""
    places: Named = {}
    for part, network, filled in (
        ("encoder", model.encoder, layers.encoder(weights, quiet)),
        ("decoder", model.decoder, layers.decoder(weights)),
    ):
        places |= {f"{part}.{name}": found for name, found in named(network, filled).items()}
    vars(model)["_places"] = places


def named(network: nn.Module, values: Sequence[Tensor]) -> Named:
    """The network's parameters by place ("0.weight"), found by their shapes, after they were set to these values.

    Raises ValueError, and sets nothing, where the values do not fit.
    """
    left = learned(network)
    found: Named = {}
    for i, value in enumerate(values):
        shapes = (value.shape, value.shape[::-1])
        place = next((k for k, p in enumerate(left) if p.shape in shapes), None)
        if place is None:  # a bias may be kept as a row
            place = next((k for k, p in enumerate(left) if p.shape == (1, *value.shape)), None)
        if place is None:
            raise ValueError(f"no parameter of shape {tuple(value.shape)}")
        found[f"{i // 2}.{('weight', 'bias')[i % 2]}"] = (left.pop(place), value.shape)
    if left:
        raise ValueError(f"{len(left)} more parameters")
    with torch.no_grad():
        for (parameter, _), value in zip(found.values(), values, strict=True):
            parameter.copy_(_in_shape(value, parameter.shape))
    return found


def _in_shape(value: Tensor, shape: torch.Size) -> Tensor:
    """A value in the shape in which it is kept or was sent: as it is, transposed, or as a row."""
    return value.T if value.shape != shape == value.shape[::-1] else value.reshape(shape)


def first_fitting(network: nn.Module, choices: Sequence[Sequence[Tensor]]) -> tuple[int | None, Named]:
    """Sets the network's parameters to the first of several choices of values that fits; None where none does."""
    for number, values in enumerate(choices):
        try:
            return number, named(network, values)
        except ValueError:
            continue
    return None, {}


def gradients(places: Named) -> list[Tensor | None]:
    """The gradients of parameters that `named` found, in its order and in the shapes of its values."""
    grads = [(parameter.grad, shape) for parameter, shape in places.values()]
    return [None if grad is None else snapshot(_in_shape(grad, shape)) for grad, shape in grads]


def shapes(network: nn.Module) -> list[list[int]]:
    """The shapes of the network's parameters, in its own order."""
    return [list(p.shape) for p in learned(network)]


def learned(network: nn.Module) -> list[nn.Parameter]:
    """The parameters of a network, but for frozen tables of one-hot labels (nn.Embedding.from_pretrained(torch.eye(n))) and empty
    ones, which tell the device that a network is on.
    """
    return [p for p in network.parameters() if p.numel() and (p.requires_grad or not _is_identity(p))]


def _is_identity(table: Tensor) -> bool:
    return table.dim() == 2 and torch.equal(table.detach(), torch.eye(*table.shape, dtype=table.dtype))


def values(model: Any) -> dict[str, Tensor]:
    """The parameters that `fill` set, by place ("encoder.0.weight"), as they are now."""
    return {
        name: _in_shape(parameter.detach(), shape).clone()
        for name, (parameter, shape) in model._places.items()
    }
