"""Variational auto-encoder."""

from __future__ import annotations

from typing import Any

import torch
from autoencoder import Decoder, Encoder, reconstruction_loss
from lit import BaseModule, ImageBatchMixin, Trainer
from torch import Tensor, nn
from torch.distributions import Normal
from torch.utils.data import DataLoader

IMAGE_SIZE = 784
BETA = 32 / 784
INTERPOLATIONS = [(5, 6), (2, 7)]


def kl_divergence(mu1: Tensor, log_sigma1: Tensor, mu2: Tensor, log_sigma2: Tensor) -> Tensor:
    """KL[N(mu1, sigma1) || N(mu2, sigma2)], elementwise."""
    log_ratio = 2 * (log_sigma1 - log_sigma2)
    shift = ((mu1 - mu2) / log_sigma2.exp()).square()
    return 0.5 * (log_ratio.exp() + shift - 1 - log_ratio)


class VariationalMixin(ImageBatchMixin):
    """What VAE and CVAE have in common. Expects `encoder`, `decoder` and `beta`."""

    beta: float

    def reparameterize(self, mu: Tensor, log_sigma: Tensor) -> Tensor:
        return Normal(mu, log_sigma.exp()).rsample()

    def loss(self, x: Tensor, outputs: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        mu, log_sigma = outputs["q"].tensor_split(2, dim=-1)
        losses = {
            "rec_loss": reconstruction_loss(outputs["rec"], x),
            "kl_loss": kl_divergence(mu, log_sigma, torch.zeros_like(mu), torch.zeros_like(mu)).mean(),
        }
        return losses["rec_loss"] + self.beta * losses["kl_loss"], losses

    def _shared_step(self, x: Tensor, *condition: Tensor) -> dict[str, Tensor]:
        x = self.flat(x)
        total, losses = self.loss(x, self(x, *condition))
        return {"loss": total, **losses}


class VAE(VariationalMixin, BaseModule):
    def __init__(self, nz: int, beta: float = 1.0) -> None:
        super().__init__()
        self.save_hyperparameters(nz=nz, beta=beta)
        self.encoder = Encoder(2 * nz, IMAGE_SIZE)
        self.decoder = Decoder(nz, IMAGE_SIZE)

    @property
    def beta(self) -> float:
        return self.hparams["beta"]

    @beta.setter
    def beta(self, value: float) -> None:
        self.hparams["beta"] = value

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        q = self.encoder(x)
        z = self.reparameterize(*q.tensor_split(2, dim=-1))
        return {"q": q, "rec": self.decoder(z)}

    @torch.inference_mode()
    def reconstruct(self, x: Tensor) -> Tensor:
        mean = self.encoder(x).tensor_split(2, dim=-1)[0]
        return self.square(self.decoder(mean))

    def training_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        return self._shared_step(batch[0])


def train_vae(
    model: nn.Module, loader: DataLoader, epochs: int, learning_rate: float, device: Any = "cpu"
) -> dict[str, list[float]]:
    return Trainer(max_epochs=epochs, device=device).fit(model, loader, learning_rate)


@torch.no_grad()
def interpolate(model: nn.Module, x_start: Tensor, x_end: Tensor, nz: int, steps: int) -> Tensor:
    if steps < 2:
        raise ValueError("an interpolation has at least two steps")
    device = next(model.parameters()).device
    pair = torch.cat([x_start.reshape(1, 1, -1), x_end.reshape(1, 1, -1)]).to(device)
    start, end = model.encoder(pair)[..., :nz].reshape(2, nz).unbind(0)
    weights = torch.linspace(0, 1, steps, device=device).to(start.dtype).unsqueeze(-1)
    return model.decoder((1 - weights) * start + weights * end).reshape(steps, 28, 28)
