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
        # TODO 2-3: write SpectralNormDiscriminator.__init__
        # The layers already exist, in self.downsample, and `torch.nn.utils.parametrizations` has a function that
        # changes a layer in place. Then reread `normal_weight_`: does your `_weight_initialization` reach them?
        raise NotImplementedError("2-3: write SpectralNormDiscriminator.__init__")


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
        # TODO 2-1a: write DCGAN.__init__
        # 1. Create the two networks and move them to the device.
        # 2. Initialise them: remember to call your initialisation method.
        # 3. Create the two optimisers, after the networks are on their final device.
        raise NotImplementedError("2-1a: write DCGAN.__init__")

    @property
    def device(self) -> torch.device:
        """The current device of the model (given)."""
        return self.tracked_noise.device

    def _weight_initialization(self) -> None:
        """Initialise the layers of both networks, almost as Radford et al. (2016, section 4) do.

        Question 2-1a (7 points, together with `__init__` and `_classification_loss`)

        Every weight of a convolution or a transposed convolution ~ N(0, 0.02); every weight of a batch
        normalisation layer ~ N(1, 0.02), and its bias is 0. (0.02 is the standard deviation.) Linear layers
        and the biases of convolutions keep PyTorch's default.
        """
        # TODO 2-1a: write DCGAN._weight_initialization
        # Iterate over all layers of both networks with `modules()`. `normal_weight_` above also works for
        # spectral-normed layers.
        raise NotImplementedError("2-1a: write DCGAN._weight_initialization")

    def _classification_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Sigmoid, then binary cross-entropy: the error of the discriminator's predictions.

        Question 2-1a (7 points, together with `__init__` and `_weight_initialization`)

        Args:
            logits: the discriminator's outputs (N, 1), any real numbers.
            labels: 1 for "real" and 0 for "fake", as floats, (N, 1).

        Returns:
            A scalar tensor: the mean, in nats. It must also be correct for large logits: for a logit of 50
            and the label 0 it is 50. A sigmoid rounded to exactly 1 loses this value; find the PyTorch
            function that combines both operations.

        Example:
            >>> dcgan._classification_loss(torch.tensor([[50.0]]), torch.tensor([[0.0]]))
            tensor(50.)
        """
        # TODO 2-1a: write DCGAN._classification_loss
        raise NotImplementedError("2-1a: write DCGAN._classification_loss")

    def training_step(self, real: Tensor) -> tuple[float, float]:
        """One step of the discriminator, then one step of the generator.

        Question 2-1b (13 points): write the two methods that this method calls.

        Args:
            real: a batch of real images (N, 3, 32, 32), N >= 2, on the model's device.

        Returns:
            The discriminator's and the generator's loss, as floats. Both networks end up in training mode.

        Example:
            >>> dis_loss, gen_loss = dcgan.training_step(images[:128].to(dcgan.device))
            >>> dis_loss, gen_loss  # in the first step about 1.4 and 1.4, on CIFAR-10
        """
        self.train()
        dis_loss = self._discriminator_step(real)
        gen_loss = self._generator_step(len(real))
        return dis_loss, gen_loss

    def _discriminator_step(self, real: Tensor) -> float:
        """Train the discriminator for one step to distinguish `real` from an equal number of fakes.

        Question 2-1b (13 points, together with `_generator_step`)

        The discriminator processes two separate batches: all real images, with label 1, and all fake images,
        with label 0. (Do not concatenate them: batch normalisation would mix their statistics.) The loss is
        the *sum* of both classification losses. Then take one step of `optimizerD`.

        The fakes come from new noise z ~ N(0, I), one code per real image. They are detached from the
        generator, which must receive no gradient here.

        Args:
            real: real images (N, 3, 32, 32).

        Returns:
            The loss as a float.
        """
        # TODO 2-1b: write DCGAN._discriminator_step
        # 1. Sample the noise on the model's device and generate the fakes, detached.
        # 2. Add the losses of the real batch and the fake batch; labels have the shape of the logits.
        # 3. Clear the discriminator's old gradients (the generator's step leaves some), backward, step.
        raise NotImplementedError("2-1b: write DCGAN._discriminator_step")

    def _generator_step(self, batch_size: int) -> float:
        """Train the generator for one step to make images that the discriminator classifies as real.

        Question 2-1b (13 points, together with `_discriminator_step`)

        Use new noise, new fakes, and the non-saturating loss (Goodfellow et al. 2014, section 3): the
        classification loss of the fakes with label 1. Take one step of `optimizerG`. Both networks stay in
        training mode; of the discriminator, only the running averages change.

        Args:
            batch_size: number of fakes to generate.

        Returns:
            The loss as a float.
        """
        # TODO 2-1b: write DCGAN._generator_step
        # As above: clear the generator's old gradients before the backward pass.
        raise NotImplementedError("2-1b: write DCGAN._generator_step")

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
            >>> loss  # about 0.01 after 25 epochs
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
        """Find the codes whose images are closest to the given ones.

        Question 2-4 (12 points, together with `_reconstruction_loss`)

        The codes start at zero. Exactly 500 Adam steps at `vis_learning_rate` (with PyTorch's default betas)
        optimise only the codes, to reduce `_reconstruction_loss`. The generator is in evaluation mode during
        the search. Afterwards both networks are unchanged: the same parameters and running averages, the same
        modes, and no new gradients on them.

        Args:
            samples: images (N, 3, 32, 32), float32 in [0, 1]: a tensor on any device, as in the notebook. (You
                may support arrays as well.)

        Returns:
            The loss at the final codes as a float, and their images (N, 3, 32, 32) on the CPU, with no graph
            attached.

        Example:
            >>> loss, images = dcgan.reconstruct(load_cifar10(train=False)[:64])

        What to expect: the loss alone says little, since uniformly grey images reach 0.064 on those 64 images
        and an untrained generator 0.063 to 0.068. A trained generator reaches 0.028 after one epoch, and
        0.015 after 25.
        """
        # TODO 2-4: write DCGAN.reconstruct
        # `actmax` above is very similar.
        raise NotImplementedError("2-4: write DCGAN.reconstruct")
