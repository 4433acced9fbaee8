"""What the pages show of a result, in order and in words; the templates decide how it looks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from autograder.model.rubric import Question, Rubric
from autograder.model.verdicts import Result, Verdict, is_blank, lost, total
from autograder.reports.causes import by_cause, not_written
from autograder.reports.hidden import HiddenChecks, Teaching

MOST_TEXT = 10_000  # characters of one text; the whole is in the JSON
MOST_NAME = 200
WARNINGS = {"process": "not secure against hostile code"}  # by isolation level


@dataclass(frozen=True)
class Badge:
    """A word or two about a submission. alert: whether someone has to act."""

    text: str
    alert: bool = False


@dataclass(frozen=True)
class Cause:
    """Checks that failed for the same cause, and their feedback in labelled parts ("" for no label)."""

    verdicts: tuple[Verdict, ...]
    parts: tuple[tuple[str, str], ...]
    diagnosis: str = ""


@dataclass(frozen=True)
class QuestionView:
    """One question of one submission.

    passed: titles of the checks that passed; hidden: what students may know of hidden checks (empty for instructors,
    who see them among the others).
    """

    question: Question
    score: float
    points: float
    count: int
    passed: tuple[str, ...]
    causes: tuple[Cause, ...]
    hidden: tuple[HiddenChecks, ...] = ()

    @property
    def full(self) -> bool:
        """Whether all points are earned and all checks passed."""
        return not self.causes and self.score >= self.points and all(h.passed == h.count for h in self.hidden)


@dataclass(frozen=True)
class SubmissionView:
    """One submission: a row of the report with its details, or a student's page.

    file: the name of the student's page in the folder of feedback, "" if there is none.
    """

    result: Result
    file: str
    badges: tuple[Badge, ...]
    questions: tuple[QuestionView, ...]

    @property
    def lacking(self) -> tuple[QuestionView, ...]:
        return tuple(q for q in self.questions if not q.full)

    @property
    def finished(self) -> tuple[QuestionView, ...]:
        return tuple(q for q in self.questions if q.full)


def for_instructors(result: Result, rubric: Rubric, file: str = "") -> SubmissionView:
    """Everything in a result, hidden checks included."""
    return _view(result, rubric, file)


def for_students(result: Result, rubric: Rubric, teaching: Teaching) -> SubmissionView:
    """What the student may read: public checks in full; of hidden ones points, whether they passed, and what `teaching` adds."""
    return _view(result, rubric, "", teaching)


def badges(result: Result) -> tuple[Badge, ...]:
    """What is unusual about a submission; what needs action comes first."""
    found: list[Badge] = []
    faults = count_faults(result)
    if not result.complete:
        found.append(Badge("incomplete", alert=True))
    if faults:
        found.append(Badge(f"grader fault: {_many(faults, 'check')}", alert=True))
    counts = Counter(v.status for v in result.checks)
    if is_blank(result):
        found.append(Badge("nothing written"))
    elif counts["missing"]:
        found.append(Badge(f"{counts['missing']} missing"))
    if counts["timeout"]:
        found.append(Badge(_many(counts["timeout"], "timeout")))
    if result.complete and counts["error"] > faults:
        found.append(Badge(_many(counts["error"] - faults, "error")))
    if result.complete and result.checks and not lost(result.checks):
        found.append(Badge("full marks"))
    if result.notes:
        found.append(Badge(_many(len(result.notes), "note")))
    return tuple(found)


def count_faults(result: Result) -> int:
    """Checks that could not be carried out because of a fault in the grader."""
    return result.grader_faults


def isolation_levels(results: Iterable[Result]) -> list[tuple[str, int, str]]:
    """The levels that submissions ran under: name, how many, and a warning."""
    counts = Counter(r.isolation for r in results)
    return [(level, counts[level], WARNINGS.get(level, "")) for level in sorted(counts)]


def cut(text: str, most: int = MOST_TEXT) -> str:
    """The text, cut at `most` characters, with a note on how much is missing."""
    if len(text) <= most:
        return text
    return f"{text[:most]}\n[... and {len(text) - most:,} more characters]"


def _view(result: Result, rubric: Rubric, file: str, teaching: Teaching | None = None) -> SubmissionView:
    """teaching: what is shown of hidden checks; None: all, among the others."""
    points = dict(result.points)
    questions = []
    for question in rubric.auto:
        verdicts = result.of(question.id)
        if question.id not in points or not verdicts:
            continue
        shown = [v for v in verdicts if v.visibility == "public" or teaching is None]
        kept_back = [v for v in verdicts if v.visibility != "public"]
        score, most = total(verdicts)
        questions.append(
            QuestionView(
                question=question,
                score=score,
                points=most,
                count=len(shown),
                passed=tuple(v.title for v in shown if v.status == "passed"),
                causes=_causes(question, lost(shown)),
                hidden=teaching.of(question, kept_back) if teaching else (),
            )
        )
    return SubmissionView(result, file, badges(result), tuple(questions))


def _causes(question: Question, failing: Sequence[Verdict]) -> tuple[Cause, ...]:
    if todo := not_written(question, failing):
        return (Cause(tuple(failing), (("", cut(todo)),)),)
    found = []
    for group in by_cause(failing):
        first = group[0]
        parts = tuple((label, cut(text)) for label, text in first.feedback.parts())
        found.append(Cause(tuple(group), parts, first.diagnosis or ""))
    return tuple(found)


def _many(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"
