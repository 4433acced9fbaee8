"""Conditional variational auto-encoder."""

from __future__ import annotations

from typing import Any, Optional

import torch
from autoencoder import Decoder, Encoder
from lit import BaseModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader
from vae import IMAGE_SIZE, VariationalMixin


def idx2onehot(idx: Tensor, n: int) -> Tensor:
    """Labels (N,) or (N, 1) -> rows (N, n)."""
    if torch.is_floating_point(idx) or torch.is_complex(idx) or idx.dtype is torch.bool:
        raise ValueError(f"labels are integers, not {idx.dtype}")
    if idx.shape not in (torch.Size([len(idx)]), torch.Size([len(idx), 1])):
        raise ValueError(f"labels have shape (N,) or (N, 1), not {tuple(idx.shape)}")
    rows = (idx.reshape(-1, 1).long() == torch.arange(n, device=idx.device)).float()
    if rows.sum() != len(idx):
        raise ValueError(f"labels lie between 0 and {n - 1}")
    return rows


class ConditionalMixin:
    """Joins labels to the inputs of a network."""

    conditional: bool
    num_labels: int

    def condition(self, inputs: Tensor, c: Optional[Tensor]) -> Tensor:
        inputs = inputs.flatten(1)
        if not self.conditional:
            return inputs
        if c is None:
            raise ValueError("labels are missing")
        return torch.cat([inputs, idx2onehot(c, self.num_labels).to(inputs)], dim=1)


class CVAEEncoder(ConditionalMixin, BaseModule):
    def __init__(self, nz: int, input_size: int, conditional: bool, num_labels: int) -> None:
        super().__init__()
        self.conditional = conditional
        self.num_labels = num_labels
        self.backbone = Encoder(nz, input_size + conditional * num_labels)

    def forward(self, x: Tensor, c: Optional[Tensor] = None) -> Tensor:
        return self.backbone(self.condition(x, c))


class CVAEDecoder(ConditionalMixin, BaseModule):
    def __init__(self, nz: int, output_size: int, conditional: bool, num_labels: int) -> None:
        super().__init__()
        self.conditional = conditional
        self.num_labels = num_labels
        self.backbone = Decoder(nz + conditional * num_labels, output_size)

    def forward(self, z: Tensor, c: Optional[Tensor] = None) -> Tensor:
        return self.backbone(self.condition(z, c))


class CVAE(VariationalMixin, BaseModule):
    def __init__(self, nz: int, beta: float = 1.0, conditional: bool = False, num_labels: int = 0) -> None:
        super().__init__()
        if conditional and num_labels < 1:
            raise ValueError("a conditional model needs labels")
        self.beta = beta
        self.encoder = CVAEEncoder(2 * nz, IMAGE_SIZE, conditional, num_labels)
        self.decoder = CVAEDecoder(nz, IMAGE_SIZE, conditional, num_labels)

    def forward(self, x: Tensor, c: Optional[Tensor] = None) -> dict[str, Optional[Tensor]]:
        q = self.encoder(x, c)
        z = self.reparameterize(*q.tensor_split(2, dim=-1))
        return {"q": q, "rec": self.decoder(z, c), "c": c}

    @torch.inference_mode()
    def reconstruct(self, x: Tensor, c: Optional[Tensor] = None) -> Tensor:
        mean = self.encoder(x, c).tensor_split(2, dim=-1)[0]
        return self.square(self.decoder(mean, c))

    def training_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        images, labels = batch
        if self.encoder.conditional:
            return self._shared_step(images, labels)
        return self._shared_step(images)


def train_cvae(
    model: nn.Module, loader: DataLoader, epochs: int, learning_rate: float, device: Any = "cpu"
) -> dict[str, list[float]]:
    return Trainer(max_epochs=epochs, device=device).fit(model, loader, learning_rate)


@torch.inference_mode()
def sample_conditional(model: nn.Module, labels: Tensor, nz: int) -> Tensor:
    anchor = next(model.parameters())
    labels = labels.to(anchor.device)
    codes = anchor.new_zeros(labels.size(0), nz).normal_()
    return model.decoder(codes, labels).reshape(-1, 28, 28)
