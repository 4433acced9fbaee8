"""Adjustments of points by hand: adjustments.csv, with the columns student, question, points, comment and who.

A number sets a question's points; +n (or "add n") and -n change them. They are applied after the checks and the settings, in the
file's order. The run's folder keeps the file, rows that cannot be used included, so that later runs apply it too.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from autograder.classroom import tables
from autograder.classroom.entries import Entry
from autograder.classroom.roster import Roster
from autograder.classroom.tables import Table
from autograder.model.rubric import Rubric
from autograder.model.verdicts import tidy
from autograder.support.files import cell, write_atomically
from autograder.support.markup import visible

FILE = "adjustments.csv"
COLUMNS = ("student", "question", "points", "comment", "who")
REQUIRED = COLUMNS[:3]

Key = tuple[str, ...]


@dataclass(frozen=True)
class Adjustment:
    """One row. change: whether `points` are added (or, below 0, taken off), and not set. where: the file and line."""

    student: str
    question: str
    points: float
    change: bool
    comment: str = ""
    who: str = ""
    where: str = ""

    def applied(self, points: float | None, most: float) -> float | None:
        """The points after it, from 0 to `most`. points: None while there are none yet; a change then waits."""
        if self.change and points is None:
            return None
        return tidy(
            min(
                max(most, points or 0.0),
                max(0.0, (points or 0.0) + self.points if self.change else self.points),
            )
        )

    @property
    def shown(self) -> str:
        return f"{self.points:+g}" if self.change else f"{self.points:g}"

    @property
    def reason(self) -> str:
        """Who made it and why, in parentheses; "" if the row does not say."""
        text = ": ".join(filter(None, (self.who, self.comment)))
        return f" ({text})" if text else ""


Adjustments = dict[Key, tuple[Adjustment, ...]]


def read(path: Path, rubric: Rubric) -> tuple[list[Adjustment], list[str], Table]:
    """The rows that can be used, one line for each that cannot, and the whole table. Raises tables.TableError."""
    table = tables.read(path, COLUMNS)
    header = [tables.header_key(name) for name in table.header]
    if lacking := [name for name in REQUIRED if name not in header]:
        raise tables.TableError(
            f"{path}: has no column {' or '.join(lacking)}; its first row must name {', '.join(COLUMNS)}"
        )
    most = {q.id: q.points for q in rubric.questions}
    found, remarks = [], list(table.remarks)
    for number, cells in zip(table.numbers, table.rows, strict=True):
        facts = dict(zip(header, cells, strict=True))
        student, question, text = (facts[name] for name in REQUIRED)
        where, left = f"{path}: line {number}", "this row does not count"
        sign, digits = _parts(text)
        points = tables.number(digits)
        if question not in most:
            remarks.append(f"{where}: there is no question {question!r}; it can be {', '.join(most)}; {left}")
        elif points is None or points > most[question]:
            limits = (
                f"a number from 0 to {most[question]:g}, or such a number to add (add 1) or take off (-1)"
            )
            remarks.append(f"{where}: {student}, {question}: {text[:40]!r} is not {limits}; {left}")
        else:
            value = -points if sign == "-" else points
            comment, who = (visible(facts.get(name, "")) for name in COLUMNS[3:])
            found.append(Adjustment(student, question, value, bool(sign), comment, who, where))
    return found, remarks, table


def _parts(text: str) -> tuple[str, str]:
    """The sign of a change and its number. Spreadsheets drop the sign of +1, so that it can be written as "add 1", too."""
    if added := re.fullmatch(r"add\s+\+?(\S+)", text, re.IGNORECASE):
        return "+", added[1]
    if text[:1] in ("+", "-", "\N{MINUS SIGN}"):
        return "+" if text[0] == "+" else "-", text[1:]
    return "", text


def match(rows: Iterable[Adjustment], entries: Sequence[Entry]) -> tuple[Adjustments, list[str]]:
    """The adjustments by the key of the row they belong to, and one line for each that belongs to none.

    A student is an id, email, login or name, or the name of a submission.
    """
    people = Roster(tuple(dict.fromkeys(e.student for e in entries)))
    made: Adjustments = {}
    remarks: list[str] = []
    for row in rows:
        match = people.find_text(row.student)
        fitting = [e for e in entries if e.student == match.student] or [
            e for e in entries if e.work == row.student
        ]
        if len(fitting) != 1 and row.student.isdigit():  # a spreadsheet may have removed leading zeros
            bare = row.student.lstrip("0")
            fitting = fitting or [
                e for e in entries if e.student.id.isdigit() and e.student.id.lstrip("0") == bare
            ]
        if len(fitting) != 1:
            why = (
                "matches several rows"
                if fitting
                else match.why.replace("is not on the roster", "matches no row")
            )
            remarks.append(
                f"{row.where}: {row.student or 'no student'} {why}; this row stays in the file and does not count"
            )
            continue
        before = made.get(fitting[0].key, ())
        if not row.change and any(b.question == row.question for b in before):
            remarks.append(
                f"{row.where}: sets the points of {row.student}, {row.question}, which an earlier row adjusts; this row counts"
            )
        made[fitting[0].key] = (*before, row)
    return made, remarks


@dataclass(frozen=True)
class Chosen:
    """The adjustments of a run, what to report, and the table to keep in its folder (None: it is there already)."""

    rows: tuple[Adjustment, ...] = ()
    remarks: tuple[str, ...] = ()
    table: Table | None = None

    def keep(self, out: Path) -> None:
        if self.table is not None:
            write_atomically(out / FILE, _csv(self.table))


def of_run(out: Path, given: Path | None, rubric: Rubric) -> Chosen:
    """The adjustments of a run in `out`: those in the file `given`, else those of its earlier runs. Raises tables.TableError."""
    kept = out / FILE
    if given is None or (kept.is_file() and given.resolve() == kept.resolve()):
        rows, remarks, _ = read(kept, rubric) if kept.is_file() else ([], [], None)
        return Chosen(tuple(rows), tuple(remarks))
    rows, remarks, table = read(given, rubric)
    if kept.is_file():
        now = Counter((a.student, a.question, a.shown) for a in rows)
        for a in read(kept, rubric)[0]:
            now[a.student, a.question, a.shown] -= 1
            if now[a.student, a.question, a.shown] < 0:
                remarks.append(
                    f"{a.where}: {a.student}, {a.question}: {a.shown} is not in {given} and does not count any more"
                )
    return Chosen(tuple(rows), tuple(remarks), table)


def _csv(table: Table) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([[cell(text) for text in row] for row in (table.header, *table.rows)])
    return text.getvalue()
