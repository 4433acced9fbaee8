"""cvae.cpp, transliterated."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from autoencoder import HIDDEN_1, HIDDEN_2, Activation, LayerSpec, Network, box_muller
from vae import VAE, GaussianStruct, Trainer

IMAGE_SIZE: Final[int] = 784


def idx2onehot(idx: Tensor, n: int) -> Tensor:
    if idx.dtype not in (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64):
        raise ValueError("idx2onehot: integer dtype expected")
    if not (idx.dim() == 1 or (idx.dim() == 2 and idx.size(1) == 1)):
        raise ValueError("idx2onehot: shape (N,) or (N, 1) expected")
    rows: int = idx.size(0)
    result: Tensor = torch.zeros(rows, n, dtype=torch.float32, device=idx.device)
    for i in range(rows):
        label: int = int(idx[i].item())
        if label < 0 or label >= n:
            raise ValueError(f"idx2onehot: label {label} at row {i}")
        result[i, label] = 1.0
    return result


def append(x: Tensor, c: Tensor, n: int) -> Tensor:
    """(N, d) or (N, 1, d) -> (N, 1, d + n)."""
    rows: int = x.size(0)
    d: int = x.size(-1)
    hot: Tensor = idx2onehot(c, n)
    result: Tensor = torch.zeros(rows, 1, d + n, device=x.device, dtype=x.dtype)
    result[:, 0, 0:d] = x.reshape(rows, d)
    result[:, 0, d : d + n] = hot
    return result


class CVAEEncoder(nn.Module):
    def __init__(self, nz: int, input_size: int, conditional: bool, num_labels: int) -> None:
        nn.Module.__init__(self)
        self.conditional: bool = conditional
        self.num_labels: int = num_labels
        n_in: int = input_size + num_labels if conditional else input_size
        self.net = Network(
            LayerSpec(n_in, HIDDEN_1, Activation.RELU),
            LayerSpec(HIDDEN_1, HIDDEN_2, Activation.RELU),
            LayerSpec(HIDDEN_2, nz, Activation.NONE),
        )

    def forward(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        if not self.conditional:
            return self.net(x)
        if c is None:
            raise ValueError("a conditional encoder needs labels")
        return self.net(append(x, c, self.num_labels))


class CVAEDecoder(nn.Module):
    def __init__(self, nz: int, output_size: int, conditional: bool, num_labels: int) -> None:
        nn.Module.__init__(self)
        self.conditional: bool = conditional
        self.num_labels: int = num_labels
        n_in: int = nz + num_labels if conditional else nz
        self.net = Network(
            LayerSpec(n_in, HIDDEN_2, Activation.RELU),
            LayerSpec(HIDDEN_2, HIDDEN_1, Activation.RELU),
            LayerSpec(HIDDEN_1, output_size, Activation.SIGMOID),
        )

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        if self.conditional:
            if c is None:
                raise ValueError("a conditional decoder needs labels")
            return self.net(append(z, c, self.num_labels))
        return self.net(z.reshape(z.size(0), 1, z.size(-1)))


class CVAE(nn.Module):
    def __init__(self, nz: int, beta: float = 1.0, conditional: bool = False, num_labels: int = 0) -> None:
        nn.Module.__init__(self)
        if conditional and num_labels < 1:
            raise ValueError("num_labels < 1")
        self.beta: float = beta
        self.conditional: bool = conditional
        self.num_labels: int = num_labels
        self.encoder = CVAEEncoder(2 * nz, IMAGE_SIZE, conditional, num_labels)
        self.decoder = CVAEDecoder(nz, IMAGE_SIZE, conditional, num_labels)

    # using VAE::reparameterize; using VAE::loss;
    reparameterize = VAE.reparameterize
    loss = VAE.loss

    def forward(self, x: Tensor, c: Tensor | None = None) -> dict[str, Tensor | None]:
        outputs: dict[str, Tensor | None] = {"c": c}
        outputs["q"] = self.encoder(x, c) if self.conditional else self.encoder(x)
        g = GaussianStruct(outputs["q"])
        z: Tensor = self.reparameterize(g.mu, g.log_sigma)
        outputs["rec"] = self.decoder(z, c) if self.conditional else self.decoder(z)
        return outputs

    def reconstruct(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        n: int = x.size(0)
        out: Tensor = torch.empty(n, 28, 28, device=x.device, dtype=x.dtype)
        with torch.no_grad():
            for i in range(n):
                ci = c[i : i + 1] if c is not None else None
                g = GaussianStruct(self.encoder(x[i : i + 1], ci))
                out[i] = self.decoder(g.mu, ci).reshape(28, 28)
        return out


def train_cvae(
    model: nn.Module,
    loader: DataLoader,
    epochs: int,
    learning_rate: float,
    device: torch.device | str = "cpu",
) -> dict[str, list[float]]:
    with Trainer(model, learning_rate, device) as trainer:
        for epoch in range(epochs):
            for images, labels in loader:
                if model.conditional:
                    trainer.step(images, labels.to(device))
                else:
                    trainer.step(images)
    return trainer.history


def sample_conditional(model: nn.Module, labels: Tensor, nz: int) -> Tensor:
    anchor: Tensor = next(iter(model.parameters()))
    n: int = labels.numel()
    z: Tensor = torch.zeros(n, nz, device=anchor.device, dtype=anchor.dtype)
    for i in range(n):
        for k in range(nz):
            z[i, k] = torch.normal(0.0, 1.0, (), device=anchor.device)
    with torch.no_grad():
        images: Tensor = model.decoder(z, labels.to(anchor.device))
    return images.reshape(n, 28, 28)
