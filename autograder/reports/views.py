"""What the pages show of a result, in the order and the words in which they show it; how it looks is the templates' matter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from autograder.host.results import words
from autograder.reports.terminal import by_cause, cause, not_written
from autograder.rubric import Question, Rubric
from autograder.verdicts import GRADERS_FAULT, Result, Verdict, lost, tidy, total

MOST_TEXT = 10_000  # characters of one text; the whole is in the JSON
MOST_NAME = 200
LABELS = ("Asked", "Expected", "Seen", "This looks like", "Try")
WARNINGS = {"process": "not secure against hostile code"}  # what one must know of a level of isolation


@dataclass(frozen=True)
class Badge:
    """A word or two on a submission. alert: whether somebody has to do something about it."""

    text: str
    alert: bool = False


@dataclass(frozen=True)
class Cause:
    """Checks that did not pass for one cause: which they are, and the feedback in labelled parts ("" where there is no label)."""

    verdicts: tuple[Verdict, ...]
    parts: tuple[tuple[str, str], ...]
    diagnosis: str = ""


@dataclass(frozen=True)
class HiddenChecks:
    """Hidden checks that go under one name for students: how many there are, how many passed, and their points."""

    name: str
    count: int
    passed: int
    score: float
    points: float
    said: tuple[str, ...] = ()


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
        """Whether nothing is left to say: all points, all checks."""
        return not self.causes and self.score >= self.points and all(h.passed == h.count for h in self.hidden)


@dataclass(frozen=True)
class SubmissionView:
    """One submission: a row of the report and what it opens to, or a student's page.

    file: the name of the student's page in the folder of feedback, "" where there is none.
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
    """All of a result: hidden checks, diagnoses and all."""
    return _view(result, rubric, file, public_only=False)


def for_students(result: Result, rubric: Rubric) -> SubmissionView:
    """What the student may read: public checks in full; of hidden ones the rubric's words, points, and whether they passed."""
    return _view(result, rubric, "", public_only=True)


def badges(result: Result) -> tuple[Badge, ...]:
    """What is out of the ordinary about a submission, what needs doing first."""
    found: list[Badge] = []
    faults = count_faults(result)
    if not result.complete:
        found.append(Badge("incomplete", alert=True))
    if faults:
        found.append(Badge(f"grader's fault: {_many(faults, 'check')}", alert=True))
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


def is_blank(result: Result) -> bool:
    """Whether no answer was written: something is missing, and nothing that gives points passed."""
    missing = any(v.status == "missing" for v in result.checks)
    return missing and not any(v.status == "passed" and v.max_score for v in result.checks)


def count_faults(result: Result) -> int:
    """Checks that could not be carried out because of a fault in the grader."""
    return sum(GRADERS_FAULT in v.feedback for v in result.checks)


def isolation_levels(results: Iterable[Result]) -> list[tuple[str, int, str]]:
    """The levels that submissions ran under: name, how many, and what one must know of it."""
    counts = Counter(r.isolation for r in results)
    return [(level, counts[level], WARNINGS.get(level, "")) for level in sorted(counts)]


def labelled(text: str) -> tuple[tuple[str, str], ...]:
    """Feedback in its parts: ("Asked", "..."), ("Seen", "..."); lines before the first label have the label ""."""
    parts: list[tuple[str, list[str]]] = []
    for line in cut(text).splitlines():
        label, colon, rest = line.partition(": ")
        if colon and label in LABELS:
            parts.append((label, [rest]))
        elif parts:
            parts[-1][1].append(line)
        else:
            parts.append(("", [line]))
    return tuple((label, "\n".join(lines)) for label, lines in parts)


def cut(text: str, most: int = MOST_TEXT) -> str:
    """The text, or its beginning and how much there is more."""
    if len(text) <= most:
        return text
    return f"{text[:most]}\n[... and {len(text) - most:,} characters more]"


def _view(result: Result, rubric: Rubric, file: str, public_only: bool) -> SubmissionView:
    points = dict(result.points)
    questions = []
    for question in rubric.auto:
        verdicts = result.of(question.id)
        if question.id not in points or not verdicts:
            continue
        shown = [v for v in verdicts if v.visibility == "public" or not public_only]
        kept_back = [v for v in verdicts if v.visibility != "public"] if public_only else []
        score, most = total(verdicts)
        questions.append(
            QuestionView(
                question=question,
                score=score,
                points=most,
                count=len(shown),
                passed=tuple(v.title for v in shown if v.status == "passed"),
                causes=_causes(question, lost(shown)),
                hidden=_hidden(question, kept_back),
            )
        )
    return SubmissionView(result, file, badges(result), tuple(questions))


def _causes(question: Question, failing: Sequence[Verdict]) -> tuple[Cause, ...]:
    if todo := not_written(question, failing):
        return (Cause(tuple(failing), (("", cut(todo)),)),)
    found = []
    for group in by_cause(failing):
        first = group[0]
        parts = labelled(first.feedback if len(group) == 1 else cause(first))
        found.append(Cause(tuple(group), parts, first.diagnosis or ""))
    return tuple(found)


def _hidden(question: Question, verdicts: Sequence[Verdict]) -> tuple[HiddenChecks, ...]:
    groups: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        groups.setdefault(verdict.rubric or question.title, []).append(verdict)
    return tuple(
        HiddenChecks(
            name=name,
            count=len(group),
            passed=len(group) - len(lost(group)),
            score=tidy(sum(v.score for v in group)),
            points=tidy(sum(v.max_score for v in group)),
            said=(GRADERS_FAULT,) if any(words(v) == GRADERS_FAULT for v in group) else (),
        )
        for name, group in groups.items()
    )


def _many(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"
