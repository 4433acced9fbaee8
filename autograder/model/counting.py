"""How questions and checks count towards a grade: as the rubric says, or not at all, in full for everyone, or as a bonus.

Verdicts stay as they were graded; `Counting.counted` makes the result that gradebooks, pages and a grading host show.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, cast, get_args

from autograder.model.rubric import Rubric
from autograder.model.verdicts import Result, Verdict, tidy

# "dropped": neither points nor maximum; "given": full points; "bonus": points, but no maximum.
Way = Literal["dropped", "given", "bonus"]
TABLES = ("questions", "checks")
_MEANS = {
    "dropped": "is not counted",
    "given": "gives full points to everyone who submitted",
    "bonus": "is a bonus: its points count, its maximum does not",
}


@dataclass(frozen=True)
class Counting:
    """The questions and the checks (by id, as "1-7:pairs") that count in another way. A check's own entry comes first."""

    questions: Mapping[str, Way] = field(default_factory=dict)
    checks: Mapping[str, Way] = field(default_factory=dict)

    def way(self, verdict: Verdict) -> Way | None:
        return self.checks.get(verdict.id) or self.questions.get(verdict.question)

    def share(self, question: str, points: float) -> float:
        """What a written question adds to the maximum."""
        return 0.0 if self.questions.get(question) in ("dropped", "bonus") else points

    def counted(self, result: Result) -> Result:
        """The result with the points that count. A check that is dropped or given is no fault of the grader any more."""
        if not self.questions and not self.checks:
            return result
        ways = {v.id: self.way(v) for v in result.checks}
        beside = {"dropped", "bonus"}
        less = {
            id: sum(v.max_score for v in result.of(id) if ways[v.id] in beside) for id, _ in result.points
        }
        return replace(
            result,
            checks=tuple(_counted(v, ways[v.id]) for v in result.checks),
            points=tuple((id, tidy(max(0.0, most - less[id]))) for id, most in result.points),
        )

    def lines(self, rubric: Rubric, verdicts: Iterable[Verdict], student: bool) -> list[str]:
        """What counts in another way, one sentence each; for a student, hidden checks are not named.

        verdicts: of one submission, for the titles of checks.
        """
        found = {v.id: v for v in verdicts}
        lines = [
            f"Question {q.id} {_MEANS[self.questions[q.id]]}."
            for q in rubric.questions
            if q.id in self.questions
        ]
        for id, way in self.checks.items():
            verdict = found.get(id)
            if verdict is None:
                title = "A check" if student else f"The check {id}"
            elif student and verdict.visibility == "hidden":
                title = "A hidden check"
            else:
                title = f"The check “{verdict.title}”"
            lines.append(f"{title} of question {id.partition(':')[0]} {_MEANS[way]}.")
        return lines


def _counted(verdict: Verdict, way: Way | None) -> Verdict:
    if way == "dropped":
        return replace(verdict, score=0, max_score=0, grader_fault=False)
    if way == "given":
        return replace(verdict, score=verdict.max_score, grader_fault=False)
    return replace(verdict, max_score=0) if way == "bonus" else verdict


def read(table: Mapping[str, Any], path: Path, rubric: Rubric) -> Counting:
    """The counting in the tables `questions` and `checks` of a settings file.

    Raises ValueError, naming the file, the entry and what it can be. Checks are known by their questions only; see `known`.
    """
    found: dict[str, dict[str, Way]] = {name: {} for name in TABLES}
    ids = {"questions": [q.id for q in rubric.questions], "checks": [q.id for q in rubric.auto]}
    for name in TABLES:
        entries = table.get(name, {})
        if not isinstance(entries, dict):
            raise ValueError(
                f'{path}: {name} is no table; write [{name}], and below it lines like "ID" = "dropped"'
            )
        for id, way in entries.items():
            if id.partition(":")[0] not in ids[name] or (":" in id) != (name == "checks"):
                form = (
                    f"{ids[name][0]}:NAME, a question and a check"
                    if name == "checks"
                    else ", ".join(ids[name])
                )
                raise ValueError(f"{path}: {name}: there is no {id!r}; it can be {form}")
            if way not in get_args(Way):
                raise ValueError(f"{path}: {name}: {id} is {way!r}; it can be {', '.join(get_args(Way))}")
            found[name][id] = cast(Way, way)
    return Counting(found["questions"], found["checks"])


def known(names: Iterable[str], path: Path, entry: str, checks: Iterable[str]) -> None:
    """Raises ValueError, naming those that are like it, when one of the names is no check. checks: the ids of all checks."""
    ids = list(checks)
    for name in names:
        if name not in ids:
            alike = difflib.get_close_matches(name, ids, 3) or [
                i for i in ids if i.split(":")[0] == name.split(":")[0]
            ]
            raise ValueError(f"{path}: {entry}: there is no check {name!r}; it can be {', '.join(alike[:8])}")
