"""Problem 1, part 1: an auto-encoder for MNIST.

The file also holds the two pieces that every training loop of the problem shares: `batches` (what goes in) and
`Descent` (what happens to a loss). `vae.py` and `cvae.py` import them.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam
from torch.utils.data import DataLoader, Dataset

Device: TypeAlias = "torch.device | str"
SIDE: Final = 28
HIDDEN: Final[tuple[int, int]] = (256, 64)


@dataclass(frozen=True, slots=True)
class MlpSpec:
    """A multi-layer perceptron, as data."""

    widths: Sequence[int]
    squash: type[nn.Module] | None = None
    names: list[str] = field(default_factory=list, compare=False)

    def __post_init__(self) -> None:
        if len(self.widths) < 2:
            raise ValueError(f"an MLP needs an input and an output, got widths {self.widths}")

    def build(self) -> nn.Sequential:
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        last = len(self.widths) - 2
        for i, (fan_in, fan_out) in enumerate(zip(self.widths, self.widths[1:])):
            layers[f"affine_{i}"] = nn.Linear(in_features=fan_in, out_features=fan_out)
            if i != last:
                layers[f"relu_{i}"] = nn.ReLU()
        if self.squash is not None:
            layers["squash"] = self.squash()
        self.names.extend(layers)
        return nn.Sequential(layers)


class Encoder(nn.Module):
    """Maps a flattened image to a code."""

    net: nn.Sequential

    def __init__(self, nz: int, input_size: int) -> None:
        super().__init__()
        self.spec = MlpSpec((input_size, *HIDDEN, nz))
        self.net = self.spec.build()

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class Decoder(nn.Module):
    """Maps a code to a flattened image."""

    net: nn.Sequential

    def __init__(self, nz: int, output_size: int) -> None:
        super().__init__()
        self.spec = MlpSpec((nz, *reversed(HIDDEN), output_size), squash=nn.Sigmoid)
        self.net = self.spec.build()

    def forward(self, z: Tensor) -> Tensor:
        return self.net(z if z.ndim == 3 else z[:, None, :])


def make_data_loader(dataset: Dataset, batch_size: int = 64, num_workers: int = 0) -> DataLoader:
    return DataLoader(
        dataset=dataset,
        batch_size=batch_size,
        shuffle=True,
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
        pin_memory=torch.cuda.is_available(),
        drop_last=True,
    )


class AutoEncoder(nn.Module):
    """An encoder followed by a decoder (given).

    Args:
        nz: length of a code.
        image_size: number of pixels of a square image.

    Example:
        >>> AutoEncoder(nz=32)(torch.rand(5, 1, 784)).shape
        torch.Size([5, 1, 784])
    """

    def __init__(self, nz: int, image_size: int = 784) -> None:
        super().__init__()
        self.encoder = Encoder(nz, image_size)
        self.decoder = Decoder(nz, image_size)

    def forward(self, x: Tensor) -> Tensor:
        """Encode and decode flattened images: (N, 1, image_size) -> (N, 1, image_size)."""
        return self.decoder(self.encoder(x))

    @torch.no_grad()
    def reconstruct(self, x: Tensor) -> Tensor:
        """Encode and decode, for display: (N, 1, 784) -> (N, 28, 28), with no graph attached."""
        x_hat = self(x)
        side = math.isqrt(x_hat.shape[-1])
        return x_hat.reshape(len(x), side, side)


def reconstruction_loss(x_hat: Tensor, x: Tensor) -> Tensor:
    return F.binary_cross_entropy(input=x_hat, target=x.reshape_as(x_hat), reduction="mean")


def batches(loader: Iterable, epochs: int, device: Device) -> Iterator[tuple[Tensor, Tensor]]:
    """All batches of all epochs: images (N, 1, 784) on the device, and the labels as they come."""
    for _ in range(epochs):
        for images, labels in loader:
            yield images.to(device).flatten(start_dim=2), labels


@dataclass
class Descent:
    """One optimiser. Calling it with a loss takes one step and returns the loss as a number."""

    model: nn.Module
    learning_rate: float
    optimiser: Adam = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.model.train()
        self.optimiser = Adam(self.model.parameters(), lr=self.learning_rate)

    def __call__(self, loss: Tensor) -> float:
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        return float(loss.detach())


def train_autoencoder(
    model: nn.Module,
    loader: DataLoader,
    epochs: int,
    learning_rate: float,
    device: Device = "cpu",
) -> list[float]:
    descend = Descent(model, learning_rate)
    return [descend(reconstruction_loss(model(x), x)) for x, _ in batches(loader, epochs, device)]


@torch.no_grad()
def sample_images(model: nn.Module, num_samples: int, nz: int, device: Device = "cpu") -> Tensor:
    codes = torch.randn(num_samples, nz, device=device)
    return model.decoder(codes).unflatten(-1, (SIDE, SIDE))
