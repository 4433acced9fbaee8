"""An autograder for deep-learning assignments: a submission is a box that one may only ask questions of.

    from autograder import grade

    result = grade("submissions/ana")                  # all checks; Result, with a Verdict for each check
    result.score, result.max_score                     # 71.5, 75
    [v.id for v in result.checks if v.status != "passed"]

    for result in grade_all(["submissions"], "grades", jobs=2):
        ...                                            # in the order in which they get done; the JSON files are in grades/

Call it from a script's `if __name__ == "__main__":` part: with several jobs, judges are processes of their own.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autograder.verdicts import Result, Verdict

__version__ = "0.1.0"
__all__ = ["Result", "Verdict", "check", "grade", "grade_all"]


def grade(
    path: str | os.PathLike[str],
    *,
    questions: Sequence[str] | None = None,
    secret: str | None = None,
    isolation: str | None = None,
    device: str = "cpu",
) -> Result:
    """Grades one submission with all checks, in this process (its code runs in sandboxes of their own).

    Args:
        path: a folder or a zip with the modules.
        questions: ids of the questions to grade, such as "1-4"; None for all.
        secret: the course secret that inputs of checks are drawn from; AUTOGRADER_SECRET when None.
        isolation: "full", "user" or "process"; the best that this machine allows when None.
        device: "cuda" to look for tensors on the wrong device on a real GPU.

    Raises:
        autograder.intake.UnusableSubmission: the path cannot be read as a submission.
        KeyError: there is no such question.
        RuntimeError: the isolation is not to be had here.
    """
    from autograder.batch import grade_one

    return grade_one(
        Path(path), questions=_known(questions), secret=secret, isolation=isolation, device=device
    )


def check(path: str | os.PathLike[str], *, questions: Sequence[str] | None = None) -> Result:
    """Runs the public checks, as students do. Arguments and errors as those of `grade`."""
    from autograder.batch import grade_one

    return grade_one(
        Path(path),
        visibilities=("public",),
        questions=_known(questions),
        secret="public",
        isolation="process",
    )


def grade_all(
    paths: Iterable[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    jobs: int | None = None,
    questions: Sequence[str] | None = None,
    isolation: str | None = None,
    force: bool = False,
) -> Iterator[Result]:
    """Grades submissions, or folders of them, and yields each result in the order in which they get done.

    Args:
        paths: submissions, or folders of submissions.
        out: the folder for one JSON file per submission. What is finished there, of the same content and by the same grader, is
            taken as it is (unless `force`).
        jobs: judges at work at once; as many as there are cores when None.

    Raises:
        FileNotFoundError: a path is not there. Nothing is graded then.
        KeyError: there is no such question.
    """
    from autograder import batch
    from autograder.classroom import collect
    from autograder.classroom.staging import Holding
    from autograder.rubric import assignment

    folder = Path(out)
    holding = Holding(
        folder / ".uploads"
    )  # zips of a class are unpacked there, and the folder goes at the end
    try:
        made = collect.plan([Path(path) for path in paths], folder, assignment().rubric, holding, None, None)
        if made.problems:
            raise FileNotFoundError("; ".join(made.problems))
        folder.mkdir(parents=True, exist_ok=True)
        how = batch.How(_known(questions), isolation=isolation, reuse=not force)
        with contextlib.closing(batch.run(made.works, jobs or batch.default_jobs(), how)) as graded:
            for _, result in graded:
                yield result
    finally:
        shutil.rmtree(holding.root, ignore_errors=True)


def _known(questions: Sequence[str] | None) -> tuple[str, ...] | None:
    """The questions as a tuple; raises KeyError for one that is none of the rubric's auto-graded ones."""
    from autograder.rubric import assignment

    if questions is None:
        return None
    auto = [q.id for q in assignment().rubric.auto]
    for id in questions:
        if id not in auto:
            raise KeyError(f"there is no auto-graded question {id}; there are {', '.join(auto)}")
    return tuple(questions)


def __getattr__(name: str) -> object:
    if name in ("Result", "Verdict"):
        from autograder import verdicts

        return getattr(verdicts, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
