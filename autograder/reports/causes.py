"""What a student should do next: which failed checks have the same cause, which functions are not written, what was printed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from autograder.model.feedback import Feedback
from autograder.model.rubric import Question
from autograder.model.verdicts import Verdict

PRINTED = 20  # lines that are shown of what code printed, the last ones
UNPAID = "A check for information gives no points itself; hidden checks of the same thing do."


@dataclass(frozen=True)
class Step:
    """One thing to do next. title: of the check it is about, or ""; others: of further checks that fail for the same cause."""

    title: str
    text: str
    others: tuple[str, ...] = ()


def next_steps(question: Question, failing: Sequence[Verdict]) -> list[Step]:
    """What to do next: one step per cause; checks that fail for the same cause share one."""
    if not failing:
        return []
    if todo := not_written(question, failing):
        return [Step("", todo)]
    groups = by_cause(failing)
    return [Step(g[0].title, g[0].feedback.text(), tuple(v.title for v in g[1:])) for g in groups]


def last_lines(text: str, most: int = PRINTED) -> str:
    """The last lines of a text, with a note on how many are left out."""
    lines = text.splitlines()
    left = len(lines) - most
    return "\n".join([f"[{left} lines before]", *lines[left:]] if left > 0 else lines)


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
    return f"Not written yet. In {question.module}.py: {'; '.join(names) or f'write {question.asks}'}."
