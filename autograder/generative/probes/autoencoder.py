"""Probes of autoencoder.py: questions 1-1, 1-2 and 1-3."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from autograder.sandbox.kit import need, observed, parameters, same, snapshot
from autograder.sandbox.posing import mixing

from ..stand_ins import autoencoder as stand_in
from . import own, training

MOST = 400  # batches that are read from a loader


class Shaded(Dataset[tuple[Tensor, int]]):
    """Images that can be told apart: all pixels of image i are `shades[i]`; its label is `labels[i]`."""

    def __init__(self, shades: Tensor, labels: Tensor) -> None:
        self.shades, self.labels = shades.tolist(), labels.tolist()

    def __len__(self) -> int:
        return len(self.shades)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        return torch.full((1, 28, 28), self.shades[i]), self.labels[i]


def encoder(nz: int, input_size: int, values: list[Tensor], x: Tensor, pull: Tensor) -> dict[str, Any]:
    """Encoder(nz, input_size) on x, after its parameters were set to `values`; the gradients of sum(output * pull).

    values: a weight and a bias for each layer. Where they do not fit, the parameters are left as they are.
    """
    return _layers(need("autoencoder", "Encoder")(nz, input_size), values, x, pull)


def decoder(nz: int, output_size: int, values: list[Tensor], z: Tensor, pull: Tensor) -> dict[str, Any]:
    """The same for Decoder(nz, output_size) on z."""
    return _layers(need("autoencoder", "Decoder")(nz, output_size), values, z, pull)


def _layers(model: Any, values: list[Tensor], x: Tensor, pull: Tensor) -> dict[str, Any]:
    with torch.no_grad():
        model(snapshot(x))  # lazy layers get their shapes
    filled, places = own.first_fitting(model, [values])
    before = snapshot(x)
    out = model(x)
    if isinstance(out, Tensor) and out.shape == pull.shape and out.requires_grad:
        (out * pull).sum().backward()
    answer = {
        "out": snapshot(out),
        "filled": filled,
        "shapes": own.shapes(model),
        "gradients": own.gradients(places),
        "x_kept": same(before, x),
    }
    model.eval()
    with torch.no_grad():
        answer["again"] = snapshot(model(x))
    return answer


def shapes(name: str, sizes: list[int], x: Tensor) -> dict[str, Any]:
    """`Encoder` or `Decoder` (name), built with two sizes: its output for x."""
    model = need("autoencoder", name)(*sizes)
    with torch.no_grad():
        return {"out": snapshot(model(x))}


def loader(shades: Tensor, labels: Tensor, epochs: int, batch_size: int | None = None) -> dict[str, Any]:
    """make_data_loader on images of these shades: every batch of some epochs, as shades and labels.

    batch_size: None leaves the argument out.
    """
    seed = torch.initial_seed()
    make = need("autoencoder", "make_data_loader")
    data = Shaded(shades, labels)
    made = make(data) if batch_size is None else make(data, batch_size)
    seen = [_epoch(made) for _ in range(epochs)]
    return {
        "is_loader": isinstance(made, DataLoader),
        "length": len(made),
        "epochs": [{"batches": batches} for batches in seen],
        "seed_kept": torch.initial_seed() == seed,
    }


def _epoch(made: Any) -> list[dict[str, Any]]:
    batches = []
    for batch in made:
        images, labels = batch
        batches.append(
            {
                "shape": list(images.shape),
                "shades": snapshot(images).double().flatten(1).mean(1),
                "labels": snapshot(torch.as_tensor(labels)).flatten(),
            }
        )
        if len(batches) >= MOST:
            break
    return batches


def loader_workers(n: int, batch_size: int, num_workers: int) -> dict[str, Any]:
    """The settings of make_data_loader(dataset, batch_size, num_workers); no worker is started."""
    make = need("autoencoder", "make_data_loader")
    data = Shaded(torch.arange(n) / n, torch.arange(n) % 3)
    made = make(data, batch_size=batch_size, num_workers=num_workers)
    plain = make(data, batch_size=batch_size)
    return {
        "workers": getattr(made, "num_workers", None),
        "workers_unasked": getattr(plain, "num_workers", None),
    }


def reconstruction_loss(x_hat: Tensor, x: Tensor) -> dict[str, Any]:
    """The loss, its gradient with respect to x_hat, and whether the arguments are unchanged."""
    function = need("autoencoder", "reconstruction_loss")
    x_hat = x_hat.clone().requires_grad_()
    before = snapshot(x_hat), snapshot(x)
    loss = function(x_hat, x)
    kept = same(before, (x_hat, x))
    if isinstance(loss, Tensor) and loss.dim() == 0 and loss.requires_grad:
        loss.backward()
    return {"loss": snapshot(loss), "grad": snapshot(x_hat.grad), "kept": kept}


def losses(pairs: list[dict[str, Tensor]]) -> dict[str, Any]:
    """reconstruction_loss of several pairs {"x_hat", "x"}."""
    function = need("autoencoder", "reconstruction_loss")
    return {"losses": [snapshot(function(p["x_hat"].clone(), p["x"].clone())) for p in pairs]}


def train_autoencoder(
    weights: dict[str, Tensor],
    images: Tensor,
    labels: Tensor,
    batch_size: int,
    epochs: int,
    learning_rate: float,
    pass_device: bool = False,
    own_rate: float | None = None,
) -> dict[str, Any]:
    """train_autoencoder on an auto-encoder with the given weights, and a stand-in for the loss; see training.watch."""
    function = need("autoencoder", "train_autoencoder")
    model = own.autoencoder(weights)
    with training.replaced("autoencoder", "reconstruction_loss", stand_in.reconstruction_loss):
        return training.watch(
            function, model, images, labels, batch_size, epochs, learning_rate, pass_device, own_rate
        )


def train_elsewhere(
    weights: dict[str, Tensor], images: Tensor, labels: Tensor, batch_size: int
) -> dict[str, Any]:
    """train_autoencoder with the model on a device other than the CPU: does it mix tensors of two devices?"""
    function = need("autoencoder", "train_autoencoder")
    with training.replaced("autoencoder", "reconstruction_loss", stand_in.reconstruction_loss):
        return training.collision(function, own.autoencoder(weights), images, labels, batch_size)


def sample_elsewhere(weights: dict[str, Tensor], num_samples: int, nz: int) -> dict[str, Any]:
    """sample_images with the model on a device other than the CPU: does it mix tensors of two devices?"""
    function = need("autoencoder", "sample_images")
    model = own.autoencoder(weights)
    function(model, num_samples, nz)  # code that fails on the CPU as well raises here
    return {"collision": mixing(lambda device: function(model.to(device), num_samples, nz, device=device))}


def sample_images(
    weights: dict[str, Tensor], num_samples: int, nz: int, pass_device: bool = False
) -> dict[str, Any]:
    """sample_images, twice, on an auto-encoder with the given weights."""
    function = need("autoencoder", "sample_images")
    model = own.autoencoder(weights)
    before = parameters(model)
    more = {"device": "cpu"} if pass_device else {}
    seed = torch.initial_seed()
    with torch.enable_grad():
        first, second = (observed(function(model, num_samples, nz, **more)) for _ in range(2))
        grad_kept = torch.is_grad_enabled()
    return {
        "grad_kept": grad_kept,
        "first": first["value"],
        "second": second["value"],
        "graph": first["graph"] or second["graph"],
        "seed_kept": torch.initial_seed() == seed,
        "model_kept": same(before, parameters(model)),
    }
