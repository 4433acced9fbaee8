"""Gives verdicts to Otter: it grades a notebook that contains only them, with test files that read them, and writes results.

No student code is involved: neither Otter's process nor its kernel ever loads any.
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

from autograder.host.results import words
from autograder.model.verdicts import Result
from autograder.reports.hidden import Teaching
from autograder.support.files import write_atomically

VERDICTS = "AUTOGRADER_VERDICTS"  # the environment variable with the path of a finished result
NOTEBOOK = "verdicts.ipynb"  # the one notebook that Otter finds in the submission's folder
FOR_OTTER = ("tests", "otter_config.json", "files")  # the part of the upload zip that Otter needs
PACKAGE = Path(__file__).resolve().parents[1]
RUN = "import sys; from otter.run.run_autograder import main; main(sys.argv[1], logo=False)"


class OtterFailed(Exception):
    """Otter gave no results; the text gives the reason."""


def otter_name(question: str) -> str:
    """Otter's name for a question: "1-6" is q1_6."""
    return "q" + question.replace("-", "_")


def cell(result: Result) -> str:
    """The one cell of the notebook that Otter executes: `verdicts`, by check; only what students may read."""
    verdicts = {v.id: {"status": v.status, "message": words(v, Teaching())} for v in result.checks}
    return f"import json\n\nverdicts = json.loads({json.dumps(verdicts)!r})\n"


def notebook(source: str) -> dict[str, Any]:
    """A notebook with one code cell."""
    made: dict[str, Any] = {
        "cell_type": "code",
        "id": "verdicts",
        "metadata": {},
        "execution_count": None,
        "outputs": [],
    }
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    return {
        "cells": [{**made, "source": source}],
        "metadata": kernel,
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def scores(document: Any) -> dict[str, float]:
    """The score of each test file in a results.json by Otter. Raises OtterFailed if it has no scores."""
    try:
        rows = [row for row in document["tests"] if row["name"].startswith("q") and "score" in row]
        found = {row["name"]: float(row["score"]) for row in rows}
    except (KeyError, TypeError, ValueError):
        found = {}
    if not found:
        raise OtterFailed("what it wrote holds no scores")
    return found


def through_otter(result: Result, source: Path, seconds: float) -> dict[str, float]:
    """Has Otter grade the verdicts, and returns the scores that it gives, by its test names.

    source: the folder with the upload zip's content. Raises OtterFailed.
    """
    with tempfile.TemporaryDirectory(prefix="otter-") as name:
        root = Path(name)
        for folder in ("source", "submission", "results", "home"):
            (root / folder).mkdir()
        for item in FOR_OTTER:
            path = source / item
            copy = shutil.copytree if path.is_dir() else shutil.copy
            copy(path, root / "source" / item)
        (root / "submission_metadata.json").write_text("{}")
        write_atomically(root / "verdicts.json", json.dumps(result.to_json()))
        try:
            done = subprocess.run(
                [sys.executable, "-c", RUN, str(root)],
                env=environment(root / "home", {VERDICTS: str(root / "verdicts.json")}),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=seconds,
                cwd=root,
            )
        except subprocess.TimeoutExpired:
            raise OtterFailed(f"it was not done after {seconds:.0f} s") from None
        try:
            document = json.loads((root / "results" / "results.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise OtterFailed(f"it ended with status {done.returncode}: {last}") from None
        return scores(document)


def environment(home: Path, more: dict[str, str]) -> dict[str, str]:
    """The environment of our subprocesses: this package can be imported, and nothing is written to a home folder."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("JUPYTER", "IPYTHON", "PYTHON"))}
    folders = {
        name: str(home) for name in ("HOME", "IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR")
    }
    # The connection to the kernel is secured by a key in a file that only its owner may read.
    return {**kept, **folders, "PYTHONPATH": str(PACKAGE.parent), "PYTHONDONTWRITEBYTECODE": "1", **more}
