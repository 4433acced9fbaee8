"""The class report and the students' pages of a run."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import click

from autograder.classroom import collect, marks
from autograder.classroom.identical import identical_work
from autograder.classroom.policy import Policy
from autograder.classroom.rows import NO_SUBMISSION, Row
from autograder.model.assignment import assignment
from autograder.model.feedback import HiddenFeedback
from autograder.model.rubric import Rubric
from autograder.model.verdicts import Result
from autograder.support.files import remove_leftovers


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
    absent = [row.entry.student.shown for row in run.rows if row.status == NO_SUBMISSION]
    try:
        from autograder.judging.catalogue import all_mistakes
        from autograder.reports.hidden import Teaching
        from autograder.reports.html import FEEDBACK, write_reports

        remove_leftovers(run.out / FEEDBACK)
        when = time.strftime("%Y-%m-%d %H:%M %Z").strip()
        catalogue = {mistake.id: mistake for mistake in all_mistakes(assignment())}
        teaching = Teaching(choice, catalogue)
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
    click.echo(f"autograder: no report.html: {reason}; the grades are complete without it", err=True)
    return False


def on_pages(
    policy: Policy, rows: Sequence[Row], results: Mapping[str, Result], rubric: Rubric
) -> dict[str, tuple[str, ...]]:
    """What students' pages say about how their points count, by submission; members of a group are named where they differ."""
    shared: dict[str, list[Row]] = {}
    for row in rows:
        shared.setdefault(row.entry.work or "", []).append(row)
    made: dict[str, tuple[str, ...]] = {}
    for work, people in shared.items():
        checks = results[work].checks if work in results else ()
        common = policy.settings.counting.lines(rubric, checks, student=True)
        same = len({(row.reasons, row.total) for row in people}) == 1
        lines = []
        for row in people:
            own = (
                [*row.reasons, f"With this, the total is {row.total:g} points."]
                if common or row.reasons
                else []
            )
            lines += own if same else [f"{row.entry.student.shown}: {line}" for line in own]
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
