"""Part 1. Everything random or uncertain in this file is an object of torch.distributions."""

import math
from typing import Union

import torch
import torch.distributions as td
from torch import Tensor, nn
from torch.utils.data import BatchSampler, DataLoader, Dataset, RandomSampler


def pixels(x_hat: Tensor) -> td.Distribution:
    """p(x | z): one coin per pixel, the pixels of an image independent of each other.

    In double precision, where td clamps the probabilities at 2e-16 instead of 1e-7. Grey pixels are not in
    the support of a coin, hence no validation.
    """
    coin = td.Bernoulli(probs=x_hat.double(), validate_args=False)
    return td.Independent(coin, x_hat.ndim - 1, validate_args=False)


def prior(n: int, nz: int, device: Union[torch.device, str] = "cpu") -> td.Distribution:
    """p(z) for n codes: batch shape (n,), event shape (nz,)."""
    zero = torch.zeros(n, nz, device=device)
    return td.Independent(td.Normal(zero, torch.ones_like(zero), validate_args=False), 1, validate_args=False)


class Encoder(nn.Module):
    def __init__(self, nz: int, input_size: int) -> None:
        super().__init__()
        sizes = [input_size, 256, 64, nz]
        layers: list[nn.Module] = []
        for a, b in zip(sizes, sizes[1:]):
            layers.extend((nn.Linear(a, b), nn.ReLU()))
        layers.pop()  # a code can be any real number
        self.net = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)

    def distribution(self, x: Tensor) -> td.Normal:
        """The output read as means and log standard deviations."""
        loc, log_scale = self(x).tensor_split(2, dim=-1)
        return td.Normal(loc, log_scale.exp(), validate_args=False)


class Decoder(nn.Module):
    def __init__(self, nz: int, output_size: int) -> None:
        super().__init__()
        sizes = [nz, 64, 256, output_size]
        layers: list[nn.Module] = []
        for a, b in zip(sizes, sizes[1:]):
            layers.extend((nn.Linear(a, b), nn.ReLU()))
        layers[-1] = nn.Sigmoid()
        self.net = nn.Sequential(*layers)

    def forward(self, z: Tensor) -> Tensor:
        probs = self.net(z)
        return torch.atleast_3d(probs).transpose(1, 2) if probs.ndim == 2 else probs


def make_data_loader(dataset: Dataset, batch_size: int = 64, num_workers: int = 0) -> DataLoader:
    # without replacement: a permutation, drawn again by every iterator
    order = RandomSampler(dataset, replacement=False)
    return DataLoader(
        dataset, batch_sampler=BatchSampler(order, batch_size, drop_last=True), num_workers=num_workers
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
    log_likelihood = pixels(x_hat).log_prob(x.reshape(x_hat.shape).double())  # (N,), the sum over pixels
    return -(log_likelihood.sum() / x_hat.numel()).to(x_hat.dtype)


def train_autoencoder(model, loader, epochs, learning_rate, device="cpu"):
    optim = torch.optim.Adam([{"params": model.parameters(), "lr": learning_rate}])
    model.train()
    nlls = []
    epoch = 0
    while epoch < epochs:
        for batch in loader:
            x = batch[0].to(device).flatten(1)[:, None]
            nll = reconstruction_loss(model(x), x)
            optim.zero_grad()
            nll.backward()
            optim.step()
            nlls.append(nll.detach().cpu().item())
        epoch += 1
    return nlls


@torch.no_grad()
def sample_images(model, num_samples, nz, device="cpu"):
    z = prior(num_samples, nz, device).sample()
    x_hat = model.decoder(z)
    return x_hat.reshape(num_samples, 1, 28, 28)
