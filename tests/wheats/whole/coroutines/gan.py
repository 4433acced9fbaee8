"""Problem 2: a DCGAN for CIFAR-10, with generators in both senses of the word.

Shapes (N is the batch size): images (N, 3, 32, 32) in [0, 1]; codes (N, 64); logits (N, 1).
"""

import sys
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize, spectral_norm
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


@contextmanager
def frozen(network: nn.Module) -> Iterator[nn.Module]:
    """Within the `with` block, no parameter of the network collects gradients."""
    with ExitStack() as stack:
        for parameter in network.parameters():
            stack.callback(parameter.requires_grad_, parameter.requires_grad)
            parameter.requires_grad_(False)
        yield network


@torch.no_grad()
def settle(layer: nn.Module, iterations: int = 50) -> None:
    """Let the power iterations of a spectral-normed layer (PyTorch's older form, a hook) converge."""
    for _ in range(iterations):
        for hook in layer._forward_pre_hooks.values():
            hook(layer, ())


class SpectralNormDiscriminator(Discriminator):
    """The discriminator with spectral normalisation on its three convolutions."""

    def __init__(self) -> None:
        super().__init__()
        for layer in self.convolutions():
            settle(spectral_norm(layer))

    def convolutions(self) -> Iterator[nn.Conv2d]:
        yield from (layer for layer in self.downsample if isinstance(layer, nn.Conv2d))


class DCGAN(nn.Module):
    """A generator and a discriminator, with methods to train and use them.

    Args:
        spectral_norm: whether the discriminator is spectral-normed.
        device: the device of the networks, buffers and optimisers; None means the GPU if there is one,
            otherwise the CPU.
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
        self._generator = Generator(self.code_size).to(device)
        self._discriminator = (SpectralNormDiscriminator if spectral_norm else Discriminator)().to(device)
        self._weight_initialization()
        self.optimizerG, self.optimizerD = (
            torch.optim.Adam(network.parameters(), lr=self.learning_rate, betas=(0.5, 0.999))
            for network in (self._generator, self._discriminator)
        )

    @property
    def device(self) -> torch.device:
        """The current device of the model (given)."""
        return self.tracked_noise.device

    def _layers(self) -> Iterator[tuple[nn.Module, float]]:
        """Yield every layer that is initialised, with the mean of its weight."""
        for network in (self._generator, self._discriminator):
            for layer in network.modules():
                if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
                    yield layer, 0.0
                elif isinstance(layer, nn.BatchNorm2d):
                    yield layer, 1.0

    def _weight_initialization(self) -> None:
        """Convolutions ~ N(0, 0.02), batch normalisation ~ N(1, 0.02) with bias 0, the rest as it is."""
        for layer, mean in self._layers():
            normal_weight_(layer, mean, 0.02)
            if isinstance(layer, nn.BatchNorm2d):
                layer.bias.data.zero_()
            settle(layer)  # layers without hooks have nothing to settle

    def _classification_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Sigmoid, then binary cross-entropy: the mean, in nats. The logarithm of a sigmoid is one function."""
        real, fake = F.logsigmoid(logits), F.logsigmoid(-logits)  # log D, and log(1 - D)
        return -(labels * real + (1 - labels) * fake).mean()

    def _noise(self) -> Iterator[Tensor]:
        """An endless stream of codes, one (code_size,) after the other."""
        while True:
            yield torch.randn(self.code_size, device=self.device, dtype=self.tracked_noise.dtype)

    def _fakes(self, count: int) -> Tensor:
        """Images of `count` new codes, with the generator's graph."""
        return self._generator(torch.stack([*islice(self._noise(), count)]))

    def training_step(self, real: Tensor) -> tuple[float, float]:
        """One step of the discriminator, then one step of the generator, on the same new fakes."""
        self.train()
        dis_loss, gen_loss = self._turns(real)
        return dis_loss, gen_loss

    def _turns(self, real: Tensor) -> Iterator[float]:
        """Yield the loss of each player after its turn."""
        fakes = self._fakes(len(real))
        yield self._discriminator_step(real, fakes)
        yield self._generator_step(len(real), fakes)

    def _discriminator_step(self, real: Tensor, fakes: Tensor | None = None) -> float:
        """One step on an all-real and an all-fake batch. The generator gets no gradient."""
        real = real.to(self.device)
        fakes = (self._fakes(len(real)) if fakes is None else fakes).detach()

        def losses() -> Iterator[Tensor]:
            for images, make_labels in ((real, torch.ones_like), (fakes, torch.zeros_like)):
                logits = self._discriminator(images)
                yield self._classification_loss(logits, make_labels(logits))

        def closure() -> Tensor:
            self.optimizerD.zero_grad()
            loss = sum(losses())
            loss.backward()
            return loss

        return self.optimizerD.step(closure).item()

    def _generator_step(self, batch_size: int, fakes: Tensor | None = None) -> float:
        """One step on fakes with the label "real". The discriminator is frozen, but for its averages."""
        fakes = self._fakes(batch_size) if fakes is None else fakes

        def closure() -> Tensor:
            self.optimizerG.zero_grad()
            logits = self._discriminator(fakes)
            loss = self._classification_loss(logits, torch.ones_like(logits))
            loss.backward()
            return loss

        with frozen(self._discriminator):
            return self.optimizerG.step(closure).item()

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
        """Mean squared error, the mean over every element."""
        return (reconstruction - x).square().mean()

    def _search(self, target: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the loss and the images before every step of Adam on the codes, which start at zero. Endless."""
        codes = torch.zeros(len(target), self.code_size, device=self.device, dtype=target.dtype, requires_grad=True)
        optimizer = torch.optim.Adam([codes], lr=self.vis_learning_rate)
        while True:
            images = self._generator(codes)

            def closure() -> Tensor:
                optimizer.zero_grad()
                loss = self._reconstruction_loss(images, target)
                loss.backward()
                return loss

            loss = optimizer.step(closure)
            yield loss.detach(), images.detach()

    def reconstruct(self, samples: Tensor | np.ndarray) -> tuple[float, Tensor]:
        """Find the codes whose images are closest to the given ones (N, 3, 32, 32), in 500 steps.

        Returns:
            The loss before the last step, and the images (N, 3, 32, 32) of the same codes, on the CPU, without
            a graph.
        """
        target = torch.as_tensor(samples).to(self.device, self.tracked_noise.dtype)
        with ExitStack() as stack:
            stack.enter_context(evaluation_mode(self._generator))
            stack.enter_context(frozen(self._generator))
            stack.enter_context(torch.enable_grad())
            ((loss, images),) = deque(islice(self._search(target), 500), maxlen=1)
        return loss.item(), images.cpu()
