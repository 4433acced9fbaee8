"""A row of the gradebook, before its points are known: a student, and the submission that counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from autograder.classroom import tables
from autograder.classroom.tables import as_cell
from autograder.model.student import Student

FRONT = ("submission", "student", "id", "email")
KEY = (*FRONT, "login")  # the columns that identify a row
LATE = "handed in late"


@dataclass(frozen=True)
class Entry:
    """One row of the gradebook.

    work: the name of the submission that counts, None if there is none; earlier: the names of those that do not count.
    late: None if unknown. listed: False for someone who is not on the roster.
    kept: whether the row is one of an earlier run, because none of this run's uploads belongs to the student.
    due: the student's own due time, with their extension; None if unknown.
    """

    student: Student
    work: str | None
    earlier: tuple[str, ...] = ()
    late: bool | None = None
    submitted_at: datetime | None = None
    notes: tuple[str, ...] = ()
    listed: bool = True
    kept: bool = False
    due: datetime | None = None

    @property
    def key(self) -> tuple[str, ...]:
        return row_key(self.work or "", self.student)

    @property
    def overdue(self) -> timedelta | None:
        """How long after the due time it was handed in (0 for in time); None if that is unknown."""
        if self.work is None or self.due is None or self.submitted_at is None:
            return None
        return max(self.submitted_at - self.due, timedelta())

    def with_due(self, dues: Mapping[Student, datetime], grace: timedelta) -> Entry:
        """The entry with its student's due time, if there is one, and with what follows from it. grace: see `Deadlines`."""
        made = replace(self, due=dues.get(self.student, self.due))
        if made.overdue is None:
            return made
        late = made.overdue > grace
        notes = made.notes if late else tuple(n for n in made.notes if n != LATE)
        return replace(made, late=late, notes=tuple(dict.fromkeys((*notes, *([LATE] if late else [])))))


def row_key(work: str, student: Student) -> tuple[str, ...]:
    """What identifies a row (see KEY), in the form in which it is read back from grades.csv or a copy of it."""
    facts = (work, student.name, student.id, student.email, student.login)
    return tuple(tables.bare(as_cell(text)) for text in facts)
