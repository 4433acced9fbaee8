"""Problem 2: a DCGAN for CIFAR-10.

A generator makes images from noise; a discriminator distinguishes generated images from real ones. They are
trained against each other, in alternating steps.

Shapes (N is the batch size):

    images    (N, 3, 32, 32)   float32, in [0, 1]
    codes     (N, 64)          noise, z ~ N(0, I)
    logits    (N, 1)           the discriminator's output before the sigmoid; above 0 means "real"

Sources: Radford, Metz and Chintala, "Unsupervised Representation Learning with Deep Convolutional Generative
Adversarial Networks", 2016 (architecture, initialisation, Adam's settings); Goodfellow et al., "Generative
Adversarial Nets", 2014 (the non-saturating loss); Miyato et al., "Spectral Normalization for Generative
Adversarial Networks", 2018.
"""

import copy
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize
from torch.distributions import Bernoulli, Normal
from tqdm import tqdm

# --- Given -----------------------------------------------------------------------------------------------


class Generator(nn.Module):
    """Generates images from codes: (N, code_size) -> (N, 3, 32, 32), in [0, 1] (given)."""

    def __init__(self, code_size: int) -> None:
        super().__init__()
        self.fc = nn.Linear(code_size, 2048)
        self.upsample_and_generate = nn.Sequential(
            nn.BatchNorm2d(128),
            nn.LeakyReLU(),
            nn.ConvTranspose2d(128, 64, kernel_size=4, stride=2, padding=1),  # (N, 64, 8, 8)
            nn.BatchNorm2d(64),
            nn.LeakyReLU(),
            nn.ConvTranspose2d(64, 32, kernel_size=4, stride=2, padding=1),  # (N, 32, 16, 16)
            nn.BatchNorm2d(32),
            nn.LeakyReLU(),
            nn.ConvTranspose2d(32, 3, kernel_size=4, stride=2, padding=1),  # (N, 3, 32, 32)
            nn.Sigmoid(),
        )

    def forward(self, codes: Tensor) -> Tensor:
        return self.upsample_and_generate(self.fc(codes).reshape(-1, 128, 4, 4))


class Discriminator(nn.Module):
    """Classifies images as real or fake: (N, 3, 32, 32) -> logits (N, 1) (given)."""

    def __init__(self) -> None:
        super().__init__()
        self.downsample = nn.Sequential(
            nn.Conv2d(3, 32, kernel_size=4, stride=2, padding=1),  # (N, 32, 16, 16)
            nn.LeakyReLU(),
            nn.Conv2d(32, 64, kernel_size=4, stride=2, padding=1),  # (N, 64, 8, 8)
            nn.BatchNorm2d(64),
            nn.LeakyReLU(),
            nn.Conv2d(64, 128, kernel_size=4, stride=2, padding=1),  # (N, 128, 4, 4)
            nn.BatchNorm2d(128),
            nn.LeakyReLU(),
        )
        self.fc = nn.Linear(2048, 1)

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(self.downsample(images).flatten(1))


@torch.no_grad()
def normal_weight_(layer: nn.Module, mean: float, std: float) -> None:
    if parametrize.is_parametrized(layer, "weight"):
        nn.init.normal_(layer.parametrizations.weight.original, mean, std)
        # sigma(W) is estimated by power iteration, from vectors that were computed for the old weight. Every
        # access to the weight in training mode runs one more iteration.
        for _ in range(50):
            _ = layer.weight
    elif hasattr(layer, "weight_orig"):
        nn.init.normal_(layer.weight_orig, mean, std)
    else:
        nn.init.normal_(layer.weight, mean, std)


@contextmanager
def evaluation_mode(network: nn.Module) -> Iterator[None]:
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@dataclass
class History:
    """The return value of `DCGAN.fit` (given).

    dis_loss, gen_loss: one number per iteration.
    samples: pairs (epoch, images (64, 3, 32, 32)): the images generated from `tracked_noise` after that
        epoch.
    """

    dis_loss: list[float] = field(default_factory=list)
    gen_loss: list[float] = field(default_factory=list)
    samples: list[tuple[int, Tensor]] = field(default_factory=list)


def _is_quiet() -> bool:
    return not (sys.stderr.isatty() or "ipykernel" in sys.modules)


# --- Yours -----------------------------------------------------------------------------------------------


class SpectralNormDiscriminator(Discriminator):
    """The discriminator with spectral normalisation on its convolutions.

    Question 2-3 (4 points)

    The same layers as `Discriminator`, but all three convolutions are spectral-normed: each weight, viewed as
    a matrix with one row per output channel, is divided by its largest singular value (Miyato et al. 2018,
    equation 8), so that this matrix stretches no vector by a factor of more than 1. `fc` may be
    spectral-normed too.

    Example:
        >>> SpectralNormDiscriminator()(torch.rand(5, 3, 32, 32)).shape
        torch.Size([5, 1])
    """

    def __init__(self) -> None:
        super().__init__()
        self.apply(self._normalise)

    @staticmethod
    def _normalise(layer: nn.Module) -> None:
        if isinstance(layer, nn.Conv2d):
            parametrizations.spectral_norm(layer)


class InitialisationMixin:
    """Radford et al. 2016, section 4."""

    _INIT = {nn.Conv2d: (0.0, 0.02), nn.ConvTranspose2d: (0.0, 0.02), nn.BatchNorm2d: (1.0, 0.02)}

    def _init_layer(self, layer):
        for kind, (mean, std) in self._INIT.items():
            if isinstance(layer, kind):
                normal_weight_(layer, mean, std)
                if kind is nn.BatchNorm2d:
                    layer.bias.data.fill_(0)
                return

    def _weight_initialization(self) -> None:
        self.apply(self._init_layer)


class LossMixin:
    def _classification_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return -Bernoulli(logits=logits).log_prob(labels).mean()

    def _reconstruction_loss(self, reconstruction: Tensor, x: Tensor) -> Tensor:
        return (reconstruction - x).pow(2).mean(dim=(1, 2, 3)).mean()


class AdversarialMixin:
    """The two steps of the game. Needs both networks, both optimisers, and the losses above."""

    @property
    def _prior(self) -> Normal:
        return Normal(torch.zeros(self.code_size, device=self.device), 1.0)

    def _fakes(self, count: int) -> Tensor:
        return self._generator(self._prior.sample((count,)))

    def _discriminator_step(self, real: Tensor) -> float:
        fakes = self._fakes(len(real)).detach()
        self.optimizerD.zero_grad()
        logits = [self._discriminator(batch) for batch in (real, fakes)]
        labels = [torch.ones_like(logits[0]), torch.zeros_like(logits[1])]
        loss = torch.stack([self._classification_loss(*pair) for pair in zip(logits, labels)]).sum()
        loss.backward()
        self.optimizerD.step()
        return loss.item()

    def _generator_step(self, batch_size: int) -> float:
        self.optimizerG.zero_grad()
        logits = self._discriminator(self._fakes(batch_size))
        loss = self._classification_loss(logits, torch.ones_like(logits))
        loss.backward()
        self.optimizerG.step()
        return loss.item()


class InversionMixin:
    def reconstruct(self, samples: Tensor | np.ndarray) -> tuple[float, Tensor]:
        x = torch.as_tensor(samples, dtype=torch.float32).to(self.device)
        # A copy: whatever happens to it, our own networks stay as they are.
        generator = copy.deepcopy(self._generator).eval().requires_grad_(False)
        codes = nn.Embedding(len(x), self.code_size, device=self.device)
        nn.init.zeros_(codes.weight)
        inverse = nn.Sequential(codes, generator)
        index = torch.arange(len(x), device=self.device)
        optimizer = torch.optim.Adam(codes.parameters(), lr=self.vis_learning_rate)
        for _ in range(500):
            optimizer.zero_grad()
            self._reconstruction_loss(inverse(index), x).backward()
            optimizer.step()
        with torch.no_grad():
            images = inverse(index)
            return self._reconstruction_loss(images, x).item(), images.cpu()


class DCGAN(InitialisationMixin, LossMixin, AdversarialMixin, InversionMixin, nn.Module):
    """A generator and a discriminator, with methods to train and use them.

    Question 2-1a (7 points): `__init__`, `_weight_initialization`, `_classification_loss`
    Question 2-1b (13 points): `training_step`, through `_discriminator_step` and `_generator_step`
    Question 2-4 (12 points): `_reconstruction_loss`, `reconstruct`

    Attributes set by `__init__`:
        _generator: a `Generator` for codes of length `code_size`.
        _discriminator: a `Discriminator`; a `SpectralNormDiscriminator` when `spectral_norm` is true.
        optimizerG, optimizerD: Adam with `learning_rate` and betas (0.5, 0.999) (Radford et al. 2016, section
            4), each for the parameters of its own network only.

    Given at the start of `__init__`: `tracked_noise`, 64 fixed codes that show how the generator learns, and
    `_actmax_label`, used by `actmax`. Both are buffers: they move with the model.

    Args:
        spectral_norm: whether the discriminator is spectral-normed.
        device: the device of the networks, buffers and optimisers; None means the GPU if there is one,
            otherwise the CPU.

    Example:
        >>> dcgan = DCGAN()
        >>> dis_loss, gen_loss = dcgan.training_step(torch.rand(128, 3, 32, 32, device=dcgan.device))
    """

    num_epoch = 25
    batch_size = 128
    log_step = 100
    visualize_step = 2
    code_size = 64
    learning_rate = 2e-4
    vis_learning_rate = 1e-2

    tracked_noise: Tensor
    _actmax_label: Tensor

    def __init__(self, spectral_norm: bool = False, device: torch.device | str | None = None) -> None:
        super().__init__()
        if device is None:
            device = "cuda" if torch.cuda.is_available() else "cpu"
        self.register_buffer("tracked_noise", torch.randn(64, self.code_size, device=device))
        self.register_buffer("_actmax_label", torch.ones(1, 1, device=device))
        kind = SpectralNormDiscriminator if spectral_norm else Discriminator
        for name, network, optimizer in (
            ("_generator", Generator(self.code_size), "optimizerG"),
            ("_discriminator", kind(), "optimizerD"),
        ):
            setattr(self, name, network.to(device))
            setattr(self, optimizer, torch.optim.Adam(network.parameters(), lr=self.learning_rate, betas=(0.5, 0.999)))
        self._weight_initialization()  # in place: the optimisers hold the same parameters

    @property
    def device(self) -> torch.device:
        return self.tracked_noise.device

    def training_step(self, real: Tensor) -> tuple[float, float]:
        self.train()
        dis_loss = self._discriminator_step(real)
        gen_loss = self._generator_step(len(real))
        return dis_loss, gen_loss

    def fit(self, samples: Tensor | np.ndarray, epochs: int | None = None) -> History:
        images = torch.as_tensor(samples, dtype=torch.float32)
        if len(images) < 2:
            raise ValueError(f"training needs at least 2 images, got {len(images)}")
        epochs = self.num_epoch if epochs is None else epochs
        batch_size = min(self.batch_size, len(images))
        batches = len(images) // batch_size  # full batches only
        history = History()
        with tqdm(total=epochs * batches, unit="batch", disable=_is_quiet()) as progress:
            for epoch in range(1, epochs + 1):
                order = torch.randperm(len(images), device=images.device)
                progress.set_description(f"epoch {epoch}/{epochs}")
                for batch in order[: batches * batch_size].split(batch_size):
                    dis_loss, gen_loss = self.training_step(images[batch].to(self.device))
                    history.dis_loss.append(dis_loss)
                    history.gen_loss.append(gen_loss)
                    progress.update()
                    if len(history.dis_loss) % self.log_step == 0:
                        progress.set_postfix(
                            dis_loss=f"{np.mean(history.dis_loss[-self.log_step :]):.3f}",
                            gen_loss=f"{np.mean(history.gen_loss[-self.log_step :]):.3f}",
                        )
                if epoch % self.visualize_step == 0:
                    history.samples.append((epoch, self.generate(self.tracked_noise)))
        return history

    @torch.no_grad()
    def generate(self, codes: Tensor) -> Tensor:
        with evaluation_mode(self._generator):
            return self._generator(codes.to(self.device)).cpu()

    def actmax(self, codes: Tensor, steps: int = 500) -> tuple[float, Tensor]:
        codes = codes.detach().to(self.device).clone().requires_grad_()
        label = self._actmax_label.expand(len(codes), 1)
        optimizer = torch.optim.Adam([codes], lr=self.vis_learning_rate)
        with evaluation_mode(self):
            for _ in range(steps):
                loss = self._classification_loss(self._discriminator(self._generator(codes)), label)
                # Unlike loss.backward(), this leaves no gradients on the networks.
                (codes.grad,) = torch.autograd.grad(loss, [codes])
                optimizer.step()
            with torch.no_grad():
                images = self._generator(codes)
                loss = self._classification_loss(self._discriminator(images), label)
        return loss.item(), images.cpu()
