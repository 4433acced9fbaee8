"""What isolation costs: one warm judge grades the solutions at every level that this machine allows, in turn (`make cost`).

Prints, per level, the median wall time of a grading and its ratio to `process`, the weakest level. Exits 1 where a level costs
more than 1.10 times that.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

from autograder.grading import judge
from autograder.sandbox.launch import LEVELS, Unavailable

MOST = 1.10  # times what `process` costs
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
    ratios = {}
    for level, found in times.items():
        ratios[level] = statistics.median(a / b for a, b in zip(found[1:], times["process"][1:], strict=True))
        print(
            f"{level}: {statistics.median(found[1:]):.2f} s; ratio to process, pair by pair: {ratios[level]:.3f}"
        )
    sys.exit(1 if max(ratios.values()) > MOST else 0)


if __name__ == "__main__":
    main()
