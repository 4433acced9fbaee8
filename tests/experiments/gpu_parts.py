"""The parts of `make gpu`: each yields rows of its table, and can be tried on the CPU."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from autograder.generative.mistakes.hidden.cvae import ONEHOT_ON_CPU
from autograder.generative.mistakes.public.common import IMAGES_ON_DEVICE, TENSOR_ON_CPU
from autograder.generative.mistakes.public.gan import NETWORKS_NOT_MOVED
from autograder.generative.mistakes.public.gan_spectral import NOT_MOVED
from autograder.generative.study import runs, sources
from autograder.generative.study.training import Batches
from autograder.model.assignment import assignment
from tests import corpus
from tests.notebook_runs import execute

ROOT = Path(__file__).resolve().parents[2]
SOLUTIONS = ROOT / "solutions"
ABOUT_DEVICES = {
    m.id for m in (TENSOR_ON_CPU, IMAGES_ON_DEVICE, ONEHOT_ON_CPU, NETWORKS_NOT_MOVED, NOT_MOVED)
}
WHEATS = 5
TRAININGS = ("ae", "vae", "cvae", "dcgan")
# Iterations that are timed on the CPU; an epoch's time is computed from theirs.
CPU_ITERATIONS = 60


@dataclass(frozen=True)
class Settings:
    """device: "cuda", or "cpu" to try the parts. data: the folder with the data sets; None: the embedded data."""

    device: str
    data: Path | None = None
    jobs: int = 1


@dataclass(frozen=True)
class Row:
    """One line of the table. cpu_seconds: the same on the CPU, where that is measured."""

    part: str
    what: str
    wanted: str
    seen: str
    right: bool
    seconds: float | None = None
    cpu_seconds: float | None = None


def check(settings: Settings, path: Path = SOLUTIONS, more: Sequence[str] = ()) -> Iterator[Row]:
    """The public checks of the solutions, by the command that students use."""
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "result.json"
        done, seconds = _autograder("check", path, "--device", settings.device, "--json", file, *more)
        yield _scored("check", file, done, seconds)


def grade(settings: Settings, path: Path = SOLUTIONS, more: Sequence[str] = ()) -> Iterator[Row]:
    """All checks of the solutions, by the command that instructors use."""
    with tempfile.TemporaryDirectory() as name:
        done, seconds = _autograder("grade", path, "--device", settings.device, "--out", name, *more)
        yield _scored("grade", Path(name) / f"{path.name}.json", done, seconds)


def _autograder(*arguments: object) -> tuple[subprocess.CompletedProcess[str], float]:
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "autograder", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    return done, time.perf_counter() - began


def _scored(part: str, file: Path, done: subprocess.CompletedProcess[str], seconds: float) -> Row:
    """The row of a command that wrote a submission's result into a file."""
    if not file.is_file():
        last = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
        return Row(part, "solutions", "a result", f"exit status {done.returncode}: {last}", False, seconds)
    result = json.loads(file.read_text(encoding="utf-8"))
    score, most = result["score"], result["max_score"]
    failed = [c["id"] for c in result["checks"] if c["status"] != "passed"]
    seen = f"{score:g} of {most:g}" + (f"; not passed: {', '.join(failed)}" if failed else "")
    right = done.returncode == 0 and score == most and result["complete"]
    return Row(part, "solutions", "full marks", seen, right, seconds)


def wheats(settings: Settings) -> Iterator[Row]:
    """Correct submissions, of every module."""
    chosen = corpus.sample(corpus.read("wheat"), WHEATS, seed=1)[:WHEATS]
    return graded("wheats", chosen, settings)


def chaffs(settings: Settings) -> Iterator[Row]:
    """Every chaff whose fault is one of devices."""
    return graded("chaffs", [c for c in corpus.read("chaff") if ABOUT_DEVICES & set(c.mistakes)], settings)


def graded(part: str, entries: Sequence[corpus.Entry], settings: Settings) -> Iterator[Row]:
    """The rows of some submissions: right when they lose points on their own question only, by their own mistake.

    seconds: of the grading itself; several run at the same time.
    """
    for entry, result in corpus.grade(entries, settings.jobs, device=settings.device):
        wanted = f"caught on {', '.join(entry.questions)}: {', '.join(entry.mistakes)}"
        problems = corpus.complaints(entry, result)
        yield Row(
            part,
            entry.name,
            wanted if entry.questions else "full marks",
            "; ".join(problems) or "so",
            not problems,
            result.seconds,
        )


def notebooks(settings: Settings, names: Sequence[str] = ()) -> Iterator[Row]:
    """The complete notebooks, in quick mode and on the embedded data."""
    hidden = {"CUDA_VISIBLE_DEVICES": ""} if settings.device == "cpu" else {}
    for name in names or assignment().rubric.notebooks:
        began = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            cells = execute(SOLUTIONS, name, Path(folder) / "assignment", True, 120, hidden)
        outputs = [output for cell in cells for output in cell.outputs]
        errors = [o.evalue.splitlines()[0] for o in outputs if o.output_type == "error"]
        printed = "".join(o.text for o in outputs if o.output_type == "stream")
        if f"on {settings.device}" not in printed:
            errors.append(f"does not report that it trains on {settings.device}")
        seconds = time.perf_counter() - began
        yield Row("notebooks", name, "runs without an error", "; ".join(errors) or "so", not errors, seconds)


def training(
    settings: Settings,
    kinds: Sequence[str] = TRAININGS,
    iterations: int = CPU_ITERATIONS,
    most: int | None = None,
) -> Iterator[Row]:
    """One epoch of each training, and the time that it would take on the CPU by the first `iterations`.

    most: the number of images to use at most; None for all.
    """
    loaded: dict[bool, Any] = {}
    for kind in kinds:
        photographs = kind == "dcgan"
        if photographs not in loaded:
            loaded[photographs] = _data(photographs, settings.data, most)
        data, batch = loaded[photographs], 128 if photographs else runs.BATCH
        batches = len(data.images) // batch
        part = min(batches, iterations)
        _epoch(kind, _first(data, 2 * batch), settings.device)  # to warm up
        losses, seconds = _epoch(kind, data, settings.device)
        _, on_cpu = _epoch(kind, _first(data, part * batch), "cpu")
        bad = [name for name, values in losses.items() if not all(map(math.isfinite, values))]
        last = ", ".join(f"{name} {values[-1]:.3f}" for name, values in losses.items())
        yield Row(
            "training",
            f"{kind}, an epoch of {len(data.images)} images of {data.name}",
            f"{batches} finite losses on {settings.device}",
            last,
            not bad and all(len(values) == batches for values in losses.values()),
            seconds,
            on_cpu * batches / part,
        )


def _data(photographs: bool, root: Path | None, most: int | None) -> Any:
    data = (sources.photographs if photographs else sources.digits)(root, root is None)
    return data if most is None else _first(data, most)


def _first(data: Any, count: int) -> Any:
    return data.cut(count) if isinstance(data, sources.Digits) else data.cut(count, 1)


def _epoch(kind: str, data: Any, device: str) -> tuple[Mapping[str, Sequence[float]], float]:
    """The losses of an epoch, by name, and its seconds. Raises RuntimeError for a model that is elsewhere."""
    model = runs.build(runs.Plan(kind, kind, 1, 0.105), device)
    if any(p.device.type != device for p in model.parameters()):
        raise RuntimeError(f"the model of {kind} is not on {device}")
    began = time.perf_counter()
    if kind == "dcgan":
        losses = runs.fit_epoch(model, data.images)
    else:
        losses = runs.train_epoch(
            kind, model, Batches((data.images, data.labels), runs.BATCH, device), device
        )
    if device == "cuda":
        torch.cuda.synchronize()
    return losses, time.perf_counter() - began


PARTS: dict[str, Callable[[Settings], Iterator[Row]]] = {
    "check": check,
    "grade": grade,
    "wheats": wheats,
    "chaffs": chaffs,
    "notebooks": notebooks,
    "training": training,
}
