"""A CVAE is a VAE with a context: everything that can be inherited, is."""

from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from autoencoder import Decoder, Encoder
from vae import IMAGE_SIZE, VAE, train_vae


@lru_cache(maxsize=None)
def identity(n: int, device: torch.device) -> Tensor:
    return torch.eye(n, dtype=torch.float32, device=device)


def idx2onehot(idx: Tensor, n: int) -> Tensor:
    if idx.is_floating_point() or idx.is_complex() or idx.dtype is torch.bool:
        raise ValueError(f"labels must have an integer dtype, not {idx.dtype}")
    if idx.dim() == 2 and idx.size(1) == 1:
        idx = idx[:, 0]
    if idx.dim() != 1:
        raise ValueError(f"labels must be (N,) or (N, 1), not {tuple(idx.shape)}")
    idx = idx.long()
    for label in idx.tolist():
        if not 0 <= label < n:
            raise ValueError(f"label {label} is not in 0..{n - 1}")
    return identity(n, idx.device)[idx]


class LabelMixin:
    """Before Encoder or Decoder in the bases. Appends the labels to the first argument of `forward`."""

    conditional: bool
    num_labels: int

    @staticmethod
    def enlarged(size: int, conditional: bool, num_labels: int) -> int:
        return size + num_labels if conditional else size

    def forward(self, t: Tensor, c: Tensor | None = None) -> Tensor:
        if self.conditional:
            if c is None:
                raise ValueError(f"{type(self).__name__} is conditional and needs labels")
            t = torch.cat([t, idx2onehot(c, self.num_labels).to(t).view(*t.shape[:-1], self.num_labels)], dim=-1)
        return super().forward(t)


class CVAEEncoder(LabelMixin, Encoder):
    def __init__(self, nz: int, input_size: int, conditional: bool, num_labels: int) -> None:
        super().__init__(nz, self.enlarged(input_size, conditional, num_labels))
        self.conditional = conditional
        self.num_labels = num_labels


class CVAEDecoder(LabelMixin, Decoder):
    def __init__(self, nz: int, output_size: int, conditional: bool, num_labels: int) -> None:
        super().__init__(self.enlarged(nz, conditional, num_labels), output_size)
        self.conditional = conditional
        self.num_labels = num_labels


class CVAE(VAE):
    def __init__(self, nz: int, beta: float = 1.0, conditional: bool = False, num_labels: int = 0) -> None:
        super().__init__(nz, beta)
        if conditional and num_labels < 1:
            raise ValueError(f"{num_labels} labels are not enough for a conditional model")
        self.conditional = conditional
        self.num_labels = num_labels
        self.encoder = CVAEEncoder(2 * nz, IMAGE_SIZE, conditional, num_labels)
        self.decoder = CVAEDecoder(nz, IMAGE_SIZE, conditional, num_labels)

    def forward(self, x: Tensor, c: Tensor | None = None) -> dict[str, Tensor | None]:
        return self.sample_and_decode(x, c) | {"c": c}

    def reconstruct(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        return super().reconstruct(x, c)


def train_cvae(
    model: nn.Module,
    loader: DataLoader,
    epochs: int,
    learning_rate: float,
    device: torch.device | str = "cpu",
) -> dict[str, list[float]]:
    def context(labels):
        return (labels.to(device),) if model.conditional else ()

    return train_vae(model, loader, epochs, learning_rate, device, context=context)


@torch.no_grad()
def sample_conditional(model: nn.Module, labels: Tensor, nz: int) -> Tensor:
    device = {p.device for p in model.parameters()}.pop()
    labels = labels.to(device)
    codes = torch.stack([torch.randn(nz, device=device) for _ in labels]) if len(labels) else torch.empty(0, nz, device=device)
    return model.decoder(codes, labels).reshape(len(labels), 28, 28)
