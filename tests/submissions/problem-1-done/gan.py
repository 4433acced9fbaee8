"""Problem 2: a DCGAN for CIFAR-10.

A generator draws images from noise; a discriminator tells drawn images from real ones. They are trained
against each other, one step each in turn.

Shapes (N is the batch size):

    images    (N, 3, 32, 32)   float32, in [0, 1]
    codes     (N, 64)          noise, z ~ N(0, I)
    logits    (N, 1)           the discriminator's belief before the sigmoid; above 0 means "real"

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
    """Draws images from codes: (N, code_size) -> (N, 3, 32, 32), in [0, 1] (given)."""

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
    """Judges images: (N, 3, 32, 32) -> logits (N, 1) (given)."""

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
    """Fill the weight of a layer, in place, with numbers from N(mean, std), spectral-normed or not (given).

    The trap that this function is for: spectral normalisation makes `layer.weight` a *computed* tensor, W /
    sigma(W). The parameter behind it has another name: `layer.parametrizations.weight.original`, or
    `layer.weight_orig` with PyTorch's older form. `nn.init.normal_(layer.weight, ...)` then fills a tensor
    that is thrown away at the next look: no error, and no initialisation either.
    """
    if parametrize.is_parametrized(layer, "weight"):
        nn.init.normal_(layer.parametrizations.weight.original, mean, std)
        # sigma(W) is estimated by power iteration, from vectors that still fit the old weight. Every look at
        # the weight in training mode takes one more iteration.
        for _ in range(50):
            _ = layer.weight
    elif hasattr(layer, "weight_orig"):
        nn.init.normal_(layer.weight_orig, mean, std)
    else:
        nn.init.normal_(layer.weight, mean, std)


@contextmanager
def evaluation_mode(network: nn.Module) -> Iterator[None]:
    """Put a network in evaluation mode for the length of a `with` block (given).

    In evaluation mode batch normalisation uses its running averages, and leaves them alone. Afterwards every
    part of the network is in the mode that it was in, also when the block raised an exception.

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
    """What `DCGAN.fit` returns (given).

    dis_loss, gen_loss: one number per iteration.
    samples: pairs (epoch, images (64, 3, 32, 32)): what the generator drew from `tracked_noise` after that
        epoch.
    """

    dis_loss: list[float] = field(default_factory=list)
    gen_loss: list[float] = field(default_factory=list)
    samples: list[tuple[int, Tensor]] = field(default_factory=list)


def _nobody_watches() -> bool:
    """Whether progress bars would only fill a log file: no terminal and no notebook."""
    return not (sys.stderr.isatty() or "ipykernel" in sys.modules)


# --- Yours -----------------------------------------------------------------------------------------------


class SpectralNormDiscriminator(Discriminator):
    """The discriminator with spectral normalisation on its convolutions.

    Question 2-3 (4 points)

    The same layers as `Discriminator`, but all three convolutions are spectral-normed: their weight, seen as
    a matrix with one row per output channel, is divided by its largest singular value (Miyato et al. 2018,
    equation 8), so that each of them stretches no input by more than that matrix does, by a factor of 1. `fc`
    may be normed too.

    Example:
        >>> SpectralNormDiscriminator()(torch.rand(5, 3, 32, 32)).shape
        torch.Size([5, 1])
    """

    def __init__(self) -> None:
        super().__init__()
        # TODO 2-3: write SpectralNormDiscriminator.__init__
        # The layers are there already, in self.downsample; `parametrizations.spectral_norm(layer)` changes
        # one in place. Then read `normal_weight_` again: does your `_weight_initialization` reach them?
        raise NotImplementedError("2-3: write SpectralNormDiscriminator.__init__")


class DCGAN(nn.Module):
    """A generator and a discriminator, and how they are trained and used.

    Question 2-1a (7 points): `__init__`, `_weight_initialization`, `_classification_loss`
    Question 2-1b (13 points): `training_step`, by way of `_discriminator_step` and `_generator_step`
    Question 2-4 (12 points): `_reconstruction_loss`, `reconstruct`

    Attributes that `__init__` makes:
        _generator: a `Generator` for codes of length `code_size`.
        _discriminator: a `Discriminator`; a `SpectralNormDiscriminator` when `spectral_norm` is true.
        optimizerG, optimizerD: Adam with `learning_rate` and betas (0.5, 0.999) (Radford et al. 2016, section
            4), each for the parameters of its own network and of no other.

    Given before your part: `tracked_noise`, 64 codes that stay the same, to watch the generator learn, and
    `_actmax_label`, used by `actmax`. Both are buffers: they move along when the model is moved.

    Args:
        spectral_norm: whether the discriminator is spectral-normed.
        device: where the networks, buffers and optimisers live; None means the GPU where there is one, else
            the CPU.

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
        # TODO 2-1a: write DCGAN.__init__
        # 1. Make the two networks and move them to the device.
        # 2. Initialise them: a method that nobody calls initialises nothing.
        # 3. Make the two optimisers, after the networks are where they stay.
        raise NotImplementedError("2-1a: write DCGAN.__init__")

    @property
    def device(self) -> torch.device:
        """Where the model is now (given)."""
        return self.tracked_noise.device

    def _weight_initialization(self) -> None:
        """Initialise both networks as DCGAN does (Radford et al. 2016, section 4).

        Question 2-1a (7 points, together with `__init__` and `_classification_loss`)

        Every weight of a convolution or a transposed convolution ~ N(0, 0.02); every weight of a batch
        normalisation ~ N(1, 0.02), and its bias 0. (0.02 is the standard deviation.) Linear layers keep
        PyTorch's default.
        """
        # TODO 2-1a: write DCGAN._weight_initialization
        # Go through all layers of both networks with `modules()`. `normal_weight_` above reaches
        # spectral-normed layers.
        raise NotImplementedError("2-1a: write DCGAN._weight_initialization")

    def _classification_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Sigmoid, then binary cross-entropy: how wrong the discriminator's beliefs are.

        Question 2-1a (7 points, together with `__init__` and `_weight_initialization`)

        Args:
            logits: the discriminator's answers (N, 1), any real numbers.
            labels: 1 for "real" and 0 for "fake", as floats, (N, 1).

        Returns:
            A scalar tensor: the mean, in nats. It must be right for large logits too: at a logit of 100 and
            the label 0 it is 100. A sigmoid that is rounded to exactly 1 cannot tell that; find PyTorch's
            function for both at once.

        Example:
            >>> dcgan._classification_loss(torch.tensor([[100.0]]), torch.tensor([[0.0]]))
            tensor(100.)
        """
        # TODO 2-1a: write DCGAN._classification_loss
        raise NotImplementedError("2-1a: write DCGAN._classification_loss")

    def training_step(self, real: Tensor) -> tuple[float, float]:
        """One step of the discriminator, then one step of the generator.

        Question 2-1b (13 points): write the two methods that it calls.

        Args:
            real: a batch of real images (N, 3, 32, 32), N >= 2, on the model's device.

        Returns:
            The discriminator's and the generator's loss, as floats. Both networks are left in training mode.

        Example:
            >>> dis_loss, gen_loss = dcgan.training_step(images[:128].to(dcgan.device))
        """
        self.train()
        dis_loss = self._discriminator_step(real)
        gen_loss = self._generator_step(len(real))
        return dis_loss, gen_loss

    def _discriminator_step(self, real: Tensor) -> float:
        """Teach the discriminator, once, to tell `real` from as many fakes.

        Question 2-1b (13 points, together with `_generator_step`)

        The discriminator sees two batches, one after the other and not joined into one: all real, with label
        1, and all fake, with label 0. (Batch normalisation is why they are kept apart: it would mix their
        statistics.) The loss is the *sum* of both classification losses; then one step of `optimizerD`.

        The fakes come from new noise z ~ N(0, I), one code per real image. They are detached from the
        generator, which must get no gradient here.

        Args:
            real: real images (N, 3, 32, 32).

        Returns:
            The loss as a float.
        """
        # TODO 2-1b: write DCGAN._discriminator_step
        # 1. Draw the noise on the model's device and make the fakes, detached.
        # 2. The loss of the real batch plus the loss of the fake batch; labels have the shape of the logits.
        # 3. Clear the discriminator's old gradients (the generator's step leaves some there), backward, step.
        raise NotImplementedError("2-1b: write DCGAN._discriminator_step")

    def _generator_step(self, batch_size: int) -> float:
        """Teach the generator, once, to be taken for real.

        Question 2-1b (13 points, together with `_discriminator_step`)

        New noise, new fakes, and the non-saturating loss (Goodfellow et al. 2014, section 3): the
        classification loss of the fakes with label 1. One step of `optimizerG`; the discriminator is used,
        and not changed.

        Args:
            batch_size: how many fakes to draw.

        Returns:
            The loss as a float.
        """
        # TODO 2-1b: write DCGAN._generator_step
        raise NotImplementedError("2-1b: write DCGAN._generator_step")

    def fit(self, samples: Tensor | np.ndarray, epochs: int | None = None) -> History:
        """Train on images (given).

        (It is not called `train`: every nn.Module has a method of that name, which sets the training mode.)

        Args:
            samples: images (n, 3, 32, 32), float32 in [0, 1], n >= 2, an array or a tensor. It is not
                changed, and need not be on the model's device.
            epochs: how many times to go through the images; None means `num_epoch`.

        Returns:
            The losses of every iteration, and samples after every `visualize_step` epochs.
            `figures.gan_losses` and `figures.gan_samples` draw them.

        Raises:
            ValueError: fewer than two images, which batch normalisation cannot work with.

        Example:
            >>> history = dcgan.fit(load_cifar10(), epochs=1)
            >>> len(history.dis_loss)  # 50,000 images make 390 full batches of 128
            390
        """
        images = torch.as_tensor(samples, dtype=torch.float32)
        if len(images) < 2:
            raise ValueError(f"at least 2 images are needed to train on, got {len(images)}")
        epochs = self.num_epoch if epochs is None else epochs
        batch_size = min(self.batch_size, len(images))
        batches = len(images) // batch_size  # full ones only
        history = History()
        with tqdm(total=epochs * batches, unit="batch", disable=_nobody_watches()) as progress:
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
        """Draw images in evaluation mode: codes (N, 64) -> (N, 3, 32, 32) on the CPU, no graph (given)."""
        with evaluation_mode(self._generator):
            return self._generator(codes.to(self.device)).cpu()

    def actmax(self, codes: Tensor, steps: int = 500) -> tuple[float, Tensor]:
        """Activation maximisation: find codes whose images the discriminator takes for real (given).

        Adam at `vis_learning_rate` changes the codes, not the networks, so that the classification loss with
        label "real" falls. Both networks are in evaluation mode, and are left as they were.

        Args:
            codes: where to start, (N, 64). They are not changed.
            steps: number of Adam steps.

        Returns:
            The loss at the final codes, and their images (N, 3, 32, 32) on the CPU, without a graph.

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
        """Mean squared error.

        Question 2-4 (12 points, together with `reconstruct`)

        Args:
            reconstruction, x: images (N, 3, 32, 32).

        Returns:
            A scalar tensor: the mean over every element.
        """
        # TODO 2-4: write DCGAN._reconstruction_loss
        raise NotImplementedError("2-4: write DCGAN._reconstruction_loss")

    def reconstruct(self, samples: Tensor | np.ndarray) -> tuple[float, Tensor]:
        """Find the codes whose images are nearest to the given ones.

        Question 2-4 (12 points, together with `_reconstruction_loss`)

        The codes start at zero. Exactly 500 Adam steps at `vis_learning_rate` (and PyTorch's default betas)
        change the codes alone, so that `_reconstruction_loss` falls. The generator is in evaluation mode
        meanwhile. Afterwards both networks are as they were: the same parameters and running averages, the
        same modes, no gradient left behind.

        Args:
            samples: images (N, 3, 32, 32), float32 in [0, 1]: a tensor on any device, or an array (code that
                takes only one of the two will do).

        Returns:
            The loss at the final codes as a float, and their images (N, 3, 32, 32) on the CPU, without a
            graph.

        Example:
            >>> loss, images = dcgan.reconstruct(load_cifar10(train=False)[:64])

        What to expect: the loss alone says little, since flat grey images reach 0.064 on those 64 images and
        an untrained generator 0.063 to 0.068. A trained one gets to 0.028 after one epoch, and
        to 0.015 after 25.
        """
        # TODO 2-4: write DCGAN.reconstruct
        # `actmax` above does nearly the same.
        raise NotImplementedError("2-4: write DCGAN.reconstruct")
