"""The second way: a student's own networks in place of the given ones, with weights that make them compute the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from autograder.sandbox.kit import need, standing_in

from ..stand_ins import layers, models

Named = dict[str, tuple[nn.Parameter, bool]]  # a parameter by its place, and whether it is stored transposed


def parts() -> bool:
    """True when the student's own parts take the place of all stand-ins."""
    return not standing_in


def autoencoder(weights: models.Weights) -> Any:
    """An auto-encoder that computes what these weights say: a given one, or the student's own."""
    if not parts():
        return models.AutoEncoderModel(weights)
    model = need("autoencoder", "AutoEncoder")(weights["decoder_weight"].shape[1])
    fill(model, weights)
    return model


def vae(weights: models.Weights, beta: float, quiet: bool = False) -> Any:
    """A VAE that computes what these weights say: a given one, or the student's own. quiet: see layers.QUIET."""
    if not parts():
        return models.VAEModel(weights, beta)
    model = need("vae", "VAE")(weights["decoder_weight"].shape[1], beta)
    fill(model, weights, quiet)
    return model


def cvae(weights: models.Weights, beta: float, quiet: bool = False) -> Any:
    """The same for a CVAE, which is conditional when the weights hold label tables."""
    if not parts():
        return models.CVAEModel(weights, beta)
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
    """The network's parameters by place ("0.weight"), found by their shapes, after they were set to these values."""
    left = list(network.parameters())
    found: Named = {}
    for i, (weight, bias) in enumerate(zip(values[::2], values[1::2], strict=True)):
        for name, value in ((f"{i}.weight", weight), (f"{i}.bias", bias)):
            shapes = (value.shape, value.shape[::-1])
            place = next((k for k, p in enumerate(left) if p.shape in shapes), None)
            if place is None:
                raise ValueError(f"no parameter of shape {tuple(value.shape)}")
            parameter = left.pop(place)
            turned = parameter.shape != value.shape
            with torch.no_grad():
                parameter.copy_(value.T if turned else value)
            found[name] = (parameter, turned)
    if left:
        raise ValueError(f"{len(left)} more parameters")
    return found


def values(model: Any) -> dict[str, Tensor]:
    """The parameters that `fill` set, by place ("encoder.0.weight"), as they are now."""
    return {
        name: (parameter.T if turned else parameter).detach().clone()
        for name, (parameter, turned) in model._places.items()
    }
