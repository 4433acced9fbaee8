"""Problem 1, part 2. See `Trainer` and `Task` in autoencoder.py."""

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from autoencoder import Decoder, Encoder, Task, fit_and_report, reconstruction_loss

IMAGE_SIZE = 784

BETA = 4e-2

INTERPOLATIONS = list(zip((0, 2), (1, 3)))


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


class Sampling(nn.Module):
    """The layer of the Keras example: (mu, log_sigma) -> z."""

    def forward(self, inputs):
        mu, log_sigma = inputs
        epsilon = torch.normal(mean=torch.zeros_like(mu), std=torch.ones_like(mu))
        return mu + torch.exp(log_sigma) * epsilon


class KLRegularizer(nn.Module):
    """(mu, log_sigma) -> the mean KL from N(0, I)."""

    def forward(self, mu, log_sigma):
        zero = torch.zeros((), device=mu.device, dtype=mu.dtype)  # broadcasts; log 1 = 0
        return kl_divergence(mu, log_sigma, zero, zero).mean(dim=-1).mean()


class VAE(nn.Module):
    def __init__(self, nz: int, beta: float = 1.0) -> None:
        super().__init__()
        self.nz = nz
        self.beta = beta
        self.encoder = Encoder(2 * nz, IMAGE_SIZE)
        self.sampling = Sampling()
        self.regularizer = KLRegularizer()
        self.decoder = Decoder(nz, IMAGE_SIZE)

    def reparameterize(self, mu: Tensor, log_sigma: Tensor) -> Tensor:
        return self.sampling((mu, log_sigma))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        q = self.encoder(x)
        z = self.sampling(torch.split(q, self.nz, dim=-1))
        return {"q": q, "rec": self.decoder(z)}

    def loss(self, x: Tensor, outputs: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        losses = {
            "rec_loss": reconstruction_loss(outputs["rec"], x),
            "kl_loss": self.regularizer(*outputs["q"].split(outputs["q"].shape[-1] // 2, dim=-1)),
        }
        weights = {"rec_loss": 1.0, "kl_loss": self.beta}
        return sum(weights[name] * losses[name] for name in losses), losses

    def predict(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            return self.decoder(self.encoder(x)[..., : self.nz])

    def reconstruct(self, x: Tensor) -> Tensor:
        return self.predict(x).view(-1, 28, 28)


class VAETask(Task):
    def predict(self, batch):
        x, _ = batch
        return self.model(x)

    def training_step(self, batch):
        return self.model.loss(batch[0], self.predict(batch))


def train_vae(
    model: nn.Module,
    loader: DataLoader,
    epochs: int,
    learning_rate: float,
    device: torch.device | str = "cpu",
) -> dict[str, list[float]]:
    metrics = fit_and_report(VAETask(model, learning_rate), loader, epochs, device)
    return {key: metrics[key] for key in ("rec_loss", "kl_loss")}


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
