"""Trainings side by side: each leaves its checkpoint, and none outlives the process that started it."""

import math
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from autograder.generative.study import parallel, runs
from autograder.generative.study.commands import _digits
from autograder.generative.study.parallel import Job
from autograder.support import processes

ROOT = Path(__file__).resolve().parents[1]
PLANS = [runs.Plan("AE", "ae", 1), runs.Plan("VAE, beta 0.1", "vae", 2, 0.1)]
JOBS = [Job(plan, 1) for plan in PLANS]
LOAD = partial(_digits, None, True, True)


def nothing() -> None:
    """Takes the place of loading data."""


def waits(plan: runs.Plan, data: Any, progress: runs.Progress, seed: int, folder: Path) -> None:
    progress(plan.name, 2, 1)
    (folder / str(os.getpid())).touch()
    time.sleep(600)


def dies(plan: runs.Plan, data: Any, progress: runs.Progress, seed: int) -> None:
    os._exit(9)


def fails(plan: runs.Plan, data: Any, progress: runs.Progress, seed: int) -> None:
    raise ValueError(f"{plan.name} from {seed}")


def test_nothing_is_left_to_train_afterwards(tmp_path: Path) -> None:
    given: dict[str, Any] = {"device": "cpu", "folder": tmp_path, "longer": 1}
    reported: dict[str, list[int]] = {}

    def report(name: str, total: int, done: int) -> None:
        reported.setdefault(name, []).append(done)

    parallel.train_ahead(JOBS, LOAD, partial(runs.train_digits, **given), 2, report)
    data = LOAD()
    batches = len(data.images) // runs.BATCH
    assert {name: sum(done) for name, done in reported.items()} == {p.name: p.epochs * batches for p in PLANS}
    assert all(len(done) > 1 for done in reported.values())
    for plan in PLANS:
        restored: list[int] = []

        def keep(name: str, total: int, done: int, into: list[int] = restored) -> None:
            into.append(done)

        trained = runs.train_digits(plan, data, progress=keep, seed=1, **given)
        assert restored == [plan.epochs * batches]  # in one report: from the checkpoint
        alone = runs.train_digits(plan, data, "cpu", None, lambda *_: None, 1, 1)
        measured, expected = (runs.measure_digits(o, data, "cpu", 1).measured for o in (trained, alone))
        assert measured == pytest.approx(expected, rel=1e-3)


def test_after_a_process_is_killed_the_caller_goes_on() -> None:
    parallel.train_ahead(JOBS, nothing, dies, 2, lambda *_: None)
    assert not multiprocessing.active_children()


def test_an_exception_of_a_training_is_raised() -> None:
    with pytest.raises(ValueError, match="AE from 1"):
        parallel.train_ahead(JOBS[:1], nothing, fails, 2, lambda *_: None)


def test_an_interrupted_run_ends_its_trainings(tmp_path: Path) -> None:
    def interrupt(name: str, total: int, done: int) -> None:
        raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        parallel.train_ahead(JOBS, nothing, partial(waits, folder=tmp_path), 2, interrupt)
    assert time.monotonic() - began < 120
    assert not multiprocessing.active_children()


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL on Windows")
def test_trainings_end_with_a_run_that_is_killed(tmp_path: Path) -> None:
    code = f"""if True:
        from functools import partial
        from pathlib import Path
        from autograder.generative.study import parallel
        from tests import test_parallel as t
        if __name__ == "__main__":
            train = partial(t.waits, folder=Path({str(tmp_path)!r}))
            parallel.train_ahead(t.JOBS, t.nothing, train, 2, lambda *_: None)"""
    script = tmp_path / "run.py"
    script.write_text(code, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = subprocess.Popen([sys.executable, str(script)], cwd=ROOT, env=environment)
    try:
        wait_for(lambda: len(list(tmp_path.glob("[0-9]*"))) == 2)
    finally:
        run.send_signal(signal.SIGKILL)
        run.wait()
    processes = [int(path.name) for path in tmp_path.glob("[0-9]*")]
    wait_for(lambda: not any(psutil.pid_exists(pid) for pid in processes))


def wait_for(what: Any, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "timed out"
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("files", "share"),
    [
        ({}, None),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu.max": "50000 100000\n"}, 0.5),
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3.0),
    ],
)
def test_a_containers_share_of_the_cores_counts(
    files: dict[str, str], share: float | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "CONTROL_GROUP", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: range(8), raising=False)
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert processes.default_jobs() == (8 if share is None else math.ceil(share))
