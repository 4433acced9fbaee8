"""The statistics of a class: numbers calculated by hand, and properties of every class."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograder.model.feedback import Feedback
from autograder.model.verdicts import GRADER_FAULT, NO_FEEDBACK, Result, Status, Verdict
from autograder.reports.analysis import (
    MOST_BINS,
    analyse,
    distribution,
    frequent_mistakes,
    histogram,
    item_analysis,
    point_biserial,
    question_summaries,
)
from tests.made_up_class import made_up_class

POINTS = {"a": 1.0, "b": 2.0, "c": 3.0}


def result(passes: str, name: str = "ana", diagnoses: dict[str, str] | None = None) -> Result:
    """A submission that passed the checks named in `passes`: "ac". Checks a and b are of question 1, c is of question 2."""
    verdicts = tuple(
        Verdict(
            id=id,
            question="2" if id == "c" else "1",
            title=f"check {id}",
            visibility="public",
            status="passed" if id in passes else "failed",
            score=points if id in passes else 0,
            max_score=points,
            feedback=Feedback(diagnosis=f"The sentence of {diagnoses[id]}.")
            if diagnoses and id in diagnoses
            else NO_FEEDBACK,
            mistake=(diagnoses or {}).get(id),
        )
        for id, points in POINTS.items()
    )
    return Result(name, "", "full", 1.0, verdicts, (("1", 3.0), ("2", 3.0)))


CLASS = [result("abc"), result("ab"), result("a"), result("ac"), result("")]  # scores 6, 3, 1, 4, 0


def test_the_distribution_is_the_one_calculated_by_hand() -> None:
    spread = distribution(CLASS)
    assert spread is not None
    assert (spread.count, spread.most, spread.mean, spread.median) == (5, 6, 2.8, 3)
    assert (spread.lowest, spread.highest) == (0, 6)
    # Squares of the deviations: 10.24 + 0.04 + 3.24 + 1.44 + 7.84 = 22.8; a fifth of it is 4.56.
    assert spread.deviation == pytest.approx(math.sqrt(4.56))
    # The scores 0, 1, -, 3, 4, and 6 in the last bin, from 5 to 6.
    assert [b.count for b in spread.bins] == [1, 1, 0, 1, 1, 1]
    assert distribution([]) is None


def test_question_summaries_are_those_calculated_by_hand() -> None:
    one, two = question_summaries(CLASS)
    # Question 1: 3, 3, 1, 1, 0. Question 2: 3, 0, 0, 3, 0.
    assert (one.id, one.points, one.mean, one.median, one.full, one.none) == ("1", 3, 1.6, 1, 0.4, 0.2)
    assert (two.id, two.points, two.mean, two.median, two.full, two.none) == ("2", 3, 1.2, 0, 0.4, 0.6)


def test_the_item_analysis_is_the_one_calculated_by_hand() -> None:
    a, b, c = item_analysis(CLASS)
    assert [i.difficulty for i in (a, b, c)] == [0.8, 0.4, 0.4]
    # c: passed by the 1st and 4th. The rest of the scores, without c: 3, 3, 1, 1, 0. M1 = 2, M0 = 4/3, mean 1.6,
    # variance (1.96 + 1.96 + 0.36 + 0.36 + 2.56) / 5 = 1.44, s = 1.2; r = (2/3) / 1.2 * sqrt(0.4 * 0.6).
    assert c.discrimination == pytest.approx(2 / 3 / 1.2 * math.sqrt(0.24))
    # a: the rest is 5, 2, 0, 3, 0. M1 = 2.5, M0 = 0, mean 2, variance (9 + 0 + 4 + 1 + 4) / 5 = 3.6.
    assert a.discrimination == pytest.approx(2.5 / math.sqrt(3.6) * 0.4)
    assert a.statuses == (("passed", 4), ("failed", 1))


def test_a_check_does_not_correlate_with_itself() -> None:
    """With its own points in the score, check c would seem to discriminate."""
    (_, _, c) = item_analysis(
        [result("c"), result("c"), result("a"), result("a"), result("ab"), result("bc")]
    )
    assert c.discrimination is not None
    assert c.discrimination < 0


def test_mistakes_are_counted_once_per_submission_and_sorted_by_frequency() -> None:
    results = [
        result("", diagnoses={"a": "swapped", "b": "swapped", "c": "swapped"}),
        result("a", diagnoses={"b": "not-cleared"}),
        result("ab", diagnoses={"c": "swapped"}),
        result("ab", diagnoses={"c": "a-sum"}),
    ]
    found = [(m.mistake, m.count, m.questions) for m in frequent_mistakes(results)]
    assert found == [("swapped", 2, ("1", "2")), ("a-sum", 1, ("2",)), ("not-cleared", 1, ("1",))]


def test_incomplete_results_and_faults_of_the_grader_are_left_out() -> None:
    fault = replace(CLASS[0].checks[0], status="error", score=0, feedback=GRADER_FAULT, grader_fault=True)
    spoiled = replace(CLASS[0], checks=(fault, *CLASS[0].checks[1:]))
    analysis = analyse(
        [*CLASS, spoiled, replace(CLASS[0], complete=False), Result("x", "", "full", 0, (), (), False)]
    )
    assert analysis.distribution is not None
    assert analysis.distribution.count == 6
    assert [i.count for i in analysis.items] == [5, 6, 6]


def test_nothing_graded_gives_an_empty_analysis() -> None:
    analysis = analyse([])
    assert analysis.distribution is None
    assert (analysis.questions, analysis.items, analysis.mistakes, analysis.statuses) == ((), (), (), ())


def test_remarks_point_out_the_checks_that_need_a_look() -> None:
    easy, _, upside_down = item_analysis(
        [result("ab"), result("ab"), result("ac"), result("ac"), result("a")]
    )
    assert easy.remark == "everyone passed"
    assert easy.discrimination is None
    assert upside_down.remark == "passed more often by weaker submissions: look at it"
    assert [i.remark for i in item_analysis([result("a"), result("a")])] == [
        "",
        "",
        "",
    ]  # two submissions are too few


ANSWERS = st.lists(st.tuples(st.booleans(), st.integers(0, 150).map(lambda n: n / 2)), max_size=30)


@given(ANSWERS)
def test_point_biserial_is_pearsons_correlation(answers: list[tuple[bool, float]]) -> None:
    passed, rest = [p for p, _ in answers], [r for _, r in answers]
    value = point_biserial(passed, rest)
    if len(answers) < 3 or len(set(passed)) < 2 or len(set(rest)) < 2:
        assert value is None
        return
    assert value is not None
    assert -1 <= value <= 1
    assert value == pytest.approx(_pearson([float(p) for p in passed], rest), abs=1e-9)
    assert point_biserial([not p for p in passed], rest) == pytest.approx(-value, abs=1e-9)


@given(st.lists(st.tuples(st.booleans(), st.floats(-1e9, 1e9)), max_size=20))
def test_point_biserial_stays_in_its_range_for_any_numbers(answers: list[tuple[bool, float]]) -> None:
    value = point_biserial([p for p, _ in answers], [r for _, r in answers])
    assert value is None or -1 <= value <= 1


STATUS = st.sampled_from(["passed", "failed", "error", "timeout", "missing"])
CLASSES = st.lists(
    st.tuples(st.lists(STATUS, min_size=3, max_size=3), st.sampled_from(["", "swapped", "a-sum"])),
    max_size=12,
)


@given(CLASSES, st.randoms(use_true_random=False))
def test_the_analysis_does_not_depend_on_the_order_of_the_results(
    rows: Sequence[tuple[Sequence[Status], str]],
    random: object,
) -> None:
    results = [_with_statuses(statuses, diagnosis) for statuses, diagnosis in rows]
    shuffled = list(results)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert analyse(results) == analyse(shuffled)


@given(CLASSES)
def test_totals_and_ranges_hold_for_every_class(rows: Sequence[tuple[Sequence[Status], str]]) -> None:
    results = [_with_statuses(statuses, diagnosis) for statuses, diagnosis in rows]
    analysis = analyse(results)
    assert sum(count for _, count in analysis.statuses) == 3 * len(results)
    for item in analysis.items:
        assert item.difficulty is not None
        assert 0 <= item.difficulty <= 1
        if item.difficulty in (0, 1):
            assert item.discrimination is None
    if analysis.distribution:
        assert sum(b.count for b in analysis.distribution.bins) == len(results)
        assert sum(q.mean for q in analysis.questions) == pytest.approx(analysis.distribution.mean)


@given(st.floats(0, 1000), st.data())
def test_every_score_is_in_one_bin(most: float, data: st.DataObject) -> None:
    scores = data.draw(st.lists(st.floats(0, most)))
    bins = histogram(scores, most)
    assert len(bins) <= MOST_BINS
    assert bins[0].low == 0
    assert bins[-1].high >= most
    assert [a.high for a in bins[:-1]] == [b.low for b in bins[1:]]
    for n, b in enumerate(bins):
        last = n == len(bins) - 1
        assert b.count == sum(b.low <= s < b.high or (last and s == b.high) for s in scores)


def test_checks_of_a_simulated_class_discriminate_as_its_model_predicts() -> None:
    """Where passing is drawn by ability, nearly every check has a positive discrimination."""
    items = analyse(made_up_class(200)).items
    values = [i.discrimination for i in items if i.discrimination is not None]
    assert len(values) > 0.9 * len(items)
    assert sum(v > 0 for v in values) > 0.95 * len(values)


def _with_statuses(statuses: Sequence[Status], diagnosis: str) -> Result:
    whole = result("abc")
    verdicts = tuple(
        replace(
            v,
            status=s,
            score=v.max_score if s == "passed" else 0,
            feedback=Feedback(diagnosis="" if s == "passed" else diagnosis),
        )
        for v, s in zip(whole.checks, statuses, strict=True)
    )
    return replace(whole, checks=verdicts)


def _pearson(x: Sequence[float], y: Sequence[float]) -> float:
    mx, my = sum(x) / len(x), sum(y) / len(y)
    up = sum((a - mx) * (b - my) for a, b in zip(x, y, strict=True))
    return up / math.sqrt(sum((a - mx) ** 2 for a in x) * sum((b - my) ** 2 for b in y))
