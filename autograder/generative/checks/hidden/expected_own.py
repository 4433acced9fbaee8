"""What a student's own auto-encoder, VAE or CVAE computes with the weights that the probe puts into it, in float64.

A training loop that does not work with a given model is judged with the student's own. The networks have the layers that the
stubs ask for, and the losses are the real ones. Log sigmas are so small (stand_ins.layers.QUIET) that noise does not matter.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...stand_ins import layers
from .expected_steps import Loss, Losses
from .expected_vae import kl_to_prior


class Network(nn.ModuleList):
    """Three linear layers with ReLU between them; parameters are called as `probes.own` calls them ("0.weight")."""

    def __init__(self, values: list[Tensor]) -> None:
        super().__init__(nn.Linear(weight.shape[1], weight.shape[0]) for weight in values[::2])
        self.double()
        with torch.no_grad():
            for parameter, value in zip(self.parameters(), values, strict=True):
                parameter.copy_(value)

    def forward(self, x: Tensor) -> Tensor:
        first, second, third = self
        return third(F.relu(second(F.relu(first(x)))))


class Model(nn.Module):
    """An encoder and a decoder of the student's; conditional where the weights hold label tables."""

    def __init__(self, weights: layers.Weights, beta: float = 0.0, variational: bool = True) -> None:
        super().__init__()
        self.beta = beta
        self.variational = variational
        table = weights.get("encoder_labels")
        self.classes = 0 if table is None else len(table)
        self.encoder = Network(layers.encoder(weights, quiet=variational))
        self.decoder = Network(layers.decoder(weights))

    def forward(self, x: Tensor, c: Tensor | None) -> tuple[Tensor, Tensor]:
        """q (N, 2 nz), or the code, and the reconstructions (N, 1, 784)."""
        rows = [] if c is None or not self.classes else [F.one_hot(c, self.classes).double()]
        q = self.encoder(torch.cat([x.flatten(1), *rows], -1))
        z = q.chunk(2, -1)[0] if self.variational else q
        return q, torch.sigmoid(self.decoder(torch.cat([z, *rows], -1))).unsqueeze(1)


def losses() -> dict[str, Loss]:
    """The loss that a right loop minimises with the student's own model."""

    def own(model: Any, x: Tensor, c: Tensor | None) -> Losses:
        q, rec = model(x, c)
        rec_loss = F.binary_cross_entropy(rec, x)
        if not model.variational:
            return {"total": rec_loss}
        kl_loss = kl_to_prior(q).mean()
        return {"total": rec_loss + model.beta * kl_loss, "rec_loss": rec_loss, "kl_loss": kl_loss}

    return {"own": own}
