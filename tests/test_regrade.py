"""Grading a class from the command line, and grading it again: who changes, by how much, and why."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autograder.classroom import regrade, stored
from autograder.model.assignment import assignment
from autograder.support.files import write_result
from tests.classes import pack, result
from tests.commands import autograder, here

ROOT = Path(__file__).resolve().parents[1]
RUBRIC = assignment().rubric
MODULES = ("autoencoder", "vae", "cvae", "gan")


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def solutions(**changed: bytes) -> dict[str, bytes]:
    files = {f"{m}.py": (ROOT / "solutions" / f"{m}.py").read_bytes() for m in MODULES}
    return {**files, **{f"{name}.py": data for name, data in changed.items()}}


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A Canvas download with a roster, graded on one question: single files, a late zip, an unknown student, a missing one."""
    base = tmp_path_factory.mktemp("class")
    folder = base / "submissions"
    folder.mkdir()
    for number, (name, data) in enumerate(solutions().items()):
        (folder / f"=anacmd_12_{200 + number}_{name}").write_bytes(data)
    (folder / "=anacmd_12_150_vae-1.py").write_bytes(b"INTERPOLATIONS = []\n")
    pack(folder / "boben_LATE_13_300_work.zip", solutions(vae=b"INTERPOLATIONS = []\n"))
    (folder / "stranger_99_301_hw.rar").write_bytes(b"Rar!")
    (folder / "notes.py").write_bytes(b"")
    (base / "roster.csv").write_text(
        'Student,ID,SIS User ID,SIS Login ID,Section\n"=cmd, Ana",12,007,am7,A\n"Bo, Ben",13,008,bb,A\n"Zed, Zoe",14,010,zz,B\n'
    )
    done = autograder(
        "grade",
        folder,
        "--roster",
        base / "roster.csv",
        "--out",
        base / "out",
        "-q",
        "1-7",
        "--json",
        AUTOGRADER_SECRET="s",
    )
    return base, done


def test_a_class_is_graded_with_everyone_in_its_gradebook(
    graded: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    base, done = graded
    assert done.returncode == 0, done.stderr
    rows = table(base / "out" / "grades.csv")
    seen = [(r["student"], r["submission"], r["1-7"], r["late"], r["status"]) for r in rows]
    assert seen == [
        ("'=cmd, Ana", "Ana _cmd", "1", "no", "graded"),
        ("Bo, Ben", "Ben Bo", "0", "yes", "graded"),
        ("Zed, Zoe", "", "0", "", "no submission"),
        ("stranger", "stranger", "0", "no", "nothing to grade"),
    ]
    assert rows[0]["duplicates"] == "Ana _cmd earlier 1"
    assert "earlier: Ana _cmd earlier 1: 0/1" in rows[0]["notes"]
    assert "not on the roster" in rows[3]["notes"]
    late = json.loads((base / "out" / "Ben Bo.json").read_text(encoding="utf-8"))
    assert any("handed in late" in note for note in late["notes"])
    assert sorted(p.suffix for p in (base / "out").iterdir()) == ["", *[".csv"] * 3, ".html", *[".json"] * 5]


def test_stdout_has_only_the_json_summary_and_stderr_one_line_per_remark(
    graded: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    _, done = graded
    summary: dict[str, Any] = json.loads(done.stdout)
    assert (summary["submissions"], summary["problems"]) == (4, [])
    assert [s["total"] for s in summary["students"]] == [1, 0, 0, 0]
    assert done.stderr.count("\n") == len(summary["remarks"]) == 2
    assert "notes.py lies beside the submissions" in done.stderr
    assert "stranger is not on the roster" in done.stderr


def test_regrading_shows_who_changes_and_why_and_keeps_written_points(
    graded: tuple[Path, subprocess.CompletedProcess[str]], monkeypatch: pytest.MonkeyPatch, judged_here: None
) -> None:
    base, _ = graded
    monkeypatch.setenv("AUTOGRADER_SECRET", "s")
    filled = base / "filled.csv"
    text = (base / "out" / "grades.csv").read_text(encoding="utf-8").splitlines()
    header = text[0].split(",")
    rows = list(csv.reader(text[1:]))
    rows[1][header.index("1-3w")] = "2"
    with filled.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([header, *rows])
    assert here("merge", filled, "--out", base / "out", "--quiet").output == ""
    newer = shutil.copytree(base / "submissions", base / "newer")
    pack(newer / "boben_LATE_13_300_work.zip", solutions())
    options = ("--roster", base / "roster.csv", "-q", "1-7")
    unknown = here("regrade", base / "out", newer, "--out", base / "again", "-q", "1-7:no_such")
    assert unknown.exit_code == 2 and "there is no check 1-7:no_such; there are 1-7:" in unknown.output
    (of_ben,) = json.loads((base / "out" / "Ben Bo.json").read_text(encoding="utf-8"))["checks"]
    named = (*options[:2], "-q", of_ben["id"])
    done = here("regrade", base / "out", newer, "--out", base / "again", *named)
    assert done.exit_code == 0, done.output
    total, check = table(base / "again" / "changes.csv")
    assert (total["submission"], total["check"], total["change"]) == ("Ben Bo", "", "1")
    assert total["why"] == "other content"
    assert (check["question"], check["earlier"], check["now"]) == ("1-7", "0", "1")
    assert "1 of 1 changed submissions have other points" in done.output
    ben = table(base / "again" / "grades.csv")[1]
    assert (ben["1-3w"], ben["total"]) == ("2", "3")
    (base / "out" / ".uploads" / "00001").mkdir(parents=True)  # as a killed run leaves it
    quiet = here("grade", base / "submissions", "--out", base / "out", *options, "--quiet")
    assert (quiet.exit_code, quiet.stdout) == (0, "")
    assert not (base / "out" / ".uploads").exists()
    assert table(base / "out" / "grades.csv")[1]["1-3w"] == "2"
    again = here("grade", base / "submissions", "--out", base / "out", *options, "-v")
    assert "4 of 4 were finished by an earlier run" in again.output  # an unreadable upload is still the same
    assert re.search(r"^\d/4 stranger: 0/1", again.output, re.MULTILINE)  # as it is finished, in any order
    assert "\x1b" not in again.output


EARLIER = {
    "ana": result("ana", q1_7=1, q1_6=2),
    "ben": result("ben", q1_7=0, q1_6=2),
    "gone": result("gone", q1_7=1),
}


def test_each_reason_for_a_change_is_named() -> None:
    same = EARLIER["ana"]
    assert regrade.compare(EARLIER, EARLIER, RUBRIC) == []
    other = result("ana", q1_7=0, q1_6=2)
    cases = {
        "other content": replace(other, sha256="b" * 64),
        "another grader": replace(other, grader="h"),
        "other content and another grader": replace(other, sha256="b" * 64, grader="h"),
        "other isolation (full, process)": replace(other, isolation="process"),
        "the same code and grader, another verdict": other,
        "this run is not finished": replace(other, complete=False),
    }
    for why, now in cases.items():
        total, check = regrade.compare({"ana": same}, {"ana": now}, RUBRIC)
        assert (total.why, total.earlier, total.now, total.difference) == (why, 3, 2, -1)
        assert (check.question, check.difference, check.status) == ("1-7", -1, "failed")
        assert check.why == f"{why}; passed, now failed"


def test_new_and_missing_submissions_and_other_diagnoses_are_in_the_table(tmp_path: Path) -> None:
    ben = EARLIER["ben"]
    feedback = replace(ben.checks[0].feedback, diagnosis="=swapped")
    diagnosed = replace(ben, checks=(replace(ben.checks[0], feedback=feedback), ben.checks[1]))
    changes = regrade.compare(
        EARLIER, {"ana": EARLIER["ana"], "ben": diagnosed, "new": result("new", q1_7=1)}, RUBRIC
    )
    regrade.write(tmp_path / "changes.csv", changes)
    rows = table(tmp_path / "changes.csv")
    assert [(r["submission"], r["question"], r["change"]) for r in rows] == [
        ("ben", "", "0"),
        ("ben", "1-7", "0"),
        ("new", "", "1"),
        ("gone", "", "-1"),
    ]
    assert (rows[1]["diagnosis"], rows[1]["why"].rpartition("; ")[2]) == ("'=swapped", "another diagnosis")
    assert rows[3]["why"] == "gone: not among these submissions"


def test_unusable_earlier_runs_are_reported_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "ana.json").write_text('{"submission": "ana"}')
    write_result(tmp_path / "good" / "ana.json", EARLIER["ana"])
    assert stored.results_in(tmp_path / "good") == ({"ana": EARLIER["ana"]}, [])
    for earlier, out, message in (
        ("nowhere", "o", "there is no such folder"),
        ("broken", "o", "holds no results"),
        ("good", "good", "choose another --out"),
    ):
        done = here("regrade", tmp_path / earlier, "x", "--out", tmp_path / out)
        assert done.exit_code == 2
        assert message in done.output.splitlines()[-1]
    assert [p.name for p in (tmp_path / "good").iterdir()] == ["ana.json"]


@pytest.mark.parametrize("option", [["--roster", "nowhere.csv"], ["--due", "soon"]])
def test_unusable_options_are_reported_in_one_line(tmp_path: Path, option: list[str]) -> None:
    done = here("grade", ROOT / "solutions", "--out", tmp_path / "o", *option)
    assert done.exit_code == 2
    assert len(done.output.strip().splitlines()) == 1
    assert not (tmp_path / "o").exists()
