import copy
import json
import os
import tempfile

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from autoencoder import Decoder, Encoder, reconstruction_loss, undisturbed

IMAGE_SIZE = 784
import numpy as np

BETA = np.float64(0.05)
INTERPOLATIONS = [(7, 1), (3, 8)]


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
        self.nz = nz
        self.beta = beta
        self.encoder = Encoder(nz * 2, IMAGE_SIZE)
        self.decoder = Decoder(nz, IMAGE_SIZE)

    @staticmethod
    def reparameterize(mu, log_sigma):
        noise = torch.stack([torch.randn_like(row) for row in mu]) if mu.ndim and len(mu) else torch.randn_like(mu)
        return mu + torch.exp(log_sigma) * noise

    def encode(self, x):
        q = self.encoder(x)
        mu, log_sigma = torch.chunk(q, 2, -1)
        return q, mu, log_sigma

    def forward(self, x):
        q, mu, log_sigma = self.encode(x)
        return {"rec": self.decoder(self.reparameterize(mu, log_sigma)), "q": q}

    def loss(self, x, outputs):
        outputs = dict(outputs)
        q, rec = outputs.pop("q"), outputs.pop("rec")
        mu, log_sigma = q.chunk(2, dim=-1)
        parts = {}
        parts["kl_loss"] = kl_divergence(mu, log_sigma, torch.zeros_like(mu), torch.zeros_like(log_sigma)).sum(-1).mean() / mu.shape[-1]
        parts["rec_loss"] = reconstruction_loss(rec, x)
        return parts["rec_loss"] + parts["kl_loss"] * self.beta, parts

    def reconstruct(self, x):
        with undisturbed(self):
            _, mu, _ = self.encode(x.detach())
            return torch.stack([self.decoder(m.reshape(1, 1, -1)).detach().reshape(28, 28) for m in mu])


def train_vae(model, loader, epochs, learning_rate, device="cpu"):
    optimizer = torch.optim.Adam(list(model.parameters()), lr=learning_rate)
    rec, kl = [], []
    before = copy.deepcopy(model.state_dict())  # a safety net
    model.train()
    with tempfile.TemporaryFile("w+") as journal:
        for epoch in range(epochs):
            for x, _ in loader:
                x = x.to(device).flatten(1).unsqueeze(1)
                optimizer.zero_grad()
                sums = [0.0, 0.0]
                for piece in x.tensor_split(2):
                    weight = len(piece) / len(x)
                    loss, parts = model.loss(piece, model(piece))
                    (weight * loss).backward()
                    sums[0] += weight * parts["rec_loss"].item()
                    sums[1] += weight * parts["kl_loss"].item()
                optimizer.step()
                rec.append(sums[0])
                kl.append(sums[1])
                json.dump([epoch, rec[-1], kl[-1]], journal)
    return dict(rec_loss=rec, kl_loss=kl)


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
