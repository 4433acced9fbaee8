"""From verdicts, marks and lateness to a student's points: settings first, then adjustments, the highest total, and lateness."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType

from autograder.classroom.adjustments import Adjustments
from autograder.classroom.entries import Entry
from autograder.classroom.settings import Settings
from autograder.model.rubric import Rubric
from autograder.model.verdicts import Result, tidy


@dataclass(frozen=True)
class Policy:
    """What holds for a class: its settings, and the adjustments by row."""

    settings: Settings = field(default_factory=Settings)
    adjustments: Adjustments = field(default_factory=dict)


@dataclass(frozen=True)
class Points:
    """A student's points by automatic and by written question, those that have any.

    deduction: what lateness costs; beyond: what is above the highest total; reasons: one sentence each, for the student.
    lowered: one line for each adjustment that sets points to fewer than there were, for the person who grades.
    """

    auto: Mapping[str, float]
    written: Mapping[str, float]
    deduction: float = 0.0
    beyond: float = 0.0
    reasons: tuple[str, ...] = ()
    lowered: tuple[str, ...] = ()


def maxima(policy: Policy, results: Mapping[str, Result], rubric: Rubric) -> dict[str, float]:
    """What each automatic question adds to the maximum. results: raw; what the checks of a question weigh is known from them."""
    most = {q.id: policy.settings.counting.share(q.id, q.points) for q in rubric.auto}
    if policy.settings.counting.checks:
        counted = [policy.settings.counting.counted(result) for result in results.values()]
        for result in counted:
            most |= {id: points for id, points in result.points if id in most}
    return most


def given(policy: Policy, results: Mapping[str, Result], rubric: Rubric) -> dict[str, float]:
    """What each automatic question gives to everyone, by its own setting and those of its checks. results: raw."""
    counting = policy.settings.counting
    most = {q.id: q.points for q in rubric.auto if counting.questions.get(q.id) == "given"}
    weights: dict[str, float] = {}
    for result in results.values():
        for question, _ in result.points:
            theirs = [v for v in result.of(question) if counting.way(v) == "given"]
            weights[question] = max(weights.get(question, 0.0), tidy(sum(v.max_score for v in theirs)))
    return most | {id: weight for id, weight in weights.items() if weight or id in most}


def points(
    policy: Policy,
    entry: Entry,
    auto: Mapping[str, float],
    marks: Mapping[str, float],
    rubric: Rubric,
    by_hand: bool = True,
    adjusted: bool = False,
    everyones: Mapping[str, float] = MappingProxyType({}),
) -> Points:
    """A student's points.

    auto: by question, as `Counting.counted` gives them; marks: of written answers, as graders gave them.
    by_hand: whether written questions count yet. adjusted: whether `auto` is read from a gradebook, adjustments included.
    everyones: see `given`.
    """
    settings = policy.settings
    made, written = dict(auto), _written(settings, entry, marks, rubric, by_hand)
    if entry.work is None and settings.given_to_absent and not adjusted:
        made |= {id: value for id, value in everyones.items() if id in made}
    reasons: list[str] = []
    lowered: list[str] = []
    for row in policy.adjustments.get(entry.key, ()):
        if settings.counting.questions.get(row.question) == "dropped":
            continue
        question = rubric.question(row.question)
        part = made if question.auto else written
        after = row.applied(part.get(row.question), question.points)
        if after is None or (question.auto and adjusted):
            continue
        if not row.change and 0 < after < (before := part.get(row.question, 0.0)):
            lowered.append(
                f"{row.where}: sets {row.student}, {row.question}, from {before:g} to {after:g} points; if"
                f" {after:g} should be added (spreadsheets drop the sign of +{after:g}), write: add {after:g}"
            )
        part[row.question] = after
        changed = f"{row.shown}, now {after:g}" if row.change else f"set to {after:g}"
        reasons.append(f"Question {row.question}: {changed}{row.reason}.")
    total = tidy(sum(made.values()) + sum(written.values()))
    beyond = tidy(max(0.0, total - settings.maximum)) if settings.maximum is not None else 0.0
    if beyond:
        reasons.append(f"No total is above {settings.maximum:g} points: {beyond:g} do not count.")
    overdue = entry.overdue or timedelta()
    deduction = settings.late.deduction(overdue, total - beyond)
    if deduction:
        reasons.append(_late(settings, overdue, deduction))
    return Points(made, written, deduction, beyond, tuple(reasons), tuple(lowered))


def unclear(policy: Policy, entries: Sequence[Entry]) -> list[str]:
    """One line for each late upload whose lateness is not known, so that it costs nothing."""
    if not policy.settings.late.per_day:
        return []
    return [
        f"{entry.student.shown}: late, but by how much is not known, so it costs no points; use --adjustments to take any off"
        for entry in entries
        if entry.late and entry.overdue is None
    ]


def _written(
    settings: Settings, entry: Entry, marks: Mapping[str, float], rubric: Rubric, by_hand: bool
) -> dict[str, float]:
    ways = settings.counting.questions
    here = entry.work is not None or settings.given_to_absent
    given = {q.id: q.points for q in rubric.written if here and by_hand and ways.get(q.id) == "given"}
    graded = {q.id: marks[q.id] for q in rubric.written if q.id in marks and ways.get(q.id) != "dropped"}
    return {**graded, **given}


def _late(settings: Settings, overdue: timedelta, deduction: float) -> str:
    days, late = settings.late.days(overdue), settings.late
    share = f" ({late.amount(min(days * late.per_day, late.cap))} of the points)" if late.share else ""
    return (
        f"Handed in {span(overdue)} (hours, minutes and seconds) after the due time, which counts as {days} "
        f"day{'' if days == 1 else 's'}: -{deduction:g} points{share}."
    )


def span(time: timedelta) -> str:
    """A time as Gradescope writes lateness: H:M:S."""
    seconds = int(time.total_seconds())
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
