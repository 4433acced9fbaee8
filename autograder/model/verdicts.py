"""The values that grading produces: a verdict per check, a result per submission, and their JSON form."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from autograder.model.feedback import Feedback

Status = Literal["passed", "failed", "error", "timeout", "missing"]
Visibility = Literal["public", "hidden"]
NO_FEEDBACK = Feedback()
GRADER_FAULT = Feedback(
    note="This check could not run because of a fault in the grader, not in your code.",
    hint="tell your instructor the check's name; the other checks are not affected.",
)
NOT_RUN = Feedback(note="This check has not run yet.")
STATUSES: tuple[Status, ...] = ("passed", "failed", "error", "timeout", "missing")


@dataclass(frozen=True)
class Verdict:
    """What one check found.

    feedback: for whoever may see the check; empty when it passed.
    mistake: the id of the recognised mistake (see `autograder.judging.catalogue`), or None.
    grader_fault: whether the check could not run because of a fault in the grader.
    rubric: what students may know of a hidden check; "" stands for the question's title.
    """

    id: str
    question: str
    title: str
    visibility: Visibility
    status: Status
    score: float
    max_score: float
    feedback: Feedback = NO_FEEDBACK
    mistake: str | None = None
    grader_fault: bool = False
    rubric: str = ""

    @property
    def diagnosis(self) -> str | None:
        """The recognised mistake, in one sentence."""
        return self.feedback.diagnosis or None

    def to_json(self) -> dict[str, Any]:
        """The documented form: `feedback` is the rendered text, `parts` has its fields."""
        return {
            "id": self.id,
            "question": self.question,
            "title": self.title,
            "visibility": self.visibility,
            "status": self.status,
            "score": self.score,
            "max_score": self.max_score,
            "feedback": self.feedback.text(),
            "diagnosis": self.diagnosis,
            "mistake": self.mistake,
            "grader_fault": self.grader_fault,
            "rubric": self.rubric,
            "parts": self.feedback.to_json(),
        }

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Verdict:
        """The verdict with this `to_json` form; in an older grader's row, the feedback is one note.

        Raises KeyError or TypeError for anything else.
        """
        fields = {key: value for key, value in row.items() if key not in ("feedback", "diagnosis", "parts")}
        parts = row.get("parts", {"note": row["feedback"], "diagnosis": row["diagnosis"] or ""})
        return cls(**fields, feedback=Feedback.from_json(parts))


@dataclass(frozen=True)
class Origin:
    """What a question's verdicts came from: the digests of the submission's content and of the grader."""

    sha256: str
    grader: str


@dataclass(frozen=True)
class Result:
    """The grading of one submission, complete or so far.

    complete: False while some checks have not run (they count as errors until then).
    notes: one line for each thing about the upload that its author should know.
    printed: what the student's code printed during public checks, by question (bounded).
    grader: a digest of everything else the verdicts depend on (see grading.options).
    kept: the origin of each question that an earlier run graded, where it is not (sha256, grader).
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
    kept: Mapping[str, Origin] = field(default_factory=dict)

    @property
    def score(self) -> float:
        return tidy(sum(v.score for v in self.checks))

    @property
    def max_score(self) -> float:
        return tidy(sum(points for _, points in self.points))

    @property
    def grader_faults(self) -> int:
        """How many checks could not run because of a fault in the grader."""
        return sum(v.grader_fault for v in self.checks)

    @property
    def unfinished(self) -> set[str]:
        """The questions with a check that has not run."""
        return {v.question for v in self.checks if v.feedback == NOT_RUN}

    def origin(self, question: str) -> Origin:
        return self.kept.get(question, Origin(self.sha256, self.grader))

    def updating(self, earlier: Result | None, order: Iterable[str]) -> Result:
        """This result, completed by the questions of an earlier one that it lacks or has not finished.

        order: the ids of the questions that may be in it, in their order.
        """
        if earlier is None:
            return self
        mine, theirs = dict(self.points), dict(earlier.points)
        source = {
            id: earlier if id in theirs and (id not in mine or id in self.unfinished) else self
            for id in order
            if id in mine or id in theirs
        }
        old = [id for id, result in source.items() if result is earlier]
        origins = {id: earlier.origin(id) for id in old}
        levels = [self.isolation, *([earlier.isolation] if old else [])]
        made = replace(
            self,
            isolation=max(levels, key=_WEAKER.index),
            checks=tuple(v for id, result in source.items() for v in result.of(id)),
            points=tuple((id, dict(result.points)[id]) for id, result in source.items()),
            printed={id: r.printed[id] for id, r in source.items() if id in r.printed},
            kept={id: o for id, o in origins.items() if o != Origin(self.sha256, self.grader)},
        )
        return replace(made, complete=bool(made.checks) and not made.unfinished)

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
            "checks": [v.to_json() for v in self.checks],
            "printed": dict(self.printed),
            "grader": self.grader,
            "kept": {id: asdict(origin) for id, origin in self.kept.items()},
        }

    @classmethod
    def from_json(cls, table: Any) -> Result:
        """The result with this `to_json` form. Raises ValueError for anything else."""
        try:
            checks = tuple(Verdict.from_json(row) for row in table["checks"])
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
                kept={id: Origin(**row) for id, row in table.get("kept", {}).items()},
            )
            older = any("parts" not in row for row in table["checks"])  # written by an older grader
            consistent = older or result.to_json() == {"kept": {}, **table}
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a result: {error}") from None
        if not consistent:
            raise ValueError("not a result: its parts contradict each other")
        return result


_WEAKER = ("full", "user", "process")  # levels of isolation, each weaker than the one before


def tidy(points: float) -> float:
    """Points without rounding errors, whole numbers as int (6, not 6.0)."""
    value = round(points, 6)
    return int(value) if value == int(value) else value


def lost(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """The verdicts that did not pass, in order."""
    return [v for v in verdicts if v.status != "passed"]


def total(verdicts: Sequence[Verdict]) -> tuple[float, float]:
    return tidy(sum(v.score for v in verdicts)), tidy(sum(v.max_score for v in verdicts))


def is_blank(result: Result) -> bool:
    """Whether no answer was written: something is missing, and nothing that gives points passed."""
    missing = any(v.status == "missing" for v in result.checks)
    return missing and not any(v.status == "passed" and v.max_score for v in result.checks)
