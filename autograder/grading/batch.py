"""Grading many submissions in a pool of judge processes, which can be lost; results are yielded as they are ready.

In this module and its callers `queue` is the list of jobs to grade, and `jobs` the number of judges that work at the same time.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context

from autograder.grading.judge import grade_job, ungraded
from autograder.grading.options import GradingOptions, Job
from autograder.model.verdicts import Result
from autograder.support import interrupts
from autograder.support.processes import begin_in_pool

log = logging.getLogger("autograder")


def run(
    queue: Sequence[Job], jobs: int, options: GradingOptions | None = None
) -> Generator[tuple[Job, Result], None, None]:
    """Grades the queue with `jobs` judges and yields each job with its result, in the order in which they finish.

    Closing the generator early ends the judges. Raises cluster.ClusterError when `options.cluster` cannot be used.
    """
    options = options or GradingOptions()
    if options.cluster is not None:
        from autograder.grading import (
            cluster,
        )  # imported here: Dask is slow to import, and not installed for students

        yield from cluster.run(queue, options.cluster, options)
        return
    left = list(queue)
    while left:
        size = max(1, min(jobs, len(left)))
        with _pool(size) as pool, interrupts.ending_children():
            waiting: dict[Future[Result], Job] = {}
            try:
                for job in left:  # a judge can be lost before the last is submitted
                    waiting[pool.submit(grade_job, job, options)] = job
                for future in as_completed(waiting):
                    result = future.result()
                    left.remove(waiting[future])
                    yield waiting[future], result
            except BrokenProcessPool:
                pool.shutdown(wait=False, cancel_futures=True)
                log.error(
                    "a judge process ended unexpectedly; what it may have been grading is graded again, one by one"
                )
        # Jobs are begun in their order, so these are the ones that judges were working at, if any are left.
        begun, left = left[:size], left[size:]
        for job in begun:
            yield job, _alone(job, options)


def _pool(size: int) -> ProcessPoolExecutor:
    """Judges that share nothing with this process (no thread, lock or half-drawn progress bar) and do not outlive it."""
    return ProcessPoolExecutor(size, mp_context=get_context("spawn"), initializer=begin_in_pool)


def _alone(job: Job, options: GradingOptions) -> Result:
    """Grades one job in a judge of its own, so that a submission that ends its judge affects no other."""
    try:
        with _pool(1) as pool, interrupts.ending_children():
            return pool.submit(grade_job, job, options).result()
    except BrokenProcessPool:
        log.error("%s: the judge process ended while grading it", job.path)
        return ungraded(job)
