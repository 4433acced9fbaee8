"""What a class costs: CPU time of a grading, submissions by the number of judges, a judge's memory; a part of `make bench`.

This machine's own cores grade copies of the solutions. More cores are simulated: the workers of a Dask cluster wait as long as a
grading takes here, so what is measured is how many of them one instructor's machine can keep busy.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psutil

from autograder.grading import batch, cluster
from autograder.grading.options import GradingOptions, Job
from autograder.model.verdicts import Result
from autograder.submissions.intake import Submission
from autograder.support.processes import default_jobs

ROOT = Path(__file__).resolve().parents[2]
FEW, MORE = 1, 5  # submissions for each judge in two runs, whose difference leaves the start out
SIMULATED = (8, 64)
EACH = 3  # simulated submissions for each worker
TORCH = "import psutil, torch; print(psutil.Process().memory_info().rss)"

Rows = dict[str, dict[str, float]]
_results: list[Result] = []  # what simulated workers return


@dataclass(frozen=True)
class Cost:
    """Of one run: its seconds, the CPU time of all its processes, the most memory in MB of a judge, and one of the results."""

    seconds: float
    cpu: float
    memory: float
    result: Result


def copies(folder: Path, count: int) -> list[Job]:
    """Jobs for copies of the solutions, none of which is the same."""
    jobs = []
    for number in range(count):
        place = folder / f"copy-{number:03d}"
        place.mkdir(parents=True)
        for path in (ROOT / "solutions").glob("*.py"):
            text = f"{path.read_text(encoding='utf-8')}\n# {number}\n"
            (place / path.name).write_text(text, encoding="utf-8")
        jobs.append(Job(place, place.name, folder / "grades" / f"{place.name}.json"))
    return jobs


def cost(count: int, judges: int) -> Cost:
    """Grades so many copies with so many judges."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        queue = copies(Path(name), count)
        before, began, memory = _cpu(), time.perf_counter(), 0.0
        for _, result in batch.run(queue, judges):
            if result.score != result.max_score:
                raise RuntimeError(f"{result.submission} loses points")
            memory = max(memory, *map(_memory, psutil.Process().children()))  # without their sandboxes
        return Cost(time.perf_counter() - began, _cpu() - before, memory, result)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _memory(process: psutil.Process) -> float:
    """The most resident memory in MB that a process has had."""
    try:
        status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
        return int(status.partition("VmHWM:")[2].split()[0]) / 2**10
    except (OSError, IndexError):  # it has ended
        return 0.0


def by_judges() -> tuple[Rows, Rows, Rows]:
    """A submission's seconds by the number of judges, its CPU time, and the memory of a judge."""
    counts = sorted({1, default_jobs()})
    few, more = ([cost(each * judges, judges) for judges in counts] for each in (FEW, MORE))
    differences = zip(counts, few, more, strict=True)
    seconds = [(b.seconds - a.seconds) / ((MORE - FEW) * judges) for judges, a, b in differences]
    names = [f"{count} judge{'s' if count > 1 else ''}" for count in counts]
    rows = {n: {"seconds": s, "ratio": s / seconds[0]} for n, s in zip(names, seconds, strict=True)}
    rows |= simulated(seconds[0], more[0].result)
    torch = float(subprocess.check_output([sys.executable, "-c", TORCH])) / 2**20
    judge = max(found.memory for found in more)
    cpu = (more[0].cpu - few[0].cpu) / (MORE - FEW)
    return (
        rows,
        {"seconds of CPU": {"seconds": cpu, "ratio": cpu / seconds[0]}},
        {
            "python -c 'import torch'": {"MB": torch, "ratio": 1.0},
            f"a judge's largest, of {MORE} submissions": {"MB": judge, "ratio": judge / torch},
        },
    )


def simulated(seconds: float, result: Result) -> Rows:
    """A submission's seconds with more workers than this machine has cores, where a grading takes so many."""
    found = {f"{workers} workers, simulated": dispatched(workers, seconds, result) for workers in SIMULATED}
    # The number of workers at which the instructor's machine has no time left is the inverse of this one's ratio.
    found["reading, sending and saving alone"] = dispatched(1, 0.0, result)
    return {name: {"seconds": each, "ratio": each / seconds} for name, each in found.items()}


def dispatched(workers: int, seconds: float, result: Result) -> float:
    """Seconds for each submission, when each of so many workers of a cluster in this process takes `seconds` for one.

    Submissions and results travel through sockets, as they do to other machines.
    """
    import distributed  # slow to import, and without types

    made: Any = distributed
    asked: dict[str, Any] = {"n_workers": workers, "threads_per_worker": 1, "processes": False}
    # They share this process's memory: a share for each would pause them all.
    asked |= {"memory_limit": None, "protocol": "tcp://", "host": "127.0.0.1", "dashboard_address": None}
    _results[:] = [result]
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        queue = copies(Path(name), EACH * workers if seconds else 60)
        with (
            made.LocalCluster(**asked) as local,
            made.Client(local, set_as_default=False) as client,
            patch.object(cluster, "grade_on_worker", partial(wait_instead, seconds)),
        ):
            began = time.perf_counter()
            done = [found for _, found in cluster._run(queue, client, GradingOptions())]
            assert len(done) == len(queue) and all(found.score == result.score for found in done)
            return (time.perf_counter() - began) / len(done)


def wait_instead(seconds: float, submission: Submission, options: GradingOptions, secret: str) -> Result:
    """In a worker: waits in place of grading, and returns a result as large as a real one."""
    time.sleep(seconds)
    return replace(_results[0], submission=submission.name, sha256=submission.sha256)
