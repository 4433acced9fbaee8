"""Probes of vae.py: questions 1-4 to 1-7."""

from __future__ import annotations

import numbers
from typing import Any

from torch import Tensor

from autograder.sandbox.kit import NotWritten, attribute, need, snapshot

from . import own, training, variational


def construct(nz: int, beta: float, x: Tensor, z: Tensor) -> dict[str, Any]:
    """VAE(nz, beta): its attributes, and the outputs of its own two parts."""
    cls = need("vae", "VAE")
    model = cls(nz, beta)
    kept = attribute(model, "beta", "VAE(nz, beta)")
    return {
        "beta": snapshot(kept),
        "beta_trained": isinstance(kept, Tensor) and kept.requires_grad,
        "beta_unasked": snapshot(attribute(cls(nz), "beta", "VAE(nz)")),
        "code": variational.encoded(model, x),
        "image": variational.decoded(model, z),
    }


def whole(nz: int, beta: float, x: Tensor) -> dict[str, Any]:
    """VAE(nz, beta) as constructed: forward, its own encoder's output for x, and backward passes."""
    model = need("vae", "VAE")(nz, beta)
    return {
        "code": variational.encoded(model, x),
        **variational.forward_twice(model, x),
        **variational.backward_pass(model, x),
    }


def own_forward(nz: int, x: Tensor) -> dict[str, Any]:
    """VAE(nz) as constructed: forward, twice."""
    return variational.forward_twice(need("vae", "VAE")(nz), x)


def handed_on(nz: int, x: Tensor) -> dict[str, Any]:
    """VAE(nz) as constructed: the shapes that reach reparameterize and the decoder."""
    return variational.handed_on(need("vae", "VAE")(nz), x)


def own_reconstruct(nz: int, x: Tensor) -> dict[str, Any]:
    """VAE(nz) as constructed: reconstruct, twice."""
    return variational.reconstruct_twice(need("vae", "VAE")(nz), nz, x)


def reparameterize(mu: Tensor, log_sigma: Tensor, pull: Tensor) -> dict[str, Any]:
    """VAE.reparameterize, twice, and the gradients of sum(z * pull) at the first."""
    model = variational.made(need("vae", "VAE"), mu.shape[-1])
    return variational.draw_twice(model, mu, log_sigma, pull)


def forward(weights: dict[str, Tensor], x: Tensor, given_reparameterize: bool) -> dict[str, Any]:
    """VAE.forward, twice, between given one-layer networks; with `given_reparameterize`, reparameterize is replaced too."""
    model = _overlaid(weights, given_reparameterize)
    return variational.forward_twice(model, x)


def loss(nz: int, beta: float, x: Tensor, q: Tensor, rec: Tensor) -> dict[str, Any]:
    """VAE(nz, beta).loss(x, {"q": q, "rec": rec})."""
    return variational.lose(variational.made(need("vae", "VAE"), nz, beta), x, q, rec)


def reconstruct(weights: dict[str, Tensor], x: Tensor) -> dict[str, Any]:
    """VAE.reconstruct, twice, between given one-layer networks."""
    nz = weights["decoder_weight"].shape[1]
    model = _overlaid(weights)
    return variational.reconstruct_twice(model, nz, x)


def elsewhere(weights: dict[str, Tensor], x: Tensor) -> dict[str, Any]:
    """The VAE's methods between given networks on a device other than the CPU: do devices mix?"""
    return variational.collision(_overlaid(weights), x)


def _overlaid(weights: dict[str, Tensor], given_reparameterize: bool = False) -> Any:
    if own.parts():
        return own.vae(weights, 1.0)
    nz = weights["decoder_weight"].shape[1]
    return variational.overlaid(variational.made(need("vae", "VAE"), nz), weights, given_reparameterize)


def train_elsewhere(
    weights: dict[str, Tensor], images: Tensor, labels: Tensor, batch_size: int
) -> dict[str, Any]:
    """train_vae with the model on a device other than the CPU: do devices mix?"""
    function = need("vae", "train_vae")
    return training.collision(function, own.vae(weights, 0.5), images, labels, batch_size)


def train_vae(
    weights: dict[str, Tensor],
    beta: float,
    images: Tensor,
    labels: Tensor,
    batch_size: int,
    epochs: int,
    learning_rate: float,
    pass_device: bool = False,
    own_rate: float | None = None,
) -> dict[str, Any]:
    """train_vae on a given model of one layer each way."""
    function = need("vae", "train_vae")
    model = own.vae(weights, beta, quiet=True)
    return training.watch(
        function, model, images, labels, batch_size, epochs, learning_rate, pass_device, own_rate
    )


def chosen(name: str, question: str) -> Any:
    """A constant of vae.py. The stub's None counts as not written yet, as a gap in a function does."""
    value = need("vae", name)
    if value is None:
        raise NotWritten(f"{question}: choose {name}")
    return value


def beta() -> dict[str, Any]:
    """BETA: its type, and its value when that is a plain number."""
    value = chosen("BETA", "1-6")
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        return {"beta": float(value)}
    return {"beta": snapshot(value)}


def interpolations() -> dict[str, Any]:
    """INTERPOLATIONS, with tuples as lists and integers of any type as int."""
    return {"pairs": _plain(chosen("INTERPOLATIONS", "1-7"))}


def _plain(value: Any, depth: int = 0) -> Any:
    if isinstance(value, (list, tuple)) and depth < 3:
        return [_plain(v, depth + 1) for v in value[:10]]
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        return int(value)
    return snapshot(value)
