"""Several trainings side by side, each with its share of the cores.

The models of Problem 1 are too small to make good use of a second core: two trainings with one thread each take little
longer than one training with two threads. Each runs in a process of its own and leaves its checkpoint. The caller then
resumes every training from its checkpoint: usually nothing is left to train; after a process was killed, the rest.
"""

from __future__ import annotations

import contextlib
import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, NamedTuple

import torch

from autograder.support import interrupts
from autograder.support.processes import begin_in_pool, default_jobs

from .runs import Plan, Progress
from .training import flushing_denormals

MAX_WORKERS = 4  # by default: each holds PyTorch and the images, 1 GB
POLL_INTERVAL = 0.2  # seconds


class Job(NamedTuple):
    """One training: a plan and a seed."""

    plan: Plan
    seed: int


def default_workers(device: str) -> int:
    """One on a GPU, which the trainings would share; on a CPU one for each core, and at most `MAX_WORKERS`."""
    return 1 if device == "cuda" else min(default_jobs(), MAX_WORKERS)


def train_ahead(
    jobs: Sequence[Job],
    load: Callable[[], Any],
    train: Callable[..., object],
    workers: int,
    progress: Progress,
) -> None:
    """Runs train(plan, data, progress=..., seed=...) for every job, `workers` at a time; each process calls load() for data.

    Returns when all are done, or when a process was killed (for lack of memory, say). Raises what a training raises.

    Args:
        load, train: functions that a new process can import by name, or partials of such.
        progress: called in this process, for all trainings.
    """
    context = multiprocessing.get_context("spawn")
    reports = context.SimpleQueue()
    workers = min(workers, len(jobs))
    prepare = (load, train, max(1, default_jobs() // workers), reports)
    with (
        contextlib.suppress(BrokenProcessPool),
        ProcessPoolExecutor(workers, context, _prepare, prepare) as pool,
        interrupts.ending_children(),
    ):
        pending: set[Future[None]] = {pool.submit(_train, job) for job in jobs}
        while pending:
            ended, pending = wait(pending, timeout=POLL_INTERVAL)
            while not reports.empty():
                progress(*reports.get())
            for future in ended:
                future.result()


_prepared: list[Callable[[Job], object]] = []


def _prepare(load: Callable[[], Any], train: Callable[..., object], threads: int, reports: Any) -> None:
    begin_in_pool()
    flushing_denormals().__enter__()
    torch.set_num_threads(threads)
    data = load()

    def report(name: str, total: int, done: int) -> None:
        reports.put((name, total, done))

    _prepared.append(lambda job: train(job.plan, data, progress=report, seed=job.seed))


def _train(job: Job) -> None:
    _prepared[0](job)
