"""A DCGAN out of functions: the class holds the state, the functions do the work."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial, singledispatch

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, grad
from torch.nn.utils import parametrize
from tqdm import trange

Network = Callable[[Tensor], Tensor]
conv = partial(nn.Conv2d, kernel_size=4, stride=2, padding=1)
deconv = partial(nn.ConvTranspose2d, kernel_size=4, stride=2, padding=1)
adam = partial(torch.optim.Adam, betas=(0.5, 0.999))


class Generator(nn.Module):
    def __init__(self, code_size: int) -> None:
        super().__init__()
        self.fc = nn.Linear(code_size, 2048)
        self.upsample_and_generate = nn.Sequential(
            nn.BatchNorm2d(128), nn.LeakyReLU(), deconv(128, 64),
            nn.BatchNorm2d(64), nn.LeakyReLU(), deconv(64, 32),
            nn.BatchNorm2d(32), nn.LeakyReLU(), deconv(32, 3),
            nn.Sigmoid(),
        )  # fmt: skip

    def forward(self, codes: Tensor) -> Tensor:
        return self.upsample_and_generate(self.fc(codes).reshape(len(codes), 128, 4, 4))


class Discriminator(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.downsample = nn.Sequential(
            conv(3, 32), nn.LeakyReLU(),
            conv(32, 64), nn.BatchNorm2d(64), nn.LeakyReLU(),
            conv(64, 128), nn.BatchNorm2d(128), nn.LeakyReLU(),
        )  # fmt: skip
        self.fc = nn.Linear(2048, 1)

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(self.downsample(images).flatten(1))


class UnitNorm(nn.Module):
    """A weight over its largest singular value."""

    def forward(self, weight: Tensor) -> Tensor:
        return weight / torch.linalg.matrix_norm(weight.flatten(1), ord=2)


class SpectralNormDiscriminator(Discriminator):
    def __init__(self) -> None:
        super().__init__()
        for layer in filter(lambda layer: isinstance(layer, nn.Conv2d), self.downsample):
            parametrize.register_parametrization(layer, "weight", UnitNorm())


@torch.no_grad()
def normal_weight_(layer: nn.Module, mean: float, std: float) -> None:
    if parametrize.is_parametrized(layer, "weight"):
        layer.parametrizations.weight.original.normal_(mean, std)
        for _ in range(50):
            _ = layer.weight
    else:
        getattr(layer, "weight_orig" if hasattr(layer, "weight_orig") else "weight").normal_(mean, std)


@contextmanager
def evaluation_mode(network: nn.Module) -> Iterator[None]:
    with ExitStack() as after:
        for module in network.modules():
            after.callback(setattr, module, "training", module.training)
        network.eval()
        yield


@dataclass
class History:
    dis_loss: list[float] = field(default_factory=list)
    gen_loss: list[float] = field(default_factory=list)
    samples: list[tuple[int, Tensor]] = field(default_factory=list)


@dataclass(frozen=True)
class Side:
    """One of the two players: its network, and the optimiser of that network."""

    network: nn.Module
    optimizer: torch.optim.Optimizer

    def update(self, loss: Tensor) -> float:
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters)):
            parameter.grad = gradient
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss.item()


@singledispatch
def initialise(layer: nn.Module) -> None:
    """Linear layers and all others keep what they have."""


@initialise.register(nn.Conv2d)
@initialise.register(nn.ConvTranspose2d)
def _(layer: nn.Module) -> None:
    normal_weight_(layer, 0.0, 0.02)


@initialise.register
def _(layer: nn.BatchNorm2d) -> None:
    normal_weight_(layer, 1.0, 0.02)
    nn.init.zeros_(layer.bias)


def believed(loss: Callable[[Tensor, Tensor], Tensor], logits: Tensor, value: float) -> Tensor:
    """The loss of these logits, if the answer for all of them is `value`."""
    return loss(logits, logits.new_full(logits.shape, value))


def search(objective: Callable[[Tensor], Tensor], start: Tensor, steps: int, learning_rate: float) -> Tensor:
    """The end of `steps` steps of Adam from `start`."""
    codes = start.detach().clone()
    optimizer = torch.optim.Adam([codes], lr=learning_rate)
    gradient = grad(objective)
    for _ in range(steps):
        codes.grad = gradient(codes)
        optimizer.step()
    return codes


class DCGAN(nn.Module):
    num_epoch: int = 25
    batch_size: int = 128
    log_step: int = 100
    visualize_step: int = 2
    code_size: int = 64
    learning_rate: float = 2e-4
    vis_learning_rate: float = 1e-2

    def __init__(self, spectral_norm: bool = False, device: torch.device | str | None = None) -> None:
        super().__init__()
        device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.register_buffer("tracked_noise", torch.randn(64, self.code_size, device=device))
        self.register_buffer("_actmax_label", torch.ones(1, 1, device=device))
        self._generator = Generator(self.code_size).to(device)
        self._discriminator = {True: SpectralNormDiscriminator, False: Discriminator}[bool(spectral_norm)]().to(device)
        self._weight_initialization()
        self.optimizerG, self.optimizerD = (
            adam(network.parameters(), lr=self.learning_rate) for network in (self._generator, self._discriminator)
        )

    @property
    def device(self) -> torch.device:
        return self.tracked_noise.device

    def _weight_initialization(self) -> None:
        for network in (self._generator, self._discriminator):
            for layer in network.modules():
                initialise(layer)

    @staticmethod
    def _classification_loss(logits: Tensor, labels: Tensor) -> Tensor:
        return (F.softplus(logits) - labels * logits).mean()

    def _noise(self, n: int) -> Tensor:
        return torch.empty(n, self.code_size, device=self.device, dtype=self.tracked_noise.dtype).normal_()

    def training_step(self, real: Tensor) -> tuple[float, float]:
        self.train()
        believe = partial(believed, self._classification_loss)
        generator = Side(self._generator, self.optimizerG)
        discriminator = Side(self._discriminator, self.optimizerD)
        with torch.no_grad():
            fakes = generator.network(self._noise(len(real)))
        dis_loss = discriminator.update(
            believe(discriminator.network(real), 1.0) + believe(discriminator.network(fakes), 0.0)
        )
        fakes = generator.network(self._noise(len(real)))
        gen_loss = generator.update(believe(discriminator.network(fakes), 1.0))
        return dis_loss, gen_loss

    def fit(self, samples: Tensor | np.ndarray, epochs: int | None = None) -> History:
        images = torch.as_tensor(samples, dtype=torch.float32)
        if len(images) < 2:
            raise ValueError("fewer than two images")
        size = min(self.batch_size, len(images))
        history = History()
        quiet = not sys.stderr.isatty()
        for epoch in trange(1, 1 + (self.num_epoch if epochs is None else epochs), disable=quiet):
            order = torch.randperm(len(images), device=images.device)
            for rows in order.split(size):
                if len(rows) == size:
                    losses = self.training_step(images[rows].to(self.device))
                    history.dis_loss.append(losses[0])
                    history.gen_loss.append(losses[1])
            if epoch % self.visualize_step == 0:
                history.samples.append((epoch, self.generate(self.tracked_noise)))
        return history

    @torch.no_grad()
    def generate(self, codes: Tensor) -> Tensor:
        with evaluation_mode(self._generator):
            return self._generator(codes.to(self.device)).cpu()

    def _search(self, objective: Callable[[Tensor], Tensor], codes: Tensor, steps: int) -> tuple[float, Tensor]:
        """Codes whose images have a small objective: (loss, images)."""
        with evaluation_mode(self):
            state = {name: tensor.detach() for name, tensor in self._generator.state_dict(keep_vars=True).items()}

            def generate(z: Tensor) -> Tensor:
                return functional_call(self._generator, state, (z,))

            best = search(lambda z: objective(generate(z)), codes, steps, self.vis_learning_rate)
            with torch.no_grad():
                images = generate(best)
                return objective(images).item(), images.cpu()

    def actmax(self, codes: Tensor, steps: int = 500) -> tuple[float, Tensor]:
        def objective(images: Tensor) -> Tensor:
            logits = self._discriminator(images)
            return self._classification_loss(logits, self._actmax_label.expand(len(logits), 1))

        return self._search(objective, codes.to(self.device), steps)

    def _reconstruction_loss(self, reconstruction: Tensor, x: Tensor) -> Tensor:
        return F.mse_loss(reconstruction, x, reduction="sum") / x.numel()

    def reconstruct(self, samples: Tensor | np.ndarray) -> tuple[float, Tensor]:
        x = torch.as_tensor(samples).to(device=self.device, dtype=self.tracked_noise.dtype)
        return self._search(partial(self._reconstruction_loss, x=x), x.new_zeros(len(x), self.code_size), 500)
