"""A training loop, simulated step by step: the losses that a right one may minimise, and settings for known mistakes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ...stand_ins import autoencoder as stand_in
from ...stand_ins import models
from .expected_vae import kl_to_prior

Losses = dict[str, Tensor]
Loss = Callable[[Any, Tensor, Tensor | None], Losses]
Batch = tuple[Tensor, Tensor | None]  # x (N, 1, 784) in float64, and labels
Parameters = Mapping[str, Tensor]


def simulate(
    model: Any,
    batches: Sequence[Batch],
    per_epoch: int,
    loss: Loss,
    rate: float,
    clear: str = "step",
    renew: str = "never",
    kind: str = "Adam",
    only: str = "",
    decay: float = 0.0,
    betas: tuple[float, float] = (0.9, 0.999),
    clip: float = math.inf,
) -> tuple[Parameters, list[dict[str, float]]]:
    """Trains a given model on the batches; returns its parameters and the losses at every step.

    loss: what a step minimises (its "total"), and what else is recorded. rate: the learning rate.
    clear: when gradients are cleared: at every "step" or "epoch", or "never".
    renew: "never", or a new optimiser at every "epoch" or "step".
    kind: "Adam", "AdamW", "SGD", or "none" for no step. only: the part that is trained ("encoder"); "" for all.
    decay, betas: Adam's weight_decay and betas. clip: the largest norm that gradients may have.
    """
    trained = list((getattr(model, only) if only else model).parameters())

    def fresh() -> torch.optim.Optimizer:
        if kind == "SGD":
            return torch.optim.SGD(trained, lr=rate)
        # One pass over the parameters: a student's own model has a million of them.
        if kind == "AdamW":
            return torch.optim.AdamW(trained, lr=rate, fused=True)
        return torch.optim.Adam(trained, lr=rate, betas=betas, weight_decay=decay, fused=True)

    optimizer, history = fresh(), []
    for number, (x, c) in enumerate(batches):
        if renew == "step" or (renew == "epoch" and number % per_epoch == 0):
            optimizer = fresh()
        values = loss(model, x, c)
        if clear == "step" or (clear == "epoch" and number % per_epoch == 0):
            model.zero_grad()
        values["total"].backward()
        if clip < math.inf:
            torch.nn.utils.clip_grad_norm_(trained, clip)
        if kind != "none":
            optimizer.step()
        history.append({k: float(v.detach()) for k, v in values.items()})
    return {name: p.detach() for name, p in model.named_parameters()}, history


def autoencoder_losses() -> dict[str, Loss]:
    """The losses that a right train_autoencoder may minimise: the stand-in's, or the real one computed in the loop."""

    def stand_ins(model: Any, x: Tensor, c: Tensor | None) -> Losses:
        return {"total": stand_in.reconstruction_loss(model(x), x)}

    def real(model: Any, x: Tensor, c: Tensor | None) -> Losses:
        return {"total": F.binary_cross_entropy(model(x), x)}

    return {"stand-in": stand_ins, "real": real}


def vae_losses() -> dict[str, Loss]:
    """The losses that a right train_vae or train_cvae may minimise.

    The given model's own, which is not the real one; the sum of its parts, with beta; or, for a loop that computes it from
    the outputs, the real one, with the real reconstruction loss or with the stand-in's.
    """

    def given(model: Any, x: Tensor, c: Tensor | None) -> Losses:
        total, parts = model.loss(x, _outputs(model, x, c))
        return {"total": total, **parts}

    def summed(model: Any, x: Tensor, c: Tensor | None) -> Losses:
        parts = given(model, x, c)
        return {**parts, "total": parts["rec_loss"] + model.beta * parts["kl_loss"]}

    def computed(reconstruction: Callable[[Tensor, Tensor], Tensor]) -> Loss:
        def loss(model: Any, x: Tensor, c: Tensor | None) -> Losses:
            outputs = _outputs(model, x, c)
            rec, kl = reconstruction(outputs["rec"], x), kl_to_prior(outputs["q"]).mean()
            return {"total": rec + model.beta * kl, "rec_loss": rec, "kl_loss": kl}

        return loss

    return {
        "given": given,
        "summed": summed,
        "real": computed(F.binary_cross_entropy),
        "mixed": computed(stand_in.reconstruction_loss),
    }


def _outputs(model: Any, x: Tensor, c: Tensor | None) -> Any:
    return model(x, c) if isinstance(model, models.CVAE) else model(x)
