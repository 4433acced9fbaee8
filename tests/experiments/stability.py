"""False alarms: the reference and five wheats graded under many course secrets, that is, on different inputs (`make stability`).

No check may ever fail a correct submission. Prints every failure, and the time it took.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

from rich.progress import Progress

from autograder.grading import batch, judge
from autograder.model.assignment import assignment
from tests import corpus


def wheats(n: int = 5, seed: int = 3) -> list[corpus.Entry]:
    """`n` wheats, of different modules where possible."""
    return corpus.sample(corpus.read("wheat"), n, seed)[:n]


def alarms(folder: str, questions: tuple[str, ...] | None, secret: str) -> list[str]:
    """The checks that the correct submission in `folder` fails under a secret."""
    result = judge.grade_one(Path(folder), questions=questions, secret=secret)
    return [f"{v.id}: {v.feedback.text()}" for v in result.checks if v.status != "passed"]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--secrets", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=batch.default_jobs())
    options = parser.parse_args()
    began, found = time.monotonic(), 0
    with tempfile.TemporaryDirectory(prefix="stability-") as folder:
        subjects: list[tuple[str, tuple[str, ...] | None]] = [(str(assignment().solutions), None)]
        subjects += [(str(entry.write(Path(folder))), corpus.touched(entry)) for entry in wheats()]
        with (
            ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool,
            Progress(disable=not sys.stdout.isatty()) as progress,
        ):
            gradings = {
                pool.submit(alarms, path, questions, f"secret {i}"): (Path(path).name, i)
                for i in range(options.secrets)
                for path, questions in subjects
            }
            for done in progress.track(as_completed(gradings), total=len(gradings), description="Grading"):
                name, i = gradings[done]
                for text in done.result():
                    found += 1
                    print(f"{name}, secret {i}: {text}")
    minutes = (time.monotonic() - began) / 60
    print(
        f"{len(gradings)} gradings under {options.secrets} secrets in {minutes:.1f} minutes: {found} false alarms"
    )
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
