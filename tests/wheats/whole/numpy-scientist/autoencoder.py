"""Auto-encoder. Matrices are (rows = images, columns = pixels) inside; the middle axis exists at the borders only."""
import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

RNG = np.random.default_rng()      # one stream for the program, seeded by the operating system


def randn_np(shape, like=None, device="cpu", dtype=torch.float32):
    """Standard normal numbers from NumPy, as a tensor."""
    if like is not None:
        device, dtype = like.device, like.dtype
    values = RNG.standard_normal(size=tuple(shape))
    return torch.as_tensor(values, dtype=dtype).to(device)


def affine(layer, a):
    return torch.addmm(layer.bias, a, layer.weight.T)


class Encoder(nn.Module):
    def __init__(self, nz, input_size):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(input_size, 256), nn.ReLU(), nn.Linear(256, 64), nn.ReLU(), nn.Linear(64, nz))
        with torch.no_grad():      # weights by hand: He 2015, zero biases
            for k in (0, 2, 4):
                fan_in = self.net[k].in_features
                self.net[k].weight.copy_(randn_np(self.net[k].weight.shape) * np.sqrt(1.0 / fan_in))
                self.net[k].bias.fill_(0)

    def forward(self, x):
        *leading, d = x.shape
        a = x.reshape(math.prod(leading), d)
        a = affine(self.net[0], a).relu_()
        a = affine(self.net[2], a).relu_()
        a = affine(self.net[4], a)
        return a.reshape(*leading, a.shape[1])


class Decoder(nn.Module):
    def __init__(self, nz, output_size):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(nz, 64), nn.ReLU(), nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, output_size), nn.Sigmoid())

    def forward(self, z):
        a = z.reshape(z.shape[0], z.shape[-1])
        a = affine(self.net[0], a).relu_()
        a = affine(self.net[2], a).relu_()
        a = affine(self.net[4], a)
        return torch.sigmoid(a)[:, np.newaxis, :]


class ShuffledBatches:
    """A batch sampler: lists of indices, from a NumPy permutation that is new in every epoch."""

    def __init__(self, n, batch_size):
        self.n, self.batch_size = n, batch_size

    def __len__(self):
        return self.n // self.batch_size

    def __iter__(self):
        order = RNG.permutation(self.n)[: len(self) * self.batch_size]
        for rows in order.reshape(len(self), self.batch_size):
            yield rows.tolist()


def make_data_loader(dataset, batch_size=64, num_workers=0):
    return DataLoader(dataset, batch_sampler=ShuffledBatches(len(dataset), batch_size), num_workers=num_workers)


class AutoEncoder(nn.Module):
    """An encoder followed by a decoder (given).

    Args:
        nz: length of a code.
        image_size: number of pixels of a square image.

    Example:
        >>> AutoEncoder(nz=32)(torch.rand(5, 1, 784)).shape
        torch.Size([5, 1, 784])
    """

    def __init__(self, nz: int, image_size: int = 784) -> None:
        super().__init__()
        self.encoder = Encoder(nz, image_size)
        self.decoder = Decoder(nz, image_size)

    def forward(self, x: Tensor) -> Tensor:
        """Encode and decode flattened images: (N, 1, image_size) -> (N, 1, image_size)."""
        return self.decoder(self.encoder(x))

    @torch.no_grad()
    def reconstruct(self, x: Tensor) -> Tensor:
        """Encode and decode, for display: (N, 1, 784) -> (N, 28, 28), with no graph attached."""
        x_hat = self(x)
        side = math.isqrt(x_hat.shape[-1])
        return x_hat.reshape(len(x), side, side)


def reconstruction_loss(x_hat, x):
    """-[x log x^ + (1 - x) log(1 - x^)], where log 0 is replaced by the log of the smallest normal number."""
    p = x_hat.reshape(len(x_hat), -1)
    t = x.reshape(len(x_hat), -1)
    tiny = torch.finfo(p.dtype).tiny
    log_p = torch.log(torch.clamp(p, min=tiny))
    log_1mp = torch.log(torch.clamp(1 - p, min=tiny))
    return -(t * log_p + (1 - t) * log_1mp).sum() / p.numel()


def train_autoencoder(model, loader, epochs, learning_rate, device="cpu"):
    model.train()
    # one group per tensor, one optimiser
    adam = torch.optim.Adam([dict(params=[w]) for w in model.parameters()], lr=learning_rate)
    J = np.full((epochs, len(loader)), np.nan)
    for e in range(epochs):
        for b, (images, _) in enumerate(loader):
            X = images.to(device).reshape(images.shape[0], 1, -1)
            adam.zero_grad()
            j = reconstruction_loss(model(X), X)
            j.backward()
            adam.step()
            J[e, b] = j.item()
    return J.ravel().tolist()


@torch.inference_mode()
def sample_images(model, num_samples, nz, device="cpu"):
    Z = randn_np((num_samples, nz), device=device)
    return model.decoder(Z).reshape(num_samples, 1, 28, 28)
