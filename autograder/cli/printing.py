"""What the commands for a class print when they finish."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import click
from rich import box
from rich.table import Table
from rich.text import Text

from autograder.classroom import session
from autograder.classroom.merge import Merge
from autograder.classroom.regrade import Change
from autograder.classroom.rows import PARTLY, Row
from autograder.classroom.session import ClassOptions, Run
from autograder.grading.options import DEFAULT_SECRET, course_secret
from autograder.model.rubric import Question, Rubric
from autograder.reports.terminal import print_grades

MAX_SHOWN = 40  # rows of changes in the terminal; changes.csv has them all
# What instructors must know about the isolation level of a run.
ISOLATION = {
    "full": "",
    "user": "",
    "process": " (not secure against hostile code: grade strangers' code in a container)",
}


def print_run(run: Run, options: ClassOptions, rubric: Rubric) -> None:
    """The table of grades, remarks about the class, and where the results are."""
    console = options.verbosity.console()
    results = run.ordered()
    print_grades(console, results, rubric)
    for line in highlights(run.rows):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    if run.known:
        console.print(
            f"{run.known} of {len(results)} were finished by an earlier run; --force grades them again.",
            soft_wrap=True,
        )
    if course_secret() == DEFAULT_SECRET:
        console.print(
            "AUTOGRADER_SECRET is not set: anyone who has this package can guess the inputs of checks."
        )
    for isolation in sorted({r.isolation for r in results}):
        console.print(f"Isolation: {isolation}{ISOLATION[isolation]}.")
    console.print(
        f"Results: {run.out}/grades.csv (canvas.csv, gradescope.csv) and one JSON file per submission.",
        soft_wrap=True,
    )
    if run.reported:
        console.print(
            f"Report: {run.out}/report.html; {run.out}/feedback/ has a page for each student.", soft_wrap=True
        )


def highlights(rows: Iterable[Row]) -> list[str]:
    """What an instructor must know about the rows, in a few lines: who submitted nothing, late, or more than once."""
    rows = list(rows)
    lines = []
    for what, some in (
        ("No submission", [r for r in rows if r.entry.work is None]),
        ("Rows of an earlier run, kept", [r for r in rows if r.entry.kept]),
        ("Partly graded", [r for r in rows if r.status == PARTLY]),
        ("Late", [r for r in rows if r.entry.late]),
        ("More than one upload", [r for r in rows if r.entry.earlier]),
        ("Not on the roster", [r for r in rows if not r.entry.listed]),
    ):
        if some:
            names = ", ".join(r.entry.student.shown or r.entry.work or "" for r in some[:8])
            more = f" and {len(some) - 8} more" if len(some) > 8 else ""
            lines.append(session.printable(f"{what}: {len(some)} ({names}{more})."))
    return lines


def print_changes(changes: Sequence[Change], options: ClassOptions) -> None:
    """The table of what differs from an earlier run."""
    console = options.verbosity.console()
    concerned = {c.submission for c in changes}
    moved = {c.submission for c in changes if not c.question and c.difference}
    if not changes:
        console.print("Nothing has changed.")
        return
    table = Table(title="Changes", title_justify="left", box=box.SIMPLE_HEAD)
    for name in ("Submission", "Question", "Earlier", "Now", "Why"):
        table.add_column(name, justify="right" if name in ("Earlier", "Now") else "left", overflow="fold")
    for change in changes[:MAX_SHOWN]:
        points = ["-" if value is None else f"{value:g}" for value in (change.earlier, change.now)]
        what = change.why if not change.check else f"{change.check}: {change.why.rpartition('; ')[2]}"
        name = change.submission if not change.question else ""
        table.add_row(Text(name), change.question or "total", *points, Text(what))
    console.print(table)
    if len(changes) > MAX_SHOWN:
        console.print(
            f"{len(changes) - MAX_SHOWN} more rows are in {options.out}/changes.csv.", soft_wrap=True
        )
    console.print(
        f"{len(moved)} of {len(concerned)} changed submissions have other points. All changes: {options.out}/changes.csv.",
        soft_wrap=True,
    )


def print_merged(rows: Sequence[Row], merged: Merge, out: Path, written: Sequence[Question]) -> None:
    """How many written points were merged, and which are still missing of the written questions that count."""
    submitted = [row for row in rows if row.entry.work]
    click.echo(
        f"{merged.changed} points or comments are new or changed; {merged.absent} of {len(rows)} rows are in none of the files."
    )
    for question in written:
        missing = sum(question.id not in row.written for row in submitted)
        if missing:
            click.echo(f"{question.id}: {missing} of {len(submitted)} submissions have no points yet.")
    click.echo(f"Results: {out}/grades.csv, canvas.csv and gradescope.csv.")
