"""One grading run of a class, as `grade` and `regrade` share it: uploads are found, graded and written.

A run may end at any moment: every result is on disk as soon as it exists, and the gradebook with it; the next run continues.
What the folder holds already stays: a run adds its students and questions, or updates them.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

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

from autograder.classroom import (
    collect,
    deadlines,
    folder,
    gradebook,
    manifest,
    marks,
    reporting,
    roster,
    rules,
    worksheets,
)
from autograder.classroom.deadlines import Deadlines
from autograder.classroom.errors import ClassroomError
from autograder.classroom.known import orphans
from autograder.classroom.manifest import Manifest
from autograder.classroom.policy import Policy
from autograder.classroom.rows import Row, recounted, rows_of
from autograder.classroom.settings import Settings
from autograder.grading import batch
from autograder.grading.options import GradingOptions, Job, course_secret
from autograder.model.assignment import assignment
from autograder.model.feedback import HiddenFeedback
from autograder.model.rubric import Rubric
from autograder.model.verdicts import Result
from autograder.submissions.staging import TempStore
from autograder.support.files import NotWritten, hold, not_written, remove_leftovers
from autograder.support.processes import default_jobs

UPLOADS = ".uploads"


@dataclass(frozen=True)
class Verbosity:
    """What is printed. quiet: only errors; verbose: a line for each submission; as_json: one JSON document, at the end."""

    quiet: bool = False
    verbose: bool = False
    as_json: bool = False

    def console(self) -> Console:
        return Console(quiet=self.quiet or self.as_json)


@dataclass(frozen=True)
class ClassOptions:
    """How to grade a class: the options that `grade` and `regrade` share.

    paths: submissions, folders or zips of submissions, exports of a class. out: the folder for the results.
    jobs: judges that work at the same time; None for one per core.
    questions: ids of the questions to grade; empty for all.
    roster: a CSV file of the class. mapped: a CSV file of files and their students.
    due: the due time as written. before: the manifest of the run that is graded again.
    column: the assignment's column in canvas.csv.
    settings: a settings.toml; adjustments: a CSV file of adjustments; None for those that `out` keeps.
    force: whether submissions that an earlier run finished are graded again, and a folder of another run is used.
    report: whether report.html and the students' pages are written.
    hidden_feedback: what students' pages say of hidden checks; see reports.hidden.
    cluster, device, isolation: see `GradingOptions`.
    """

    paths: tuple[Path, ...]
    out: Path
    jobs: int | None = None
    questions: tuple[str, ...] = ()
    roster: Path | None = None
    mapped: Path | None = None
    due: str | None = None
    before: Manifest | None = None
    settings: Path | None = None
    adjustments: Path | None = None
    column: str | None = None
    force: bool = False
    cluster: str | None = None
    report: bool = True
    hidden_feedback: HiddenFeedback = "mistake"
    verbosity: Verbosity = field(default_factory=Verbosity)
    device: str = "cpu"
    isolation: str | None = None

    @property
    def grading(self) -> GradingOptions:
        """The options that the judges need."""
        return GradingOptions(
            self.questions or None, self.device, self.isolation, reuse=not self.force, cluster=self.cluster
        )


@dataclass
class Run:
    """A run of a class: its plan, and the results in its folder by name.

    questions: the automatic questions that a grade consists of. done: the names of the submissions that this run has graded, or
    found graded; known: how many of them it found. written: marks by row; unplaced: those that belong to no row.
    policy: how points come from verdicts and marks.
    """

    out: Path
    plan: collect.Plan
    results: dict[str, Result] = field(default_factory=dict)
    questions: Sequence[str] = ()
    written: marks.Marks = field(default_factory=dict)
    unplaced: marks.Marks = field(default_factory=dict)
    policy: Policy = field(default_factory=Policy)
    rows: list[Row] = field(default_factory=list)
    done: set[str] = field(default_factory=set)
    known: int = 0
    reported: bool = False

    def ordered(self) -> list[Result]:
        """This run's results, in the plan's order."""
        return [self.results[work.name] for work in self.plan.works if work.name in self.done]

    def everything(self) -> list[Result]:
        """All results in the folder: this run's first, in the plan's order."""
        names = dict.fromkeys([*(work.name for work in self.plan.works), *sorted(self.results)])
        return [self.results[name] for name in names if name in self.results]

    def summary(self) -> dict[str, Any]:
        """The run as JSON: stable keys, scores as numbers."""
        return {
            "out": str(self.out),
            "submissions": len(self.done),
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
                    "late_deduction": row.deduction,
                    "duplicates": list(row.entry.earlier),
                    "notes": list(row.notes),
                }
                for row in self.rows
            ],
        }


def read_due(text: str | None) -> datetime | None:
    """The due time, if one is given. Raises ClassroomError."""
    try:
        return deadlines.due_time(text) if text else None
    except ClassroomError as error:
        raise ClassroomError(f"--due: {error}") from None


def grade_class(options: ClassOptions, rubric: Rubric) -> Run:
    """Grades the submissions at `options.paths` and writes results and gradebooks into `options.out`.

    Every remark goes to stderr as one line, so that no upload is left out silently. The report and the students' pages are
    written at the end, or when the run is stopped.
    Raises ClassroomError if there is nothing to grade, or the roster, the due time or `out` cannot be used, or `out` holds
    results of another assignment, rubric or course secret; NotWritten if `out` cannot be written to any more.
    """
    with locked(options.out):
        return _grade_class(options, rubric)


def _grade_class(options: ClassOptions, rubric: Rubric) -> Run:
    out, console = options.out, options.verbosity.console()
    people = roster.read(options.roster) if options.roster else None
    ruled = rules.of_run(out, assignment(), options.settings, options.adjustments)
    chosen = ruled.settings.settings
    held = folder.read(out, assignment())
    before = manifest.read(out) or options.before
    until = _deadlines(options, chosen, before, people)
    remarks = [*folder.require_same(out, held, assignment(), options.force), *held.remarks]
    now = manifest.of(
        assignment(),
        course_secret(),
        options.questions or None,
        options.roster.name if options.roster else "",
        held.manifest,
        until.due,
        options.column or (before.column if before else ""),
        None if until.before else until.roster,
    )
    mapped = worksheets.read_map(options.mapped) if options.mapped else None
    # Uploads are unpacked in the results' folder: on the same disk, and found by the next run if this one is killed.
    with TempStore(out / UPLOADS).cleared() as store:
        try:
            planned = collect.plan(
                options.paths, out, rubric, store, people, until, held.entries, mapped, held.results
            )
        except OSError as error:
            raise ClassroomError(
                f"{out}: uploads cannot be unpacked there ({error.strerror}); choose another --out"
            ) from None
        planned.entries += orphans(planned.entries, list(held.results))
        written = marks.load(out, rubric)
        placed, left = marks.match(written, planned.entries)
        policy, notes = ruled.policy(planned.entries)
        remarks += _typed(out, held, rubric)
        planned.remarks += [*remarks, *marks.remarks(written, left, rubric), *notes]
        run = Run(out, planned, dict(held.results), now.questions, placed, left, policy)
        lines = [printable(line) for line in (*run.plan.problems, *run.plan.remarks)]
        if not run.plan.works and not (people and not run.plan.problems):
            raise ClassroomError("; ".join(lines) or "there is nothing to grade")
        for line in lines:
            click.echo(f"autograder: {line}", err=True)
        try:
            out.mkdir(parents=True, exist_ok=True)
            remove_leftovers(out)
            manifest.write(out, now)
            ruled.keep(out)
        except OSError as error:
            raise ClassroomError(
                f"{out}: no folder can be created there ({error.strerror}); choose another --out"
            ) from None
        for line in run.plan.layouts:
            console.print(Text(printable(line)), soft_wrap=True)
        try:
            try:
                _grade(run, options, console, rubric)
            finally:  # even if the run is stopped, finished results are reported
                again = _answered_again(held.rows, run.rows, placed)
                for line in (*again, *(text for row in run.rows for text in row.lowered)):
                    click.echo(f"autograder: {printable(line)}", err=True)
                if options.report and run.rows:
                    run.reported = reporting.write(run, rubric, options.hidden_feedback)
            gradebook.write_all(out, run.rows, rubric, now.column, chosen)
            if written != {**placed, **left}:
                marks.store(out, {**placed, **left}, rubric)
        except OSError as error:
            raise NotWritten(not_written(out, error)) from error
        return run


def _typed(out: Path, held: folder.Folder, rubric: Rubric) -> list[str]:
    """A line if written points were typed into the folder's grades.csv, of which a copy is kept."""
    given, _ = marks.match(marks.load(out, rubric), held.entries)
    policy, _ = rules.of_run(out, assignment()).policy(held.entries)
    counted = recounted(held.rows, rubric, marks.points_of(given), policy, held.results)
    return folder.keep_unmerged(out, held.rows, counted, rubric)


def _answered_again(before: Sequence[Row], now: Sequence[Row], written: marks.Marks) -> list[str]:
    """A line for each student whose answers have points and who has handed in again."""
    named = Counter(row.key[1:] for row in (*before, *now))
    earlier = {row.key: row for row in before} | {
        row.key[1:]: row for row in before if named[row.key[1:]] <= 2
    }
    found = []
    for row in now:
        old = earlier.get(row.key) or earlier.get(row.key[1:])
        times = (old.entry.submitted_at, row.entry.submitted_at) if old else (None, None)
        again = old is not None and (
            (old.sha256 and row.sha256 and old.sha256 != row.sha256) or (all(times) and times[0] != times[1])
        )
        if again and any(mark.points is not None for mark in written.get(row.key, {}).values()):
            found.append(
                f"{row.entry.student.shown}: handed in again after the written answers had points, which stay; look at them again"
            )
    return found


def _deadlines(
    options: ClassOptions, chosen: Settings, earlier: Manifest | None, people: roster.Roster | None
) -> Deadlines:
    """The due times: what is given now comes first, then what the folder knows."""
    before = earlier.due if earlier else ""
    now = read_due(options.due) or (chosen.late.due if options.settings else None)
    due = now or (deadlines.due_time(before) if before else None) or chosen.late.due
    # Those of earlier rosters hold for students who are not on this one.
    extensions = [
        (s, text)
        for s, text in (earlier.students() if earlier else ())
        if not (people and people.recognise(s))
    ]
    extensions += people.extensions.items() if people else ()
    unknown = people is None and earlier is not None and bool(earlier.roster) and earlier.extensions is None
    kept = deadlines.due_time(before) if before and unknown else None
    return Deadlines(due, extensions, chosen.table, chosen.late.grace, kept)


@contextlib.contextmanager
def locked(out: Path) -> Iterator[None]:
    """Keeps other runs of `grade`, `regrade` and `merge` out of the folder, which is made first.

    Raises ClassroomError when one is at work there.
    """
    new = not out.exists()
    try:
        out.mkdir(parents=True, exist_ok=True)
        held = hold(out)
    except FileExistsError:
        raise ClassroomError(f"{out}: a file, not a folder; choose another --out") from None
    except BlockingIOError:
        raise ClassroomError(
            f"{out}: another run of grade, regrade or merge is writing into it; wait until it ends"
        ) from None
    except OSError as error:
        raise ClassroomError(
            f"{out}: no folder can be created there ({error.strerror}); choose another --out"
        ) from None
    try:
        yield
    finally:
        held.close()
        if new:
            with contextlib.suppress(OSError):  # it holds something
                out.rmdir()


def _grade(
    run: Run,
    options: ClassOptions,
    console: Console,
    rubric: Rubric,
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
        points = marks.points_of(run.written)
        run.rows = rows_of(run.plan.entries, run.results, rubric, points, run.questions, run.policy)
        gradebook.write_grades(run.out / "grades.csv", run.rows, rubric)

    # Closed here, so that Ctrl-C ends the judges too, before anything waits for them.
    with (
        Progress(*columns, console=console, disable=not console.is_terminal) as progress,
        contextlib.closing(batch.run(works, options.jobs or default_jobs(), options.grading)) as graded,
    ):
        task = progress.add_task("", total=len(works))
        began = time.monotonic()
        for count, (work, result) in enumerate(graded, 1):
            run.results[work.name] = result
            run.done.add(work.name)
            book()
            shown = f"{result.submission}: {result.score:g}/{result.max_score:g}"
            progress.update(task, advance=1, description=shown)
            if options.verbosity.verbose:
                line = f"{count}/{len(works)} {shown} ({result.seconds:.1f} s, {count / (time.monotonic() - began):.2f}/s)"
                progress.console.print(Text(line), soft_wrap=True)
    if not works:
        book()
    run.known = sum(before[work.name] == written_at(work) != 0 for work in works)


class _Rate(ProgressColumn):
    """Submissions per minute."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed * 60:.1f}/min" if task.speed else "")


def written_at(work: Job) -> int:
    """When a job's result was last written (nanoseconds); 0 if it has none."""
    try:
        return work.output.stat().st_mtime_ns if work.output else 0
    except OSError:
        return 0


def printable(text: str) -> str:
    """A text from outside as one line for the terminal."""
    return "".join(c if c.isprintable() else "?" for c in text)
