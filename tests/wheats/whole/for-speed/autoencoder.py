"""Auto-encoder with a training loop that never waits for the device: losses stay there until the end."""

import math
import sys
from typing import Any, Iterable, Iterator, List, NamedTuple, Optional, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, default_collate


class Batch(NamedTuple):
    images: Tensor
    labels: Tensor


def collate(examples: List[Any]) -> Batch:
    return Batch(*default_collate(examples))


class Encoder(nn.Module):
    __constants__ = ["nz"]

    def __init__(self, nz: int, input_size: int) -> None:
        super().__init__()
        self.nz = nz
        self.net = nn.Sequential(
            nn.Linear(input_size, 256),
            nn.ReLU(inplace=True),
            nn.Linear(256, 64),
            nn.ReLU(inplace=True),
            nn.Linear(64, nz),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class Decoder(nn.Module):
    __constants__ = ["nz"]

    def __init__(self, nz: int, output_size: int) -> None:
        super().__init__()
        self.nz = nz
        self.net = nn.Sequential(
            nn.Linear(nz, 64),
            nn.ReLU(inplace=True),
            nn.Linear(64, 256),
            nn.ReLU(inplace=True),
            nn.Linear(256, output_size),
            nn.Sigmoid(),
        )

    def forward(self, z: Tensor) -> Tensor:
        return self.net(z.view(-1, self.nz) if z.is_contiguous() else z.reshape(-1, self.nz)).unsqueeze(1)


class FastLoader(DataLoader):
    """A DataLoader with my defaults."""

    def __init__(self, dataset: Dataset, batch_size: int, num_workers: int) -> None:
        parallel = {"persistent_workers": True, "prefetch_factor": 4} if num_workers else {}
        super().__init__(
            dataset,
            batch_size=batch_size,
            shuffle=True,
            drop_last=True,
            num_workers=num_workers,
            collate_fn=collate,
            pin_memory=torch.cuda.is_available(),
            **parallel,
        )


def make_data_loader(dataset: Dataset, batch_size: int = 64, num_workers: int = 0) -> DataLoader:
    return FastLoader(dataset, batch_size, num_workers)


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
    return F.binary_cross_entropy(x_hat.flatten(), x.flatten())


def prefetched(loader: Iterable, epochs: int, device) -> Iterator[Tuple[Tensor, Tensor]]:
    """Batches on the device, images flattened. The next transfer begins before the current batch is used."""
    ahead: Optional[Tuple[Tensor, Tensor]] = None
    for _ in range(epochs):
        for images, labels in loader:
            following = (
                images.to(device, non_blocking=True).flatten(start_dim=2),
                labels.to(device, non_blocking=True) if isinstance(labels, Tensor) else labels,
            )
            if ahead is not None:
                yield ahead
            ahead = following
    if ahead is not None:
        yield ahead


def to_floats(scalars: List[Tensor]) -> List[float]:
    """One synchronisation for all of them."""
    return torch.stack(scalars).tolist() if scalars else []


def train_autoencoder(
    model: nn.Module,
    loader: DataLoader,
    epochs: int,
    learning_rate: float,
    device: torch.device | str = "cpu",
) -> List[float]:
    optimizer = torch.optim.Adam(model.parameters(), learning_rate)
    optimizer.zero_grad(set_to_none=True)  # whatever the caller left
    model.train()
    losses: List[Tensor] = []
    for x, _ in prefetched(loader, epochs, device):

        def closure() -> Tensor:
            loss = reconstruction_loss(model(x), x)
            loss.backward()
            return loss.detach()

        losses.append(optimizer.step(closure))
        optimizer.zero_grad(set_to_none=True)
    return to_floats(losses)


def sample_images(model: nn.Module, num_samples: int, nz: int, device: torch.device | str = "cpu") -> Tensor:
    with torch.no_grad():
        z = torch.empty(num_samples, nz, device=device).normal_()
        return model.decoder(z).reshape(num_samples, 1, 28, 28)
