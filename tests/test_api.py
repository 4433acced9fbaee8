"""The package as a library: `from autograder import grade`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import autograder
from autograder import Result, Verdict, check, grade, grade_all
from autograder.submissions.intake import UnusableSubmission

ROOT = Path(__file__).resolve().parents[1]


def test_grade_returns_a_typed_result() -> None:
    result = grade(ROOT / "solutions", questions=["1-7"])
    assert isinstance(result, Result)
    assert (result.score, result.max_score) == (1, 1)
    assert all(isinstance(v, Verdict) and v.question == "1-7" for v in result.checks)


def test_check_runs_only_public_checks() -> None:
    result = check(ROOT / "solutions", questions=["1-3"])
    assert {v.visibility for v in result.checks} == {"public"}
    assert result.score == result.max_score


def test_grade_all_writes_results_and_reuses_finished_ones(tmp_path: Path) -> None:
    paths = [ROOT / "solutions", ROOT / "assignment"]
    first = {r.submission: r for r in grade_all(paths, tmp_path, jobs=1, questions=["1-7"])}
    assert {name: r.score for name, r in first.items()} == {"solutions": 1, "assignment": 0}
    again = {r.submission: r for r in grade_all(paths, tmp_path, jobs=1, questions=["1-7"])}
    assert {n: r.seconds for n, r in again.items()} == {n: round(r.seconds, 3) for n, r in first.items()}


@pytest.mark.parametrize("call", [grade, check])
def test_unusable_arguments_raise_the_documented_errors(call: object, tmp_path: Path) -> None:
    assert callable(call)
    with pytest.raises(UnusableSubmission, match="no such file"):
        call(tmp_path / "nowhere")
    with pytest.raises(KeyError, match="no auto-graded question 9-9"):
        call(ROOT / "solutions", questions=["9-9"])
    with pytest.raises(FileNotFoundError, match="no such file"):
        list(grade_all([tmp_path / "nowhere"], tmp_path))


def test_importing_the_package_loads_neither_torch_nor_pytest() -> None:
    code = "import sys, autograder; print([m for m in ('torch', 'pytest', 'numpy', 'otter') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'grades'"):
        autograder.grades  # noqa: B018
