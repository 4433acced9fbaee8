"""Ways to grade one submission from nothing: `grade`, the host's command, Otter, and plain pytest; parts of `make bench`."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from autograder.build.gradescope import build
from tests.experiments.host.archive import archive_with_otter

ROOT = Path(__file__).resolve().parents[2]
SECRET = "a course secret for the benchmark"
BUSY = "while True: pass"
# What many courses do in place of an autograder: assertions beside the student's code, in its process.
PLAIN = """
import torch
import torch.nn.functional as F
from autoencoder import AutoEncoder, reconstruction_loss
from cvae import idx2onehot
from gan import Discriminator, Generator
from vae import kl_divergence


def test_autoencoder():
    x = torch.rand(3, 1, 784)
    assert AutoEncoder(32)(x).shape == x.shape
    assert torch.allclose(reconstruction_loss(x, x), F.binary_cross_entropy(x, x))


def test_divergence():
    zeros = torch.zeros(3, 1, 64)
    assert kl_divergence(zeros, zeros, zeros, zeros).abs().max() < 1e-6


def test_labels():
    assert idx2onehot(torch.tensor([1, 3]), 10).argmax(-1).flatten().tolist() == [1, 3]


def test_networks():
    assert Discriminator()(torch.rand(4, 3, 32, 32)).shape == (4, 1)
    assert Generator(64)(torch.rand(4, 64)).shape == (4, 3, 32, 32)
"""


@contextlib.contextmanager
def from_nothing() -> Iterator[dict[str, Callable[[], object]]]:
    """By name: functions that grade the solutions once, each from the start of a process."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        work = Path(name)
        upload = work / "submission.zip"
        with zipfile.ZipFile(upload, "w") as made:
            for path in modules():
                made.write(path, f"submission/{path.name}")
        bare = build(work, None, SECRET)
        (work / "with-otter").mkdir()
        compared = archive_with_otter(work / "with-otter", SECRET)
        host, host_and_otter = (laid_out(archive, archive.parent / "root") for archive in (bare, compared))
        plain = work / "plain"
        plain.mkdir()
        for path in modules():
            shutil.copy(path, plain)
        (plain / "test_plain.py").write_text(PLAIN, encoding="utf-8")
        on_host = ("-m", "autograder.host")
        otter = ("-m", "otter", "run", "-a", str(bare), "-o", str(work), str(upload))
        pinned: dict[str, Callable[[], object]] = {}
        if shutil.which("taskset"):
            pinned["run_autograder, half a core"] = lambda: on_half_a_core(
                host / "source", *on_host, str(host)
            )
        yield {
            "grade --jobs 1": lambda: grade(work),
            "run_autograder": lambda: run(host / "source", *on_host, str(host)),
            **pinned,
            "run_autograder, otter = true": lambda: run(
                host_and_otter / "source", *on_host, str(host_and_otter)
            ),
            "otter run with the zip": lambda: run(work, *otter),
            "pytest, six assertions, no isolation": lambda: run(plain, "-m", "pytest", "-q", str(plain)),
        }


@contextlib.contextmanager
def watching(question: str) -> Iterator[Callable[[], object]]:
    """While `check --watch` runs on a copy of the solutions: a function that saves a module and waits for the new verdict."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        for path in modules():
            shutil.copy(path, name)
        command = [sys.executable, "-m", "autograder", "check", name, "-q", question, "--watch"]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as running:
            assert running.stdout is not None
            lines = running.stdout

            def wait_for_verdict() -> None:
                while (line := lines.readline()) and "Watching for changes" not in line:
                    pass

            def save() -> None:
                with Path(name, "vae.py").open("a", encoding="utf-8") as file:
                    file.write("# saved\n")
                wait_for_verdict()

            wait_for_verdict()
            try:
                yield save
            finally:
                running.kill()


def modules() -> list[Path]:
    return sorted((ROOT / "solutions").glob("*.py"))


def laid_out(archive: Path, root: Path) -> Path:
    """A folder as the host lays it out, with the solutions uploaded."""
    (root / "results").mkdir(parents=True)
    (root / "submission").mkdir()
    for path in modules():
        shutil.copy(path, root / "submission")
    with zipfile.ZipFile(archive) as content:
        content.extractall(root / "source")
    (root / "submission_metadata.json").write_text("{}")
    return root


def grade(work: Path) -> None:
    with tempfile.TemporaryDirectory(dir=work) as out:
        run(ROOT, "-m", "autograder", "grade", "solutions", "--out", f"{out}/grades", "--jobs", "1")


def run(folder: Path, *arguments: str, prefix: Sequence[str] = ()) -> None:
    environment: Mapping[str, str] = {**os.environ, "PYTHONPATH": str(folder)}
    subprocess.run(
        [*prefix, sys.executable, *arguments], cwd=folder, env=environment, check=True, capture_output=True
    )


def on_half_a_core(folder: Path, *arguments: str) -> None:
    """Runs a command on one core that another process uses all the time."""
    core = str(min(os.sched_getaffinity(0)))
    pinned = ("taskset", "-c", core)
    with subprocess.Popen([*pinned, sys.executable, "-c", BUSY]) as other:
        try:
            run(folder, *arguments, prefix=pinned)
        finally:
            other.kill()
