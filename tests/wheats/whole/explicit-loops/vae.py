"""vae.cpp, transliterated."""

from __future__ import annotations

import enum
from typing import Final

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from autoencoder import Decoder, Encoder, box_muller, reconstruction_loss

IMAGE_SIZE: Final[int] = 784
BETA: Final[float] = 0.1
INTERPOLATIONS: Final[list[tuple[int, int]]] = [(8, 0), (1, 4)]


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




class Key(str, enum.Enum):
    REC = "rec_loss"
    KL = "kl_loss"


class GaussianStruct:
    """struct Gaussian { Tensor mu, log_sigma; };"""

    __slots__ = ("mu", "log_sigma")

    def __init__(self, q: Tensor) -> None:
        n: int = q.size(-1) // 2
        self.mu: Tensor = q[..., 0:n]
        self.log_sigma: Tensor = q[..., n : 2 * n]


class VAE(nn.Module):
    def __init__(self, nz: int, beta: float = 1.0) -> None:
        nn.Module.__init__(self)
        self.nz: int = nz
        self.beta: float = beta
        self.encoder = Encoder(2 * nz, IMAGE_SIZE)
        self.decoder = Decoder(nz, IMAGE_SIZE)

    def reparameterize(self, mu: Tensor, log_sigma: Tensor) -> Tensor:
        sigma: Tensor = torch.exp(log_sigma)
        count: int = mu.numel()
        eps: Tensor = box_muller(1, count, mu).reshape(mu.size())
        return mu + sigma * eps

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        outputs: dict[str, Tensor] = {}
        outputs["q"] = self.encoder(x)
        g = GaussianStruct(outputs["q"])
        outputs["rec"] = self.decoder(self.reparameterize(g.mu, g.log_sigma))
        return outputs

    def loss(self, x: Tensor, outputs: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        g = GaussianStruct(outputs["q"])
        rec: Tensor = reconstruction_loss(outputs["rec"], x)
        dims: int = g.mu.size(-1)
        kl: Tensor = torch.zeros_like(rec)
        for k in range(dims):  # sum over the latent dimensions
            mu: Tensor = g.mu[..., k]
            ls: Tensor = g.log_sigma[..., k]
            kl = kl + (0.5 * (mu * mu + torch.exp(ls + ls) - 1.0) - ls).mean()
        kl = kl / dims
        return rec + self.beta * kl, {Key.REC.value: rec, Key.KL.value: kl}

    def reconstruct(self, x: Tensor) -> Tensor:
        n: int = x.size(0)
        out: Tensor = torch.empty(n, 28, 28, device=x.device, dtype=x.dtype)
        with torch.no_grad():
            for i in range(n):
                g = GaussianStruct(self.encoder(x[i : i + 1]))
                out[i].copy_(self.decoder(g.mu).reshape(28, 28))
        return out


class Trainer:
    """RAII: the optimiser lives as long as the `with` block."""

    def __init__(self, model: nn.Module, learning_rate: float, device) -> None:
        self.model = model
        self.device = device
        self.learning_rate = learning_rate
        self.history: dict[str, list[float]] = {key.value: [] for key in Key}

    def __enter__(self) -> Trainer:
        self.optimizer = torch.optim.Adam(
            [{"params": [p]} for p in self.model.parameters()], lr=self.learning_rate
        )
        self.model.train()
        return self

    def __exit__(self, *exception) -> None:
        del self.optimizer

    def step(self, x: Tensor, *labels: Tensor) -> None:
        n: int = x.size(0)
        x = x.to(self.device).reshape(n, 1, x.numel() // n)

        def closure() -> Tensor:
            self.optimizer.zero_grad()
            total, parts = self.model.loss(x, self.model(x, *labels))
            total.backward()
            for key in Key:
                self.history[key.value].append(parts[key.value].item())
            return total

        self.optimizer.step(closure)


def train_vae(
    model: nn.Module,
    loader: DataLoader,
    epochs: int,
    learning_rate: float,
    device: torch.device | str = "cpu",
) -> dict[str, list[float]]:
    with Trainer(model, learning_rate, device) as trainer:
        for epoch in range(epochs):
            for images, labels in loader:
                trainer.step(images)
    return trainer.history


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

