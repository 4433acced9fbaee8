"""The rubric, and that the checks agree with it."""

from __future__ import annotations

import ast
import json
from collections import Counter
from pathlib import Path

import pytest

from autograder.grading import options
from autograder.model.assignment import FILE, assignment
from autograder.model.rubric import Rubric, read
from autograder.model.verdicts import Result
from autograder.submissions import intake

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
    """Every check's verdict on an empty submission."""
    from autograder.grading.grader import JudgeOptions, grade
    from autograder.sandbox.launch import launcher

    boxes = launcher()
    try:
        return grade(intake.empty("nobody", "sent nothing"), assignment(), boxes, JudgeOptions("s"))
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
    ("change", "text"),
    [
        (('graded = "auto"', 'graded = "oral"'), "can be auto or written"),
        (('module = "autoencoder"', 'module = "transformer"'), "not one of `modules`"),
        (('id = "1-2"', 'id = "1-1"'), "the same id"),
        (('id = "1-2"', 'id = "1:2"'), "ids are letters"),
        (("points = 6", "points = "), "not valid TOML"),
        (("points = 6", "points = -6"), "points is -6; it must be a number from 0 up"),
        (("points = 6", 'points = "6"'), "points is '6'; it must be"),
        (('asks = "sample_images"', 'akss = "sample_images"'), "not a rubric"),
    ],
)
def test_an_invalid_rubric_is_refused_with_its_file_name(
    tmp_path: Path, change: tuple[str, str], text: str
) -> None:
    rubric = (assignment().folder / FILE).read_text(encoding="utf-8")
    path = tmp_path / "mine.toml"
    path.write_text(rubric.replace(*change, 1), encoding="utf-8")
    with pytest.raises(ValueError, match=text) as caught:
        read(path)
    assert "mine.toml" in str(caught.value)


def test_the_checks_points_add_up_to_the_rubrics(rubric: Rubric, nothing: Result) -> None:
    assert dict(nothing.points) == {q.id: q.points for q in rubric.auto}
    assert nothing.max_score == 75
    for question in rubric.auto:
        public = sum(v.max_score for v in nothing.of(question.id) if v.visibility == "public")
        assert 0 < public <= question.points
        # Public checks give at most half of the points, except for the one question that has no hidden check.
        assert public <= question.points / 2 or question.id == "1-7"


def test_an_empty_submission_gets_no_points(nothing: Result) -> None:
    assert nothing.score == 0
    assert nothing.complete
    assert {v.status for v in nothing.checks} == {"missing"}


def test_every_check_has_an_id_a_title_and_a_description(nothing: Result) -> None:
    assert max(Counter(v.id for v in nothing.checks).values()) == 1
    for verdict in nothing.checks:
        assert len(verdict.title.split()) >= 3, verdict.id
        assert verdict.feedback.asked, verdict.id


def test_public_checks_and_probes_import_nothing_that_students_do_not_have() -> None:
    """Students get public checks and probes, which must not import the study or a hidden check."""
    for folder in ("checks/public", "mistakes/public", "probes", "stand_ins"):
        for path in (assignment().folder / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ImportFrom):
                    module = node.module or ""
                    assert "hidden" not in module and "study" not in module, path
                    in_sandbox = folder in ("probes", "stand_ins") and module.startswith("autograder")
                    assert not in_sandbox or module in (
                        "autograder.sandbox.kit",
                        "autograder.sandbox.posing",
                    ), path


def test_a_result_keeps_its_checks_as_json(nothing: Result) -> None:
    again = Result.from_json(json.loads(json.dumps(nothing.to_json())))
    assert (again.checks, again.points) == (nothing.checks, nothing.points)


def test_the_secret_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOGRADER_SECRET", "ours")
    assert options.course_secret() == "ours"
    monkeypatch.delenv("AUTOGRADER_SECRET")
    assert options.course_secret() == options.DEFAULT_SECRET
