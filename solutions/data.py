"""The data sets (given): MNIST, CIFAR-10, and two small sets of real images that need no download.

Each set is decoded once, into memory, as float32 in [0, 1], so that training spends no time on decoding
images.

    load_mnist()            TensorDataset of images (n, 1, 28, 28) and labels (n,) int64
    load_digits_offline()   the same, from the 1,797 handwritten digits that come with scikit-learn
    load_cifar10()          tensor (n, 3, 32, 32)
    load_patches_offline()  the same, cut from the two photographs that come with scikit-learn

`load_mnist` and `load_cifar10` download their files if they are missing. If the download fails, they raise
`DataUnavailable`; they never silently fall back to other data.

`Watched(loader, epochs)` is a data loader that shows a progress bar while a model trains on it.
"""

import contextlib
import io
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset
from tqdm import tqdm

if TYPE_CHECKING:
    import numpy as np

ENVIRONMENT_VARIABLE = "GENERATIVE_DATA"
DEFAULT_ROOT = Path("~/.cache/generative-data")
DOWNLOAD_TIMEOUT = 30.0  # seconds without a response

PATCH = 32
STRIDE = 8
BAND = 160  # width of the vertical bands that photographs are cut into; the last PATCH columns are for tests


class DataUnavailable(RuntimeError):
    """A data set could neither be found nor downloaded, or its files are damaged."""


def data_root(root: str | os.PathLike[str] | None = None) -> Path:
    """The folder for downloads: the argument, else $GENERATIVE_DATA, else ~/.cache/generative-data."""
    return Path(root or os.environ.get(ENVIRONMENT_VARIABLE) or DEFAULT_ROOT).expanduser()


@contextlib.contextmanager
def _one_clear_error(name: str, expected: Path, offline_call: str) -> Iterator[None]:
    """Convert any exception in a `with` block to DataUnavailable, and suppress torchvision's output."""
    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_TIMEOUT)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    except Exception as error:  # network, disk, checksum, format, missing package, ...
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataUnavailable(
            f"{name} could not be loaded: {reason}\n"
            f"Its files are expected in {expected} (to use another folder, pass root=... or set "
            f"{ENVIRONMENT_VARIABLE}). If the files are damaged, delete that folder and try again.\n"
            f"To continue without a download, call {offline_call} instead."
        ) from error
    finally:
        socket.setdefaulttimeout(timeout)


def load_mnist(train: bool = True, root: str | os.PathLike[str] | None = None) -> TensorDataset:
    """MNIST: 60,000 training or 10,000 test digits.

    Args:
        train: True for the training set, False for the test set.
        root: the folder that holds the files or receives the download; see `data_root`.

    Returns:
        Images (n, 1, 28, 28), float32 in [0, 1], and labels (n,), int64.

    Raises:
        DataUnavailable: the download fails, or the files are damaged. The message says how to continue.
    """
    folder = data_root(root)
    with _one_clear_error("MNIST", folder / "MNIST" / "raw", f"load_digits_offline(train={train})"):
        from torchvision.datasets import MNIST

        mnist = MNIST(folder, train=train, download=True)
        images = mnist.data.unsqueeze(1).float().div_(255)
        return TensorDataset(images, mnist.targets.long())


def load_cifar10(train: bool = True, root: str | os.PathLike[str] | None = None) -> Tensor:
    """CIFAR-10: 50,000 training or 10,000 test photographs. Their labels are not used here.

    Args:
        train: True for the training set, False for the test set.
        root: the folder that holds the files or receives the download; see `data_root`.

    Returns:
        Images (n, 3, 32, 32), float32 in [0, 1].

    Raises:
        DataUnavailable: the download fails, or the files are damaged. The message says how to continue.
    """
    folder = data_root(root)
    with _one_clear_error("CIFAR-10", folder / "cifar-10-batches-py", f"load_patches_offline(train={train})"):
        from torchvision.datasets import CIFAR10

        pixels = torch.from_numpy(CIFAR10(folder, train=train, download=True).data)  # (n, 32, 32, 3), uint8
        return pixels.permute(0, 3, 1, 2).contiguous().float().div_(255)


def load_digits_offline(train: bool = True) -> TensorDataset:
    """Real handwritten digits that need no download, at the image size of MNIST.

    The 1,797 digits of 8 x 8 pixels that come with scikit-learn (a part of the UCI set "Optical Recognition
    of Handwritten Digits"), resized to 28 x 28. They are blurrier than MNIST and there are fewer of them, but
    they are enough to see that a model learns.

    Args:
        train: True for the training set, False for the test set (every fifth image of each digit). The
            split is always the same.

    Returns:
        Images (n, 1, 28, 28), float32 in [0, 1], and labels (n,), int64.
    """
    from sklearn.datasets import load_digits

    digits = load_digits()
    small = torch.as_tensor(digits.images, dtype=torch.float32).unsqueeze(1) / 16  # (1797, 1, 8, 8)
    images = F.interpolate(small, size=(28, 28), mode="bilinear", align_corners=False).clamp_(0, 1)
    labels = torch.as_tensor(digits.target, dtype=torch.int64)
    is_test = torch.zeros(len(labels), dtype=torch.bool)
    for digit in range(10):
        is_test[(labels == digit).nonzero().flatten()[4::5]] = True
    chosen = ~is_test if train else is_test
    return TensorDataset(images[chosen], labels[chosen])


def load_patches_offline(train: bool = True) -> Tensor:
    """Real colour images that need no download, at the image size of CIFAR-10.

    Patches of the two photographs that come with scikit-learn (a Chinese temple and a flower), on a fixed
    grid. Test patches come from columns of the photographs that no training patch overlaps.

    Args:
        train: True for the training patches, False for the test patches.

    Returns:
        Patches (n, 3, 32, 32), float32 in [0, 1], in a shuffled order that is always the same.
    """
    from sklearn.datasets import load_sample_images

    photographs = load_sample_images().images
    patches = torch.cat([_patches(photograph, train) for photograph in photographs])
    # A separate generator leaves the global random state unchanged.
    order = torch.randperm(len(patches), generator=torch.Generator().manual_seed(0))
    return patches[order]


def _patches(photograph: "np.ndarray", train: bool) -> Tensor:
    """The training or test patches (n, 3, 32, 32) of one photograph, (height, width, 3) uint8."""
    pixels = torch.tensor(photograph).permute(2, 0, 1).float().div_(255)  # (3, height, width)
    width = pixels.shape[2]
    patches = []
    for left in range(0, width - BAND + 1, BAND):
        train_part, test_part = pixels[:, :, left : left + BAND].split([BAND - PATCH, PATCH], dim=2)
        band = train_part if train else test_part
        windows = band.unfold(1, PATCH, STRIDE).unfold(2, PATCH, STRIDE)  # (3, rows, columns, 32, 32)
        patches.append(windows.permute(1, 2, 0, 3, 4).reshape(-1, 3, PATCH, PATCH))
    return torch.cat(patches)


class Watched:
    """A data loader with a single progress bar for all epochs.

    Pass it to a training function in place of the loader: it yields the same batches, and has the same
    length and attributes. The bar is hidden when the output is neither a terminal nor a notebook.

    Args:
        loader: the loader.
        epochs: number of passes over the loader; the bar is full after the last one.
        title: text in front of the bar.

    Example:
        >>> losses = train_autoencoder(model, Watched(loader, 10, "auto-encoder"), 10, 1e-3)
    """

    def __init__(self, loader: DataLoader, epochs: int, title: str = "training") -> None:
        self.loader = loader
        self.epochs = epochs
        self.title = title
        self._begun = 0  # epochs
        self._bar: tqdm | None = None

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        if self._begun == 0:
            is_quiet = not (sys.stderr.isatty() or "ipykernel" in sys.modules)
            self._bar = tqdm(total=self.epochs * len(self), unit="batch", disable=is_quiet)
        self._begun += 1
        if self._bar is None or self._begun > self.epochs:  # more epochs than announced: no bar
            yield from self.loader
            return
        self._bar.set_description(f"{self.title}, epoch {self._begun}/{self.epochs}")
        finished = False
        try:
            for batch in self.loader:
                yield batch
                self._bar.update()
            finished = True
        finally:
            if self._begun == self.epochs or not finished:  # the end, or an error during training
                self._bar.close()

    def __getattr__(self, name: str) -> Any:
        if name == "loader":  # not set yet: the object is being copied
            raise AttributeError(name)
        return getattr(self.loader, name)
