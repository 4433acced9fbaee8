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
from torch.func import functional_call, grad_and_value
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


# I come from JAX: parameters and state (= buffers) go in, gradients and new state come out.


def split_key() -> torch.Generator:
    return torch.Generator().manual_seed(int(torch.randint(2**31, ())))


def params_of(net: nn.Module) -> dict[str, Tensor]:
    return {k: p.detach() for k, p in net.named_parameters()}


def state_of(net: nn.Module) -> dict[str, Tensor]:
    return {k: b.clone() for k, b in net.named_buffers()}


@torch.no_grad()
def commit(net: nn.Module, state: dict[str, Tensor]) -> None:
    for k, b in net.named_buffers():
        b.copy_(state[k])


def apply_gradients(net: nn.Module, optimizer: torch.optim.Optimizer, grads: dict[str, Tensor]) -> None:
    optimizer.zero_grad()
    for k, p in net.named_parameters():
        p.grad = grads[k].detach()
    optimizer.step()


class SNConv2d(nn.Conv2d):
    """A convolution whose `weight` is a read-only property: weight_orig / sigma(weight_orig), exactly."""

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.register_parameter("weight_orig", self._parameters.pop("weight"))

    @property
    def weight(self) -> Tensor:
        w = self._parameters.get("weight_orig")
        if w is None:  # within nn.Conv2d.__init__
            raise AttributeError("weight")
        return w / torch.linalg.svdvals(w.flatten(1))[0]

    def reset_parameters(self) -> None:
        w = self._parameters.get("weight_orig", self._parameters.get("weight"))
        nn.init.kaiming_uniform_(w, a=5**0.5)
        if self.bias is not None:
            bound = w[0].numel() ** -0.5
            nn.init.uniform_(self.bias, -bound, bound)

    @classmethod
    def like(cls, conv: nn.Conv2d) -> "SNConv2d":
        new = cls(conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride, conv.padding)
        with torch.no_grad():
            new.weight_orig.copy_(conv.weight)
            new.bias.copy_(conv.bias)
        return new


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
        for name, layer in list(self.downsample.named_children()):
            if type(layer) is nn.Conv2d:
                self.downsample[int(name)] = SNConv2d.like(layer)


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
        self.add_module("_generator", Generator(self.code_size).to(device))
        self.add_module("_discriminator", (SpectralNormDiscriminator() if spectral_norm else Discriminator()).to(device))
        self._weight_initialization()
        adam = dict(lr=self.learning_rate, betas=(0.5, 0.999))
        self.optimizerG = torch.optim.Adam(list(self._generator.parameters()), **adam)
        self.optimizerD = torch.optim.Adam(list(self._discriminator.parameters()), **adam)

    @property
    def device(self) -> torch.device:
        return self.tracked_noise.device

    def _weight_initialization(self) -> None:
        for path, layer in self.named_modules():
            if path == "" or not path.startswith(("_generator", "_discriminator")):
                continue
            if isinstance(layer, nn.modules.conv._ConvNd):
                normal_weight_(layer, 0.0, 0.02)
            elif isinstance(layer, nn.modules.batchnorm._BatchNorm):
                nn.init.normal_(layer.weight, 1.0, 0.02)
                nn.init.zeros_(layer.bias)

    def _classification_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        log_real, log_fake = F.logsigmoid(logits), F.logsigmoid(-logits)
        return -(labels * log_real + (1.0 - labels) * log_fake).mean()

    def training_step(self, real: Tensor) -> tuple[float, float]:
        self.train()
        dis_loss = self._discriminator_step(real)
        gen_loss = self._generator_step(len(real))
        return dis_loss, gen_loss

    def _discriminator_step(self, real: Tensor) -> float:
        G, D = self._generator, self._discriminator
        codes = torch.randn(len(real), self.code_size, generator=split_key()).to(self.device)
        g_state = state_of(G)
        with torch.no_grad():
            fakes = functional_call(G, (params_of(G), g_state), (codes,))
        commit(G, g_state)

        def loss_fn(params, state, real, fakes):
            on_real = functional_call(D, (params, state), (real,))
            on_fake = functional_call(D, (params, state), (fakes,))
            loss = self._classification_loss(on_real, torch.ones_like(on_real)) + self._classification_loss(
                on_fake, torch.zeros_like(on_fake)
            )
            return loss, state

        grads, (loss, d_state) = grad_and_value(loss_fn, has_aux=True)(params_of(D), state_of(D), real, fakes)
        commit(D, d_state)
        apply_gradients(D, self.optimizerD, grads)
        return loss.item()

    def _generator_step(self, batch_size: int) -> float:
        G, D = self._generator, self._discriminator
        codes = torch.randn(batch_size, self.code_size, generator=split_key()).to(self.device)

        def loss_fn(g_params, g_state, d_params, d_state, codes):
            logits = functional_call(D, (d_params, d_state), (functional_call(G, (g_params, g_state), (codes,)),))
            return self._classification_loss(logits, torch.ones_like(logits)), g_state

        # "the discriminator is used but not updated": its new running averages are thrown away as well
        grads, (loss, g_state) = grad_and_value(loss_fn, has_aux=True)(
            params_of(G), state_of(G), params_of(D), state_of(D), codes
        )
        commit(G, g_state)
        apply_gradients(G, self.optimizerG, grads)
        return loss.item()

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
        return torch.sum((reconstruction - x) ** 2) / x.numel()

    def reconstruct(self, samples: Tensor | np.ndarray) -> tuple[float, Tensor]:
        G = self._generator
        x = torch.as_tensor(samples).float().to(self.device)
        params, state = params_of(G), state_of(G)

        def loss_fn(codes):
            images = functional_call(G, (params, state), (codes,))
            return self._reconstruction_loss(images, x), images

        step = grad_and_value(loss_fn, has_aux=True)
        codes = x.new_zeros(x.shape[0], self.code_size)
        adam = torch.optim.Adam([codes], lr=self.vis_learning_rate)
        with evaluation_mode(G):
            for _ in range(500):
                codes.grad, _ = step(codes)
                adam.step()
            with torch.no_grad():
                loss, images = loss_fn(codes)
        return loss.item(), images.cpu()
