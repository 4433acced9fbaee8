"""Marks for written answers, points and comments: read from a file like grades.csv, and stored with the results.

`written.csv` keeps what is merged, so that grading again, or another merge, loses nothing. Marks follow their student when the
row changes, and those of a question that the rubric no longer has stay in the file, but do not count.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from autograder.classroom import tables
from autograder.classroom.entries import FRONT, KEY, Entry, row_key
from autograder.classroom.roster import Roster
from autograder.classroom.rows import Row
from autograder.model.feedback import WrittenMark
from autograder.model.rubric import Rubric
from autograder.model.student import Student
from autograder.model.verdicts import tidy
from autograder.support.files import cell, write_atomically
from autograder.support.markup import visible

WRITTEN = "written.csv"
# Columns besides a question's points: "1-3w comment", and in written.csv "1-3w from".
COMMENT, SOURCE = "comment", "from"
NONE = "none"  # in a grader's file: points that are taken back
OWN_MARKS = "The points or comments of this group's members differ here; your course tells you yours."
MAX_COMMENT = 4000  # characters
MAX_SOURCE = 80

Key = tuple[str, ...]
Written = dict[Key, dict[str, float]]


@dataclass(frozen=True)
class Mark:
    """What one grader gave one answer.

    points: None if there are none yet; source: the file it came from; line: where in it. removed: points are taken back.
    """

    points: float | None = None
    comment: str = ""
    source: str = ""
    line: int = 0
    removed: bool = False

    def contradicts(self, other: Mark) -> bool:
        """Whether both have points, or both a comment, and it is not the same."""
        comments = self.comment and other.comment and self.comment != other.comment
        taken_back = other.removed and self.points is not None
        return differ(self.points, other.points) or bool(comments) or taken_back

    def over(self, other: Mark) -> Mark:
        """This mark, with what only the other one has."""
        points = other.points if self.points is None and not self.removed else self.points
        comment, source = self.comment or other.comment, self.source or other.source
        return Mark(points, comment, source, self.line, self.removed)


Marks = dict[Key, dict[str, Mark]]


def differ(a: float | None, b: float | None) -> bool:
    """Whether there are points on both sides, and not the same ones."""
    return a is not None and b is not None and a != b


def load(out: Path, rubric: Rubric) -> Marks:
    """The marks merged into the run in `out` so far.

    Raises tables.TableError if the file exists but is not in our format: points must not be lost silently.
    """
    path = out / WRITTEN
    if not path.exists():
        return {}
    reader, found = Reader(path, rubric, None), Marks()
    for key, question, mark in reader.marks():
        found.setdefault(key, {})[question] = mark
    if reader.problems:
        more = f" (and {len(reader.problems) - 1} more)" if len(reader.problems) > 1 else ""
        raise tables.TableError(f"{reader.problems[0]}{more}; correct the points in that file")
    return found


def store(out: Path, marks: Marks, rubric: Rubric) -> None:
    """Stores the marks with the results; those for questions that are not in the rubric too."""
    if not marks and not (out / WRITTEN).exists():
        return
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = [*(q.id for q in rubric.written), *uncounted(marks, rubric)]
    writer.writerow([*KEY, *names, *(f"{name} {what}" for name in names for what in (COMMENT, SOURCE))])
    for key, row in sorted(marks.items()):
        given = [row.get(name, Mark()) for name in names]
        writer.writerow(
            [
                *(cell(part) for part in key),
                *("" if m.points is None else tidy(m.points) for m in given),
                *(cell(visible(part)) for m in given for part in (m.comment, m.source)),
            ]
        )
    write_atomically(out / WRITTEN, text.getvalue())


def uncounted(marks: Marks, rubric: Rubric) -> dict[str, int]:
    """How many rows have a mark for each question that is not a written one of the rubric."""
    ids = {q.id for q in rubric.written}
    return dict(Counter(id for row in marks.values() for id in row if id not in ids))


def match(marks: Marks, entries: Iterable[Entry]) -> tuple[Marks, Marks]:
    """The marks by the rows that they belong to now, and those that belong to no row, or that contradict the row's own.

    A row is found by its whole key, else by id, login, email or name (see `Roster.recognise`).
    """
    rows = {row_key(e.work or "", e.student): e.student for e in entries}
    people = Roster(tuple(dict.fromkeys(rows.values())))
    found: Marks = {key: dict(row) for key, row in marks.items() if key in rows}
    left: Marks = {}
    for key, row in marks.items():
        if key in rows:
            continue
        work, name, id, email, login = key
        student = people.recognise(Student(name, id, email, login))
        keys = [k for k, other in rows.items() if student == other]
        keys = keys if len(keys) == 1 else [k for k in keys if k[0] == work]
        own = found.get(keys[0], {}) if len(keys) == 1 else {}
        if len(keys) == 1 and not any(own.get(id, Mark()).contradicts(mark) for id, mark in row.items()):
            found[keys[0]] = {**own, **{id: own.get(id, Mark()).over(mark) for id, mark in row.items()}}
        else:
            left[key] = row
    return found, left


def remarks(marks: Marks, left: Marks, rubric: Rubric) -> list[str]:
    """What to report about marks that count for nobody, one line each."""
    lines = [
        f"{WRITTEN}: {id} is not a written question of the rubric; the points of {count} row{'' if count == 1 else 's'} "
        "stay there and do not count (rename its columns to count them for another question)"
        for id, count in uncounted(marks, rubric).items()
    ]
    return lines + [
        f"{key[1] or key[0]}: has written points that match no row of the gradebook; they stay in {WRITTEN}"
        for key in left
    ]


def points_of(marks: Mapping[Key, Mapping[str, Mark]]) -> Written:
    """The points alone, of the rows that have any."""
    found = {key: {q: m.points for q, m in row.items() if m.points is not None} for key, row in marks.items()}
    return {key: row for key, row in found.items() if row}


def on_pages(marks: Marks, rows: Iterable[Row], rubric: Rubric) -> dict[str, dict[str, WrittenMark]]:
    """What students' pages show of written answers, by submission and question.

    A group shares a page, so that it shows no points and no comment that only some of its members have.
    """
    shared: dict[str, list[Mapping[str, Mark]]] = {}
    for row in rows:
        shared.setdefault(row.entry.work or "", []).append(marks.get(row.key, {}))
    return {
        work: {
            q.id: _of_all([given.get(q.id, Mark()) for given in members])
            for q in rubric.written
            if any(q.id in given for given in members)
        }
        for work, members in shared.items()
    }


def _of_all(given: Sequence[Mark]) -> WrittenMark:
    """What a page shows of an answer to which its students were given these marks."""
    found = {(mark.points, mark.comment) for mark in given}
    if len(found) > 1:
        return WrittenMark("", OWN_MARKS)
    ((points, comment),) = found
    return WrittenMark("" if points is None else f"{tidy(points):g}", comment)


def shown(key: Key) -> str:
    """A row's name, for messages."""
    return key[1] or key[0] or key[2] or key[3]


class Reader:
    """A file of marks being read. keys: the rows it may have; None for `written.csv`, which may have any, and any question.

    whole: whether it is a copy of the gradebook with all its columns. problems: one line for each cell or row that cannot be used;
    rows: those that it has. Both are complete after `marks`.
    """

    def __init__(self, path: Path, rubric: Rubric, keys: Sequence[Key] | None) -> None:
        self._path, self._keys = path, keys
        self._table = tables.read(path, tuple(map(tables.header_key, FRONT)))
        places = {tables.header_key(name): place for place, name in enumerate(self._table.header)}
        self._fronts = [places.get(tables.header_key(name)) for name in KEY]
        self._most = {q.id: q.points for q in rubric.written}
        self._ids = {q.id for q in rubric.questions}
        if keys is None:
            self._most |= dict.fromkeys(self._others(), math.inf)

        self._points, self._comments, self._sources = map(self._columns, ("", COMMENT, SOURCE))
        self.whole = {"score", "total"} <= set(self._table.header)
        self.problems: list[str] = []
        self.rows: set[Key] = set()
        if keys is not None:
            self._require_known()
        if keys is not None and not self._points and not self._comments:
            raise tables.TableError(
                f"{path}: has no column of a written question ({', '.join(q.id for q in rubric.written)});"
                " fill in a copy of grades.csv"
            )
        if all(place is None for place in self._fronts[: len(FRONT)]):
            raise tables.TableError(
                f"{path}: has no column submission, student, id or email; fill in a copy of grades.csv"
            )

    def _columns(self, what: str) -> dict[str, int]:
        """By question, its column of this kind. Raises tables.TableError where two columns could be it."""
        found: dict[str, int] = {}
        header = self._table.header
        for id in self._most:
            name = f"{id} {what}".strip()
            others = {f"{other} {what}".strip() for other in self._ids if other != id}
            # Of ids that differ only in punctuation, such as 1.2 and 12, none is read for another.
            places = [
                place
                for place, text in enumerate(header)
                if tables.header_key(text) == tables.header_key(name) and text not in others
            ]
            if len(places) > 1:
                raise tables.TableError(f"{self._path}: the column {name} is there twice; keep one of them")
            if places:
                found[id] = places[0]
        return found

    def _require_known(self) -> None:
        """Raises tables.TableError for a column that seems to be one of a written question, under another name."""
        used = {*self._points.values(), *self._comments.values(), *self._sources.values()}
        for place, name in enumerate(self._table.header):
            id = next((id for id in self._most if name.startswith(f"{id} ")), None)
            if id and place not in used:
                raise tables.TableError(
                    f"{self._path}: the column {name!r} is not read; name it {id!r} or '{id} {COMMENT}', or remove it"
                )

    def _others(self) -> list[str]:
        """The questions of the file that are not in the rubric."""
        known = {*self._most, "", *(n for n in self._table.header if tables.header_key(n) in KEY)}
        ids = [re.sub(f" ({COMMENT}|{SOURCE})$", "", name) for name in self._table.header]
        return [id for id in dict.fromkeys(ids) if id not in known]

    def marks(self) -> Iterator[tuple[Key, str, Mark]]:
        """Row, question and mark of each answer that has points or a comment."""
        lines: dict[Key, int] = {}
        for number, row in zip(self._table.numbers, self._table.rows, strict=True):
            facts = tuple(row[place] if place is not None else "" for place in self._fronts)
            key, why = (facts, "") if self._keys is None else _row_of(facts, self._keys)
            where = f"{self._path}: line {number}"
            if key is None:
                self.problems.append(f"{where}: {' '.join(filter(None, facts)) or 'no name'} {why}")
            elif key in lines:
                self.problems.append(
                    f"{where}: {shown(key)} is already in line {lines[key]}; keep one of them"
                )
            else:
                lines[key] = number
                self.rows.add(key)
                for question, most in self._most.items():
                    mark = self._mark(row, number, question, most, f"{where}: {shown(key)}")
                    if mark:
                        yield key, question, mark

    def _mark(self, row: Sequence[str], number: int, question: str, most: float, where: str) -> Mark | None:
        def text(columns: Mapping[str, int]) -> str:
            return row[columns[question]] if question in columns else ""

        written, comment = text(self._points), visible(text(self._comments))
        removed = written.casefold() == NONE and self._keys is not None
        if removed:
            written = ""
        if not written and not comment and not removed:
            return None
        points = tables.number(written) if written else None
        if written and (points is None or not 0 <= points <= most):
            limits = f"from 0 to {most:g}" if math.isfinite(most) else "from 0 up"
            self.problems.append(f"{where}, {question}: {written[:40]!r} is not a number {limits}")
            return None
        if (
            len(comment) > MAX_COMMENT and self._keys is not None
        ):  # those of several graders are kept together
            self.problems.append(
                f"{where}, {question}: the comment has more than {MAX_COMMENT:,} characters; shorten it"
            )
            return None
        # What written.csv has from before there was a column for it came from no file that is known.
        source = text(self._sources) or (self._path.name if self._keys is not None else "")
        return Mark(points, comment, source[:MAX_SOURCE], number, removed)


def _row_of(facts: Key, keys: Sequence[Key]) -> tuple[Key | None, str]:
    """The run's row that the file's facts identify; every fact that is there must agree with the row."""
    if facts in keys:
        return facts, ""
    # A copy may lack columns, and a spreadsheet may have removed leading zeros.
    fitting = [
        key
        for key in keys
        if any(facts) and all(not f or _same(f, k) for f, k in zip(facts, key, strict=True))
    ]
    if len(fitting) == 1:
        return fitting[0], ""
    several = "matches several rows of grades.csv; keep the column submission"
    return None, several if fitting else "is not a row of grades.csv"


def _same(fact: str, own: str) -> bool:
    def form(text: str) -> str:
        return text.lstrip("0") if text.isdigit() else " ".join(text.split()).casefold()

    return form(own) in (form(fact), form(_as_utf8(fact)))


def _as_utf8(text: str) -> str:
    """The text of a UTF-8 file that a spreadsheet has read as Windows-1252."""
    try:
        return text.encode("cp1252").decode("utf-8")
    except UnicodeError:
        return text
