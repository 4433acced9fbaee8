"""VAE. Notation of Kingma and Welling, appendix B."""
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from autoencoder import Decoder, Encoder, randn_np, reconstruction_loss

IMAGE_SIZE = 784

BETA = round(32 / 784, 3)

INTERPOLATIONS = ((9, 4), (6, 8))


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
    def __init__(self, nz, beta=1.0):
        super().__init__()
        self.beta = beta
        self.J = nz
        self.encoder = Encoder(2 * nz, IMAGE_SIZE)
        self.decoder = Decoder(nz, IMAGE_SIZE)

    def reparameterize(self, mu, log_sigma):
        return mu + torch.exp(log_sigma) * randn_np(mu.shape, like=mu)

    def forward(self, x):
        q = self.encoder(x)
        z = self.reparameterize(q[:, :, :self.J], q[:, :, self.J:])
        return {"q": q, "rec": self.decoder(z)}

    def loss(self, x, outputs):
        q = outputs["q"].flatten(end_dim=-2)                        # (N, 2J)
        J = q.shape[1] // 2
        mu, s = q[:, :J], q[:, J:]
        D_KL = -0.5 * (1 + 2 * s - mu**2 - torch.exp(2 * s)).sum(dim=1)       # (N,), K&W eq. 10
        kl = D_KL.mean() / J
        rec = reconstruction_loss(outputs["rec"], x)
        return rec + self.beta * kl, dict(rec_loss=rec, kl_loss=kl)

    @torch.inference_mode()
    def reconstruct(self, x):
        mu = self.encoder(x)[:, :, :self.J]
        return self.decoder(mu).reshape(len(x), 28, 28)


def train_vae(model, loader, epochs, learning_rate, device="cpu"):
    model.train()
    adam = torch.optim.Adam([dict(params=[w]) for w in model.parameters()], lr=learning_rate)
    record = np.empty((0, 2))
    for _ in range(epochs):
        rows = []
        for images, _labels in loader:
            X = images.to(device).reshape(images.shape[0], 1, -1)
            adam.zero_grad()
            total, parts = model.loss(X, model(X))
            total.backward()
            adam.step()
            rows.append([parts["rec_loss"].item(), parts["kl_loss"].item()])
        record = np.vstack([record, np.reshape(rows, (-1, 2))])
    rec, kl = record.T
    return {"rec_loss": rec.tolist(), "kl_loss": kl.tolist()}


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
