"""Problem 1, part 2: a variational auto-encoder.

    loss = E[-log p(x|z)] + beta KL[q(z|x) || p(z)],   p(z) = N(0, I)

with both terms as means, over the pixels and over the latent dimensions.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from autoencoder import Decoder, Encoder, Gaussian, descend, expectation, reconstruction_loss

IMAGE_SIZE = 784
SIDE = 28

# The bound sums over 784 pixels and 32 dimensions, the loss has means: -ELBO = 784 (rec + 32/784 kl).
BETA = 32 / IMAGE_SIZE

INTERPOLATIONS = [(4, 9), (0, 1)]


def kl_divergence(mu1: Tensor, log_sigma1: Tensor, mu2: Tensor, log_sigma2: Tensor) -> Tensor:
    """KL[N(mu1, sigma1) || N(mu2, sigma2)] of one-dimensional normal distributions, elementwise (given).

    log(sigma2 / sigma1) + (sigma1^2 + (mu1 - mu2)^2) / (2 sigma2^2) - 1/2

    (Kingma and Welling 2014, appendix B, give the case of the prior N(0, 1).) The order of the arguments
    matters: the KL divergence is not symmetric.

    Args:
        mu1, mu2: means.
        log_sigma1, log_sigma2: natural logarithms of the standard deviations (not of the variances).

    Returns:
        The divergence of each element, in nats, nonnegative up to rounding. Nothing is summed or averaged.

    Example:
        >>> zero = torch.zeros(3)
        >>> kl_divergence(torch.tensor([0.0, 1.0, 2.0]), zero, zero, zero)
        tensor([0.0000, 0.5000, 2.0000])
    """
    log_ratio = log_sigma1 - log_sigma2
    distance = (mu1 - mu2) * torch.exp(-log_sigma2)
    return 0.5 * (torch.exp(2 * log_ratio) + distance**2 - 1) - log_ratio


class Divergence:
    """KL[q || p] of two diagonal Gaussians: additive over the dimensions, so it has one value for each."""

    def __init__(self, q: Gaussian, p: Gaussian) -> None:
        self.q, self.p = q, p

    @property
    def per_dimension(self) -> Tensor:
        return kl_divergence(self.q.mu, self.q.log_sigma, self.p.mu, self.p.log_sigma)

    @property
    def mean(self) -> Tensor:
        return expectation(self.per_dimension)


@dataclass(frozen=True)
class FreeEnergy:
    """The negative ELBO up to a factor: its two named terms, and their weighted sum."""

    rec_loss: Tensor
    kl_loss: Tensor
    beta: float

    @property
    def total(self) -> Tensor:
        return self.rec_loss + self.beta * self.kl_loss

    @property
    def terms(self) -> dict[str, Tensor]:
        return {"rec_loss": self.rec_loss, "kl_loss": self.kl_loss}


def posterior(q: Tensor) -> Gaussian:
    """q(z|x) from the encoder's output [mu | log sigma]."""
    return Gaussian(*q.chunk(2, dim=-1))


def free_energy(x: Tensor, q: Gaussian, rec: Tensor, beta: float) -> FreeEnergy:
    """F = E[-log p(x|z)] + beta KL[q || N(0, I)]"""
    prior = Gaussian.standard_like(q.mu)
    return FreeEnergy(reconstruction_loss(rec, x), Divergence(q, prior).mean, beta)


class VAE(nn.Module):
    """p(x, z) = p(x|z) N(z; 0, I), and the approximate posterior q(z|x)."""

    def __init__(self, nz: int, beta: float = 1.0) -> None:
        super().__init__()
        self.beta = beta
        self.encoder = Encoder(2 * nz, IMAGE_SIZE)
        self.decoder = Decoder(nz, IMAGE_SIZE)

    def reparameterize(self, mu: Tensor, log_sigma: Tensor) -> Tensor:
        """z ~ N(mu, sigma), as a differentiable function of mu and log sigma."""
        return Gaussian(mu, log_sigma).draw().coordinates

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        q = self.encoder(x)
        z = self.reparameterize(*q.chunk(2, dim=-1))
        return {"q": q, "rec": self.decoder(z)}

    def loss(self, x: Tensor, outputs: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        energy = free_energy(x, posterior(outputs["q"]), outputs["rec"], self.beta)
        return energy.total, energy.terms

    @torch.no_grad()
    def reconstruct(self, x: Tensor) -> Tensor:
        """g(E_q[z])"""
        z = posterior(self.encoder(x)).mean
        return self.decoder(z.coordinates).unflatten(-1, (SIDE, SIDE)).squeeze(1)


def train_vae(
    model: nn.Module,
    loader: DataLoader,
    epochs: int,
    learning_rate: float,
    device: torch.device | str = "cpu",
) -> dict[str, list[float]]:
    """Minimise the free energy by Adam."""
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    model.train()

    def energy(x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        return model.loss(x, model(x))

    trajectory = [
        descend(optimizer, lambda: energy(images.to(device).flatten(2)))
        for _ in range(epochs)
        for images, _ in loader
    ]
    return {name: [terms[name] for terms in trajectory] for name in ("rec_loss", "kl_loss")}


@torch.no_grad()
def interpolate(model: nn.Module, x_start: Tensor, x_end: Tensor, nz: int, steps: int) -> Tensor:
    """Interpolate between two images, along a straight line in the latent space (given).

    Args:
        model: has an `encoder` whose first nz outputs are a code (the posterior mean for a VAE, the code
            itself for a plain auto-encoder), and a `decoder`.
        x_start, x_end: one image each, any shape with 784 elements.
        nz: length of a code.
        steps: number of images, at least 2.

    Returns:
        Images (steps, 28, 28), with no graph attached. The first is decoded from exactly the code of
        `x_start`, the last from exactly the code of `x_end`.

    Raises:
        ValueError: fewer than two steps, which cannot include both ends.

    Example:
        >>> interpolate(vae, x_start=images[0], x_end=images[1], nz=32, steps=10).shape
        torch.Size([10, 28, 28])
    """
    if steps < 2:
        raise ValueError(f"an interpolation includes both ends, so it needs at least 2 steps; got {steps}")
    device = next(model.parameters()).device
    ends = torch.stack([x_start.reshape(1, -1), x_end.reshape(1, -1)]).to(device)  # (2, 1, 784)
    start, end = model.encoder(ends)[..., :nz].reshape(2, 1, nz)  # (1, nz) each
    weight = torch.linspace(0, 1, steps, device=device, dtype=start.dtype).unsqueeze(1)  # (steps, 1)
    codes = (1 - weight) * start + weight * end  # (steps, nz)
    return model.decoder(codes).reshape(steps, 28, 28)
