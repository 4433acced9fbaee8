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

import math
import sys
from collections.abc import Iterator
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
    """Fill a layer's weight, in place, with samples from N(mean, std), spectral-normed or not (given).

    This function avoids a trap: spectral normalisation makes `layer.weight` a *computed* tensor,
    W / sigma(W). The underlying parameter has another name: `layer.parametrizations.weight.original`, or
    `layer.weight_orig` with PyTorch's older API. `nn.init.normal_(layer.weight, ...)` then usually fills a
    computed tensor that is replaced before the layer uses it: it raises no error, but initialises nothing.
    """
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
    """Put a network in evaluation mode for the duration of a `with` block (given).

    In evaluation mode, batch normalisation uses its running averages and does not update them. Afterwards,
    every part of the network is back in its previous mode, even if the block raised an exception.

    Example:
        >>> with evaluation_mode(dcgan._generator):
        ...     images = dcgan._generator(codes)
    """
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
    """Whether to hide progress bars: the output is neither a terminal nor a notebook."""
    return not (sys.stderr.isatty() or "ipykernel" in sys.modules)


# --- Mine ------------------------------------------------------------------------------------------------


class SpectralConv2d(nn.Module):
    """A convolution whose weight is divided by its exact largest singular value, at every use.

    No power iteration: the largest eigenvalue of W W^T, with one row per output channel, is the square of the
    largest singular value, and this matrix is at most 128 x 128. The parameter is called `weight_orig`, so that
    `normal_weight_` finds it.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.stride, self.padding = conv.stride, conv.padding
        self.weight_orig = nn.Parameter(conv.weight.detach().clone())
        self.bias = nn.Parameter(conv.bias.detach().clone())

    @property
    def weight(self) -> Tensor:
        matrix = self.weight_orig.flatten(1)
        sigma = torch.linalg.eigvalsh(matrix @ matrix.T)[-1].sqrt()  # ascending order
        return self.weight_orig / sigma

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight, self.bias, self.stride, self.padding)


class Standardise(nn.BatchNorm2d):
    """Batch normalisation, through the functional form."""

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.num_batches_tracked.add_(1)
        return F.batch_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            training=self.training,
            momentum=self.momentum,
            eps=self.eps,
        )


class SpectralNormDiscriminator(Discriminator):
    """The discriminator with spectral normalisation on its three convolutions."""

    def __init__(self) -> None:
        super().__init__()
        for i, layer in enumerate(list(self.downsample)):
            if isinstance(layer, nn.Conv2d):
                self.downsample[i] = SpectralConv2d(layer)
            elif isinstance(layer, nn.BatchNorm2d):
                self.downsample[i] = Standardise(layer.num_features)


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """No gradients for the parameters of a network inside a `with` block; they flow through it all the same."""
    flags = [(parameter, parameter.requires_grad) for parameter in network.parameters()]
    network.requires_grad_(False)
    try:
        yield
    finally:
        for parameter, flag in flags:
            parameter.requires_grad_(flag)


class DCGAN(nn.Module):
    """A generator and a discriminator, with methods to train and use them."""

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
        self._generator = Generator(self.code_size)
        self._discriminator = (Discriminator, SpectralNormDiscriminator)[bool(spectral_norm)]()
        self._weight_initialization()
        self.to(device)
        self.optimizerD, self.optimizerG = (
            torch.optim.Adam(network.parameters(), lr=self.learning_rate, betas=(0.5, 0.999))
            for network in (self._discriminator, self._generator)
        )

    @property
    def device(self) -> torch.device:
        """The current device of the model (given)."""
        return self.tracked_noise.device

    def _weight_initialization(self) -> None:
        """Convolutions of all kinds: N(0, 0.02). Batch normalisation: N(1, 0.02) and bias 0."""
        convolutions = (nn.Conv2d, nn.ConvTranspose2d, SpectralConv2d)
        for layer in self.modules():
            if isinstance(layer, convolutions):
                normal_weight_(layer, 0.0, 0.02)
            elif isinstance(layer, nn.BatchNorm2d):
                normal_weight_(layer, 1.0, 0.02)
                nn.init.constant_(layer.bias, 0.0)

    def _classification_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """-[y log s(l) + (1 - y) log(1 - s(l))], where 1 - s(l) = s(-l): two log-sigmoids, no rounded sigmoid."""
        return -(labels * F.logsigmoid(logits) + (1 - labels) * F.logsigmoid(-logits)).mean()

    def _noise(self, n: int) -> Tensor:
        return self.tracked_noise.new_empty(n, self.code_size).normal_()

    def training_step(self, real: Tensor) -> tuple[float, float]:
        """One step of the discriminator, then one step of the generator."""
        self.train()
        dis_loss = self._discriminator_step(real)
        gen_loss = self._generator_step(len(real))
        return dis_loss, gen_loss

    def _discriminator_step(self, real: Tensor) -> float:
        """Fakes first (without a graph), then one closure step of `optimizerD`."""
        with torch.no_grad():
            fakes = self._generator(self._noise(len(real)))
        seen = []

        def closure() -> Tensor:
            self.optimizerD.zero_grad()
            on_fakes = self._discriminator(fakes)
            on_real = self._discriminator(real)
            loss = self._classification_loss(on_fakes, torch.zeros_like(on_fakes))
            loss = loss + self._classification_loss(on_real, torch.ones_like(on_real))
            loss.backward()
            seen.append(loss.item())
            return loss

        self.optimizerD.step(closure)
        return seen[-1]

    def _generator_step(self, batch_size: int) -> float:
        """The discriminator's parameters stand still, and do not even get gradients."""
        noise = self._noise(batch_size)
        seen = []

        def closure() -> Tensor:
            self.optimizerG.zero_grad()
            logits = self._discriminator(self._generator(noise))
            loss = self._classification_loss(logits, torch.ones_like(logits))
            loss.backward()
            seen.append(loss.item())
            return loss

        with frozen(self._discriminator):
            self.optimizerG.step(closure)
        return seen[-1]

    def fit(self, samples: Tensor | np.ndarray, epochs: int | None = None) -> History:
        """Train on images (given).

        (It is not called `train`: every nn.Module has a method of that name, which sets the training mode.)

        Args:
            samples: images (n, 3, 32, 32), float32 in [0, 1], n >= 2, an array or a tensor. It is not
                modified, and does not need to be on the model's device.
            epochs: number of passes over the images; None means `num_epoch`.

        Returns:
            The losses of every iteration, and samples after every `visualize_step` epochs.
            Plot them with `figures.gan_losses` and `figures.gan_samples`.

        Raises:
            ValueError: fewer than two images, too few for batch normalisation.

        Example:
            >>> history = dcgan.fit(load_cifar10(), epochs=1)
            >>> len(history.dis_loss)  # 50,000 images make 390 full batches of 128
            390
            >>> np.mean(history.dis_loss), np.mean(history.gen_loss)  # about 0.3 and 3.7 in the first epoch
        """
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
        """Images of codes (N, 64) in evaluation mode: (N, 3, 32, 32) on the CPU, with no graph attached (given)."""
        with evaluation_mode(self._generator):
            return self._generator(codes.to(self.device)).cpu()

    def actmax(self, codes: Tensor, steps: int = 500) -> tuple[float, Tensor]:
        """Activation maximisation: find codes whose images the discriminator classifies as real (given).

        Adam at `vis_learning_rate` optimises the codes, not the networks, to reduce the classification loss
        with label "real". Both networks are in evaluation mode, and remain unchanged.

        Args:
            codes: the initial codes, (N, 64). They are not modified.
            steps: number of Adam steps.

        Returns:
            The loss at the final codes, and their images (N, 3, 32, 32) on the CPU, with no graph attached.

        Example:
            >>> loss, images = dcgan.actmax(dcgan.tracked_noise)
        """
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
        """Mean squared error, over every element."""
        return (reconstruction - x).square().mean()

    def reconstruct(self, samples: Tensor | np.ndarray) -> tuple[float, Tensor]:
        """500 steps of Adam on the codes, from zero. Adam (Kingma and Ba 2015, algorithm 1) is written out."""
        target = torch.as_tensor(samples).detach().to(self.tracked_noise)  # its device and dtype
        beta1, beta2, eps = 0.9, 0.999, 1e-8
        codes = target.new_zeros(len(target), self.code_size)
        mean = torch.zeros_like(codes)
        square = torch.zeros_like(codes)
        with evaluation_mode(self._generator), frozen(self._generator):
            for t in range(1, 501):
                point = codes.clone().requires_grad_()
                loss = self._reconstruction_loss(self._generator(point), target)
                (slope,) = torch.autograd.grad(loss, point)
                mean.mul_(beta1).add_(slope, alpha=1 - beta1)
                square.mul_(beta2).addcmul_(slope, slope, value=1 - beta2)
                root = square.sqrt().div_(math.sqrt(1 - beta2**t)).add_(eps)
                codes.addcdiv_(mean, root, value=-self.vis_learning_rate / (1 - beta1**t))
            with torch.no_grad():
                images = self._generator(codes)
                loss = self._reconstruction_loss(images, target)
        return loss.item(), images.cpu()
