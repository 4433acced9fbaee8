"""A grader that is killed at any moment leaves valid results and no process, and the next run continues from there.

Two moments by default; `make kills` tries thirty (KILLS=30).
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from autograder.model.verdicts import Result

ROOT = Path(__file__).resolve().parents[1]
KILLS = int(os.environ.get("KILLS", "2"))
MARK = "killed-by-a-test"
GRADEBOOKS = ("canvas.csv", "gradescope.csv", "grades.csv")
SUBMISSIONS = ("solutions", "assignment", "tests/submissions/problem-1-done")


def command(out: Path, *more: str) -> list[str]:
    questions = [word for id in ("1-1", "1-3", "1-7") for word in ("-q", id)]
    return [
        sys.executable,
        "-m",
        "autograder",
        "grade",
        *SUBMISSIONS,
        "--out",
        str(out),
        "--jobs",
        "2",
        *questions,
        *more,
    ]


def environment() -> dict[str, str]:
    return {**os.environ, "AUTOGRADER_SECRET": MARK}


def grades(out: Path) -> dict[str, Any]:
    """Every result in a folder, without what differs from run to run."""
    found = {}
    for path in set(out.glob("*.json")) - {out / "manifest.json"}:
        table = json.loads(path.read_text(encoding="utf-8"))
        Result.from_json(table)
        found[path.name] = {k: v for k, v in table.items() if k != "seconds"}
    return found


def ours() -> list[psutil.Process]:
    """The processes that this test has started, which have its mark in their environment."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("AUTOGRADER_SECRET") == MARK:
                found.append(process)
        except psutil.Error:
            continue
    return found


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], float]:
    out = tmp_path_factory.mktemp("undisturbed")
    began = time.monotonic()
    subprocess.run(command(out), cwd=ROOT, env=environment(), check=True, capture_output=True)
    return grades(out), time.monotonic() - began


@pytest.mark.skipif(os.name == "nt", reason="processes are killed with SIGKILL, which Windows lacks")
@pytest.mark.parametrize("number", range(KILLS))
def test_a_killed_run_leaves_valid_results_and_the_next_run_continues(
    number: int, undisturbed: tuple[dict[str, Any], float], tmp_path: Path
) -> None:
    expected, seconds = undisturbed
    out = tmp_path / "grades"
    moment = random.Random(number).uniform(0.3, 1.0) * seconds
    with subprocess.Popen(
        command(out), cwd=ROOT, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as running:
        children: set[psutil.Process] = set()
        deadline = time.monotonic() + moment
        while time.monotonic() < deadline and running.poll() is None:
            time.sleep(0.05)
        if running.poll() is None:
            children = set(psutil.Process(running.pid).children(recursive=True))
            running.send_signal(signal.SIGKILL)
    _, alive = psutil.wait_procs(list(children), timeout=10)
    assert [p for p in alive if p.status() != psutil.STATUS_ZOMBIE] == []
    assert ours() == []

    left = grades(out)
    for name, result in left.items():
        if result["complete"]:
            assert result == expected[name]
    stamps = {name: (out / name).stat().st_mtime_ns for name, r in left.items() if r["complete"]}
    seconds_before = {name: json.loads((out / name).read_text())["seconds"] for name in stamps}
    done = subprocess.run(command(out), cwd=ROOT, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert grades(out) == expected
    # Finished results are reused, not graded again: even their times are the same.
    assert {name: json.loads((out / name).read_text())["seconds"] for name in stamps} == seconds_before
    assert sorted(p.name for p in out.iterdir()) == sorted(
        [*expected, *GRADEBOOKS, "feedback", "manifest.json", "report.html"]
    )
