"""A judge that is killed while it grades a submission costs that submission's verdicts, and nothing else."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from autograder.grading import batch
from autograder.grading.judge import NOT_GRADED
from autograder.grading.options import GradingOptions, Job
from autograder.model.verdicts import Result

ROOT = Path(__file__).resolve().parents[1]


@contextlib.contextmanager
def judges_killed_while(begun: Path) -> Iterator[None]:
    """Kills every judge from the moment when the file exists until it holds a note, which the parent process writes."""
    over = threading.Event()

    def kill() -> None:
        while not over.wait(0.02):
            if begun.exists() and not json.loads(begun.read_text(encoding="utf-8"))["notes"]:
                for process in multiprocessing.active_children():
                    process.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        yield
    finally:
        over.set()
        killer.join()


def test_with_one_job_too_the_batch_goes_on_when_its_judge_is_killed(tmp_path: Path) -> None:
    slow = shutil.copytree(
        ROOT / "solutions", tmp_path / "slow", ignore=shutil.ignore_patterns("__pycache__")
    )
    vae = slow / "vae.py"
    vae.write_text("import time\ntime.sleep(15)\n" + vae.read_text(encoding="utf-8"), encoding="utf-8")
    jobs = [
        Job(path, name, tmp_path / f"{name}.json")
        for name, path in (("slow", slow), ("right", ROOT / "solutions"))
    ]
    with judges_killed_while(tmp_path / "slow.json"):
        results = {job.name: result for job, result in batch.run(jobs, 1, GradingOptions(("1-7",)))}
    assert results["right"].complete
    assert results["right"].score == pytest.approx(1)
    written = Result.from_json(json.loads((tmp_path / "slow.json").read_text(encoding="utf-8")))
    assert written == results["slow"]
    assert not written.complete
    assert written.notes == (NOT_GRADED,)
