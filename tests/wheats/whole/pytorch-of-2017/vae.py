from __future__ import print_function

import torch
import torch.nn as nn
import torch.optim as optim
from torch import Tensor
from torch.autograd import Variable
from torch.utils.data import DataLoader

from autoencoder import Decoder, Encoder, reconstruction_loss

IMAGE_SIZE = 784

BETA = 0.04

INTERPOLATIONS = [(1, 7), (3, 8)]


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
        super(VAE, self).__init__()
        self.nz = nz
        self.beta = beta
        self.encoder = Encoder(2 * nz, IMAGE_SIZE)
        self.decoder = Decoder(nz, IMAGE_SIZE)

    def encode(self, x):
        h = self.encoder(x)
        return h, h[:, :, :self.nz], h[:, :, self.nz:]

    def reparameterize(self, mu, log_sigma):
        std = torch.exp(log_sigma)
        eps = Variable(std.data.new(std.size()).normal_())
        return eps.mul(std).add_(mu)

    def forward(self, x):
        q, mu, log_sigma = self.encode(x)
        z = self.reparameterize(mu, log_sigma)
        rec = self.decoder(z)
        return dict(q=q, rec=rec)

    def loss(self, x, outputs):
        BCE = reconstruction_loss(outputs['rec'], x)
        # see Appendix B from VAE paper, 0.5 * sum(1 + log(sigma^2) - mu^2 - sigma^2)
        nz = outputs['q'].size(-1) // 2
        mu = outputs['q'].narrow(-1, 0, nz)
        logvar = outputs['q'].narrow(-1, nz, nz) * 2
        KLD_element = mu.pow(2).add_(logvar.exp()).mul_(-1).add_(1).add_(logvar)
        KLD = torch.sum(KLD_element).mul_(-0.5)
        KLD = KLD / KLD_element.numel()
        return BCE + self.beta * KLD, {'rec_loss': BCE, 'kl_loss': KLD}

    def reconstruct(self, x):
        _, mu, _ = self.encode(x)
        return self.decoder(mu).data.view(x.size(0), 28, 28)


def train_vae(model, loader, epochs, learning_rate, device="cpu"):
    optimizer = optim.Adam(model.parameters(), lr=learning_rate)
    rec_losses, kl_losses = [], []
    for epoch in range(epochs):
        model.train()
        for batch_idx, (data, _) in enumerate(loader):
            data = Variable(data.to(device))
            data = data.contiguous().view(data.size(0), 1, IMAGE_SIZE)
            model.zero_grad()
            outputs = model(data)
            loss, parts = model.loss(data, outputs)
            loss.backward()
            optimizer.step()
            rec_losses.append(parts['rec_loss'].data.item())
            kl_losses.append(parts['kl_loss'].data.item())
    return {'rec_loss': rec_losses, 'kl_loss': kl_losses}


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
