"""Answers without work earn nothing, and no answer makes a check fail itself: a sample of `make forgeries`."""

from __future__ import annotations

from autograder.model.assignment import assignment
from tests.experiments import forgeries

QUESTIONS = ("1-3", "1-4")  # half a minute; the command judges all


def test_made_up_answers_earn_next_to_nothing() -> None:
    solutions = assignment().solutions
    assert solutions is not None
    points, faults = forgeries.matrix(solutions, forgeries.LIARS, QUESTIONS)
    assert not faults
    assert len(points) > 15
    assert forgeries.best(points) <= 2.5


def test_stubs_filled_with_constants_earn_next_to_nothing() -> None:
    points = forgeries.plain_matrix(["zeros", "echo"], ("1-2", "1-9"))
    assert len(points) > 10
    assert forgeries.best(points) == 0
