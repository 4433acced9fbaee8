"""Problem 2: a DCGAN for CIFAR-10."""

import copy
import logging
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize
from tqdm import tqdm

logger = logging.getLogger(__name__)
torch.backends.cudnn.benchmark = True

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

EMA_DECAY = 0.999
ADAM_BETAS = (0.5, 0.999)
INVERSION_STEPS = 500


def weights_init(m: nn.Module) -> None:
    """Custom weight initialisation called on both networks (by class name, as in the original code)."""
    classname = m.__class__.__name__
    if classname.find("Conv") != -1:  # also ParametrizedConv2d
        normal_weight_(m, 0.0, 0.02)
    elif classname.find("BatchNorm") != -1:
        nn.init.normal_(m.weight.data, 1.0, 0.02)
        nn.init.constant_(m.bias.data, 0)


@contextmanager
def frozen(network: nn.Module) -> Iterator[nn.Module]:
    """requires_grad_(False) inside the block, the previous flags afterwards."""
    flags = [p.requires_grad for p in network.parameters()]
    network.requires_grad_(False)
    try:
        yield network
    finally:
        for p, flag in zip(network.parameters(), flags):
            p.requires_grad_(flag)


class SpectralNormDiscriminator(Discriminator):
    """SN on every layer with a weight matrix, the classifier included."""

    def __init__(self) -> None:
        super().__init__()
        for m in list(self.modules()):
            if isinstance(m, (nn.Conv2d, nn.Linear)):
                parametrizations.spectral_norm(m, n_power_iterations=3)


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
        self._generator = Generator(self.code_size).to(device)
        self._discriminator = (SpectralNormDiscriminator if spectral_norm else Discriminator)().to(device)
        self._weight_initialization()

        # Averaged generator, to watch how much the raw one jitters. Neither trained nor sampled from.
        self._generator_ema = copy.deepcopy(self._generator).eval().requires_grad_(False)

        self.optimizerG = torch.optim.Adam(self._generator.parameters(), lr=self.learning_rate, betas=ADAM_BETAS)
        self.optimizerD = torch.optim.Adam(self._discriminator.parameters(), lr=self.learning_rate, betas=ADAM_BETAS)
        self._stats: dict[str, deque[float]] = {}

    @property
    def device(self) -> torch.device:
        """The current device of the model (given)."""
        return self.tracked_noise.device

    def _weight_initialization(self) -> None:
        for network in (self._generator, self._discriminator):
            network.apply(weights_init)

    def _classification_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        log_d, log_one_minus_d = F.logsigmoid(logits), F.logsigmoid(-logits)
        return -torch.lerp(log_one_minus_d, log_d, labels).mean()

    def _log(self, network: nn.Module, **values: float) -> None:
        """Running statistics, for debugging: dcgan._stats."""
        norms = [p.grad.norm() for p in network.parameters() if p.grad is not None]
        values[f"grad_norm_{type(network).__name__}"] = torch.linalg.vector_norm(torch.stack(norms)).item()
        for name, value in values.items():
            if not np.isfinite(value):
                logger.warning("%s is %s", name, value)
            self._stats.setdefault(name, deque(maxlen=self.log_step)).append(value)

    @torch.no_grad()
    def _update_ema(self) -> None:
        for ema_p, p in zip(self._generator_ema.parameters(), self._generator.parameters()):
            ema_p.lerp_(p, 1 - EMA_DECAY)
        for ema_b, b in zip(self._generator_ema.buffers(), self._generator.buffers()):
            ema_b.copy_(b)

    def _sample_noise(self, n: int) -> Tensor:
        return torch.distributions.Normal(0.0, 1.0).sample((n, self.code_size)).to(self.device)

    def training_step(self, real: Tensor) -> tuple[float, float]:
        """One step of the discriminator, then one step of the generator.

        Question 2-1b (13 points): write the two methods that this method calls.

        Args:
            real: a batch of real images (N, 3, 32, 32), N >= 2, on the model's device.

        Returns:
            The discriminator's and the generator's loss, as floats. Both networks end up in training mode.

        Example:
            >>> dis_loss, gen_loss = dcgan.training_step(images[:128].to(dcgan.device))
        """
        self.train()
        dis_loss = self._discriminator_step(real)
        gen_loss = self._generator_step(len(real))
        return dis_loss, gen_loss

    def _discriminator_step(self, real: Tensor) -> float:
        with frozen(self._generator):
            fake = self._generator(self._sample_noise(real.shape[0]))
        assert not fake.requires_grad

        @torch.enable_grad()
        def closure() -> Tensor:
            self.optimizerD.zero_grad()
            # Two backward passes, which add up, so that only one graph is in memory at a time.
            logits_real = self._discriminator(real)
            loss_real = self._classification_loss(logits_real, torch.ones_like(logits_real))
            loss_real.backward()
            logits_fake = self._discriminator(fake)
            loss_fake = self._classification_loss(logits_fake, torch.zeros_like(logits_fake))
            loss_fake.backward()
            self._log(
                self._discriminator,
                d_real=logits_real.detach().sigmoid().mean().item(),
                d_fake=logits_fake.detach().sigmoid().mean().item(),
            )
            return loss_real.detach() + loss_fake.detach()

        return self.optimizerD.step(closure).item()

    def _generator_step(self, batch_size: int) -> float:
        self.optimizerG.zero_grad()
        with frozen(self._discriminator) as discriminator:
            logits = discriminator(self._generator(self._sample_noise(batch_size)))
            loss = self._classification_loss(logits, logits.new_ones(logits.shape))
            loss.backward()
        self._log(self._generator, g_loss=loss.item())
        self.optimizerG.step()
        self._update_ema()
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
        return F.mse_loss(reconstruction, x, reduction="none").mean(dim=(1, 2, 3)).mean()

    @torch.no_grad()
    def reconstruct(self, samples: Tensor | np.ndarray) -> tuple[float, Tensor]:
        """GAN inversion by latent optimisation."""
        x = torch.from_numpy(samples) if isinstance(samples, np.ndarray) else samples
        x = x.to(self.device, torch.float32)
        z = nn.Parameter(torch.zeros(x.shape[0], self.code_size, device=self.device))
        optimizer = torch.optim.Adam([z], lr=self.vis_learning_rate)

        @torch.enable_grad()
        def closure() -> Tensor:
            optimizer.zero_grad(set_to_none=True)
            loss = self._reconstruction_loss(self._generator(z), x)
            loss.backward()
            return loss

        with evaluation_mode(self._generator), frozen(self._generator):
            trajectory = []
            for _ in tqdm(range(INVERSION_STEPS), desc="inversion", leave=False, disable=_is_quiet()):
                trajectory.append(optimizer.step(closure).detach())
            x_rec = self._generator(z)
            loss = self._reconstruction_loss(x_rec, x)
        if trajectory:
            logger.info("inversion: %.4f -> %.4f", trajectory[0].item(), loss.item())
        return loss.item(), x_rec.cpu()
