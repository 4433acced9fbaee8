"""A run that is killed, or loses a part or its disk, at any moment leaves valid results; the next run continues from there.

By default one moment of one judge, a fork server that is lost and a disk that is full; `make kills` tries thirty moments
(KILLS=30) of two judges, and all kinds.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from autograder.model.verdicts import Result

ROOT = Path(__file__).resolve().parents[1]
KILLS = int(os.environ.get("KILLS", "1"))
FAULTS = max(1, KILLS // 4)  # of each kind
JOBS = "1" if KILLS == 1 else "2"  # each judge and its fork server take seconds to start
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
        JOBS,
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
    """The processes that this test has started and that still run, which have its mark in their environment."""
    found = []
    for process in psutil.process_iter():
        try:
            marked = process.environ().get("AUTOGRADER_SECRET") == MARK
            if marked and process.status() != psutil.STATUS_ZOMBIE:  # it may have ended in between
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


def judge_killed(running: psutil.Process, out: Path) -> None:
    """Kills a judge: a process that multiprocessing has spawned."""
    judges = [p for p in running.children() if any("spawn_main" in word for word in p.cmdline())]
    if judges:
        judges[0].kill()


def fork_server_killed(running: psutil.Process, out: Path) -> None:
    servers = [
        p
        for p in running.children(recursive=True)
        if any(word.endswith("fork_server.py") for word in p.cmdline())
    ]
    if servers:
        servers[0].kill()


def disk_full(running: psutil.Process, out: Path) -> None:
    fill(out.parent)


def fill(disk: Path) -> None:
    """Uses up the disk's space and its inodes."""
    (disk / "filler").mkdir()
    with contextlib.suppress(OSError), (disk / "filler" / "0").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1 << 10))
    with contextlib.suppress(OSError):
        for number in itertools.count(1):
            (disk / "filler" / str(number)).touch()


def disk_read_only(running: psutil.Process, out: Path) -> None:
    for _ in range(200):  # a file that is being written keeps the disk writable
        if (
            subprocess.run(["mount", "-o", "remount,ro", str(out.parent)], capture_output=True).returncode
            == 0
        ):
            return
        time.sleep(0.01)


LOST = {"a fork server": fork_server_killed, "a judge": judge_killed}  # a judge: test_lost_judge as well
DISK = {"full": disk_full, "read-only": disk_read_only}
KINDS = None if KILLS > 1 else 1  # of faults that are tried


def disturbed(
    out: Path, moment: float, disturb: Callable[[psutil.Process, Path], None], *more: str, temporary: str = ""
) -> tuple[int, str]:
    """Runs `grade`, disturbs it after so many seconds, and returns its exit status and stderr."""
    with subprocess.Popen(
        command(out, *more),
        cwd=ROOT,
        env={**environment(), **({"TMPDIR": temporary} if temporary else {})},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        deadline = time.monotonic() + moment
        while time.monotonic() < deadline and running.poll() is None:
            time.sleep(0.02)
        if running.poll() is None:
            with contextlib.suppress(psutil.NoSuchProcess):
                disturb(psutil.Process(running.pid), out)
        _, stderr = running.communicate(timeout=200)
    assert "Traceback" not in stderr and "INTERNALERROR" not in stderr
    return running.returncode, stderr


@pytest.mark.skipif(sys.platform != "linux", reason="it needs a fork server")
@pytest.mark.parametrize("part", list(LOST)[:KINDS])
@pytest.mark.parametrize("number", range(FAULTS))
def test_a_run_that_loses_a_part_grades_everything_all_the_same(
    number: int, part: str, undisturbed: tuple[dict[str, Any], float], tmp_path: Path
) -> None:
    expected, seconds = undisturbed
    moment = random.Random(f"{part} {number}").uniform(0.2, 0.95) * seconds
    status, stderr = disturbed(tmp_path / "grades", moment, LOST[part])
    assert status == 0, stderr
    assert grades(tmp_path / "grades") == expected
    assert all(line.startswith("autograder: ") for line in stderr.splitlines())


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A folder on a disk of its own, with room for a few results. Other users can enter it, unlike pytest's folders."""
    disk = Path(tempfile.mkdtemp(prefix="small-disk-"))
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m,nr_inodes=200", "tmpfs", str(disk)], capture_output=True
    )
    if made.returncode:
        disk.rmdir()
        pytest.skip("only root can mount a small disk, and not in every container")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)
    disk.rmdir()


@pytest.mark.skipif(sys.platform != "linux", reason="it mounts a small disk as Linux does")
@pytest.mark.parametrize("fault", list(DISK)[:KINDS])
@pytest.mark.parametrize("number", range(FAULTS))
def test_a_run_whose_disk_fails_says_so_in_one_line_and_continues_later(
    number: int, fault: str, undisturbed: tuple[dict[str, Any], float], small_disk: Path
) -> None:
    expected, seconds = undisturbed
    out = small_disk / "grades"
    moment = random.Random(f"{fault} {number}").uniform(0.1, 0.95) * seconds
    status, stderr = disturbed(out, moment, DISK[fault])
    left = grades(out) if out.is_dir() else {}
    assert all(result == expected[name] for name, result in left.items() if result["complete"])
    if status == 0:  # it was over, or all but the report was written
        assert left == expected
    else:
        assert status == 2, stderr
        (line,) = [line for line in stderr.splitlines() if "no report.html" not in line]
        assert line.startswith(f"autograder: {out}") and re.search(r"No space left|Read-only", line)
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    shutil.rmtree(small_disk / "filler", ignore_errors=True)
    done = subprocess.run(command(out), cwd=ROOT, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert grades(out) == expected


@pytest.mark.skipif(sys.platform != "linux", reason="it mounts a small disk as Linux does")
@pytest.mark.skipif(KILLS == 1, reason="it waits for space for 90 s; `make kills` runs it")
@pytest.mark.parametrize("number", range(FAULTS))
def test_a_run_whose_folder_for_temporary_files_is_full_says_so_in_one_line_and_continues_later(
    number: int, undisturbed: tuple[dict[str, Any], float], small_disk: Path, tmp_path: Path
) -> None:
    expected, seconds = undisturbed
    out = tmp_path / "grades"
    moment = random.Random(f"temporary {number}").uniform(0.1, 0.7) * seconds
    level = ("--isolation", "process")  # the level whose children have their folders on the machine's disk
    status, stderr = disturbed(out, moment, lambda *_: fill(small_disk), *level, temporary=str(small_disk))
    if status != 0:
        (line,) = stderr.splitlines()
        assert status == 2 and line.startswith(f"autograder: {small_disk}: No space left on device")
    assert scores(grades(out)).items() <= scores(expected).items()
    shutil.rmtree(small_disk / "filler", ignore_errors=True)
    again = {**environment(), "TMPDIR": str(small_disk)}
    done = subprocess.run(command(out, *level), cwd=ROOT, env=again, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert scores(grades(out)) == scores(expected)


def scores(results: dict[str, Any]) -> dict[str, float]:
    """Of finished results: what does not depend on the level of isolation."""
    return {name: result["score"] for name, result in results.items() if result["complete"]}
