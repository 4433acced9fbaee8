"""A class of 300, graded: `make class` prints what it takes, against Otter, and that killing it changes no grade.

The class is made from the corpora: all wheats, half-finished submissions, ten attacks, and chaffs for the rest; folders and zips.

    python -m tests.big_class [--size 300] [--kills 10] [--otter 4] [--out DIR]
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

from autograder import batch, examinee, intake
from autograder.build.gradescope import build
from autograder.rubric import assignment
from tests import corpus
from tests.attacks import entries

ROOT = Path(__file__).resolve().parents[1]
SECRET = "the secret of a class of 300"
SEED = 300
JOBS = 2
ATTACKS = 10
KILLED_CLASS = 24  # submissions of the runs that are killed
INSIDE = 12  # submissions by which the time inside student code is measured
# Attacks whose time is the limit's, not the grader's, would measure nothing; the others may be slow too.
QUICK = ("forge", "leak", "escape")


def make(folder: Path, size: int) -> list[Path]:
    """Writes the class into `folder`: the same one for the same size, every third submission as a zip."""
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
            # Two students' files are never the same: the grader would be right to take the time once.
            (target / name).write_text(f"{text}\n# {number}\n", encoding="utf-8")
        if number % 3 == 0:
            shutil.make_archive(str(target), "zip", target)
            shutil.rmtree(target)
            target = target.with_suffix(".zip")
        made.append(target)
    return made


@dataclass
class Memory:
    """Memory of a process and all that it started, in MB by seconds; shared pages are counted once."""

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
    """The command line at work on a class, in silence."""
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
    """Seconds of grading, and of these the seconds that were spent waiting for sandboxes with student code, one at a time."""
    waited = 0.0
    original = examinee.Examinee._request

    def measured(self: examinee.Examinee, *arguments: Any, **keywords: Any) -> Any:
        nonlocal waited
        began = time.monotonic()
        try:
            return original(self, *arguments, **keywords)
        finally:
            waited += time.monotonic() - began

    os.environ["AUTOGRADER_SECRET"] = SECRET
    list(batch.run([_work(paths[0])], 1))  # torch is loaded, the zygote is there
    setattr(examinee.Examinee, "_request", measured)  # noqa: B010 (a method, for the type checker)
    try:
        began = time.monotonic()
        list(batch.run([_work(path) for path in paths], 1))
        return time.monotonic() - began, waited
    finally:
        setattr(examinee.Examinee, "_request", original)  # noqa: B010


def _work(path: Path) -> batch.Work:
    return batch.Work(path, intake.name_of(path), None)


def by_otter(paths: Sequence[Path], folder: Path) -> float:
    """Seconds that `otter run` takes for each submission, one at a time, as an instructor would run it."""
    archive = build(folder, None, SECRET)
    took = 0.0
    for number, path in enumerate(paths):
        work = folder / f"otter-{number}"
        (work / "upload" / "submission").mkdir(parents=True)
        files = intake.read(path, assignment().rubric).files
        for name, data in files.items():
            (work / "upload" / "submission" / name).write_bytes(data)
        shutil.make_archive(str(work / "submission"), "zip", work / "upload")
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
                str(work),
                str(work / "submission.zip"),
            ],
            cwd=work,
            env=environment(),
            check=True,
            capture_output=True,
        )
        took += time.monotonic() - began
    return took / len(paths)


def killed(folder: Path, out: Path, times: int, seconds: float) -> int:
    """Grades the class with `times` kills at random moments; returns how many struck while it ran."""
    chooser, struck = random.Random(SEED), 0
    for _ in range(times):
        with start(folder, out) as running:
            time.sleep(chooser.uniform(0.05, 0.25) * seconds)
            if running.poll() is None:
                running.send_signal(signal.SIGKILL)
                struck += 1
    subprocess.run(command(folder, out), cwd=ROOT, env=environment(), check=True, capture_output=True)
    return struck


def grades(out: Path) -> dict[str, bytes]:
    """What must be the same byte for byte: the gradebook, and each result but for the seconds it took."""
    found = {"grades.csv": (out / "grades.csv").read_bytes()}
    for path in sorted(out.glob("*.json")):
        table = json.loads(path.read_text(encoding="utf-8"))
        table.pop("seconds")
        found[path.name] = json.dumps(table).encode()
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.big_class", description=__doc__.splitlines()[0] if __doc__ else ""
    )
    parser.add_argument("--size", type=int, default=300)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument(
        "--otter", type=int, default=4, help="submissions that otter run grades for comparison"
    )
    parser.add_argument("--out", type=Path, default=None, help="where the results stay")
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
            struck = killed(few, root / "killed", options.kills, calm)
            same = grades(root / "calm") == grades(root / "killed")
            wrong = not same
            console.print(
                f"Killed at {struck} moments and begun again: {'the same grades' if same else 'OTHER GRADES'}"
            )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
