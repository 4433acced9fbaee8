"""VAE, functional flavour; see autoencoder.py for the conventions."""

import torch
from torch import Tensor, nn
from torch.func import vmap
from torch.utils.data import DataLoader

import autoencoder as ae
from autoencoder import Decoder, Encoder, reconstruction_loss

IMAGE_SIZE = 784

BETA = 0.05

INTERPOLATIONS = [(5, 6), (2, 7)]


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


def _kl_one(q: Tensor) -> Tensor:
    """KL of one image's posterior from N(0, I), the mean over its dimensions: (2 nz,) -> ()"""
    nz = q.shape[0] // 2
    return vmap(lambda m, s: kl_divergence(m, s, torch.zeros_like(m), torch.zeros_like(s)))(q[:nz], q[nz:]).mean()


def elbo_terms(beta: float, x: Tensor, q: Tensor, rec: Tensor):
    rec_loss = reconstruction_loss(rec, x)
    kl_loss = vmap(_kl_one)(q.flatten(0, -2)).mean()
    return rec_loss + beta * kl_loss, {"rec_loss": rec_loss, "kl_loss": kl_loss}


def gaussian(key: torch.Generator, mu: Tensor, log_sigma: Tensor) -> Tensor:
    return mu + torch.exp(log_sigma) * ae.random_normal(key, mu.shape, mu.dtype, mu.device)


class VAE(nn.Module):
    def __init__(self, nz: int, beta: float = 1.0) -> None:
        super().__init__()
        self.nz, self.beta = nz, beta
        self.encoder, self.decoder = Encoder(2 * nz, IMAGE_SIZE), Decoder(nz, IMAGE_SIZE)

    def reparameterize(self, mu: Tensor, log_sigma: Tensor, key: torch.Generator | None = None) -> Tensor:
        return gaussian(key or ae.new_key(), mu, log_sigma)

    def forward(self, x: Tensor, key: torch.Generator | None = None) -> dict[str, Tensor]:
        q = self.encoder(x)
        return {"q": q, "rec": self.decoder(self.reparameterize(q[..., : self.nz], q[..., self.nz :], key))}

    def loss(self, x: Tensor, outputs: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        return elbo_terms(self.beta, x, outputs["q"], outputs["rec"])

    def reconstruct(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            return self.decoder(self.encoder(x)[..., : self.nz]).reshape(len(x), 28, 28)


def train_vae(
    model: nn.Module,
    loader: DataLoader,
    epochs: int,
    learning_rate: float,
    device: torch.device | str = "cpu",
) -> dict[str, list[float]]:
    model.train()

    def step(optimizer, batch):
        x, _ = batch
        total, parts = model.loss(x, model(x))
        ae.apply_gradients(optimizer, total)
        return optimizer, (parts["rec_loss"].item(), parts["kl_loss"].item())

    optimizer = torch.optim.Adam(model.parameters(), learning_rate)
    _, metrics = ae.scan(step, optimizer, ae.stream(loader, epochs, device))
    return {"rec_loss": [rec for rec, _ in metrics], "kl_loss": [kl for _, kl in metrics]}


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
