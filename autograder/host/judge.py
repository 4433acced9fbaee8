"""Grades one upload in a process of its own: python -m autograder.host.judge UPLOAD OUT.json NAME.

OUT.json is written before the first question and after each, so ending this process loses nothing that is already graded.
(In the host's grader only this process loads torch, so that its memory is free before Otter starts.)
"""

from __future__ import annotations

import sys
from pathlib import Path

from autograder.grading import judge
from autograder.model.assignment import assignment
from autograder.submissions.intake import read_upload


def main(upload: Path, output: Path, name: str) -> None:
    judge.warm_up()
    judge.grade_submission(read_upload(upload, assignment().rubric, name), output)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
