"""Grading many submissions: in this process or over a pool of judges, each with its own zygote; results as they come."""

from __future__ import annotations

import atexit
import hashlib
import json
import logging
import os
import signal
import threading
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from functools import cache
from importlib import metadata
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from autograder import intake, interrupts
from autograder.reports.files import write_result
from autograder.rubric import assignment
from autograder.sandbox.launch import Launcher, Limits, launcher
from autograder.verdicts import GRADERS_FAULT, Result, Visibility

log = logging.getLogger("autograder")

GPU_ADDRESS_SPACE = 1 << 46  # bytes: CUDA maps the GPU's memory and much more, without using it
DEFAULT_SECRET = "no course secret was set"
NOT_GRADED = "This submission could not be graded, because of a fault in the grader; grade it again."


@dataclass(frozen=True)
class Work:
    """One submission to grade: where it lies, its name, and where its JSON goes (None: nowhere).

    notes: what is known of it beside its content (handed in late, say), one line each, to stand among its result's notes.
    """

    path: Path
    name: str
    output: Path | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class How:
    """How a batch is graded.

    isolation: the level that is asked for ("auto": the best there is).
    reuse: whether a finished result of the same content and grader stands as it is.
    cluster: the address of a Dask scheduler whose workers grade; None for this machine (see cluster.py).
    """

    questions: tuple[str, ...] | None = None
    device: str = "cpu"
    isolation: str | None = None
    reuse: bool = False
    cluster: str | None = None

    def digest(self) -> str:
        """A digest of all that verdicts hang on beside the submission: the grader, PyTorch, the secret and these settings."""
        settings = (self.questions, self.device, self.isolation, course_secret())
        return hashlib.sha256(f"{grader_digest()} {settings!r}".encode()).hexdigest()[:32]


@cache
def grader_digest() -> str:
    """A digest of the grader's own files, the reference's, and the version of PyTorch."""
    subject = assignment()
    folders = [
        Path(__file__).resolve().parent,
        subject.checks,
        subject.probes,
        subject.given,
        subject.reference,
    ]
    whole = hashlib.sha256(metadata.version("torch").encode())
    for folder in dict.fromkeys(f for f in folders if f is not None):
        for path in sorted([*folder.rglob("*.py"), *folder.rglob("*.toml")]):
            whole.update(f"{path.relative_to(folder)}\0".encode())
            whole.update(path.read_bytes())
    return whole.hexdigest()


def course_secret() -> str:
    """The course secret, from AUTOGRADER_SECRET; a fixed text (guessable) where that is not set."""
    return os.environ.get("AUTOGRADER_SECRET") or DEFAULT_SECRET


def run(
    works: Sequence[Work], jobs: int, how: How | None = None
) -> Generator[tuple[Work, Result], None, None]:
    """Grades the works and yields each with its result, in the order in which they get done; closed early, it ends its judges."""
    how = how or How()
    if how.cluster is not None:
        from autograder import cluster  # imported here: Dask takes a while, and students have none

        yield from cluster.run(works, how.cluster, how)
        return
    if jobs <= 1 or len(works) <= 1:
        for work in works:
            yield work, _grade(work, how)
        return
    left = list(works)
    with _pool(min(jobs, len(works))) as pool, interrupts.ending_children():
        waiting: dict[Future[Result], Work] = {pool.submit(_grade, work, how): work for work in works}
        try:
            for future in as_completed(waiting):
                result = future.result()
                left.remove(waiting[future])
                yield waiting[future], result
        except BrokenProcessPool:
            pool.shutdown(wait=False, cancel_futures=True)
            log.error("a judge process ended; what is left is graded one by one")
    for work in left:
        yield work, _alone(work, how)


def _pool(size: int) -> ProcessPoolExecutor:
    """Judges that share nothing with this process (no thread, lock or half-drawn progress bar) and do not outlive it."""
    return ProcessPoolExecutor(size, mp_context=get_context("spawn"), initializer=begin_in_pool)


def begin_in_pool() -> None:
    """In a pool's process: ends it when the one that started it is gone, killed perhaps, and could not say so.

    Ctrl-C in a terminal reaches all processes; it is for the one that started the others to end them.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    assert parent is not None

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _alone(work: Work, how: How) -> Result:
    """Grades one work in a judge of its own, so that one that ends its judge ends nothing else."""
    try:
        with _pool(1) as pool, interrupts.ending_children():
            return pool.submit(_grade, work, how).result()
    except BrokenProcessPool:
        log.error("%s: the judge process ended while grading it", work.path)
        return ungraded(work)


def ungraded(work: Work) -> Result:
    """The result, kept, of a submission that no judge came to an end with."""
    result = Result(work.name, "", "process", 0.0, (), (), complete=False, notes=(NOT_GRADED,))
    keep(work, result)
    return result


def grade_one(
    path: Path,
    *,
    name: str | None = None,
    visibilities: tuple[Visibility, ...] = ("public", "hidden"),
    questions: tuple[str, ...] | None = None,
    secret: str | None = None,
    device: str = "cpu",
    output: Path | None = None,
    start: str | None = None,
    isolation: str | None = None,
) -> Result:
    """Grades the submission at `path` in this process.

    output: the JSON file that is written at first and after each question.
    start: "fork" or "spawn", to force how sandboxed processes are made.
    isolation: the level that is asked for; the best there is when None.
    Raises intake.UnusableSubmission when the path holds nothing that can be read, and launch.Unavailable (a RuntimeError)
    when the isolation is not to be had.
    """
    submission = intake.read(path, assignment().rubric, name)
    limits = Limits() if device == "cpu" else Limits(memory=GPU_ADDRESS_SPACE)
    settings = {"visibilities": visibilities, "questions": questions, "device": device, "limits": limits}
    work = Work(path, submission.name, output)
    return _grade_read(
        submission, work, secret or course_secret(), _launcher(start, isolation, device), "", settings
    )


def grade_submission(
    submission: intake.Submission,
    output: Path | None = None,
    how: How | None = None,
    secret: str | None = None,
) -> Result:
    """Grades what has been read already, with all checks, in this process; the JSON goes to `output` as it comes."""
    how = how or How()
    work = Work(Path(submission.name), submission.name, output)
    settings: dict[str, Any] = {"questions": how.questions, "device": how.device}
    if how.device != "cpu":
        settings["limits"] = Limits(memory=GPU_ADDRESS_SPACE)
    boxes = _launcher(None, how.isolation, how.device)
    return _grade_read(submission, work, secret or course_secret(), boxes, how.digest(), settings)


def read_work(work: Work, how: How) -> tuple[intake.Submission, Result | None]:
    """A work's submission, whatever it is, and the finished result of an earlier run where that stands (`How.reuse`)."""
    try:
        submission = intake.read(work.path, assignment().rubric, work.name)
    except intake.UnusableSubmission as error:  # graded as one of nothing, with the reason beside it
        return intake.empty(work.name, str(error), work.notes), None
    except Exception as error:
        log.exception("%s: reading it failed", work.path)
        told = f"{work.path.name}: cannot be read ({type(error).__name__}); send it again"
        return intake.empty(work.name, told, work.notes), None
    submission = replace(submission, notes=(*work.notes, *submission.notes))
    return submission, _known(work, submission, how.digest()) if how.reuse else None


def _grade(work: Work, how: How) -> Result:
    """A worker's job. Whatever the submission is, it ends in a result."""
    submission, known = read_work(work, how)
    return known or grade_submission(submission, work.output, how)


def _grade_read(
    submission: intake.Submission,
    work: Work,
    secret: str,
    boxes: Launcher,
    grader: str,
    settings: dict[str, Any],
) -> Result:
    # Imported here, after the zygote's process has been started: both load torch at the same time.
    from autograder.grading import Options, grade

    def progress(result: Result) -> None:
        keep(work, replace(result, grader=grader))

    result = grade(submission, assignment(), boxes, Options(secret, **settings), progress)
    result = replace(result, grader=grader)
    keep(work, result)
    return result


def keep(work: Work, result: Result) -> None:
    """Writes the result where the work's JSON goes."""
    if work.output is not None:
        write_result(work.output, result)


def _known(work: Work, submission: intake.Submission, grader: str) -> Result | None:
    """The finished result of an earlier run, where the same grader has graded the same content; else None."""
    if work.output is None:
        return None
    try:
        result = Result.from_json(json.loads(work.output.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None
    faults = any(GRADERS_FAULT in verdict.feedback for verdict in result.checks)
    same = (result.submission, result.sha256, result.grader) == (work.name, submission.sha256, grader)
    if not same or not result.complete or faults:
        return None
    if result.notes != submission.notes:  # the same modules, packed differently
        result = replace(result, notes=submission.notes)
        keep(work, result)
    return result


_launchers: dict[tuple[str | None, str | None, str], Launcher] = {}


def _launcher(start: str | None, isolation: str | None, device: str) -> Launcher:
    """This process's launcher, made at the first use and closed at exit."""
    key = (start, isolation, device)
    if key not in _launchers:
        subject = assignment()
        hidden = [folder for folder in (subject.reference, subject.checks) if folder is not None]
        _launchers[key] = launcher(start, isolation, hidden, gpu=device != "cpu")
        atexit.register(_launchers[key].close)
    return _launchers[key]


def warm_up(isolation: str | None = None, device: str = "cpu") -> None:
    """Starts this process's zygote, so that it loads torch while other things are done."""
    _launcher(None, isolation, device)


def default_jobs() -> int:
    return max(1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
