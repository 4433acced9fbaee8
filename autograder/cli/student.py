"""Commands for students: `check` and `submit`."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from pathlib import Path

import click
from rich.console import Console

from autograder.cli.options import DEVICE, ISOLATION, QUESTIONS, UNUSABLE, fail, of_checks, require_usable
from autograder.grading import judge
from autograder.model.assignment import assignment
from autograder.model.verdicts import Result
from autograder.reports.terminal import as_line, print_check
from autograder.submissions import intake
from autograder.support.files import write_atomically
from autograder.support.processes import NO_GPU

PATH = click.argument("path", type=click.Path(path_type=Path), default=lambda: _default())


@click.command()
@PATH
@QUESTIONS
@click.option("--prints", is_flag=True, help="Show what the code printed in questions that pass, too.")
@click.option("--watch", is_flag=True, help="Check again whenever a file is saved, until Ctrl-C.")
@click.option(
    "--json",
    "json_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Also write the result to FILE.",
)
@DEVICE
@ISOLATION
def check(
    path: Path,
    questions: tuple[str, ...],
    prints: bool,
    watch: bool,
    json_file: Path | None,
    device: str,
    isolation: str | None,
) -> None:
    """Runs the public checks on PATH, a folder or zip with your modules (default: assignment/).

    Exit status: 0 when all public checks passed, 1 while one fails, 2 when PATH cannot be used.
    """
    if device == "cpu":
        os.environ.update(NO_GPU)
    isolation = isolation or judge.students_isolation()
    judge.warm_up(isolation, device, own_code=True)
    console = Console(soft_wrap=False)
    questions = of_checks(questions)
    require_usable(questions, device)
    if not watch:
        sys.exit(_check_once(console, path, questions, json_file, device, isolation, prints))
    try:
        while True:
            # Read before the check, so that a file that is saved during the check counts as changed.
            stamps = _stamps(path)
            _check_once(console, path, questions, json_file, device, isolation, prints)
            console.print(f"{time.strftime('%H:%M:%S')}  Watching for changes; press Ctrl-C to stop.")
            while (now := _stamps(path)) == stamps:
                time.sleep(0.1)
            changed = sorted(name for name in {*stamps, *now} if stamps.get(name) != now.get(name))
            console.print(f"{time.strftime('%H:%M:%S')}  {', '.join(changed)} changed.")
    except KeyboardInterrupt:
        sys.exit(0)


def _stamps(path: Path) -> dict[str, tuple[int, int]]:
    """Time of the last write (ns) and size (bytes) of each Python file of a submission, or of its zip."""
    found: dict[str, tuple[int, int]] = {}
    for file in [path, *path.glob("*.py")]:
        with contextlib.suppress(OSError):
            state = file.stat()
            if not file.is_dir():
                found[file.name] = (state.st_mtime_ns, state.st_size)
    return found


def _default() -> Path:
    """The working directory if it holds modules, else the folder that was handed out."""
    here = Path.cwd()
    if any((here / f"{module}.py").is_file() for module in assignment().rubric.modules):
        return Path()
    return _shown(assignment().stubs)


def _shown(path: Path) -> Path:
    """The path as a person would type it: relative to the working directory, where it is inside."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _check_once(
    console: Console,
    path: Path,
    questions: tuple[str, ...],
    json_file: Path | None,
    device: str,
    isolation: str,
    prints: bool,
) -> int:
    """Checks and prints once; returns the exit status."""
    try:
        _require_modules(path)
        with console.status("Checking ...") as status:

            def show(so_far: Result) -> None:
                status.update(as_line(so_far))

            result = judge.check(path, questions or None, device, isolation, show)
    except intake.UnusableSubmission as error:
        click.echo(f"autograder: {error}", err=True)
        return UNUSABLE
    print_check(console, result, assignment().rubric, questions or None, prints)
    if json_file is not None:
        try:
            write_atomically(json_file, json.dumps(result.to_json(), indent=2, ensure_ascii=False) + "\n")
        except OSError as error:
            fail(f"{json_file}: cannot be written ({error.strerror}); choose another place")
    return 0 if all(verdict.status == "passed" for verdict in result.checks) else 1


def _require_modules(path: Path) -> None:
    """Raises UnusableSubmission if there is no module at `path`: a list of all that is to do would hide that."""
    rubric = assignment().rubric
    found = intake.read(path, rubric)
    if not found.modules(rubric):
        reasons = "".join(f" ({note})" for note in found.notes[:-1][:1])
        names = ", ".join(f"{module}.py" for module in rubric.modules)
        raise intake.UnusableSubmission(
            f"{path}: holds none of {names}; give the folder that holds them, or the zip that submit made{reasons}"
        )


@click.command()
@PATH
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The zip to write (default: next to the folder, named for the assignment).",
)
@click.option("--partial", is_flag=True, help="Pack what there is, even if files are missing or unchanged.")
def submit(path: Path, out: Path | None, partial: bool) -> None:
    """Packs everything that is handed in from the folder PATH (default: assignment/) into one zip.

    The zip holds the modules, the notebooks as they were last saved, and your written answers as a page to be graded by hand.
    Nothing is packed while a module or notebook is missing, unchanged or not valid Python, or an answer is empty, unless you
    say --partial.

    Exit status: 0 when the zip is written, 1 when it is not, 2 when PATH cannot be used.
    """
    from autograder.submissions import pack as packing

    try:
        packed, lines = packing.submit(path, out, partial)
    except intake.UnusableSubmission as error:
        click.echo(f"autograder: {error}", err=True)
        sys.exit(UNUSABLE)
    click.echo("\n".join(lines), err=packed is None)
    sys.exit(0 if packed else 1)
