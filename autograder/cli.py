"""The command line: `python -m autograder check` for students, `grade` for instructors."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from autograder import batch, intake
from autograder.reports.files import write_atomically
from autograder.rubric import HERE, Rubric, assignment
from autograder.sandbox.launch import launcher

if TYPE_CHECKING:
    from autograder.classroom.session import Run, Talk

UNUSABLE = 2
# What an instructor must know of the level that the submissions ran under.
ISOLATION = {
    "full": "",
    "user": "",
    "process": " (not secure against hostile code: grade strangers' code in a container)",
}


ISOLATION_LEVEL = click.option(
    "--isolation",
    type=click.Choice(["auto", "full", "user", "process"]),
    default=None,
    help="How student code is locked up: the best that this machine allows (auto), or this level and no other.",
)
DEVICE = click.option(
    "--device",
    type=click.Choice(["cpu", "cuda"]),
    default="cpu",
    show_default=True,
    help="Where to look for tensors on the wrong device: on a real GPU (cuda), or on one that is not there.",
)


CLASS = ("merge", "regrade")  # commands in cli_class, which a release has not
STUDY = ("figures", "sweep")  # commands in cli_study, which it has not either
INSTRUCTORS = (
    "grade",
    "release",
    "gradescope",
    *CLASS,
    *STUDY,
)  # commands that take the solutions or the hidden checks


class Commands(click.Group):
    """The commands that this package has the parts for: a release, which students get, has none of the instructors'."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(name for name in {*super().list_commands(ctx), *CLASS, *STUDY} if not _left_out(name))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if _left_out(cmd_name):
            click.echo(
                f"autograder: {cmd_name} is for instructors; this release holds only the public checks: use check",
                err=True,
            )
            sys.exit(UNUSABLE)
        if cmd_name in CLASS:
            from autograder.cli_class import COMMANDS

            return COMMANDS[cmd_name]
        if cmd_name in STUDY:
            from autograder import cli_study

            return cli_study.COMMANDS[cmd_name]
        return super().get_command(ctx, cmd_name)


def _left_out(command: str) -> bool:
    return command in INSTRUCTORS and assignment().reference is None


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def main() -> None:
    """Checks and grades submissions of the generative-models assignment.

    \b
    python -m autograder check                    the public checks, on assignment/
    python -m autograder check -q 1-4 --watch     one question, again at every save
    python -m autograder submit                   one zip of what is to be handed in
    python -m autograder COMMAND --help           more about a command
    """
    logging.basicConfig(level=logging.WARNING, format="autograder: %(message)s")


@main.command()
@click.argument("path", type=click.Path(path_type=Path), default=Path("assignment"))
@click.option(
    "-q", "--question", "questions", multiple=True, metavar="ID", help="Only this question (repeatable)."
)
@click.option("--watch", is_flag=True, help="Check again whenever a file is saved, until Ctrl-C.")
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path), metavar="FILE", help="Also write the result here."
)
@DEVICE
@ISOLATION_LEVEL
def check(
    path: Path,
    questions: tuple[str, ...],
    watch: bool,
    json_file: Path | None,
    device: str,
    isolation: str | None,
) -> None:
    """Runs the public checks on PATH (a folder or zip with your modules; assignment/ unless you say otherwise).

    Exit status: 0 when all public checks passed, 1 while points are missing, 2 when PATH cannot be used.
    """
    # One's own code needs no walls: what it costs to build them is better spent on the answer.
    isolation = isolation or os.environ.get("AUTOGRADER_ISOLATION") or "process"
    batch.warm_up(isolation, device)
    console = Console(soft_wrap=False)
    rubric = assignment().rubric
    usable(questions, rubric, device)
    if not watch:
        sys.exit(_check_once(console, path, questions, json_file, device, isolation))
    try:
        while True:
            # Read before the check, so that a file saved while it runs is seen too.
            stamps = _stamps(path)
            _check_once(console, path, questions, json_file, device, isolation)
            console.print("Watching for changes; Ctrl-C ends it.")
            while _stamps(path) == stamps:
                time.sleep(0.3)
    except KeyboardInterrupt:
        sys.exit(0)


def _stamps(path: Path) -> dict[str, tuple[int, int]]:
    """When the Python files of a submission (or its zip) were last written, and their sizes."""
    found: dict[str, tuple[int, int]] = {}
    for file in [path, *path.glob("*.py")]:
        with contextlib.suppress(OSError):
            state = file.stat()
            if not file.is_dir():
                found[file.name] = (state.st_mtime_ns, state.st_size)
    return found


def _check_once(
    console: Console,
    path: Path,
    questions: tuple[str, ...],
    json_file: Path | None,
    device: str,
    isolation: str,
) -> int:
    rubric = assignment().rubric
    try:
        with console.status("Checking ..."):
            result = batch.grade_one(
                path,
                visibilities=("public",),
                questions=questions or None,
                secret="public",
                device=device,
                isolation=isolation,
            )
    except intake.UnusableSubmission as error:
        click.echo(f"autograder: {error}", err=True)
        return UNUSABLE
    from autograder.reports.terminal import print_check

    print_check(console, result, rubric, questions or None)
    if json_file is not None:
        write_atomically(json_file, json.dumps(result.to_json(), indent=2, ensure_ascii=False) + "\n")
    return 0 if result.score == result.max_score else 1


def grading(command: Callable[..., None]) -> Callable[..., None]:
    """The arguments and options of a command that grades a class."""
    options = (
        click.argument("paths", type=click.Path(path_type=Path), nargs=-1, required=True),
        click.option(
            "--out", type=click.Path(path_type=Path), default=Path("grades"), show_default=True, metavar="DIR"
        ),
        click.option(
            "--jobs",
            type=click.IntRange(1),
            default=None,
            metavar="N",
            help="Judges at work at once (default: cores).",
        ),
        click.option(
            "-q",
            "--question",
            "questions",
            multiple=True,
            metavar="ID",
            help="Only this question (repeatable).",
        ),
        click.option(
            "--roster",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="A CSV of the class: Canvas's, Gradescope's or Moodle's, or your own with a first row of names.",
        ),
        click.option(
            "--due",
            metavar="TIME",
            help="When it was due (2026-03-01T23:59): later uploads are shown as late.",
        ),
        click.option(
            "--assignment",
            "column",
            metavar="NAME",
            help="The assignment's column in canvas.csv, as Canvas has it: 'HW 3 (12345)'.",
        ),
        click.option("--force", is_flag=True, help="Grade again what an earlier run has graded already."),
        click.option(
            "--cluster",
            metavar="ADDRESS",
            help="Grade on the workers of the Dask scheduler at this address, tcp://host:8786 for instance.",
        ),
        click.option("--no-report", is_flag=True, help="Write neither DIR/report.html nor DIR/feedback/."),
        click.option("-v", "--verbose", is_flag=True, help="A line for each submission as it is graded."),
        click.option("--quiet", is_flag=True, help="Say nothing but what is wrong."),
        click.option("--json", "as_json", is_flag=True, help="Only a summary of the run on stdout, as JSON."),
        DEVICE,
        ISOLATION_LEVEL,
    )
    for option in reversed(options):
        command = option(command)
    return command


@main.command()
@grading
def grade(
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
    """Runs all checks on each PATH: a submission (folder or zip), a folder or zip of submissions, or an export of a class.

    Exports are those of Gradescope, Canvas and Moodle, as they are downloaded. With a roster, every student gets a row, also
    who sent nothing; of several uploads the latest counts, and the others are shown. Writes DIR/<submission>.json as results
    come, and DIR/grades.csv, canvas.csv and gradescope.csv; in the end DIR/report.html, about the class, and
    DIR/feedback/<submission>.html, for the student. A run that was stopped goes on where it was: what is finished in DIR, of the
    same content and by the same grader, is not graded again. Set AUTOGRADER_SECRET to your course's secret, so that nobody can
    guess the inputs.

    \b
    python -m autograder grade submissions/                       a folder of submissions
    python -m autograder grade export.zip --roster roster.csv     a class as it was downloaded
    python -m autograder grade ana.zip -q 1-4 --out check-ana     one submission, one question

    Exit status: 0 when every submission was graded (whatever the scores), 2 when a PATH or an option cannot be used.
    """
    from autograder.classroom import session

    rubric = assignment().rubric
    usable(questions, rubric, device)
    talk = session.Talk(quiet, verbose, as_json)
    how = batch.How(questions or None, device, isolation, not force, cluster)
    run = session.grade_class(
        paths, out, how, jobs or batch.default_jobs(), talk, rubric, roster, due, column, not no_report
    )
    print_run(run, talk, rubric)
    sys.exit(UNUSABLE if run.plan.problems else 0)


def print_run(run: Run, talk: Talk, rubric: Rubric) -> None:
    """What an instructor sees at the end of a run."""
    from autograder.classroom import session
    from autograder.reports.terminal import print_grades

    if talk.as_json:
        click.echo(json.dumps(run.summary(), indent=2))
        return
    console = talk.console()
    results = run.ordered()
    print_grades(console, results, rubric)
    for line in session.told(run, run.rows):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    if run.known:
        console.print(
            f"{run.known} of {len(results)} stood in {run.out} already; --force grades them again.",
            soft_wrap=True,
        )
    if batch.course_secret() == batch.DEFAULT_SECRET:
        console.print(
            "AUTOGRADER_SECRET is not set: inputs of checks can be guessed by whoever has this package."
        )
    for isolation in sorted({r.isolation for r in results}):
        console.print(f"Isolation: {isolation}{ISOLATION[isolation]}.")
    console.print(
        f"Results: {run.out}/grades.csv (canvas.csv, gradescope.csv) and one JSON per submission.",
        soft_wrap=True,
    )
    if run.reported:
        console.print(
            f"Report: {run.out}/report.html; {run.out}/feedback/ has a page for each student.", soft_wrap=True
        )


@main.command()
@click.argument("path", type=click.Path(path_type=Path), default=Path("assignment"))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where the zip goes (default: generative-models-submission.zip beside the folder).",
)
@click.option("--partial", is_flag=True, help="Pack what there is, even if files are missing or untouched.")
def submit(path: Path, out: Path | None, partial: bool) -> None:
    """Packs what is to be handed in from the folder PATH (assignment/ unless you say otherwise) into one zip.

    The modules, the notebooks as they were last saved, and your written answers as a page to be graded by hand. Nothing is
    packed while a module or notebook is missing, untouched or not valid Python, unless you say --partial.

    Exit status: 0 when it is packed, 1 when it is not, 2 when PATH cannot be used.
    """
    from autograder import submit as packing

    try:
        packed, lines = packing.submit(path, out, partial)
    except intake.UnusableSubmission as error:
        click.echo(f"autograder: {error}", err=True)
        sys.exit(UNUSABLE)
    click.echo("\n".join(lines), err=packed is None)
    sys.exit(0 if packed else 1)


@main.command()
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("dist"), show_default=True, metavar="DIR"
)
def release(out: Path) -> None:
    """Makes what students get: DIR/generative-models/ and DIR/generative-models.zip, in place of earlier ones.

    Stubs and notebooks are made from solutions/ afresh. Nothing is written if a file is missing, or if a solution, a hidden
    check or a trace of this machine would get out.

    Exit status: 0 when it is made, 1 when it is not.
    """
    from autograder.build.release import ReleaseError, make

    try:
        made = make(out, HERE.parent)
    except (ReleaseError, ValueError) as error:
        for line in str(error).splitlines():
            click.echo(f"autograder: {line}", err=True)
        click.echo("autograder: no release was made", err=True)
        sys.exit(1)
    click.echo(
        f"{made.tree}: {made.count} files, searched for solutions, hidden checks and traces of this machine"
    )
    click.echo(f"{made.archive}: {made.archive.stat().st_size:,} bytes; hand out this file")


@main.command()
def isolation() -> None:
    """Tells how student code would be locked up on this machine, and why not better."""
    boxes = launcher()
    try:
        if boxes.isolation == "process" and not boxes.same_user:
            click.echo(
                "Isolation: process, as another user, without privilege or network; it sees what all users may see."
            )
        else:
            click.echo(f"Isolation: {boxes.isolation}{ISOLATION[boxes.isolation]}.")
        for reason in boxes.unable:
            click.echo(f"Not to be had: {reason}.")
    finally:
        boxes.close()


@main.command()
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("dist"), show_default=True, metavar="DIR"
)
@click.option(
    "--settings",
    type=click.Path(path_type=Path),
    default=None,
    metavar="FILE",
    help="A gradescope.toml of yours: when students see hidden checks, the time limit.",
)
def gradescope(out: Path, settings: Path | None) -> None:
    """Builds DIR/autograder.zip, to be uploaded to Gradescope as the assignment's autograder.

    Set AUTOGRADER_SECRET to your course's secret, so that `grade` here comes to the same inputs of checks.
    """
    from autograder.build.gradescope import build

    secret = os.environ.get("AUTOGRADER_SECRET")
    path = build(out, settings, secret)
    click.echo(f"{path}: {path.stat().st_size / 1024:.0f} KB")
    if not secret:
        click.echo("AUTOGRADER_SECRET is not set: the zip holds a new secret of its own.")
    click.echo("On Gradescope: a base image with Ubuntu 22.04 or newer; see the README for memory and time.")


def usable(questions: tuple[str, ...], rubric: Rubric, device: str) -> None:
    """Ends with one line when a question is none of the rubric's, or the device is not to be had."""
    _known(questions, rubric)
    if device == "cpu":
        return
    import torch

    if not torch.cuda.is_available():
        click.echo("autograder: --device cuda: PyTorch finds no GPU here; leave the option out", err=True)
        sys.exit(UNUSABLE)


def _known(questions: tuple[str, ...], rubric: Rubric) -> None:
    """Ends with one line when a question is none of the rubric's."""
    auto = [q.id for q in rubric.auto]
    for id in questions:
        if id not in auto:
            click.echo(
                f"autograder: there is no auto-graded question {id}; there are {', '.join(auto)}", err=True
            )
            sys.exit(UNUSABLE)
