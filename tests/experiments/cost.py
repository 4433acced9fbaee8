"""What isolation costs: one warm judge grades the solutions at every level that this machine allows, in turn (`make cost`).

Prints, per level, the median wall time of a grading and its ratio to `process`, the weakest level.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

from autograder.grading import judge
from autograder.sandbox.launch import LEVELS, Unavailable

SOLUTIONS = Path(__file__).resolve().parents[2] / "solutions"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    times: dict[str, list[float]] = {level: [] for level in LEVELS}
    for _ in range(options.rounds + 1):  # the first round warms up and is not counted
        for level in list(times):
            began = time.perf_counter()
            try:
                result = judge.grade_one(SOLUTIONS, secret="cost", isolation=level)
            except Unavailable as reason:
                print(f"{level}: {reason}")
                del times[level]
                continue
            assert result.score == result.max_score
            times[level].append(time.perf_counter() - began)
    medians = {level: statistics.median(found[1:]) for level, found in times.items()}
    for level, median in medians.items():
        pairs = [a / b for a, b in zip(times[level][1:], times["process"][1:], strict=True)]
        print(f"{level}: {median:.2f} s; ratio to process, pair by pair: {statistics.median(pairs):.3f}")


if __name__ == "__main__":
    main()
