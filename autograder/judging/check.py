"""The mark that makes a pytest function a check."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import pytest

F = TypeVar("F", bound=Callable[..., None])
FOR_INFORMATION = " (for information)"  # the end of a title, of a check without points


def check(question: str, *, points: float, title: str, asks: str, rubric: str = "") -> Callable[[F], F]:
    """Makes a test function a check of `question`.

    points: its weight within the question; all weights are scaled to add up to the question's points in the rubric.
    title: what holds when the check passes, in one line ("The loss is the mean over every element").
    asks: what the student was asked, in one or two sentences; the feedback begins with it.
    rubric: for hidden checks, what students may know of it (the question's title when empty).
    The function may take the fixtures `submission` (to ask probes), `draw` and `shared_draw` (random inputs; see grading.grader).
    """
    return pytest.mark.check(question=question, points=points, title=title, asks=asks, rubric=rubric)


def again(public: Callable[..., None], *, points: float, rubric: str) -> Callable[..., None]:
    """A hidden check, with points, that judges as a public one for information does.

    Where both run, it gets the public check's verdict and computes nothing. points, rubric: as for `check`.
    """
    content = next(mark.kwargs for mark in public.pytestmark if mark.name == "check")  # type: ignore[attr-defined]

    @wraps(public)
    def judge(*given: Any, **named: Any) -> None:
        public(*given, **named)

    judge.pytestmark = []  # type: ignore[attr-defined]
    return pytest.mark.check(
        question=content["question"],
        points=points,
        title=content["title"].removesuffix(FOR_INFORMATION),
        asks=content["asks"],
        rubric=rubric,
        same_as=f"{content['question']}:{public.__name__.removeprefix('test_')}",
    )(judge)
