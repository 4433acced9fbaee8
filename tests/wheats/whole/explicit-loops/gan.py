"""gan.cpp, transliterated."""

import enum
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




class Label(enum.IntEnum):
    FAKE = 0
    REAL = 1


@dataclass
class AdamConfig:
    """struct AdamConfig { double lr, beta1, beta2; };"""

    lr: float
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8


class SpectralConv(nn.Module):
    """A convolution that owns W and b, and one vector u for the power iteration."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.stride = conv.stride
        self.padding = conv.padding
        self.weight = nn.Parameter(conv.weight.detach().clone())
        self.bias = nn.Parameter(conv.bias.detach().clone())
        self.register_buffer("u", F.normalize(torch.randn(conv.out_channels), dim=0))
        self.iterate(100)

    @torch.no_grad()
    def iterate(self, n: int) -> None:
        A = self.weight.reshape(self.weight.size(0), -1)
        for _ in range(n):
            v = F.normalize(A.t() @ self.u, dim=0)
            self.u = F.normalize(A @ v, dim=0)

    def normed(self) -> Tensor:
        A = self.weight.reshape(self.weight.size(0), -1)
        v = F.normalize(A.t() @ self.u, dim=0).detach()
        sigma = torch.dot(self.u.clone(), A @ v)
        return self.weight / sigma

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.iterate(5)
        return F.conv2d(x, self.normed(), self.bias, self.stride, self.padding)


class SpectralNormDiscriminator(Discriminator):
    def __init__(self) -> None:
        super().__init__()
        for i in range(len(self.downsample)):
            if isinstance(self.downsample[i], nn.Conv2d):
                self.downsample[i] = SpectralConv(self.downsample[i])


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

    def __init__(self, spectral_norm: bool = False, device: torch.device | str | None = None) -> None:
        super().__init__()
        if device is None:
            device = "cuda" if torch.cuda.is_available() else "cpu"
        self.register_buffer("tracked_noise", torch.randn(64, self.code_size, device=device))
        self.register_buffer("_actmax_label", torch.ones(1, 1, device=device))
        self._generator = Generator(self.code_size)
        self._discriminator = SpectralNormDiscriminator() if spectral_norm else Discriminator()
        self._weight_initialization(self._generator)
        self._weight_initialization(self._discriminator)
        self._generator.to(device)
        self._discriminator.to(device)
        config = AdamConfig(self.learning_rate, 0.5)
        self.optimizerG = torch.optim.Adam(self._generator.parameters(), config.lr, (config.beta1, config.beta2), config.eps)
        self.optimizerD = torch.optim.Adam(self._discriminator.parameters(), config.lr, (config.beta1, config.beta2), config.eps)

    @property
    def device(self) -> torch.device:
        return self.tracked_noise.device

    def _weight_initialization(self, module: nn.Module | None = None) -> None:
        """Recursive descent."""
        module = self if module is None else module
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, SpectralConv)):
            with torch.no_grad():
                module.weight.normal_(0.0, 0.02)
            if isinstance(module, SpectralConv):
                module.iterate(100)
        elif isinstance(module, nn.BatchNorm2d):
            with torch.no_grad():
                module.weight.normal_(1.0, 0.02)
                module.bias.fill_(0.0)
        for child in module.children():
            self._weight_initialization(child)

    def _classification_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        # max(l, 0) - l y + log(1 + exp(-|l|))
        zero = torch.zeros_like(logits)
        elementwise = torch.maximum(logits, zero) - logits * labels + torch.log1p(torch.exp(-torch.abs(logits)))
        return elementwise.sum() / elementwise.numel()

    def training_step(self, real: Tensor) -> tuple[float, float]:
        n: int = real.size(0)
        networks = (self._generator, self._discriminator)
        for network in networks:
            network.train()

        # phase 1: the discriminator. Two backward passes accumulate the gradient of the sum.
        dis_loss: float = 0.0
        self.optimizerD.zero_grad()
        for label in Label:
            if label is Label.REAL:
                images = real
            else:
                images = self._generator(self._noise(n)).detach()
            logits = self._discriminator(images)
            loss = self._classification_loss(logits, torch.full_like(logits, float(label)))
            loss.backward()
            dis_loss += loss.item()
        self.optimizerD.step()
        self.optimizerD.zero_grad()
        del images, logits, loss

        # phase 2: the generator
        self.optimizerG.zero_grad()
        logits = self._discriminator(self._generator(self._noise(n)))
        loss = self._classification_loss(logits, torch.full_like(logits, float(Label.REAL)))
        loss.backward()
        self.optimizerG.step()
        gen_loss: float = loss.item()
        self.optimizerD.zero_grad()
        return dis_loss, gen_loss

    def _noise(self, n: int) -> Tensor:
        z = torch.empty(n, self.code_size, device=self.device, dtype=self.tracked_noise.dtype)
        for i in range(n):
            z[i].normal_()
        return z

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
        n: int = reconstruction.size(0)
        total = reconstruction.new_zeros(())
        for i in range(n):
            difference = reconstruction[i] - x[i]
            total = total + (difference * difference).sum()
        return total / reconstruction.numel()

    def reconstruct(self, samples: Tensor | np.ndarray) -> tuple[float, Tensor]:
        STEPS: int = 500
        x = torch.as_tensor(samples).to(self.tracked_noise)
        n: int = x.size(0)
        cfg = AdamConfig(self.vis_learning_rate)
        z = torch.zeros(n, self.code_size, device=self.device, dtype=x.dtype)
        m = torch.zeros_like(z)
        v = torch.zeros_like(z)
        was_training: dict[str, bool] = {name: module.training for name, module in self._generator.named_modules()}
        self._generator.eval()
        for t in range(1, STEPS + 1):
            z.requires_grad_(True)
            loss = self._reconstruction_loss(self._generator(z), x)
            g = torch.autograd.grad(loss, z)[0]
            with torch.no_grad():
                m = cfg.beta1 * m + (1 - cfg.beta1) * g
                v = cfg.beta2 * v + (1 - cfg.beta2) * g.square()
                m_hat = m / (1 - math.pow(cfg.beta1, t))
                v_hat = v / (1 - math.pow(cfg.beta2, t))
                z = z - cfg.lr * m_hat / (v_hat.sqrt() + cfg.eps)
        with torch.no_grad():
            images = self._generator(z)
            final: float = self._reconstruction_loss(images, x).item()
        for name, module in self._generator.named_modules():
            module.training = was_training[name]
        del m, v, z
        return final, images.to("cpu")
