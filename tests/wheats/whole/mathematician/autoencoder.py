"""Problem 1, part 1: an auto-encoder, written down the way it stands on paper.

Maps are composed with `@` as on the blackboard, (f @ g)(x) = f(g(x)): the outermost map is written first.
Expectations are functions, vectors of the latent space are `Code`s, distributions over them are `Gaussian`s.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

# --- Notation --------------------------------------------------------------------------------------------


def expectation(values: Tensor) -> Tensor:
    """E[values] under the empirical measure: every element has the same weight."""
    return values.sum() / values.numel()


def log(p: Tensor) -> Tensor:
    """log p, continued by a finite number (about -87 in float32) where p is 0."""
    return p.clamp_min(torch.finfo(p.dtype).tiny).log()


class Map:
    """Mixin for modules that can be composed: f @ g is the map x -> f(g(x))."""

    def __matmul__(self, inner: "Map") -> "Composition":
        return Composition(*_factors(inner), *_factors(self))


class Composition(Map, nn.Sequential):
    """A composition of maps; an nn.Sequential, which stores the innermost map first."""


class Affine(Map, nn.Linear):
    """x -> W x + b"""


class Rectifier(Map, nn.ReLU):
    """x -> max(x, 0)"""


class Logistic(Map, nn.Sigmoid):
    """x -> 1 / (1 + exp(-x))"""


def _factors(f: nn.Module) -> list[nn.Module]:
    return list(f) if isinstance(f, Composition) else [f]


class Code:
    """A vector of the latent space (or a batch of them, along the leading axes)."""

    def __init__(self, coordinates: Tensor) -> None:
        self.coordinates = coordinates

    def __add__(self, other: "Code | Tensor") -> "Code":
        return Code(self.coordinates + _coordinates(other))

    __radd__ = __add__

    def __or__(self, other: "Code | Tensor") -> "Code":
        """The block vector [a | b]."""
        return Code(torch.cat((self.coordinates, _coordinates(other)), dim=-1))


def _coordinates(code: "Code | Tensor") -> Tensor:
    return code.coordinates if isinstance(code, Code) else code


class Diagonal:
    """The linear operator diag(exp(log_entries)); it acts on codes with `@`."""

    def __init__(self, log_entries: Tensor) -> None:
        self.log_entries = log_entries

    def __matmul__(self, code: Code) -> Code:
        return Code(self.log_entries.exp() * code.coordinates)


class Gaussian:
    """N(mu, diag(sigma^2)), parametrised by mu and log sigma."""

    def __init__(self, mu: Tensor, log_sigma: Tensor) -> None:
        self.mu, self.log_sigma = mu, log_sigma

    @classmethod
    def standard_like(cls, mu: Tensor) -> "Gaussian":
        """N(0, I) on the space in which mu lies."""
        return cls(torch.zeros_like(mu), torch.zeros_like(mu))

    @property
    def mean(self) -> Code:
        return Code(self.mu)

    def draw(self) -> Code:
        """z = mu + sigma . eps, with eps ~ N(0, I)"""
        eps = Code(torch.empty_like(self.mu).normal_())
        return self.mu + Diagonal(self.log_sigma) @ eps


def descend(
    optimizer: torch.optim.Optimizer, objective: Callable[[], tuple[Tensor, dict[str, Tensor]]]
) -> dict[str, float]:
    """theta <- theta - step(grad objective(theta)), once. Returns the named terms of the objective, before the step."""
    terms: dict[str, Tensor] = {}

    def closure() -> Tensor:
        optimizer.zero_grad()
        value, named = objective()
        value.backward()
        terms.update(named)
        return value

    optimizer.step(closure)
    return {name: term.item() for name, term in terms.items()}


# --- The networks ----------------------------------------------------------------------------------------


class Encoder(nn.Module):
    """f: R^input_size -> R^nz"""

    def __init__(self, nz: int, input_size: int) -> None:
        super().__init__()
        self.net = Affine(64, nz) @ Rectifier() @ Affine(256, 64) @ Rectifier() @ Affine(input_size, 256)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class Decoder(nn.Module):
    """g: R^nz -> [0, 1]^output_size"""

    def __init__(self, nz: int, output_size: int) -> None:
        super().__init__()
        self.net = (
            Logistic()
            @ Affine(256, output_size)
            @ Rectifier()
            @ Affine(64, 256)
            @ Rectifier()
            @ Affine(nz, 64)
        )

    def forward(self, z: Tensor) -> Tensor:
        return self.net(z[:, None] if z.ndim == 2 else z)


def make_data_loader(dataset: Dataset, batch_size: int = 64, num_workers: int = 0) -> DataLoader:
    """The data set in minibatches, in a new uniformly random permutation every epoch."""
    permutation = torch.utils.data.RandomSampler(dataset)
    return DataLoader(
        dataset, batch_size=batch_size, sampler=permutation, num_workers=num_workers, drop_last=True
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


# --- The objective ---------------------------------------------------------------------------------------


def reconstruction_loss(x_hat: Tensor, x: Tensor) -> Tensor:
    """-E[x log x_hat + (1 - x) log(1 - x_hat)], over all pixels of all images."""
    x = x.reshape(x_hat.shape)
    log_likelihood = x * log(x_hat) + (1 - x) * log(1 - x_hat)
    return -expectation(log_likelihood)


def train_autoencoder(
    model: nn.Module,
    loader: DataLoader,
    epochs: int,
    learning_rate: float,
    device: torch.device | str = "cpu",
) -> list[float]:
    """theta* = argmin E[risk(theta)], by Adam."""
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    model.train()

    def risk(x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        value = reconstruction_loss(model(x), x)
        return value, {"risk": value}

    return [
        descend(optimizer, lambda: risk(images.to(device).flatten(2)))["risk"]
        for _ in range(epochs)
        for images, _ in loader
    ]


@torch.no_grad()
def sample_images(model: nn.Module, num_samples: int, nz: int, device: torch.device | str = "cpu") -> Tensor:
    """x = g(z), with z ~ N(0, I)"""
    prior = Gaussian.standard_like(torch.empty(num_samples, nz, device=device))
    return model.decoder(prior.draw().coordinates).unflatten(-1, (28, 28))
