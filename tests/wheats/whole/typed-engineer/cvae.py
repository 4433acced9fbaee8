"""Problem 1, part 3: a conditional VAE (CVAE) for MNIST."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader

from autoencoder import SIDE, Decoder, Device, Encoder, reconstruction_loss
from vae import DiagonalGaussian, kl_divergence, train_with

IMAGE_SIZE = 784


def _is_integer(dtype: torch.dtype) -> bool:
    try:
        torch.iinfo(dtype)
    except TypeError:
        return False
    return dtype is not torch.bool


def idx2onehot(idx: Tensor, n: int) -> Tensor:
    match tuple(idx.shape):
        case (_,) | (_, 1):
            flat = idx.reshape(-1)
        case shape:
            raise ValueError(f"labels are (N,) or (N, 1), not {shape}")
    if not _is_integer(idx.dtype):
        raise ValueError(f"labels are integers, not {idx.dtype}")
    flat = flat.to(torch.int64)
    if torch.any((flat < 0) | (flat >= n)):
        raise ValueError(f"every label is in 0..{n - 1}")
    return F.one_hot(flat, num_classes=n).to(torch.float32)


class Conditioned(nn.Module):
    """What the two conditional networks share: [t, onehot(c)], or t alone."""

    def __init__(self, conditional: bool, num_labels: int) -> None:
        super().__init__()
        self.conditional = conditional
        self.num_labels = num_labels

    @property
    def extra(self) -> int:
        return self.num_labels if self.conditional else 0

    def join(self, t: Tensor, c: Tensor | None) -> Tensor:
        if not self.conditional:
            return t
        if c is None:
            raise ValueError(f"a conditional {type(self).__name__} needs labels")
        labels = idx2onehot(c, self.num_labels).to(t)
        return torch.cat([t, labels.reshape(*t.shape[:-1], self.num_labels)], dim=-1)


class CVAEEncoder(Conditioned):
    def __init__(self, nz: int, input_size: int, conditional: bool, num_labels: int) -> None:
        super().__init__(conditional, num_labels)
        self.body = Encoder(nz=nz, input_size=input_size + self.extra)

    def forward(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        return self.body(self.join(x, c))


class CVAEDecoder(Conditioned):
    def __init__(self, nz: int, output_size: int, conditional: bool, num_labels: int) -> None:
        super().__init__(conditional, num_labels)
        self.body = Decoder(nz=nz + self.extra, output_size=output_size)

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        return self.body(self.join(z, c))


class CVAE(nn.Module):
    def __init__(self, nz: int, beta: float = 1.0, conditional: bool = False, num_labels: int = 0) -> None:
        if conditional and num_labels < 1:
            raise ValueError(f"a conditional model needs at least one label, got {num_labels}")
        super().__init__()
        self.beta = beta
        self.conditional = conditional
        self.num_labels = num_labels
        self.encoder = CVAEEncoder(2 * nz, IMAGE_SIZE, conditional, num_labels)
        self.decoder = CVAEDecoder(nz, IMAGE_SIZE, conditional, num_labels)

    def reparameterize(self, mu: Tensor, log_sigma: Tensor) -> Tensor:
        return DiagonalGaussian(mu, log_sigma).rsample()

    def forward(self, x: Tensor, c: Tensor | None = None) -> dict[str, Tensor | None]:
        q = self.encoder(x, c)
        posterior = DiagonalGaussian.unpack(q)
        z = self.reparameterize(posterior.mu, posterior.log_sigma)
        return {"q": q, "rec": self.decoder(z, c), "c": c}

    def loss(self, x: Tensor, outputs: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        posterior = DiagonalGaussian.unpack(outputs["q"])
        rec_loss = reconstruction_loss(outputs["rec"], x)
        kl_loss = (posterior | DiagonalGaussian.standard_like(posterior)).mean()
        return rec_loss + self.beta * kl_loss, {"rec_loss": rec_loss, "kl_loss": kl_loss}

    @torch.no_grad()
    def reconstruct(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        mean = DiagonalGaussian.unpack(self.encoder(x, c)).mu
        return self.decoder(mean, c).squeeze(1).unflatten(-1, (SIDE, SIDE))


def train_cvae(
    model: nn.Module,
    loader: DataLoader,
    epochs: int,
    learning_rate: float,
    device: Device = "cpu",
) -> dict[str, list[float]]:
    def run(x: Tensor, labels: Tensor):
        return model(x, labels.to(device)) if model.conditional else model(x)

    return train_with(run, model, loader, epochs, learning_rate, device)


@torch.no_grad()
def sample_conditional(model: nn.Module, labels: Tensor, nz: int) -> Tensor:
    reference = next(model.parameters())
    codes = torch.randn(len(labels), nz, device=reference.device)
    return model.decoder(codes, labels.to(reference.device)).reshape(-1, SIDE, SIDE)
