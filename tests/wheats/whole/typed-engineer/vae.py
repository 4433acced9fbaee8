"""Problem 1, part 2: a variational auto-encoder (VAE) for MNIST."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from autoencoder import SIDE, Decoder, Descent, Device, Encoder, batches, reconstruction_loss

IMAGE_SIZE = 784

# D rec + nz kl = D (rec + (nz / D) kl)
BETA: float = 32 / IMAGE_SIZE

INTERPOLATIONS: list[tuple[int, int]] = [(4, 9), (0, 6)]


def kl_divergence(mu1: Tensor, log_sigma1: Tensor, mu2: Tensor, log_sigma2: Tensor) -> Tensor:
    """KL[N(mu1, sigma1) || N(mu2, sigma2)] of one-dimensional normal distributions, elementwise (given).

    log(sigma2 / sigma1) + (sigma1^2 + (mu1 - mu2)^2) / (2 sigma2^2) - 1/2

    (Kingma and Welling 2014, appendix B, give the case of the prior N(0, 1).) The order of the arguments
    matters: the KL divergence is not symmetric.

    Args:
        mu1, mu2: means.
        log_sigma1, log_sigma2: natural logarithms of the standard deviations (not of the variances).

    Returns:
        The divergence of each element, in nats, nonnegative up to rounding. Nothing is summed or averaged.

    Example:
        >>> zero = torch.zeros(3)
        >>> kl_divergence(torch.tensor([0.0, 1.0, 2.0]), zero, zero, zero)
        tensor([0.0000, 0.5000, 2.0000])
    """
    log_ratio = log_sigma1 - log_sigma2
    distance = (mu1 - mu2) * torch.exp(-log_sigma2)
    return 0.5 * (torch.exp(2 * log_ratio) + distance**2 - 1) - log_ratio


@dataclass(frozen=True)
class DiagonalGaussian:
    """N(mu, sigma), elementwise."""

    mu: Tensor
    log_sigma: Tensor

    @classmethod
    def unpack(cls, q: Tensor) -> Self:
        return cls(*q.chunk(2, dim=-1))

    @classmethod
    def standard_like(cls, other: DiagonalGaussian) -> Self:
        return cls(torch.zeros_like(other.mu), torch.zeros_like(other.log_sigma))

    def rsample(self) -> Tensor:
        return torch.addcmul(self.mu, self.log_sigma.exp(), torch.randn_like(self.mu))

    def __or__(self, other: DiagonalGaussian) -> Tensor:
        """KL[self || other], elementwise. (One bar less than on paper.)"""
        return kl_divergence(self.mu, self.log_sigma, other.mu, other.log_sigma)


@dataclass(frozen=True)
class VAEConfig:
    nz: int
    beta: float = 1.0


class GaussianEncoder(Encoder):
    """An encoder whose output can also be read as a distribution."""

    def posterior(self, x: Tensor) -> tuple[Tensor, DiagonalGaussian]:
        q = self(x)
        return q, DiagonalGaussian.unpack(q)


class VAE(nn.Module):
    """A variational auto-encoder for images of 784 pixels."""

    config: VAEConfig

    def __init__(self, nz: int, beta: float = 1.0) -> None:
        super().__init__()
        self.config = VAEConfig(nz=nz, beta=beta)
        self.encoder = GaussianEncoder(nz=2 * nz, input_size=IMAGE_SIZE)
        self.decoder = Decoder(nz=nz, output_size=IMAGE_SIZE)

    @property
    def beta(self) -> float:
        return self.config.beta

    @beta.setter
    def beta(self, value: float) -> None:
        self.config = dataclasses.replace(self.config, beta=value)

    def reparameterize(self, mu: Tensor, log_sigma: Tensor) -> Tensor:
        return DiagonalGaussian(mu, log_sigma).rsample()

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        q, posterior = self.encoder.posterior(x)
        return {"q": q, "rec": self.decoder(self.reparameterize(posterior.mu, posterior.log_sigma))}

    def loss(self, x: Tensor, outputs: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        posterior = DiagonalGaussian.unpack(outputs["q"])
        prior = DiagonalGaussian.standard_like(posterior)
        parts = {
            "rec_loss": reconstruction_loss(outputs["rec"], x),
            "kl_loss": (posterior | prior).mean(),
        }
        return parts["rec_loss"] + self.beta * parts["kl_loss"], parts

    @torch.no_grad()
    def reconstruct(self, x: Tensor) -> Tensor:
        _, posterior = self.encoder.posterior(x)
        return self.decoder(posterior.mu).squeeze(1).unflatten(-1, (SIDE, SIDE))


def train_with(
    run: Callable[[Tensor, Tensor], Any],
    model: nn.Module,
    loader: DataLoader,
    epochs: int,
    learning_rate: float,
    device: Device,
) -> dict[str, list[float]]:
    """The loop of the VAE and of the CVAE, which differ in how they call the model: run(x, labels)."""
    descend = Descent(model, learning_rate)
    history: dict[str, list[float]] = {"rec_loss": [], "kl_loss": []}
    for x, labels in batches(loader, epochs, device):
        total, parts = model.loss(x, run(x, labels))
        descend(total)
        for name, values in history.items():
            values.append(float(parts[name].detach()))
    return history


def train_vae(
    model: nn.Module,
    loader: DataLoader,
    epochs: int,
    learning_rate: float,
    device: Device = "cpu",
) -> dict[str, list[float]]:
    return train_with(lambda x, _: model(x), model, loader, epochs, learning_rate, device)


@torch.no_grad()
def interpolate(model: nn.Module, x_start: Tensor, x_end: Tensor, nz: int, steps: int) -> Tensor:
    """Interpolate between two images, along a straight line in the latent space (given).

    Args:
        model: has an `encoder` whose first nz outputs are a code (the posterior mean for a VAE, the code
            itself for a plain auto-encoder), and a `decoder`.
        x_start, x_end: one image each, any shape with 784 elements.
        nz: length of a code.
        steps: number of images, at least 2.

    Returns:
        Images (steps, 28, 28), with no graph attached. The first is decoded from exactly the code of
        `x_start`, the last from exactly the code of `x_end`.

    Raises:
        ValueError: fewer than two steps, which cannot include both ends.

    Example:
        >>> interpolate(vae, x_start=images[0], x_end=images[1], nz=32, steps=10).shape
        torch.Size([10, 28, 28])
    """
    if steps < 2:
        raise ValueError(f"an interpolation includes both ends, so it needs at least 2 steps; got {steps}")
    device = next(model.parameters()).device
    ends = torch.stack([x_start.reshape(1, -1), x_end.reshape(1, -1)]).to(device)  # (2, 1, 784)
    start, end = model.encoder(ends)[..., :nz].reshape(2, 1, nz)  # (1, nz) each
    weight = torch.linspace(0, 1, steps, device=device, dtype=start.dtype).unsqueeze(1)  # (steps, 1)
    codes = (1 - weight) * start + weight * end  # (steps, nz)
    return model.decoder(codes).reshape(steps, 28, 28)
