"""Grading one submission in this process: reads it, judges it, and writes its result after each question."""

from __future__ import annotations

import atexit
import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

from autograder.grading.options import GradingOptions, Job, course_secret
from autograder.model.assignment import assignment
from autograder.model.verdicts import Result, Visibility
from autograder.sandbox.launch import Launcher, Limits, launcher
from autograder.submissions import intake
from autograder.support.files import write_result

log = logging.getLogger("autograder")

GPU_ADDRESS_SPACE = 1 << 46  # bytes: CUDA maps the GPU's memory and much more, without using it
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
) -> Result:
    """Grades the submission at `path` in this process.

    output: the JSON file that is written at first and after each question.
    start: "fork" or "spawn", to choose how sandboxed processes are made.
    isolation: the level that is required; None for the best that this machine has.
    Raises intake.UnusableSubmission when the path holds nothing that can be read, and launch.Unavailable (a RuntimeError)
    when that isolation is unavailable on this machine.
    """
    submission = intake.read(path, assignment().rubric, name)
    limits = Limits() if device == "cpu" else Limits(memory=GPU_ADDRESS_SPACE)
    settings = {"visibilities": visibilities, "questions": questions, "device": device, "limits": limits}
    job = Job(path, submission.name, output)
    return _grade(
        submission, job, secret or course_secret(), _launcher(start, isolation, device), "", settings
    )


def grade_submission(
    submission: intake.Submission,
    output: Path | None = None,
    options: GradingOptions | None = None,
    secret: str | None = None,
) -> Result:
    """Grades a submission that is already read, with all checks, in this process.

    output: the JSON file that is written at first and after each question.
    """
    options = options or GradingOptions()
    job = Job(Path(submission.name), submission.name, output)
    settings: dict[str, Any] = {"questions": options.questions, "device": options.device}
    if options.device != "cpu":
        settings["limits"] = Limits(memory=GPU_ADDRESS_SPACE)
    boxes = _launcher(None, options.isolation, options.device)
    return _grade(submission, job, secret or course_secret(), boxes, options.digest(), settings)


def read_job(job: Job, options: GradingOptions) -> tuple[intake.Submission, Result | None]:
    """A job's submission, and the finished result of an earlier run when it can be kept (`GradingOptions.reuse`).

    Never raises: an upload that cannot be read becomes an empty submission, with a note that gives the reason.
    """
    try:
        submission = intake.read(job.path, assignment().rubric, job.name)
    except intake.UnusableSubmission as error:
        return intake.empty(job.name, str(error), job.notes), None
    except Exception as error:
        log.exception("%s: reading it failed", job.path)
        note = f"{job.path.name}: cannot be read ({type(error).__name__}); submit it again"
        return intake.empty(job.name, note, job.notes), None
    submission = replace(submission, notes=(*job.notes, *submission.notes))
    return submission, _known(job, submission, options.digest()) if options.reuse else None


def grade_job(job: Job, options: GradingOptions) -> Result:
    """Grades one job. Every submission gets a result, whatever it contains."""
    submission, known = read_job(job, options)
    return known or grade_submission(submission, job.output, options)


def _grade(
    submission: intake.Submission,
    job: Job,
    secret: str,
    boxes: Launcher,
    grader: str,
    settings: dict[str, Any],
) -> Result:
    # Imported here, after the fork server's process has been started, so that both load torch at the same time.
    from autograder.grading.grader import JudgeOptions, grade

    def progress(result: Result) -> None:
        save(job, replace(result, grader=grader))

    result = grade(submission, assignment(), boxes, JudgeOptions(secret, **settings), progress)
    result = replace(result, grader=grader)
    save(job, result)
    return result


def save(job: Job, result: Result) -> None:
    """Writes the result to the job's JSON file, if it has one."""
    if job.output is not None:
        write_result(job.output, result)


def _known(job: Job, submission: intake.Submission, grader: str) -> Result | None:
    """The finished result of an earlier run when the same grader has graded the same content; else None."""
    if job.output is None:
        return None
    try:
        result = Result.from_json(json.loads(job.output.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None
    same = (result.submission, result.sha256, result.grader) == (job.name, submission.sha256, grader)
    if not same or not result.complete or result.grader_faults:
        return None
    if result.notes != submission.notes:  # the same modules, packed differently
        result = replace(result, notes=submission.notes)
        save(job, result)
    return result


_launchers: dict[tuple[str | None, str | None, str], Launcher] = {}


def _launcher(start: str | None, isolation: str | None, device: str) -> Launcher:
    """This process's launcher, made on first use and closed at exit."""
    key = (start, isolation, device)
    if key not in _launchers:
        subject = assignment()
        hidden = [folder for folder in (subject.solutions, subject.folder) if folder is not None]
        _launchers[key] = launcher(start, isolation, hidden, gpu=device != "cpu")
        atexit.register(_launchers[key].close)
    return _launchers[key]


def warm_up(isolation: str | None = None, device: str = "cpu") -> None:
    """Starts this process's fork server, so that it loads torch while this process does other things."""
    _launcher(None, isolation, device)


def ungraded(job: Job) -> Result:
    """The result, saved, of a submission that no judge could finish."""
    result = Result(job.name, "", "process", 0.0, (), (), complete=False, notes=(NOT_GRADED,))
    save(job, result)
    return result
