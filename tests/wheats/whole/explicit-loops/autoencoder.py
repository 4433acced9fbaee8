"""autoencoder.hpp / autoencoder.cpp, transliterated."""

from __future__ import annotations

import enum
import gc
import math
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Subset

HIDDEN_1: Final[int] = 256
HIDDEN_2: Final[int] = 64


class Activation(enum.Enum):
    NONE = enum.auto()
    RELU = enum.auto()
    SIGMOID = enum.auto()


@dataclass
class LayerSpec:
    """struct LayerSpec { int in, out; Activation act; };"""

    n_in: int
    n_out: int
    act: Activation


class Layer(nn.Module):
    """One fully connected layer with explicitly named parameters."""

    def __init__(self, spec: LayerSpec) -> None:
        nn.Module.__init__(self)
        self.spec = spec
        self.W = nn.Parameter(torch.empty(spec.n_out, spec.n_in))
        self.b = nn.Parameter(torch.empty(spec.n_out))
        self.reset()

    def reset(self) -> None:
        bound: float = 1.0 / math.sqrt(self.spec.n_in)
        with torch.no_grad():
            self.W.uniform_(-bound, +bound)
            self.b.uniform_(-bound, +bound)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = torch.matmul(x, self.W.transpose(0, 1)) + self.b
        if self.spec.act is Activation.RELU:
            return torch.maximum(y, torch.zeros_like(y))
        elif self.spec.act is Activation.SIGMOID:
            return 1.0 / (1.0 + torch.exp(-y))
        else:
            return y


class Network(nn.Module):
    def __init__(self, *specs: LayerSpec) -> None:
        nn.Module.__init__(self)
        self.size: int = 0
        for spec in specs:
            setattr(self, f"layer_{self.size}", Layer(spec))
            self.size += 1

    def forward(self, x: Tensor) -> Tensor:
        i: int = 0
        while i < self.size:
            x = getattr(self, f"layer_{i}")(x)
            i += 1
        return x


class Encoder(nn.Module):
    def __init__(self, nz: int, input_size: int) -> None:
        nn.Module.__init__(self)
        self.net = Network(
            LayerSpec(input_size, HIDDEN_1, Activation.RELU),
            LayerSpec(HIDDEN_1, HIDDEN_2, Activation.RELU),
            LayerSpec(HIDDEN_2, nz, Activation.NONE),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class Decoder(nn.Module):
    def __init__(self, nz: int, output_size: int) -> None:
        nn.Module.__init__(self)
        self.output_size: int = output_size
        self.net = Network(
            LayerSpec(nz, HIDDEN_2, Activation.RELU),
            LayerSpec(HIDDEN_2, HIDDEN_1, Activation.RELU),
            LayerSpec(HIDDEN_1, output_size, Activation.SIGMOID),
        )

    def forward(self, z: Tensor) -> Tensor:
        n: int = z.size(0)
        flat: Tensor = z.reshape(n, z.size(z.dim() - 1))
        return self.net(flat).reshape(n, 1, self.output_size)


class ShuffledLoader(DataLoader):
    """class ShuffledLoader : public DataLoader"""

    def __init__(self, dataset: Dataset, batch_size: int, num_workers: int) -> None:
        super().__init__(dataset, batch_size=batch_size, shuffle=True, num_workers=num_workers, drop_last=True)


def make_data_loader(dataset: Dataset, batch_size: int = 64, num_workers: int = 0) -> DataLoader:
    return ShuffledLoader(dataset, batch_size, num_workers)


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
    LOG_MIN: Final[float] = -100.0
    count: int = x_hat.numel()
    p: Tensor = x_hat.reshape(count)
    t: Tensor = x.reshape(count)
    # branch per element, as a select
    floor: Tensor = torch.full_like(p, LOG_MIN)
    is_zero: Tensor = p <= 0
    is_one: Tensor = p >= 1
    safe: Tensor = torch.where(is_zero | is_one, torch.full_like(p, 0.5), p)
    log_p: Tensor = torch.where(is_zero, floor, torch.where(is_one, torch.zeros_like(p), torch.log(safe)))
    log_q: Tensor = torch.where(is_one, floor, torch.where(is_zero, torch.zeros_like(p), torch.log(1.0 - safe)))
    accumulator: Tensor = -(t * log_p + (1.0 - t) * log_q).sum()
    return accumulator / count


class ManualAdam:
    """Algorithm 1 of Kingma and Ba (2015), line by line."""

    def __init__(self, parameters, alpha: float) -> None:
        self.theta: list[Tensor] = [p for p in parameters]
        self.alpha: float = alpha
        self.beta1: float = 0.9
        self.beta2: float = 0.999
        self.eps: float = 1e-8
        self.t: int = 0
        self.m: list[Tensor] = [torch.zeros_like(p) for p in self.theta]
        self.v: list[Tensor] = [torch.zeros_like(p) for p in self.theta]

    def zero(self) -> None:
        for p in self.theta:
            p.grad = None

    @torch.no_grad()
    def step(self) -> None:
        self.t += 1
        c1: float = 1.0 - self.beta1**self.t
        c2: float = 1.0 - self.beta2**self.t
        for i in range(len(self.theta)):
            g = self.theta[i].grad
            if g is None:
                continue
            self.m[i] = self.beta1 * self.m[i] + (1.0 - self.beta1) * g
            self.v[i] = self.beta2 * self.v[i] + (1.0 - self.beta2) * g * g
            self.theta[i] -= self.alpha * (self.m[i] / c1) / (torch.sqrt(self.v[i] / c2) + self.eps)

    def destroy(self) -> None:
        """~ManualAdam()"""
        self.m.clear()
        self.v.clear()
        self.theta.clear()


def train_autoencoder(
    model: nn.Module,
    loader: DataLoader,
    epochs: int,
    learning_rate: float,
    device: torch.device | str = "cpu",
) -> list[float]:
    losses: list[float] = [math.nan] * (epochs * len(loader))  # std::vector<float> losses(epochs * batches);
    optimizer = ManualAdam(model.parameters(), learning_rate)
    model.train()
    index: int = 0
    try:
        for epoch in range(0, epochs, 1):
            iterator = iter(loader)
            for batch in range(0, len(loader), 1):
                images, labels = next(iterator)
                n: int = images.size(0)
                x: Tensor = images.to(device).reshape(n, 1, images.numel() // n)
                loss: Tensor = reconstruction_loss(model(x), x)
                optimizer.zero()
                loss.backward()
                optimizer.step()
                losses[index] = loss.item()
                index += 1
                del images, labels, x, loss
            del iterator
    finally:
        optimizer.destroy()
        del optimizer
        gc.collect()
    return losses


def box_muller(n: int, m: int, like: Tensor) -> Tensor:
    """Two uniform numbers make one normal number."""
    u1: Tensor = 1.0 - torch.rand(n, m, device=like.device, dtype=torch.float64)  # (0, 1]
    u2: Tensor = torch.rand(n, m, device=like.device, dtype=torch.float64)
    return (torch.sqrt(-2.0 * torch.log(u1)) * torch.cos(2.0 * math.pi * u2)).to(like.dtype)


def sample_images(model: nn.Module, num_samples: int, nz: int, device: torch.device | str = "cpu") -> Tensor:
    result: Tensor = torch.empty(num_samples, 1, 28, 28, device=device)
    z: Tensor = box_muller(num_samples, nz, result)
    with torch.no_grad():
        for i in range(num_samples):
            result[i] = model.decoder(z[i : i + 1]).reshape(1, 28, 28)
    return result
