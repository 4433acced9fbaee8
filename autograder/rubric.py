"""The rubric: the questions of an assignment, read from its TOML file."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Question:
    """One row of the rubric.

    seconds: what all checks of the question may take together, in wall time.
    stand_ins: the modules that stand-ins replace while this question is graded.
    words: the limit of a written answer.
    """

    id: str
    title: str
    points: float
    graded: str
    module: str = ""
    asks: str = ""
    stand_ins: tuple[str, ...] = ()
    seconds: float = 60.0
    words: int = 0

    @property
    def auto(self) -> bool:
        return self.graded == "auto"


@dataclass(frozen=True)
class Rubric:
    """All questions, the modules that a submission holds, and the modules that are given to it."""

    title: str
    modules: tuple[str, ...]
    given: tuple[str, ...]
    notebooks: tuple[str, ...]
    questions: tuple[Question, ...]

    @property
    def auto(self) -> tuple[Question, ...]:
        return tuple(q for q in self.questions if q.auto)

    @property
    def written(self) -> tuple[Question, ...]:
        return tuple(q for q in self.questions if not q.auto)

    def question(self, id: str) -> Question:
        """Raises KeyError, naming the questions there are."""
        for question in self.questions:
            if question.id == id:
                return question
        raise KeyError(
            f"there is no question {id}; the questions are {', '.join(q.id for q in self.questions)}"
        )


@dataclass(frozen=True)
class Assignment:
    """Where the parts of an assignment lie: what the engine needs to know of it, and all that it knows.

    reference: the folder of the complete solutions; None in a release, which has none.
    """

    rubric: Rubric
    probes: Path
    checks: Path
    given: Path
    reference: Path | None

    def probe_sources(self) -> dict[str, str]:
        """The probes as text, by the module names under which the sandbox loads them."""
        sources: dict[str, str] = {}
        for path in sorted(self.probes.rglob("*.py")):
            parts = ["probes", *path.relative_to(self.probes).with_suffix("").parts]
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            sources[name] = path.read_text(encoding="utf-8")
        return sources


def read(path: Path) -> Rubric:
    """Reads a rubric; raises ValueError, naming the file and the entry, where it is not one."""
    try:
        table: Mapping[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        questions = tuple(
            Question(**{**row, "stand_ins": tuple(row.get("stand_ins", ()))}) for row in table["question"]
        )
        rubric = Rubric(
            table["title"],
            tuple(table["modules"]),
            tuple(table["given"]),
            tuple(table["notebooks"]),
            questions,
        )
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: not a rubric ({error})") from None
    for question in questions:
        if question.graded not in ("auto", "written"):
            raise ValueError(
                f"{path}: question {question.id}: graded is {question.graded!r}; it can be auto or written"
            )
        if question.auto and question.module not in rubric.modules:
            raise ValueError(
                f"{path}: question {question.id}: its module {question.module!r} is none of `modules`"
            )
    if len({q.id for q in questions}) != len(questions):
        raise ValueError(f"{path}: two questions have the same id")
    return rubric


@cache
def assignment() -> Assignment:
    """The assignment that this package holds."""
    root = HERE.parent
    solutions = root / "solutions"
    given = solutions if solutions.is_dir() else root / "assignment"
    return Assignment(
        rubric=read(HERE / "rubric.toml"),
        probes=HERE / "probes",
        checks=HERE / "checks",
        given=given,
        reference=solutions if solutions.is_dir() else None,
    )
