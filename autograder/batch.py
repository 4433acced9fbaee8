"""Grading many submissions: in this process or over a pool of judges, each with its own zygote; results as they come."""

from __future__ import annotations

import atexit
import logging
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from autograder import intake
from autograder.reports.files import file_name, write_result
from autograder.rubric import Assignment, assignment
from autograder.sandbox.launch import Launcher, Limits, launcher
from autograder.verdicts import Result, Visibility

GPU_ADDRESS_SPACE = 1 << 46  # bytes: CUDA maps the GPU's memory and much more, without using it
DEFAULT_SECRET = "no course secret was set"


@dataclass(frozen=True)
class Work:
    """One submission to grade: where it lies, its name, and where its JSON goes (None: nowhere)."""

    path: Path
    name: str
    output: Path | None


def course_secret() -> str:
    """The course secret, from AUTOGRADER_SECRET; a fixed text (guessable) where that is not set."""
    return os.environ.get("AUTOGRADER_SECRET") or DEFAULT_SECRET


def plan(paths: Sequence[Path], out: Path, subject: Assignment) -> tuple[list[Work], list[str]]:
    """What to grade, and one line for each path that is not there."""
    works: list[Work] = []
    problems: list[str] = []
    taken: set[str] = set()
    for path in paths:
        try:
            found = intake.submissions_in(path, subject.rubric)
        except intake.UnusableSubmission as error:
            problems.append(str(error))
            continue
        for submission in found:
            name = file_name(intake.name_of(submission), taken)
            works.append(Work(submission, name, out / f"{name}.json"))
    return works, problems


def run(
    works: Sequence[Work], jobs: int, questions: tuple[str, ...] | None = None, device: str = "cpu"
) -> Iterator[tuple[Work, Result]]:
    """Grades the works and yields each with its result, in the order in which they get done."""
    if jobs <= 1 or len(works) <= 1:
        for work in works:
            yield work, _grade(work, questions, device)
        return
    # Spawned judges share nothing with this process: no thread, lock or half-drawn progress bar is copied into them.
    with ProcessPoolExecutor(min(jobs, len(works)), mp_context=get_context("spawn")) as pool:
        waiting: dict[Future[Result], Work] = {
            pool.submit(_grade, work, questions, device): work for work in works
        }
        left = dict(waiting)
        try:
            for future in as_completed(waiting):
                result = future.result()
                yield left.pop(future), result
        except BrokenProcessPool:
            pool.shutdown(wait=False, cancel_futures=True)
            logging.getLogger("autograder").error("a judge process ended; the rest is graded in this one")
            for work in left.values():
                yield work, _grade(work, questions, device)


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
) -> Result:
    """Grades the submission at `path` in this process.

    output: the JSON file that is written at first and after each question.
    start: "fork" or "spawn", to force how sandboxed processes are made.
    Raises intake.UnusableSubmission when the path holds nothing that can be read.
    """
    subject = assignment()
    boxes = _launcher(start)
    # Imported here, after the zygote's process has been started: both load torch at the same time.
    from autograder.grading import Options, grade

    submission = intake.read(path, subject.rubric, name)
    limits = Limits() if device == "cpu" else Limits(memory=GPU_ADDRESS_SPACE)
    options = Options(secret or course_secret(), visibilities, questions, device, limits)

    def keep(result: Result) -> None:
        if output is not None:
            write_result(output, result)

    result = grade(submission, subject, boxes, options, keep)
    keep(result)
    return result


def _grade(work: Work, questions: tuple[str, ...] | None, device: str) -> Result:
    """A worker's job. A submission that cannot be read is graded as one of nothing, with the reason beside it."""
    subject = assignment()
    try:
        return grade_one(work.path, name=work.name, questions=questions, device=device, output=work.output)
    except intake.UnusableSubmission as error:
        boxes = _launcher(None)
        from autograder.grading import Options, grade

        nothing = intake.empty(work.name, str(error))
        result = grade(nothing, subject, boxes, Options(course_secret(), questions=questions))
        if work.output is not None:
            write_result(work.output, result)
        return result


_launchers: dict[str | None, Launcher] = {}


def _launcher(start: str | None) -> Launcher:
    """This process's launcher, made at the first use and closed at exit."""
    if start not in _launchers:
        _launchers[start] = launcher(start)
        atexit.register(_launchers[start].close)
    return _launchers[start]


def warm_up() -> None:
    """Starts this process's zygote, so that it loads torch while other things are done."""
    _launcher(None)


def default_jobs() -> int:
    return max(1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
