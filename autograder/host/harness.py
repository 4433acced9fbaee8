"""Grades the upload that the host provides, and writes results.json: at first, and after grading.

ROOT (/autograder on Gradescope) holds source/ (the upload zip's content), submission/, results/ and submission_metadata.json.
Whatever happens, ROOT/results/results.json is a valid document at every moment.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from autograder.host import settings as chosen
from autograder.host.handover import OtterFailed, environment, otter_name, through_otter
from autograder.host.results import (
    HiddenVisibility,
    document,
    failure,
    instructors_report,
    looks_used,
    smaller,
)
from autograder.model.assignment import assignment
from autograder.model.rubric import Rubric
from autograder.model.verdicts import Result
from autograder.reports.hidden import Teaching
from autograder.support.files import write_atomically

NAME = "submission"
RESULT, LESSONS = "result.json", "lessons.json"
OTTER_SECONDS = 60.0
TIME_OVER = (
    "**Time ran out before everything was checked.** Checks that did not run give no points; look for a loop that does"
    " not end."
)
ENDED_EARLY = (
    "**The grader ended before everything was checked**, because of a fault in the grader or too little memory. Checks that"
    " did not run give no points yet: tell your instructor, who can grade your upload again."
)
POLL = 0.2


def main(root: Path) -> int:
    """Grades ROOT/submission. Returns the exit status: 0 when there are results, 1 when only the failure could be reported."""
    began = time.monotonic()
    output = root / "results" / "results.json"
    _write(output, failure("it was stopped before it was done."))
    lock_away(root)
    secret = chosen.secret(root / "source")
    if not secret:
        print("autograder: source/secret is missing or blank; build the zip again and upload it")
        _write(output, failure("it has no course secret."))
        return 1
    rubric = assignment().rubric
    choices, hidden, note = _choices(root)
    with tempfile.TemporaryDirectory(prefix="grading-") as name:
        result, in_time = _graded(root, Path(name), choices.seconds, secret)
        teaching = Teaching(choices.hidden_feedback, _lessons(Path(name)))
    if result is None:
        _write(output, failure("it ended before the first question."))
        return 1
    result = replace(result, seconds=time.monotonic() - began)
    if not result.complete:
        note = f"{TIME_OVER if not in_time else ENDED_EARLY}\n\n{note}".strip()
    note = "\n\n".join(filter(None, (note, *choices.counting.lines(rubric, result.checks, student=True))))
    seen = visibility(choices, hidden)
    written = _written(output, document(result, rubric, hidden, note, teaching, seen, choices.counting))
    print(instructors_report(result))
    if choices.otter:
        print(_compare(result, rubric, root / "source"))
    return 0 if written else 1


def lock_away(root: Path) -> None:
    """Lets only root read the grader, the upload and all results; student code runs as another user, or cannot see the machine.

    (submission_metadata.json holds the results of earlier uploads, those of hidden checks too.)
    """
    for name in ("source", "results", "submission", "submission_metadata.json", "run_autograder"):
        path = root / name
        with contextlib.suppress(OSError):
            path.chmod(0o700 if path.is_dir() or name == "run_autograder" else 0o600)


def _choices(root: Path) -> tuple[chosen.Settings, HiddenVisibility, str]:
    """The settings, when this upload's author sees hidden checks, and a line for the author about that."""
    try:
        choices = chosen.read(root / "source" / chosen.FILE, assignment().rubric)
    except ValueError as error:  # the builder of the zip has read them too, so they were changed afterwards
        print(f"autograder: {error}; hidden checks stay hidden")
        return chosen.Settings(hidden="hidden"), "hidden", ""
    if choices.hidden != "visible" or not choices.hidden_looks_per_day:
        return choices, choices.hidden, ""
    used, limit = looks_used(_metadata(root)), choices.hidden_looks_per_day
    if used is None:
        print(
            "autograder: submission_metadata.json does not say how many uploads were made today; hidden checks are not shown"
        )
        message = (
            f"Hidden checks are shown for {limit} uploads a day. How many you have made today could not be read, because of a"
            " fault in the grader or its host, so only public checks are shown: tell your instructor."
        )
        return choices, "after_published", message
    if used >= limit:
        message = f"Hidden checks are shown for {limit} uploads a day; they are used up, so only public checks are shown."
        return choices, "after_published", message
    return (
        choices,
        "visible",
        f"Hidden checks are shown for {limit} uploads a day; this is number {used + 1} today.",
    )


def visibility(choices: chosen.Settings, hidden: HiddenVisibility) -> Mapping[str, HiddenVisibility]:
    """When single hidden checks are seen; once the day's looks are used up, none of them is visible."""
    used_up = choices.hidden == "visible" != hidden
    return {id: hidden if used_up and when == "visible" else when for id, when in choices.visibility.items()}


def _metadata(root: Path) -> Mapping[str, Any]:
    try:
        found = json.loads((root / "submission_metadata.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _graded(root: Path, work: Path, seconds: float, secret: str) -> tuple[Result | None, bool]:
    """The result, perhaps incomplete (None if there is none), of a judge process with `seconds`, and whether it ended in time."""
    output, home = work / RESULT, work / "home"
    home.mkdir()
    more = {"AUTOGRADER_SECRET": secret}
    command = [sys.executable, "-m", "autograder.host.judge", str(root / "submission"), str(output), NAME]
    judge = subprocess.Popen(
        command, env=environment(home, more), stdin=subprocess.DEVNULL, cwd=work, start_new_session=True
    )
    deadline = time.monotonic() + seconds
    try:
        while judge.poll() is None and time.monotonic() < deadline:
            time.sleep(POLL)
    finally:
        in_time = judge.poll() is not None
        if not in_time:
            print(f"autograder: stopped after {seconds:.0f} s; what was graded by then counts")
            judge.kill()  # its sandboxes end with it
            judge.wait()
    if in_time and judge.returncode:
        print(
            f"autograder: the judge ended with status {judge.returncode}; with too little memory that is -9"
        )
    try:
        return Result.from_json(json.loads(output.read_text(encoding="utf-8"))), in_time
    except (OSError, ValueError) as error:
        print(f"autograder: the judge left no result ({error})")
        return None, in_time


def _lessons(work: Path) -> dict[str, str]:
    """What students read about each mistake, by its id, as the judge process has written it."""
    try:
        found: dict[str, str] = json.loads((work / LESSONS).read_text(encoding="utf-8"))
    except (OSError, ValueError):  # it ended before
        return {}
    return found


def _compare(result: Result, rubric: Rubric, source: Path) -> str:
    """Has Otter grade the verdicts too, and reports whether its scores agree."""
    try:
        by_otter = through_otter(result, source, OTTER_SECONDS)
    except (OtterFailed, OSError) as error:
        return f"\nOtter gave no results ({error}); the verdicts above stand."
    ours = {otter_name(q.id): result.score_of(q.id) for q in rubric.auto}
    wrong = [
        f"{n}: {by_otter.get(n)} by Otter, {s} here" for n, s in ours.items() if not _same(by_otter.get(n), s)
    ]
    return (
        "\nOtter's scores differ; the verdicts above stand.\n" + "\n".join(wrong)
        if wrong
        else "\nOtter's scores are the same."
    )


def _same(one: float | None, other: float) -> bool:
    return one is not None and abs(one - other) < 1e-4


def _written(path: Path, whole: Mapping[str, Any]) -> bool:
    """Writes results.json, or a smaller one where that fails (a full disk). Where both fail, prints the scores and is False."""
    try:
        _write(path, whole)
    except OSError as error:
        print(f"autograder: the results cannot be written ({error})")
        try:
            _write(path, smaller(whole))
        except OSError:
            print(f"autograder: nor can the points alone; {whole['score']:g} points, by check:")
            for row in whole["tests"]:
                print(f"  {row['number']}: {row['score']:g} of {row['max_score']:g}")
            return False
    return True


def _write(path: Path, content: Mapping[str, Any]) -> None:
    write_atomically(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    os.chmod(path, 0o644)
