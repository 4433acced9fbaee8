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

import logging
import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, RandomSampler

log = logging.getLogger(__name__)

PIXELS = 28 * 28
BLOCK = 1 << 14  # elements per block of a sum
TINY = torch.finfo(torch.float64).tiny  # smallest normal number
BELOW_ONE = 1 - torch.finfo(torch.float64).eps / 2  # largest number below 1


class Welford:
    """Running mean and variance (Welford 1962), stable for long sequences."""

    def __init__(self) -> None:
        self.n, self.mean, self.m2 = 0, 0.0, 0.0

    def add(self, value: float) -> None:
        self.n += 1
        delta = value - self.mean
        self.mean += delta / self.n
        self.m2 += delta * (value - self.mean)

    @property
    def std(self) -> float:
        return math.sqrt(self.m2 / (self.n - 1)) if self.n > 1 else math.nan

    def __str__(self) -> str:
        return f"{self.mean:.6g} +- {self.std:.2g} ({self.n})"


def _perceptron(*widths: int) -> nn.Sequential:
    """Affine maps between the given widths, with ReLUs in between."""
    net = nn.Sequential()
    for a, b in pairwise(widths):
        net.append(nn.Linear(a, b)).append(nn.ReLU())
    return net[:-1]  # no ReLU after the last map


def _set_gradients(theta: list[Tensor], f: Tensor) -> None:
    """grad := df/dtheta. (backward() would add to the old gradient.)"""
    for w, g in zip(theta, torch.autograd.grad(f, theta, allow_unused=True)):
        w.grad = g


def _bernoulli_nll(p: Tensor, t: Tensor) -> Tensor:
    """-[t log p + (1 - t) log(1 - p)], elementwise, float64.

    The clamps change only p = 0 and p = 1, whose logarithms become -708 and -37. log1p avoids forming 1 - p.
    """
    log_p = torch.log(p.clamp_min(TINY))
    log_q = torch.log1p(-p.clamp_max(BELOW_ONE))
    return -torch.lerp(log_q, log_p, t)


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
        self.net = _perceptron(input_size, 256, 64, nz)

    def forward(self, x: Tensor) -> Tensor:
        """Encode a batch.

        Args:
            x: flattened images, (N, 1, input_size) or (N, input_size).

        Returns:
            The codes: the leading shape of `x` with nz last, so (N, 1, nz) or (N, nz).
        """
        *lead, k = x.shape
        codes = self.net(x.reshape(-1, k))  # one matrix product
        return codes.reshape(*lead, codes.shape[-1])


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
        self.net = _perceptron(nz, 64, 256, output_size)
        self.net.append(nn.Sigmoid())

    def forward(self, z: Tensor) -> Tensor:
        """Decode a batch.

        Args:
            z: codes, (N, nz) or (N, 1, nz).

        Returns:
            Flattened images (N, 1, output_size), every value in [0, 1]. The result has the middle
            axis for both forms of `z`.
        """
        rows = z if z.dim() == 2 else z.squeeze(1)
        return self.net(rows)[:, None]


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
    # A permutation per epoch, sampled without replacement.
    sampler = RandomSampler(dataset, replacement=False)
    return DataLoader(dataset, batch_size, sampler=sampler, num_workers=num_workers, drop_last=True)


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
    p = x_hat.double().flatten()
    t = x.double().flatten()
    n = p.numel()
    # Blocks bound the memory for the float64 temporaries; sums of blocks also lose less than one long sum.
    sums = [_bernoulli_nll(pb, tb).sum() for pb, tb in zip(p.split(BLOCK), t.split(BLOCK))]
    return (torch.stack(sums).sum() / n).to(x_hat.dtype)


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
    trace = torch.zeros(epochs, len(loader), dtype=torch.float64)
    theta = [w for w in model.parameters() if w.requires_grad]
    adam = torch.optim.Adam(theta, lr=learning_rate)
    model.train()
    for k in range(epochs):
        stats = Welford()
        for i, (images, *_) in enumerate(loader):
            x = images.to(device).reshape(-1, 1, PIXELS)
            f = reconstruction_loss(model(x), x)
            _set_gradients(theta, f)
            adam.step()
            trace[k, i] = f.item()
            stats.add(trace[k, i].item())
        log.info("epoch %d: %s", k + 1, stats)
    return trace.flatten().tolist()


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
    z = torch.randn(num_samples, nz, dtype=torch.float64, device=device).float()
    with torch.no_grad():
        blocks = [model.decoder(block) for block in z.split(512)]
    return torch.cat(blocks).reshape(num_samples, 1, 28, 28)
