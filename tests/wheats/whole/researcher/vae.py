"""Problem 1, part 2: a variational auto-encoder (VAE) for MNIST."""

import logging
import sys
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.distributions import Normal
from torch.utils.data import DataLoader
from tqdm import tqdm

from autoencoder import EMA, AverageMeter, Decoder, Encoder, check_finite, grad_norm, reconstruction_loss

logger = logging.getLogger(__name__)

IMAGE_SIZE = 784

BETA = 5e-2

INTERPOLATIONS = [(3, 8), (0, 6)]


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
    """Gaussian encoder, Bernoulli decoder."""

    def __init__(self, nz: int, beta: float = 1.0) -> None:
        super().__init__()
        self.nz = nz
        self.beta = beta
        self.encoder = Encoder(nz=2 * nz, input_size=IMAGE_SIZE)
        self.decoder = Decoder(nz=nz, output_size=IMAGE_SIZE)

    def reparameterize(self, mu: Tensor, log_sigma: Tensor) -> Tensor:
        # validate_args would reject a sigma that underflows to 0
        return Normal(loc=mu, scale=log_sigma.exp(), validate_args=False).rsample()

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        q = self.encoder(x)
        z = self.reparameterize(*q.chunk(2, dim=-1))
        return dict(rec=self.decoder(z), q=q, z=z)

    def loss(self, x: Tensor, outputs: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        mu, log_sigma = outputs["q"].chunk(2, dim=-1)
        zeros = torch.zeros_like(mu)
        kl = kl_divergence(mu, log_sigma, zeros, zeros)
        kl_per_dim = kl.flatten(0, -2).mean(dim=0)  # (nz,): collapsed dimensions are near 0
        self._active_units = int((kl_per_dim.detach() > 0.01).sum())

        rec_loss = reconstruction_loss(outputs["rec"], x)
        kl_loss = kl_per_dim.mean()
        total = rec_loss + self.beta * kl_loss
        return total, {"rec_loss": rec_loss.detach(), "kl_loss": kl_loss.detach()}

    @torch.no_grad()
    def reconstruct(self, x: Tensor) -> Tensor:
        was_training = self.training
        self.eval()
        mu, _ = self.encoder(x).chunk(2, dim=-1)
        x_hat = self.decoder(mu)
        self.train(was_training)
        return x_hat.reshape(-1, 28, 28)


def fit(
    model: nn.Module,
    loader: DataLoader,
    epochs: int,
    learning_rate: float,
    forward_fn: Callable[[list[Tensor]], tuple[Tensor, dict[str, Tensor]]],
    desc: str,
) -> dict[str, list[float]]:
    """Generic training loop. `forward_fn` maps a batch to the total loss and its named parts."""
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    ema = EMA(model)
    history: dict[str, list[float]] = {"rec_loss": [], "kl_loss": []}
    meters = {name: AverageMeter(name) for name in (*history, "grad_norm")}
    model.train()
    optimizer.zero_grad()

    for epoch in range(epochs):
        for meter in meters.values():
            meter.reset()
        for step, batch in enumerate(tqdm(loader, desc=f"{desc} {epoch}", leave=False, disable=not sys.stderr.isatty())):
            parts: dict[str, Tensor] = {}

            def closure() -> Tensor:
                total, named = forward_fn(batch)
                check_finite(total, step)
                total.backward()
                parts.update(named)
                meters["grad_norm"].update(grad_norm(model))
                return total

            optimizer.step(closure)
            optimizer.zero_grad()  # for the next iteration
            ema.update(model)
            for name, values in history.items():
                meters[name].update(parts[name].item())
                values.append(meters[name].val)
        logger.info("%s epoch %d: %s", desc, epoch, ", ".join(map(str, meters.values())))
    return history


def train_vae(
    model: nn.Module,
    loader: DataLoader,
    epochs: int,
    learning_rate: float,
    device: torch.device | str = "cpu",
) -> dict[str, list[float]]:
    def forward_fn(batch: list[Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        x = batch[0].to(device, non_blocking=True).reshape(-1, 1, IMAGE_SIZE)
        return model.loss(x, model(x))

    return fit(model, loader, epochs, learning_rate, forward_fn, "[VAE]")


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
