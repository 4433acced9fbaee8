"""A variational auto-encoder out of functions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Final

import torch
from autoencoder import Decoder, Encoder, reconstruction_loss
from functional import Posterior, TrainConfig, batches, draw, stepper
from torch import Tensor, nn
from torch.utils.data import DataLoader

IMAGE_SIZE: Final = 784
BETA: Final[float] = 0.06
INTERPOLATIONS: Final[list[tuple[int, int]]] = [(0, 6), (9, 2)]


def kl_divergence(mu1: Tensor, log_sigma1: Tensor, mu2: Tensor, log_sigma2: Tensor) -> Tensor:
    """KL[N(mu1, sigma1) || N(mu2, sigma2)] per element."""
    precision2 = torch.exp(-2 * log_sigma2)
    log_ratio = log_sigma2 - log_sigma1
    return log_ratio + 0.5 * (torch.exp(-2 * log_ratio) + (mu1 - mu2) ** 2 * precision2) - 0.5


def kl_from_prior(posterior: Posterior) -> Tensor:
    zero = posterior.mean.new_zeros(())
    return kl_divergence(posterior.mean, posterior.log_sigma, zero, zero)


def losses(x: Tensor, outputs: Mapping[str, Tensor], beta: float) -> tuple[Tensor, dict[str, Tensor]]:
    rec_loss = reconstruction_loss(outputs["rec"], x)
    kl_loss = kl_from_prior(Posterior.of(outputs["q"])).mean()
    elbo = -(rec_loss + kl_loss).detach()
    return torch.add(rec_loss, kl_loss, alpha=beta), {"rec_loss": rec_loss, "kl_loss": kl_loss, "elbo": elbo}


def autoencode(x: Tensor, encode: Callable[[Tensor], Tensor], decode: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
    q = encode(x)
    return {"q": q, "rec": decode(draw(Posterior.of(q)))}


class VAE(nn.Module):
    def __init__(self, nz: int, beta: float = 1.0) -> None:
        super().__init__()
        self.beta = beta
        self.encoder = Encoder(2 * nz, IMAGE_SIZE)
        self.decoder = Decoder(nz, IMAGE_SIZE)

    @staticmethod
    def reparameterize(mu: Tensor, log_sigma: Tensor) -> Tensor:
        return draw(Posterior(mu, log_sigma))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return autoencode(x, self.encoder, self.decoder)

    def loss(self, x: Tensor, outputs: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        return losses(x, outputs, self.beta)

    def reconstruct(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            return self.decoder(Posterior.of(self.encoder(x)).mean).unflatten(-1, (28, 28)).squeeze(1)


def train_vae(
    model: nn.Module,
    loader: DataLoader,
    epochs: int,
    learning_rate: float,
    device: torch.device | str = "cpu",
) -> dict[str, list[float]]:
    def objective(call: Callable[..., dict[str, Tensor]], x: Tensor, _: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        return model.loss(x, call(x))

    history: dict[str, list[float]] = defaultdict(list, {"rec_loss": [], "kl_loss": []})
    config = TrainConfig(epochs, learning_rate, device)
    step = stepper(model.train(), objective, config)
    for batch in batches(loader, config):
        parts = step(*batch)
        for name in ("rec_loss", "kl_loss", "elbo"):
            history[name].append(parts[name].item())
    return dict(history)


@torch.no_grad()
def interpolate(model: nn.Module, x_start: Tensor, x_end: Tensor, nz: int, steps: int) -> Tensor:
    if steps < 2:
        raise ValueError(f"{steps} steps cannot hold both ends")
    device = next(model.parameters()).device
    ends = torch.stack([x.reshape(1, -1) for x in (x_start, x_end)]).to(device)
    start, end = model.encoder(ends)[..., :nz].reshape(2, nz)
    weight = torch.linspace(0, 1, steps, device=device, dtype=start.dtype)
    codes = torch.outer(1 - weight, start) + torch.outer(weight, end)
    return model.decoder(codes).reshape(steps, 28, 28)
