"""Runs the command line: in a process of its own, as people do, or in the test's process, which has loaded torch already."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner, Result

from autograder.cli.main import main

ROOT = Path(__file__).resolve().parents[1]


def without_variables() -> dict[str, str]:
    """This process's environment without the variables that change what the commands do."""
    changing = ("AUTOGRADER", "PYTEST", "MAKE", "MFLAGS")
    return {name: value for name, value in os.environ.items() if not name.startswith(changing)}


def autograder(*args: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """`python -m autograder` at the repository's root."""
    return subprocess.run(
        [sys.executable, "-m", "autograder", *map(str, args)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env={**without_variables(), "COLUMNS": "120", **environment},
        timeout=280,
    )


def here(*args: object) -> Result:
    """The same command in this process; with the fixture `judged_here`, submissions are judged in it too."""
    return CliRunner(env={"COLUMNS": "120"}).invoke(main, [str(arg) for arg in args])
