"""The rows of a class: each student's submission, points and status."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from autograder.classroom import policy as points_by
from autograder.classroom.entries import Entry
from autograder.classroom.policy import Points, Policy
from autograder.classroom.settings import Settings
from autograder.model.rubric import Question, Rubric
from autograder.model.verdicts import Result, tidy
from autograder.submissions.intake import digest

NOTHING = digest({})
NO_SUBMISSION = "no submission"
PENDING = "not graded yet"
PARTLY = "partly graded"  # a question is missing, has other points, or was graded on an earlier upload
FINAL = ("graded", "nothing to grade", NO_SUBMISSION)  # the statuses whose points are final

Written = Mapping[tuple[str, ...], Mapping[str, float]]


@dataclass(frozen=True)
class Row:
    """A student's grades.

    auto: points by automatic question, for those that were graded; written: by written question, for those that have points.
    deduction: what lateness costs; beyond: what is above the highest total; reasons: why points are not those of the checks.
    lowered: see `Points`.
    """

    entry: Entry
    auto: Mapping[str, float]
    max_auto: float
    isolation: str = ""
    status: str = PENDING
    notes: tuple[str, ...] = ()
    sha256: str = ""
    written: Mapping[str, float] = field(default_factory=dict)
    deduction: float = 0.0
    beyond: float = 0.0
    reasons: tuple[str, ...] = ()
    lowered: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, ...]:
        return self.entry.key

    @property
    def score(self) -> float:
        return tidy(sum(self.auto.values()))

    @property
    def total(self) -> float:
        return tidy(self.score + sum(self.written.values()) - self.beyond - self.deduction)

    @property
    def final(self) -> bool:
        return self.status in FINAL

    def having(self, points: Points) -> Row:
        return replace(
            self,
            auto=points.auto,
            written=points.written,
            deduction=points.deduction,
            beyond=points.beyond,
            reasons=points.reasons,
            lowered=points.lowered,
        )


def rows_of(
    entries: Iterable[Entry],
    results: Mapping[str, Result],
    rubric: Rubric,
    written: Written | None = None,
    questions: Sequence[str] | None = None,
    policy: Policy = Policy(),  # noqa: B008 (it is immutable)
) -> list[Row]:
    """The rows of a run so far. results: by name of submission; questions: those that are graded (None: all)."""
    asked = [q for q in rubric.auto if questions is None or q.id in questions]
    ids = {q.id for q in rubric.auto}
    most = points_by.maxima(policy, results, rubric)
    possible = tidy(sum(most[q.id] for q in asked))
    rows = []
    for entry in entries:
        raw = results.get(entry.work) if entry.work else None
        if raw is not None:
            result = policy.settings.counting.counted(raw)
            auto = {id: result.score_of(id) for id, _ in result.points if id in ids}
            earlier = tuple(
                f"{name}: {results[name].score:g}/{results[name].max_score:g}" if name in results else name
                for name in entry.earlier
            )
            row = Row(
                entry,
                auto,
                result.max_score,
                result.isolation,
                _status(raw, result.grader_faults, asked),
                _notes(entry, result, [] if entry.kept else [f"earlier: {text}" for text in earlier]),
                result.sha256,
            )
        elif entry.work is None:
            nothing = dict.fromkeys((q.id for q in asked), 0.0)
            row = Row(entry, nothing, possible, "", NO_SUBMISSION, entry.notes)
        else:
            row = Row(entry, {}, possible, notes=entry.notes)
        rows.append(row)
    return _counted(rows, rubric, written or {}, policy, points_by.given(policy, results, rubric))


def recounted(
    rows: Sequence[Row],
    rubric: Rubric,
    written: Written,
    policy: Policy,
    results: Mapping[str, Result],
) -> list[Row]:
    """Rows that were read from a gradebook, with the points that these marks and this policy give.

    results: their automatic points are computed from them again; a row without one keeps its automatic points.
    """
    return _counted(rows, rubric, written, policy, points_by.given(policy, results, rubric), results)


def _counted(
    rows: Sequence[Row],
    rubric: Rubric,
    written: Written,
    policy: Policy,
    everyones: Mapping[str, float],
    results: Mapping[str, Result] | None = None,
) -> list[Row]:
    """The rows with their points. results: None if the rows have the points of the checks."""
    by_hand = _by_hand([counting(written.get(row.key, {}), rubric) for row in rows], rubric, policy)
    ids = {q.id for q in rubric.auto}
    made = []
    for row in rows:
        auto, most, kept = row.auto, row.max_auto, False
        if results is not None and row.entry.work:
            raw = results.get(row.entry.work)
            kept = raw is None
            if raw is not None:
                counted = policy.settings.counting.counted(raw)
                auto = {id: counted.score_of(id) for id, _ in counted.points if id in ids}
                most = counted.max_score
        elif results is not None:
            auto = dict.fromkeys(row.auto, 0.0)
        marks = counting(written.get(row.key, {}), rubric)
        made.append(
            replace(row, max_auto=most).having(
                points_by.points(policy, row.entry, auto, marks, rubric, by_hand, kept, everyones)
            )
        )
    return made


def counting(points: Mapping[str, float], rubric: Rubric) -> dict[str, float]:
    """Those of a row's written points that are for questions of the rubric."""
    return {q.id: points[q.id] for q in rubric.written if q.id in points}


def _by_hand(marks: Iterable[Mapping[str, float]], rubric: Rubric, policy: Policy) -> bool:
    """Whether written questions count: once anyone has points for one, or when there is none to grade."""
    ids = {q.id for q in rubric.written}
    ways = policy.settings.counting.questions
    by_adjustment = any(
        a.question in ids for rows in policy.adjustments.values() for a in rows if not a.change
    )
    return any(marks) or by_adjustment or all(ways.get(id) in ("dropped", "given") for id in ids)


def _notes(entry: Entry, result: Result, more: Iterable[str]) -> tuple[str, ...]:
    old = [id for id, _ in result.points if result.origin(id).sha256 != result.sha256]
    more = [*more, *([f"graded on an earlier upload: {', '.join(old)}"] if old else [])]
    return tuple(dict.fromkeys((*entry.notes, *more)))


def _status(result: Result, faults: int, asked: Sequence[Question]) -> str:
    """faults: how many checks that count have a fault of the grader. asked: the questions that a grade consists of."""
    if not result.complete:
        return "not finished"
    if faults:
        return "fault in the grader"
    points = dict(result.points)
    mixed = any(origin.sha256 != result.sha256 for origin in result.kept.values())
    if mixed or any(points.get(q.id) != q.points for q in asked):
        return PARTLY
    return "nothing to grade" if result.sha256 == NOTHING else "graded"


def counted(rows: Iterable[Row], rubric: Rubric, settings: Settings) -> tuple[Question, ...]:
    """The written questions that totals count: all that are not dropped once any row has points for one, else none."""
    if not any(row.written for row in rows):
        return ()
    return tuple(q for q in rubric.written if settings.counting.questions.get(q.id) != "dropped")


def has_total(row: Row, written: Sequence[Question]) -> bool:
    """Whether a student's total is final. written: the questions that totals count."""
    return row.final and (row.status == NO_SUBMISSION or all(q.id in row.written for q in written))


def possible(rows: Sequence[Row], written: Sequence[Question], settings: Settings) -> float:
    """The points that a total is out of; bonus points may be on top of them."""
    by_hand = sum(settings.counting.share(q.id, q.points) for q in written)
    return tidy(max((row.max_auto for row in rows), default=0.0) + by_hand)
