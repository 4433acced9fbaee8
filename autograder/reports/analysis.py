"""Statistics of a class and of its checks, computed from results without randomness or files.

Every function here is pure and does not depend on the order of the results. Only complete results count, and a check that
could not run because of a fault in the grader counts for no submission.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from autograder.model.verdicts import STATUSES, Result, Status, Verdict, tidy

LEAST = 3  # with fewer submissions than this, a correlation is +1, -1 or undefined
MOST_BINS = 16
LOW = 0.2  # a check that discriminates less is worth a look: a rule of thumb (Ebel, Measuring Educational Achievement, 1965)


@dataclass(frozen=True)
class Bin:
    """Scores from `low` up to but not including `high`; the last bin of a distribution includes its `high`."""

    low: float
    high: float
    count: int


@dataclass(frozen=True)
class Distribution:
    """How the scores are spread. `deviation` is the standard deviation of the class itself (divisor n, not n - 1)."""

    count: int
    most: float
    mean: float
    median: float
    deviation: float
    lowest: float
    highest: float
    bins: tuple[Bin, ...]


@dataclass(frozen=True)
class QuestionSummary:
    """One question over the class: its points, the mean and median earned, and the shares with full marks and with none."""

    id: str
    points: float
    mean: float
    median: float
    full: float
    none: float


@dataclass(frozen=True)
class Item:
    """One check over the class.

    count: submissions for which it was carried out.
    difficulty: the share of them that passed (so 1 is the easiest); None if `count` is 0.
    discrimination: the point-biserial correlation of passing with the rest of the score; None if it is undefined.
    statuses: how often each status occurred, in the order of `verdicts.STATUSES`, without zeros.
    """

    id: str
    question: str
    title: str
    visibility: str
    points: float
    count: int
    difficulty: float | None
    discrimination: float | None
    statuses: tuple[tuple[Status, int], ...]

    @property
    def remark(self) -> str:
        """What an instructor might want to know about the check, or ""."""
        if self.difficulty is None or self.count < LEAST:
            return ""
        if self.difficulty == 1:
            return "everyone passed"
        if self.difficulty == 0:
            return "no one passed"
        if self.discrimination is None:
            return ""
        if self.discrimination < 0:
            return "passed more often by weaker submissions: look at it"
        return "hardly separates strong from weak" if self.discrimination < LOW else ""


@dataclass(frozen=True)
class MistakeCount:
    """A recognised mistake: its id, its sentence, how many submissions made it, and on which questions (in rubric order)."""

    mistake: str
    diagnosis: str
    count: int
    questions: tuple[str, ...]


@dataclass(frozen=True)
class ClassAnalysis:
    """The whole analysis. `distribution` is None if no result is complete; `mistakes` come most frequent first."""

    distribution: Distribution | None
    questions: tuple[QuestionSummary, ...]
    items: tuple[Item, ...]
    mistakes: tuple[MistakeCount, ...]
    statuses: tuple[tuple[Status, int], ...]


def analyse(results: Sequence[Result]) -> ClassAnalysis:
    """The analysis of a class. Mistakes are taken from all results, everything else from the complete ones."""
    complete = [r for r in results if r.complete]
    return ClassAnalysis(
        distribution=distribution(complete),
        questions=question_summaries(complete),
        items=item_analysis(complete),
        mistakes=frequent_mistakes(results),
        statuses=_count_statuses(v for r in complete for v in r.checks),
    )


def distribution(results: Sequence[Result]) -> Distribution | None:
    """How the scores of these results are spread; None without results."""
    if not results:
        return None
    scores = sorted(r.score for r in results)
    most = max(r.max_score for r in results)
    mean = _mean(scores)
    return Distribution(
        count=len(scores),
        most=most,
        mean=mean,
        median=median(scores),
        deviation=math.sqrt(_mean([(s - mean) ** 2 for s in scores])),
        lowest=scores[0],
        highest=scores[-1],
        bins=histogram(scores, most),
    )


def histogram(scores: Iterable[float], most: float) -> tuple[Bin, ...]:
    """The scores counted in bins of one width (1, 2 or 5 times a power of ten), at most MOST_BINS from 0 to at least `most`."""
    width = _width(most)
    number = max(1, math.ceil(most / width))
    counts = [0] * number
    for score in scores:
        counts[min(number - 1, max(0, math.floor(score / width)))] += 1
    return tuple(Bin(tidy(i * width), tidy((i + 1) * width), count) for i, count in enumerate(counts))


def question_summaries(results: Sequence[Result]) -> tuple[QuestionSummary, ...]:
    """Each question that was graded, in the order of the results' own questions."""
    won: dict[str, list[float]] = {}
    points: dict[str, float] = {}
    for result in results:
        for id, most in result.points:
            won.setdefault(id, []).append(result.score_of(id))
            points[id] = max(most, points.get(id, 0))
    return tuple(
        QuestionSummary(
            id=id,
            points=tidy(points[id]),
            mean=_mean(scores),
            median=median(scores),
            full=sum(s >= points[id] for s in scores) / len(scores),
            none=sum(s == 0 for s in scores) / len(scores),
        )
        for id, scores in won.items()
    )


def item_analysis(results: Sequence[Result]) -> tuple[Item, ...]:
    """Each check, in the order of the checks.

    The discrimination is that of the item and the *rest*: the score without the check's own points. With them, every check
    would correlate with itself, the more so the fewer there are (Henrysson, Psychometrika 28, 1963).
    """
    first: dict[str, Verdict] = {}
    seen: dict[str, list[tuple[Verdict, float]]] = {}
    for result in results:
        score = result.score
        for verdict in result.checks:
            first.setdefault(verdict.id, verdict)
            pairs = seen.setdefault(verdict.id, [])
            if not verdict.grader_fault:
                pairs.append((verdict, tidy(score - verdict.score)))
    return tuple(_item(first[id], pairs) for id, pairs in seen.items())


def point_biserial(passed: Sequence[bool], rest: Sequence[float]) -> float | None:
    """The correlation of a dichotomous variable with a continuous one; None where either does not vary or there are fewer than 3.

        r = (M1 - M0) / s * sqrt(p * (1 - p))

    M1, M0: the mean of `rest` among those who passed and those who did not; s: its standard deviation over all (divisor n);
    p: the share who passed. It is Pearson's correlation with passing written as 1 and 0.
    Source: Lord and Novick, Statistical Theories of Mental Test Scores (1968), chapter 15.

    Raises ValueError when the two are of different length.
    """
    if len(passed) != len(rest):
        raise ValueError(f"{len(passed)} answers and {len(rest)} scores")
    ones = [r for p, r in zip(passed, rest, strict=True) if p]
    zeros = [r for p, r in zip(passed, rest, strict=True) if not p]
    if len(rest) < LEAST or not ones or not zeros or min(rest) == max(rest):
        return None
    mean, share = _mean(rest), len(ones) / len(rest)
    spread = math.sqrt(_mean([(r - mean) ** 2 for r in rest]))
    if spread == 0:  # scores so close that their squares vanish
        return None
    value = (_mean(ones) - _mean(zeros)) / spread * math.sqrt(share * (1 - share))
    return max(-1.0, min(1.0, value))


def frequent_mistakes(results: Iterable[Result]) -> tuple[MistakeCount, ...]:
    """The recognised mistakes, most frequent first (ties by id). Each counts once per submission, however often seen."""
    counts: Counter[str] = Counter()
    sentences: dict[str, str] = {}
    places: dict[str, set[str]] = {}
    order: dict[str, None] = {}
    for result in results:
        order.update(dict.fromkeys(id for id, _ in result.points))
        found = [(v.mistake or v.diagnosis, v) for v in result.checks if v.diagnosis]
        counts.update({mistake for mistake, _ in found})
        for mistake, verdict in found:
            sentences.setdefault(mistake, verdict.diagnosis or "")
            places.setdefault(mistake, set()).add(verdict.question)
    rank = {id: i for i, id in enumerate(order)}
    return tuple(
        MistakeCount(
            mistake,
            sentences[mistake],
            count,
            tuple(sorted(places[mistake], key=lambda id: (rank.get(id, len(rank)), id))),
        )
        for mistake, count in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    )


def _item(check: Verdict, pairs: Sequence[tuple[Verdict, float]]) -> Item:
    passed = [verdict.status == "passed" for verdict, _ in pairs]
    return Item(
        id=check.id,
        question=check.question,
        title=check.title,
        visibility=check.visibility,
        points=tidy(check.max_score),
        count=len(pairs),
        difficulty=sum(passed) / len(passed) if passed else None,
        discrimination=point_biserial(passed, [rest for _, rest in pairs]),
        statuses=_count_statuses(verdict for verdict, _ in pairs),
    )


def _count_statuses(verdicts: Iterable[Verdict]) -> tuple[tuple[Status, int], ...]:
    counts = Counter(v.status for v in verdicts)
    return tuple((status, counts[status]) for status in STATUSES if counts[status])


def _mean(values: Sequence[float]) -> float:
    # fsum rounds once, at the end, so the order of the results does not change the mean, not even in its last bit.
    return math.fsum(values) / len(values)


def _width(most: float) -> float:
    """The smallest of 1, 2, 5, 10, 20, 50, ... that needs no more than MOST_BINS bins."""
    power = 1
    while True:
        for step in (1, 2, 5):
            if most <= step * power * MOST_BINS:
                return step * power
        power *= 10
