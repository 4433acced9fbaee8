"""Auto-encoder, in small composable pieces: decorators for shapes, context managers for state, coroutines for records."""

from __future__ import annotations

import functools
import math
import operator as op
from contextlib import contextmanager
from typing import Any, Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Sampler

compose = lambda *fs: functools.reduce(lambda f, g: lambda *a, **k: g(f(*a, **k)), fs)  # noqa: E731, left to right
without_graph = torch.no_grad()


def rowwise(method: Callable) -> Callable:
    """The method sees (rows, d), whatever the leading shape; the leading shape is put back afterwards."""

    @functools.wraps(method)
    def wrapped(self, t: Tensor) -> Tensor:
        *lead, d = t.shape
        return method(self, t.reshape(-1, d)).unflatten(0, lead)

    return wrapped


def with_middle_axis(method: Callable) -> Callable:
    """(N, d) results become (N, 1, d)."""

    @functools.wraps(method)
    def wrapped(self, t: Tensor) -> Tensor:
        return y if (y := method(self, t)).ndim == 3 else y[:, None]

    return wrapped


class Encoder(nn.Module):
    hidden = 256, 64

    def __init__(self, nz: int, input_size: int) -> None:
        super().__init__()
        a, b = self.hidden
        linear, relu = nn.Linear, nn.ReLU
        self.net = nn.Sequential(linear(input_size, a), relu(), linear(a, b), relu(), linear(b, nz))

    @rowwise
    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class Decoder(nn.Module):
    def __init__(self, nz: int, output_size: int) -> None:
        super().__init__()
        sizes = [nz, *reversed(Encoder.hidden), output_size]
        layers = [nn.Linear(*pair) for pair in zip(sizes, sizes[1:])]
        activations = [nn.ReLU(), nn.ReLU(), nn.Sigmoid()]
        self.net = nn.Sequential(*[m for pair in zip(layers, activations) for m in pair])

    @with_middle_axis
    @rowwise
    def forward(self, z: Tensor) -> Tensor:
        return self.net(z)


class Reshuffled(Sampler):
    """Indices in a new order at every iteration."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[int]:
        yield from torch.rand(self.size, dtype=torch.float64).argsort().tolist()


def make_data_loader(dataset: Dataset, batch_size: int = 64, num_workers: int = 0) -> DataLoader:
    build = functools.partial(DataLoader, drop_last=True, num_workers=num_workers)
    return build(dataset, batch_size=batch_size, sampler=Reshuffled(len(dataset)))


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
    loss = nn.BCELoss(reduction="sum")(x_hat, x.reshape_as(x_hat))
    return loss.div(x_hat.numel())


# ---------------------------------------------------------------------------------------- state, in `with` blocks


@contextmanager
def training(model: nn.Module) -> Iterator[nn.Module]:
    """Training mode inside, the previous mode of every part afterwards."""
    before = {m: m.training for m in model.modules()}
    model.train()
    try:
        yield model
    finally:
        for m, mode in before.items():
            m.training = mode


class Adam(torch.optim.Adam):
    """`with adam: loss.backward()` clears the gradients first and takes a step afterwards."""

    def __enter__(self) -> Adam:
        self.zero_grad()
        return self

    def __exit__(self, kind, error, traceback) -> None:
        if error is None:
            self.step()


def recorder(store: dict[str, list[float]]) -> Iterator[None]:
    """A coroutine: send it a dictionary of scalars."""
    while (scalars := (yield)) is not None:
        for name in store:
            store[name].append(scalars[name].item())


def primed(coroutine):
    next(coroutine)
    return coroutine


def flattened(batch: Any, device) -> tuple[Tensor, Any]:
    match batch:
        case [images, labels]:
            return images.to(device).flatten(2), labels
    raise TypeError(f"expected pairs (images, labels), got {type(batch).__name__}")


def train_autoencoder(
    model: nn.Module,
    loader: DataLoader,
    epochs: int,
    learning_rate: float,
    device: torch.device | str = "cpu",
) -> list[float]:
    record = primed(recorder(store := {"loss": []}))
    adam = Adam(model.parameters(), learning_rate)
    with training(model):
        for _ in range(epochs):
            batches = iter(loader)
            while (batch := next(batches, None)) is not None:
                x, _labels = flattened(batch, device)
                loss = reconstruction_loss(model(x), x)
                with adam:
                    loss.backward()
                record.send({"loss": loss})
    record.close()
    return store["loss"]


@without_graph
def sample_images(model: nn.Module, num_samples: int, nz: int, device: torch.device | str = "cpu") -> Tensor:
    draw = functools.partial(torch.normal, 0.0, 1.0, device=device)
    render = compose(draw, model.decoder, op.methodcaller("reshape", num_samples, 1, 28, 28))
    return render((num_samples, nz))
