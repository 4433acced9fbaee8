"""The mark that makes a pytest function a check."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import pytest

F = TypeVar("F", bound=Callable[..., None])


def check(question: str, *, points: float, title: str, asks: str, rubric: str = "") -> Callable[[F], F]:
    """Makes a test function a check of `question`.

    points: its weight within the question; all weights are scaled to add up to the question's points in the rubric.
    title: what holds when the check passes, in one line ("The loss is the mean over every element").
    asks: what the student was asked, in one or two sentences; the feedback begins with it.
    rubric: for hidden checks, what students may know of it (the question's title when empty).
    The function may take the fixtures `submission` (to ask probes), `draw` and `shared_draw` (random inputs; see grading.grader).
    """
    return pytest.mark.check(question=question, points=points, title=title, asks=asks, rubric=rubric)
