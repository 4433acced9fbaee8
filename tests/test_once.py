"""One mistake costs once: failures with one reason, code that works at the usual sizes only, and the second way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from autograder.grading.grader import JudgeOptions, grade
from autograder.model.assignment import FILE, Assignment, load
from autograder.model.verdicts import Result
from autograder.sandbox.launch import launcher
from tests.tiny import CHECKS, PROBES, RUBRIC, SOLUTION, submit, write

Grade = Callable[[str], Result]

SIZES = """
[[size]]
kind = "batch"
usual = 64
other = 70
words = "a batch of 64"
mistake = "batch-size-fixed"

[[size]]
kind = "width"
usual = 8
other = 7
words = "a width of 8"
mistake = "width-fixed"
"""
MISTAKES = """
    from autograder.judging import Mistake

    TWO_IS_ADDED = Mistake("two-is-added", "Two is added.", questions=("1",), gives=lambda x: x + 2, once=True)
    ONE_IS_ADDED = Mistake("one-is-added", "One is added.", questions=("1",), gives=lambda x: x + 1)
    BATCH_FIXED = Mistake("batch-size-fixed", "The batch size is written in.", questions=("1",), once=True)
    WIDTH_FIXED = Mistake("width-fixed", "The width is written in.", questions=("1",), once=True)
"""
CHECK = """
    from autograder.judging import candidates, check, expect_close

    from ...mistakes.public.first import ONE_IS_ADDED, TWO_IS_ADDED

    def judge(submission, draw):
        n, width = draw.size("batch", 3, 6), draw.size("width", 2, 6)
        x = draw.normal(n, width)
        y = submission.ask("first.double", seconds=3, x=x).tensor("y", (n, width))
        expect_close(y, 2 * x, what="double(x)", mistakes=candidates([TWO_IS_ADDED, ONE_IS_ADDED], x))
"""
ONE = """
    @check("1", points={points}, title="{title}", asks="double(x): 2 x.")
    def test_{name}(submission, draw):
        judge(submission, draw)
"""


@pytest.fixture(scope="module")
def assignment(tmp_path_factory: pytest.TempPathFactory) -> Assignment:
    checks = {
        **CHECKS,
        "mistakes/public/first.py": MISTAKES,
        "checks/public/test_first.py": CHECK + ONE.format(points=1, title="Twice", name="twice"),
        "checks/hidden/test_first.py": CHECK
        + ONE.format(points=2, title="Twice again", name="again")
        + ONE.format(points=1, title="And again", name="once_more"),
    }
    home = write(tmp_path_factory.mktemp("sizes") / "tiny", {FILE: RUBRIC + SIZES, **PROBES, **checks})
    write(home / "solutions", {**SOLUTION, "given.py": "GIVEN = 1\n"})
    return load(home)


@pytest.fixture
def graded(assignment: Assignment, tmp_path: Path) -> Iterator[Grade]:
    boxes = launcher()

    def run(body: str) -> Result:
        first = submit(tmp_path / "submission", assignment, first=f"def double(x):\n    {body}\n")
        return grade(first, assignment, boxes, JudgeOptions("s", questions=("1",)))

    yield run
    boxes.close()


def statuses(result: Result) -> dict[str, tuple[str, str | None]]:
    return {v.id.partition(":")[2]: (v.status, v.mistake) for v in result.checks}


def test_the_most_valuable_check_pays_for_a_mistake_that_explains_several(graded: Grade) -> None:
    result = graded("return x + 2")
    assert result.score == 2
    assert statuses(result) == {
        "twice": ("passed", None),
        "again": ("failed", "two-is-added"),
        "once_more": ("passed", None),
    }
    excused = result.checks[0].feedback.text()
    assert "costs points once" in excused and "Two is added." in excused


def test_a_mistake_that_explains_less_costs_in_every_check(graded: Grade) -> None:
    result = graded("return x + 1")
    assert result.score == 0
    assert set(statuses(result).values()) == {("failed", "one-is-added")}


@pytest.mark.parametrize(
    ("body", "mistake", "works"),
    [
        ("return 2 * x.reshape(64, -1)", "batch-size-fixed", "a batch of 64"),
        ("return 2 * x.reshape(-1, 8).reshape(len(x), 8)", "width-fixed", "a width of 8"),
        ("return 2 * x.reshape(64, 8)", "sizes-fixed", "a batch of 64 and a width of 8"),
    ],
)
def test_a_size_that_is_written_in_costs_once_and_is_named(
    graded: Grade, body: str, mistake: str, works: str
) -> None:
    result = graded(body)
    assert result.score == 2
    assert statuses(result)["again"] == ("failed", mistake)
    (payer,) = [v for v in result.checks if v.status == "failed"]
    assert f"It works with {works}." in payer.feedback.text()


def test_code_that_is_wrong_at_the_usual_sizes_too_has_no_size_mistake(graded: Grade) -> None:
    result = graded("return 3 * x.reshape(64, -1)")
    assert result.score == 0
    assert all(v.mistake is None for v in result.checks)


def test_code_that_works_at_another_unusual_size_too_has_no_size_mistake(graded: Grade) -> None:
    result = graded("return 2 * x if len(x) > 6 else x[:1]")
    assert result.score == 0
    assert all(v.mistake is None for v in result.checks)


def test_code_that_is_not_written_is_not_tried_at_other_sizes(graded: Grade) -> None:
    result = graded("raise NotImplementedError('TODO 1: write double')")
    assert {v.status for v in result.checks} == {"missing"}
    assert result.score == 0
