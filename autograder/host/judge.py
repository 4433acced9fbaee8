"""Grades one upload in a process of its own: python -m autograder.host.judge UPLOAD OUT.json NAME.

OUT.json is written before the first question and after each, so ending this process loses nothing that is already graded.
Before it, lessons.json beside it: what students read about each mistake, if they are shown any of it. (In the host's grader
only this process and its sandboxes load torch, which takes seconds and hundreds of megabytes.)
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from autograder.grading import judge
from autograder.judging import catalogue
from autograder.model.assignment import assignment
from autograder.submissions.intake import read_upload
from autograder.support.files import write_atomically


def main(upload: Path, output: Path, name: str) -> None:
    judge.warm_up()
    lessons = json.dumps(catalogue.lessons(assignment()))
    write_atomically(output.with_name("lessons.json"), lessons)
    judge.grade_submission(read_upload(upload, assignment().rubric, name), output)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
