"""A conditional variational auto-encoder out of functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import torch
from autoencoder import Decoder, Encoder
from functional import Posterior, TrainConfig, batches, draw, stepper
from torch import Tensor, nn
from torch.utils.data import DataLoader
from vae import IMAGE_SIZE, losses

INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


def idx2onehot(idx: Tensor, n: int) -> Tensor:
    match tuple(idx.shape):
        case (_,) | (_, 1):
            pass
        case shape:
            raise ValueError(f"labels of shape {shape}")
    if idx.dtype not in INTEGERS:
        raise ValueError(f"labels of type {idx.dtype}")
    labels = idx.flatten().long()
    if bool(((labels < 0) | (labels >= n)).any()):
        raise ValueError(f"a label is not in range({n})")
    return torch.eye(n, dtype=torch.float32, device=idx.device)[labels]


def with_labels(inputs: Tensor, c: Tensor | None, n: int) -> Tensor:
    """Rows [inputs, onehot(c)]; the inputs as they are when there are no labels."""
    if n == 0:
        return inputs
    if c is None:
        raise ValueError("this network needs labels")
    return torch.hstack([inputs, idx2onehot(c, n).to(inputs.dtype)])


class CVAEEncoder(nn.Module):
    """Takes flat images (N, input_size)."""

    def __init__(self, nz: int, input_size: int, conditional: bool, num_labels: int) -> None:
        super().__init__()
        self.labels = num_labels if conditional else 0
        self.net = Encoder(nz, input_size + self.labels)

    def forward(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        return self.net(with_labels(x, c, self.labels))


class CVAEDecoder(nn.Module):
    """Takes flat codes (N, nz)."""

    def __init__(self, nz: int, output_size: int, conditional: bool, num_labels: int) -> None:
        super().__init__()
        self.labels = num_labels if conditional else 0
        self.net = Decoder(nz + self.labels, output_size)

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        return self.net(with_labels(z, c, self.labels))


class CVAE(nn.Module):
    def __init__(self, nz: int, beta: float = 1.0, conditional: bool = False, num_labels: int = 0) -> None:
        super().__init__()
        assert not conditional or num_labels > 0, "a conditional model needs labels"
        self.beta = beta
        self.conditional = conditional
        self.encoder = CVAEEncoder(2 * nz, IMAGE_SIZE, conditional, num_labels)
        self.decoder = CVAEDecoder(nz, IMAGE_SIZE, conditional, num_labels)

    @staticmethod
    def reparameterize(mu: Tensor, log_sigma: Tensor) -> Tensor:
        return draw(Posterior(mu, log_sigma))

    def forward(self, x: Tensor, c: Tensor | None = None) -> dict[str, Tensor | None]:
        q = self.encoder(x.flatten(1), c)
        z = self.reparameterize(*q.hsplit(2))
        return {"q": q, "rec": self.decoder(z, c), "c": c}

    def loss(self, x: Tensor, outputs: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        return losses(x, outputs, beta=self.beta)

    def reconstruct(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        mean, _ = self.encoder(x.flatten(1), c).hsplit(2)
        return self.decoder(mean, c).detach().reshape(-1, 28, 28)


def train_cvae(
    model: nn.Module,
    loader: DataLoader,
    epochs: int,
    learning_rate: float,
    device: torch.device | str = "cpu",
) -> dict[str, list[float]]:
    def objective(call: Callable[..., dict[str, Tensor]], x: Tensor, c: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        forward = partial(call, x, c) if model.conditional else partial(call, x)
        total, parts = model.loss(x, forward())
        return total, {name: parts[name].item() for name in ("rec_loss", "kl_loss")}

    config = TrainConfig(epochs, learning_rate, device)
    step = stepper(model.train(), objective, config)
    noted = [step(*batch) for batch in batches(loader, config)]
    return {name: [parts[name] for parts in noted] for name in ("rec_loss", "kl_loss")}


def sample_conditional(model: nn.Module, labels: Tensor, nz: int) -> Tensor:
    first, *_ = model.parameters()
    draw_codes = partial(torch.randn, device=first.device, dtype=first.dtype)
    with torch.no_grad():
        images = model.decoder(draw_codes(len(labels), nz), labels.to(first.device))
    return images.reshape(len(labels), 28, 28)
