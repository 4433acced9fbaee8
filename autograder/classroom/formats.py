"""The gradebook in the formats of other programs.

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
from collections.abc import Iterable, Sequence
from datetime import datetime

from autograder.classroom.policy import span
from autograder.classroom.rows import NO_SUBMISSION, Row, counted, has_total, possible
from autograder.classroom.settings import Settings
from autograder.classroom.tables import as_cell
from autograder.model.rubric import Question, Rubric
from autograder.model.verdicts import tidy


def total_of(row: Row, written: Sequence[Question]) -> str:
    """A student's total for another program; "" until it is final. written: the questions that totals count."""
    return points_cell(row.total) if has_total(row, written) else ""


def canvas(rows: Sequence[Row], rubric: Rubric, title: str, settings: Settings) -> str:
    """The text of canvas.csv. title: the assignment's column."""
    written = counted(rows, rubric, settings)
    table = [["Student", "ID", "SIS User ID", "SIS Login ID", "Section", as_cell(title)]]
    table.append(["    Points Possible", "", "", "", "", points_cell(possible(rows, written, settings))])
    for row in rows:
        student = row.entry.student
        first, last = student.split()
        name = student.name if "," in student.name or not (first and last) else f"{last}, {first}"
        facts = (name or student.shown, student.canvas, student.id, student.login, student.section)
        table.append([*(as_cell(text) for text in facts), total_of(row, written)])
    return as_csv(table)


def gradescope(rows: Sequence[Row], rubric: Rubric, settings: Settings) -> str:
    """The text of gradescope.csv."""
    written = counted(rows, rubric, settings)
    questions = [*rubric.auto, *written]
    front = "First Name,Last Name,SID,Email,Sections,Total Score,Max Points,Status,Submission ID,Submission Time,Lateness (H:M:S)"
    table = [[*front.split(","), *(as_cell(f"{q.id}: {q.title} ({float(q.points)} pts)") for q in questions)]]
    for row in rows:
        entry, student = row.entry, row.entry.student
        total = total_of(row, written)
        missing = row.status == NO_SUBMISSION and not row.total
        status = "Missing" if missing else "Graded" if total else "Ungraded"
        points = {**row.auto, **row.written} if status != "Missing" else {}
        table.append(
            [
                *(as_cell(text) for text in (*student.split(), student.id, student.email, student.section)),
                total if status != "Missing" else "",
                points_cell(possible(rows, written, settings)),
                status,
                as_cell(entry.work or ""),
                time_cell(entry.submitted_at),
                "" if entry.overdue is None else span(entry.overdue),
                *(points_cell(points[q.id]) if q.id in points else "" for q in questions),
            ]
        )
    return as_csv(table)


def points_cell(value: float) -> str:
    return f"{tidy(value)}"


def time_cell(when: datetime | None) -> str:
    return f"{when:%Y-%m-%d %H:%M:%S %z}" if when else ""


def as_csv(table: Iterable[Iterable[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(table)
    return text.getvalue()
