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


# --- Yours -----------------------------------------------------------------------------------------------


class SpectralNormDiscriminator(Discriminator):
    def __init__(self) -> None:
        super().__init__()
        self.downsample.apply(
            lambda layer: parametrizations.spectral_norm(layer, n_power_iterations=2) if isinstance(layer, nn.Conv2d) else None
        )
        parametrizations.spectral_norm(self.fc)


class Codes(nn.Module):
    """Codes as a module of one parameter."""

    def __init__(self, start: Tensor) -> None:
        super().__init__()
        self.values = nn.Parameter(start.detach().clone())

    def forward(self) -> Tensor:
        return self.values


class CodeAdam(torch.optim.Adam):
    """Adam for codes: counts its steps."""

    def __init__(self, codes: Codes, lr: float) -> None:
        super().__init__(codes.parameters(), lr=lr)
        self.count = 0

    def minimise(self, loss: Tensor) -> None:
        self.zero_grad()
        loss.backward()
        self.step()
        self.count += 1


@contextmanager
def preserved(network: nn.Module) -> Iterator[None]:
    """Evaluation mode and no gradients for the network; afterwards all is as before, bit for bit."""
    modes = [(m, m.training) for m in network.modules()]
    grads = [(p, p.requires_grad, p.grad) for p in network.parameters()]
    network.eval()
    for p, _, _ in grads:
        p.requires_grad = False
    try:
        yield
    finally:
        for p, flag, grad in grads:
            p.requires_grad = flag
            p.grad = grad
        for m, mode in modes:
            m.train(mode) if not list(m.children()) else setattr(m, "training", mode)


class DCGAN(nn.Module):
    num_epoch = 25
    batch_size = 128
    log_step = 100
    visualize_step = 2
    code_size = 64
    learning_rate = 2e-4
    vis_learning_rate = 1e-2
    chunk = 200

    tracked_noise: Tensor
    _actmax_label: Tensor

    def __init__(self, spectral_norm: bool = False, device: torch.device | str | None = None) -> None:
        super().__init__()
        if device is None:
            device = "cuda" if torch.cuda.is_available() else "cpu"
        self.register_buffer("tracked_noise", torch.randn(64, self.code_size, device=device))
        self.register_buffer("_actmax_label", torch.ones(1, 1, device=device))
        self._generator = Generator(self.code_size).to(device=device)
        self._discriminator = {True: SpectralNormDiscriminator, False: Discriminator}[spectral_norm]().to(device=device)
        self._weight_initialization()
        self.optimizerG = self._adam(self._generator)
        self.optimizerD = self._adam(self._discriminator)

    def _adam(self, network: nn.Module) -> torch.optim.Adam:
        groups = [{"params": list(m.parameters(recurse=False))} for m in network.modules()]
        groups = [g for g in groups if g["params"]]
        return torch.optim.AdamW(groups, lr=self.learning_rate, betas=[0.5, 0.999], weight_decay=0)

    @property
    def device(self) -> torch.device:
        return self.tracked_noise.device

    def _weight_initialization(self) -> None:
        for layer in self.modules():
            if isinstance(layer, nn.modules.conv._ConvNd):
                normal_weight_(layer, 0.0, 0.02)
            if isinstance(layer, nn.modules.batchnorm._BatchNorm):
                nn.init.normal_(layer.weight, mean=1.0, std=0.02)
                nn.init.zeros_(layer.bias)

    _classification_loss = staticmethod(F.binary_cross_entropy_with_logits)

    def training_step(self, real: Tensor) -> tuple[float, float]:
        self.train()
        return [self._discriminator_step(real), self._generator_step(real.shape[0])]

    def _discriminator_step(self, real: Tensor) -> float:
        n = real.shape[0]
        with torch.no_grad():
            fake = self._generator(torch.randn(n, self.code_size).to(self.device))
        logits_real, logits_fake = map(self._discriminator, (real, fake))
        loss_real = self._classification_loss(logits_real, torch.ones_like(logits_real))
        loss_fake = self._classification_loss(logits_fake, torch.zeros_like(logits_fake))
        self.optimizerD.zero_grad()
        weights = list(self._discriminator.parameters())
        for w, a, b in zip(weights, torch.autograd.grad(loss_real, weights), torch.autograd.grad(loss_fake, weights)):
            w.grad = a + b
        self.optimizerD.step()
        return loss_real.item() + loss_fake.item()

    def _generator_step(self, batch_size: int) -> float:
        flags = [p.requires_grad for p in self._discriminator.parameters()]
        self._discriminator.requires_grad_(False)
        try:
            logits = self._discriminator(self._generator(torch.randn(batch_size, self.code_size, device=self.device)))
            loss = self._classification_loss(logits, torch.ones_like(logits))
            self.optimizerG.zero_grad()
            loss.backward()
            self.optimizerG.step()
        finally:
            for p, flag in zip(self._discriminator.parameters(), flags):
                p.requires_grad_(flag)
        return loss.item()

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

    def _search(self, start: Tensor, objective, steps: int) -> tuple[Tensor, Tensor]:
        """Optimise codes. Returns the loss of, and the images at, the final codes."""
        codes = Codes(start.to(self.device))
        adam = CodeAdam(codes, lr=self.vis_learning_rate)
        with torch.enable_grad(), preserved(self):
            while adam.count < steps:
                adam.minimise(objective(self._generator(codes())))
            images = self._generator(codes()).detach()
            loss = objective(images).detach()
        return loss, images

    def actmax(self, codes: Tensor, steps: int = 500) -> tuple[float, Tensor]:
        def disbelief(images: Tensor) -> Tensor:
            logits = self._discriminator(images)
            return self._classification_loss(logits, self._actmax_label.expand_as(logits))

        loss, images = self._search(codes, disbelief, steps)
        return loss.item(), images.cpu()

    _reconstruction_loss = staticmethod(F.mse_loss)

    def reconstruct(self, samples):
        import copy

        target = torch.as_tensor(samples).to(self.device, torch.float64)
        generator = copy.deepcopy(self._generator).double().eval()
        codes = torch.zeros(len(target), self.code_size, dtype=torch.float64, device=self.device, requires_grad=True)
        adam = torch.optim.Adam([codes], lr=self.vis_learning_rate)
        for _ in range(500):
            adam.zero_grad()
            self._reconstruction_loss(generator(codes), target).backward()
            adam.step()
        images = generator(codes).detach()
        return float(self._reconstruction_loss(images, target)), images.float().cpu()
