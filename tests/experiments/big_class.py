"""A class of 300: `make class` grades it, prints time and memory, compares with Otter, and kills runs, which changes no grade.

The class is made from the corpora: all wheats, half-finished submissions, ten attacks, the rest chaffs; in folders and zips.

    python -m tests.experiments.big_class [--size 300] [--kills 10] [--otter 4] [--out DIR]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console

from autograder.build.gradescope import build
from autograder.grading import options
from autograder.grading.judge import grade_job
from autograder.grading.sandboxed import SandboxedSubmission
from autograder.model.assignment import assignment
from autograder.submissions import intake
from tests import corpus
from tests.attacks import entries

ROOT = Path(__file__).resolve().parents[2]
SECRET = "the secret of a class of 300"
SEED = 300
JOBS = 2
ATTACKS = 10
KILLED_CLASS = 24  # submissions of the runs that are killed
INSIDE = 12  # submissions by which the time inside student code is measured
# Other attacks may run into time limits, which would measure the limit and not the grader.
QUICK = ("forge", "leak", "escape")


def make(folder: Path, size: int) -> list[Path]:
    """Writes the class into `folder`: the same class for the same size. Every third submission is a zip."""
    chooser = random.Random(SEED)
    wheats, unfinished, chaffs = corpus.read("wheat"), corpus.unfinished(), corpus.read("chaff")
    attacks = chooser.sample([a for a in entries.read(QUICK) if not a.upload], ATTACKS)
    fixed: list[Any] = [*attacks, *wheats, *unfinished][:size]
    chosen = fixed + chooser.sample(chaffs, max(0, min(len(chaffs), size - len(fixed))))
    chooser.shuffle(chosen)
    made = []
    for number, entry in enumerate(chosen, 1):
        target = folder / f"student-{number:03d}"
        target.mkdir(parents=True)
        for name, text in entry.sources().items():
            # No two students' files are the same: the grader may grade identical submissions only once.
            (target / name).write_text(f"{text}\n# {number}\n", encoding="utf-8")
        if number % 3 == 0:
            shutil.make_archive(str(target), "zip", target)
            shutil.rmtree(target)
            target = target.with_suffix(".zip")
        made.append(target)
    return made


@dataclass
class Memory:
    """Memory of a process and its descendants in MB, by seconds; shared pages are counted once."""

    samples: list[tuple[float, float]] = field(default_factory=list)

    def watch(self, process: subprocess.Popen[bytes], every: float = 5.0) -> None:
        began = time.monotonic()
        while process.poll() is None:
            self.samples.append((time.monotonic() - began, _memory(process.pid)))
            time.sleep(every)

    def quarters(self) -> list[float]:
        """The median of each quarter of the run."""
        values = [value for _, value in self.samples[1:]]
        if len(values) < 4:
            return values
        parts = [sorted(values[i * len(values) // 4 : (i + 1) * len(values) // 4]) for i in range(4)]
        return [part[len(part) // 2] for part in parts]


def _memory(pid: int) -> float:
    total = 0.0
    try:
        members = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.Error:
        return 0.0
    for member in members:
        try:
            total += member.memory_full_info().pss / 2**20
        except (psutil.Error, AttributeError):
            continue
    return total


def command(folder: Path, out: Path) -> list[str]:
    return [sys.executable, "-m", "autograder", "grade", str(folder), "--out", str(out), "--jobs", str(JOBS)]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "AUTOGRADER_SECRET": SECRET}


def start(folder: Path, out: Path) -> subprocess.Popen[bytes]:
    """Starts grading a class by the command line, without output."""
    quiet = subprocess.DEVNULL
    return subprocess.Popen(command(folder, out), cwd=ROOT, env=environment(), stdout=quiet, stderr=quiet)


def timed(folder: Path, out: Path) -> tuple[float, Memory]:
    """Grades the class by the command line: seconds, and memory over time."""
    began, memory = time.monotonic(), Memory()
    with start(folder, out) as running:
        watcher = threading.Thread(target=memory.watch, args=(running,))
        watcher.start()
        if running.wait():
            raise RuntimeError(f"grade ended with status {running.returncode}")
        watcher.join()
    return time.monotonic() - began, memory


def inside(paths: Sequence[Path]) -> tuple[float, float]:
    """Seconds of grading one at a time, and how many of them were spent waiting for sandboxes with student code."""
    waited = 0.0
    original = SandboxedSubmission._request

    def measured(self: SandboxedSubmission, *arguments: Any, **keywords: Any) -> Any:
        nonlocal waited
        began = time.monotonic()
        try:
            return original(self, *arguments, **keywords)
        finally:
            waited += time.monotonic() - began

    os.environ["AUTOGRADER_SECRET"] = SECRET
    grade_job(_job(paths[0]), options.GradingOptions())  # loads torch and starts the fork server
    setattr(SandboxedSubmission, "_request", measured)  # noqa: B010 (a method, for the type checker)
    try:
        began = time.monotonic()
        for path in paths:
            grade_job(_job(path), options.GradingOptions())
        return time.monotonic() - began, waited
    finally:
        setattr(SandboxedSubmission, "_request", original)  # noqa: B010


def _job(path: Path) -> options.Job:
    return options.Job(path, intake.name_of(path), None)


def by_otter(paths: Sequence[Path], folder: Path) -> float:
    """Seconds that `otter run` takes for each submission, one at a time, as an instructor would run it."""
    archive = build(folder, None, SECRET)
    took = 0.0
    for number, path in enumerate(paths):
        place = folder / f"otter-{number}"
        (place / "upload" / "submission").mkdir(parents=True)
        files = intake.read(path, assignment().rubric).files
        for name, data in files.items():
            (place / "upload" / "submission" / name).write_bytes(data)
        shutil.make_archive(str(place / "submission"), "zip", place / "upload")
        began = time.monotonic()
        subprocess.run(
            [
                sys.executable,
                "-m",
                "otter",
                "run",
                "-a",
                str(archive),
                "-o",
                str(place),
                str(place / "submission.zip"),
            ],
            cwd=place,
            env=environment(),
            check=True,
            capture_output=True,
        )
        took += time.monotonic() - began
    return took / len(paths)


def killed(folder: Path, out: Path, times: int, seconds: float) -> int:
    """Grades the class and kills it at `times` random moments; returns how many kills hit a running process."""
    chooser, hits = random.Random(SEED), 0
    for _ in range(times):
        with start(folder, out) as running:
            time.sleep(chooser.uniform(0.05, 0.25) * seconds)
            if running.poll() is None:
                running.send_signal(signal.SIGKILL)
                hits += 1
    subprocess.run(command(folder, out), cwd=ROOT, env=environment(), check=True, capture_output=True)
    return hits


def grades(out: Path) -> dict[str, bytes]:
    """Everything that must be the same byte for byte: the gradebook, and each result without the seconds it took."""
    found = {"grades.csv": (out / "grades.csv").read_bytes()}
    for path in sorted(set(out.glob("*.json")) - {out / "manifest.json"}):
        table = json.loads(path.read_text(encoding="utf-8"))
        table.pop("seconds")
        found[path.name] = json.dumps(table).encode()
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.experiments.big_class", description=__doc__.splitlines()[0] if __doc__ else ""
    )
    parser.add_argument("--size", type=int, default=300)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument(
        "--otter", type=int, default=4, help="submissions that otter run grades for comparison"
    )
    parser.add_argument("--out", type=Path, default=None, help="where the results are kept")
    options = parser.parse_args(arguments)
    console, wrong = Console(highlight=False, soft_wrap=True), False
    with tempfile.TemporaryDirectory(prefix="class-") as name:
        root = Path(name)
        out = options.out or root / "grades"
        paths = make(root / "class", options.size)
        seconds, memory = timed(root / "class", out)
        each = seconds / len(paths)
        console.print(f"{len(paths)} submissions, {JOBS} jobs: {seconds:.0f} s, {60 / each:.1f} a minute")
        console.print(
            f"Memory, median of each quarter (MB): {', '.join(f'{m:.0f}' for m in memory.quarters())}"
        )
        if options.otter:
            alone = by_otter(paths[: options.otter], root / "otter")
            console.print(
                f"otter run, one at a time: {alone:.1f} s each; grade: {each:.2f} s each: {alone / each:.1f} times as fast"
            )
        whole, waited = inside(paths[:INSIDE])
        console.print(
            f"One at a time: {whole / INSIDE:.2f} s each, {waited / INSIDE:.2f} s of it in the sandbox with student code:"
            f" {whole / waited - 1:.0%} beyond that"
        )
        if options.kills:
            few = root / "few"
            few.mkdir()
            for path in paths[:KILLED_CLASS]:
                (shutil.copytree if path.is_dir() else shutil.copy)(path, few / path.name)
            calm, _ = timed(few, root / "calm")
            hits = killed(few, root / "killed", options.kills, calm)
            same = grades(root / "calm") == grades(root / "killed")
            wrong = not same
            console.print(
                f"Killed at {hits} moments and restarted: {'the same grades' if same else 'OTHER GRADES'}"
            )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
