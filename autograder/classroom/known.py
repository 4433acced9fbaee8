"""Grading into a folder with earlier results: who of them is who in this run, and which rows stay as they are."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import fields, replace
from datetime import datetime

from autograder.classroom.entries import Entry
from autograder.classroom.roster import Roster, identified
from autograder.classroom.tables import as_cell, bare
from autograder.model.student import Student

UNLISTED = "not on the roster"


class Known:
    """The rows of an earlier run, and the student of this run that each belongs to."""

    def __init__(self, earlier: Sequence[Entry], graded: Collection[str] = ()) -> None:
        """graded: the names of the submissions with a result."""
        self._earlier, self._graded = earlier, graded
        self._people = Roster(tuple(e.student for e in earlier if identified(e.student)))
        self.rows: list[tuple[Entry, Student]] = []
        self._owners: dict[str, set[Student]] = {}  # by the name of a submission

    def student(self, claimed: Student) -> Student:
        """The student of the earlier run, when only a name is claimed and it is the name, id or login of one of them."""
        return claimed if identified(claimed) else self._people.find_text(claimed.name).student or claimed

    def match(self, students: Sequence[Student]) -> None:
        """Finds out who of this run's students each earlier row belongs to."""
        people = Roster(tuple(s for s in students if identified(s)))
        for entry in self._earlier:
            old = entry.student
            now = people.recognise(old) if identified(old) else people.find_text(old.name).student
            self.rows.append((entry, now or old))
        for entry, student in self.rows:
            for name in (entry.work, *entry.earlier):
                if name:
                    self._owners.setdefault(name, set()).add(_comparable(student))

    def names(self, students: Sequence[Student]) -> tuple[str | None, set[str]]:
        """The name of these students' own earlier submission (None if there is none), and the names that others have."""
        ours = {_comparable(s) for s in students}
        own = self.own(students)
        others = {name for name, them in self._owners.items() if them != ours}
        return (own[0] if len(own) == 1 else None), others

    def own(self, students: Sequence[Student]) -> list[str]:
        """The names of the earlier submissions that belong to these students, as far as is known: namesakes have several."""
        ours = {_comparable(s) for s in students}
        works = {entry.work for entry, _ in self.rows}
        return [name for name, them in self._owners.items() if name in works and them == ours]

    def submitted(self, student: Student) -> datetime | None:
        """When the student's earlier submission that counts was handed in, if that is known."""
        ours = _comparable(student)
        times = [
            e.submitted_at
            for e, s in self.rows
            if e.work in self._graded and identified(s) and _comparable(s) == ours
        ]
        return times[0] if len(times) == 1 else None

    def row(self, work: str) -> Entry | None:
        """The first row of the earlier run with this submission."""
        return next((entry for entry, _ in self.rows if entry.work == work), None)

    def filled(self, students: Sequence[Student]) -> dict[Student, Student]:
        """Each student, with what only the earlier run knew of them."""
        earlier = {now: entry.student for entry, now in reversed(self.rows)}
        return {student: _filled(student, earlier.get(student, student)) for student in students}

    def complete(self, entries: list[Entry], roster: bool) -> list[Entry]:
        """The entries of this run, with the earlier rows that stay; without a roster all rows keep their places."""
        made, places = list(entries), []
        for entry, student in self.rows:
            place = next((i for i, e in enumerate(made) if _same(e, entry, student)), None)
            if place is None:
                if entry.work or not roster:
                    notes = tuple(dict.fromkeys((*entry.notes, *([UNLISTED] if roster else []))))
                    places.append(len(made))
                    made.append(replace(entry, kept=True, listed=not roster, notes=notes))
                continue
            places.append(place)
            now = made[place]
            if now.work is None and entry.work:
                notes = tuple(note for note in entry.notes if note != UNLISTED)
                made[place] = replace(entry, student=now.student, kept=True, notes=notes)
            elif now.work is not None and entry.work in self._graded and _later(entry, now):
                # This run has a group's upload that came before.
                names = tuple(dict.fromkeys((*entry.earlier, now.work)))
                notes = tuple(note for note in entry.notes if note != UNLISTED)
                made[place] = replace(entry, student=now.student, earlier=names, kept=True, notes=notes)
            elif now.work is not None:
                others = (*now.earlier, *entry.earlier, entry.work or "")
                names = tuple(name for name in dict.fromkeys(others) if name and name != now.work)
                who = now.student if roster else _filled(now.student, entry.student)
                made[place] = replace(now, earlier=names, student=who)
        if roster:
            return made
        return [made[place] for place in dict.fromkeys([*places, *range(len(made))])]


def orphans(entries: Sequence[Entry], results: Sequence[str]) -> list[Entry]:
    """Entries for results that no entry mentions: those of a run that was killed before it wrote its gradebook."""
    known = {name for entry in entries for name in (entry.work, *entry.earlier)}
    return [Entry(Student(name), name, kept=True) for name in results if name not in known]


def _comparable(student: Student) -> Student:
    """A student as they are read back from a gradebook, by what identifies them."""
    if identified(student):
        return replace(student, first="", last="")
    return Student(bare(as_cell(student.name)))


def _same(now: Entry, earlier: Entry, student: Student) -> bool:
    if identified(student):
        return _comparable(now.student) == _comparable(student)
    return now.work is not None and now.work == earlier.work


def _later(earlier: Entry, now: Entry) -> bool:
    """Whether an earlier run's submission, which is another one, was handed in after this run's."""
    times = (earlier.submitted_at, now.submitted_at)
    return bool(earlier.work and earlier.work != now.work and times[0] and times[1] and times[0] > times[1])


def _filled(student: Student, earlier: Student) -> Student:
    """The student, with what only the earlier run knew of them."""
    names = [f.name for f in fields(Student) if f.name not in ("first", "last")]
    return replace(student, **{n: getattr(earlier, n) for n in names if not getattr(student, n)})
