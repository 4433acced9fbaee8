"""Problem 1, part 1: an auto-encoder for MNIST.

An encoder compresses an image of 784 pixels into a short code, and a decoder reconstructs the image from the
code. Both are trained together, with one objective: the reconstruction should match the original.

Shapes used throughout Problem 1 (N is the batch size, nz the length of a code, 32 in the handout):

    images from a data loader   (N, 1, 28, 28)   float32, in [0, 1]
    images for a model          (N, 1, 784)      the same pixels, flattened
    codes                       (N, 1, nz)

Everything runs on the model's device. Create new tensors with `device=...` (or with functions such as
`torch.zeros_like`, which use the device of their argument), so that the same code runs on a CPU and on a GPU.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from torch.utils.data import BatchSampler, RandomSampler

log = logging.getLogger(__name__)


@contextmanager
def training_mode(model: nn.Module, training: bool = True) -> Iterator[None]:
    """Training (or evaluation) mode inside the block; every part is back in its own mode afterwards."""
    before = [(module, module.training) for module in model.modules()]
    model.train(training)
    try:
        yield
    finally:
        for module, mode in before:
            module.training = mode


@contextmanager
def tap(module: nn.Module) -> Iterator[list]:
    """Collect a module's outputs inside the block."""
    seen: list = []
    handle = module.register_forward_hook(lambda module, args, output: seen.append(output))
    try:
        yield seen
    finally:
        handle.remove()


class GradientMonitor:
    """A full backward hook that remembers how large the gradients at a module's output were."""

    def __init__(self) -> None:
        self.norms: list[float] = []

    def __call__(self, module: nn.Module, grad_input: tuple, grad_output: tuple) -> None:
        self.norms.extend(float(gradient.norm()) for gradient in grad_output if gradient is not None)

    def report(self, name: str) -> None:
        if self.norms:
            log.debug("%s: largest gradient %.3g in %d calls", name, max(self.norms), len(self.norms))


class Flatten(nn.Module):
    """(N, 1, 28, 28) on any device -> (N, 1, 784) on `device`."""

    def __init__(self, device: torch.device | str) -> None:
        super().__init__()
        self.device = device
        self.flatten = nn.Flatten(start_dim=2)

    def forward(self, images: Tensor) -> Tensor:
        return self.flatten(images.to(self.device))


class ReconstructionCriterion(nn.Module):
    """`reconstruction_loss` as a module, so that hooks can be attached to it."""

    def forward(self, x_hat: Tensor, x: Tensor) -> Tensor:
        return reconstruction_loss(x_hat, x)


class Middle(nn.Module):
    """Gives codes and images their middle axis: (N, n) or (N, 1, n) -> (N, 1, n)."""

    def forward(self, z: Tensor) -> Tensor:
        return z.unsqueeze(1) if z.dim() == 2 else z


def clear_gradients(optimizer: torch.optim.Optimizer, args: tuple, kwargs: dict) -> None:
    """A hook for after the step."""
    optimizer.zero_grad(set_to_none=True)


_bce = nn.BCELoss(reduction="none")


class Encoder(nn.Module):
    """Maps a flattened image to a code.

    Question 1-1 (6 points, together with `Decoder` and `make_data_loader`)

    The layers, stored as `self.net`:
        Linear(input_size, 256), ReLU, Linear(256, 64), ReLU, Linear(64, nz)

    There is no activation after the last layer: a code can take any real values.

    Args:
        nz: length of a code.
        input_size: number of pixels, 784 for MNIST. The conditional models of question 1-8 use other sizes.

    Example:
        >>> Encoder(nz=32, input_size=784)(torch.rand(5, 1, 784)).shape
        torch.Size([5, 1, 32])
    """

    def __init__(self, nz: int, input_size: int) -> None:
        super().__init__()
        self.net = nn.Sequential()
        self.net.append(nn.Linear(input_size, 256)).append(nn.ReLU())
        self.net.append(nn.Linear(256, 64)).append(nn.ReLU())
        self.net.append(nn.Linear(64, nz))

    def forward(self, x: Tensor) -> Tensor:
        """Encode a batch.

        Args:
            x: flattened images, (N, 1, input_size) or (N, input_size).

        Returns:
            The codes: the leading shape of `x` with nz last, so (N, 1, nz) or (N, nz).
        """
        return self.net(x)


class Decoder(nn.Module):
    """Maps a code to a flattened image.

    Question 1-1 (6 points, together with `Encoder` and `make_data_loader`)

    The layers, stored as `self.net`:
        Linear(nz, 64), ReLU, Linear(64, 256), ReLU, Linear(256, output_size), Sigmoid

    The final sigmoid maps every pixel to [0, 1].

    Args:
        nz: length of a code.
        output_size: number of pixels, 784 for MNIST.

    Example:
        >>> Decoder(nz=32, output_size=784)(torch.randn(5, 32)).shape
        torch.Size([5, 1, 784])
    """

    def __init__(self, nz: int, output_size: int) -> None:
        super().__init__()
        self.net = nn.Sequential()
        self.net.append(nn.Linear(nz, 64)).append(nn.ReLU())
        self.net.append(nn.Linear(64, 256)).append(nn.ReLU())
        self.net.append(nn.Linear(256, output_size)).append(nn.Sigmoid())
        self.middle = Middle()
        self.register_forward_pre_hook(self._add_axis, with_kwargs=True)

    def forward(self, z: Tensor) -> Tensor:
        """Decode a batch.

        Args:
            z: codes, (N, nz) or (N, 1, nz).

        Returns:
            Flattened images (N, 1, output_size), every value in [0, 1]. The result has the middle
            axis for both forms of `z`.
        """
        return self.net(z)

    def _add_axis(self, module: nn.Module, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
        """Forward pre-hook: both forms of codes become (N, 1, nz)."""
        z = args[0] if args else kwargs["z"]
        return (self.middle(z),), {}


def make_data_loader(dataset: Dataset, batch_size: int = 64, num_workers: int = 0) -> DataLoader:
    """Load a data set in batches, in a new order every epoch.

    Question 1-1 (6 points, together with `Encoder` and `Decoder`)

    Args:
        dataset: the examples, for instance from `data.load_mnist()`.
        batch_size: number of examples per batch. An incomplete last batch is dropped.
        num_workers: number of worker processes that load examples; 0 is best for data that is already in
            memory.

    Returns:
        A loader that yields pairs (images, labels).

    Example:
        >>> from torch.utils.data import TensorDataset
        >>> dataset = TensorDataset(torch.rand(10, 1, 28, 28), torch.arange(10))
        >>> loader = make_data_loader(dataset, batch_size=4)
        >>> [len(labels) for images, labels in loader]
        [4, 4]
    """
    batches = BatchSampler(RandomSampler(dataset), batch_size=batch_size, drop_last=True)
    return DataLoader(dataset, batch_sampler=batches, num_workers=num_workers)


class AutoEncoder(nn.Module):
    """An encoder followed by a decoder (given).

    Args:
        nz: length of a code.
        image_size: number of pixels of a square image.

    Example:
        >>> AutoEncoder(nz=32)(torch.rand(5, 1, 784)).shape
        torch.Size([5, 1, 784])
    """

    def __init__(self, nz: int, image_size: int = 784) -> None:
        super().__init__()
        self.encoder = Encoder(nz, image_size)
        self.decoder = Decoder(nz, image_size)

    def forward(self, x: Tensor) -> Tensor:
        """Encode and decode flattened images: (N, 1, image_size) -> (N, 1, image_size)."""
        return self.decoder(self.encoder(x))

    @torch.no_grad()
    def reconstruct(self, x: Tensor) -> Tensor:
        """Encode and decode, for display: (N, 1, 784) -> (N, 28, 28), with no graph attached."""
        x_hat = self(x)
        side = math.isqrt(x_hat.shape[-1])
        return x_hat.reshape(len(x), side, side)


def reconstruction_loss(x_hat: Tensor, x: Tensor) -> Tensor:
    """Binary cross-entropy between reconstructed and original images.

    Question 1-2 (6 points, together with `train_autoencoder`)

    Per pixel: -[x log(x_hat) + (1 - x) log(1 - x_hat)], in nats. The loss is the mean over *every* element:
    all pixels of all images. It must stay finite where x_hat is exactly 0 or 1 (PyTorch's function handles
    that).

    The two arguments are not interchangeable: the prediction comes first, the target second.

    Args:
        x_hat: the model's reconstructions (N, 1, 784), in [0, 1].
        x: the originals, as (N, 1, 28, 28), (N, 1, 784) or (N, 784).

    Returns:
        A scalar (0-dim) tensor. It is not 0 for a perfect reconstruction if the image contains grey pixels,
        because a grey pixel has an entropy of its own.

    Example:
        >>> x_hat = torch.full((5, 1, 784), 0.5)
        >>> reconstruction_loss(x_hat, torch.rand(5, 1, 28, 28))  # log 2 for any originals
        tensor(0.6931)
    """
    errors = _bce(x_hat, x.reshape_as(x_hat))
    return errors.sum() / errors.numel()


def train_autoencoder(
    model: nn.Module,
    loader: DataLoader,
    epochs: int,
    learning_rate: float,
    device: torch.device | str = "cpu",
) -> list[float]:
    """Train an auto-encoder in place.

    Question 1-2 (6 points, together with `reconstruction_loss`)

    Use one Adam optimiser for the whole run, with `learning_rate` and otherwise PyTorch's defaults, and take
    exactly one step per batch.

    Args:
        model: maps images (N, 1, 784) to images (N, 1, 784). It is already on `device`.
        loader: yields (images, labels) with images (N, 1, 28, 28), on the CPU. The labels are not used here.
        epochs: how many times to go through the loader.
        learning_rate: Adam's learning rate.
        device: where to compute. Move every batch there.

    Returns:
        The loss of every iteration as a plain float: epochs * len(loader) numbers. (Return numbers, not
        tensors: a loss tensor keeps its whole graph in memory.)

    Example:
        >>> losses = train_autoencoder(model, loader, epochs=10, learning_rate=1e-3)
        >>> losses[0], losses[-1]  # about 0.69 and 0.09 on MNIST
    """
    losses: list[float] = []
    flat = Flatten(device)
    criterion = ReconstructionCriterion()
    monitor = GradientMonitor()
    with ExitStack() as stack:
        stack.enter_context(training_mode(model))
        optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
        optimizer.zero_grad()  # whatever was there before
        stack.callback(optimizer.register_step_post_hook(clear_gradients).remove)
        criterion.register_forward_hook(lambda module, args, loss: losses.append(loss.item()))
        criterion.register_full_backward_hook(monitor)
        for _ in range(epochs):
            for images, _labels in loader:
                x = flat(images)
                criterion(model(x), x).backward()
                optimizer.step()
    monitor.report("reconstruction loss")
    return losses


def sample_images(model: nn.Module, num_samples: int, nz: int, device: torch.device | str = "cpu") -> Tensor:
    """Generate new images by decoding random codes.

    Question 1-3 (2 points)

    Args:
        model: has a `decoder` that maps codes (num_samples, nz) to images (num_samples, 1, 784). A VAE also
            has one.
        num_samples: number of images to generate.
        nz: length of a code.
        device: where the model is.

    Returns:
        Images (num_samples, 1, 28, 28) in [0, 1] with no graph attached, decoded from codes z ~ N(0, I) that
        are drawn anew at every call.

    Example:
        >>> sample_images(AutoEncoder(nz=32), num_samples=16, nz=32).shape
        torch.Size([16, 1, 28, 28])
    """
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode())
        stack.enter_context(training_mode(model, False))
        codes = torch.empty(num_samples, nz, device=device).normal_()
        return model.decoder(codes).reshape(num_samples, 1, 28, 28)
