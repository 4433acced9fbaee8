"""Grading on other machines: the same work, sent through Dask to workers that share no disk with this one.

Uploads are read here and sent as bytes; results come back and are written here. Workers need a copy of this repository in the same
version, installed, and nothing of the course: no submissions, and no secret. A worker that dies costs time: Dask gives its work to
another.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import replace
from typing import Any

from autograder import batch, intake
from autograder.rubric import assignment
from autograder.verdicts import Result

log = logging.getLogger("autograder")

CONNECT = "20s"  # until a scheduler must have answered
TRIES = 4  # workers that one submission may be given to, one after the other
AHEAD = 3  # submissions that wait for each thread of the cluster: enough to keep it busy, few enough to hold in memory

_one_at_a_time = (
    threading.Lock()
)  # in a worker: checks are run by pytest, which is no matter for threads beside each other


class ClusterError(RuntimeError):
    """The cluster cannot be used; the text is one line that says why, and the mend."""


def run(works: Sequence[batch.Work], address: str, how: batch.How) -> Iterator[tuple[batch.Work, Result]]:
    """Grades the works on the cluster at `address`, and yields each with its result, in the order in which they get done.

    What an earlier run has finished is not sent again (see `batch.How.reuse`). Raises ClusterError where there is no cluster,
    or one whose workers cannot grade.
    """
    client = _connect(address)
    try:
        _same_grader(client)
        yield from _run(works, client, how)
    finally:
        client.close()


def _run(works: Sequence[batch.Work], client: Any, how: batch.How) -> Iterator[tuple[batch.Work, Result]]:
    executor = client.get_executor(retries=TRIES, pure=False)
    room = AHEAD * max(1, sum(client.nthreads().values()))
    waiting: dict[Future[Result], batch.Work] = {}
    left = list(works)
    while left or waiting:
        while left and len(waiting) < room:
            work = left.pop(0)
            submission, known = batch.read_work(work, how)
            if known is not None:
                yield work, known
                continue
            secret = batch.course_secret()
            waiting[executor.submit(grade_there, submission, how, secret)] = work
        if not waiting:
            continue
        done, _ = wait(waiting, return_when=FIRST_COMPLETED)
        for future in done:
            work = waiting.pop(future)
            try:
                result = replace(future.result(), grader=how.digest())
            except Exception as error:  # every worker that had it is gone
                log.error("%s: no worker could grade it (%s: %s)", work.path, type(error).__name__, error)
                result = batch.ungraded(work)
            batch.keep(work, result)
            yield work, result


def grade_there(submission: intake.Submission, how: batch.How, secret: str) -> Result:
    """In a worker: grades one submission, one at a time, whatever the number of its threads."""
    with _one_at_a_time:
        return batch.grade_submission(submission, how=how, secret=secret)


def digest_there() -> str:
    """In a worker: the digest of its grader."""
    return batch.grader_digest()


def _connect(address: str) -> Any:
    try:
        from distributed import Client

        make: Any = Client  # it has no types
    except ImportError:
        raise ClusterError(
            "--cluster needs the package distributed: pip install -c constraints.txt -e '.[instructors]'"
        ) from None
    try:
        client = make(address, timeout=CONNECT, set_as_default=False)
    except (OSError, ValueError) as error:
        told = str(error).splitlines()[0]
        raise ClusterError(
            f"--cluster {address}: no Dask scheduler answers there ({told}); is it running?"
        ) from None
    if not client.nthreads():
        client.close()
        raise ClusterError(
            f"--cluster {address}: the scheduler has no workers; start some with: dask worker {address}"
        )
    return client


def _same_grader(client: Any) -> None:
    """Raises ClusterError where a worker has no grader, or another one than this machine."""
    found: dict[str, Any] = client.run(digest_there, on_error="return")
    for worker, digest in found.items():
        if isinstance(digest, Exception):
            raise ClusterError(
                f"the worker at {worker} cannot grade ({type(digest).__name__}: {digest}); install this package there"
            )
        if digest != batch.grader_digest():
            raise ClusterError(
                f"the worker at {worker} has another version of the grader, the assignment or PyTorch; install the same"
                " there"
            )
    assignment()  # read here too, before the first submission is sent
