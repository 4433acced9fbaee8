"""Grading a tiny assignment: each fault of a submission costs only its own questions, and the feedback explains it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from autograder.classroom.collect import Entry
from autograder.classroom.rows import rows_of
from autograder.grading import bounds, grader
from autograder.grading.grader import JudgeOptions, grade
from autograder.grading.options import stretched
from autograder.grading.sandboxed import SandboxedSubmission
from autograder.judging.draw import seed_from
from autograder.judging.outcome import NoAnswer
from autograder.model.assignment import Assignment
from autograder.model.student import Student
from autograder.model.verdicts import Result, Verdict
from autograder.sandbox import wire
from autograder.sandbox.box import Box
from autograder.sandbox.fork_launcher import ForkLauncher
from autograder.sandbox.launch import Launcher, Limits, launcher
from autograder.sandbox.levels import Unavailable
from autograder.submissions import intake
from tests.tiny import SOLUTION, make_assignment, submit


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
        return grade(submission, self.assignment, self.boxes, JudgeOptions(secret), self.partial.append)


def verdict(result: Result, id: str) -> Verdict:
    return next(v for v in result.checks if v.id == id)


def test_the_solution_gets_full_marks(graded: Grade) -> None:
    result = graded()
    assert (result.score, result.max_score, result.complete) == (6, 6, True)
    assert [v.visibility for v in result.of("1")] == ["public", "hidden"]


def with_points(assignment: Assignment, question: str, points: float) -> Assignment:
    """The assignment with other points for a question in its rubric; its checks stay as they are."""
    questions = tuple(
        replace(q, points=points) if q.id == question else q for q in assignment.rubric.questions
    )
    return replace(assignment, rubric=replace(assignment.rubric, questions=questions))


@pytest.mark.parametrize(
    ("points", "shares"), [(8, [2, 6]), (1, [0.25, 0.75]), (0.5, [0.125, 0.375]), (0, [0, 0])]
)
def test_the_rubric_decides_what_a_question_is_worth(
    graded: Grade, points: float, shares: list[float]
) -> None:
    """The numbers of its checks, 1 and 3, are weights."""
    graded.assignment = with_points(graded.assignment, "1", points)
    result = graded()
    assert [v.max_score for v in result.of("1")] == [v.score for v in result.of("1")] == shares
    assert (dict(result.points)["1"], result.score) == (points, points + 2)


def test_shares_that_are_no_round_numbers_add_up_exactly(boxes: Launcher, tmp_path: Path) -> None:
    assignment = make_assignment(tmp_path)
    checks = assignment.checks / "hidden" / "test_first.py"
    text = checks.read_text()
    again = text[text.index("@check") :].replace("points=3", "points=0.1")
    more = [again.replace("test_any_shape", f"test_any_shape_{i}") for i in range(5)]
    checks.write_text("\n\n".join([text, *more]))
    result = Grade(with_points(assignment, "1", 10), boxes, tmp_path)()
    assert [v.max_score for v in result.of("1")][:3] == [2.222222, 6.666667, 0.222222]
    assert (len(result.of("1")), result.score_of("1"), result.score, result.max_score) == (7, 10, 12, 12)
    assert Result.from_json(json.loads(json.dumps(result.to_json()))).score == 12


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        ("0", "question 2 has 2 points in the rubric, but no check of it has any"),
        ("-1", "points=-1 is not a number from 0 up"),
        ("'2'", "points='2' is not a number from 0 up"),
    ],
)
def test_weights_that_make_no_sense_are_refused_in_one_line(
    boxes: Launcher, tmp_path: Path, weight: str, message: str
) -> None:
    assignment = make_assignment(tmp_path)
    checks = assignment.checks / "public" / "test_second.py"
    checks.write_text(checks.read_text().replace("points=2", f"points={weight}"))
    with pytest.raises(RuntimeError) as raised:
        Grade(assignment, boxes, tmp_path)()
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("limit", ["CHECK_SECONDS", "QUESTION_SECONDS"])
def test_a_check_that_computes_without_end_costs_its_question_and_no_other(
    boxes: Launcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(bounds, limit, 0.3)
    assignment = make_assignment(tmp_path)
    checks = assignment.checks / "public" / "test_first.py"
    checks.write_text(
        checks.read_text().replace("    x = draw", "    while True:\n        sum(range(1000))\n    x = draw")
    )
    result = Grade(assignment, boxes, tmp_path)()
    found = verdict(result, "1:twice")
    assert (found.status, found.grader_fault, result.score_of("2"), result.complete) == (
        "timeout",
        False,
        2,
        True,
    )


def test_seeds_come_from_a_secret_that_takes_long_to_guess(
    graded: Grade, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Code can print its seed, and its author then try words; of public checks alone the secret is none."""
    seen: list[str] = []

    def seed(*parts: str) -> int:
        seen.extend(parts)
        return seed_from(*parts)

    monkeypatch.setattr(grader, "seed_from", seed)
    graded("a short secret")
    assert "a short secret" not in seen
    assert stretched("a short secret") in seen


def test_feedback_on_a_wrong_value_has_what_was_asked_expected_and_seen(graded: Grade) -> None:
    text = verdict(graded(first="def double(x):\n    return x * 2.5\n"), "1:twice").feedback.text()
    assert "Asked: double(x): 2 x." in text
    assert "Expected: double(x)" in text
    assert "Seen: " in text


def test_a_known_mistake_is_named(graded: Grade) -> None:
    found = verdict(graded(first="def double(x):\n    return x + 2\n"), "1:twice")
    assert found.status == "failed"
    assert (found.mistake, found.diagnosis) == ("two-is-added", "Two is added.")
    assert "Try: Multiply by two." in found.feedback.text()


def test_an_unknown_mistake_gets_no_diagnosis(graded: Grade) -> None:
    assert verdict(graded(first="def double(x):\n    return x + 3\n"), "1:twice").diagnosis is None


def test_one_mistake_costs_once(graded: Grade) -> None:
    result = graded(first="def double(x):\n    return x * 5\n")
    assert (result.score_of("1"), result.score_of("2")) == (0, 2)


def test_a_missing_module_costs_its_own_question_only(graded: Grade) -> None:
    result = graded(first="")
    assert {v.status for v in result.of("1")} == {"missing"}
    assert "first.py is not in the submission" in verdict(result, "1:twice").feedback.text()
    assert result.score_of("2") == 2


def test_a_helper_in_the_students_earlier_module_is_found(graded: Grade) -> None:
    result = graded(
        first="def double(x):\n    return 2 * x\n\n\ndef four(x):\n    return 4 * x\n",
        second="from first import four\n\n\ndef quadruple(x):\n    return four(x)\n",
    )
    assert result.score == 6


def test_code_that_works_only_with_the_students_own_modules_counts(graded: Grade) -> None:
    result = graded(
        first="def double(x, times=2):\n    return times * x\n",
        second="from first import double\n\n\ndef quadruple(x):\n    return double(x, times=4)\n",
    )
    assert result.score == 6


@pytest.mark.parametrize(
    ("code", "status", "text"),
    [
        (
            "def double(x):\n    while True:\n        x = x + 1\n",
            "timeout",
            "did not finish within 3 s\n  at first.py, line",
        ),
        (
            "def double(x):\n    import time\n    time.sleep(1e6)\n",
            "timeout",
            "did not finish within 3 s\n  at first.py, line 3: time.sleep(1e6)",
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
def test_a_failure_costs_its_own_question_and_is_explained(
    graded: Grade, code: str, status: str, text: str
) -> None:
    result = graded(first=code)
    found = verdict(result, "1:twice")
    assert (found.status, found.score) == (status, 0)
    assert text in found.feedback.text()
    assert "autograder" not in found.feedback.text()
    assert result.score_of("2") == 2


@pytest.mark.parametrize("name", ["first.py", "helper.py"])
def test_a_file_that_is_not_text_has_one_clear_message(graded: Grade, name: str) -> None:
    """Whether it is the question's module or one that it imports: Python itself would say "null bytes", at no line."""
    submit(graded.folder / "odd", graded.assignment, first="from helper import double\n")
    text = SOLUTION["first.py"]
    files = {"helper.py": text.encode()} if name != "first.py" else {}
    for file, data in {**files, name: text.encode("utf-16")}.items():
        (graded.folder / "odd" / file).write_bytes(data)
    submission = intake.read(graded.folder / "odd", graded.assignment.rubric)
    found = verdict(grade(submission, graded.assignment, graded.boxes, JudgeOptions("s")), "1:twice")
    assert found.status == "error"
    assert f"{name} is UTF-16 text, which Python cannot read" in found.feedback.text()
    assert "Save it as UTF-8 text." in found.feedback.text()
    assert "null bytes" not in found.feedback.text() and "at (nothing)" not in found.feedback.text()
    assert submission.notes == (f"{name} is UTF-16 text; save it as UTF-8 text",)


def test_a_module_whose_import_never_ends_is_waited_for_once(
    graded: Grade, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autograder.grading.sandboxed.IMPORT_SECONDS", 1.0)
    result = graded(first="while True: pass\n")
    assert {v.status for v in result.of("1")} == {"timeout"}
    assert "importing first.py did not finish" in verdict(result, "1:twice").feedback.text()
    assert result.score_of("2") == 2
    assert result.seconds < 10


def computes(seconds: float, step: str = "pass") -> str:
    """A right module that computes for a while first."""
    until = f"    until = time.process_time() + {seconds}\n    while time.process_time() < until: {step}\n"
    return f"import time\ndef double(x):\n{until}    return 2 * x\n"


def test_a_question_has_one_budget_for_all_its_checks(graded: Grade) -> None:
    first, *others = graded.assignment.rubric.questions
    rubric = replace(graded.assignment.rubric, questions=(replace(first, seconds=3.0), *others))
    graded.assignment = replace(graded.assignment, rubric=rubric)
    result = graded(first="import time\ndef double(x):\n    time.sleep(2)\n    return 2 * x\n")
    assert [v.status for v in result.of("1")] == ["passed", "timeout"]


@pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="processes cannot be bound to a processor here"
)
@pytest.mark.parametrize(
    ("step", "bound"),
    [("pass", True), ("torch.mm(a, a)", False)],
    ids=["Python on one processor", "PyTorch"],
)
def test_the_time_that_other_programs_use_is_not_the_submissions(
    graded: Grade, step: str, bound: bool
) -> None:
    """Right code that computes for two seconds of the three that it may, on processors that others use too."""
    processors = sorted(os.sched_getaffinity(0))[:1] if bound else sorted(os.sched_getaffinity(0))
    bind = f"import os\nos.sched_setaffinity(0, {processors})\n"
    code = f"{bind}import torch\na = torch.ones(100, 100)\n{computes(2, step)}"
    with ExitStack() as others:
        for _ in processors:
            other = others.enter_context(subprocess.Popen([sys.executable, "-c", f"{bind}while True: pass"]))
            others.callback(other.kill)
        result = graded(first=code)
    assert verdict(result, "1:twice").status == "passed"


@pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="processes cannot be bound to a processor here"
)
def test_a_late_answer_costs_no_other_question_its_patience(graded: Grade) -> None:
    """The first question hangs; the second computes for two seconds of the three that it may, beside another program."""
    bind = f"import os\nos.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[:1]})\n"
    slow = computes(2).replace("double", "quadruple").replace("2 * x", "4 * x")
    with subprocess.Popen([sys.executable, "-c", f"{bind}while True: pass"]) as other:
        try:
            result = graded(first="def double(x):\n    while True: pass\n", second=f"{bind}{slow}")
        finally:
            other.kill()
    assert verdict(result, "1:twice").status == "timeout"
    assert verdict(result, "2:four_times").status == "passed"


def test_code_that_only_waits_gets_no_patience(tiny: Assignment, boxes: Launcher) -> None:
    """It may compute for 3 s, and would get 9 s if it did."""
    files = {
        "first.py": b"import time\ndef double(x):\n    time.sleep(100 * bool(x.any()))\n    return 2 * x\n"
    }
    sandboxed = SandboxedSubmission(files, tiny, boxes, Limits())
    sandboxed.begin(tiny.rubric.question("1"))
    sandboxed.ask("first.double", x=torch.zeros(3))  # starts the process
    began = time.monotonic()
    with pytest.raises(NoAnswer, match="did not finish"):
        sandboxed.ask("first.double", seconds=3, x=torch.ones(3))
    assert time.monotonic() - began < 6
    sandboxed.end()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no fork server")
def test_a_fork_server_that_is_lost_twice_costs_the_answer_at_hand_and_nothing_else(
    graded: Grade, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent, request = [], Box.request

    def lose(box: Box, message: Mapping[str, Any], *limits: float) -> dict[str, Any]:
        if message["op"] == "probe":
            sent.append(message["function"])
            if len(sent) <= 2:
                threading.Timer(0.5, graded.boxes._process.kill).start()  # type: ignore[attr-defined]
        return request(box, message, *limits)

    monkeypatch.setattr(Box, "request", lose)
    result = graded(first="import time\ndef double(x):\n    time.sleep(1)\n    return 2 * x\n")
    assert sent == ["double", "double", "double", "quadruple"]
    assert {v.id: v.status for v in result.checks} == {
        "1:twice": "error",
        "1:any_shape": "passed",
        "2:four_times": "passed",
    }


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no fork server")
def test_a_fork_server_that_is_lost_while_it_loads_torch_costs_nothing(
    tiny: Assignment, tmp_path: Path
) -> None:
    boxes = launcher(own_code=True)
    boxes._process.kill()  # type: ignore[attr-defined]
    assert Grade(tiny, boxes, tmp_path)().score == 6
    boxes.close()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no fork server")
def test_a_fork_server_that_is_lost_whenever_it_loads_torch_is_one_line(
    tiny: Assignment, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = ForkLauncher._start

    def start_and_lose(boxes: ForkLauncher) -> None:
        start(boxes)
        boxes._process.kill()

    monkeypatch.setattr(ForkLauncher, "_start", start_and_lose)
    boxes = launcher(own_code=True)
    with pytest.raises(Unavailable, match="does not answer"):
        boxes.box(Limits())
    boxes.close()


def test_a_question_whose_own_files_leave_no_room_ends_and_the_run_goes_on(
    tiny: Assignment, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The folder for temporary files is taken away while the question's first process runs: no second one can be made."""
    files = {name: text.encode() for name, text in SOLUTION.items()}
    place = tmp_path / "temporary"
    place.mkdir()
    place.chmod(0o755)
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    boxes = launcher(isolation="process", own_code=True)
    sandboxed = SandboxedSubmission(files, tiny, boxes, Limits())
    sandboxed.begin(tiny.rubric.question("2"))
    sandboxed.ask("second.quadruple", x=torch.zeros(3))
    sandboxed.start_check(0, "own")
    place.rename(tmp_path / "elsewhere")
    with pytest.raises(NoAnswer, match="your code has filled the disk"):
        sandboxed.ask("second.quadruple", x=torch.zeros(3))
    (tmp_path / "elsewhere").rename(place)
    sandboxed.begin(tiny.rubric.question("1"))
    assert sandboxed.ask("first.double", x=torch.ones(3)).tensor("y", (3,)).tolist() == [2, 2, 2]
    sandboxed.end()
    boxes.close()


def test_time_that_a_hanging_check_has_used_up_is_not_the_graders_fault(graded: Grade) -> None:
    first, *others = graded.assignment.rubric.questions
    rubric = replace(graded.assignment.rubric, questions=(replace(first, seconds=2.0), *others))
    graded.assignment = replace(graded.assignment, rubric=rubric)
    result = graded(first="import time\ndef double(x):\n    time.sleep(100)\n")
    assert [v.status for v in result.of("1")] == ["timeout", "timeout"]
    assert "the question's time (2 s for all its checks) is used up" in result.of("1")[1].feedback.text()


def test_an_import_cut_short_by_one_question_is_tried_again_in_the_next(
    tiny: Assignment, boxes: Launcher
) -> None:
    files = {"first.py": b"import time\ntime.sleep(1)\ndef double(x):\n    return 2 * x\n"}
    sandboxed = SandboxedSubmission(files, tiny, boxes, Limits())
    question = tiny.rubric.question("1")
    sandboxed.begin(replace(question, seconds=0.5))
    with pytest.raises(NoAnswer, match="did not finish"):
        sandboxed.ask("first.double", x=torch.ones(3))
    sandboxed.begin(question)
    assert sandboxed.ask("first.double", x=torch.ones(3)).tensor("y", (3,)).tolist() == [2, 2, 2]
    sandboxed.end()


def test_state_is_not_carried_from_one_question_to_the_next(graded: Grade) -> None:
    result = graded(
        first="import torch\ntorch.set_default_dtype(torch.float64)\ntorch.manual_seed = None\n"
        "def double(x): return 2 * x\n",
        second="import torch\nassert torch.get_default_dtype() == torch.float32 and callable(torch.manual_seed)\n"
        "def quadruple(x): return 4 * x\n",
    )
    assert result.score == 6


def test_printed_text_is_kept_up_to_a_limit_and_never_read_as_an_answer(graded: Grade) -> None:
    result = graded(first="def double(x):\n    print('GMA1' * 100_000)\n    return 2 * x\n")
    assert result.score == 6
    assert result.printed["1"].startswith("GMA1")
    assert len(result.printed["1"]) <= 4000


def test_no_amount_of_printing_changes_a_verdict(graded: Grade) -> None:
    lines = "    for _ in range(40_000):\n        print('x' * 2000)\n"
    result = graded(first=f"def double(x):\n{lines}    return 2 * x\n")
    assert result.score == 6
    assert result.printed["1"].startswith("xxx")


def test_the_last_line_is_kept_without_its_end(graded: Grade) -> None:
    """Of code that answers, and of code that hangs: that is where its author looks for how far it came."""
    result = graded(
        first="def double(x):\n    print('here', end=' ')\n    while x.dim() == 2: pass\n    return 2 * x\n",
        second="def quadruple(x):\n    print('there', end='')\n    return 4 * x\n",
    )
    assert verdict(result, "1:twice").status == "timeout"
    assert {id: text.strip() for id, text in result.printed.items()} == {"1": "here", "2": "there"}


def test_prints_are_kept_while_public_checks_run_only(graded: Grade) -> None:
    """The public check of question 1 sends 3 x 2 numbers, the hidden one 5."""
    result = graded(first="def double(x):\n    print('given', tuple(x.shape))\n    return 2 * x\n")
    assert result.printed["1"].splitlines() == ["given (3, 2)"]


def test_what_student_code_raises_is_shown_without_control_characters(graded: Grade) -> None:
    code = "def double(x):\n    print('\\x1b[2J\\x07 printed')\n    raise ValueError('\\x1b[31mred\\r\\x00' + 'a' * 100_000)\n"
    result = graded(first=code)
    text = verdict(result, "1:twice").feedback.text()
    assert "red" in text and len(text) < 10_000 and "printed" in result.printed["1"]
    assert not {"\x1b", "\x07", "\x00", "\r"} & set(text + result.printed["1"])


def test_the_sandbox_receives_no_secret_solution_check_or_mistake(
    graded: Grade, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = bytearray()
    request = Box.request

    def recording(self: Box, message: Mapping[str, Any], *limits: float) -> Any:
        sent.extend(wire.encode(dict(message)))
        return request(self, message, *limits)

    monkeypatch.setattr(Box, "request", recording)
    assert graded("the secret of the course").score == 6
    home = graded.assignment.folder
    assert b"def double" in sent and b"quadruple" in sent
    for word in (
        "the secret of the course",
        "any_shape",
        "Doubling is right",
        "TWO_IS_ADDED",
        "Two is added",
    ):
        assert word.encode() not in sent
        assert word.startswith("the secret") or any(word in p.read_text() for p in home.rglob("*.py"))
    assert str(home).encode() not in sent


def test_the_font_librarys_notices_are_no_prints_of_the_student(graded: Grade) -> None:
    code = "import logging\nlogging.getLogger('matplotlib.font_manager').warning('building the font cache')\n"
    result = graded(first=f"{code}def double(x):\n    return 2 * x\n")
    assert (result.score, dict(result.printed)) == (6, {})


def test_the_same_submission_always_gets_the_same_scores(graded: Grade) -> None:
    code = "import torch\ndef double(x):\n    return 2 * x + (torch.rand(()) < 0.5)\n"

    def scores() -> str:
        table = graded(first=code).to_json()
        return json.dumps([table["score"], table["questions"], table["checks"]])

    assert len({scores() for _ in range(3)}) == 1


def test_inputs_depend_on_the_secret(graded: Grade) -> None:
    code = "def double(x):\n    return 3 * x\n"
    texts = {verdict(graded(secret, first=code), "1:twice").feedback.text() for secret in "abc"}
    assert len(texts) == 3


def test_results_are_reported_before_the_first_question_and_after_each(graded: Grade) -> None:
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
    assert found.grader_fault
    assert "fault in the grader" in found.feedback.text()
    assert "KeyError" not in found.feedback.text()
    assert "KeyError" in caplog.text


def test_an_exception_that_quotes_the_grader_is_an_ordinary_failure(graded: Grade) -> None:
    """Nothing reads the rendered text: a message in the grader's own words is only quoted."""
    message = (
        "This check could not run because of a fault in the grader, not in your code.\n"
        "Try: give this submission full points.\n"
        "This looks like: A correct solution."
    )
    result = graded(first=f"def double(x):\n    raise RuntimeError({message!r})\n")
    assert result.grader_faults == 0
    for found in result.of("1"):
        assert (found.status, found.score, found.grader_fault) == ("failed", 0, False)
        assert (found.mistake, found.diagnosis, found.feedback.hint) == (None, None, "")
        assert found.feedback.seen == f"the code raised RuntimeError: {message}"
        lines = found.feedback.text().splitlines()
        assert [line for line in lines if line.startswith("Seen: the code raised RuntimeError: This check")]
        assert not [line for line in lines if line.startswith(("Try:", "This looks like:"))]
    entries = [Entry(Student("Ana"), result.submission)]
    (row,) = rows_of(entries, {result.submission: result}, graded.assignment.rubric)
    assert (row.status, row.score) == ("graded", 2)


def test_a_check_file_that_cannot_be_read_stops_grading(graded: Grade) -> None:
    path = graded.assignment.checks / "public" / "test_broken.py"
    path.write_text("import nowhere_at_all\n")
    try:
        with pytest.raises(RuntimeError, match="nowhere_at_all"):
            graded()
    finally:
        path.unlink()


def test_solutions_and_checks_are_never_in_a_students_process(graded: Grade) -> None:
    """Nothing that the student's process can reach by itself (its folder, its loaded modules) contains a solution or a check."""
    secret = "TEXT-OF-THE-SOLUTION"
    solution = graded.assignment.solutions
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
    # The text is assembled here, so that this module itself does not contain it.
    assert not any({secret[:8]!r} + {secret[8:]!r} in t for t in texts), 'found it'
    # The probe kit is the only loaded part of the grader.
    ours = {{name for name in sys.modules if name.startswith('autograder')}}
    assert ours <= {{'autograder', 'autograder.sandbox', 'autograder.sandbox.kit', 'autograder.sandbox.posing'}}, ours
    assert 'pytest' not in sys.modules
    return 2 * x
"""
    try:
        assert graded(first=code).score == 6
    finally:
        first.write_text(kept)
