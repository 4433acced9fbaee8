"""Which failed checks have the same cause, and which functions are not written yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from autograder.model.feedback import Feedback
from autograder.model.rubric import Question
from autograder.model.verdicts import Verdict


def by_cause(failing: Sequence[Verdict]) -> list[list[Verdict]]:
    """The verdicts in groups that failed for the same cause, in the order of the first of each.

    The cause is the recognised mistake, the student's line that raised, or all of the feedback but what was asked.
    """
    groups: dict[object, list[Verdict]] = {}
    for verdict in failing:
        groups.setdefault(_cause(verdict.feedback, verdict.mistake), []).append(verdict)
    return list(groups.values())


def _cause(feedback: Feedback, mistake: str | None) -> object:
    return mistake or feedback.location or replace(feedback, asked="")


def not_written(question: Question, failing: Sequence[Verdict]) -> str:
    """The functions still to write, in one line, when nothing else is wrong; else ""."""
    todos = [v.feedback.todo for v in failing]
    if not todos or None in todos:
        return ""
    names = dict.fromkeys(todo.partition(": ")[2] or todo for todo in todos if todo)
    return f"Not written yet. In {question.module}.py: {'; '.join(names) or question.asks}."
