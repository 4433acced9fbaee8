"""The command line, `python -m autograder`: a group that loads each command when it is used, from one file per role.

A release, which students get, holds neither the solutions nor the packages that instructors need; the commands that depend on
them are left out there.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os

import click

from autograder.cli.options import fail
from autograder.model.assignment import FILE, Assignment, assignment

# The commands in each file of cli/, and the package that instructors' commands need ("" for everyone's).
ROLES = {
    "student": ("", ("check", "submit")),
    "instructor": ("autograder.classroom", ("grade", "regrade", "merge", "isolation")),
    "desk": ("autograder.classroom", ("written", "similarity")),
    "build": ("autograder.build", ("release", "gradescope")),
    "catalogue": ("autograder.classroom", ("mistakes",)),
}


class Commands(click.Group):
    """The commands of the engine and of the assignment, those that this installation has the packages and files for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        ours = [name for package, names in ROLES.values() if _available(package) for name in names]
        theirs = assignment().commands if assignment().solutions else ()
        return sorted({*ours, *theirs})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        for role, (package, names) in ROLES.items():
            if cmd_name in names:
                _require(cmd_name, package)
                command: click.Command = getattr(importlib.import_module(f"autograder.cli.{role}"), cmd_name)
                return command
        if cmd_name in assignment().commands:
            _require(cmd_name, "autograder")
            return _of_assignment(cmd_name, assignment())
        return None

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(f"Checks and grades submissions of {assignment().rubric.title}.")
        super().format_help_text(ctx, formatter)

    def invoke(self, ctx: click.Context) -> object:
        """Runs a command; an error that library code raises for the user is printed as one line."""
        try:
            return super().invoke(ctx)
        except (click.exceptions.Exit, click.Abort):  # RuntimeErrors too
            raise
        except (RuntimeError, ValueError) as error:
            if os.environ.get("AUTOGRADER_DEBUG"):
                raise
            fail(str(error))


def _available(package: str) -> bool:
    """Whether the commands that need `package` can run: for instructors' commands, the solutions are there too."""
    return not package or (
        assignment().solutions is not None and importlib.util.find_spec(package) is not None
    )


def _require(command: str, package: str) -> None:
    if _available(package):
        return
    if assignment().released:
        fail(f"{command} is for instructors; this release holds only the public checks: use check")
    fail(
        f"{command} needs the solutions; name their folder (solutions = ...) in {assignment().folder / FILE}"
    )


def _of_assignment(name: str, subject: Assignment) -> click.Command:
    """A command that the assignment declares as "module:function". Raises ValueError when there is none of that name."""
    module, _, function = subject.commands[name].partition(":")
    subject.make_importable()
    command = getattr(importlib.import_module(f"{subject.package}.{module}"), function, None)
    if not isinstance(command, click.Command):
        raise ValueError(
            f"{subject.folder / FILE}: commands: {subject.commands[name]!r} is not a click command"
        )
    return command


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def main() -> None:
    """
    \b
    python -m autograder check                    the public checks, on assignment/
    python -m autograder check -q ID --watch      one question, again whenever a file is saved
    python -m autograder submit                   one zip of everything that is handed in
    python -m autograder COMMAND --help           more about a command
    python -m autograder --assignment-dir DIR ... another assignment than the one in this package
    """
    logging.basicConfig(level=logging.WARNING, format="autograder: %(message)s")
