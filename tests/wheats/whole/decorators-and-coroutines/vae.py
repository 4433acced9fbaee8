"""VAE; see autoencoder.py for the decorators and context managers."""

from __future__ import annotations

import functools
from contextlib import ExitStack, closing

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from autoencoder import (
    Adam,
    Decoder,
    Encoder,
    flattened,
    primed,
    reconstruction_loss,
    recorder,
    training,
    without_graph,
)

IMAGE_SIZE = 784

BETA = 0.06

INTERPOLATIONS = [(6, 0), (7, 2)]


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


kl_from_standard = functools.partial(kl_divergence, mu2=torch.tensor(0.0), log_sigma2=torch.tensor(0.0))


class Outputs(dict):
    """A dictionary whose entries are also attributes."""

    def __getattr__(self, name: str):
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


class VAE(nn.Module):
    def __init__(self, nz: int, beta: float = 1.0) -> None:
        super().__init__()
        self.add_module("encoder", Encoder(2 * nz, IMAGE_SIZE))
        self.add_module("decoder", Decoder(nz, IMAGE_SIZE))
        self.beta = beta

    def reparameterize(self, mu: Tensor, log_sigma: Tensor) -> Tensor:
        eps = torch.normal(torch.zeros_like(mu), 1.0)
        return torch.exp(log_sigma) * eps + mu

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        mu, log_sigma = (q := self.encoder(x)).chunk(2, dim=-1)
        z = self.reparameterize(mu, log_sigma)
        return Outputs(q=q, rec=self.decoder(z), z=z)  # z: for my plots

    def loss(self, x: Tensor, outputs: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        match outputs:
            case {"q": q, "rec": rec}:
                terms = Outputs(
                    rec_loss=reconstruction_loss(rec, x),
                    kl_loss=kl_from_standard(*torch.chunk(q, 2, dim=-1)).mean(),
                )
                return terms.rec_loss + self.beta * terms.kl_loss, terms
        raise KeyError('outputs needs "q" and "rec"')

    @without_graph
    def reconstruct(self, x: Tensor) -> Tensor:
        mean, _ = self.encoder(x).chunk(2, dim=-1)
        return self.decoder(mean).reshape(len(x), 28, 28)


def train_vae(
    model: nn.Module,
    loader: DataLoader,
    epochs: int,
    learning_rate: float,
    device: torch.device | str = "cpu",
) -> dict[str, list[float]]:
    store = {"rec_loss": [], "kl_loss": []}
    adam = Adam(model.parameters(), learning_rate)
    with ExitStack() as stack:
        stack.enter_context(training(model))
        record = stack.enter_context(closing(primed(recorder(store))))
        for _ in range(epochs):
            for x, _labels in map(functools.partial(flattened, device=device), loader):
                total, parts = model.loss(x, model(x))
                with adam:
                    total.backward()
                record.send(parts)
    return store


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
