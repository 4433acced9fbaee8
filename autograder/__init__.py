"""An autograder for deep-learning assignments: student code runs in a sandbox, and checks judge its answers.

    from autograder import grade

    result = grade("submissions/ana")                  # all checks; Result, with a Verdict for each check
    result.score, result.max_score                     # 71.5, 75
    [v.id for v in result.checks if v.status != "passed"]

    for result in grade_all(["submissions"], "grades", jobs=2):
        ...                                            # in the order in which they finish; the JSON files are in grades/

Call it from a script's `if __name__ == "__main__":` part: with several jobs, each judge is a process that imports the script.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autograder.model.verdicts import Result, Verdict

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
    """Grades one submission with all checks, in this process (student code runs in sandboxes).

    Args:
        path: a folder or a zip with the modules.
        questions: ids of the questions to grade; None for all.
        secret: the course secret, which seeds the inputs of checks; None for AUTOGRADER_SECRET.
        isolation: "full", "user" or "process"; None for the best that this machine has.
        device: "cuda" to look for tensors on the wrong device on a real GPU.

    Raises:
        autograder.submissions.intake.UnusableSubmission: the path cannot be read as a submission.
        KeyError: there is no such question.
        RuntimeError: the isolation is unavailable on this machine.
    """
    from autograder.grading.judge import grade_one
    from autograder.grading.options import known_questions

    chosen = known_questions(questions)
    return grade_one(Path(path), questions=chosen, secret=secret, isolation=isolation, device=device)


def check(path: str | os.PathLike[str], *, questions: Sequence[str] | None = None) -> Result:
    """Runs the public checks, as students do. Arguments and errors are those of `grade`."""
    from autograder.grading.judge import grade_one
    from autograder.grading.options import known_questions

    return grade_one(
        Path(path),
        visibilities=("public",),
        questions=known_questions(questions),
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
    """Grades submissions, or folders of them, and yields each result, in the order in which they finish.

    Args:
        paths: submissions, or folders of submissions.
        out: the folder for one JSON file per submission. A result that is finished there, with the same content and
            grader, is yielded unchanged (unless `force`); questions that are not asked for stay as they are.
        jobs: judges that work at the same time; None for one per core.

    Raises:
        FileNotFoundError: a path does not exist. Nothing is graded then.
        KeyError: there is no such question.
        ValueError: `out` holds results of another assignment, rubric or course secret (unless `force`).
    """
    from autograder.classroom import collect, manifest
    from autograder.classroom import folder as folders
    from autograder.grading import batch
    from autograder.grading.options import GradingOptions, course_secret, known_questions
    from autograder.model.assignment import assignment
    from autograder.submissions.staging import TempStore
    from autograder.support.processes import default_jobs

    folder, subject = Path(out), assignment()
    held = folders.read(folder, subject)
    folders.require_same(folder, held, subject, force)
    options = GradingOptions(known_questions(questions), isolation=isolation, reuse=not force)
    store = TempStore(folder / ".uploads")  # zips of a class are unpacked there; it is removed at the end
    try:
        uploads = [Path(path) for path in paths]
        plan = collect.plan(uploads, folder, subject.rubric, store, None, None, held.entries)
        if plan.problems:
            raise FileNotFoundError("; ".join(plan.problems))
        folder.mkdir(parents=True, exist_ok=True)
        manifest.write(folder, manifest.of(subject, course_secret(), options.questions, "", held.manifest))
        with contextlib.closing(batch.run(plan.works, jobs or default_jobs(), options)) as graded:
            for _, result in graded:
                yield result
    finally:
        shutil.rmtree(store.root, ignore_errors=True)


def __getattr__(name: str) -> object:
    if name in ("Result", "Verdict"):
        from autograder.model import verdicts

        return getattr(verdicts, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
