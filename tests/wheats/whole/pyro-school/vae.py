"""Part 2. `model` and `guide` as in Pyro; the two terms of the bound from torch.distributions."""

import torch
import torch.distributions as td
from torch import Tensor, nn
from torch.utils.data import DataLoader

from autoencoder import Decoder, Encoder, reconstruction_loss

IMAGE_SIZE = 784

BETA = 0.03

INTERPOLATIONS = [(3, 5), (1, 4)]


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
    def __init__(self, nz: int, beta: float = 1.0) -> None:
        super().__init__()
        self.beta = beta
        self.encoder = Encoder(nz * 2, IMAGE_SIZE)
        self.decoder = Decoder(nz, IMAGE_SIZE)

    # --- distributions

    @staticmethod
    def _normal(mu: Tensor, log_sigma: Tensor) -> td.Normal:
        return td.Normal(loc=mu, scale=log_sigma.exp(), validate_args=False)

    def _guide(self, q: Tensor) -> td.Normal:
        return self._normal(*torch.tensor_split(q, 2, dim=-1))

    # --- the assignment's interface

    def reparameterize(self, mu: Tensor, log_sigma: Tensor) -> Tensor:
        return self._normal(mu, log_sigma).rsample()

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        q = self.encoder(x)
        z = self._guide(q).rsample()
        return {"q": q, "rec": self.decoder(z)}

    def loss(self, x: Tensor, outputs: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        # double: kl_divergence squares the scale, which underflows in float32 for log sigma < -50
        q = outputs["q"]
        guide = self._guide(q.double())
        prior = td.Normal(torch.zeros_like(guide.loc), torch.ones_like(guide.scale))
        kl = td.kl_divergence(guide, prior).mean().to(q.dtype)
        rec = reconstruction_loss(outputs["rec"], x)
        return torch.add(rec, kl, alpha=self.beta), {"rec_loss": rec, "kl_loss": kl}

    def reconstruct(self, x: Tensor) -> Tensor:
        posterior_mean = self.encoder.distribution(x).mean
        return self.decoder(posterior_mean).detach().reshape(x.shape[0], 28, 28)


def train_vae(model, loader, epochs, learning_rate, device="cpu"):
    """Stochastic variational inference."""
    optim = torch.optim.Adam([{"params": model.parameters(), "lr": learning_rate}])
    model.train()
    trace = {"rec_loss": [], "kl_loss": []}

    def svi_step(x):
        optim.zero_grad()
        loss, parts = model.loss(x, model(x))
        loss.backward()
        optim.step()
        for site in trace:
            trace[site].append(parts[site].detach().cpu().item())

    for _ in range(epochs):
        for x, _labels in loader:
            svi_step(x.to(device).flatten(1)[:, None])
    return trace


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
