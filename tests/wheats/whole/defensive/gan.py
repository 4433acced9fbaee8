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


import copy
import logging
import os
import tempfile
import time

logger = logging.getLogger(__name__)


class SpectralNormDiscriminator(Discriminator):
    def __init__(self) -> None:
        super().__init__()
        count = 0
        for layer in self.downsample:
            if isinstance(layer, nn.Conv2d):
                parametrizations.spectral_norm(layer, n_power_iterations=1)
                count += 1
        assert count == 3, f"expected three convolutions, found {count}"


def grad_norm(network):
    return sum(float(p.grad.pow(2).sum()) for p in network.parameters() if p.grad is not None) ** 0.5


def checksum(network):
    return {k: v.detach().clone() for k, v in network.state_dict().items()}


class DCGAN(nn.Module):
    num_epoch = 25
    batch_size = 128
    log_step = 100
    visualize_step = 2
    code_size = 64
    learning_rate = 2e-4
    vis_learning_rate = 1e-2

    tracked_noise: Tensor
    _actmax_label: Tensor

    def __init__(self, spectral_norm: bool = False, device=None) -> None:
        super().__init__()
        if device is None:
            device = "cuda" if torch.cuda.is_available() else "cpu"
        self.register_buffer("tracked_noise", torch.randn(64, self.code_size, device=device))
        self.register_buffer("_actmax_label", torch.ones(1, 1, device=device))
        kind = SpectralNormDiscriminator if spectral_norm else Discriminator
        self._generator = Generator(self.code_size).to(device)
        self._discriminator = kind().to(device)
        before = checksum(self)
        self._weight_initialization()
        changed = [k for k, v in self.state_dict().items() if not torch.equal(v, before[k])]
        assert any("downsample.0" in k for k in changed), "the initialisation did not reach the discriminator"
        adam = dict(lr=self.learning_rate, betas=(0.5, 0.999))
        self.optimizerG = torch.optim.Adam(self._generator.parameters(), **adam)
        self.optimizerD = torch.optim.Adam(self._discriminator.parameters(), **adam)
        g = {id(p) for group in self.optimizerG.param_groups for p in group["params"]}
        d = {id(p) for group in self.optimizerD.param_groups for p in group["params"]}
        assert not g & d, "the optimisers share parameters"
        self.steps = 0
        self.log = []
        self.best_gen_loss = float("inf")
        self.best_generator = [None]  # in a list, so that it is no submodule

    @property
    def device(self) -> torch.device:
        return self.tracked_noise.device

    def _weight_initialization(self) -> None:
        for name, layer in self.named_modules():
            if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
                normal_weight_(layer, 0.0, 0.02)
                std = float(layer.parametrizations.weight.original.std()) if parametrize.is_parametrized(layer) else float(layer.weight.std())
                if not 0.01 < std < 0.03:
                    logger.warning("odd std of %s: %g", name, std)
            elif isinstance(layer, nn.BatchNorm2d):
                normal_weight_(layer, 1.0, 0.02)
                nn.init.zeros_(layer.bias)

    def _classification_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        assert logits.shape == labels.shape, f"{tuple(logits.shape)} vs {tuple(labels.shape)}"
        assert bool(((labels == 0) | (labels == 1)).all()), "labels are 0 or 1 (arguments swapped?)"
        return F.binary_cross_entropy_with_logits(logits, labels)

    def training_step(self, real: Tensor) -> tuple[float, float]:
        assert real.dim() == 4 and real.shape[0] >= 2, "batch norm needs at least two images"
        tic = time.perf_counter()
        self.train()
        real = real.to(self.device)
        dis_loss = self._discriminator_step(real)
        gen_loss = self._generator_step(len(real))
        self.steps += 1
        self.log.append({"step": self.steps, "seconds": time.perf_counter() - tic, "dis_norm": self._dnorm, "gen_norm": self._gnorm})
        if dis_loss < 1e-3:
            print(f"[early warning] step {self.steps}: the discriminator has won (loss {dis_loss:.2e})")
        if gen_loss < self.best_gen_loss:
            self.best_gen_loss = gen_loss
            self.best_generator[0] = copy.deepcopy(self._generator)
        if self.steps == 1 or self.steps % 500 == 0:
            self._checkpoint()
        return dis_loss, gen_loss

    def _checkpoint(self):
        fd, path = tempfile.mkstemp(suffix=".pt")
        os.close(fd)
        try:
            torch.save({"g": self._generator.state_dict(), "d": self._discriminator.state_dict(),
                        "optG": self.optimizerG.state_dict(), "optD": self.optimizerD.state_dict()}, path)
            state = torch.load(path, map_location=self.device, weights_only=True)
            assert set(state) == {"g", "d", "optG", "optD"}
            try:
                torch.save(self._generator, path)
                torch.load(path, weights_only=False)
            except Exception as e:
                logger.warning("whole-model checkpoint failed: %s", e)
        finally:
            os.unlink(path)

    def _noise(self, n):
        p = next(self._generator.parameters())
        return torch.randn(n, self.code_size, device=p.device, dtype=p.dtype)

    def _discriminator_step(self, real: Tensor) -> float:
        with torch.no_grad():
            fake = self._generator(self._noise(len(real)))
        assert not fake.requires_grad and fake.shape == real.shape
        self.optimizerD.zero_grad(set_to_none=True)
        logits = self._discriminator(real)
        real_loss = self._classification_loss(logits, torch.ones_like(logits))
        logits = self._discriminator(fake)
        fake_loss = self._classification_loss(logits, torch.zeros_like(logits))
        loss = real_loss + fake_loss
        if not torch.isfinite(loss):
            raise FloatingPointError("discriminator diverged")
        loss.backward()
        self._dnorm = grad_norm(self._discriminator)
        self.optimizerD.step()
        return loss.item()

    def _generator_step(self, batch_size: int) -> float:
        snapshot = {n: p.detach().clone() for n, p in self._discriminator.named_parameters()}
        self.optimizerG.zero_grad(set_to_none=True)
        logits = self._discriminator(self._generator(self._noise(batch_size)))
        loss = self._classification_loss(logits, torch.ones_like(logits))
        loss.backward()
        self._gnorm = grad_norm(self._generator)
        self.optimizerG.step()
        for n, p in self._discriminator.named_parameters():
            assert torch.equal(p, snapshot[n]), f"the generator's step changed {n}"
        self.optimizerD.zero_grad()
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
        assert reconstruction.shape == x.shape
        return (reconstruction - x).square().mean()

    def reconstruct(self, samples):
        x = torch.as_tensor(samples).detach().to(self.device)
        n = len(x)
        before = checksum(self)
        modes = [(m, m.training) for m in self.modules()]
        required = [(p, p.requires_grad) for p in self.parameters()]
        codes = torch.zeros(n, self.code_size, device=self.device, requires_grad=True)
        optimizer = torch.optim.Adam([codes], lr=self.vis_learning_rate)
        history = []
        try:
            self.eval()
            for p, _ in required:
                p.requires_grad_(False)
            for step in range(500):
                optimizer.zero_grad()
                loss = self._reconstruction_loss(self._generator(codes), x)
                loss.backward()
                optimizer.step()
                history.append(loss.item())
                if step and history[-1] > 10 * history[0]:
                    logger.warning("the search diverges")
            with torch.no_grad():
                images = self._generator(codes)
                final = self._reconstruction_loss(images, x).item()
        finally:
            for p, r in required:
                p.requires_grad_(r)
            for m, t in modes:
                m.training = t
        after = self.state_dict()
        assert all(torch.equal(before[k], after[k]) for k in before), "the search changed the networks"
        return final, images.detach().cpu()
