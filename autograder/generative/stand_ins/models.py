"""Small models that checks hand to train_* and sample_*, or put in place of a student's own encoder and decoder.

The check draws their weights, so it can work out what they compute, and each decoder can be inverted: the check computes
the z behind an image. They have exactly the attributes that the assignment names for a model, and those that the stubs'
given lines set. Their names are the assignment's, so that messages of exceptions say what a student knows, and a model can be
pickled.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from .vae import mixed

Weights = Mapping[str, Tensor]


class Encoder(nn.Module):
    """x -> W x + b, plus each label's row of the table `labels` if there is one. Keeps the leading shape."""

    def __init__(self, weight: Tensor, bias: Tensor, labels: Tensor | None = None) -> None:
        super().__init__()
        self.net = nn.Sequential(_linear(weight, bias))
        self.conditional = labels is not None
        self.num_labels = 0 if labels is None else len(labels)
        self.labels = None if labels is None else nn.Parameter(labels.clone())

    def forward(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        return _with_label(self.net(x), self.labels, c)


class Decoder(nn.Module):
    """z -> sigmoid(W z + b), plus a label's row inside the sigmoid; (N, nz) or (N, 1, nz) -> (N, 1, pixels)."""

    def __init__(self, weight: Tensor, bias: Tensor, labels: Tensor | None = None) -> None:
        super().__init__()
        self.net = nn.Sequential(_linear(weight, bias))
        self.conditional = labels is not None
        self.num_labels = 0 if labels is None else len(labels)
        self.labels = None if labels is None else nn.Parameter(labels.clone())

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        out = _with_label(self.net(z), self.labels, c)
        return torch.sigmoid(out).reshape(len(z), 1, out.shape[-1])


def label_rows(idx: Tensor, n: int) -> Tensor:
    """A stand-in for idx2onehot: (N,) or (N, 1) -> (N, n) float32, a row for each label, but not one-hot."""
    return torch.cos(1.7 * idx.reshape(-1, 1) + torch.arange(n, device=idx.device))


def encoder(weights: Weights) -> Encoder:
    return Encoder(weights["encoder_weight"], weights["encoder_bias"], weights.get("encoder_labels"))


def decoder(weights: Weights) -> Decoder:
    return Decoder(weights["decoder_weight"], weights["decoder_bias"], weights.get("decoder_labels"))


class AutoEncoder(nn.Module):
    """An auto-encoder with one layer in each network."""

    def __init__(self, weights: Weights) -> None:
        super().__init__()
        self.encoder = encoder(weights)
        self.decoder = decoder(weights)

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(self.encoder(x))

    def reconstruct(self, x: Tensor) -> Tensor:
        return self.forward(x).reshape(-1, 28, 28)


class VAE(nn.Module):
    """The names of a VAE with another loss and nothing random, so that a check can work out its training exactly."""

    def __init__(self, weights: Weights, beta: float) -> None:
        super().__init__()
        self.beta = beta
        self.encoder = encoder(weights)
        self.decoder = decoder(weights)

    def reparameterize(self, mu: Tensor, log_sigma: Tensor) -> Tensor:
        return 0.9 * mu + 0.4 * log_sigma

    def forward(self, x: Tensor) -> dict[str, Any]:
        q = self.encoder(x)
        return {"q": q, "rec": self.decoder(mixed(q, 0.9, 0.4))}

    def loss(self, x: Tensor, outputs: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        rec_loss = 1.9 * (outputs["rec"] - x.reshape(outputs["rec"].shape)).square().mean()
        kl_loss = 0.6 * outputs["q"].square().mean()
        return rec_loss + 1.2 * self.beta * kl_loss, {"rec_loss": rec_loss, "kl_loss": kl_loss}

    def reconstruct(self, x: Tensor) -> Tensor:
        return self.decoder(mixed(self.encoder(x), 0.8, 0.3)).reshape(-1, 28, 28)


class CVAE(VAE):
    """The same with labels: a table of label rows in the encoder and in the decoder when conditional."""

    def __init__(self, weights: Weights, beta: float) -> None:
        super().__init__(weights, beta)
        self.conditional = weights.get("encoder_labels") is not None
        self.num_labels = len(weights["encoder_labels"]) if self.conditional else 0

    def forward(self, x: Tensor, c: Tensor | None = None) -> dict[str, Any]:
        q = self.encoder(x, c)
        return {"q": q, "rec": self.decoder(mixed(q, 0.9, 0.4), c), "c": c}

    def reconstruct(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        return self.decoder(mixed(self.encoder(x, c), 0.8, 0.3), c).reshape(-1, 28, 28)


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], dtype=weight.dtype)
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)
    return layer


def _with_label(out: Tensor, table: Tensor | None, c: Tensor | None) -> Tensor:
    """Adds each sample's label row to `out` (N, ..., width); c is (N,) or (N, 1)."""
    if table is None or c is None:
        return out
    return out + functional.embedding(c.reshape(len(out)), table).reshape(out.shape)
