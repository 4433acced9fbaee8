"""Grading one submission in this process: reads it, judges it, and writes its result after each question."""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import gc
import json
import logging
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from autograder.grading.options import PUBLIC, GradingOptions, Job, course_secret
from autograder.model.assignment import assignment
from autograder.model.verdicts import Origin, Result, Visibility, tidy
from autograder.sandbox.launch import Launcher, Limits, launcher
from autograder.submissions import intake
from autograder.support.files import write_result
from autograder.support.processes import default_jobs

log = logging.getLogger("autograder")

MOST_JUDGES = 4  # of one student's check: more would wait for the longest question, and need more user ids
GPU_MEMORY = 16 << 30  # bytes that code beside a GPU may use, its driver included
NOT_GRADED = "This submission could not be graded because of a fault in the grader; grade it again."


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
    judges: int = 1,
    progress: Callable[[Result], object] | None = None,
) -> Result:
    """Grades the submission at `path` in this process.

    output: the JSON file that is written at first and after each question.
    start: "fork" or "spawn", to choose how sandboxed processes are made.
    isolation: the level that is required; None for the best that this machine has.
    judges: how many processes judge questions side by side, where they can be forked.
    progress: receives the result so far, before the first question and after each.
    Raises intake.UnusableSubmission when the path holds nothing that can be read, and launch.Unavailable (a RuntimeError)
    when that isolation is unavailable on this machine.
    """
    submission = intake.read(path, assignment().rubric, name)
    limits = Limits() if device == "cpu" else Limits(memory=GPU_MEMORY)
    settings = {
        "visibilities": visibilities,
        "questions": questions,
        "device": device,
        "limits": limits,
        "judges": judges,
    }
    job = Job(path, submission.name, output)
    boxes = _launcher(start, isolation, device, own_code=visibilities == ("public",))
    return _grade(submission, job, secret or course_secret(), boxes, "", settings, progress=progress)


def check(
    path: Path,
    questions: tuple[str, ...] | None = None,
    device: str = "cpu",
    isolation: str | None = None,
    progress: Callable[[Result], object] | None = None,
) -> Result:
    """The public checks of the submission at `path`, as students run them.

    progress: receives the result so far, before the first question and after each. Raises as `grade_one` does.
    """
    return grade_one(
        path,
        visibilities=("public",),
        questions=questions,
        secret=PUBLIC,
        device=device,
        isolation=isolation or students_isolation(),
        judges=min(default_jobs(), MOST_JUDGES) if device == "cpu" else 1,
        progress=progress,
    )


def students_isolation() -> str:
    """The level for students, who run their own code: a better one would only cost time."""
    return os.environ.get("AUTOGRADER_ISOLATION") or "process"


def grade_submission(
    submission: intake.Submission,
    output: Path | None = None,
    options: GradingOptions | None = None,
    secret: str | None = None,
    earlier: Result | None = None,
) -> Result:
    """Grades a submission that is already read, with all checks, in this process.

    output: the JSON file that is written at first and after each question.
    earlier: a result whose other questions stay, and whose verdicts stay until there are new ones.
    """
    options = options or GradingOptions()
    job = Job(Path(submission.name), submission.name, output)
    settings: dict[str, Any] = {"questions": options.questions, "device": options.device}
    if options.device != "cpu":
        settings["limits"] = Limits(memory=GPU_MEMORY)
    boxes = _launcher(None, options.isolation, options.device)
    return _grade(submission, job, secret or course_secret(), boxes, options.digest(), settings, earlier)


@dataclass(frozen=True)
class Work:
    """What a job comes to: its submission, the ids of the questions to grade now, and what its file holds already, if anything."""

    submission: intake.Submission
    questions: tuple[str, ...]
    earlier: Result | None

    def finished(self, result: Result) -> Result:
        """The result of grading these questions, with those of the earlier result that stay."""
        return result.updating(self.earlier, (q.id for q in assignment().rubric.auto))


def read_job(job: Job, options: GradingOptions) -> Work:
    """Reads a job's submission, and finds out which of its questions are to be graded (see `GradingOptions.reuse`).

    Never raises: an upload that cannot be read becomes an empty submission, with a note that gives the reason. Where an
    earlier upload is graded, its result stays, with that note.
    """
    earlier = _earlier(job)
    wanted = options.questions or tuple(q.id for q in assignment().rubric.auto)
    try:
        submission = intake.read_upload(job.path, assignment().rubric, job.name, job.notes)
    except Exception as error:
        note = f"{job.path.name}: cannot be read ({type(error).__name__}); submit it again"
        log.exception("%s: reading it failed", job.path)
        submission = intake.empty(job.name, note, job.notes)
    if not submission.files and earlier is not None and earlier.sha256 != submission.sha256:
        notes = (*submission.notes, "the result is that of an earlier upload")
        return Work(replace(submission, notes=notes, sha256=earlier.sha256), (), earlier)
    if earlier is None or not options.reuse:
        return Work(submission, wanted, earlier)
    origin = Origin(submission.sha256, options.digest())
    faulty = {v.question for v in earlier.checks if v.grader_fault}
    known = {id for id, _ in earlier.points if earlier.origin(id) == origin} - earlier.unfinished - faulty
    return Work(submission, tuple(id for id in wanted if id not in known), earlier)


def known_result(work: Work, job: Job) -> Result | None:
    """The job's result, saved, when no question of it is to be graded; else None."""
    if work.questions or work.earlier is None:
        return None
    complete = not work.earlier.unfinished
    result = replace(
        work.earlier, notes=work.submission.notes, complete=complete
    )  # perhaps packed differently
    if result != work.earlier:
        save(job, result)
    return result


def grade_job(job: Job, options: GradingOptions) -> Result:
    """Grades one job. Every submission gets a result, whatever it contains."""
    work = read_job(job, options)
    if (known := known_result(work, job)) is not None:
        return known
    try:
        return grade_submission(
            work.submission, job.output, replace(options, questions=work.questions), earlier=work.earlier
        )
    finally:
        give_back_memory()


def _grade(
    submission: intake.Submission,
    job: Job,
    secret: str,
    boxes: Launcher,
    grader: str,
    settings: dict[str, Any],
    earlier: Result | None = None,
    progress: Callable[[Result], object] | None = None,
) -> Result:
    # Imported here, after the fork server's process has been started, so that both load torch at the same time.
    from autograder.grading.grader import JudgeOptions, grade

    def saved(result: Result) -> Result:
        result = Work(submission, (), earlier).finished(replace(result, grader=grader))
        save(job, result)
        if progress is not None:
            progress(result)
        return result

    return saved(grade(submission, assignment(), boxes, JudgeOptions(secret, **settings), saved))


def save(job: Job, result: Result) -> None:
    """Writes the result to the job's JSON file, if it has one."""
    if job.output is not None:
        write_result(job.output, result)


def _earlier(job: Job) -> Result | None:
    """What the job's file holds: the questions of the rubric, with the rubric's points, that an earlier run has graded."""
    if job.output is None:
        return None
    try:
        result = Result.from_json(json.loads(job.output.read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError):
        return None
    points = {q.id: tidy(q.points) for q in assignment().rubric.auto}
    fitting = tuple((id, most) for id, most in result.points if points.get(id) == most)
    ids = {id for id, _ in fitting}
    checks = tuple(v for v in result.checks if v.question in ids)
    return replace(result, points=fitting, checks=checks) if ids and result.submission == job.name else None


def give_back_memory() -> None:
    """Frees what a grading leaves in cycles and in gaps of the C library's heap; a judge would else grow with each grading."""
    gc.collect()
    # PyTorch's and pytest's modules stay, and going through them again takes 0.2 s.
    if not gc.get_freeze_count():
        gc.freeze()
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # not the GNU C library
            ctypes.CDLL(None).malloc_trim(0)


_launchers: dict[tuple[str | None, str | None, str, bool], Launcher] = {}


def _launcher(start: str | None, isolation: str | None, device: str, own_code: bool = False) -> Launcher:
    """This process's launcher, made on first use and closed at exit."""
    key = (start, isolation, device, own_code)
    if key not in _launchers:
        subject = assignment()
        hidden = [folder for folder in (subject.solutions, subject.folder) if folder is not None]
        _launchers[key] = launcher(start, isolation, hidden, gpu=device != "cpu", own_code=own_code)
        atexit.register(_launchers[key].close)
    return _launchers[key]


def warm_up(isolation: str | None = None, device: str = "cpu", own_code: bool = False) -> None:
    """Starts this process's fork server, so that it loads torch while this process does other things."""
    _launcher(None, isolation, device, own_code)


def ungraded(job: Job) -> Result:
    """The result, saved, of a submission that no judge could finish; what an earlier run has graded stays in it."""
    nothing = Result(job.name, "", "process", 0.0, (), (), complete=False)
    result = replace(_earlier(job) or nothing, complete=False, notes=(NOT_GRADED,))
    save(job, result)
    return result
