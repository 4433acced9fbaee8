"""Problem 1, part 2: a variational auto-encoder (VAE) for MNIST, as generators."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from autoencoder import Decoder, Encoder, columns, epoch_after_epoch, reconstruction_loss, training_run

IMAGE_SIZE = 784

BETA = 0.06

INTERPOLATIONS = [[2, 7], [0, 6]]


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


class VAE(nn.Module):
    """A variational auto-encoder for images of 784 pixels.

    Attributes: beta, the weight of the KL term; encoder, with 2 nz outputs; decoder.
    """

    def __init__(self, nz: int, beta: float = 1.0) -> None:
        super().__init__()
        self.beta = beta
        self.encoder = Encoder(2 * nz, IMAGE_SIZE)
        self.decoder = Decoder(nz, IMAGE_SIZE)

    def reparameterize(self, mu: Tensor, log_sigma: Tensor) -> Tensor:
        """z = mu + exp(log_sigma) * eps, with a new eps for every element."""
        return mu + torch.randn_like(mu) * log_sigma.exp()

    def stages(self, x: Tensor) -> Iterator[tuple[str, Tensor]]:
        """Everything that happens on the way from x to its reconstruction, in this order."""
        q = self.encoder(x)
        yield "q", q
        mu, log_sigma = q.chunk(2, dim=-1)
        z = self.reparameterize(mu, log_sigma)
        yield "z", z
        yield "rec", self.decoder(z)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """{"q": (N, 1, 2 nz), "z": (N, 1, nz), "rec": (N, 1, 784)}"""
        return dict(self.stages(x))

    def terms(self, x: Tensor, outputs: dict[str, Tensor]) -> Iterator[tuple[str, float, Tensor]]:
        """Yield (name, weight, value) of every term of the loss."""
        yield "rec_loss", 1.0, reconstruction_loss(outputs["rec"], x)
        mu, log_sigma = outputs["q"].chunk(2, dim=-1)
        nothing = torch.zeros_like(mu)  # the prior's mean, and the logarithm of its sigma
        yield "kl_loss", self.beta, kl_divergence(mu, log_sigma, nothing, nothing).mean()

    def loss(self, x: Tensor, outputs: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """rec_loss + beta * kl_loss with its graph, and both terms without."""
        total, parts = 0.0, {}
        for name, weight, value in self.terms(x, outputs):
            total = total + weight * value
            parts[name] = value.detach()
        return total, parts

    @torch.inference_mode()
    def reconstruct(self, x: Tensor) -> Tensor:
        """Decode the posterior mean: (N, 28, 28), with no graph attached."""
        _, q = next(self.stages(x))  # only the first stage runs: nothing is sampled
        mu, _ = q.chunk(2, dim=-1)
        return self.decoder(mu).reshape(len(x), 28, 28)


def train_vae(
    model: nn.Module,
    loader: DataLoader,
    epochs: int,
    learning_rate: float,
    device: torch.device | str = "cpu",
) -> dict[str, list[float]]:
    """Train a VAE in place: {"rec_loss": [...], "kl_loss": [...]}, one float per iteration."""

    def objective(x: Tensor, _: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        return model.loss(x, model(x))

    batches = epoch_after_epoch(loader, epochs, device)
    return columns(training_run(model, objective, batches, learning_rate), "rec_loss", "kl_loss")


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
