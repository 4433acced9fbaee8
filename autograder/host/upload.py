"""Finding the submission in what was uploaded: modules, folders, a zip in a folder, or nothing at all."""

from __future__ import annotations

import os
from pathlib import Path

from autograder import intake
from autograder.rubric import Rubric

ZIPS = 20  # archives that are looked into
DEPTH = 4


def submission_in(folder: Path, rubric: Rubric, name: str) -> intake.Submission:
    """The submission in an upload folder. Never raises: what cannot be read is graded as nothing, and a note says why."""
    try:
        found = intake.read(folder, rubric, name)
    except intake.UnusableSubmission as error:
        return intake.empty(name, str(error))
    if any(found.has(module) for module in rubric.modules):
        return found
    notes: list[str] = []
    best: intake.Submission | None = None
    for path in _zips(folder):
        try:
            inner = intake.read(path, rubric, name)
        except intake.UnusableSubmission as error:
            notes.append(str(error).replace(str(folder), "").lstrip("/"))
            continue
        if best is None or _modules(inner, rubric) > _modules(best, rubric):
            best = inner
    if best is not None and _modules(best, rubric):
        return best
    if not any(folder.iterdir()):
        notes.append("The upload is empty; send your modules, or the zip that `make submit` makes.")
    return intake.Submission(name, found.files, found.sha256, (*found.notes, *notes))


def _modules(submission: intake.Submission, rubric: Rubric) -> int:
    return sum(submission.has(module) for module in rubric.modules)


def _zips(folder: Path) -> list[Path]:
    """Archives in the upload, nearest first; never through a link."""
    found: list[Path] = []
    for place, folders, names in os.walk(folder):
        depth = len(Path(place).relative_to(folder).parts)
        folders[:] = sorted(f for f in folders if f not in intake.SKIPPED and not f.startswith("."))
        if depth >= DEPTH:
            folders.clear()
        for name in sorted(names):
            path = Path(place, name)
            if name.lower().endswith(".zip") and not name.startswith(".") and not path.is_symlink():
                found.append(path)
    found.sort(key=lambda p: len(p.parts))
    return found[:ZIPS]
