"""DCGAN."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass, field
from typing import Any, Iterator, Optional, Union

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize
from tqdm import tqdm

Optimizer = torch.optim.Optimizer


def up(fan_in: int, fan_out: int) -> list[nn.Module]:
    return [
        nn.BatchNorm2d(fan_in),
        nn.LeakyReLU(),
        nn.ConvTranspose2d(fan_in, fan_out, kernel_size=4, stride=2, padding=1),
    ]


def down(fan_in: int, fan_out: int, norm: bool = True) -> list[nn.Module]:
    block: list[nn.Module] = [nn.Conv2d(fan_in, fan_out, kernel_size=4, stride=2, padding=1)]
    if norm:
        block.append(nn.BatchNorm2d(fan_out))
    return [*block, nn.LeakyReLU()]


class Generator(nn.Module):
    def __init__(self, code_size: int) -> None:
        super().__init__()
        self.fc = nn.Linear(code_size, 2048)
        self.upsample_and_generate = nn.Sequential(*up(128, 64), *up(64, 32), *up(32, 3), nn.Sigmoid())

    def forward(self, codes: Tensor) -> Tensor:
        return self.upsample_and_generate(self.fc(codes).unflatten(1, (128, 4, 4)))


class Discriminator(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.downsample = nn.Sequential(*down(3, 32, norm=False), *down(32, 64), *down(64, 128))
        self.fc = nn.Linear(2048, 1)

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(self.downsample(images).flatten(start_dim=1))


class SpectralNormDiscriminator(Discriminator):
    def __init__(self) -> None:
        super().__init__()
        self.apply(self._normalise)

    @staticmethod
    def _normalise(layer: nn.Module) -> None:
        if isinstance(layer, nn.Conv2d):
            parametrizations.spectral_norm(layer)


def normal_weight_(layer: nn.Module, mean: float, std: float) -> None:
    if parametrize.is_parametrized(layer, "weight"):
        nn.init.normal_(layer.parametrizations.weight.original, mean, std)
        with torch.no_grad():
            for _ in range(50):
                _ = layer.weight
        return
    nn.init.normal_(layer.weight_orig if hasattr(layer, "weight_orig") else layer.weight, mean, std)


@contextlib.contextmanager
def evaluation_mode(network: nn.Module) -> Iterator[None]:
    modes = {name: module.training for name, module in network.named_modules()}
    network.eval()
    try:
        yield
    finally:
        for name, module in network.named_modules():
            module.training = modes[name]


@dataclass
class History:
    dis_loss: list[float] = field(default_factory=list)
    gen_loss: list[float] = field(default_factory=list)
    samples: list[tuple[int, Tensor]] = field(default_factory=list)


class OptimizationMixin:
    """Manual optimisation: one network at a time."""

    @contextlib.contextmanager
    def frozen(self, *networks: nn.Module) -> Iterator[None]:
        """These networks require no gradients inside the block."""
        flags = [(p, p.requires_grad) for network in networks for p in network.parameters()]
        for p, _ in flags:
            p.requires_grad_(False)
        try:
            yield
        finally:
            for p, flag in flags:
                p.requires_grad_(flag)

    def optimize(self, optimizer: Optimizer, loss: Tensor) -> float:
        optimizer.zero_grad()
        self.manual_backward(loss)
        optimizer.step()
        return loss.detach().item()

    def manual_backward(self, loss: Tensor) -> None:
        loss.backward()


class DCGAN(OptimizationMixin, nn.Module):
    num_epoch = 25
    batch_size = 128
    log_step = 100
    visualize_step = 2
    code_size = 64
    learning_rate = 2e-4
    vis_learning_rate = 1e-2

    def __init__(self, spectral_norm: bool = False, device: Optional[Union[str, torch.device]] = None) -> None:
        super().__init__()
        device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self.register_buffer("tracked_noise", torch.randn(64, self.code_size))
        self.register_buffer("_actmax_label", torch.ones(1, 1))
        self._generator, self._discriminator = self.configure_networks(spectral_norm)
        self._weight_initialization()
        self.to(device)
        self.criterion = nn.BCEWithLogitsLoss()
        self.optimizerG, self.optimizerD = self.configure_optimizers()

    def configure_networks(self, spectral_norm: bool) -> tuple[nn.Module, nn.Module]:
        critic = SpectralNormDiscriminator if spectral_norm else Discriminator
        return Generator(self.code_size), critic()

    def configure_optimizers(self) -> list[Optimizer]:
        networks = self._generator, self._discriminator
        return [torch.optim.Adam(net.parameters(), self.learning_rate, (0.5, 0.999)) for net in networks]

    @property
    def device(self) -> torch.device:
        return self.tracked_noise.device

    def _weight_initialization(self) -> None:
        for module in [*self._generator.modules(), *self._discriminator.modules()]:
            match module:
                case nn.Conv2d() | nn.ConvTranspose2d():
                    normal_weight_(module, 0.0, 0.02)
                case nn.BatchNorm2d():
                    normal_weight_(module, 1.0, 0.02)
                    nn.init.constant_(module.bias, 0.0)

    def _classification_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return nn.functional.binary_cross_entropy_with_logits(logits, labels, reduction="mean")

    def sample_noise(self, n: int) -> Tensor:
        return torch.randn_like(self.tracked_noise[:1].expand(n, -1))

    def _adversarial(self, images: Tensor, real: bool) -> Tensor:
        logits = self._discriminator(images)
        return self._classification_loss(logits, torch.full_like(logits, float(real)))

    def _shared_step(self, real: Tensor, stage: str) -> Tensor:
        fakes = self._generator(self.sample_noise(real.shape[0]))
        if stage == "discriminator":
            return self._adversarial(real, True) + self._adversarial(fakes.detach(), False)
        return self._adversarial(fakes, True)

    def training_step(self, real: Tensor) -> tuple[float, float]:
        self.train()
        with self.frozen(self._generator):
            dis_loss = self.optimize(self.optimizerD, self._shared_step(real, "discriminator"))
        with self.frozen(self._discriminator):
            gen_loss = self.optimize(self.optimizerG, self._shared_step(real, "generator"))
        return dis_loss, gen_loss

    def fit(self, samples: Any, epochs: Optional[int] = None) -> History:
        images = torch.as_tensor(samples, dtype=torch.float32)
        if images.shape[0] < 2:
            raise ValueError("batch normalisation needs two images at least")
        size = min(self.batch_size, len(images))
        dataset = torch.utils.data.TensorDataset(images)
        loader = torch.utils.data.DataLoader(dataset, size, shuffle=True, drop_last=True)
        history = History()
        for epoch in range(1, (self.num_epoch if epochs is None else epochs) + 1):
            for (batch,) in tqdm(loader, desc=f"epoch {epoch}", disable=not sys.stderr.isatty()):
                dis_loss, gen_loss = self.training_step(batch.to(self.device))
                history.dis_loss.append(dis_loss)
                history.gen_loss.append(gen_loss)
            if epoch % self.visualize_step == 0:
                history.samples.append((epoch, self.generate(self.tracked_noise)))
        return history

    @torch.no_grad()
    def generate(self, codes: Tensor) -> Tensor:
        with evaluation_mode(self._generator):
            return self._generator(codes.to(self.device)).cpu()

    def _search(self, codes: Tensor, objective: Any, steps: int) -> tuple[float, Tensor]:
        """Adam on codes alone. `objective` takes images."""
        codes = nn.Parameter(codes.detach().clone())
        optimizer = torch.optim.Adam([codes], lr=self.vis_learning_rate)
        with evaluation_mode(self), self.frozen(self._generator, self._discriminator):
            for _ in range(steps):
                self.optimize(optimizer, objective(self._generator(codes)))
            with torch.no_grad():
                images = self._generator(codes)
                loss = objective(images)
        return loss.item(), images.cpu()

    def actmax(self, codes: Tensor, steps: int = 500) -> tuple[float, Tensor]:
        return self._search(codes.to(self.device), lambda images: self._adversarial(images, True), steps)

    def _reconstruction_loss(self, reconstruction: Tensor, x: Tensor) -> Tensor:
        return nn.functional.mse_loss(reconstruction, x, reduction="mean")

    def reconstruct(self, samples: Union[Tensor, np.ndarray]) -> tuple[float, Tensor]:
        target = torch.as_tensor(samples).to(self.tracked_noise)
        start = self.tracked_noise.new_zeros(len(target), self.code_size)
        return self._search(start, lambda images: self._reconstruction_loss(images, target), steps=500)
