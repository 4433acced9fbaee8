"""Grading on other machines: the same jobs, sent through Dask to workers that share no disk with this one.

Uploads are read here and sent as bytes; results come back and are written here. Workers need this package in the same version,
with the same assignment, and nothing else of the course: no submissions and no secret. When a worker dies, Dask gives its
submissions to another one.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import replace
from typing import Any

from autograder.grading.judge import Work, grade_submission, known_result, read_job, save, ungraded
from autograder.grading.options import GradingOptions, Job, course_secret, grader_digest
from autograder.model.verdicts import Result
from autograder.submissions import intake

log = logging.getLogger("autograder")

CONNECT = "20s"  # how long to wait for the scheduler's first answer
TRIES = 4  # workers that one submission may be given to, one after the other
AHEAD = 3  # submissions queued for each thread of the cluster: enough to keep it busy, few enough to hold in memory

_one_at_a_time = threading.Lock()  # in a worker: checks run under pytest, which is not thread-safe


class ClusterError(RuntimeError):
    """The cluster cannot be used; the text is one line that says why and how to fix it."""


def run(queue: Sequence[Job], address: str, options: GradingOptions) -> Iterator[tuple[Job, Result]]:
    """Grades the queue on the cluster at `address` and yields each job with its result, in the order in which they finish.

    What an earlier run has finished is not sent again (see `GradingOptions.reuse`). Raises ClusterError when no scheduler
    answers, or when a worker cannot grade.
    """
    client = _connect(address)
    try:
        _require_same_grader(client)
        yield from _run(queue, client, options)
    finally:
        client.close()


def _run(queue: Sequence[Job], client: Any, options: GradingOptions) -> Iterator[tuple[Job, Result]]:
    executor = client.get_executor(retries=TRIES, pure=False)
    most = AHEAD * max(1, sum(client.nthreads().values()))
    waiting: dict[Future[Result], tuple[Job, Work]] = {}
    left = list(queue)
    while left or waiting:
        while left and len(waiting) < most:
            job = left.pop(0)
            work = read_job(job, options)
            if (known := known_result(work, job)) is not None:
                yield job, known
                continue
            asked = replace(options, questions=work.questions)
            future = executor.submit(grade_on_worker, work.submission, asked, course_secret())
            waiting[future] = job, work
        if not waiting:
            continue
        done, _ = wait(waiting, return_when=FIRST_COMPLETED)
        for future in done:
            job, work = waiting.pop(future)
            try:
                result = work.finished(replace(future.result(), grader=options.digest()))
            except Exception as error:  # every worker that had the job is gone
                log.error("%s: no worker could grade it (%s: %s)", job.path, type(error).__name__, error)
                result = ungraded(job)
            save(job, result)
            yield job, result


def grade_on_worker(submission: intake.Submission, options: GradingOptions, secret: str) -> Result:
    """In a worker: grades one submission; other threads of the worker wait."""
    with _one_at_a_time:
        return grade_submission(submission, options=options, secret=secret)


def digest_on_worker() -> str:
    """In a worker: the digest of its grader."""
    return grader_digest()


def _connect(address: str) -> Any:
    try:
        from distributed import Client
        from distributed.security import Security

        make: Any = Client  # it has no types
        security: Any = Security
    except ImportError:
        raise ClusterError(
            "--cluster needs the package distributed: pip install -c constraints.txt -e '.[instructors]'"
        ) from None
    try:
        # Without certificates a client for tls:// fails, and then waits for its end before it prints a traceback.
        if address.startswith("tls://") and not security().get_connection_args("client").get("ssl_context"):
            raise ClusterError(
                f"--cluster {address}: this machine's certificates are not set; set DASK_DISTRIBUTED__COMM__TLS__CA_FILE,"
                " ..._TLS__CLIENT__CERT and ..._TLS__CLIENT__KEY to their files"
            )
        client = make(address, timeout=CONNECT, set_as_default=False)
    except (OSError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ClusterError(
            f"--cluster {address}: no Dask scheduler answers there ({reason}); is it running?"
        ) from None
    if not client.nthreads():
        client.close()
        raise ClusterError(
            f"--cluster {address}: the scheduler has no workers; start some with: dask worker {address}"
        )
    return client


def _require_same_grader(client: Any) -> None:
    """Raises ClusterError when a worker has no grader, or a different one from this machine's."""
    found: dict[str, Any] = client.run(digest_on_worker, on_error="return")
    for worker, digest in found.items():
        if isinstance(digest, Exception):
            raise ClusterError(
                f"the worker at {worker} cannot grade ({type(digest).__name__}: {digest}); install this package there"
            )
        if digest != grader_digest():
            raise ClusterError(
                f"the worker at {worker} has another version of the grader, the assignment or PyTorch; install the same"
                " there"
            )
