"""Tables about a class's uploads: those that learning platforms put beside them, and one of files and their students.

- Moodle's grading worksheet: Identifier ("Participant 31", the number in the names of the folders), Full name, Email address, ID
  number, Last modified (submission).
- GitHub Classroom's grades: student_repository_name, github_username, roster_identifier, submission_timestamp; its roster:
  identifier, github_username.
- `--map`: file, student.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from autograder.classroom import tables
from autograder.model.student import Student
from autograder.submissions.exports import Upload
from autograder.submissions.metadata import time_of
from autograder.submissions.names import time_in_words

MOODLE = ("identifier", "fullname")
GITHUB = ("githubusername", "studentrepositoryname", "rosteridentifier", "identifier", "submissiontimestamp")
MAP = ("file", "student")


def read_map(path: Path) -> dict[str, str]:
    """The students of files, by file. Raises TableError if it is not such a table."""
    found: dict[str, str] = {}
    for row in _rows(path, MAP):
        if not {"file", "student"} <= set(row):
            raise tables.TableError(f"{path}: its first row must name the columns file and student")
        name, student = row["file"].removeprefix("./"), row["student"]
        if not name or not student:
            raise tables.TableError(
                f"{path}: the row of {name or student} has an empty cell; fill it in, or remove it"
            )
        if found.setdefault(name, student) != student:
            raise tables.TableError(
                f"{path}: {name} has two students, {found[name]} and {student}; keep one row"
            )
    if not found:
        raise tables.TableError(f"{path}: has no row below the first one")
    return found


def named(uploads: Sequence[Upload], paths: Sequence[Path], remarks: list[str]) -> list[Upload]:
    """The uploads with the students and times that tables beside them state. A table of another kind states nothing.

    remarks: receives a line for each table that cannot be read.
    """
    made = list(uploads)
    for path in paths:
        try:
            rows = _rows(path, (*MOODLE, *GITHUB))
        except tables.TableError as error:
            remarks.append(f"{error}; what it says of students and times is not used")
            continue
        if rows and set(MOODLE) <= set(rows[0]):
            by_number = {re.sub(r"\D", "", row["identifier"]): row for row in rows}
            made = [_moodle(u, by_number[u.number]) if u.number in by_number else u for u in made]
        elif rows and "githubusername" in rows[0]:
            by_name = {
                key: r for r in rows for key in (r.get("studentrepositoryname"), r["githubusername"]) if key
            }
            rows_of = [by_name.get(u.label) or by_name.get(u.number) for u in made]
            made = [_github(u, row) if row else u for u, row in zip(made, rows_of, strict=True)]
    return made


def _rows(path: Path, known: Sequence[str]) -> list[dict[str, str]]:
    table = tables.read(path, known)
    headers = [tables.header_key(name) for name in table.header]
    return [dict(zip(headers, row, strict=True)) for row in table.rows]


def _moodle(upload: Upload, row: Mapping[str, str]) -> Upload:
    if upload.layout != "moodle":
        return upload
    student = Student(row["fullname"] or upload.label, row.get("idnumber", ""), row.get("emailaddress", ""))
    when = time_in_words(row.get("lastmodifiedsubmission", ""))
    return replace(upload, students=(student,), submitted_at=when)


def _github(upload: Upload, row: Mapping[str, str]) -> Upload:
    listed = row.get("rosteridentifier") or row.get("identifier", "")
    when = time_of(row.get("submissiontimestamp", ""))
    student = Student(listed, github=row["githubusername"])
    return replace(upload, students=(student,), submitted_at=when, also=(listed,) if listed else ())
