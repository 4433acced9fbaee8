"""What an assignment's checks are, without any submission and without running them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from autograder.grading.collecting import Check, run_pytest, weight_of
from autograder.grading.grader import Grader, JudgeOptions
from autograder.model.assignment import Assignment
from autograder.model.rubric import Question
from autograder.model.verdicts import Verdict
from autograder.sandbox.box import Box
from autograder.sandbox.launch import Isolation, Limits
from autograder.submissions.intake import empty


def weights_of(assignment: Assignment) -> dict[str, float]:
    """The sum of the weights of all checks, by question. Raises RuntimeError when they cannot be collected."""
    return _list(assignment).weights


def checks_of(assignment: Assignment) -> tuple[Verdict, ...]:
    """All checks of an assignment in their order, as verdicts of an ungraded submission.

    Raises RuntimeError when the check files cannot be collected.
    """
    return _list(assignment).result().checks


def _list(assignment: Assignment) -> _Lister:
    lister = _Lister(assignment)
    assignment.make_importable()
    run_pytest(lister, assignment)
    return lister


class _Lister(Grader):
    """Collects checks without running them. weights: the sum of the weights of each question's checks."""

    def __init__(self, assignment: Assignment) -> None:
        super().__init__(empty("", ""), assignment, _NoLauncher(), JudgeOptions(""), lambda result: None)
        self.weights: dict[str, float] = {}

    def _with_points(self, question: Question, checks: Sequence[Check]) -> list[Check]:
        self.weights[question.id] = weight_of(checks)
        return super()._with_points(question, checks)

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        return True


class _NoLauncher:
    """The launcher of a grader that runs no student code."""

    isolation: Isolation = "process"
    unable: Sequence[str] = ()
    same_user = True

    def box(self, limits: Limits) -> Box:
        raise RuntimeError("listing checks runs no student code")

    def close(self) -> None:
        pass
