"""What the notebook's grader shows, as Otter's own result types: plain text, the same as in the terminal.

Everything is readable without colour; text from student code is escaped.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import Any

from otter.test_files import GradingResults, TestFile
from otter.test_files.abstract_test import TestCase, TestCaseResult

from autograder.model.rubric import Question
from autograder.model.verdicts import Verdict, lost, tidy, total
from autograder.reports.causes import UNPAID, Step, last_lines, next_steps
from autograder.submissions.written import Answer
from autograder.support.markup import for_html

_BOX = "border-left: 4px solid {colour}; padding: .1em 0 .1em .8em; margin: .4em 0"
_PRE = "white-space: pre-wrap; overflow-wrap: anywhere; margin: .2em 0 .6em 0"


class Finding(TestFile):
    """One question's outcome: a headline, and under it what to do.

    It is an Otter `TestFile`: `score`, `possible`, `passed_all`, `test_cases` and `to_dict()` agree with it.
    """

    def __init__(
        self,
        name: str,
        path: str,
        headline: str,
        advice: Sequence[Step] = (),
        cases: Sequence[tuple[TestCase, str, bool]] = (),
    ) -> None:
        super().__init__(name, path, [case for case, _, _ in cases], all_or_nothing=False)
        self.test_case_results = [TestCaseResult(case, message, passed) for case, message, passed in cases]
        self.headline, self.advice = headline, tuple(advice)

    @property
    def grade(self) -> float:
        """The share of the points that was earned; without points, 1 if all cases passed, else 0."""
        return self.score / self.possible if self.possible else float(self.passed_all)

    @property
    def score(self) -> float:
        return tidy(super().score)

    @property
    def possible(self) -> float:
        return tidy(super().possible)

    def summary(self, public_only: bool = False) -> str:
        """The outcome as plain text."""
        lines = [f"{self.name}: {self.headline}"]
        for step in self.advice:
            lines += ["", *([f"  {step.title}"] if step.title else [])]
            lines += [f"    {line}" for line in step.text.splitlines()]
            lines += [f"    The same in: {title}" for title in step.others]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        colour = "#1a7f37" if self.passed_all else "#b35900"
        made = [f"<p><strong>{for_html(self.name)}: {for_html(self.headline)}</strong></p>"]
        for step in self.advice:
            if step.title:
                made.append(f"<p>{for_html(step.title)}</p>")
            made.append(f'<pre style="{_PRE}">{for_html(step.text)}</pre>')
            if step.others:
                made.append(_folded(step.others))
        return f'<div style="{_BOX.format(colour=colour)}">{"".join(made)}</div>'

    @classmethod
    def from_file(cls, path: str) -> TestFile:
        raise NotImplementedError("questions are checked by `python -m autograder check`, not from files")

    @classmethod
    def from_metadata(cls, s: Any, path: str) -> TestFile:
        raise NotImplementedError("questions are checked by `python -m autograder check`, not from metadata")

    def run(self, global_environment: dict[str, Any]) -> None:
        """Does nothing: the checks have already run."""


def _folded(titles: Sequence[str]) -> str:
    """A line that unfolds to the titles of further checks with the same cause."""
    count = f"{len(titles)} other check{'' if len(titles) == 1 else 's'}"
    shown = "<br>".join(for_html(title) for title in titles)
    return f"<details><summary>The same in {count}</summary>{shown}</details>"


class CheckedQuestion(Finding):
    """What the public checks of one question found.

    notes: lines about the submission. printed: what the code printed, shown while a check fails, as in the terminal.
    """

    def __init__(
        self,
        name: str,
        path: str,
        question: Question,
        verdicts: Sequence[Verdict],
        notes: Sequence[str] = (),
        printed: str = "",
    ) -> None:
        score, most = total(verdicts)
        failing = lost(verdicts)
        passed = len(verdicts) - len(failing)
        share = "all" if passed == len(verdicts) > 1 else f"{passed} of"
        headline = (
            f"{share} {len(verdicts)} public check{'' if len(verdicts) == 1 else 's'} passed"
            f" ({score:g} of {most:g} public points)"
        )
        advice = next_steps(question, failing)
        if failing and printed.strip():
            advice.append(Step("Your code printed:", last_lines(printed.strip())))
        advice += [Step("", f"Note: {note}") for note in notes]
        if not all(v.max_score for v in failing):
            advice.append(Step("", UNPAID))
        if not failing and (hidden := tidy(question.points - most)) > 0:
            rest = (
                f"Hidden checks decide the other {hidden:g} of {question.points:g} points after handing in."
            )
            advice.append(Step("", rest))
        cases = [
            (TestCase(v.title, v.id, False, v.max_score, None, None), v.feedback.text(), v.status == "passed")
            for v in verdicts
        ]
        super().__init__(name, path, headline, advice, cases)
        self.update_score(score)


class WrittenQuestion(Finding):
    """How long a written answer is; it is graded by hand, so it has no points here."""

    def __init__(self, name: str, path: str, question: Question, answer: Answer | None) -> None:
        if answer is None:
            headline = f"{question.id} is not in the saved notebook"
            remarks = [
                f"Put the line <!-- question {question.id} --> back above its prompt, and save the notebook."
            ]
        else:
            limit = f" of at most {question.words}" if question.words else ""
            headline = f"{answer.words}{limit} words; graded by hand"
            remarks = answer.remarks(question.words)
            if remarks:
                remarks.append("This is the notebook as it was last saved: save it first, then check again.")
        case = TestCase(question.title, question.id, False, 0, None, None)
        message = "\n".join(remarks)
        advice = [Step("", message)] if message else []
        super().__init__(name, path, headline, advice, [(case, message, not remarks)])


class NotChecked(Finding):
    """Why nothing was checked, in one line."""

    def __init__(self, name: str, path: str, reason: str) -> None:
        case = TestCase("the check could be run", name, False, 0, None, None)
        super().__init__(name, path, "not checked", [Step("", reason)], [(case, reason, False)])


class AllFindings(GradingResults):
    """The outcome of all questions: `total`, `possible` and `results` as Otter has them, and a readable page."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        super().__init__(list(findings))

    @property
    def total(self) -> float:
        return tidy(super().total)

    @property
    def possible(self) -> float:
        return tidy(super().possible)

    @property
    def headline(self) -> str:
        return f"{self.total:g} of {self.possible:g} points that public checks give"

    def summary(self, public_only: bool = False) -> str:
        """The outcome as plain text."""
        parts = [finding.summary(public_only) for finding in self.results.values()]
        return "\n\n".join([*parts, self.headline])

    def _repr_html_(self) -> str:
        parts = [finding._repr_html_() for finding in self.results.values()]
        return "".join([*parts, f"<p><strong>{html.escape(self.headline)}</strong></p>"])
