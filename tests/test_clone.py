"""The guide's first commands, in a clone: the environment, the bundled submissions' grades, what students and the host get."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.commands import without_variables

ROOT = Path(__file__).resolve().parents[1]
GUIDE = ROOT / "docs" / "instructors.md"
KEYS = [
    "id",
    "question",
    "title",
    "visibility",
    "status",
    "score",
    "max_score",
    "feedback",
    "diagnosis",
    "mistake",
    "grader_fault",
    "rubric",
    "parts",
]
pytestmark = [
    pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed"),
    pytest.mark.skipif(
        shutil.which("git") is None or not (ROOT / ".git").exists(),
        reason="the repository is not a clone of git's",
    ),
]
Done = subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a clone of the working tree holds, with the environment that runs this test as its own."""
    folder = tmp_path_factory.mktemp("clone") / "repository"
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    (folder / ".venv").symlink_to(sys.prefix)
    return folder


@pytest.fixture(scope="module")
def done(clone: Path) -> dict[str, Done]:
    """The commands of the guide's first block, one after the other; all of them but `make test`, which runs this test."""
    block = re.search(
        r"^## 1\. .*?^```\n(.*?)^```$", GUIDE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    assert block is not None
    environment, results = without_variables(), {}
    for line in block[1].splitlines():
        command = line.partition("  #")[0].strip()
        if command.startswith("export "):
            name, _, value = command.removeprefix("export ").partition("=")
            environment[name] = value.strip('"')
        elif command != "make test":
            # The environment is made: it is not to be made again because the clone's files are younger.
            words = command.split()
            start = {"make": ["make", "-o", ".venv/.ready"], "python": [sys.executable]}[words[0]]
            results[command] = subprocess.run(
                [*start, *words[1:]], cwd=clone, capture_output=True, text=True, env=environment, timeout=280
            )
    return results


def results_in(folder: Path) -> dict[str, dict[str, Any]]:
    return {
        path.stem: json.loads(path.read_text(encoding="utf-8"))
        for path in folder.glob("*.json")
        if path.name != "manifest.json"
    }


def every_command_of_the_block_runs(done: dict[str, Done], clone: Path) -> None:
    assert list(done) == [
        "make grade OUT=trial",
        "make release",
        "make gradescope",
        "python -m autograder mistakes",
    ]
    for command, found in done.items():
        assert found.returncode == 0, f"{command}\n{found.stdout}{found.stderr}"
        assert "Traceback" not in found.stderr
    for name in ("generative-models.zip", "autograder.zip"):
        with zipfile.ZipFile(clone / "dist" / name) as archive:
            assert archive.testzip() is None
    assert "`decoder-ends-in-tanh`" in done["python -m autograder mistakes"].stdout


def grade_gives_the_bundled_submissions_their_points(done: dict[str, Done], grades: Path) -> None:
    scores = {name: result["score"] for name, result in results_in(grades).items()}
    assert scores == {"solutions": 75, "assignment": 0, "problem-1-done": 39}
    for text in ("75/75", "0/75", "39/75"):
        assert text in done["make grade OUT=trial"].stdout
    assert "\x1b" not in done["make grade OUT=trial"].stdout  # no colours: the output is not a terminal


def each_json_file_keeps_to_the_contract(grades: Path) -> None:
    for name, result in results_in(grades).items():
        assert result["submission"] == name
        assert result["max_score"] == 75
        assert result["isolation"] in ("full", "user", "process")
        assert result["complete"] is True
        assert len(result["sha256"]) == 64
        assert " ".join(result["questions"]) == "1-1 1-2 1-3 1-4 1-5 1-6 1-7 1-8 1-9 2-1a 2-1b 2-3 2-4"
        assert sum(q["score"] for q in result["questions"].values()) == pytest.approx(result["score"])
        assert sum(c["score"] for c in result["checks"]) == pytest.approx(result["score"])
        for check in result["checks"]:
            assert list(check) == KEYS
            assert check["status"] in ("passed", "failed", "error", "timeout", "missing")
            assert check["visibility"] in ("public", "hidden")
            full = check["score"] == check["max_score"]
            assert full == (check["status"] == "passed") or not check["max_score"]
            assert bool(check["feedback"]) == (check["status"] != "passed")


def the_gradebook_has_one_row_per_submission_and_empty_columns_for_written_questions(
    grades: Path,
) -> None:
    with (grades / "grades.csv").open(encoding="utf-8", newline="") as stream:
        rows = {row["submission"]: row for row in csv.DictReader(stream)}
    scores = {name: row["score"] for name, row in rows.items()}
    assert scores == {"solutions": "75", "assignment": "0", "problem-1-done": "39"}
    assert rows["problem-1-done"]["1-4"] == "7"
    assert rows["solutions"]["1-3w"] == rows["solutions"]["2-2w"] == ""


def grade_says_which_isolation_it_ran_under(done: dict[str, Done], grades: Path) -> None:
    (level,) = {result["isolation"] for result in results_in(grades).values()}
    lines = done["make grade OUT=trial"].stdout.splitlines()
    (line,) = [line for line in lines if line.startswith("Isolation: ")]
    assert line.startswith(f"Isolation: {level}")
    assert ("not secure against hostile code" in line) == ("process" in line)


@pytest.mark.timeout(600)
def test_the_first_block_of_the_guide(clone: Path, done: dict[str, Done]) -> None:
    """One test, because the commands take half a minute: several might run in several processes."""
    every_command_of_the_block_runs(done, clone)
    grades = clone / "trial"
    grade_gives_the_bundled_submissions_their_points(done, grades)
    each_json_file_keeps_to_the_contract(grades)
    the_gradebook_has_one_row_per_submission_and_empty_columns_for_written_questions(grades)
    grade_says_which_isolation_it_ran_under(done, grades)
