"""Closed forms for the VAE: the KL divergence to the prior, and the reconstruction losses that are right."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from autograder.judging import expect_close

from ...stand_ins import autoencoder as stand_in
from ...stand_ins.vae import VAE


def halves(q: Tensor) -> tuple[Tensor, Tensor]:
    """(..., 2 nz) -> mean and log sigma, (N, nz) each, in float64."""
    mu, log_sigma = q.double().flatten(1).chunk(2, dim=-1)
    return mu, log_sigma


def kl_to_prior(q: Tensor) -> Tensor:
    """KL[N(mu, sigma) || N(0, I)] of each element, (N, nz), in nats, of q = [mu, log sigma]; keeps the graph."""
    mu, log_sigma = q.flatten(1).chunk(2, dim=-1)
    return (torch.exp(2 * log_sigma) + mu**2) / 2 - log_sigma - 0.5


def rec_losses(rec: Tensor, x: Tensor) -> dict[str, Tensor]:
    """The reconstruction losses that are right: the real one, and the stand-in's."""
    return {
        "real": F.binary_cross_entropy(rec.double(), x.double()),
        "stand-in": stand_in.reconstruction_loss(rec.double(), x.double()),
    }


def reparameterized(mu: Tensor, log_sigma: Tensor) -> Tensor:
    """The code that a given reparameterize returns in place of a sample: that of the probe, and the stand-in VAE's."""
    return 1.1 * mu + 0.6 * log_sigma


def stand_in_loss(beta: float, x: Tensor, q: Tensor, rec: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """The total and the parts that the loss of the stand-in VAE returns, in float64, for a CVAE that inherits it."""
    model = VAE.__new__(VAE)
    torch.nn.Module.__init__(model)
    model.beta = beta
    return model.loss(x.double(), {"q": q.double(), "rec": rec.double()})


def expect_gradient(grad: Tensor, function: Callable[[Tensor], Tensor], at: Tensor, what: str) -> None:
    """Raises a fault unless `grad` is the gradient of `function` at `at`."""
    free = at.double().clone().requires_grad_()
    function(free).backward()
    right = free.grad
    assert right is not None
    expect_close(
        grad.double().reshape(right.shape),
        right,
        rtol=5e-3,
        atol=1e-4 * float(right.abs().max()),
        what=what,
        hint="Do not detach anything that the loss is computed from.",
    )
