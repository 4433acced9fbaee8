"""What a run's folder holds from earlier runs: the results, the rows of its gradebook, and its manifest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from autograder.classroom import gradebook, manifest, stored
from autograder.classroom.collect import Entry
from autograder.classroom.errors import ClassroomError
from autograder.classroom.manifest import Manifest
from autograder.grading.options import course_secret
from autograder.model.assignment import Assignment
from autograder.model.rubric import Rubric
from autograder.model.verdicts import Result

GRADES = "grades.csv"


@dataclass(frozen=True)
class Folder:
    """The content of a run's folder.

    results: by name of submission; entries: the rows of grades.csv. remarks: one line for each file that is no result.
    """

    results: dict[str, Result]
    entries: tuple[Entry, ...]
    manifest: Manifest | None
    remarks: tuple[str, ...] = ()


def read(out: Path, subject: Assignment) -> Folder:
    """What the folder `out` holds; nothing, if there is no such folder. Raises ClassroomError when a file is damaged."""
    results, remarks = stored.results_in(out)
    made = manifest.read(out) or manifest.adopted(results, subject, course_secret())
    return Folder(results, tuple(_entries(out, subject.rubric)), made, tuple(remarks))


def require_same(out: Path, held: Folder, subject: Assignment, force: bool) -> list[str]:
    """Lines about what is different from an earlier run in this folder. Raises ClassroomError unless that is forced."""
    found = held.manifest.differences(subject, course_secret()) if held.manifest else []
    if not found:
        return []
    line = f"{out}: holds results of another run: {'; '.join(found)}"
    if not force:
        raise ClassroomError(f"{line}; use another --out, or --force to mix them")
    return [f"{line}; they are mixed, as --force asks"]


def _entries(out: Path, rubric: Rubric) -> list[Entry]:
    path = out / GRADES
    return [row.entry for row in gradebook.read(path, rubric)] if path.exists() else []
