"""Problem 1, part 2: a variational auto-encoder (VAE) for MNIST, on top of the auto-encoder of part 1."""

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from autoencoder import AutoEncoder, Encoder, as_rows, reconstruction_loss

IMAGE_SIZE = 784

# The evidence lower bound sums both terms; the means here divide one by 784 and the other by nz = 32.
BETA = 32 / IMAGE_SIZE

INTERPOLATIONS = [(3, 8), (7, 1)]


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


def halves(q: Tensor) -> tuple[Tensor, Tensor]:
    """(..., 2 nz) -> means (..., nz) and log sigmas (..., nz)."""
    mu, log_sigma = q.unflatten(-1, (2, q.shape[-1] // 2)).unbind(-2)
    return mu, log_sigma


class VAE(AutoEncoder):
    """An auto-encoder whose encoder has twice as many outputs: the mean first and log sigma second."""

    def __init__(self, nz: int, beta: float = 1.0) -> None:
        super().__init__(nz, IMAGE_SIZE)
        self.beta = beta
        self.encoder = Encoder(2 * nz, IMAGE_SIZE)  # in place of the auto-encoder's, which has nz outputs

    def reparameterize(self, mu: Tensor, log_sigma: Tensor) -> Tensor:
        """mu + exp(log_sigma) * eps, as one fused multiply-add."""
        eps = torch.empty_like(mu, requires_grad=False).normal_()
        return torch.addcmul(mu, log_sigma.exp(), eps)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Encode, sample, decode. Besides "q" and "rec" the code itself is handed out, for the histograms."""
        q = self.encoder(x)
        z = self.reparameterize(*halves(q))
        return {"q": q, "rec": self.decoder(z), "z": z.detach()}

    def loss(self, x: Tensor, outputs: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """total = rec_loss + beta * kl_loss, and the two parts."""
        mu, log_sigma = halves(outputs["q"])
        standard = mu.new_zeros(())  # the mean of the prior, and the logarithm of its sigma 1; broadcasts
        parts = {
            "kl_loss": kl_divergence(mu, log_sigma, standard, standard).mean(),
            "rec_loss": reconstruction_loss(outputs["rec"], x),
        }
        return torch.add(parts["rec_loss"], parts["kl_loss"], alpha=self.beta), parts

    def reconstruct(self, x: Tensor) -> Tensor:
        """Decode the mean: (N, 1, 784) -> (N, 28, 28)."""
        with torch.no_grad():
            mu, _ = halves(self.encoder(x))
            return self.decoder(mu).reshape(-1, 28, 28)


def train_vae(
    model: nn.Module,
    loader: DataLoader,
    epochs: int,
    learning_rate: float,
    device: torch.device | str = "cpu",
) -> dict[str, list[float]]:
    """Train a VAE in place, with a closure as in `train_autoencoder`."""
    history: dict[str, list[float]] = {"rec_loss": [], "kl_loss": [], "total": []}
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    model.train()
    for _ in range(epochs):
        for images, _labels in loader:
            rows = as_rows(images.to(device))

            def closure() -> Tensor:
                optimizer.zero_grad()
                total, parts = model.loss(rows, model(rows))
                total.backward()
                for name, values in history.items():
                    values.append((total if name == "total" else parts[name]).item())
                return total

            optimizer.step(closure)
    return history


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
