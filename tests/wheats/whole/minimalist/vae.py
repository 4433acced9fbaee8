"""Problem 1, part 2: a variational auto-encoder (VAE) for MNIST."""

from itertools import chain, repeat

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from autoencoder import AutoEncoder, Encoder, descend, reconstruction_loss

IMAGE_SIZE = 784
BETA = 32 / IMAGE_SIZE
INTERPOLATIONS = [*zip((5, 1), (3, 4))]


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


class VAE(AutoEncoder):
    def __init__(self, nz: int, beta: float = 1.0) -> None:
        super().__init__(nz)
        self.beta, self.encoder = beta, Encoder(2 * nz, IMAGE_SIZE)

    reparameterize = lambda self, mu, log_sigma: mu + log_sigma.exp() * torch.randn_like(mu)
    forward = lambda self, x: {"q": (q := self.encoder(x)), "rec": self.decoder(self.reparameterize(*q.chunk(2, -1)))}

    def loss(self, x, outputs):
        kl = kl_divergence(*outputs["q"].chunk(2, -1), *torch.zeros_like(outputs["q"]).chunk(2, -1)).mean()
        return (rec := reconstruction_loss(outputs["rec"], x)) + self.beta * kl, {"rec_loss": rec, "kl_loss": kl}

    @torch.no_grad()
    def reconstruct(self, x, *c):
        return self.decoder(self.encoder(x, *c).chunk(2, -1)[0], *c).reshape(-1, 28, 28)


def train_vae(model, loader, epochs, learning_rate, device="cpu", labelled=False) -> dict[str, list[float]]:
    optimizer = torch.optim.Adam(model.train().parameters(), learning_rate)

    def step(images, *labels):
        total, parts = model.loss(x := images.to(device).flatten(2), model(x, *(c.to(device) for c in labels if labelled)))
        return descend(optimizer, total), *(parts[name].item() for name in ("rec_loss", "kl_loss"))

    log = [step(*batch) for batch in chain.from_iterable(repeat(loader, epochs))]
    return {"rec_loss": [rec for _, rec, _ in log], "kl_loss": [kl for *_, kl in log]}


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
