"""results.json as Gradescope documents it: one test per check, without anything about hidden ones that students may not read.

Format: https://gradescope-autograders.readthedocs.io/en/latest/specs/
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from autograder.model.rubric import Question, Rubric
from autograder.model.verdicts import GRADER_FAULT, Result, Verdict, tidy
from autograder.reports.hidden import Teaching
from autograder.support.markup import for_markdown

HiddenVisibility = Literal["hidden", "after_due_date", "after_published", "visible"]
PASSED, NOT_PASSED = "Passed.", "Not passed."
WHEN = {
    "hidden": "You do not see them.",
    "after_due_date": "You see whether they passed after the due date.",
    "after_published": "You see whether they passed when grades are published.",
    "visible": "You see whether they passed, not what they tried.",
}


def document(
    result: Result,
    rubric: Rubric,
    hidden: HiddenVisibility,
    note: str = "",
    teaching: Teaching = Teaching(),  # noqa: B008 (it is immutable)
    visibility: Mapping[str, HiddenVisibility] | None = None,
) -> dict[str, Any]:
    """The whole of results.json.

    hidden: when students see the hidden checks of this submission. teaching: what these say.
    note: further text for the student, in Markdown, or "".
    visibility: when students see single hidden checks, by check or question.
    """
    return {
        "score": result.score,
        # To ten seconds: a sleeping submission must not tell its author what hidden checks asked.
        "execution_time": round(result.seconds, -1),
        "output": _overview(result, hidden, note),
        "output_format": "md",
        "test_output_format": "md",
        "test_name_format": "text",
        "visibility": "visible",
        "stdout_visibility": "hidden",
        "extra_data": {"isolation": result.isolation, "sha256": result.sha256, "complete": result.complete},
        "tests": tests(result, rubric, hidden, teaching, visibility or {}),
    }


def failure(why: str) -> dict[str, Any]:
    """A results.json for when there is nothing to report: the fault is in the grader."""
    return {
        "score": 0,
        "output": f"Your work could not be graded, because of a fault in the grader, not in your code: {why}\n\n"
        "Your upload is kept. Tell your instructor, who can grade it again.",
        "output_format": "md",
        "visibility": "visible",
        "stdout_visibility": "hidden",
        "tests": [],
    }


def tests(
    result: Result,
    rubric: Rubric,
    hidden: HiddenVisibility,
    teaching: Teaching,
    visibility: Mapping[str, HiddenVisibility],
) -> list[dict[str, Any]]:
    """One entry for each check, numbered within its question: 1-4.1, 1-4.2, ... (public ones first)."""
    rows: list[dict[str, Any]] = []
    for question in rubric.auto:
        for number, verdict in enumerate(result.of(question.id), 1):
            public = verdict.visibility == "public"
            own = visibility.get(verdict.id) or visibility.get(question.id)
            rows.append(
                {
                    "name": f"{question.id} {verdict.title if public else _named(verdict, question, teaching)}",
                    "number": f"{question.id}.{number}",
                    "score": verdict.score,
                    "max_score": verdict.max_score,
                    "status": "passed" if verdict.status == "passed" else "failed",
                    "output": for_markdown(words(verdict, teaching))
                    if public and verdict.status != "passed"
                    else words(verdict, teaching),
                    "output_format": "md",
                    "visibility": "visible" if public else own or hidden,
                    "tags": [question.id, question.module, verdict.visibility],
                }
            )
    return rows


def looks_used(metadata: Mapping[str, Any]) -> int:
    """How many earlier submissions were made on the day of this one (submission_metadata.json)."""
    try:
        day = datetime.fromisoformat(str(metadata["created_at"])).date()
    except (KeyError, ValueError):
        return 0
    count = 0
    for earlier in metadata.get("previous_submissions") or []:
        try:
            count += datetime.fromisoformat(str(earlier["submission_time"])).date() == day
        except (KeyError, ValueError, TypeError):
            continue
    return count


def instructors_report(result: Result) -> str:
    """What hidden checks found, in full: for the host's own output, which students do not see."""
    lines = [
        f"{result.submission}: {result.score:g} of {result.max_score:g} points, isolation {result.isolation}"
    ]
    for verdict in result.checks:
        if verdict.status != "passed":
            lines.append(
                f"\n[{verdict.id}] {verdict.visibility}, {verdict.status}: {verdict.title}\n{verdict.feedback.text()}"
            )
    return "\n".join(lines)


def _named(verdict: Verdict, question: Question, teaching: Teaching) -> str:
    return "Hidden check" + ("" if teaching.choice == "count" else f": {verdict.rubric or question.title}")


def words(verdict: Verdict, teaching: Teaching) -> str:
    """What a student may read of a verdict: all of a public one, of a hidden one whether it passed and what `teaching` adds."""
    if verdict.status == "passed":
        return PASSED
    if verdict.visibility == "public":
        return verdict.feedback.text()
    return GRADER_FAULT.text() if verdict.grader_fault else f"{NOT_PASSED} {teaching.lesson(verdict)}".strip()


def _overview(result: Result, hidden: HiddenVisibility, note: str) -> str:
    """The text above the tests: public points per question, and what is decided later."""
    public = [v for v in result.checks if v.visibility == "public"]
    score, most = tidy(sum(v.score for v in public)), tidy(sum(v.max_score for v in public))
    lines = [f"**Public checks: {score:g} of {most:g} points.**", ""]
    for question, _ in result.points:
        own = [v for v in public if v.question == question]
        if own:
            got, of = sum(v.score for v in own), sum(v.max_score for v in own)
            lines.append(f"- {question}: {got:g} of {of:g}{'' if got == of else ' (to do)'}")
    rest = tidy(result.max_score - most)
    lines += ["", f"Hidden checks decide the other {rest:g} points. {WHEN[hidden]}"]
    if note:
        lines += ["", note]
    if result.notes:
        lines += [
            "",
            "About your upload:",
            "",
            for_markdown("\n".join(result.notes)),
        ]
    if result.printed:
        lines += ["", "What your code printed while public checks ran:", ""]
        lines += [f"{id}:\n\n{for_markdown(text)}" for id, text in result.printed.items()]
    return "\n".join(lines)
