"""Problem 1, part 1: an auto-encoder for MNIST, from hand-made layers."""

import math
import warnings

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import BatchSampler, DataLoader, Dataset, RandomSampler


class Affine(nn.Module):
    """y = x W^T + b, written out. The initialisation is torch's own: U(-k, k) with k = 1 / sqrt(inputs)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs))
        self.bias = nn.Parameter(torch.empty(outputs))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        k = 1 / math.sqrt(self.weight.shape[1])
        for parameter in (self.weight, self.bias):
            nn.init.uniform_(parameter, -k, k)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        return " -> ".join(str(n) for n in reversed(self.weight.shape))


class Rectifier(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x)


class Squash(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(x)


class PixelEntropy(torch.autograd.Function):
    """Binary cross-entropy of every pixel, with its derivative worked out on paper.

    The logarithms stop at -100, and the denominator of the derivative at 1e-12, as in torch.
    """

    @staticmethod
    def forward(ctx, p: Tensor, t: Tensor) -> Tensor:
        ctx.save_for_backward(p, t)
        log_p = torch.log(p).clamp(min=-100)
        log_not_p = torch.log1p(-p).clamp(min=-100)
        return -(t * log_p + (1 - t) * log_not_p)

    @staticmethod
    def backward(ctx, upstream: Tensor):
        p, t = ctx.saved_tensors
        to_p = to_t = None
        if ctx.needs_input_grad[0]:
            to_p = upstream * (p - t) / (p * (1 - p)).clamp(min=1e-12)
        if ctx.needs_input_grad[1]:
            to_t = upstream * (torch.log1p(-p).clamp(min=-100) - torch.log(p).clamp(min=-100))
        return to_p, to_t


class Encoder(nn.Module):
    """Maps a flattened image to a code: three affine layers, a rectifier after the first two."""

    def __init__(self, nz: int, input_size: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            Affine(input_size, 256),
            Rectifier(),
            Affine(256, 64),
            Rectifier(),
            Affine(64, nz),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class Decoder(nn.Module):
    """Maps a code to a flattened image. The layers find out their input sizes from one blank code."""

    def __init__(self, nz: int, output_size: int) -> None:
        super().__init__()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "Lazy modules are a new feature ..."
            self.net = nn.Sequential(
                nn.LazyLinear(64),
                Rectifier(),
                nn.LazyLinear(256),
                Rectifier(),
                nn.LazyLinear(output_size),
                Squash(),
            )
        with torch.no_grad():
            self.net(torch.zeros(1, nz))  # from here on they are ordinary nn.Linear layers

    def forward(self, z: Tensor) -> Tensor:
        pixels = self.net(z)
        return pixels.reshape(len(z), 1, pixels.shape[-1])


def make_data_loader(dataset: Dataset, batch_size: int = 64, num_workers: int = 0) -> DataLoader:
    """Batches of shuffled indices, whole batches only."""
    index_batches = BatchSampler(RandomSampler(dataset), batch_size, drop_last=True)
    return DataLoader(dataset, batch_sampler=index_batches, num_workers=num_workers)


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


def reconstruction_loss(x_hat: Tensor, x: Tensor) -> Tensor:
    """Binary cross-entropy, prediction first, mean over every element."""
    per_pixel = PixelEntropy.apply(x_hat, x.reshape_as(x_hat))
    return per_pixel.mean()


def as_rows(images: Tensor) -> Tensor:
    """(N, anything) -> (N, 1, pixels)."""
    return images.reshape(images.shape[0], 1, -1)


def train_autoencoder(
    model: nn.Module,
    loader: DataLoader,
    epochs: int,
    learning_rate: float,
    device: torch.device | str = "cpu",
) -> list[float]:
    """Train an auto-encoder in place; the optimiser evaluates the loss itself, through a closure."""
    history: list[float] = []
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    model.train()
    for _ in range(epochs):
        for images, _labels in loader:
            rows = as_rows(images.to(device))

            def closure() -> Tensor:
                optimizer.zero_grad()
                loss = reconstruction_loss(model(rows), rows)
                loss.backward()
                history.append(loss.item())
                return loss

            optimizer.step(closure)
    return history


def sample_images(model: nn.Module, num_samples: int, nz: int, device: torch.device | str = "cpu") -> Tensor:
    """Decode codes from N(0, I)."""
    codes = torch.empty(num_samples, nz, device=device).normal_()
    with torch.no_grad():
        flat = model.decoder(codes)
    side = math.isqrt(flat.shape[-1])
    return flat.reshape(num_samples, 1, side, side)
