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

import sys
from collections.abc import Callable, Iterator
from functools import reduce, wraps
from itertools import chain, islice, repeat
from operator import add
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize
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


class DividedBySigma(nn.Module):
    """sigma^2 is the largest eigenvalue of the (small) Gram matrix W W^T."""

    def forward(self, weight: Tensor) -> Tensor:
        gram = (w := weight.flatten(start_dim=1)) @ w.mT
        return weight / torch.linalg.eigvalsh(gram)[-1].sqrt()


def convolutions(network: nn.Module) -> Iterator[nn.Module]:
    yield from (m for m in network.modules() if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d)))


def normalisations(network: nn.Module) -> Iterator[nn.Module]:
    yield from (m for m in network.modules() if isinstance(m, nn.BatchNorm2d))


def spectrally_normalised(cls: type) -> type:
    construct = cls.__init__

    @wraps(construct)
    def __init__(self) -> None:
        construct(self)
        for conv in tuple(convolutions(self)):
            parametrize.register_parametrization(conv, "weight", DividedBySigma())

    cls.__init__ = __init__
    return cls


def one_step(loss_of: Callable) -> Callable:

    @wraps(loss_of)
    def step(self, *args, **kwargs):
        network, optimizer = (
            (self._discriminator, self.optimizerD) if "discriminator" in loss_of.__name__ else (self._generator, self.optimizerG)
        )

        def closure() -> Tensor:
            optimizer.zero_grad()
            loss = loss_of(self, *args, **kwargs)
            loss.backward(inputs=tuple(network.parameters()))
            return loss

        return optimizer.step(closure).item()

    step.__annotations__["return"] = float
    return step


@spectrally_normalised
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
        # the decorator does the rest


class DCGAN(nn.Module):
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
        self._generator, self._discriminator = (
            network().to(device)
            for network in (lambda: Generator(self.code_size), (Discriminator, SpectralNormDiscriminator)[bool(spectral_norm)])
        )
        self._weight_initialization()
        self.optimizerG, self.optimizerD = map(
            lambda network: torch.optim.Adam(network.named_parameters(), lr=self.learning_rate, betas=(0.5, 0.999)),
            (self._generator, self._discriminator),
        )

    @property
    def device(self) -> torch.device:
        return self.tracked_noise.device

    def _weight_initialization(self) -> None:
        networks = self._generator, self._discriminator
        for conv in chain.from_iterable(map(convolutions, networks)):
            normal_weight_(conv, 0.0, 0.02)
        for norm in chain.from_iterable(map(normalisations, networks)):
            normal_weight_(norm, 1.0, 0.02)
            nn.init.zeros_(norm.bias)

    def _classification_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        # -log sigmoid(l) for "real", -log sigmoid(-l) for "fake"
        return F.softplus(torch.where(labels > 0.5, -logits, logits)).mean()

    def training_step(self, real: Tensor) -> tuple[float, float]:
        self.train()
        dis_loss = self._discriminator_step(real)
        gen_loss = self._generator_step(len(real))
        return dis_loss, gen_loss

    @one_step
    def _discriminator_step(self, real: Tensor) -> Tensor:
        with torch.no_grad():
            fakes = self._generator(torch.stack([torch.randn(self.code_size, device=self.device) for _ in real]))
        judged = ((self._discriminator(images), truth) for images, truth in ((real, 1.0), (fakes, 0.0)))
        return reduce(add, (self._classification_loss(l, torch.zeros_like(l) + truth) for l, truth in judged))

    @one_step
    def _generator_step(self, batch_size: int) -> Tensor:
        codes = torch.stack(list(islice(iter(lambda: torch.randn(self.code_size, device=self.device), None), batch_size)))
        logits = self._discriminator(self._generator(codes))
        return self._classification_loss(logits, self._actmax_label.expand_as(logits))

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

    def _reconstruction_loss(self, reconstruction: Tensor, x: Tensor) -> Tensor:
        d = reconstruction - x
        return torch.einsum("nchw,nchw->", d, d) / d.numel()

    def reconstruct(self, samples: Tensor | np.ndarray) -> tuple[float, Tensor]:
        x = torch.as_tensor(samples, dtype=torch.float32, device=self.device)
        codes = nn.Parameter(torch.zeros(len(x), self.code_size, device=self.device))
        search = torch.optim.Adam([codes], self.vis_learning_rate)

        def closure():
            search.zero_grad()
            (loss := self._reconstruction_loss(self._generator(codes), x)).backward(inputs=[codes])
            return loss

        with evaluation_mode(self._generator):
            for _ in repeat(None, 500):
                search.step(closure)
            images = self._generator(codes).detach()
            return self._reconstruction_loss(images, x).item(), images.cpu()
