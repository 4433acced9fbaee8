"""The instructor's guide is followed literally: its files are written and its commands run, in their order."""

from __future__ import annotations

import csv
import re
import shlex
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from autograder.cli.main import main
from autograder.model.assignment import VARIABLE
from tests.classes import pack
from tests.tiny import SOLUTION, forget_assignment, make_assignment

GUIDE = Path(__file__).resolve().parents[1] / "docs" / "instructors.md"
FILE = re.compile(r"^`([\w.]+)`\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^python -m autograder ((?:grade|written|merge|regrade) .*)$", re.MULTILINE)
# What the guide says of the bundled assignment, in the words of the tiny one.
IDS = {
    "1-4:kl_agrees_with_torch": "1:any_shape",
    "1-4:parts": "1:twice",
    "1-3w": "2w",
    "1-6w-a": "2w-more",
    "1-4": "1",
    "1-7": "2",
}
ROSTER = """\
Name,ID,Email,Section,Extension
Ana Bo,007,ana@example.edu,A,
Ben Cho,008,ben@example.edu,A,
Cleo Cruz,009,cleo@example.edu,B,
Dan Day,010,dan@example.edu,B,2 days
Zoe Zed,011,zoe@example.edu,B,
"""
TIMES = {"Ana Bo": "01 12:00", "Ben Cho": "03 06:00", "Cleo Cruz": "03 06:00", "Dan Day": "03 06:00"}


def here(text: str) -> str:
    for theirs, ours in IDS.items():
        text = text.replace(theirs, ours)
    return text


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, judged_here: None) -> Iterator[Path]:
    """A folder with a class as Gradescope exports it: Ben has no answer to question 1, and Zoe submitted nothing."""
    files, metadata = {}, ""
    for number, (name, when) in enumerate(TIMES.items(), 1):
        folder = f"export/submission_{number}"
        id, email = next(line.split(",")[1:3] for line in ROSTER.splitlines() if line.startswith(name))
        metadata += f"submission_{number}:\n  :submitters:\n  - :name: {name}\n    :sid: '{id}'\n    :email: {email}\n"
        metadata += f"  :created_at: 2026-03-{when}:00 Z\n"
        for module, text in SOLUTION.items():
            if (name, module) != ("Ben Cho", "first.py"):
                files[f"{folder}/{module}"] = text.encode()
    pack(tmp_path / "submissions.zip", {**files, "export/submission_metadata.yml": metadata.encode()})
    (tmp_path / "roster.csv").write_text(ROSTER)
    (tmp_path / "extensions.csv").write_text("student,extension\n009,2026-03-03\n")
    monkeypatch.setenv(VARIABLE, str(make_assignment(tmp_path).folder))
    monkeypatch.setenv("AUTOGRADER_SECRET", "a secret of the course")
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    monkeypatch.chdir(tmp_path)
    forget_assignment()
    yield tmp_path
    forget_assignment()
    monkeypatch.undo()
    time.tzset()


def table(path: Path) -> dict[str, dict[str, str]]:
    """A table's rows by student."""
    with path.open(encoding="utf-8", newline="") as stream:
        return {row["student"]: row for row in csv.DictReader(stream)}


def test_the_guide_leads_from_submissions_to_canvas(desk: Path) -> None:
    guide = here(GUIDE.read_text(encoding="utf-8"))
    for name, text in FILE.findall(guide):
        (desk / name).write_text(text, encoding="utf-8")
    # What graders save in the browser.
    for name, points in (
        ("2w", "007,0.5"),
        ("2w-more", "008,1"),
        ("2w-grader-1", "009,1\n010,1"),
        ("2w-grader-2", "008,1"),
    ):
        (desk / f"{name}.csv").write_text(f"id,2w\n{points}\n")
    commands = COMMAND.findall(guide)
    verbs = [line.split()[0] for line in commands]
    assert verbs == ["grade", "grade", "written", "merge", "written", "merge", "merge", "regrade"]
    assert any("--settings" in c for c in commands) and any("--adjustments" in c for c in commands)
    for line in commands:
        done = CliRunner().invoke(main, shlex.split(line))
        assert done.exit_code == 0, f"{line}\n{done.output}"

    assert sorted(p.name for p in (desk / "grades" / "written").glob("*grader*")) == [
        "2w-grader-1.html",
        "2w-grader-2.html",
    ]
    found = table(desk / "grades-2" / "grades.csv")
    # Question 2 is a bonus of 2, a check of question 1 (1 of 4 points) is dropped, and the other one given.
    assert {
        name: (r["1"], r["2"], r["2w"], r["late_deduction"], r["total"]) for name, r in found.items()
    } == {
        "Ana Bo": ("2", "2", "0.5", "", "4.5"),  # 1 point off by an adjustment
        "Ben Cho": ("3", "2", "1", "1.2", "4.8"),  # 30 hours late: 20% off; question 2 adjusted
        "Cleo Cruz": ("3", "2", "1", "", "6"),  # with an extension in the table
        "Dan Day": ("3", "2", "1", "", "6"),  # with an extension on the roster
        "Zoe Zed": ("0", "0", "", "", "0"),
    }
    canvas = (desk / "grades-2" / "canvas.csv").read_text(encoding="utf-8").splitlines()
    assert [line.rpartition(",")[2] for line in canvas[1:]] == ["4", "4.5", "4.8", "6", "6", "0"]
    with (desk / "grades-2" / "changes.csv").open(encoding="utf-8", newline="") as stream:
        changes = [(c["submission"], c["question"], c["check"], c["change"]) for c in csv.DictReader(stream)]
    assert changes == [("Ana Bo", "1", "adjustment", "0"), ("Ben Cho", "2", "adjustment", "0")]
    page = (desk / "grades-2" / "feedback" / "Ana Bo.html").read_text(encoding="utf-8")
    assert "Question 1: -1, now 2 (Kim: Two checks looked at the same thing)." in page
    report = (desk / "grades-2" / "report.html").read_text(encoding="utf-8")
    assert "Each day late after 30 minutes of grace costs 10%" in report and "Ben Cho -1.2" in report
    with (desk / "grades-2" / "gradescope.csv").open(encoding="utf-8", newline="") as stream:
        assert [row["Lateness (H:M:S)"] for row in csv.DictReader(stream)] == [
            "00:00:00",
            "30:01:00",
            "00:00:00",
            "00:00:00",
            "",
        ]
