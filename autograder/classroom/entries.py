"""A row of the gradebook, before its points are known: a student, and the submission that counts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from autograder.model.student import Student


@dataclass(frozen=True)
class Entry:
    """One row of the gradebook.

    work: the name of the submission that counts, None if there is none; earlier: the names of those that do not count.
    late: None if unknown. listed: False for someone who is not on the roster.
    kept: whether the row is one of an earlier run, because none of this run's uploads belongs to the student.
    """

    student: Student
    work: str | None
    earlier: tuple[str, ...] = ()
    late: bool | None = None
    submitted_at: datetime | None = None
    notes: tuple[str, ...] = ()
    listed: bool = True
    kept: bool = False
