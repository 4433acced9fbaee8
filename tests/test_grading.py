"""The engine, on a tiny assignment: every way in which a submission can go wrong costs its own questions and says so."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from autograder.examinee import Examinee, NoAnswer
from autograder.grading import Options, grade
from autograder.rubric import Assignment
from autograder.sandbox.launch import Launcher, Limits, launcher
from autograder.verdicts import Result, Verdict
from tests.tiny import make_assignment, submit


@pytest.fixture(scope="module")
def boxes() -> Iterator[Launcher]:
    made = launcher()
    yield made
    made.close()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Assignment:
    return make_assignment(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def graded(tiny: Assignment, boxes: Launcher, tmp_path: Path) -> Grade:
    return Grade(tiny, boxes, tmp_path)


class Grade:
    """Grades the tiny solution with some modules replaced."""

    def __init__(self, assignment: Assignment, boxes: Launcher, folder: Path) -> None:
        self.assignment, self.boxes, self.folder = assignment, boxes, folder
        self.partial: list[Result] = []

    def __call__(self, secret: str = "s", **files: str) -> Result:
        submission = submit(self.folder / "submission", self.assignment, **files)
        return grade(submission, self.assignment, self.boxes, Options(secret), self.partial.append)


def verdict(result: Result, id: str) -> Verdict:
    return next(v for v in result.checks if v.id == id)


def test_the_solution_gets_full_marks(graded: Grade) -> None:
    result = graded()
    assert (result.score, result.max_score, result.complete) == (6, 6, True)
    assert [v.visibility for v in result.of("1")] == ["public", "hidden"]


def test_a_wrong_value_is_told_with_what_was_asked_expected_and_seen(graded: Grade) -> None:
    text = verdict(graded(first="def double(x):\n    return x * 2.5\n"), "1:twice").feedback
    assert "Asked: double(x): 2 x." in text
    assert "Expected: double(x)" in text
    assert "Seen: " in text


def test_a_known_mistake_is_named(graded: Grade) -> None:
    found = verdict(graded(first="def double(x):\n    return x + 2\n"), "1:twice")
    assert found.status == "failed"
    assert found.diagnosis == "Two is added."
    assert "Try: Multiply by two." in found.feedback


def test_an_unknown_mistake_gets_no_diagnosis(graded: Grade) -> None:
    assert verdict(graded(first="def double(x):\n    return x + 3\n"), "1:twice").diagnosis is None


def test_one_mistake_costs_once(graded: Grade) -> None:
    result = graded(first="def double(x):\n    return x * 5\n")
    assert (result.score_of("1"), result.score_of("2")) == (0, 2)


def test_a_missing_module_costs_its_own_question_only(graded: Grade) -> None:
    result = graded(first="")
    assert {v.status for v in result.of("1")} == {"missing"}
    assert "first.py is not in the submission" in verdict(result, "1:twice").feedback
    assert result.score_of("2") == 2


def test_a_helper_from_the_own_earlier_module_is_found(graded: Grade) -> None:
    result = graded(
        first="def double(x):\n    return 2 * x\n\n\ndef four(x):\n    return 4 * x\n",
        second="from first import four\n\n\ndef quadruple(x):\n    return four(x)\n",
    )
    assert result.score == 6


def test_what_only_works_with_the_own_modules_counts(graded: Grade) -> None:
    result = graded(
        first="def double(x, times=2):\n    return times * x\n",
        second="from first import double\n\n\ndef quadruple(x):\n    return double(x, times=4)\n",
    )
    assert result.score == 6


@pytest.mark.parametrize(
    ("code", "status", "says"),
    [
        (
            "def double(x):\n    while True:\n        x = x + 1\n",
            "timeout",
            "did not finish within 3 s; it was at first.py, line",
        ),
        (
            "def double(x):\n    import time\n    time.sleep(1e6)\n",
            "timeout",
            "did not finish within 3 s; it was at first.py, line 3: time.sleep(1e6)",
        ),
        ("import os\ndef double(x):\n    os._exit(0)\n", "error", "exited with status 0"),
        ("import ctypes\ndef double(x):\n    ctypes.string_at(0)\n", "error", "SIGSEGV"),
        ("def double(x):\n    exit()\n", "error", "asked the interpreter to stop"),
        ("def double(x):\n    return 1 / 0\n", "failed", "ZeroDivisionError"),
        (
            "def double(x):\n    raise NotImplementedError('1: write double')\n",
            "missing",
            "not written yet (1: write double)",
        ),
        ("x = 3\n", "missing", "first.py has no double"),
        ("def double(x)\n    return x\n", "error", "not valid Python"),
        ("raise KeyError('at import')\n", "error", "could not be imported: KeyError"),
        ("import nowhere_at_all\n", "error", "could not be imported: No module named"),
        ("def double(x):\n    return None\n", "failed", "Seen: None"),
        ("def double(x):\n    return x.expand(10, 3, 2)\n", "failed", "shape (10, 3, 2)"),
        ("def double(x):\n    return 2 * x / 0\n", "failed", "infinite"),
        ("def double(x):\n    return x.new_zeros(1).expand(1 << 40)\n", "failed", "too large"),
        ("def double(x):\n    return bytearray(1 << 40)\n", "failed", "MemoryError"),
        (
            "class E(Exception):\n    def __str__(self): raise E()\ndef double(x):\n    raise E()\n",
            "failed",
            "E: (its message",
        ),
        (
            "import sys, os\nfor n in range(3, 64):\n    try: os.write(n, b'x' * 99)\n    except OSError: pass\n",
            "error",
            "read",
        ),
    ],
)
def test_a_failure_costs_its_own_question_and_says_so(
    graded: Grade, code: str, status: str, says: str
) -> None:
    result = graded(first=code)
    found = verdict(result, "1:twice")
    assert (found.status, found.score) == (status, 0)
    assert says in found.feedback
    assert "autograder" not in found.feedback
    assert result.score_of("2") == 2


def test_a_module_that_never_ends_importing_is_waited_for_once(
    graded: Grade, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autograder.examinee.IMPORT_SECONDS", 1.0)
    result = graded(first="while True: pass\n")
    assert {v.status for v in result.of("1")} == {"timeout"}
    assert "importing first.py did not finish" in verdict(result, "1:twice").feedback
    assert result.score_of("2") == 2
    assert result.seconds < 10


def test_a_question_has_one_budget_for_all_its_checks(graded: Grade) -> None:
    code = "import time\ndef double(x):\n    time.sleep(2)\n    return 2 * x\n"
    first, *others = graded.assignment.rubric.questions
    rubric = replace(graded.assignment.rubric, questions=(replace(first, seconds=3.0), *others))
    graded.assignment = replace(graded.assignment, rubric=rubric)
    result = graded(first=code)
    assert [v.status for v in result.of("1")] == ["passed", "timeout"]


def test_time_that_a_hanging_check_has_used_up_is_not_the_graders_fault(graded: Grade) -> None:
    first, *others = graded.assignment.rubric.questions
    rubric = replace(graded.assignment.rubric, questions=(replace(first, seconds=2.0), *others))
    graded.assignment = replace(graded.assignment, rubric=rubric)
    result = graded(first="import time\ndef double(x):\n    time.sleep(100)\n")
    assert [v.status for v in result.of("1")] == ["timeout", "timeout"]
    assert "the question's time (2 s for all its checks) is used up" in result.of("1")[1].feedback


def test_an_import_cut_short_by_one_question_is_tried_again_in_the_next(
    tiny: Assignment, boxes: Launcher
) -> None:
    files = {"first.py": b"import time\ntime.sleep(1)\ndef double(x):\n    return 2 * x\n"}
    examinee = Examinee(files, tiny, boxes, Limits())
    question = tiny.rubric.question("1")
    examinee.begin(replace(question, seconds=0.5))
    with pytest.raises(NoAnswer, match="did not finish"):
        examinee.ask("first.double", x=torch.ones(3))
    examinee.begin(question)
    assert examinee.ask("first.double", x=torch.ones(3)).tensor("y", (3,)).tolist() == [2, 2, 2]
    examinee.end()


def test_state_does_not_pass_from_one_question_to_the_next(graded: Grade) -> None:
    result = graded(
        first="import torch\ntorch.set_default_dtype(torch.float64)\ntorch.manual_seed = None\n"
        "def double(x): return 2 * x\n",
        second="import torch\nassert torch.get_default_dtype() == torch.float32 and callable(torch.manual_seed)\n"
        "def quadruple(x): return 4 * x\n",
    )
    assert result.score == 6


def test_prints_are_kept_bounded_and_never_read_as_answers(graded: Grade) -> None:
    result = graded(first="def double(x):\n    print('GMA1' * 100_000)\n    return 2 * x\n")
    assert result.score == 6
    assert result.printed["1"].startswith("GMA1")
    assert len(result.printed["1"]) <= 4000


def test_the_same_submission_gets_byte_equal_scores(graded: Grade) -> None:
    code = "import torch\ndef double(x):\n    return 2 * x + (torch.rand(()) < 0.5)\n"

    def scores() -> str:
        table = graded(first=code).to_json()
        return json.dumps([table["score"], table["questions"], table["checks"]])

    assert len({scores() for _ in range(3)}) == 1


def test_inputs_depend_on_the_secret(graded: Grade) -> None:
    code = "def double(x):\n    return 3 * x\n"
    texts = {verdict(graded(secret, first=code), "1:twice").feedback for secret in "abc"}
    assert len(texts) == 3


def test_results_come_before_the_first_question_and_after_each(graded: Grade) -> None:
    graded()
    assert [r.complete for r in graded.partial] == [False, False, True]
    assert [r.score for r in graded.partial] == [0, 4, 6]
    assert all(r.max_score == 6 for r in graded.partial)


def test_a_check_that_crashes_is_the_graders_fault(graded: Grade, caplog: pytest.LogCaptureFixture) -> None:
    path = graded.assignment.checks / "hidden" / "test_broken.py"
    path.write_text(
        "from autograder.judging import check\n"
        "@check('2', points=0, title='t', asks='a')\ndef test_broken(submission): {}['x']\n"
    )
    try:
        result = graded()
    finally:
        path.unlink()
    found = verdict(result, "2:broken")
    assert found.status == "error"
    assert "fault in the grader" in found.feedback
    assert "KeyError" not in found.feedback
    assert "KeyError" in caplog.text


def test_a_check_file_that_cannot_be_read_stops_grading(graded: Grade) -> None:
    path = graded.assignment.checks / "public" / "test_broken.py"
    path.write_text("import nowhere_at_all\n")
    try:
        with pytest.raises(RuntimeError, match="nowhere_at_all"):
            graded()
    finally:
        path.unlink()


def test_the_reference_is_never_in_a_students_process(graded: Grade) -> None:
    """What the student's process can reach by itself: its folder and its loaded modules hold no reference, no check."""
    secret = "THE-REFERENCE-TEXT"
    solution = graded.assignment.reference
    assert solution is not None
    first = solution / "first.py"
    kept = first.read_text()
    first.write_text(f"# {secret}\n{kept}")
    code = f"""
import gc, os, sys
def double(x):
    texts = [o for o in gc.get_objects() if isinstance(o, str)]
    for m in list(sys.modules.values()):
        texts += [v for v in vars(m).values() if isinstance(v, str)]
    for name in os.listdir('.'):
        texts.append(open(name).read())
    # The text sought is put together here, so that this module itself does not hold it.
    assert not any({secret[:8]!r} + {secret[8:]!r} in t for t in texts), 'found it'
    assert 'autograder' not in sys.modules and 'pytest' not in sys.modules
    return 2 * x
"""
    try:
        assert graded(first=code).score == 6
    finally:
        first.write_text(kept)
