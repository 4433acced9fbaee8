"""Commands for the instructor's desk: `written`, pages for grading by hand, and `similarity`, a page of similar work."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NoReturn, TypeVar

import click
from rich.console import Console
from rich.progress import track

from autograder.classroom import collect, identical, marks, worksheets
from autograder.cli.options import UNUSABLE, fail, out_folder
from autograder.model.assignment import assignment
from autograder.submissions import intake
from autograder.submissions.staging import TempStore
from autograder.support.files import write_atomically

PATHS = click.argument("paths", type=click.Path(path_type=Path), nargs=-1, required=True, metavar="PATH...")
MAP = click.option(
    "--map",
    "mapped",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The table of files and students, as for `grade`.",
)
T = TypeVar("T")


@click.command()
@PATHS
@out_folder("grades", "The folder that `grade` has written.")
@click.option(
    "-q",
    "--question",
    "questions",
    multiple=True,
    metavar="ID",
    help="Only this written question (repeatable).",
)
@click.option(
    "--roster",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The CSV file of the class that it was graded with.",
)
@MAP
@click.option("--section", metavar="NAME", help="Only students of this section of the roster.")
@click.option(
    "--graders",
    type=click.IntRange(1, 100),
    default=1,
    metavar="N",
    help="Share the answers among N graders: a page for each, whose CSV files are merged together.",
)
def written(
    paths: tuple[Path, ...],
    out: Path,
    questions: tuple[str, ...],
    roster: Path | None,
    mapped: Path | None,
    section: str | None,
    graders: int,
) -> None:
    """Makes a page for each written question, DIR/written/ID.html: all answers, the model answer, and fields for points.

    PATH: the submissions, as they were given to `grade`. Each page is one file that loads nothing. It is used by keyboard, keeps
    what is entered in the browser, and saves a CSV file for `merge`.

    Exit status: 0 when all pages are written, 2 when a PATH or an option cannot be used.
    """
    try:
        from autograder.classroom import answers
        from autograder.reports.written_page import FOLDER, written_page
    except ModuleNotFoundError as error:
        _install(error)
    rubric = assignment().rubric
    unknown = [id for id in questions if id not in {q.id for q in rubric.written}]
    if unknown or not rubric.written:
        known = ", ".join(q.id for q in rubric.written) or "none in this assignment"
        fail(f"{unknown[0] if unknown else rubric.title}: not a written question; these are {known}")
    rows = answers.graded_rows(out, rubric, section)
    merged, _ = marks.match(
        marks.load(out, rubric), [row.entry for shared in rows.values() for row in shared]
    )
    with TempStore(out / answers.UPLOADS).cleared() as store:
        reading, remarks = answers.read_class(paths, out, rubric, roster, mapped, rows, store)
        works = list(_watched(reading, "Reading answers", len(rows)))
    for line in remarks:
        click.echo(f"autograder: {_printable(line)}", err=True)
    for question in rubric.written:
        if questions and question.id not in questions:
            continue
        for page in answers.pages_of(question, works, graders, section, merged):
            path = out / FOLDER / f"{page.file}.html"
            _write(path, written_page(page, rubric))
            click.echo(f"{path}: {len(page.items)} answers")
    click.echo(f"Open a page in a browser, save its CSV file there, then: merge FILE.csv... --out {out}")


@click.command()
@PATHS
@out_folder("grades", "The folder for similarity.html.")
@MAP
def similarity(paths: tuple[Path, ...], out: Path, mapped: Path | None) -> None:
    """Compares what students wrote and shows the most similar pairs side by side, in DIR/similarity.html.

    PATH: a folder or zip of submissions, or an export of a class, as for `grade`. The text of the stubs, and passages that many
    submissions share, do not count. Nothing is executed. It is a page to look at: similar work can be innocent.

    Exit status: 0 when the page is written, 2 when a PATH or an option cannot be used.
    """
    from autograder.reports import similarity as similar

    try:
        import copydetect  # noqa: F401 (before anything is read)

        from autograder.reports.similarity_page import PAGE, similarity_page
    except ModuleNotFoundError as error:
        _install(error)
    current = assignment()
    table = worksheets.read_map(mapped) if mapped else None
    with TempStore(out / ".similarity-uploads").cleared() as store:
        try:
            plan = collect.plan(paths, out, current.rubric, store, None, None, mapped=table)
        except OSError as error:
            fail(f"{out}: uploads cannot be unpacked there ({error.strerror}); choose another --out")
        for line in (*plan.problems, *plan.remarks):
            click.echo(f"autograder: {_printable(line)}", err=True)
        if len(plan.works) < 2:
            fail("there are not two submissions to compare; give the folder or zip of a class")
        handed_out = {path.name: path.read_bytes() for path in current.stubs.glob("*.py")}
        stubs = similar.fingerprints("stubs", handed_out).prints
        counting = {entry.work for entry in plan.entries}
        found, digests = [], {}
        for job in _watched(plan.works, "Reading submissions", len(plan.works)):
            try:
                read = intake.read(job.path, current.rubric, job.name)
            except (intake.UnusableSubmission, OSError) as error:
                click.echo(f"autograder: {_printable(f'{job.name}: {error}')}", err=True)
                continue
            work = similar.fingerprints(job.name, read.files, stubs)
            if job.name in counting:
                found.append(work)
            if len(work.prints) >= similar.LEAST:
                digests[job.name] = read.sha256
    alike = similar.compare(found)
    _write(out / PAGE, similarity_page(alike, current.rubric, identical.identical(plan.entries, digests)))
    click.echo(f"{out / PAGE}: {alike.count} submissions compared, the {len(alike.pairs)} most similar pairs")
    sys.exit(UNUSABLE if plan.problems else 0)


def _watched(things: Iterable[T], what: str, total: int) -> Iterator[T]:
    """The things, with a progress bar on a terminal."""
    console = Console(stderr=True)
    return iter(track(things, what, total, console=console, transient=True, disable=not console.is_terminal))


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text)
    except OSError as error:
        fail(f"{path}: cannot be written ({error.strerror}); choose another --out")


def _install(error: ModuleNotFoundError) -> NoReturn:
    fail(
        f"the package {error.name} is not installed; install the extra `instructors`, or `pip install {error.name}`"
    )


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)
