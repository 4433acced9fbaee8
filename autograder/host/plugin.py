"""The Otter plugin: gives Otter the sandboxed grader's verdicts in place of the submission.

On the host the verdicts already exist, in the file that the environment names. With `otter run` they do not: the submitted
files are first moved away and graded; then Otter's kernel starts, in a folder without any of the student's files.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from otter.plugins import AbstractOtterPlugin

from autograder.host.handover import NOTEBOOK, VERDICTS, cell, environment, notebook
from autograder.host.settings import secret
from autograder.model.verdicts import Result

OWN = {NOTEBOOK, "tests", "__init__.py"}  # Otter's own files in the submission's folder
SECONDS = 1800.0


class HandVerdicts(AbstractOtterPlugin):  # type: ignore[misc]
    """Named in otter_config.json; Otter makes one for each grading."""

    def before_grading(self, config: Any) -> None:
        """Gets the verdicts, before Otter reads any of the submission (its log is a pickle)."""
        config.pdf = False
        config.grade_from_log = False
        named = os.environ.get(VERDICTS)
        self._result = _read(Path(named)) if named else _grade(Path.cwd())

    def before_execution(self, submission: Any) -> Any:
        """The notebook that Otter executes."""
        return nbformat.from_dict(notebook(cell(self._result)))


def _read(path: Path) -> Result:
    return Result.from_json(json.loads(path.read_text(encoding="utf-8")))


def _grade(folder: Path) -> Result:
    """Moves what was submitted out of `folder`, and grades it in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="graded-") as name:
        upload, home = Path(name, "upload"), Path(name, "home")
        upload.mkdir()
        home.mkdir()
        for path in list(folder.iterdir()):
            if path.name not in OWN:
                shutil.move(path, upload / path.name)
        output = Path(name, "result.json")
        command = [sys.executable, "-m", "autograder.host.judge", str(upload), str(output), "submission"]
        done = subprocess.run(
            command,
            env=environment(home, {"AUTOGRADER_SECRET": _secret(folder.parent / "source")}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            cwd=name,
        )
        if not output.is_file():
            raise RuntimeError(
                f"the grader ended with status {done.returncode}: {done.stderr.strip()[-2000:]}"
            )
        return _read(output)


def _secret(source: Path) -> str:
    """The course secret: the environment's, or else the one that the zip holds. Raises RuntimeError if there is none."""
    found = os.environ.get("AUTOGRADER_SECRET", "").strip() or secret(source)
    if not found:
        raise RuntimeError("the zip holds no course secret, and AUTOGRADER_SECRET is not set")
    return found
