"""Commands for a class beside `grade`: `merge` and `regrade`."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import click
from rich import box
from rich.table import Table
from rich.text import Text

from autograder import batch
from autograder.classroom import gradebook, merge, regrade, session, tables
from autograder.classroom.session import Talk, fail
from autograder.cli import UNUSABLE, grading, print_run, usable
from autograder.rubric import Rubric, assignment

MAX_SHOWN = 40


@click.command("merge")
@click.argument("filled", type=click.Path(path_type=Path), metavar="GRADES.CSV")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("grades"),
    show_default=True,
    metavar="DIR",
    help="The folder that `grade` has written.",
)
@click.option(
    "--assignment", "column", metavar="NAME", help="The assignment's column in canvas.csv, as for grade."
)
@click.option("--quiet", is_flag=True, help="Say nothing but what is wrong.")
def merge_command(filled: Path, out: Path, column: str | None, quiet: bool) -> None:
    """Takes the points of written questions from GRADES.CSV, a filled-in copy of DIR/grades.csv, into DIR's gradebooks.

    Only the written questions' columns are taken; an empty cell changes nothing, so that graders may merge their copies one
    after another. Points stay merged when the class is graded again (they are kept in DIR/written.csv).

    Exit status: 0 when all points are merged; 1 when a cell or a row cannot be used (each is named in one line, and nothing is
    changed); 2 when a file is not there or no gradebook.
    """
    rubric = assignment().rubric
    grades = out / "grades.csv"
    try:
        rows = gradebook.read(grades, rubric)
        before = merge.load(out, rubric)
        merged = merge.take(filled, [row.key for row in rows], before, rubric)
    except tables.TableError as error:
        fail(str(error))
    for line in merged.problems:
        click.echo(f"autograder: {line}", err=True)
    if merged.problems:
        click.echo("autograder: nothing is merged; mend these and merge again", err=True)
        sys.exit(1)
    rows = [gradebook.with_written(row, merged.points.get(row.key, {})) for row in rows]
    try:
        merge.store(out, merged.points, rubric)
        gradebook.write_all(out, rows, rubric, column)
    except OSError as error:
        fail(f"{out}: cannot be written ({error.strerror})")
    if not quiet:
        _tell_merged(rows, merged, out, rubric)


def _tell_merged(rows: list[gradebook.Row], merged: merge.Merge, out: Path, rubric: Rubric) -> None:
    there = [row for row in rows if row.entry.work]
    click.echo(
        f"{merged.changed} points are new or changed; {merged.absent} of {len(rows)} rows are not in the copy."
    )
    for question in rubric.written:
        open_ = sum(question.id not in row.written for row in there)
        if open_:
            click.echo(f"{question.id}: {open_} of {len(there)} submissions have no points yet.")
    click.echo(f"Results: {out}/grades.csv, canvas.csv and gradescope.csv.")


@click.command("regrade")
@click.argument("earlier", type=click.Path(path_type=Path), metavar="EARLIER_DIR")
@grading
def regrade_command(
    earlier: Path,
    paths: tuple[Path, ...],
    out: Path,
    jobs: int | None,
    questions: tuple[str, ...],
    roster: Path | None,
    due: str | None,
    column: str | None,
    force: bool,
    cluster: str | None,
    no_report: bool,
    verbose: bool,
    quiet: bool,
    as_json: bool,
    device: str,
    isolation: str | None,
) -> None:
    """Grades each PATH into DIR as `grade` does, and tells what is other than in EARLIER_DIR, the folder of an earlier run.

    DIR/changes.csv says whose points change, by how much, on which question and check, and why: other content, another grader
    (its checks, its reference, the secret, the settings), or another verdict. Written points of the earlier run come along.

    Exit status: 0 when every submission was graded, whatever changed; 2 when a PATH, EARLIER_DIR or an option cannot be used.
    """
    rubric = assignment().rubric
    usable(questions, rubric, device)
    if not earlier.is_dir():
        fail(f"{earlier}: there is no such folder; give the folder that an earlier run of grade has written")
    if out.resolve() == earlier.resolve():
        fail(f"{out}: the earlier run lies there; choose another --out, so that both can be compared")
    before, remarks = regrade.load(earlier)
    for line in remarks:
        click.echo(f"autograder: {line}", err=True)
    if not before:
        fail(f"{earlier}: holds no results; give the folder that an earlier run of grade has written")
    _bring_written(earlier, out)
    talk = Talk(quiet, verbose, as_json)
    how = batch.How(questions or None, device, isolation, not force, cluster)
    run = session.grade_class(
        paths, out, how, jobs or batch.default_jobs(), talk, rubric, roster, due, column, not no_report
    )
    changes = regrade.compare(before, {r.submission: r for r in run.ordered()}, rubric)
    regrade.write(out / "changes.csv", changes)
    if as_json:
        shown = [{**vars(change), "change": change.difference} for change in changes]
        click.echo(json.dumps({**run.summary(), "changes": shown}, indent=2))
    else:
        print_run(run, talk, rubric)
        _print_changes(changes, talk, out)
    sys.exit(UNUSABLE if run.plan.problems else 0)


def _bring_written(earlier: Path, out: Path) -> None:
    """Points for written answers belong to the answers, not to a run of the grader."""
    source, target = earlier / gradebook.WRITTEN, out / gradebook.WRITTEN
    if source.is_file() and not target.exists():
        try:
            out.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
        except OSError as error:
            fail(f"{out}: cannot be written ({error.strerror}); choose another --out")


def _print_changes(changes: list[regrade.Change], talk: Talk, out: Path) -> None:
    console = talk.console()
    totals = [c for c in changes if not c.check]
    moved = [c for c in totals if c.difference]
    if not changes:
        console.print("Nothing has changed.")
        return
    table = Table(title="Changes", title_justify="left", box=box.SIMPLE_HEAD)
    for name in ("Submission", "Question", "Earlier", "Now", "Why"):
        table.add_column(name, justify="right" if name in ("Earlier", "Now") else "left", overflow="fold")
    for change in changes[:MAX_SHOWN]:
        points = ["-" if value is None else f"{value:g}" for value in (change.earlier, change.now)]
        what = change.why if not change.check else f"{change.check}: {change.why.rpartition('; ')[2]}"
        name = change.submission if not change.check else ""
        table.add_row(Text(name), change.question or "total", *points, Text(what))
    console.print(table)
    if len(changes) > MAX_SHOWN:
        console.print(f"{len(changes) - MAX_SHOWN} more rows are in {out}/changes.csv.", soft_wrap=True)
    console.print(
        f"{len(moved)} of {len(totals)} changed submissions have other points. All of it: {out}/changes.csv.",
        soft_wrap=True,
    )


COMMANDS = {"merge": merge_command, "regrade": regrade_command}
