"""The data that the reference is trained on: the real sets, or the part of them that a folder holds, or the embedded ones."""

from __future__ import annotations

import hashlib
import pickle
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .reference import modules

TARGETS = 64  # test images that the DCGAN reconstructs
CIFAR = "cifar-10-batches-py"
HELD_OUT = 256  # images of the last training batch that serve as test images when there are no others


class NoData(Exception):
    """There are no data to train on; the message says what is missing, in one line."""


@dataclass(frozen=True)
class Digits:
    """Images (n, 1, 28, 28), float32 in [0, 1], and labels (n,), int64, of both sets; `name` for titles.

    embedded: whether these are scikit-learn's small digits in place of MNIST.
    """

    name: str
    images: Tensor
    labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    embedded: bool

    def cut(self, count: int) -> Digits:
        """With the first `count` training images only."""
        return replace(self, images=self.images[:count], labels=self.labels[:count])


@dataclass(frozen=True)
class Photographs:
    """Images (n, 3, 32, 32), float32 in [0, 1], of both sets; `name` for titles. embedded: as in `Digits`."""

    name: str
    images: Tensor
    test_images: Tensor
    embedded: bool

    @property
    def targets(self) -> Tensor:
        """The test images that are reconstructed."""
        return self.test_images[:TARGETS]

    def cut(self, count: int, tests: int) -> Photographs:
        """With the first training and test images only."""
        return replace(self, images=self.images[:count], test_images=self.test_images[:tests])


def digits(root: Path | None, offline: bool) -> Digits:
    """MNIST from `root` (None: from `data.data_root()`), downloaded if necessary; or the embedded digits.

    Raises NoData when MNIST is missing and cannot be downloaded.
    """
    data = modules().data
    if offline:
        train, test = data.load_digits_offline(), data.load_digits_offline(train=False)
        return _digits("scikit-learn's digits", train, test, embedded=True)
    try:
        train, test = data.load_mnist(root=root), data.load_mnist(train=False, root=root)
    except data.DataUnavailable as error:
        raise NoData(_first_line(error)) from None
    return _digits("MNIST", train, test, embedded=False)


def _digits(name: str, train: Any, test: Any, embedded: bool) -> Digits:
    (images, labels), (test_images, test_labels) = train.tensors, test.tensors
    return Digits(name, images, labels, test_images, test_labels, embedded)


def photographs(root: Path | None, offline: bool) -> Photographs:
    """CIFAR-10 from `root`, as in `digits`, or those of its batches that `root` holds; or the embedded patches.

    The test images of an incomplete set are those of `cifar10_test*.npz` in `root` ("images", uint8, (n, 3, 32, 32)), else
    the last ones of the training batches, which are then not trained on.

    Raises NoData when CIFAR-10 is missing and cannot be downloaded, or a batch is damaged.
    """
    data = modules().data
    if offline:
        train, test = data.load_patches_offline(), data.load_patches_offline(train=False)
        return Photographs("patches of photographs", train, test, embedded=True)
    folder = data.data_root(root) / CIFAR
    present = sorted(folder.glob("data_batch_[1-5]"))
    if 0 < len(present) < 5:
        return _some_of_cifar10(folder, present)
    try:
        train, test = data.load_cifar10(root=root), data.load_cifar10(train=False, root=root)
    except data.DataUnavailable as error:
        raise NoData(_first_line(error)) from None
    return Photographs("CIFAR-10", train, test, embedded=False)


def _some_of_cifar10(folder: Path, batches: list[Path]) -> Photographs:
    images = _pixels(np.concatenate([_batch(path) for path in batches]))
    name = f"CIFAR-10 ({len(batches)} of 5 batches)"
    if (whole := folder / "test_batch").is_file():
        return Photographs(name, images, _pixels(_batch(whole)), embedded=False)
    for path in sorted(folder.parent.glob("cifar10_test*.npz")):
        with np.load(path, allow_pickle=False) as archive:
            return Photographs(name, images, _pixels(archive["images"]), embedded=False)
    return Photographs(name, images[:-HELD_OUT], images[-HELD_OUT:], embedded=False)


def _batch(path: Path) -> np.ndarray[Any, Any]:
    """The images (10000, 3, 32, 32), uint8, of one of CIFAR-10's own files.

    They are pickles, which run code when they are loaded: a file with another MD5 is refused with NoData.
    """
    from torchvision.datasets import CIFAR10

    known = dict((*CIFAR10.train_list, *CIFAR10.test_list))
    content = path.read_bytes()
    if hashlib.md5(content, usedforsecurity=False).hexdigest() != known[path.name]:
        raise NoData(f"{path}: not CIFAR-10's own file of that name (its MD5 differs); download it again")
    return np.asarray(pickle.loads(content, encoding="bytes")[b"data"]).reshape(-1, 3, 32, 32)


def _pixels(images: np.ndarray[Any, Any]) -> Tensor:
    return torch.from_numpy(images).float().div_(255)


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]
