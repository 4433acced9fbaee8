"""The values that grading produces: a verdict per check, a result per submission, and their JSON form."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Status = Literal["passed", "failed", "error", "timeout", "missing"]
Visibility = Literal["public", "hidden"]
GRADERS_FAULT = (
    "This check could not be carried out because of a fault in the grader, not in your code.\n"
    "Try: tell your instructor the check's name; the other checks are not affected."
)
STATUSES: tuple[Status, ...] = ("passed", "failed", "error", "timeout", "missing")


@dataclass(frozen=True)
class Verdict:
    """What one check found.

    feedback: what to tell whoever may see the check; plain text of several lines, empty when it passed.
    diagnosis: the known mistake that the answer fits, or None.
    rubric: what students may be told of a hidden check; "" stands for the question's title.
    """

    id: str
    question: str
    title: str
    visibility: Visibility
    status: Status
    score: float
    max_score: float
    feedback: str = ""
    diagnosis: str | None = None
    rubric: str = ""


@dataclass(frozen=True)
class Result:
    """One submission's grading, whole or as far as it has come.

    complete: False while checks are still to run (they stand as errors that say so).
    notes: one line for each thing about the upload that its author should know.
    printed: what the student's code printed during public checks, by question (bounded).
    grader: a digest of all that the verdicts hang on beside the submission (see batch.How).
    """

    submission: str
    sha256: str
    isolation: str
    seconds: float
    checks: tuple[Verdict, ...]
    points: tuple[tuple[str, float], ...]
    complete: bool = True
    notes: tuple[str, ...] = ()
    printed: dict[str, str] = field(default_factory=dict)
    grader: str = ""

    @property
    def score(self) -> float:
        return tidy(sum(v.score for v in self.checks))

    @property
    def max_score(self) -> float:
        return tidy(sum(points for _, points in self.points))

    def of(self, question: str) -> list[Verdict]:
        return [v for v in self.checks if v.question == question]

    def score_of(self, question: str) -> float:
        return tidy(sum(v.score for v in self.of(question)))

    def to_json(self) -> dict[str, Any]:
        """The documented form (see the README): stable keys, scores as numbers."""
        return {
            "submission": self.submission,
            "sha256": self.sha256,
            "score": self.score,
            "max_score": self.max_score,
            "isolation": self.isolation,
            "seconds": round(self.seconds, 3),
            "complete": self.complete,
            "notes": list(self.notes),
            "questions": {
                id: {"score": self.score_of(id), "max_score": tidy(points)} for id, points in self.points
            },
            "checks": [asdict(v) for v in self.checks],
            "printed": dict(self.printed),
            "grader": self.grader,
        }

    @classmethod
    def from_json(cls, table: Any) -> Result:
        """The result that `to_json` gave this of. Raises ValueError for anything else."""
        try:
            checks = tuple(Verdict(**row) for row in table["checks"])
            points = tuple((str(id), float(row["max_score"])) for id, row in table["questions"].items())
            result = cls(
                submission=table["submission"],
                sha256=table["sha256"],
                isolation=table["isolation"],
                seconds=table["seconds"],
                checks=checks,
                points=points,
                complete=table["complete"],
                notes=tuple(table["notes"]),
                printed=dict(table["printed"]),
                grader=table["grader"],
            )
            same: bool = result.to_json() == table
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a result: {error}") from None
        if not same:
            raise ValueError("not a result: its parts contradict each other")
        return result


def tidy(points: float) -> float:
    """Points without floating-point dust, whole numbers as int (6, not 6.0)."""
    value = round(points, 6)
    return int(value) if value == int(value) else value


def lost(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """The verdicts that did not pass, in order."""
    return [v for v in verdicts if v.status != "passed"]


def total(verdicts: Sequence[Verdict]) -> tuple[float, float]:
    return tidy(sum(v.score for v in verdicts)), tidy(sum(v.max_score for v in verdicts))
