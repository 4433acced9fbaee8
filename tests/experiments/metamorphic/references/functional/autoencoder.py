"""An auto-encoder out of functions."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from functional import TrainConfig, batches, chain, identity, stepper
from torch import Tensor, nn
from torch.utils.data import BatchSampler, DataLoader, Dataset, RandomSampler


class Encoder(nn.Module):
    """(..., input_size) -> (..., nz)."""

    def __init__(self, nz: int, input_size: int) -> None:
        super().__init__()
        self.net = nn.ModuleList(nn.Linear(i, o) for i, o in ((input_size, 256), (256, 64), (64, nz)))

    def forward(self, x: Tensor) -> Tensor:
        return chain(self.net, last=identity)(x)


class Decoder(nn.Module):
    """(N, nz) or (N, 1, nz) -> (N, 1, output_size)."""

    def __init__(self, nz: int, output_size: int) -> None:
        super().__init__()
        self.net = nn.ModuleList(nn.Linear(i, o) for i, o in ((nz, 64), (64, 256), (256, output_size)))

    def forward(self, z: Tensor) -> Tensor:
        codes = z.reshape(len(z), 1, -1)
        return chain(self.net, last=torch.sigmoid)(codes)


def make_data_loader(dataset: Dataset, batch_size: int = 64, num_workers: int = 0) -> DataLoader:
    sampler = BatchSampler(RandomSampler(dataset), batch_size, drop_last=True)  # type: ignore[arg-type]
    return DataLoader(dataset, batch_sampler=sampler, num_workers=num_workers)


class AutoEncoder(nn.Module):
    def __init__(self, nz: int, image_size: int = 784) -> None:
        super().__init__()
        self.encoder = Encoder(nz, image_size)
        self.decoder = Decoder(nz, image_size)

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(self.encoder(x))

    def reconstruct(self, x: Tensor) -> Tensor:
        out = self.forward(x).detach()
        side = math.isqrt(out.shape[-1])
        return out.reshape(-1, side, side)


def reconstruction_loss(x_hat: Tensor, x: Tensor) -> Tensor:
    return F.binary_cross_entropy(x_hat, x.reshape_as(x_hat), reduction="none").mean()


def train_autoencoder(
    model: nn.Module,
    loader: DataLoader,
    epochs: int,
    learning_rate: float,
    device: torch.device | str = "cpu",
) -> list[float]:
    def objective(call: Callable[..., Tensor], x: Tensor, _: Tensor) -> tuple[Tensor, float]:
        loss = reconstruction_loss(call(x), x)
        return loss, loss.item()

    config = TrainConfig(epochs, learning_rate, device)
    step: Callable[..., float] = stepper(model.train(), objective, config)
    return [step(*batch) for batch in batches(loader, config)]


def sample_images(
    model: nn.Module, num_samples: int, nz: int, device: Any = "cpu", decode: Callable[[Tensor], Tensor] | None = None
) -> Tensor:
    """`decode` replaces the model's decoder, where another one is to be used."""
    with torch.inference_mode():
        codes = torch.randn((num_samples, nz), device=device)
        return (decode or model.decoder)(codes).unflatten(-1, (28, 28)).reshape(num_samples, 1, 28, 28)
