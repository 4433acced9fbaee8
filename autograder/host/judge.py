"""Grades one upload in a process of its own: python -m autograder.host.judge UPLOAD OUT.json NAME.

OUT.json is written before the first question and after each, so whoever ends this process loses nothing that is graded. (Torch
is loaded here and nowhere else of the host's grader: where memory is scarce it is gone before Otter comes.)
"""

from __future__ import annotations

import sys
from pathlib import Path

from autograder import batch
from autograder.host.upload import submission_in
from autograder.rubric import assignment


def main(upload: Path, output: Path, name: str) -> None:
    batch.warm_up()
    batch.grade_submission(submission_in(upload, assignment().rubric, name), output)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
