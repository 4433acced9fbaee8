"""Points for written answers: read from a filled-in copy of grades.csv, checked, and stored with the results.

Only the columns of written questions are read from a copy; for everything else the run's own grades.csv is authoritative.
Merged points are stored in `written.csv`, so that grading again, or another merge, loses nothing. An empty cell changes
nothing, so graders can share the work and merge their copies one after another.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from autograder.classroom import tables
from autograder.classroom.entries import Entry
from autograder.classroom.gradebook import FRONT, KEY, WRITTEN, row_key
from autograder.classroom.roster import Roster
from autograder.model.rubric import Rubric
from autograder.model.student import Student
from autograder.model.verdicts import tidy
from autograder.support.files import cell, write_atomically

Written = dict[tuple[str, ...], dict[str, float]]


@dataclass
class Merge:
    """The content of a copy: points by row and question; one line for each problem; the number of cells that are new or changed.

    absent: the number of the run's rows that are not in the copy.
    """

    points: Written
    problems: list[str] = field(default_factory=list)
    changed: int = 0
    absent: int = 0


def load(out: Path, rubric: Rubric) -> Written:
    """The written points merged into the run in `out` so far.

    Raises tables.TableError if the file exists but is not in our format: points must not be lost silently.
    """
    path = out / WRITTEN
    if not path.exists():
        return {}
    merge = _points(path, rubric, None, {})
    if merge.problems:
        raise tables.TableError(f"{merge.problems[0]}; fix it, or remove the file to start over")
    return merge.points


def store(out: Path, points: Written, rubric: Rubric) -> None:
    """Stores the written points with the results; those for questions that are not in the rubric too."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = [*(q.id for q in rubric.written), *uncounted(points, rubric)]
    writer.writerow([*KEY, *columns])
    for key, row in sorted(points.items()):
        writer.writerow(
            [*(cell(part) for part in key), *(tidy(row[id]) if id in row else "" for id in columns)]
        )
    write_atomically(out / WRITTEN, text.getvalue())


def uncounted(points: Written, rubric: Rubric) -> dict[str, int]:
    """How many rows have points for each question that is not a written one of the rubric."""
    ids = {q.id for q in rubric.written}
    return dict(Counter(id for row in points.values() for id in row if id not in ids))


def match(points: Written, entries: Iterable[Entry]) -> tuple[Written, Written]:
    """The points by the rows that they belong to now, and those that belong to no row, or that contradict the row's own.

    A row is found by its whole key, else by id, login, email or name (see `Roster.recognise`).
    """
    rows = {row_key(e.work or "", e.student): e.student for e in entries}
    people = Roster(tuple(dict.fromkeys(rows.values())))
    found: Written = {key: dict(row) for key, row in points.items() if key in rows}
    left: Written = {}
    for key, row in points.items():
        if key in rows:
            continue
        work, name, id, email, login = key
        student = people.recognise(Student(name, id, email, login))
        keys = [k for k, other in rows.items() if student == other]
        keys = keys if len(keys) == 1 else [k for k in keys if k[0] == work]
        own = found.get(keys[0], {}) if len(keys) == 1 else {}
        if len(keys) == 1 and all(own.get(id, value) == value for id, value in row.items()):
            found[keys[0]] = {**row, **own}
        else:
            left[key] = row
    return found, left


def remarks(points: Written, left: Written, rubric: Rubric) -> list[str]:
    """What to report about written points that count for nobody, one line each."""
    lines = [
        f"{WRITTEN}: {id} is not a written question of the rubric; the points of {count} row{'' if count == 1 else 's'} "
        "stay there and do not count (rename its column to count them for another question)"
        for id, count in uncounted(points, rubric).items()
    ]
    return lines + [
        f"{key[1] or key[0]}: has written points that match no row of the gradebook; they stay in {WRITTEN}"
        for key in left
    ]


def take(filled: Path, keys: Sequence[tuple[str, ...]], before: Written, rubric: Rubric) -> Merge:
    """Reads a filled-in copy. keys: the `gradebook.row_key` of each row of the run. Raises tables.TableError."""
    return _points(filled, rubric, keys, before)


def _points(path: Path, rubric: Rubric, keys: Sequence[tuple[str, ...]] | None, before: Written) -> Merge:
    table = tables.read(path, tuple(map(tables.header_key, FRONT)))
    places = {tables.header_key(name): place for place, name in enumerate(table.header)}
    columns = {
        q.id: places[tables.header_key(q.id)] for q in rubric.written if tables.header_key(q.id) in places
    }
    fronts = [places.get(tables.header_key(name)) for name in KEY]
    if keys is None:  # written.csv, which also keeps what the rubric has no question for
        named = {*map(tables.header_key, KEY), *map(tables.header_key, columns), ""}
        columns |= {name: p for p, name in enumerate(table.header) if tables.header_key(name) not in named}
    if not columns:
        raise tables.TableError(
            f"{path}: has no column of a written question ({', '.join(q.id for q in rubric.written)}); fill in a copy of grades.csv"
        )
    if all(place is None for place in fronts[: len(FRONT)]):
        raise tables.TableError(
            f"{path}: has no column submission, student, id or email; fill in a copy of grades.csv"
        )
    most = {q.id: q.points for q in rubric.written}
    merge = Merge({name: dict(row) for name, row in before.items()})
    seen: dict[tuple[str, ...], int] = {}
    for number, row in zip(table.numbers, table.rows, strict=True):
        facts = tuple(row[place] if place is not None else "" for place in fronts)
        key, why = (facts, "") if keys is None else _row_of(facts, keys)
        where = f"{path}: line {number}"
        if key is None:
            merge.problems.append(f"{where}: {' '.join(filter(None, facts)) or 'no name'} {why}")
            continue
        name = key[1] or key[0] or key[2]
        if key in seen:
            merge.problems.append(f"{where}: {name} is already in line {seen[key]}; keep one of them")
            continue
        seen[key] = number
        for id, place in columns.items():
            if not row[place]:
                continue
            value, top = _number(row[place]), most.get(id, math.inf)
            if value is None or not 0 <= value <= top:
                limits = f"from 0 to {top:g}" if id in most else "from 0 up"
                merge.problems.append(f"{where}: {name}, {id}: {row[place][:40]!r} is not a number {limits}")
                continue
            points = merge.points.setdefault(key, {})
            merge.changed += points.get(id) != value
            points[id] = value
    merge.absent = len(set(keys or ()) - set(seen))
    return merge


def _row_of(facts: tuple[str, ...], keys: Sequence[tuple[str, ...]]) -> tuple[tuple[str, ...] | None, str]:
    """The run's row that the copy's facts identify; every fact that is there must agree with the row."""
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
    return (
        None,
        "matches several rows of grades.csv; keep the column submission"
        if fitting
        else "is not a row of grades.csv",
    )


def _same(fact: str, own: str) -> bool:
    def form(text: str) -> str:
        return text.lstrip("0") if text.isdigit() else " ".join(text.split()).casefold()

    return form(fact) == form(own)


def _number(text: str) -> float | None:
    """A number as spreadsheets write it, with a decimal point or comma; None if it is anything else."""
    if not re.fullmatch(r"\+?\d{1,6}(?:[.,]\d{0,9})?|[.,]\d{1,9}", text.strip(), re.ASCII):
        return None
    value = float(text.strip().replace(",", "."))
    return tidy(value) if math.isfinite(value) else None
