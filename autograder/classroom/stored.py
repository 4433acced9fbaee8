"""The results that a run's folder holds."""

from __future__ import annotations

import json
from pathlib import Path

from autograder.classroom import manifest
from autograder.model.verdicts import Result


def results_in(folder: Path) -> tuple[dict[str, Result], list[str]]:
    """The results in a folder, by name of submission, and one line for each file that is not a result."""
    results: dict[str, Result] = {}
    remarks: list[str] = []
    for path in sorted(folder.glob("*.json")):
        if path.name == manifest.NAME or path.name.startswith("."):
            continue
        try:
            result = Result.from_json(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, RecursionError):
            remarks.append(f"{path}: not a grading result; it is left out")
            continue
        results[result.submission] = result
    return results, remarks
