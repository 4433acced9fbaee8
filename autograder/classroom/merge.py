"""Merging graders' marks for written answers: their files are read together and compared with what is merged already.

Only the columns of written questions are read from a file ("1-3w", and "1-3w comment"); for everything else the run's own
grades.csv is authoritative. An empty cell changes nothing, so graders can share the work and merge their files together or one
after another. Where two of them differ, or a file differs from what is merged already, nothing is merged: each such answer is
named in one line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from autograder.classroom.marks import Key, Mark, Marks, Reader, differ, shown
from autograder.classroom.rows import Written
from autograder.model.rubric import Rubric


@dataclass
class Merge:
    """What the files hold: marks by row and question; one line for each problem; how many marks are new or changed.

    absent: the number of the run's rows that are in none of the files.
    """

    marks: Marks
    problems: list[str] = field(default_factory=list)
    changed: int = 0
    absent: int = 0


def take(
    copies: Sequence[Path],
    keys: Sequence[Key],
    before: Marks,
    rubric: Rubric,
    change: bool = False,
    counted: Written = MappingProxyType({}),
) -> Merge:
    """Reads graders' files together. keys: the `entries.row_key` of each row of the run. Raises tables.TableError.

    change: whether marks that are merged already may be changed. counted: the points that grades.csv shows, adjusted and given
    ones included: a whole copy of it holds them, and they are no marks.
    """
    merge = Merge({key: dict(row) for key, row in before.items()})
    taken: Marks = {}
    seen: set[Key] = set()
    for path in copies:
        reader = Reader(path, rubric, keys)
        for key, question, mark in reader.marks():
            old_points = before.get(key, {}).get(question, Mark()).points
            if reader.whole and mark.points == counted.get(key, {}).get(question) != old_points:
                mark = replace(mark, points=None)
            row = taken.setdefault(key, {})
            other = row.get(question)
            if other and _conflict(other, mark):
                merge.problems.append(
                    f"{shown(key)}, {question}: {_given(other)} in {other.source}, line {other.line}, but"
                    f" {_given(mark)} in {mark.source}, line {mark.line}; agree on one, and empty the other cell"
                )
                continue
            row[question] = _together(other, mark) if other else mark
        merge.problems += reader.problems
        seen |= reader.rows
    for key, found in taken.items():
        for question, mark in found.items():
            old = before.get(key, {}).get(question, Mark())
            new = mark.over(old)
            if (new.points, new.comment) == (old.points, old.comment):
                continue
            if not change and old.contradicts(new):
                merge.problems.append(_replaces(f"{shown(key)}, {question}", old, new))
                continue
            merge.changed += 1
            merge.marks.setdefault(key, {})[question] = new
    merge.absent = len(set(keys) - seen)
    return merge


def _conflict(a: Mark, b: Mark) -> bool:
    """Whether two graders gave an answer different points, or one took back what the other gives."""
    pairs = ((a, b), (b, a))
    return differ(a.points, b.points) or any(one.removed and two.points is not None for one, two in pairs)


def _given(mark: Mark) -> str:
    return "no points" if mark.points is None else f"{mark.points:g} points"


def _together(a: Mark, b: Mark) -> Mark:
    """Two graders' marks of one answer that agree: both comments are kept."""
    comment = "\n\n".join(dict.fromkeys(filter(None, (a.comment, b.comment))))
    return replace(a if b.points is None else b, comment=comment, removed=a.removed or b.removed)


def _replaces(where: str, old: Mark, new: Mark) -> str:
    came = f" from {old.source}" if old.source else ""
    if differ(old.points, new.points) or new.removed:
        what = f"{_given(new)} in {new.source}, line {new.line}, but {old.points:g}{came} are merged already"
    else:
        what = f"another comment{came} is merged already than in {new.source}, line {new.line}"
    return f"{where}: {what}; --replace takes the new ones"
