"""One grading run of a class: what is found, graded as it comes, and written; what `grade` and `regrade` have in common.

A run may end at any moment: every result is on disk as soon as it is there, the gradebook with it, and the next run goes on.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from autograder import batch
from autograder.classroom import collect, gradebook, merge, roster, tables
from autograder.classroom.gradebook import Row
from autograder.classroom.staging import Holding
from autograder.reports.files import remove_leftovers
from autograder.rubric import Rubric
from autograder.verdicts import Result

UPLOADS = ".uploads"
UNUSABLE = 2


@dataclass(frozen=True)
class Talk:
    """How much is said where. quiet: errors alone; verbose: a line for each submission; as_json: one document, at the end."""

    quiet: bool = False
    verbose: bool = False
    as_json: bool = False

    def console(self) -> Console:
        return Console(quiet=self.quiet or self.as_json)


@dataclass
class Run:
    """A run of a class: its plan, its results by name, and how many stood in the folder already."""

    out: Path
    plan: collect.Plan
    results: dict[str, Result] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    known: int = 0
    reported: bool = False

    def ordered(self) -> list[Result]:
        return [self.results[work.name] for work in self.plan.works if work.name in self.results]

    def summary(self) -> dict[str, Any]:
        """The run as JSON: stable keys, scores as numbers."""
        return {
            "out": str(self.out),
            "submissions": len(self.results),
            "reused": self.known,
            "isolation": sorted({r.isolation for r in self.results.values()}),
            "problems": self.plan.problems,
            "remarks": self.plan.remarks,
            "students": [
                {
                    "submission": row.entry.work,
                    "student": row.entry.student.name,
                    "id": row.entry.student.id,
                    "email": row.entry.student.email,
                    "status": row.status,
                    "score": row.score,
                    "max_score": row.max_auto,
                    "written": dict(row.written),
                    "total": row.total,
                    "late": row.entry.late,
                    "duplicates": list(row.entry.earlier),
                    "notes": list(row.notes),
                }
                for row in self.rows
            ],
        }


def read_roster(path: Path | None) -> roster.Roster | None:
    """The roster, if one is given; one that cannot be used ends the program with one line."""
    if path is None:
        return None
    try:
        return roster.read(path)
    except tables.TableError as error:
        fail(str(error))


def read_due(text: str | None) -> datetime | None:
    try:
        return collect.due_time(text) if text else None
    except ValueError as error:
        fail(f"--due: {error}")


def fail(line: str) -> NoReturn:
    """Ends the program: what was asked cannot be used."""
    click.echo(f"autograder: {line}", err=True)
    sys.exit(UNUSABLE)


def grade_class(
    paths: Sequence[Path],
    out: Path,
    how: batch.How,
    jobs: int,
    talk: Talk,
    rubric: Rubric,
    roster_file: Path | None = None,
    due: str | None = None,
    assignment: str | None = None,
    reports: bool = True,
) -> Run:
    """Grades what lies at `paths` into `out`, with gradebooks; ends the program where nothing can be graded.

    Every remark goes to stderr as one line, so that no upload is left out in silence. reports: whether report.html and the
    students' pages are written, in the end or when the run is stopped.
    """
    people, until = read_roster(roster_file), read_due(due)
    # What must be unpacked lies in the results' folder: on the same disk, and found by the next run if this one is killed.
    holding = Holding(out / UPLOADS)
    _clear(holding.root)
    try:
        try:
            run = Run(out, collect.plan(paths, out, rubric, holding, people, until))
        except OSError as error:
            fail(f"{out}: uploads cannot be unpacked there ({error.strerror}); choose another --out")
        for line in [*run.plan.problems, *run.plan.remarks]:
            click.echo(f"autograder: {_printable(line)}", err=True)
        if not run.plan.works and not (people and not run.plan.problems):
            sys.exit(UNUSABLE)
        try:
            out.mkdir(parents=True, exist_ok=True)
            remove_leftovers(out)
        except OSError as error:
            fail(f"{out}: no folder can be made there ({error.strerror}); choose another --out")
        try:
            written = merge.load(out, rubric)
        except tables.TableError as error:
            fail(str(error))
        console = talk.console()
        for line in run.plan.layouts:
            console.print(Text(_printable(line)), soft_wrap=True)
        try:
            _grade(run, how, jobs, talk, console, rubric, written)
        finally:  # stopped or not: what is graded is told
            if reports and run.results:
                run.reported = _report(run, rubric)
        gradebook.write_all(out, run.rows, rubric, assignment)
        present = {row.key for row in run.rows}
        for key in written:
            if key not in present:
                name = _printable(key[1] or key[0])
                click.echo(
                    f"autograder: {name}: has written points but no row any more; they stay in {gradebook.WRITTEN}",
                    err=True,
                )
        return run
    finally:
        _clear(holding.root)


def _grade(
    run: Run, how: batch.How, jobs: int, talk: Talk, console: Console, rubric: Rubric, written: merge.Written
) -> None:
    works = run.plan.works
    before = {work.name: written_at(work) for work in works}
    columns = (
        TextColumn("Grading"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
        TextColumn("{task.description}", markup=False),
    )

    def book() -> None:
        run.rows = gradebook.rows_of(run.plan.entries, run.results, rubric, written, how.questions)
        gradebook.write_grades(run.out / "grades.csv", run.rows, rubric)

    # Closed here: Ctrl-C is to end the judges too, before anyone waits for them.
    with (
        Progress(*columns, console=console, disable=not console.is_terminal) as progress,
        contextlib.closing(batch.run(works, jobs, how)) as graded,
    ):
        task = progress.add_task("", total=len(works))
        began = time.monotonic()
        for count, (work, result) in enumerate(graded, 1):
            run.results[work.name] = result
            book()
            told = f"{result.submission}: {result.score:g}/{result.max_score:g}"
            progress.update(task, advance=1, description=told)
            if talk.verbose:
                line = f"{count}/{len(works)} {told} ({result.seconds:.1f} s, {count / (time.monotonic() - began):.2f}/s)"
                progress.console.print(Text(line), soft_wrap=True)
    if not works:
        book()
    run.known = sum(before[work.name] == written_at(work) != 0 for work in works)


def _report(run: Run, rubric: Rubric) -> bool:
    """Writes the class report and the students' pages of what is graded so far; says so in one line where it cannot."""
    missing = len(run.plan.works) - len(run.results)
    stopped = f"The run was stopped: {missing} of {len(run.plan.works)} submissions are not in this report."
    try:
        from autograder.reports.html import FEEDBACK, write_reports

        remove_leftovers(run.out / FEEDBACK)
        when = time.strftime("%Y-%m-%d %H:%M %Z").strip()
        write_reports(run.out, run.ordered(), rubric, when, stopped if missing else "")
    except ModuleNotFoundError as error:
        told = f"the package {error.name} is not installed (`pip install jinja2`)"
    except OSError as error:
        told = f"{error.filename or run.out}: {error.strerror}"
    else:
        return True
    click.echo(f"autograder: no report.html: {told}; the grades are complete without it", err=True)
    return False


class _Rate(ProgressColumn):
    """Submissions a minute."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed * 60:.1f}/min" if task.speed else "")


def written_at(work: batch.Work) -> int:
    """When a work's result was last written; 0 when it has none."""
    try:
        return work.output.stat().st_mtime_ns if work.output else 0
    except OSError:
        return 0


def _clear(folder: Path) -> None:
    if folder.is_dir() and not folder.is_symlink():
        shutil.rmtree(folder, ignore_errors=True)


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)


def told(run: Run, rows: Iterable[Row]) -> list[str]:
    """What an instructor must know of the rows, in a few lines: who sent nothing, who was late, who more than once."""
    rows = list(rows)
    lines = []
    for what, some in (
        ("No submission", [r for r in rows if r.entry.work is None]),
        ("Late", [r for r in rows if r.entry.late]),
        ("More than one upload", [r for r in rows if r.entry.earlier]),
        ("Not on the roster", [r for r in rows if not r.entry.listed]),
    ):
        if some:
            names = ", ".join(r.entry.student.shown or r.entry.work or "" for r in some[:8])
            more = f" and {len(some) - 8} more" if len(some) > 8 else ""
            lines.append(_printable(f"{what}: {len(some)} ({names}{more})."))
    return lines
