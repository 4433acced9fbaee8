"""A VAE is an auto-encoder whose encoder has twice as many outputs, half of which are noise levels."""

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from autoencoder import AutoEncoder, Decoder, Encoder, fit, reconstruction_loss

IMAGE_SIZE = 784

BETA = 0.045

INTERPOLATIONS = [[2, 3], [5, 8]]


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
    """`encode`, which represents an image by one code, returns the mean; `reconstruct` is therefore inherited."""

    def __init__(self, nz: int, beta: float = 1.0) -> None:
        super().__init__(nz, IMAGE_SIZE)
        self.nz = nz
        self.beta = beta
        self.encoder = Encoder(2 * nz, IMAGE_SIZE)  # replaces the plain one

    @property
    def nz2(self) -> slice:
        return slice(self.nz, 2 * self.nz)

    def encode(self, x: Tensor, *context) -> Tensor:
        return super().encode(x, *context)[..., : self.nz]

    def reparameterize(self, mu: Tensor, log_sigma: Tensor) -> Tensor:
        return mu + log_sigma.exp() * torch.randn(mu.shape, dtype=mu.dtype, device=mu.device)

    def sample_and_decode(self, x: Tensor, *context) -> dict[str, Tensor]:
        q = self.encoder(x, *context)
        z = self.reparameterize(q[..., : self.nz], q[..., self.nz2])
        return {"q": q, "rec": self.decode(z, *context)}

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return self.sample_and_decode(x)

    def loss(self, x: Tensor, outputs: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        q = outputs["q"]
        prior = torch.zeros_like(q)  # mean 0, log sigma 0
        kl = kl_divergence(*q.chunk(2, dim=-1), *prior.chunk(2, dim=-1)).mean()
        rec = reconstruction_loss(outputs["rec"], x)
        return rec + self.beta * kl, {"rec_loss": rec, "kl_loss": kl}


def train_vae(
    model: nn.Module,
    loader: DataLoader,
    epochs: int,
    learning_rate: float,
    device: torch.device | str = "cpu",
    context=lambda labels: (),
) -> dict[str, list[float]]:
    """`context`: what else the model receives, from the labels; nothing for a VAE."""

    def objective(x, labels):
        return model.loss(x, model(x, *context(labels)))

    return fit(model, loader, epochs, learning_rate, device, objective, "rec_loss", "kl_loss")


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
