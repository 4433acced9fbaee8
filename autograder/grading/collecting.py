"""Collecting an assignment's checks with pytest: their marks, their points, and the pytest run itself."""

from __future__ import annotations

import contextlib
import io
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, get_args

import pytest

from autograder.model.assignment import Assignment
from autograder.model.rubric import Question
from autograder.model.verdicts import Verdict, Visibility, tidy
from autograder.support import interrupts


@dataclass(frozen=True)
class Check:
    """A collected check: the content of its mark, and the pytest item that runs it.

    same_as: the id of the check whose verdict is also that of this one; "" if it is judged by itself.
    """

    id: str
    question: str
    title: str
    asks: str
    points: float
    visibility: Visibility
    rubric: str
    same_as: str
    item: pytest.Function

    def verdict(self, **found: Any) -> Verdict:
        """A verdict of this check; found: its status, score, feedback, mistake and grader_fault."""
        return Verdict(
            id=self.id,
            question=self.question,
            title=self.title,
            visibility=self.visibility,
            max_score=tidy(self.points),
            rubric=self.rubric,
            **found,
        )


def read_check(item: pytest.Function, assignment: Assignment) -> Check:
    """Reads a check's mark. Raises pytest.UsageError when it has none, or names a question that is not auto-graded."""
    mark = item.get_closest_marker("check")
    if mark is None:
        raise pytest.UsageError(f"{item.nodeid} is not a check: decorate it with @check(...)")
    content = mark.kwargs
    weight = content["points"]
    if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not 0 <= weight < math.inf:
        raise pytest.UsageError(f"{item.nodeid}: points={weight!r} is not a number from 0 up")
    if content["question"] not in {q.id for q in assignment.rubric.auto}:
        raise pytest.UsageError(
            f"{item.nodeid}: the rubric has no auto-graded question {content['question']}"
        )
    hidden = item.path.is_relative_to(assignment.checks / "hidden")
    return Check(
        id=f"{content['question']}:{item.name.removeprefix('test_')}",
        question=content["question"],
        title=content["title"],
        asks=content["asks"],
        points=weight,
        visibility="hidden" if hidden else "public",
        rubric=content["rubric"],
        same_as=content.get("same_as", ""),
        item=item,
    )


def weight_of(checks: Sequence[Check]) -> float:
    """The sum of the weights of checks that are not scaled yet."""
    return math.fsum(c.points for c in checks)


def scaled(question: Question, checks: Sequence[Check]) -> list[Check]:
    """The checks of a question with their share of its points in the rubric.

    The numbers of their marks are weights; where these add up to the question's points, as they should, they are the shares.
    Shares have at most six decimals, and those of all checks add up to the question's points exactly.
    """
    whole = question.weight or weight_of(checks)
    if not whole or whole == question.points:
        return list(checks)
    shares: list[Check] = []
    for count, check in enumerate(checks, 1):
        below = sum(c.points for c in shares)
        upto = round(question.points * weight_of(checks[:count]) / whole, 6)
        shares.append(replace(check, points=tidy(upto - below)))
    return shares


class Plugin(Protocol):
    """A pytest plugin that keeps the errors of collecting."""

    errors: list[str]


def run_pytest(plugin: Plugin, assignment: Assignment) -> None:
    """Has pytest collect all checks, and run those that `plugin` keeps.

    Raises RuntimeError when they cannot be collected, and KeyboardInterrupt on Ctrl-C.
    """
    folders = [assignment.checks / visibility for visibility in get_args(Visibility)]
    arguments = [
        *[str(folder) for folder in folders if folder.is_dir()],
        f"--rootdir={assignment.checks}",
        f"--confcutdir={assignment.checks}",
        f"--config-file={os.devnull}",
        "--noconftest",
        "--import-mode=importlib",
        "-oconsider_namespace_packages=true",
        "--assert=plain",
        "--capture=no",
        "-pno:cacheprovider",
        "-pno:terminal",
        "-pno:faulthandler",
        "-pno:unraisableexception",
        "-pno:logging",
    ]
    with interrupts.kept(), _quiet_pytest() as output:
        status = pytest.main(arguments, plugins=[plugin])
        interrupts.raise_if_came()
    if not plugin.errors and status == pytest.ExitCode.INTERRUPTED:  # pytest turns Ctrl-C into a status
        raise KeyboardInterrupt
    if plugin.errors or status not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        if status == pytest.ExitCode.USAGE_ERROR and not plugin.errors:  # one of our own, in one line
            raise RuntimeError(output.getvalue().strip().removeprefix("ERROR: "))
        details = "\n".join(plugin.errors) or output.getvalue() or f"pytest ended with {status!r}"
        raise RuntimeError(f"the checks under {assignment.checks} cannot be run:\n{details}")


@contextlib.contextmanager
def _quiet_pytest() -> Iterator[io.StringIO]:
    """Runs pytest without other installed plugins and PYTEST_ADDOPTS; yields its error output instead of printing it."""
    kept = {k: os.environ.pop(k) for k in ("PYTEST_ADDOPTS", "PYTEST_PLUGINS") if k in os.environ}
    before = os.environ.get("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    current = os.environ.get("PYTEST_CURRENT_TEST")
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    output = io.StringIO()
    try:
        with contextlib.redirect_stderr(output):
            yield output
    finally:
        os.environ.update(kept)
        if before is None:
            os.environ.pop("PYTEST_DISABLE_PLUGIN_AUTOLOAD", None)
        if current is not None:
            os.environ["PYTEST_CURRENT_TEST"] = current
