"""The data sets: those that need no download, and the error when a download fails."""

import copy
import gc
import re
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset


@pytest.fixture(scope="module")
def data(solutions: SimpleNamespace) -> Any:
    return solutions.data


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every download fails as it does without a network. The list holds the addresses that were tried."""
    tried: list[str] = []

    def urlopen(request: Any, *_: Any, **__: Any) -> None:
        tried.append(getattr(request, "full_url", request))
        raise urllib.error.URLError("[Errno -2] Name or service not known")

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    return tried


# --- The embedded sets -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("train", "size"), [(True, 1442), (False, 355)])
def test_offline_digits_have_the_form_of_mnist(data: Any, train: bool, size: int) -> None:
    images, labels = data.load_digits_offline(train).tensors
    assert images.shape == (size, 1, 28, 28) and images.dtype == torch.float32
    assert labels.shape == (size,) and labels.dtype == torch.int64
    assert images.min() == 0 and 0.9 < images.max() <= 1
    shares = torch.bincount(labels, minlength=10) / size
    assert shares.min() > 0.09 and shares.max() < 0.11  # as many of each digit in both parts


def test_offline_digits_are_the_real_ones_resized(data: Any) -> None:
    """The same as NumPy's interpolation along both axes, with each pixel at the centre of its square."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    at = (np.arange(28) + 0.5) * 8 / 28 - 0.5
    along_rows = np.apply_along_axis(lambda row: np.interp(at, np.arange(8), row), 2, digits.images / 16)
    resized = np.apply_along_axis(lambda column: np.interp(at, np.arange(8), column), 1, along_rows)
    of_test = np.sort(np.concatenate([np.flatnonzero(digits.target == digit)[4::5] for digit in range(10)]))
    of_train = np.setdiff1d(np.arange(1797), of_test)
    for train, chosen in ((True, of_train), (False, of_test)):
        images, labels = data.load_digits_offline(train).tensors
        np.testing.assert_allclose(images[:, 0].numpy(), resized[chosen], atol=1e-6)
        assert np.array_equal(labels.numpy(), digits.target[chosen])


@pytest.mark.parametrize(("train", "size"), [(True, 5200), (False, 400)])
def test_offline_patches_have_the_form_of_cifar(data: Any, train: bool, size: int) -> None:
    patches = data.load_patches_offline(train)
    assert patches.shape == (size, 3, 32, 32) and patches.dtype == torch.float32
    assert patches.is_contiguous()
    assert patches.min() == 0 and patches.max() == 1
    assert len(torch.unique(patches.flatten(1), dim=0)) > 0.98 * size


def test_test_patches_share_no_pixel_with_training_patches(
    data: Any, solutions: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a photograph in which every pixel has a different colour."""
    import sklearn.datasets

    number = np.arange(427 * 640)
    colours = np.stack([number // 65536, number // 256 % 256, number % 256], axis=1)
    photograph = colours.astype(np.uint8).reshape(427, 640, 3)
    monkeypatch.setattr(sklearn.datasets, "load_sample_images", lambda: SimpleNamespace(images=[photograph]))

    def pixels(patches: torch.Tensor) -> set[int]:
        colours = (patches * 255).round().long()
        return set((colours[:, 0] * 65536 + colours[:, 1] * 256 + colours[:, 2]).flatten().tolist())

    train, test = pixels(data.load_patches_offline(True)), pixels(data.load_patches_offline(False))
    assert train.isdisjoint(test)
    assert len(train) + len(test) > 0.98 * 427 * 640  # and hardly any pixel is wasted


@pytest.mark.parametrize("train", [True, False])
def test_offline_sets_are_always_the_same_and_do_not_change_the_random_state(data: Any, train: bool) -> None:
    torch.manual_seed(3)
    state = torch.get_rng_state()
    first, second = data.load_digits_offline(train), data.load_digits_offline(train)
    assert all(torch.equal(a, b) for a, b in zip(first.tensors, second.tensors, strict=True))
    assert torch.equal(data.load_patches_offline(train), data.load_patches_offline(train))
    assert torch.equal(torch.get_rng_state(), state)


def test_offline_sets_need_no_network_and_write_nothing(
    data: Any, no_network: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENERATIVE_DATA", str(tmp_path))
    data.load_digits_offline()
    data.load_patches_offline()
    assert not no_network and not list(tmp_path.iterdir())


def test_importing_the_module_is_cheap(root: Path) -> None:
    """Neither torchvision nor scikit-learn is loaded before it is needed."""
    code = "import sys, data; print(sorted({'torchvision', 'sklearn'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-B", "-c", code],
        cwd=root / "solutions",
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.strip() == "[]", done.stderr


# --- Downloads that fail ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loader", "name", "folder", "offline"),
    [
        ("load_mnist", "MNIST", "MNIST/raw", "load_digits_offline"),
        ("load_cifar10", "CIFAR-10", "cifar-10-batches-py", "load_patches_offline"),
    ],
)
@pytest.mark.parametrize("train", [True, False])
def test_a_failed_download_says_what_failed_where_and_how_to_continue(
    data: Any,
    no_network: list[str],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    loader: str,
    name: str,
    folder: str,
    offline: str,
    train: bool,
) -> None:
    with pytest.raises(data.DataUnavailable) as raised:
        getattr(data, loader)(train=train, root=tmp_path)
    message = str(raised.value)
    assert message.startswith(f"{name} could not be loaded: ")
    assert "Name or service not known" in message
    assert str(tmp_path / folder) in message
    assert "GENERATIVE_DATA" in message
    assert f"{offline}(train={train})" in message
    assert getattr(data, offline)(train=train) is not None  # the advice works
    assert no_network  # it did try
    assert capfd.readouterr() == ("", "")  # and torchvision's own output is suppressed


def test_damaged_files_are_reported_in_the_same_way(data: Any, no_network: list[str], tmp_path: Path) -> None:
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part in ("train", "t10k"):
        for kind in ("images-idx3", "labels-idx1"):
            (raw / f"{part}-{kind}-ubyte").write_bytes(b"\x00\x00\x08\x03 not an image")
    with pytest.raises(data.DataUnavailable, match="delete that folder"):
        data.load_mnist(root=tmp_path)
    assert not no_network


def test_an_unusable_folder_is_reported_in_the_same_way(
    data: Any, no_network: list[str], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(data.DataUnavailable, match="CIFAR-10 could not be loaded"):
        data.load_cifar10(root=tmp_path / "file")


def test_the_folder_is_the_argument_or_from_the_environment_or_in_the_home_folder(
    data: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENERATIVE_DATA", "from-environment")
    assert data.data_root("from-argument") == Path("from-argument")
    assert data.data_root() == Path("from-environment")
    monkeypatch.delenv("GENERATIVE_DATA")
    assert data.data_root() == Path.home() / ".cache" / "generative-data"
    assert data.data_root("~/elsewhere") == Path.home() / "elsewhere"


def test_the_error_is_a_runtime_error(data: Any) -> None:
    assert issubclass(data.DataUnavailable, RuntimeError)


# --- A loader with a progress bar ------------------------------------------------------------------------


def loader_of(count: int) -> DataLoader:
    dataset = TensorDataset(torch.arange(count), torch.arange(count))
    return DataLoader(dataset, batch_size=2, drop_last=True)


def test_a_watched_loader_yields_what_the_loader_yields_in_every_epoch(solutions: SimpleNamespace) -> None:
    loader = loader_of(7)
    watched = solutions.data.Watched(loader, epochs=2)
    assert len(watched) == len(loader) == 3
    assert watched.batch_size == 2
    assert watched.dataset is loader.dataset
    for _ in range(4):  # also more often than announced
        assert [labels.tolist() for _, labels in watched] == [[0, 1], [2, 3], [4, 5]]


def test_a_watched_loader_is_silent_outside_notebooks_and_terminals(
    solutions: SimpleNamespace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    for _ in solutions.data.Watched(loader_of(4), epochs=1):
        pass
    assert capsys.readouterr() == ("", "")


def test_a_watched_loader_has_one_bar_for_all_epochs_in_a_notebook(
    solutions: SimpleNamespace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ipykernel", ModuleType("ipykernel"))
    watched = solutions.data.Watched(loader_of(4), epochs=3, title="VAE")
    for _ in range(3):
        assert len(list(watched)) == 2
    output = capsys.readouterr().err
    assert output.count("\n") == 1
    assert "VAE, epoch 1/3" in output
    assert re.search(r"VAE, epoch 3/3: 100%.* 6/6 ", output)


def test_the_bar_of_a_watched_loader_ends_when_the_training_fails(
    solutions: SimpleNamespace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ipykernel", ModuleType("ipykernel"))

    def train(loader: Any) -> None:
        for _ in loader:
            raise ValueError("a fault in the training")

    with pytest.raises(ValueError, match="a fault"):
        train(solutions.data.Watched(loader_of(4), epochs=3))
    gc.collect()
    assert capsys.readouterr().err.endswith("\n")


def test_a_watched_loader_can_be_copied(solutions: SimpleNamespace) -> None:
    copied = copy.copy(solutions.data.Watched(loader_of(4), epochs=3))
    assert len(copied) == 2
    with pytest.raises(AttributeError):
        _ = copied.nonsense
