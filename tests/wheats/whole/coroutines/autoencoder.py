"""Problem 1, part 1: an auto-encoder for MNIST.

Training is a conversation between two generators: one yields batches, the other (a coroutine) is sent a batch,
takes one optimiser step, and yields what it measured.
"""

import math
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from itertools import islice

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import BatchSampler, DataLoader, Dataset, RandomSampler

Objective = Callable[..., tuple[Tensor, dict[str, Tensor]]]


def _hidden(*sizes: int) -> Iterator[nn.Module]:
    """Yield a Linear layer for every two neighbouring sizes, and a ReLU between two Linear layers."""
    for i, (fan_in, fan_out) in enumerate(zip(sizes, islice(sizes, 1, None))):
        if i:
            yield nn.ReLU()
        yield nn.Linear(fan_in, fan_out)


class Encoder(nn.Module):
    """Maps a flattened image, (N, 1, input_size) or (N, input_size), to a code of the same leading shape."""

    def __init__(self, nz: int, input_size: int) -> None:
        super().__init__()
        self.net = nn.Sequential(*_hidden(input_size, 256, 64, nz))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class Decoder(nn.Module):
    """Maps a code, (N, nz) or (N, 1, nz), to a flattened image (N, 1, output_size), in [0, 1]."""

    def __init__(self, nz: int, output_size: int) -> None:
        super().__init__()

        def layers() -> Iterator[nn.Module]:
            yield from _hidden(nz, 64, 256, output_size)
            yield nn.Sigmoid()

        self.net = nn.Sequential(*layers())

    def forward(self, z: Tensor) -> Tensor:
        if z.dim() < 3:
            z = z.unsqueeze(-2)
        return self.net(z)


def make_data_loader(dataset: Dataset, batch_size: int = 64, num_workers: int = 0) -> DataLoader:
    """Batches of a new random order every epoch. The sampler yields only complete lists of indices."""
    indices = BatchSampler(RandomSampler(dataset), batch_size=batch_size, drop_last=True)
    return DataLoader(dataset, batch_sampler=indices, num_workers=num_workers)


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
    """Binary cross-entropy, the mean over every element of every image."""
    prediction, target = (t.flatten() for t in (x_hat, x))
    return F.binary_cross_entropy(prediction, target.to(prediction.dtype))


# --- The machinery of training ---------------------------------------------------------------------------


@contextmanager
def learning(model: nn.Module, learning_rate: float) -> Iterator[torch.optim.Adam]:
    """Training mode and an optimiser; afterwards, the memory of the last gradients is given back."""
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    model.train()
    try:
        yield optimizer
    finally:
        optimizer.zero_grad(set_to_none=True)


def epoch_after_epoch(loader: DataLoader, epochs: int, device: torch.device | str) -> Iterator[tuple[Tensor, Tensor]]:
    """All batches of a run, on the device; images flattened to (N, 1, 784)."""
    for _ in range(epochs):
        for images, labels in loader:
            yield images.to(device).flatten(1).unsqueeze(1), labels.to(device)


def descent(optimizer: torch.optim.Optimizer, objective: Objective) -> Generator[dict[str, float], tuple, None]:
    """A coroutine: send it the arguments of the objective, and it yields the values of one optimiser step.

    The objective returns the loss and a dictionary of values to report. It is evaluated once per step, in
    the closure that the optimiser calls.
    """
    report: dict[str, float] = {}
    while True:
        arguments = yield report

        def closure() -> Tensor:
            nonlocal report
            optimizer.zero_grad()
            loss, values = objective(*arguments)
            loss.backward()
            report = {name: value.item() for name, value in values.items()}
            return loss

        optimizer.step(closure)


def training_run(
    model: nn.Module, objective: Objective, batches: Iterable[tuple], learning_rate: float
) -> Iterator[dict[str, float]]:
    """Yield the report of every iteration, as soon as it is done."""
    with ExitStack() as stack:
        optimizer = stack.enter_context(learning(model, learning_rate))
        stepper = stack.enter_context(closing(descent(optimizer, objective)))
        next(stepper)  # up to its first `yield`
        yield from map(stepper.send, batches)


def columns(reports: Iterable[dict[str, float]], *names: str) -> dict[str, list[float]]:
    """Reports, one after the other, as one list per name."""
    history = {name: deque() for name in names}
    for report in reports:
        for name, values in history.items():
            values.append(report[name])
    return {name: list(values) for name, values in history.items()}


def train_autoencoder(
    model: nn.Module,
    loader: DataLoader,
    epochs: int,
    learning_rate: float,
    device: torch.device | str = "cpu",
) -> list[float]:
    """Train an auto-encoder in place; the loss of every iteration as a float."""

    def objective(x: Tensor, _: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        loss = reconstruction_loss(model(x), x)
        return loss, {"loss": loss}

    run = training_run(model, objective, epoch_after_epoch(loader, epochs, device), learning_rate)
    return columns(run, "loss")["loss"]


def noise_source(nz: int, **options: object) -> Generator[Tensor | None, int, None]:
    """A coroutine: send it a number, and it yields as many new codes z ~ N(0, I)."""
    codes = None
    while True:
        codes = torch.randn((yield codes), nz, **options)


def fresh_codes(count: int, nz: int, **options: object) -> Tensor:
    """(count, nz) codes from a new source."""
    with closing(noise_source(nz, **options)) as source:
        next(source)
        return source.send(count)


def floating_type(model: nn.Module) -> torch.dtype | None:
    """The dtype of the model's parameters, or None (PyTorch's default) if it has none."""
    return next((p.dtype for p in model.parameters() if p.is_floating_point()), None)


def sample_images(model: nn.Module, num_samples: int, nz: int, device: torch.device | str = "cpu") -> Tensor:
    """Decode codes z ~ N(0, I), drawn anew at every call: (num_samples, 1, 28, 28), with no graph attached."""
    with torch.inference_mode():
        codes = fresh_codes(num_samples, nz, device=device, dtype=floating_type(model))
        return model.decoder(codes).reshape(num_samples, 1, 28, 28)
