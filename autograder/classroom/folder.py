"""What a run's folder holds from earlier runs: the results, the rows of its gradebook, and its manifest."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from autograder.classroom import gradebook, manifest, stored
from autograder.classroom.collect import Entry
from autograder.classroom.entries import KEY
from autograder.classroom.errors import ClassroomError
from autograder.classroom.formats import as_csv, points_cell
from autograder.classroom.manifest import Manifest
from autograder.classroom.rows import Row
from autograder.grading.options import course_secret
from autograder.model.assignment import Assignment
from autograder.model.rubric import Rubric
from autograder.model.verdicts import Result
from autograder.support.files import cell, write_atomically

GRADES = "grades.csv"


@dataclass(frozen=True)
class Folder:
    """The content of a run's folder.

    results: by name of submission; rows: those of grades.csv. remarks: one line for each file that is no result.
    """

    results: dict[str, Result]
    rows: tuple[Row, ...]
    manifest: Manifest | None
    remarks: tuple[str, ...] = ()

    @property
    def entries(self) -> list[Entry]:
        return [row.entry for row in self.rows]


def read(out: Path, subject: Assignment) -> Folder:
    """What the folder `out` holds; nothing, if there is no such folder. Raises ClassroomError when a file is damaged."""
    results, remarks = stored.results_in(out)
    made = manifest.read(out) or manifest.adopted(results, subject, course_secret())
    path = out / GRADES
    rows = gradebook.read(path, subject.rubric) if path.exists() else []
    return Folder(results, tuple(rows), made, tuple(remarks))


def require_same(out: Path, held: Folder, subject: Assignment, force: bool) -> list[str]:
    """Lines about what is different from an earlier run in this folder. Raises ClassroomError unless that is forced."""
    found = held.manifest.differences(subject, course_secret()) if held.manifest else []
    if not found:
        return []
    line = f"{out}: holds results of another run: {'; '.join(found)}"
    if not force:
        raise ClassroomError(f"{line}; use another --out, or --force to mix them")
    return [f"{line}; they are mixed, as --force asks"]


def keep_unmerged(out: Path, rows: Iterable[Row], counted: Iterable[Row], rubric: Rubric) -> list[str]:
    """Keeps written points that were typed into grades.csv in a file that can be merged, and returns a line that says so.

    rows: those of grades.csv. counted: the same ones, with the points that marks and rules give. Raises ClassroomError.
    """
    ids = [q.id for q in rubric.written]
    table, named = [[*KEY, *ids]], []
    for row, own in zip(rows, counted, strict=True):
        typed = {id: points for id, points in row.written.items() if own.written.get(id) != points}
        if typed:
            table.append(
                [
                    *(cell(part) for part in row.key),
                    *(points_cell(typed[id]) if id in typed else "" for id in ids),
                ]
            )
            named += [f"{row.entry.student.shown}, {id}" for id in typed]
    if not named:
        return []
    data = as_csv(table).encode()
    copy = next(
        place
        for number in itertools.count(1)
        if not (place := out / f"grades-typed-{number}.csv").exists() or place.read_bytes() == data
    )
    try:
        write_atomically(copy, data)
    except OSError as error:
        raise ClassroomError(f"{copy}: cannot be written ({error.strerror})") from None
    more = f" and {len(named) - 3} more" if len(named) > 3 else ""
    return [
        f"{out / GRADES}: has written points that differ from what is merged and adjusted ({'; '.join(named[:3])}{more}); they are"
        f" kept in {copy.name}: merge it if they were typed in by hand"
    ]
