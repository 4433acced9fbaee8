"""A hidden check that judges as a public one does takes its verdict, and judges by itself where the public one does not run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from autograder.grading.grader import JudgeOptions, grade
from autograder.model.assignment import FILE, load
from autograder.model.verdicts import Result, Verdict, Visibility
from autograder.sandbox.launch import launcher
from tests.tiny import CHECKS, PROBES, RUBRIC, SOLUTION, submit, write

Grade = Callable[..., Result]

PUBLIC = """
    from autograder.judging import check, expect_close

    @check("1", points=1, title="It doubles", asks="double(x): 2 x.")
    def test_doubles(submission, draw):
        submission.ask("first.double", x=draw.normal(2)).tensor("y", (2,))

    @check("1", points=0, title="The result is twice the input (for information)", asks="double(x): 2 x.")
    def test_twice_early(submission, draw):
        x = draw.normal(3, 2)
        expect_close(submission.ask("first.double", x=x).tensor("y", (3, 2)), 2 * x, what="double(x)")
"""
HIDDEN = """
    from autograder.judging import again

    from ..public import test_first as public

    test_twice = again(public.test_twice_early, points=3, rubric="The values of double")
"""


@pytest.fixture
def graded(tmp_path: Path) -> Iterator[Grade]:
    checks = {**CHECKS, "checks/public/test_first.py": PUBLIC, "checks/hidden/test_first.py": HIDDEN}
    home = write(tmp_path / "tiny", {FILE: RUBRIC, **PROBES, **checks})
    write(home / "solutions", {**SOLUTION, "given.py": "GIVEN = 1\n"})
    assignment, boxes = load(home), launcher()

    def run(body: str, *visibilities: Visibility) -> Result:
        first = submit(tmp_path / "submission", assignment, first=f"def double(x):\n    return {body}\n")
        return grade(first, assignment, boxes, JudgeOptions("s", visibilities, questions=("1",)))

    yield run
    boxes.close()


def verdict(result: Result, name: str) -> Verdict:
    (found,) = (v for v in result.checks if v.id == f"1:{name}")
    return found


def test_it_passes_and_fails_with_the_public_check(graded: Grade) -> None:
    right = verdict(graded("2 * x", "public", "hidden"), "twice")
    assert (right.status, right.score, right.visibility) == ("passed", 3, "hidden")
    assert (right.title, right.rubric) == ("The result is twice the input", "The values of double")

    wrong = graded("3 * x", "public", "hidden")
    early, late = verdict(wrong, "twice_early"), verdict(wrong, "twice")
    assert (late.status, late.score, late.max_score) == ("failed", 0, 3)
    assert late.feedback == early.feedback  # with the numbers of the public check's inputs


def test_it_judges_by_itself_without_the_public_check(graded: Grade) -> None:
    both, alone = graded("3 * x", "public", "hidden"), graded("3 * x", "hidden")
    assert verdict(alone, "twice").status == "failed"
    assert verdict(alone, "twice").feedback.seen != verdict(both, "twice").feedback.seen
    assert graded("2 * x", "hidden").score == 3
