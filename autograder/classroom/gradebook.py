"""The gradebook: `grades.csv`, one row per student, and the same grades for other programs (see `formats`)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from autograder.classroom import formats, tables
from autograder.classroom.entries import FRONT, Entry
from autograder.classroom.formats import as_csv, points_cell, time_cell
from autograder.classroom.rows import PENDING, Row
from autograder.classroom.settings import Settings
from autograder.classroom.tables import as_cell
from autograder.model.rubric import Rubric
from autograder.model.student import Student
from autograder.model.verdicts import tidy
from autograder.submissions.metadata import time_of
from autograder.support.files import write_atomically

END = [
    "late",
    "isolation",
    "status",
    "complete",
    "submitted",
    "due",
    "duplicates",
    "notes",
    "login",
    "section",
    "canvas",
    "sha256",
]


def write_all(
    out: Path,
    rows: Sequence[Row],
    rubric: Rubric,
    assignment: str | None = None,
    settings: Settings = Settings(),  # noqa: B008 (it is immutable)
) -> None:
    """Writes grades.csv, canvas.csv and gradescope.csv into `out`, each completely or not at all.

    assignment: the column's name in canvas.csv; None for the assignment's title.
    """
    write_grades(out / "grades.csv", rows, rubric)
    write_atomically(out / "canvas.csv", formats.canvas(rows, rubric, assignment or rubric.title, settings))
    write_atomically(out / "gradescope.csv", formats.gradescope(rows, rubric, settings))


def header(rubric: Rubric) -> list[str]:
    """The columns of grades.csv."""
    questions = [q.id for q in rubric.questions]
    return [*FRONT, "score", "max_score", *questions, "late_deduction", "total", *END]


def write_grades(path: Path, rows: Iterable[Row], rubric: Rubric) -> None:
    """One row per student, one column per question. Written questions have points once they are merged."""
    table = [header(rubric)]
    for row in rows:
        entry, student = row.entry, row.entry.student
        points = {**row.auto, **row.written}
        pending = row.status == PENDING
        table.append(
            [
                *(as_cell(text) for text in (entry.work or "", student.name, student.id, student.email)),
                "" if pending else points_cell(row.score),
                points_cell(row.max_auto),
                *(points_cell(points[q.id]) if q.id in points else "" for q in rubric.questions),
                points_cell(row.deduction) if row.deduction else "",
                "" if pending else points_cell(row.total),
                _late(entry.late),
                row.isolation,
                row.status,
                "yes" if row.final else "no",
                time_cell(entry.submitted_at),
                time_cell(entry.due),
                as_cell("; ".join(entry.earlier)),
                as_cell("; ".join(row.notes)),
                *(as_cell(text) for text in (student.login, student.section, student.canvas)),
                row.sha256,
            ]
        )
    write_atomically(path, as_csv(table))


def read(path: Path, rubric: Rubric) -> list[Row]:
    """The rows of a run's grades.csv. Columns that it lacks count as empty: it may be of another version, or another rubric.

    Raises tables.TableError if it is no gradebook.
    """
    table = tables.read(path, tuple(map(tables.header_key, FRONT)))
    columns = header(rubric)
    if not set(FRONT) <= set(table.header):
        raise tables.TableError(
            f"{path}: not a gradebook that grade wrote (it needs the columns {', '.join(FRONT)}); "
            "move it away and grade again into this folder"
        )
    rows = []
    for number, cells in zip(table.numbers, table.rows, strict=True):
        facts = {**dict.fromkeys(columns, ""), **dict(zip(table.header, cells, strict=True))}
        points = {}
        for name in (*(q.id for q in rubric.questions), "max_score", "late_deduction", "total"):
            if facts[name]:
                value = points[name] = _number(facts[name])
                if math.isnan(value):
                    raise tables.TableError(
                        f"{path}: line {number}: {name} is {facts[name][:40]!r}, which is not a number; correct it, or move the"
                        " file away and grade again into this folder"
                    )
        auto = {q.id: points[q.id] for q in rubric.auto if q.id in points}
        written = {q.id: points[q.id] for q in rubric.written if q.id in points}
        most, deduction, total = (points.get(name, 0.0) for name in ("max_score", "late_deduction", "total"))
        student = Student(
            facts["student"], facts["id"], facts["email"], facts["login"], facts["section"], facts["canvas"]
        )
        notes = tuple(filter(None, facts["notes"].split("; ")))
        entry = Entry(
            student,
            facts["submission"] or None,
            tuple(filter(None, facts["duplicates"].split("; "))),
            {"yes": True, "no": False}.get(facts["late"]),
            time_of(facts["submitted"]),
            notes,
            due=time_of(facts["due"]),
        )
        facts_of_run = (facts["isolation"], facts["status"], notes, facts["sha256"])
        row = Row(entry, auto, most, *facts_of_run, written, deduction)
        rows.append(replace(row, beyond=tidy(row.total - total) if facts["total"] else 0.0))
    return rows


def _number(text: str) -> float:
    """Points as they are written or as a spreadsheet has saved them; NaN for anything else."""
    found = tables.number(text.removeprefix("-"))
    return math.nan if found is None else -found if text.startswith("-") else found


def _late(late: bool | None) -> str:
    return "" if late is None else "yes" if late else "no"
