"""What students may read about the hidden checks of a graded submission."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from autograder.model.feedback import HiddenFeedback
from autograder.model.rubric import Question
from autograder.model.verdicts import GRADER_FAULT, Verdict, lost, tidy

ALL = "Hidden checks"


@dataclass(frozen=True)
class HiddenChecks:
    """Hidden checks that students see under one name: how many there are, how many passed, and their points."""

    name: str
    count: int
    passed: int
    score: float
    points: float
    messages: tuple[str, ...] = ()


@dataclass(frozen=True)
class Teaching:
    """How much students read about hidden checks. lessons: what they read about each mistake, by its id."""

    choice: HiddenFeedback = "rubric"
    lessons: Mapping[str, str] = field(default_factory=dict)

    def lesson(self, verdict: Verdict) -> str:
        """The mistake of a hidden check that failed and what to do about it; "" where it is not known, or not to be shown."""
        if self.choice != "mistake" or verdict.status == "passed" or verdict.mistake is None:
            return ""
        return self.lessons.get(verdict.mistake, "")

    def of(self, question: Question, verdicts: Sequence[Verdict]) -> tuple[HiddenChecks, ...]:
        """What is shown of a question's hidden checks."""
        groups: dict[str, list[Verdict]] = {}
        for verdict in verdicts:
            name = ALL if self.choice == "count" else verdict.rubric or question.title
            groups.setdefault(name, []).append(verdict)
        return tuple(
            HiddenChecks(
                name=name,
                count=len(group),
                passed=len(group) - len(lost(group)),
                score=tidy(sum(v.score for v in group)),
                points=tidy(sum(v.max_score for v in group)),
                messages=self._messages(group),
            )
            for name, group in groups.items()
        )

    def _messages(self, group: Sequence[Verdict]) -> tuple[str, ...]:
        faults = [GRADER_FAULT.text()] if any(v.grader_fault for v in group) else []
        lessons = dict.fromkeys(lesson for v in group if (lesson := self.lesson(v)))
        return (*faults, *lessons)
