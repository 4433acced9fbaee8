"""What a fault may cost: limits in its entry, half of a large question, and how the report shows it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from autograder.model.assignment import assignment
from autograder.model.verdicts import Result, Status, Verdict
from tests import corpus
from tests.experiments import adequacy

CHAFF = corpus.Entry("chaff", "made-up", "Something is wrong.", questions=("1-4",), unnamed="It is made up.")


def result(lost: float, question: str = "1-4", worth: float = 7.0) -> Result:
    """A grading of one question with one check."""
    status: Status = "failed" if lost else "passed"
    verdict = Verdict(f"test_x:{question}", question, "Title", "public", status, worth - lost, worth)
    return Result("made-up", "0", "full", 1.0, (verdict,), ((question, worth),))


def test_half_of_a_large_question_is_the_limit() -> None:
    assert adequacy.not_listed([(CHAFF, result(3.5))]) == []
    over = [(CHAFF, result(4.0))]
    assert adequacy.not_listed(over) == over


def test_a_fault_that_is_listed_may_cost_more() -> None:
    listed = replace(CHAFF, costs_all="Nothing of the question runs.")
    graded = [(listed, result(7.0))]
    assert adequacy.not_listed(graded) == []
    assert adequacy.above_half(graded) == graded
    assert "- made-up (100% of 1-4): Nothing of the question runs." in adequacy.report(_with_a_wheat(graded))


def test_small_questions_have_no_limit() -> None:
    small = replace(CHAFF, questions=("1-3",))
    assert adequacy.above_half([(small, result(2.0, "1-3", 2.0))]) == []


def test_the_report_shows_each_share_and_the_median() -> None:
    graded = _with_a_wheat([(CHAFF, result(lost)) for lost in (0.7, 1.4, 7.0)])
    report = adequacy.report(graded)
    assert "| share of its question that a fault costs: least, median, most | 10%, 20%, 100% |" in report
    assert "| chaffs above half of a question of 4 points or more: listed, not listed | 0, 1 |" in report
    assert "| made-up | 1-4 | 0.7 | 10% | 1-4 |" in report
    assert "Diagnosis right for 0.0 %, wrong for 0." in report


def test_an_entry_may_limit_what_its_fault_costs() -> None:
    limited = replace(CHAFF, most=0.5)
    assert corpus.complaints(limited, result(0.5)) == []
    assert corpus.complaints(limited, result(1.0)) == ["costs 1 points on 1-4; at most 0.5 are right"]


def test_a_wheat_has_no_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wheats").mkdir()
    (tmp_path / "wheats/vae.toml").write_text('[[wheat]]\nname = "a"\nsays = "b"\nmost = 1\nedits = []\n')
    monkeypatch.setattr(corpus, "assignment", lambda: replace(assignment(), corpora=tmp_path))
    with pytest.raises(ValueError, match="a wheat costs nothing"):
        corpus.read("wheat")


def _with_a_wheat(graded: list[adequacy.Graded]) -> list[adequacy.Graded]:
    return [(corpus.Entry("wheat", "fine", "Right."), result(0)), *graded]
