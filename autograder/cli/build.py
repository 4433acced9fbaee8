"""Commands that make what is handed out: `release` for students, `gradescope` for a grading host."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from autograder.cli.options import out_folder


@click.command()
@out_folder("dist", "The folder for the release.")
def release(out: Path) -> None:
    """Makes what students get: DIR/NAME/ and DIR/NAME.zip, named for the assignment, replacing earlier ones.

    Stubs and notebooks are generated from the solutions. Nothing is written if a file is missing, or if a solution, a hidden
    check or a trace of this machine would be handed out.

    Exit status: 0 when the release is made, 1 when it is not.
    """
    from autograder.build.release import ReleaseError, make

    try:
        made = make(out)
    except (ReleaseError, ValueError) as error:
        for line in str(error).splitlines():
            click.echo(f"autograder: {line}", err=True)
        click.echo("autograder: no release was made", err=True)
        sys.exit(1)
    click.echo(
        f"{made.tree}: {made.count} files, searched for solutions, hidden checks and traces of this machine"
    )
    click.echo(f"{made.archive}: {made.archive.stat().st_size:,} bytes; hand out this file")


@click.command()
@out_folder("dist", "The folder for autograder.zip.")
@click.option(
    "--settings",
    type=click.Path(path_type=Path),
    default=None,
    metavar="FILE",
    help="Your gradescope.toml: when students see hidden checks, and the time limit.",
)
def gradescope(out: Path, settings: Path | None) -> None:
    """Builds DIR/autograder.zip, which you upload to Gradescope as the assignment's autograder.

    Set AUTOGRADER_SECRET to your course's secret, so that `grade` on your machine draws the same inputs for checks.
    """
    from autograder.build.gradescope import build

    secret = os.environ.get("AUTOGRADER_SECRET", "").strip()
    path = build(out, settings, secret)
    click.echo(f"{path}: {path.stat().st_size / 1024:.0f} KB")
    if not secret:
        click.echo("AUTOGRADER_SECRET is not set: the zip holds a new secret of its own.")
    click.echo(
        "On Gradescope, choose a base image with Ubuntu 22.04 or newer; docs/gradescope.md has memory and time."
    )
