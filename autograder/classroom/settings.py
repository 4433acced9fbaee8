"""The settings of a run, settings.toml: what counts in another way, the late policy, and the highest total.

A run's folder keeps the settings (and the table of extensions that they name), so that later runs use them too. Results stay as
they were graded: points are computed from them with the settings that hold now.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from autograder.classroom import deadlines, stored, tables
from autograder.classroom.errors import ClassroomError
from autograder.model import counting
from autograder.model.assignment import Assignment
from autograder.model.counting import Counting
from autograder.model.rubric import Rubric, table
from autograder.model.verdicts import tidy
from autograder.support.files import write_atomically

FILE, EXTENSIONS = "settings.toml", "extensions.csv"
NAMES = (*counting.TABLES, "late", "given_to_absent", "maximum")


@dataclass(frozen=True)
class Late:
    """The late policy.

    per_day: what each day that has begun costs, a share of the student's points (share) or points; cap: the most that lateness
    costs, in the same unit. grace: this much later is in time; days are counted from its end.
    """

    due: datetime | None = None
    grace: timedelta = timedelta()
    per_day: float = 0.0
    share: bool = False
    cap: float = math.inf
    extensions: str = ""

    def days(self, overdue: timedelta) -> int:
        """How many days count."""
        return max(0, math.ceil((overdue - self.grace) / timedelta(days=1)))

    def deduction(self, overdue: timedelta, points: float) -> float:
        """The points to take off, never more than there are."""
        cost = min(self.days(overdue) * self.per_day, self.cap)
        return tidy(min(points, max(0.0, cost * points if self.share else cost)))

    def amount(self, value: float) -> str:
        return (
            f"{tidy(value * 100):g}%" if self.share else f"{tidy(value):g} point{'' if value == 1 else 's'}"
        )


@dataclass(frozen=True)
class Settings:
    """The settings of a run. given_to_absent: whether students who submitted nothing also get what is given.

    maximum: no total is above it, bonus points included; None for no limit. table: the students' extensions.
    """

    counting: Counting = field(default_factory=Counting)
    late: Late = field(default_factory=Late)
    given_to_absent: bool = False
    maximum: float | None = None
    table: tuple[deadlines.Extension, ...] = ()

    def lines(self) -> list[str]:
        """What else than the counting holds, one sentence each."""
        late, found = self.late, []
        if late.per_day:
            most = "" if math.isinf(late.cap) else f", at most {late.amount(late.cap)}"
            grace = f" after {_words(late.grace)} of grace" if late.grace else ""
            of = " of the student's points" if late.share else ""
            found.append(f"Each day late{grace} costs {late.amount(late.per_day)}{of}{most}.")
        if self.given_to_absent:
            found.append("What is given is given to students who submitted nothing, too.")
        if self.maximum is not None:
            found.append(f"No total is above {self.maximum:g} points.")
        return found


@dataclass(frozen=True)
class Chosen:
    """The settings of a run, where they come from (texts are None without any), and a line about what is different now."""

    settings: Settings = field(default_factory=Settings)
    text: str | None = None
    extensions: str | None = None
    remarks: tuple[str, ...] = ()

    def keep(self, out: Path) -> None:
        """Keeps them in the folder of the run."""
        for name, text in ((FILE, self.text), (EXTENSIONS, self.extensions)):
            if text is not None and _text(out / name) != text:
                write_atomically(out / name, text)


def of_run(out: Path, given: Path | None, subject: Assignment) -> Chosen:
    """The settings of a run in `out`: those in the file `given`, else those of the folder's earlier runs.

    Raises ClassroomError, in one line, when they cannot be used.
    """
    before = out / FILE
    path = given or before
    if given is None and not before.is_file():
        return Chosen()
    settings = read(path, subject.rubric)
    _require_known_checks(settings.counting.checks, path, out, subject)
    remarks: list[str] = []
    listed = None
    if settings.late.extensions:
        beside = out / EXTENSIONS if given is None else given.parent / settings.late.extensions
        found, remarks = deadlines.read(beside)
        settings = Settings(**{**_fields(settings), "table": tuple(found)})
        listed = tables.text(beside)[0]
    text = _text(path)
    if given is not None and before.is_file() and _text(before) != text:
        remarks.append(
            f"{given}: differs from the settings of earlier runs in {out}; grades are computed again with it"
        )
    return Chosen(settings, text, listed, tuple(remarks))


def _require_known_checks(ids: Collection[str], path: Path, out: Path, subject: Assignment) -> None:
    graded = {v.id for result in stored.results_in(out)[0].values() for v in result.checks} if ids else set()
    if graded.issuperset(ids):
        return
    from autograder.grading.listing import checks_of  # loads torch

    try:
        counting.known(ids, path, "checks", (v.id for v in checks_of(subject)))
    except ValueError as error:
        raise ClassroomError(str(error)) from None


def _fields(settings: Settings) -> dict[str, Any]:
    return {f.name: getattr(settings, f.name) for f in fields(settings)}


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8-sig", errors="surrogateescape")
    except OSError:
        return None


def read(path: Path, rubric: Rubric) -> Settings:
    """Reads the settings. Raises ClassroomError, naming the file, the entry and what it can be."""
    try:
        content = table(path)
        made = counting.read(content, path, rubric)
    except OSError as error:
        raise ClassroomError(
            f"{path}: cannot be read ({error.strerror}); check the spelling of the path"
        ) from None
    except ValueError as error:
        raise ClassroomError(" ".join(str(error).split())) from None
    _only(content, NAMES, str(path))
    late = content.get("late", {})
    if not isinstance(late, dict):
        raise ClassroomError(f"{path}: late is {late!r}; it can be a table, [late]")
    absent, most = content.get("given_to_absent", False), content.get("maximum")
    if type(absent) is not bool:
        raise ClassroomError(f"{path}: given_to_absent is {absent!r}; it can be true or false")
    if most is not None and _points(most) is None:
        raise ClassroomError(f"{path}: maximum is {most!r}; it can be a number of points, such as 80")
    return Settings(made, _late(late, f"{path}: late"), absent, _points(most))


def _late(content: Mapping[str, Any], where: str) -> Late:
    _only(content, [f.name for f in fields(Late) if f.name != "share"], where)
    due, grace, listed = content.get("due"), content.get("grace", "0 minutes"), content.get("extensions", "")
    try:
        until = None if due is None else deadlines.due_time(str(due))
    except ClassroomError as error:
        raise ClassroomError(f"{where}: due: {error}") from None
    span = re.fullmatch(r"(\d{1,4}) ?(minute|hour)s?", grace.strip()) if isinstance(grace, str) else None
    if span is None:
        raise ClassroomError(f'{where}: grace is {grace!r}; it can be "30 minutes" or "2 hours"')
    if not isinstance(listed, str):
        raise ClassroomError(
            f'{where}: extensions is {listed!r}; it can be the path of a CSV file, "extensions.csv"'
        )
    costs: dict[str, tuple[float, bool]] = {}
    for name in ("per_day", "cap"):
        if name in content:
            cost = _cost(content[name])
            if cost is None:
                raise ClassroomError(
                    f'{where}: {name} is {content[name]!r}; it can be a share, "10%", or points, 2'
                )
            costs[name] = cost
    per_day, share = costs.get("per_day", (0.0, False))
    cap, other = costs.get("cap", (math.inf, share))
    if other != share or ("cap" in costs and "per_day" not in costs):
        raise ClassroomError(
            f"{where}: cap is {content['cap']!r}; it can be a {'share' if share else 'number'}, like per_day"
        )
    return Late(until, timedelta(**{f"{span[2]}s": int(span[1])}), per_day, share, cap, listed)


def _only(content: Mapping[str, Any], names: tuple[str, ...] | list[str], where: str) -> None:
    for name in content:
        if name not in names:
            raise ClassroomError(f"{where}: there is no setting {name!r}; there are {', '.join(names)}")


def _points(value: object) -> float | None:
    """A number of points, None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
        return None
    return tidy(value)


def _cost(value: object) -> tuple[float, bool] | None:
    """A share of the points ("10%") or a number of points, and whether it is a share; None for anything else."""
    if not isinstance(value, str):
        points = _points(value)
        return None if points is None else (points, False)
    number = tables.number(value.strip().removesuffix("%")) if value.strip().endswith("%") else None
    return None if number is None or number > 100 else (number / 100, True)


def _words(span: timedelta) -> str:
    minutes = int(span.total_seconds() // 60)
    number, unit = (minutes, "minute") if minutes % 60 else (minutes // 60, "hour")
    return f"{number} {unit}{'' if number == 1 else 's'}"
