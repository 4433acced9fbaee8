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
from collections.abc import Callable
from itertools import chain, repeat

from torch.func import functional_call

Params = dict[str, Tensor]


# Pure helpers. All state (parameters, random keys) is passed in, none is kept.


def params_of(module: nn.Module) -> Params:
    return dict(module.named_parameters())


def apply(module: nn.Module, params: Params, x: Tensor) -> Tensor:
    return functional_call(module, params, (x,))


def new_key() -> int:
    """A fresh key. This is the only place where PyTorch's global random state is used."""
    return int(torch.randint(2**63 - 1, (), device="cpu"))


def normal(key: int, shape, dtype: torch.dtype | None = None, device: torch.device | str | None = None) -> Tensor:
    """Standard normal numbers that depend on nothing but the key (so they are equal on every device)."""
    generator = torch.Generator(device="cpu").manual_seed(key)
    return torch.randn(tuple(shape), generator=generator, dtype=dtype, device="cpu").to(device=device)


def fit(
    model: nn.Module,
    objective: Callable[[Tensor, Tensor], tuple[Tensor, dict[str, Tensor]]],
    loader: DataLoader,
    epochs: int,
    learning_rate: float,
    device: torch.device | str,
) -> dict[str, list[float]]:
    """Minimise objective(x, labels) -> (loss, logs). Returns the logs as {name: one float per iteration}."""
    model.train()
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    leaves = [leaf for leaf in model.parameters() if leaf.requires_grad]

    def step(images: Tensor, labels: Tensor) -> dict[str, float]:
        loss, logs = objective(images.to(device).flatten(1).unsqueeze(1), labels)
        gradients = torch.autograd.grad(loss, leaves, allow_unused=True)
        for leaf, gradient in zip(leaves, gradients, strict=True):
            leaf.grad = gradient
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return {name: value.item() for name, value in logs.items()}

    rows = [step(images, labels) for images, labels in chain.from_iterable(repeat(loader, epochs))]
    return {name: [row[name] for row in rows] for name in (rows[0] if rows else ())}


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
        widths = (input_size, 256, 64, nz)
        pairs = list(zip(widths[:-1], widths[1:], strict=True))
        layers = [layer for pair in pairs for layer in (nn.Linear(*pair), nn.ReLU())]
        self.net = nn.Sequential(*layers[:-1])

    def forward(self, x: Tensor) -> Tensor:
        """Encode a batch.

        Args:
            x: flattened images, (N, 1, input_size) or (N, input_size).

        Returns:
            The codes: the leading shape of `x` with nz last, so (N, 1, nz) or (N, nz).
        """
        return apply(self.net, params_of(self.net), x)


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
        widths = (nz, 64, 256, output_size)
        pairs = list(zip(widths[:-1], widths[1:], strict=True))
        layers = [layer for pair in pairs for layer in (nn.Linear(*pair), nn.ReLU())]
        self.net = nn.Sequential(*layers[:-1], nn.Sigmoid())

    def forward(self, z: Tensor) -> Tensor:
        """Decode a batch.

        Args:
            z: codes, (N, nz) or (N, 1, nz).

        Returns:
            Flattened images (N, 1, output_size), every value in [0, 1]. The result has the middle
            axis for both forms of `z`.
        """
        return apply(self.net, params_of(self.net), z.reshape(z.shape[0], 1, z.shape[-1]))


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
    return DataLoader(
        dataset,
        batch_size=batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=num_workers,
        generator=torch.Generator().manual_seed(new_key()),
    )


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
    per_image = torch.vmap(F.binary_cross_entropy)
    return per_image(x_hat, x.reshape(x_hat.shape)).mean()


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
    def objective(x: Tensor, _: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        loss = reconstruction_loss(model(x), x)
        return loss, {"loss": loss}

    return fit(model, objective, loader, epochs, learning_rate, device).get("loss", [])


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
    codes = normal(new_key(), (num_samples, nz), device=device)
    return model.decoder(codes).detach().unflatten(-1, (28, 28))
