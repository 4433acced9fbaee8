"""The gradebook: `grades.csv`, one row per student, and the same grades in the formats of Canvas and Gradescope.

- `canvas.csv` can be imported into Canvas's gradebook. `lib/gradebook_importer.rb` expects the columns Student, ID, SIS User ID,
  SIS Login ID, Section, then one per assignment ("Title", or "Title (number)" for an existing one); a row "Points Possible" may
  follow; students are found by ID, SIS User ID, SIS Login ID, then name.
- `gradescope.csv` has the columns of Gradescope's own "Export Grades" (First Name, Last Name,
  SID, Email, Sections, Total Score, Max Points, Status, Submission ID, Submission Time, Lateness (H:M:S), then
  "<question>: <title> (<points> pts)"). Gradescope has no importer that we know of; scripts that read its export can read this.

Both leave a total empty until it is final: if the work is not completely graded, or if a written answer has no points while
others have theirs. Until there are any written points, both count only the automatic questions, out of their points.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from autograder.classroom import tables
from autograder.classroom.entries import Entry
from autograder.classroom.tables import as_cell
from autograder.model.rubric import Question, Rubric
from autograder.model.student import Student
from autograder.model.verdicts import Result, tidy
from autograder.submissions.intake import digest
from autograder.submissions.metadata import time_of
from autograder.support.files import write_atomically

WRITTEN = "written.csv"
NOTHING = digest({})
FRONT = ("submission", "student", "id", "email")
KEY = (*FRONT, "login")  # the columns that identify a row
END = [
    "late",
    "isolation",
    "status",
    "complete",
    "submitted",
    "duplicates",
    "notes",
    "login",
    "section",
    "canvas",
    "sha256",
]
NO_SUBMISSION = "no submission"
PENDING = "not graded yet"
PARTLY = "partly graded"  # a question is missing, has other points, or was graded on an earlier upload
FINAL = ("graded", "nothing to grade", NO_SUBMISSION)  # the statuses whose points are final


@dataclass(frozen=True)
class Row:
    """A student's grades.

    auto: points by automatic question, for those that were graded; written: by written question, for those that have points.
    """

    entry: Entry
    auto: Mapping[str, float]
    max_auto: float
    isolation: str = ""
    status: str = PENDING
    notes: tuple[str, ...] = ()
    sha256: str = ""
    written: Mapping[str, float] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, ...]:
        return row_key(self.entry.work or "", self.entry.student)

    @property
    def score(self) -> float:
        return tidy(sum(self.auto.values()))

    @property
    def total(self) -> float:
        return tidy(self.score + sum(self.written.values()))

    @property
    def final(self) -> bool:
        return self.status in FINAL


def row_key(work: str, student: Student) -> tuple[str, ...]:
    """What identifies a row (see KEY), in the form in which it is read back from grades.csv or a copy of it."""
    facts = (work, student.name, student.id, student.email, student.login)
    return tuple(tables.bare(as_cell(text)) for text in facts)


def rows_of(
    entries: Iterable[Entry],
    results: Mapping[str, Result],
    rubric: Rubric,
    written: Mapping[tuple[str, ...], Mapping[str, float]] | None = None,
    questions: Sequence[str] | None = None,
) -> list[Row]:
    """The rows of a run so far. results: by name of submission; questions: those that are graded (None: all)."""
    asked = [q for q in rubric.auto if questions is None or q.id in questions]
    ids = {q.id for q in rubric.auto}
    rows = []
    for entry in entries:
        points = counting((written or {}).get(row_key(entry.work or "", entry.student), {}), rubric)
        result = results.get(entry.work) if entry.work else None
        if result is not None:
            auto = {id: result.score_of(id) for id, _ in result.points if id in ids}
            earlier = tuple(
                f"{name}: {results[name].score:g}/{results[name].max_score:g}" if name in results else name
                for name in entry.earlier
            )
            row = Row(
                entry,
                auto,
                result.max_score,
                result.isolation,
                _status(result, asked),
                _notes(entry, result, [] if entry.kept else [f"earlier: {text}" for text in earlier]),
                result.sha256,
                points,
            )
        elif entry.work is None:
            nothing = dict.fromkeys((q.id for q in asked), 0.0)
            most = tidy(sum(q.points for q in asked))
            row = Row(entry, nothing, most, "", NO_SUBMISSION, entry.notes, "", points)
        else:
            row = Row(entry, {}, tidy(sum(q.points for q in asked)), notes=entry.notes, written=points)
        rows.append(row)
    return rows


def counting(points: Mapping[str, float], rubric: Rubric) -> dict[str, float]:
    """Those of a row's written points that are for questions of the rubric."""
    return {q.id: points[q.id] for q in rubric.written if q.id in points}


def _notes(entry: Entry, result: Result, more: Iterable[str]) -> tuple[str, ...]:
    old = [id for id, _ in result.points if result.origin(id).sha256 != result.sha256]
    more = [*more, *([f"graded on an earlier upload: {', '.join(old)}"] if old else [])]
    return tuple(dict.fromkeys((*entry.notes, *more)))


def _status(result: Result, asked: Sequence[Question]) -> str:
    """asked: the questions that a grade consists of."""
    if not result.complete:
        return "not finished"
    if result.grader_faults:
        return "fault in the grader"
    points = dict(result.points)
    mixed = any(origin.sha256 != result.sha256 for origin in result.kept.values())
    if mixed or any(points.get(q.id) != q.points for q in asked):
        return PARTLY
    return "nothing to grade" if result.sha256 == NOTHING else "graded"


def write_all(out: Path, rows: Sequence[Row], rubric: Rubric, assignment: str | None = None) -> None:
    """Writes grades.csv, canvas.csv and gradescope.csv into `out`, each completely or not at all.

    assignment: the column's name in canvas.csv; None for the assignment's title.
    """
    write_grades(out / "grades.csv", rows, rubric)
    write_atomically(out / "canvas.csv", _canvas(rows, rubric, assignment or rubric.title))
    write_atomically(out / "gradescope.csv", _gradescope(rows, rubric))


def header(rubric: Rubric) -> list[str]:
    """The columns of grades.csv."""
    questions = [q.id for q in rubric.questions]
    return [*FRONT, "score", "max_score", *questions, "total", *END]


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
                "" if pending else _points(row.score),
                _points(row.max_auto),
                *(_points(points[q.id]) if q.id in points else "" for q in rubric.questions),
                "" if pending else _points(row.total),
                _late(entry.late),
                row.isolation,
                row.status,
                "yes" if row.final else "no",
                _time(entry.submitted_at),
                as_cell("; ".join(entry.earlier)),
                as_cell("; ".join(row.notes)),
                *(as_cell(text) for text in (student.login, student.section, student.canvas)),
                row.sha256,
            ]
        )
    write_atomically(path, _csv(table))


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
        try:
            auto = {q.id: float(facts[q.id]) for q in rubric.auto if facts[q.id]}
            written = {q.id: float(facts[q.id]) for q in rubric.written if facts[q.id]}
            most = float(facts["max_score"] or 0)
        except ValueError:
            raise tables.TableError(
                f"{path}: line {number}: points that are not a number; correct them, or move the file away and grade "
                "again into this folder"
            ) from None
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
        )
        row = Row(entry, auto, most, facts["isolation"], facts["status"], notes, facts["sha256"], written)
        rows.append(row)
    return rows


def with_written(row: Row, points: Mapping[str, float]) -> Row:
    """The same row with these points for written answers."""
    return replace(row, written=dict(points))


def counted(rows: Iterable[Row], rubric: Rubric) -> tuple[Question, ...]:
    """The written questions that totals count: all of them once any row has points for one, else none."""
    return rubric.written if any(row.written for row in rows) else ()


def total_of(row: Row, written: Sequence[Question]) -> str:
    """A student's total for another program; "" until it is final."""
    if not row.final:
        return ""
    if row.status != NO_SUBMISSION and any(q.id not in row.written for q in written):
        return ""
    return _points(row.total)


def _canvas(rows: Sequence[Row], rubric: Rubric, title: str) -> str:
    written = counted(rows, rubric)
    table = [["Student", "ID", "SIS User ID", "SIS Login ID", "Section", as_cell(title)]]
    table.append(["    Points Possible", "", "", "", "", _points(_possible(rows, written))])
    for row in rows:
        student = row.entry.student
        first, last = student.split()
        name = student.name if "," in student.name or not (first and last) else f"{last}, {first}"
        facts = (name or student.shown, student.canvas, student.id, student.login, student.section)
        table.append([*(as_cell(text) for text in facts), total_of(row, written)])
    return _csv(table)


def _gradescope(rows: Sequence[Row], rubric: Rubric) -> str:
    written = counted(rows, rubric)
    questions = [*rubric.auto, *written]
    front = "First Name,Last Name,SID,Email,Sections,Total Score,Max Points,Status,Submission ID,Submission Time,Lateness (H:M:S)"
    table = [[*front.split(","), *(as_cell(f"{q.id}: {q.title} ({float(q.points)} pts)") for q in questions)]]
    for row in rows:
        entry, student = row.entry, row.entry.student
        total = total_of(row, written)
        status = "Missing" if row.status == NO_SUBMISSION else "Graded" if total else "Ungraded"
        points = {**row.auto, **row.written} if status != "Missing" else {}
        table.append(
            [
                *(as_cell(text) for text in (*student.split(), student.id, student.email, student.section)),
                total if status != "Missing" else "",
                _points(_possible(rows, written)),
                status,
                as_cell(entry.work or ""),
                _time(entry.submitted_at),
                "",
                *(_points(points[q.id]) if q.id in points else "" for q in questions),
            ]
        )
    return _csv(table)


def _possible(rows: Sequence[Row], written: Sequence[Question]) -> float:
    return tidy(max((row.max_auto for row in rows), default=0.0) + sum(q.points for q in written))


def _points(value: float) -> str:
    return f"{tidy(value)}"


def _late(late: bool | None) -> str:
    return "" if late is None else "yes" if late else "no"


def _time(when: datetime | None) -> str:
    return f"{when:%Y-%m-%d %H:%M:%S %z}" if when else ""


def _csv(table: Iterable[Iterable[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(table)
    return text.getvalue()
