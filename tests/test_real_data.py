"""The reference trained on the real data. Skipped if the files are missing.

The files are looked for in $REAL_DATA, else in ../shared/data beside the checkout: MNIST's four *-ubyte.gz, and
cifar10_data_batch_1.xz, which is CIFAR-10's file `data_batch_1`, compressed. Either data set is enough.
"""

import gzip
import lzma
import os
import urllib.error
import urllib.request
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.utils.data import TensorDataset

from tests.conftest import ROOT

REAL_DATA = Path(os.environ.get("REAL_DATA") or ROOT.parent / "shared" / "data")
MNIST_FILES = sorted(REAL_DATA.glob("*-ubyte.gz"))
CIFAR_FILE = REAL_DATA / "cifar10_data_batch_1.xz"

needs_mnist = pytest.mark.skipif(
    len(MNIST_FILES) != 4, reason=f"no real MNIST: its four files are not in {REAL_DATA}"
)
needs_cifar = pytest.mark.skipif(
    not CIFAR_FILE.is_file(), reason=f"no real CIFAR-10: {CIFAR_FILE} is missing"
)


@pytest.fixture(scope="module", autouse=True)
def no_network() -> Any:
    """These tests use only the files on disk."""

    def urlopen(*_: Any, **__: Any) -> None:
        raise urllib.error.URLError("this test may not download anything")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(urllib.request, "urlopen", urlopen)
        yield


@pytest.fixture(scope="module")
def real_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files, laid out as torchvision keeps them."""
    root = tmp_path_factory.mktemp("real")
    raw, batches = root / "MNIST" / "raw", root / "cifar-10-batches-py"
    raw.mkdir(parents=True)
    batches.mkdir()
    for packed in MNIST_FILES:
        (raw / packed.stem).write_bytes(gzip.decompress(packed.read_bytes()))
    if CIFAR_FILE.is_file():
        (batches / "data_batch_1").write_bytes(lzma.decompress(CIFAR_FILE.read_bytes()))
    return root


@pytest.fixture(scope="module")
def mnist(solutions: SimpleNamespace, real_root: Path) -> TensorDataset:
    dataset: TensorDataset = solutions.data.load_mnist(root=real_root)
    return dataset


@needs_mnist
def test_mnist_is_loaded_whole(solutions: SimpleNamespace, mnist: TensorDataset, real_root: Path) -> None:
    images, labels = mnist.tensors
    assert images.shape == (60_000, 1, 28, 28) and images.dtype == torch.float32
    assert labels.dtype == torch.int64
    assert labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert images.min() == 0 and images.max() == 1
    assert images.mean().item() == pytest.approx(0.1307, abs=1e-4)  # the mean that is quoted for MNIST
    test_images, test_labels = solutions.data.load_mnist(train=False, root=real_root).tensors
    assert test_images.shape == (10_000, 1, 28, 28)
    assert test_labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]


@needs_mnist
def test_the_auto_encoder_learns_mnist_in_one_epoch(
    solutions: SimpleNamespace, mnist: TensorDataset, real_root: Path, torch_seed: int
) -> None:
    ae = solutions.autoencoder
    model = ae.AutoEncoder(32)
    losses = ae.train_autoencoder(model, ae.make_data_loader(mnist), 1, 1e-3)
    assert len(losses) == 937
    assert losses[0] == pytest.approx(0.694, abs=0.01)
    images, _ = solutions.data.load_mnist(train=False, root=real_root).tensors
    with torch.no_grad():
        test_loss = ae.reconstruction_loss(model(images.reshape(-1, 1, 784)), images).item()
    print(f"auto-encoder, one epoch: loss {test_loss:.4f} on the test images")
    assert test_loss < 0.14  # 0.1339 to 0.1371 with six seeds


@needs_mnist
def test_the_vae_learns_mnist_in_one_epoch(
    solutions: SimpleNamespace, mnist: TensorDataset, torch_seed: int
) -> None:
    loader = solutions.autoencoder.make_data_loader(mnist)
    history = solutions.vae.train_vae(solutions.vae.VAE(32, beta=0.105), loader, 1, 1e-3)
    assert _end(history["rec_loss"]) < 0.24  # 0.194 to 0.206 with six seeds
    assert (
        _end(history["kl_loss"]) > 0.01
    )  # a posterior that has collapsed onto the prior reaches 0.26 as well


@needs_mnist
def test_the_cvae_learns_mnist_in_one_epoch(
    solutions: SimpleNamespace, mnist: TensorDataset, torch_seed: int
) -> None:
    model = solutions.cvae.CVAE(32, beta=0.105, conditional=True, num_labels=10)
    history = solutions.cvae.train_cvae(model, solutions.autoencoder.make_data_loader(mnist), 1, 1e-3)
    assert _end(history["rec_loss"]) < 0.24


def _end(losses: list[float]) -> float:
    """The mean of the last 100 iterations, which varies much less than the last one."""
    end = sum(losses[-100:]) / 100
    print(f"mean of the last 100 iterations: {end:.4f}")
    return end


@needs_cifar
def test_cifar10_is_loaded_and_a_dcgan_trains_on_it(
    solutions: SimpleNamespace, real_root: Path, monkeypatch: pytest.MonkeyPatch, torch_seed: int
) -> None:
    import torchvision.datasets

    class FirstBatch(torchvision.datasets.CIFAR10):  # type: ignore[misc]
        """torchvision's own class, with only the batch that is on disk."""

        train_list = torchvision.datasets.CIFAR10.train_list[:1]
        test_list: list[list[str]] = []  # noqa: RUF012

        def _load_meta(self) -> None:
            """Does not read the names of the classes, which are not used."""

    monkeypatch.setattr(torchvision.datasets, "CIFAR10", FirstBatch)
    images = solutions.data.load_cifar10(root=real_root)
    assert images.shape == (10_000, 3, 32, 32) and images.dtype == torch.float32
    assert images.is_contiguous()
    assert images.min() == 0 and images.max() == 1
    # The first image, a frog: the red, then the green, then the blue of its first pixel.
    assert (images[0, :, 0, 0] * 255).round().tolist() == [59, 62, 63]

    dcgan = solutions.gan.DCGAN(device="cpu")
    untrained, _ = dcgan.reconstruct(images[-16:])
    grey = ((images[-16:] - 0.5) ** 2).mean().item()
    history = dcgan.fit(images[:2560], epochs=1)
    assert len(history.dis_loss) == 20
    assert max(history.dis_loss[-5:]) < 1.4  # 2 log 2: better than guessing
    assert 0.5 * grey < untrained < 1.5 * grey
