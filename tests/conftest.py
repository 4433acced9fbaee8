"""Shared by all tests: one torch thread, and fixtures that import modules from a folder and leave no trace."""

import importlib
import os
import sys
from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

from autograder.grading import batch
from autograder.sandbox import without_compiler

ROOT = Path(__file__).resolve().parents[1]

# The tests use small tensors, for which more threads are slower.
torch.set_num_threads(1)
# As in a judge: the first optimiser would load it, which takes seconds.
without_compiler.unload()


def keep_to_one_core() -> None:
    """With `-n 2`, each process of pytest keeps to a core of its own, and so do the programs that it starts.

    They would otherwise start a second judge and sandbox, which load PyTorch again, for the core that the other process uses.
    """
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    if worker and hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[int(worker.removeprefix("gw")) % len(cores)]})


keep_to_one_core()


def import_flat(folder: Path, *names: str) -> SimpleNamespace:
    """Import modules that import each other flatly (`from autoencoder import Encoder`), from one folder.

    Every call makes new modules. Afterwards sys.path and sys.modules are as they were, so that the solutions'
    `vae` and a submission's `vae` never mix.
    """
    own = {path.stem for path in folder.glob("*.py")}
    missing = set(names) - own
    if missing:
        raise FileNotFoundError(f"{folder} has no {sorted(missing)}")
    path, write_bytecode = list(sys.path), sys.dont_write_bytecode
    hidden = {name: sys.modules.pop(name) for name in own if name in sys.modules}
    sys.path.insert(0, str(folder))
    sys.dont_write_bytecode = True  # folders of submissions stay unchanged
    importlib.invalidate_caches()
    try:
        modules: dict[str, ModuleType] = {name: importlib.import_module(name) for name in names}
    finally:
        sys.path[:], sys.dont_write_bytecode = path, write_bytecode
        for name in own:
            sys.modules.pop(name, None)
        sys.modules.update(hidden)
    return SimpleNamespace(**modules)


@pytest.fixture(scope="session")
def flat() -> Callable[..., SimpleNamespace]:
    """`flat(folder, "vae", "cvae")`: see `import_flat`."""
    return import_flat


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's folder."""
    return ROOT


@pytest.fixture(scope="session")
def solutions() -> SimpleNamespace:
    """The reference: solutions.vae, solutions.gan, ..."""
    return import_flat(ROOT / "solutions", "autoencoder", "vae", "cvae", "gan", "data", "figures")


@pytest.fixture
def torch_seed() -> int:
    """Seeds torch's random numbers."""
    torch.manual_seed(20140501)
    return 20140501


class _Here(Executor):
    """Does each job at once, in this process."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except Exception as error:
            done.set_exception(error)
        return done


JUDGES = batch._pool


@pytest.fixture
def judged_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Submissions are judged in this process, for tests of what happens around judging: a judge takes seconds to start.

    What judges in processes of their own do is tested with such judges (test_lost_judge, test_kills, test_cli).
    """
    monkeypatch.setattr(batch, "_pool", lambda size: _Here())
