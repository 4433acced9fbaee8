"""The rubric: the questions of an assignment, read from its TOML file."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True)
class Question:
    """One row of the rubric.

    id: letters, digits, dots, hyphens and underscores, such as "1-4" or "2b"; to-dos in the solutions begin with it.
    graded: "auto" (by checks) or "written" (by a person).
    module, asks: where the answer is written, and what it consists of.
    stand_ins: the modules that stand-ins replace while this question is graded.
    seconds: the wall time for all checks of the question together.
    words: the limit of a written answer.
    weight: in a release, which lacks the hidden checks: the sum of the weights of all checks; elsewhere 0.
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
    weight: float = 0.0

    @property
    def auto(self) -> bool:
        return self.graded == "auto"


@dataclass(frozen=True)
class Rubric:
    """All questions, the modules and notebooks that a submission holds, and the modules that are given to it.

    package: the assignment's top-level package; no helper module of a submission may have its name.
    """

    title: str
    modules: tuple[str, ...]
    given: tuple[str, ...]
    notebooks: tuple[str, ...]
    questions: tuple[Question, ...]
    package: str = ""

    @property
    def auto(self) -> tuple[Question, ...]:
        return tuple(q for q in self.questions if q.auto)

    @property
    def written(self) -> tuple[Question, ...]:
        return tuple(q for q in self.questions if not q.auto)

    def question(self, id: str) -> Question:
        """Raises KeyError, with a list of the questions, when there is none with this id."""
        for question in self.questions:
            if question.id == id:
                return question
        raise KeyError(
            f"there is no question {id}; the questions are {', '.join(q.id for q in self.questions)}"
        )


def table(path: Path) -> Mapping[str, Any]:
    """The content of a TOML file; raises ValueError, naming the file, when it is not valid."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not valid TOML ({error})") from None


def read(path: Path) -> Rubric:
    """Reads the rubric in an assignment.toml.

    Raises ValueError, naming the file and the entry, when it is incomplete or contradicts itself.
    """
    content = table(path)
    try:
        questions = tuple(
            Question(**{**row, "stand_ins": tuple(row.get("stand_ins", ()))}) for row in content["question"]
        )
        rubric = Rubric(
            content["title"],
            tuple(content["modules"]),
            tuple(content.get("given", ())),
            tuple(content.get("notebooks", ())),
            questions,
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path}: not a rubric ({error})") from None
    for question in questions:
        if not isinstance(question.id, str) or not re.fullmatch(r"[\w.-]+", question.id):
            raise ValueError(f"{path}: question {question.id!r}: ids are letters, digits, '.', '_' and '-'")
        points = question.points
        if isinstance(points, bool) or not isinstance(points, (int, float)) or not 0 <= points < math.inf:
            raise ValueError(
                f"{path}: question {question.id}: points is {points!r}; it must be a number from 0 up"
            )
        if question.graded not in ("auto", "written"):
            raise ValueError(
                f"{path}: question {question.id}: graded is {question.graded!r}; it can be auto or written"
            )
        if question.auto and question.module not in rubric.modules:
            raise ValueError(
                f"{path}: question {question.id}: its module {question.module!r} is not one of `modules`"
            )
    if len({q.id for q in questions}) != len(questions):
        raise ValueError(f"{path}: two questions have the same id")
    return rubric
