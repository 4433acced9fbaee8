"""The class report and the students' pages of a run."""

from __future__ import annotations

import html
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import click

from autograder.classroom import collect, marks
from autograder.classroom.feedback import teaching_of
from autograder.classroom.identical import identical_work
from autograder.classroom.policy import Policy
from autograder.classroom.rows import NO_SUBMISSION, Row
from autograder.model.feedback import HiddenFeedback
from autograder.model.rubric import Rubric
from autograder.model.verdicts import Result
from autograder.support.files import remove_leftovers, write_atomically

_FACT = re.compile(r'<meta name="(graded|note)" content="([^"]*)">')
OWN_POINTS = "The totals of this group's members differ; your course tells you yours."
_HEAD = 4096  # characters of a report within which it says when it was graded


class Run(Protocol):
    """What a report needs of a run (see `session.Run`)."""

    out: Path
    plan: collect.Plan
    results: dict[str, Result]
    written: marks.Marks
    policy: Policy
    rows: list[Row]
    done: set[str]

    def everything(self) -> list[Result]: ...


def write(run: Run, rubric: Rubric, choice: HiddenFeedback) -> bool:
    """Writes the class report and the students' pages for what is graded so far; prints one line if it cannot."""
    waiting = [work.name for work in run.plan.works if work.name not in run.done]
    missing = sum(name not in run.results for name in waiting)
    stopped = f"The run was stopped: {missing} of {len(run.plan.works)} submissions are not in this report."
    if missing < len(waiting):
        stopped += f" {len(waiting) - missing} are as an earlier run left them."
    absent = _absent(run.rows)
    try:
        from autograder.reports.html import FEEDBACK, write_reports

        remove_leftovers(run.out / FEEDBACK)
        when = time.strftime("%Y-%m-%d %H:%M %Z").strip()
        teaching = teaching_of(choice)
        note = stopped if waiting else ""
        alike = identical_work(run.plan.entries, run.results)
        shown = marks.on_pages(run.written, run.rows, rubric)
        results = [run.policy.settings.counting.counted(result) for result in run.everything()]
        lines = on_pages(run.policy, run.rows, run.results, rubric)
        ruled = rules(run.policy, run.rows, run.results, rubric)
        write_reports(run.out, results, rubric, when, note, teaching, absent, alike, shown, lines, ruled)
    except ModuleNotFoundError as error:
        reason = f"the package {error.name} is not installed (`pip install jinja2`)"
    except OSError as error:
        reason = f"{error.filename or run.out}: {error.strerror}"
    else:
        return True
    rest = "" if waiting else "; the grades are complete without it"
    click.echo(f"autograder: no report.html: {reason}{rest}", err=True)
    return False


def refresh(
    out: Path, rows: Sequence[Row], results: Mapping[str, Result], policy: Policy, rubric: Rubric
) -> list[str]:
    """Writes the class report in `out` again, with the points of these rows; returns one line if it cannot be written.

    It keeps the time of grading. A report that is not there (`grade --no-report`) is not made.
    """
    try:
        from autograder.reports.html import FEEDBACK, REPORT, feedback_files, report_page
    except ModuleNotFoundError as error:
        return [f"report.html is left as it is: the package {error.name} is not installed"]
    path = out / REPORT
    if not path.is_file():
        return []
    try:
        facts = {
            name: html.unescape(text)
            for name, text in _FACT.findall(path.read_text(encoding="utf-8")[:_HEAD])
        }
        if "graded" not in facts:
            return [f"{path}: an older report, left as it is; grade again to bring it up to date"]
        counted = [policy.settings.counting.counted(result) for result in results.values()]
        files = feedback_files(counted) if (out / FEEDBACK).is_dir() else None
        page = report_page(
            counted,
            rubric,
            facts["graded"],
            facts.get("note", ""),
            files,
            _absent(rows),
            identical_work([row.entry for row in rows], results),
            on_pages(policy, rows, results, rubric),
            rules(policy, rows, results, rubric),
        )
        write_atomically(path, page)
    except (OSError, UnicodeDecodeError) as error:
        return [f"{path}: cannot be written again ({error}); grade again to bring it up to date"]
    return []


def _absent(rows: Sequence[Row]) -> list[str]:
    return [row.entry.student.shown for row in rows if row.status == NO_SUBMISSION]


def on_pages(
    policy: Policy, rows: Sequence[Row], results: Mapping[str, Result], rubric: Rubric
) -> dict[str, tuple[str, ...]]:
    """What students' pages say about how their points count, by submission.

    A group shares a page, so that it shows nothing that holds for some of its members only: an adjustment and its reason, or
    an extension, are between a student and the course.
    """
    shared: dict[str, list[Row]] = {}
    for row in rows:
        shared.setdefault(row.entry.work or "", []).append(row)
    made: dict[str, tuple[str, ...]] = {}
    for work, people in shared.items():
        checks = results[work].checks if work in results else ()
        common = policy.settings.counting.lines(rubric, checks, student=True)
        lines = [reason for reason in people[0].reasons if all(reason in row.reasons for row in people)]
        if len({(row.reasons, row.total) for row in people}) > 1:
            lines.append(OWN_POINTS)
        elif common or lines:
            lines.append(f"With this, the total is {people[0].total:g} points.")
        if lines:
            made[work] = tuple(dict.fromkeys((*common, *lines)))
    return made


def rules(policy: Policy, rows: Sequence[Row], results: Mapping[str, Result], rubric: Rubric) -> list[str]:
    """What the class report says about how points count, and about the points of students who submitted nothing."""
    checks = [v for result in results.values() for v in result.checks]
    lines = [*policy.settings.counting.lines(rubric, checks, student=False), *policy.settings.lines()]
    if policy.adjustments:
        changed = [row.entry.student.shown for row in rows if row.key in policy.adjustments]
        lines.append(f"Adjusted by hand: {', '.join(changed)}.")
    if late := [f"{row.entry.student.shown} -{row.deduction:g}" for row in rows if row.deduction]:
        lines.append(f"Points off for lateness: {', '.join(late)}.")
    return lines
