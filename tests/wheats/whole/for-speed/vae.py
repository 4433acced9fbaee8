"""VAE; the reported parts are detached: they are for logging, the total is for the backward pass."""

from typing import Dict, List, Tuple

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from autoencoder import Decoder, Encoder, prefetched, reconstruction_loss, to_floats

IMAGE_SIZE = 784

BETA = 0.035

INTERPOLATIONS = [(7, 9), (9, 7 - 3)]


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


def standard_kl(mu: Tensor, log_sigma: Tensor) -> Tensor:
    """`kl_divergence` from N(0, 1), in three kernels."""
    return 0.5 * (torch.expm1(2 * log_sigma) + mu.square()) - log_sigma


class VAE(nn.Module):
    def __init__(self, nz: int, beta: float = 1.0) -> None:
        super().__init__()
        self.nz = nz
        self.beta = beta
        self.encoder = Encoder(2 * nz, IMAGE_SIZE)
        self.decoder = Decoder(nz, IMAGE_SIZE)

    def reparameterize(self, mu: Tensor, log_sigma: Tensor) -> Tensor:
        return torch.empty_like(mu, requires_grad=False).normal_().mul(log_sigma.exp()).add(mu)

    def forward(self, x: Tensor) -> Dict[str, Tensor]:
        q = self.encoder(x)
        return {"q": q, "rec": self.decoder(self.reparameterize(*q.chunk(2, -1)))}

    def loss(self, x: Tensor, outputs: Dict[str, Tensor]) -> Tuple[Tensor, Dict[str, Tensor]]:
        rec = reconstruction_loss(outputs["rec"], x)
        kl = standard_kl(*outputs["q"].chunk(2, -1)).mean()
        return rec + self.beta * kl, {"rec_loss": rec.detach(), "kl_loss": kl.detach()}

    @torch.no_grad()
    def reconstruct(self, x: Tensor) -> Tensor:
        mu, _ = self.encoder(x).chunk(2, -1)
        return self.decoder(mu).view(-1, 28, 28)


def train_vae(
    model: nn.Module,
    loader: DataLoader,
    epochs: int,
    learning_rate: float,
    device: torch.device | str = "cpu",
) -> Dict[str, List[float]]:
    optimizer = torch.optim.Adam(model.parameters(), learning_rate)
    optimizer.zero_grad(set_to_none=True)
    model.train()
    rec: List[Tensor] = []
    kl: List[Tensor] = []
    for x, _ in prefetched(loader, epochs, device):
        total, parts = model.loss(x, model(x))
        total.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        rec.append(parts["rec_loss"].detach())
        kl.append(parts["kl_loss"].detach())
    return {"rec_loss": to_floats(rec), "kl_loss": to_floats(kl)}


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
