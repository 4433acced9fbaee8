"""Several trainings side by side, each with its share of the cores.

The models of Problem 1 are so small that one of them can hardly use a second core: two trainings with a thread each take
little longer than one with two threads. Each runs in a process of its own and leaves its checkpoint, from which whoever asked
goes on: with nothing more to train where all went well, and with what is missing where a process was killed.
"""

from __future__ import annotations

import contextlib
import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, NamedTuple

import torch

from autograder import interrupts
from autograder.batch import begin_in_pool, default_jobs
from autograder.study.runs import Plan, Progress
from autograder.study.training import small_numbers_as_zero

MOST = 4  # by default: each holds PyTorch and the images, 1 GB
TOLD_EVERY = 0.2  # seconds


class Job(NamedTuple):
    """One training of a set: what, and from which seed."""

    plan: Plan
    seed: int


def jobs_by_default(device: str) -> int:
    """One training at a time on a GPU, which they would share; on a CPU one for each core, and at most `MOST`."""
    return 1 if device == "cuda" else min(default_jobs(), MOST)


def train_ahead(
    jobs: Sequence[Job],
    load: Callable[[], Any],
    train: Callable[..., object],
    workers: int,
    progress: Progress,
) -> None:
    """Runs train(plan, data, progress=..., seed=...) for every job, `workers` at a time, each with data = load() of its own.

    Returns when all are done, or when a process was killed (by a shortage of memory, say). Raises what a training raises.

    Args:
        load, train: functions that a new process can find by their names, or partials of such.
        progress: told of all trainings, in this process.
    """
    context = multiprocessing.get_context("spawn")
    told = context.SimpleQueue()
    workers = min(workers, len(jobs))
    prepare = (load, train, max(1, default_jobs() // workers), told)
    with (
        contextlib.suppress(BrokenProcessPool),
        ProcessPoolExecutor(workers, context, _prepare, prepare) as pool,
        interrupts.ending_children(),
    ):
        pending: set[Future[None]] = {pool.submit(_train, job) for job in jobs}
        while pending:
            ended, pending = wait(pending, timeout=TOLD_EVERY)
            while not told.empty():
                progress(*told.get())
            for future in ended:
                future.result()


_ready: list[Callable[[Job], object]] = []


def _prepare(load: Callable[[], Any], train: Callable[..., object], threads: int, told: Any) -> None:
    begin_in_pool()
    small_numbers_as_zero().__enter__()
    torch.set_num_threads(threads)
    data = load()

    def tell(name: str, total: int, done: int) -> None:
        told.put((name, total, done))

    _ready.append(lambda job: train(job.plan, data, progress=tell, seed=job.seed))


def _train(job: Job) -> None:
    _ready[0](job)
