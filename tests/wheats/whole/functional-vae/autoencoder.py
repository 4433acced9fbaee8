"""Auto-encoder, written by someone who thinks in pure functions (JAX / Flax background).

Conventions
-----------
* a network is a list of layers that is folded over its input (`Stack`);
* losses are written for ONE example and lifted to a batch with `vmap`;
* a training run is a `scan` of a step function over a stream of batches;
* random numbers need a key. A key is a freshly seeded torch.Generator; its seed is drawn from torch's global
  generator, so that `torch.manual_seed` still makes everything repeatable.
"""

import functools
import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.utils.data import DataLoader, Dataset


def new_key() -> torch.Generator:
    seed = int(torch.randint(2**62, ()))
    return torch.Generator().manual_seed(seed)


def random_normal(key: torch.Generator, shape, dtype=torch.float32, device="cpu") -> Tensor:
    return torch.randn(tuple(shape), generator=key, dtype=dtype).to(device)


def scan(step, state, stream):
    """jax.lax.scan, more or less."""
    collected = []
    for item in stream:
        state, y = step(state, item)
        collected.append(y)
    return state, collected


class Dense(nn.Linear):
    """flax.linen.Dense: LeCun normal kernel, zero bias, contraction over the last axis."""

    def reset_parameters(self) -> None:
        nn.init.normal_(self.weight, 0.0, self.in_features**-0.5)
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        return torch.einsum("...i,oi->...o", x, self.weight) + self.bias


class Stack(nn.ModuleList):
    """A list of layers that is also a function; a slice of it is one as well."""

    def forward(self, x: Tensor) -> Tensor:
        return functools.reduce(lambda h, layer: layer(h), self, x)


class Encoder(nn.Module):
    def __init__(self, nz: int, input_size: int) -> None:
        super().__init__()
        self.net = Stack([Dense(input_size, 256), nn.ReLU(), Dense(256, 64), nn.ReLU(), Dense(64, nz)])

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class Decoder(nn.Module):
    def __init__(self, nz: int, output_size: int) -> None:
        super().__init__()
        self.net = Stack(
            [Dense(nz, 64), nn.ReLU(), Dense(64, 256), nn.ReLU(), Dense(256, output_size), nn.Sigmoid()]
        )

    def forward(self, z: Tensor) -> Tensor:
        n, nz = z.shape[0], z.shape[-1]
        return self.net(z.reshape(n, 1, nz))


def make_data_loader(dataset: Dataset, batch_size: int = 64, num_workers: int = 0) -> DataLoader:
    # The order has a key of its own.
    return DataLoader(
        dataset, batch_size, shuffle=True, num_workers=num_workers, drop_last=True, generator=new_key()
    )


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


def _bernoulli_nll(x_hat: Tensor, x: Tensor) -> Tensor:
    """One image: (D,), (D,) -> ()"""
    return F.binary_cross_entropy(x_hat, x)


def reconstruction_loss(x_hat: Tensor, x: Tensor) -> Tensor:
    n = x_hat.shape[0]
    pixels = x_hat.shape[-1]
    per_image = vmap(_bernoulli_nll)(x_hat.reshape(n, pixels), x.reshape(n, pixels))
    return per_image.mean()


def stream(loader, epochs: int, device):
    """(x, labels) for every iteration of every epoch."""
    everything = itertools.chain.from_iterable(itertools.repeat(loader, epochs))
    return ((images.to(device).reshape(-1, 1, 784), labels) for images, labels in everything)


def apply_gradients(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    """grad -> update, without .backward() and hence without accumulation."""
    params = [p for group in optimizer.param_groups for p in group["params"]]
    for p in params:
        p.grad = None
    wanted = [p for p in params if p.requires_grad]
    for p, g in zip(wanted, torch.autograd.grad(loss, wanted, allow_unused=True)):
        p.grad = g
    optimizer.step()


def train_autoencoder(
    model: nn.Module,
    loader: DataLoader,
    epochs: int,
    learning_rate: float,
    device: torch.device | str = "cpu",
) -> list[float]:
    model.train()
    params = dict(model.named_parameters())

    def step(optimizer, batch):
        x, _ = batch
        loss = reconstruction_loss(functional_call(model, params, (x,)), x)
        apply_gradients(optimizer, loss)
        return optimizer, loss.item()

    _, losses = scan(step, torch.optim.Adam(params.values(), learning_rate), stream(loader, epochs, device))
    return losses


def sample_images(model: nn.Module, num_samples: int, nz: int, device: torch.device | str = "cpu") -> Tensor:
    z = random_normal(new_key(), (num_samples, nz), device=device)
    with torch.no_grad():
        return model.decoder(z).reshape(num_samples, 1, 28, 28)
