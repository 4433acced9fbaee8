"""The rubric, and that the checks keep to it."""

from __future__ import annotations

import ast
import json
from collections import Counter
from pathlib import Path

import pytest

from autograder import batch, intake
from autograder.rubric import Rubric, assignment, read
from autograder.verdicts import Result

ROOT = Path(__file__).resolve().parent.parent
POINTS = {
    "1-1": 6,
    "1-2": 6,
    "1-3": 2,
    "1-3w": 2,
    "1-4": 7,
    "1-5": 4,
    "1-6w-a": 2,
    "1-6w-b": 3,
    "1-6": 2,
    "1-7": 1,
    "1-7w": 2,
    "1-8": 5,
    "1-9": 6,
    "2-1a": 7,
    "2-1b": 13,
    "2-2w": 4,
    "2-3": 4,
    "2-4": 12,
}


@pytest.fixture(scope="module")
def rubric() -> Rubric:
    return assignment().rubric


@pytest.fixture(scope="module")
def nothing(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """Every check's verdict on a submission of nothing."""
    from autograder.grading import Options, grade
    from autograder.sandbox.launch import launcher

    boxes = launcher()
    try:
        return grade(intake.empty("nobody", "sent nothing"), assignment(), boxes, Options("s"))
    finally:
        boxes.close()


def test_the_rubric_holds_every_question_with_its_points(rubric: Rubric) -> None:
    assert {q.id: q.points for q in rubric.questions} == POINTS
    assert sum(q.points for q in rubric.auto) == 75
    assert sum(q.points for q in rubric.written) == 13
    assert all(q.id[3:].startswith("w") for q in rubric.written)


def test_an_unknown_question_is_refused_with_the_known_ones(rubric: Rubric) -> None:
    with pytest.raises(KeyError, match=r"no question 3-1; the questions are 1-1, 1-2"):
        rubric.question("3-1")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (('graded = "auto"', 'graded = "oral"'), "can be auto or written"),
        (('module = "autoencoder"', 'module = "transformer"'), "none of `modules`"),
        (('id = "1-2"', 'id = "1-1"'), "the same id"),
        (("points = 6", "points = "), "not a rubric"),
        (('asks = "sample_images"', 'akss = "sample_images"'), "not a rubric"),
    ],
)
def test_a_wrong_rubric_is_refused_with_its_name(tmp_path: Path, change: tuple[str, str], says: str) -> None:
    text = (ROOT / "autograder" / "rubric.toml").read_text()
    path = tmp_path / "mine.toml"
    path.write_text(text.replace(*change, 1))
    with pytest.raises(ValueError, match=says) as caught:
        read(path)
    assert "mine.toml" in str(caught.value)


def test_the_checks_points_add_up_to_the_rubrics(rubric: Rubric, nothing: Result) -> None:
    assert dict(nothing.points) == {q.id: q.points for q in rubric.auto}
    assert nothing.max_score == 75
    for question in rubric.auto:
        public = sum(v.max_score for v in nothing.of(question.id) if v.visibility == "public")
        assert 0 < public <= question.points
        # Passing what students can see must not be everything, but for the one question that hides nothing.
        assert public <= question.points / 2 or question.id == "1-7"


def test_a_submission_of_nothing_gets_nothing(nothing: Result) -> None:
    assert nothing.score == 0
    assert nothing.complete
    assert {v.status for v in nothing.checks} == {"missing"}


def test_every_check_says_what_it_is(nothing: Result) -> None:
    assert max(Counter(v.id for v in nothing.checks).values()) == 1
    for verdict in nothing.checks:
        assert len(verdict.title.split()) >= 3, verdict.id
        assert verdict.feedback.startswith("Asked: "), verdict.id


def test_public_checks_and_probes_import_nothing_that_students_do_not_have() -> None:
    """Public checks and probes go to students: neither the reference nor a hidden check may be named in them."""
    for folder in ("checks/public", "probes"):
        for path in (ROOT / "autograder" / folder).rglob("*.py"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            for node in ast.walk(tree):
                if isinstance(node, ast.ImportFrom):
                    assert "hidden" not in (node.module or ""), path
                    assert (
                        folder != "probes" or node.level or not (node.module or "").startswith("autograder")
                    ), path
                if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                    assert "reference" not in [a.arg for a in node.args.args], path


def test_results_can_be_written_and_read_as_json(nothing: Result) -> None:
    assert json.loads(json.dumps(nothing.to_json()))["max_score"] == 75


def test_the_secret_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOGRADER_SECRET", "ours")
    assert batch.course_secret() == "ours"
    monkeypatch.delenv("AUTOGRADER_SECRET")
    assert batch.course_secret() == batch.DEFAULT_SECRET
