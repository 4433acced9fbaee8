"""Problem 1, part 1: an auto-encoder for MNIST."""

import math
from functools import partial
from itertools import chain, pairwise, repeat

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset


def mlp(*sizes, end=()):
    layers = chain.from_iterable((nn.ReLU(), nn.Linear(*pair)) for pair in pairwise(sizes))
    return nn.Sequential(*[*layers][1:], *end)


class Encoder(nn.Module):
    def __init__(self, nz: int, input_size: int) -> None:
        super().__init__()
        self.net = mlp(input_size, 256, 64, nz)

    forward = lambda self, x: self.net(x)


class Decoder(nn.Module):
    def __init__(self, nz: int, output_size: int) -> None:
        super().__init__()
        self.flat, self.net, self.unflat = nn.Flatten(), mlp(nz, 64, 256, output_size, end=[nn.Sigmoid()]), nn.Unflatten(1, (1, -1))

    forward = lambda self, z: self.unflat(self.net(self.flat(z)))


make_data_loader = lambda dataset, batch_size=64, num_workers=0: DataLoader(dataset, batch_size, True, num_workers=num_workers, drop_last=True)


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


reconstruction_loss = lambda x_hat, x: F.binary_cross_entropy(x_hat, x.reshape_as(x_hat))


def descend(optimizer, loss):
    optimizer.zero_grad(), loss.backward(), optimizer.step()
    return loss.item()


def train_autoencoder(model, loader, epochs, learning_rate, device="cpu") -> list[float]:
    step = partial(descend, torch.optim.Adam(model.train().parameters(), learning_rate))
    batches = chain.from_iterable(repeat(loader, epochs))
    return [step(reconstruction_loss(model(x := images.to(device).flatten(2)), x)) for images, _ in batches]


@torch.inference_mode()
def sample_images(model, num_samples, nz, device="cpu") -> Tensor:
    return model.decoder(torch.randn(num_samples, nz, device=device)).unflatten(-1, (28, 28))
