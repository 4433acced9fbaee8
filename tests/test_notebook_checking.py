"""The process that checks for a notebook: it stays, sees every edit, and is replaced when it has ended."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from autograder.model.verdicts import Result
from autograder.notebook import checking
from tests.tiny import SOLUTION, make_assignment, write

WRONG = "def double(x):\n    print('<b>')\n    return x + 2\n"
RIGHT = WRONG.replace("x + 2", "2 * x")


@pytest.fixture
def checker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[checking.Checker]:
    monkeypatch.setenv("AUTOGRADER_ASSIGNMENT", str(make_assignment(tmp_path).folder))
    made = checking.Checker()
    yield made
    made.close()


def process(checker: checking.Checker) -> int:
    assert checker._process is not None
    return checker._process.pid


def passed(result: Result | str) -> list[bool]:
    assert isinstance(result, Result), result
    return [verdict.status == "passed" for verdict in result.checks]


def test_edits_count_at_once_and_lost_or_idle_processes_are_replaced(
    checker: checking.Checker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = write(tmp_path / "mine", {**SOLUTION, "first.py": WRONG})
    assert passed(checker.check(mine, ["1"])) == [False]
    first = process(checker)
    if Path(
        "/proc/self/environ"
    ).exists():  # a GPU would start threads in it, which processes that it forks lack
        assert b"\0CUDA_VISIBLE_DEVICES=\0" in Path(f"/proc/{first}/environ").read_bytes()
    (mine / "first.py").write_text(RIGHT, encoding="utf-8")
    found = checker.check(mine, ["1"])
    assert passed(found) == [True] and isinstance(found, Result) and "<b>" in found.printed["1"]
    assert process(checker) == first

    assert checker._process is not None
    checker._process.kill()
    checker._process.wait()
    assert passed(checker.check(mine, ["1"])) == [True]
    second = process(checker)
    assert second != first

    monkeypatch.setattr(checking, "IDLE", 0.05)
    missing = checker.check(tmp_path / "nowhere", [])
    assert (
        missing == f"{tmp_path / 'nowhere'}: there is no such file or folder; check the spelling of the path"
    )
    assert process(checker) == second
    timer = checker._timer
    assert timer is not None
    timer.join(10)
    assert checker._process is None


def test_a_process_that_cannot_start_gives_one_line(
    checker: checking.Checker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOGRADER_ASSIGNMENT", str(tmp_path / "none"))
    found = checker.check(tmp_path, ["1"])
    assert isinstance(found, str) and "\n" not in found and str(tmp_path / "none") in found
