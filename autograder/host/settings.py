"""The instructor's settings for the host: gradescope.toml, next to the grader in the upload zip."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, get_args

from autograder.host.results import HiddenVisibility
from autograder.model import counting
from autograder.model.counting import Counting
from autograder.model.feedback import HiddenFeedback
from autograder.model.rubric import Rubric
from autograder.model.verdicts import Verdict

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE = "gradescope.toml"
SECRET = "secret"
LONGEST = 40  # minutes: Gradescope's longest timeout
MARGIN = 75.0  # seconds of the host's time for starting, Otter and writing, on half a core


@dataclass(frozen=True)
class Settings:
    """The instructor's choices.

    hidden: when students see hidden checks (never the feedback): "hidden" (never),
        "after_due_date", "after_published", or "visible" (at once).
    hidden_feedback: what a hidden check that failed says: the "mistake" too, the "rubric" line, or nothing of its own ("count").
    hidden_looks_per_day: with hidden = "visible", how many submissions a day show them; 0 means all.
    minutes: the time limit that is set on the host for one submission, from 2 (3 with Otter) to 40.
    otter: whether Otter grades the verdicts of every upload too, and its scores are compared with ours.
    visibility: when students see single hidden checks, by question or check id, where it is not as `hidden` says.
    counting: the questions and checks that are dropped, given or a bonus.
    """

    hidden: HiddenVisibility = "after_published"
    hidden_looks_per_day: int = 0
    hidden_feedback: HiddenFeedback = "rubric"
    minutes: float = 10.0
    otter: bool = False
    visibility: Mapping[str, HiddenVisibility] = field(default_factory=dict)
    counting: Counting = field(default_factory=Counting)

    @property
    def seconds(self) -> float:
        """The time for grading itself."""
        return max(60.0, self.minutes * 60 - MARGIN)


def read(path: Path, rubric: Rubric) -> Settings:
    """Reads the settings; the defaults if there is no file.

    Raises ValueError, naming the file, the entry and what it can be, for anything else.
    """
    if not path.exists():
        return Settings()
    try:
        table: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"{path}: cannot be read ({error})") from None
    names = [f.name for f in fields(Settings) if f.name != "counting"] + list(counting.TABLES)
    for name in table:
        if name not in names:
            raise ValueError(f"{path}: there is no setting {name!r}; there are {', '.join(names)}")
    hidden, looks = table.get("hidden", Settings.hidden), table.get("hidden_looks_per_day", 0)
    told = table.get("hidden_feedback", Settings.hidden_feedback)
    minutes, otter = table.get("minutes", Settings.minutes), table.get("otter", Settings.otter)
    if hidden not in get_args(HiddenVisibility):
        raise ValueError(f"{path}: hidden is {hidden!r}; it can be {', '.join(get_args(HiddenVisibility))}")
    if type(looks) is not int or looks < 0:
        raise ValueError(f"{path}: hidden_looks_per_day is {looks!r}; it can be 0, 1, 2, ...")
    if looks and hidden != "visible":
        raise ValueError(f'{path}: hidden_looks_per_day counts only with hidden = "visible"; leave it out')
    if told not in get_args(HiddenFeedback):
        raise ValueError(
            f"{path}: hidden_feedback is {told!r}; it can be {', '.join(get_args(HiddenFeedback))}"
        )
    if type(otter) is not bool:
        raise ValueError(f"{path}: otter is {otter!r}; it can be true or false")
    least, with_otter = (3, " with otter = true") if otter else (2, "")
    if type(minutes) not in (int, float) or not least <= minutes <= LONGEST:
        raise ValueError(
            f"{path}: minutes is {minutes!r}; it can be a number from {least} to {LONGEST}{with_otter}"
        )
    seen, counted = _visibility(table.get("visibility", {}), path, rubric), counting.read(table, path, rubric)
    for id in counted.questions:
        if id not in [q.id for q in rubric.auto]:
            raise ValueError(
                f"{path}: questions: {id} is a written question; its points are given on Gradescope, so change them there"
            )
    return Settings(hidden, looks, told, float(minutes), otter, seen, counted)


def secret(source: Path) -> str:
    """The course secret in a folder with the zip's content; "" if there is none that can be read."""
    try:
        return (source / SECRET).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def require_known(settings: Settings, path: Path, checks: Iterable[Verdict]) -> None:
    """Raises ValueError when the settings name a check that is none of these, or when they say when public ones are seen."""
    seen = {v.id: v.visibility for v in checks}
    counting.known(settings.counting.checks, path, "checks", seen)
    counting.known([id for id in settings.visibility if ":" in id], path, "visibility", seen)
    for id in settings.visibility:
        if {when for check, when in seen.items() if id in (check, check.partition(":")[0])} == {"public"}:
            raise ValueError(
                f"{path}: visibility: {id} names no hidden check; students always see public ones"
            )


def _visibility(table: Any, path: Path, rubric: Rubric) -> Mapping[str, HiddenVisibility]:
    if not isinstance(table, dict):
        raise ValueError(
            f'{path}: visibility is no table; write [visibility], and below it lines like "ID" = "visible"'
        )
    for id, when in table.items():
        if id.partition(":")[0] not in (ids := [q.id for q in rubric.auto]):
            raise ValueError(
                f"{path}: visibility: there is no {id!r}; it can be a question or a check of {', '.join(ids)}"
            )
        if when not in get_args(HiddenVisibility):
            can = ", ".join(get_args(HiddenVisibility))
            raise ValueError(f"{path}: visibility: {id} is {when!r}; it can be {can}")
    return table
