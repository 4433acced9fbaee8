"""Due times, and students' extensions of them: from the roster's column Extension, or a table that the settings name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

from autograder.classroom import tables
from autograder.classroom.errors import ClassroomError
from autograder.classroom.roster import Roster
from autograder.model.student import Student
from autograder.submissions.metadata import written_time

COLUMNS = ("student", "extension")
LAST_YEAR = 9000  # of due times, which leaves room for extensions


@dataclass(frozen=True)
class Extension:
    """A row of the table of extensions. extension: days, or a due time, as written; where: the file and line."""

    student: str
    extension: str
    where: str


@dataclass(frozen=True)
class Deadlines:
    """The due time of the class, and extensions of it: by student of the roster, and those of the table, which come first.

    roster: the extensions of rosters. grace: this much later is in time.
    before: the class's due time in an earlier run that kept no extensions, so that students' own due times in its rows hold; None
    otherwise.
    """

    due: datetime | None = None
    roster: Sequence[tuple[Student, str]] = ()
    table: Sequence[Extension] = ()
    grace: timedelta = timedelta()
    before: datetime | None = None

    def holds(self, earlier: datetime, now: datetime | None) -> bool:
        """Whether the due time that a student had in an earlier run comes before the one of this run."""
        return now is None or (self.before is not None and earlier != self.before and earlier > now)

    def of(self, students: Iterable[Student], remarks: list[str]) -> dict[Student, datetime]:
        """The due times of these students, where they have one.

        remarks: receives one line for each extension that does not count.
        """
        everyone = tuple(dict.fromkeys(students))
        people = Roster(everyone)
        found: dict[Student, tuple[str, str]] = {}
        for known, text in self.roster:
            student = known if known in everyone else people.recognise(known)
            if student is not None:
                found[student] = (text, f"{student.shown}: the roster's extension")
        listed: dict[Student, str] = {}
        for row in self.table:
            match = people.find_text(row.student)
            if match.student is None:
                remarks.append(f"{row.where}: {row.student} {match.why}; this extension does not count")
            else:
                if match.student in listed:
                    remarks.append(
                        f"{row.where}: {row.student} has another row, {listed[match.student]}; the later row counts"
                    )
                listed[match.student] = row.where
                found[match.student] = (row.extension, f"{row.where}: {row.student}: the extension")
        dues = dict.fromkeys(everyone, self.due) if self.due else {}
        for student, (text, where) in found.items():
            try:
                dues[student] = extended(text, self.due)
            except ClassroomError as error:
                remarks.append(f"{where} {error}")
        return dues


def extended(text: str, due: datetime | None) -> datetime:
    """A due time with an extension: "2", "2 days", or a due time. Raises ClassroomError, with the end of a sentence.

    Days are counted on this machine's clock, so that a change to summer time does not move the hour.
    """
    if days := re.fullmatch(r"\+?(\d{1,3})(?: ?days?)?", text.strip()):
        if due is None:
            raise ClassroomError(f"of {text!r} needs a due time; give one with --due or in the settings")
        local = due.astimezone().replace(tzinfo=None)
        return (local + timedelta(days=int(days[1]))).astimezone(timezone.utc)
    try:
        return due_time(text)
    except ClassroomError:
        raise ClassroomError(
            f"is {text!r}; it can be days, such as 2, or a time, such as 2026-03-03T23:59"
        ) from None


def read(path: Path) -> tuple[list[Extension], list[str]]:
    """The table of extensions, and one line for each problem with it. Raises tables.TableError."""
    table = tables.read(path, COLUMNS)
    header = [tables.header_key(name) for name in table.header]
    if not set(COLUMNS) <= set(header):
        raise tables.TableError(f"{path}: its first row must name the columns {' and '.join(COLUMNS)}")
    rows = zip(table.numbers, table.rows, strict=True)
    student, extension = (header.index(name) for name in COLUMNS)
    found = [Extension(r[student], r[extension], f"{path}: line {number}") for number, r in rows]
    return [row for row in found if row.student and row.extension], list(table.remarks)


def due_time(text: str) -> datetime:
    """A due time from the command line, ISO 8601; without a time zone, this machine's; a date alone means its last second.

    Raises ClassroomError, which says how to write it.
    """
    try:
        when = written_time(text)
        if when is not None and when.year <= LAST_YEAR:
            if not re.search(r"\d(?:[Tt]|\s+)\d", text.strip()):
                when += timedelta(days=1, seconds=-1)
            return when.astimezone(timezone.utc)
    except (OverflowError, OSError, ValueError):
        when = None
    if when is not None:
        raise ClassroomError(f"{text!r} is after the year {LAST_YEAR}; give an earlier time, or none")
    raise ClassroomError(
        f"{text!r} is not a time; write it as 2026-03-01, 2026-03-01T23:59 or 2026-03-01T23:59+01:00"
    )
