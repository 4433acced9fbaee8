"""Closed forms for the VAE: the KL divergence to the prior, its gradient, and the values that known mistakes give."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from autograder.judging import Fault, Mistake, Observation, expect_close, expect_standard_normal
from autograder.probes.stand_ins import autoencoder as stand_in

Kl = Callable[[Tensor, Tensor], Tensor]
MEAN = "The KL divergence is a mean over the batch and the latent dimensions."


def halves(q: Tensor) -> tuple[Tensor, Tensor]:
    """(..., 2 nz) -> mean and log sigma, (N, nz) each, in float64."""
    mu, log_sigma = q.double().flatten(1).chunk(2, dim=-1)
    return mu, log_sigma


def kl(mu1: Tensor, log_sigma1: Tensor, mu2: Tensor, log_sigma2: Tensor) -> Tensor:
    """KL[N(mu1, sigma1) || N(mu2, sigma2)], elementwise, in nats."""
    return (
        log_sigma2
        - log_sigma1
        + (torch.exp(2 * log_sigma1) + (mu1 - mu2) ** 2) / (2 * torch.exp(2 * log_sigma2))
        - 0.5
    )


def kl_to_prior(q: Tensor) -> Tensor:
    """KL[N(mu, sigma) || N(0, I)], (N, nz), of q = [mu, log sigma]; keeps the graph."""
    mu, log_sigma = q.flatten(1).chunk(2, dim=-1)
    zeros = torch.zeros_like(mu)
    return kl(mu, log_sigma, zeros, zeros)


def kl_mistakes(q: Tensor) -> list[Mistake]:
    """Known wrong values of kl_loss."""
    mu, log_sigma = halves(q)
    zeros, ones = torch.zeros_like(mu), torch.ones_like(mu)
    right = kl(mu, log_sigma, zeros, zeros)
    return [
        Mistake(
            kl(zeros, zeros, mu, log_sigma).mean(),
            "The KL divergence's arguments are swapped: it is KL[N(0, I) || q(z|x)].",
            "KL is not symmetric: q(z|x) comes first, the prior second.",
        ),
        Mistake(
            kl(mu, log_sigma, zeros, ones).mean(),
            "The prior's log sigma is set to one; log 1 is 0.",
            "The prior has sigma = 1, so its log sigma is 0.",
        ),
        Mistake(
            kl(mu, log_sigma / 2, zeros, zeros).mean(),
            "The second half of q is read as the log of the variance.",
            "It is log sigma, the log of the standard deviation.",
        ),
        Mistake(
            kl(log_sigma, mu, zeros, zeros).mean(),
            "The two halves of q are swapped: the mean comes first, log sigma second.",
        ),
        Mistake(right.sum(1).mean(), "The KL divergence is summed over the latent dimensions.", MEAN),
        Mistake(right.sum(), "The KL divergence is summed over the batch and the latent dimensions.", MEAN),
        Mistake(right.mean(1).sum(), "The KL divergence is summed over the batch.", MEAN),
        Mistake(right.sum() / 784 / len(mu), "The KL divergence is divided by the number of pixels.", MEAN),
        Mistake(-right.mean(), "The KL divergence has the wrong sign.", "It is never negative."),
        Mistake(2 * right.mean(), "The KL divergence lacks the factor 1/2."),
    ]


def rec_losses(rec: Tensor, x: Tensor) -> dict[str, Tensor]:
    """The reconstruction losses that are right: the real one, and the stand-in's."""
    return {
        "real": F.binary_cross_entropy(rec.double(), x.double()),
        "stand-in": stand_in.reconstruction_loss(rec.double(), x.double()),
    }


def rec_mistakes(rec: Tensor, x: Tensor) -> list[Mistake]:
    """Known wrong values of rec_loss inside VAE.loss."""
    rec, x = rec.double(), x.double()
    real, other = F.binary_cross_entropy(rec, x), stand_in.reconstruction_loss(rec, x)
    swapped = "The arguments of the reconstruction loss are swapped: the prediction comes first."
    mean = "Take the mean over every element."
    return [
        Mistake(F.binary_cross_entropy(x, rec), swapped),
        Mistake(stand_in.reconstruction_loss(x, rec), swapped),
        Mistake(F.mse_loss(rec, x), "The reconstruction loss is the mean squared error."),
        Mistake(real * 784, "The reconstruction loss is summed over pixels.", mean),
        Mistake(other * 784, "The reconstruction loss is summed over pixels.", mean),
        Mistake(real * rec.numel(), "The reconstruction loss is summed over every element.", mean),
        Mistake(other * rec.numel(), "The reconstruction loss is summed over every element.", mean),
    ]


def expect_gradient(grad: Tensor, function: Callable[[Tensor], Tensor], at: Tensor, what: str) -> None:
    """Raises a fault unless `grad` is the gradient of `function` at `at`."""
    free = at.double().clone().requires_grad_()
    function(free).backward()
    asked = free.grad
    assert asked is not None
    expect_close(
        grad.double().reshape(asked.shape),
        asked,
        rtol=5e-3,
        atol=1e-4 * float(asked.abs().max()),
        what=what,
        hint="Nothing may detach the total from what it is made of.",
    )


def is_standard_normal(noise: Tensor) -> bool:
    """True when the values pass for independent draws from N(0, 1)."""
    try:
        expect_standard_normal(noise, what="the noise")
    except Fault:
        return False
    return True


def part(seen: Observation, name: str) -> Tensor:
    """A scalar of the parts that loss returned."""
    parts = seen.part("parts", what="the second value that loss returned")
    return parts.tensor(name, (), what=f'parts["{name}"]')
