"""Commands for a class: `grade`, `regrade`, `merge` and `isolation`."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import click

from autograder.classroom import (
    feedback,
    folder,
    gradebook,
    manifest,
    marks,
    reporting,
    rules,
    session,
    stored,
)
from autograder.classroom import merge as written_points
from autograder.classroom import regrade as comparison
from autograder.classroom.rows import counted, recounted
from autograder.classroom.session import ClassOptions, Verbosity
from autograder.cli import printing
from autograder.cli.options import (
    DEVICE,
    ISOLATION,
    QUESTIONS,
    UNUSABLE,
    fail,
    of_checks,
    out_folder,
    require_usable,
)
from autograder.model.assignment import assignment
from autograder.model.feedback import HiddenFeedback
from autograder.sandbox.launch import launcher

COLUMN = click.option(
    "--assignment",
    "column",
    metavar="NAME",
    help="The assignment's column in canvas.csv, as Canvas names it: 'HW 3 (12345)'.",
)
ADJUSTMENTS = click.option(
    "--adjustments",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A CSV file with the columns student, question, points (or +1, -1), comment, who. DIR keeps it for later runs.",
)
QUIET = click.option("--quiet", is_flag=True, help="Print nothing but errors.")


def grading(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the arguments and options of a command that grades a class, and passes them as `options`, a ClassOptions."""
    parameters = (
        click.argument("paths", type=click.Path(path_type=Path), nargs=-1, required=True, metavar="PATH..."),
        out_folder("grades", "The folder for results."),
        click.option(
            "--jobs",
            type=click.IntRange(1),
            metavar="N",
            help="Judges that work at the same time (default: one per core).",
        ),
        QUESTIONS,
        click.option(
            "--roster",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="A CSV file of the class: from Canvas, Gradescope or Moodle, or your own with a header row.",
        ),
        click.option(
            "--map",
            "mapped",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="A CSV file with the columns file and student, for uploads whose names do not show the student.",
        ),
        click.option(
            "--due",
            metavar="TIME",
            help="The due time (2026-03-01T23:59): later uploads are marked late.",
        ),
        click.option(
            "--settings",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="A settings.toml: what counts in another way, the late policy. DIR keeps it for later runs.",
        ),
        ADJUSTMENTS,
        COLUMN,
        click.option(
            "--force",
            is_flag=True,
            help="Also grade what an earlier run has finished, and mix with the results of another rubric or secret.",
        ),
        click.option(
            "--cluster",
            metavar="ADDRESS",
            help="Grade on the workers of the Dask scheduler at this address, such as tcp://host:8786.",
        ),
        click.option(
            "--hidden-feedback",
            type=click.Choice(get_args(HiddenFeedback)),
            default="mistake",
            show_default=True,
            help="What students' pages say of a failed hidden check: the mistake too, the rubric's line, or the count alone.",
        ),
        click.option("--no-report", is_flag=True, help="Write neither DIR/report.html nor DIR/feedback/."),
        click.option(
            "-v", "--verbose", is_flag=True, help="Print a line for each submission as it is graded."
        ),
        QUIET,
        click.option(
            "--json", "as_json", is_flag=True, help="Print a summary of the run as JSON, and nothing else."
        ),
        DEVICE,
        ISOLATION,
    )
    shared = (
        "paths",
        "out",
        "jobs",
        "questions",
        "roster",
        "mapped",
        "due",
        "settings",
        "adjustments",
        "column",
        "force",
        "cluster",
        "hidden_feedback",
        "device",
        "isolation",
    )

    @functools.wraps(command)
    def with_options(**values: Any) -> None:
        values["questions"] = of_checks(values["questions"])
        options = ClassOptions(
            **{name: values.pop(name) for name in shared},
            report=not values.pop("no_report"),
            verbosity=Verbosity(values.pop("quiet"), values.pop("verbose"), values.pop("as_json")),
        )
        require_usable(options.questions, options.device)
        command(options=options, **values)

    decorated: Callable[..., None] = with_options
    for parameter in reversed(parameters):
        decorated = parameter(decorated)
    return decorated


@click.command()
@grading
def grade(options: ClassOptions) -> None:
    """Runs all checks on each PATH: a submission (folder or zip), a folder or zip of submissions, or an export of a class.

    Exports from Gradescope, Canvas, Moodle, Blackboard, Brightspace, Google Classroom and GitHub Classroom are read as they are
    downloaded; for any other, --map says whose each file is. With a roster, every student gets a row,
    including students who submitted nothing; of several uploads the latest counts, and the others are listed.

    Writes DIR/<submission>.json as soon as a submission is graded, and DIR/grades.csv, canvas.csv and gradescope.csv; at the end
    DIR/report.html about the class, and DIR/feedback/<submission>.html for each student. A run that was stopped continues where
    it was: a submission that is finished in DIR, with the same content and grader, is not graded again. What DIR holds already
    stays: other students' results, and with -q the other questions'. Results of another rubric or course secret are refused.
    Set AUTOGRADER_SECRET to your course's secret, so that students cannot guess the inputs of checks.

    \b
    python -m autograder grade submissions/                      a folder of submissions
    python -m autograder grade export.zip --roster roster.csv    a class as it was downloaded
    python -m autograder grade ana.zip -q ID --out check-ana     one submission, one question

    Exit status: 0 when every submission was graded (whatever the scores), 2 when a PATH or an option cannot be used.
    """
    rubric = assignment().rubric
    run = session.grade_class(options, rubric)
    if options.verbosity.as_json:
        click.echo(json.dumps(run.summary(), indent=2))
    else:
        printing.print_run(run, options, rubric)
    sys.exit(UNUSABLE if run.plan.problems else 0)


@click.command()
@click.argument("earlier", type=click.Path(path_type=Path), metavar="EARLIER_DIR")
@grading
def regrade(earlier: Path, options: ClassOptions) -> None:
    """Grades each PATH into DIR as `grade` does, and reports what differs from EARLIER_DIR, the folder of an earlier run.

    DIR/changes.csv lists whose points change, by how much, on which question and check, and why: other content, another grader
    (its checks, the secret, the settings), or another verdict. DIR starts as a copy of EARLIER_DIR: students without
    a PATH, questions that -q leaves out, and written points stay.

    Exit status: 0 when every submission was graded, whatever changed; 2 when a PATH, EARLIER_DIR or an option cannot be used.
    """
    rubric, out = assignment().rubric, options.out
    if not earlier.is_dir():
        fail(f"{earlier}: there is no such folder; give the folder that an earlier run of grade has written")
    if out.resolve() == earlier.resolve():
        fail(f"{out}: this is the earlier run's folder; choose another --out, so that both can be compared")
    before, remarks = stored.results_in(earlier)
    for line in remarks:
        click.echo(f"autograder: {line}", err=True)
    if not before:
        fail(f"{earlier}: holds no results; give the folder that an earlier run of grade has written")
    fresh = not stored.results_in(out)[0]
    book = earlier / folder.GRADES
    rows_before = gradebook.read(book, rubric) if book.is_file() else []
    try:
        for line in comparison.begin(earlier, out, assignment()):
            click.echo(f"autograder: {line}", err=True)
    except OSError as error:
        fail(f"{out}: cannot be written ({error.strerror}); choose another --out")
    # What is copied is graded again; a regrading that was stopped continues.
    run = session.grade_class(
        replace(options, force=options.force or fresh, before=manifest.read(earlier)), rubric
    )
    now = {r.submission: r for r in run.everything()}
    changes = [
        *comparison.compare(before, now, rubric),
        *comparison.by_rules(rows_before, run.rows, run.policy.adjustments, (before, run.results)),
        *comparison.lost(marks.points_of(run.unplaced)),
    ]
    try:
        comparison.write(out / "changes.csv", changes)
    except OSError as error:
        fail(f"{out}: changes.csv cannot be written ({error.strerror}); the grades are complete")
    if options.verbosity.as_json:
        shown = [{**vars(change), "change": change.difference} for change in changes]
        click.echo(json.dumps({**run.summary(), "changes": shown}, indent=2))
    else:
        printing.print_run(run, options, rubric)
        printing.print_changes(changes, options)
    sys.exit(UNUSABLE if run.plan.problems else 0)


@click.command()
@click.argument("filled", type=click.Path(path_type=Path), nargs=-1, metavar="[GRADES.CSV]...")
@out_folder("grades", "The folder that `grade` has written.")
@ADJUSTMENTS
@COLUMN
@click.option(
    "--replace",
    is_flag=True,
    help="Also take points and comments that differ from those that are merged already.",
)
@QUIET
def merge(
    filled: tuple[Path, ...],
    out: Path,
    adjustments: Path | None,
    column: str | None,
    replace: bool,
    quiet: bool,
) -> None:
    """Takes the points and comments of written questions into DIR's gradebooks, report and students' pages.

    GRADES.CSV: a file that a page of `written` has saved, or a filled-in copy of DIR/grades.csv. Only the written questions'
    columns are read; an empty cell changes nothing, so several graders can merge their files together or one after another.
    Points stay merged when the class is graded again (they are kept in DIR/written.csv). --adjustments also takes points that are
    adjusted by hand; no GRADES.CSV is needed then.

    Exit status: 0 when all points are merged; 1 when a cell or a row cannot be used, two graders gave the same answer different
    points, or points that are merged already would change (each is named in one line, and nothing is changed); 2 when a file is
    missing or is not a gradebook.
    """
    rubric = assignment().rubric
    if not filled and adjustments is None:
        fail("there is nothing to merge; give a GRADES.CSV, or --adjustments")
    click.get_current_context().with_resource(
        session.locked(out)
    )  # or two graders' points replace each other
    results, remarks = stored.results_in(out)
    made = manifest.read(out)
    if made and (differences := made.differences(assignment())):
        fail(f"{out}: holds results of another run: {'; '.join(differences)}; grade again into another --out")
    rows = gradebook.read(out / "grades.csv", rubric)
    before, left = marks.match(marks.load(out, rubric), [row.entry for row in rows])
    ruled = rules.of_run(out, assignment(), adjusted=adjustments)
    now, _ = rules.of_run(out, assignment()).policy([row.entry for row in rows])
    shown = recounted(rows, rubric, marks.points_of(before), now, results)
    own = out / folder.GRADES
    own_given = any(path.resolve() == own.resolve() for path in filled)
    typed = [] if own_given else folder.keep_unmerged(out, rows, shown, rubric)
    merged = written_points.take(
        filled,
        [row.key for row in rows],
        before,
        rubric,
        change=replace,
        counted={row.key: row.written for row in shown},
    )
    policy, notes = ruled.policy([row.entry for row in rows])
    for line in [*remarks, *typed, *marks.remarks({**before, **left}, left, rubric), *notes]:
        click.echo(f"autograder: {line}", err=True)
    for line in merged.problems:
        click.echo(f"autograder: {line}", err=True)
    if merged.problems:
        click.echo("autograder: nothing is merged; fix these and merge again", err=True)
        sys.exit(1)
    points = marks.points_of(merged.marks)
    rows = recounted(rows, rubric, points, policy, results)
    for line in (line for row in rows for line in row.lowered):
        click.echo(f"autograder: {line}", err=True)
    pages = (marks.on_pages(merged.marks, rows, rubric), policy.settings.counting)
    lines = reporting.on_pages(policy, rows, results, rubric)
    try:
        marks.store(out, {**merged.marks, **left}, rubric)
        ruled.keep(out)
        gradebook.write_all(out, rows, rubric, column or (made.column if made else None), policy.settings)
        stale = feedback.refresh(out, rubric, *pages, lines, everyone=adjustments is not None)
        for line in [*stale, *reporting.refresh(out, rows, results, policy, rubric)]:
            click.echo(f"autograder: {line}", err=True)
    except OSError as error:
        fail(f"{out}: cannot be written ({error.strerror})")
    if not quiet:
        printing.print_merged(rows, merged, out, counted(rows, rubric, policy.settings))


@click.command()
def isolation() -> None:
    """Prints how student code is isolated on this machine, and why no better level is available."""
    boxes = launcher()
    try:
        if boxes.isolation == "process" and not boxes.same_user:
            click.echo(
                "Isolation: process, as another user, without privileges or network; it can read what all users can."
            )
        else:
            click.echo(f"Isolation: {boxes.isolation}{printing.ISOLATION[boxes.isolation]}.")
        for reason in boxes.unable:
            click.echo(f"Unavailable: {reason}.")
    finally:
        boxes.close()
