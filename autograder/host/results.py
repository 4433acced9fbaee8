"""results.json as Gradescope documents it: one test per check, without anything about hidden ones that students may not read.

Format: https://gradescope-autograders.readthedocs.io/en/latest/specs/
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from typing import Any, Literal

from autograder.model.counting import Counting
from autograder.model.rubric import Question, Rubric
from autograder.model.verdicts import GRADER_FAULT, NOT_RUN, Result, Verdict, tidy
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
WHEN_SOME = {
    "visible": "now",
    "after_due_date": "after the due date",
    "after_published": "when grades are published",
    "hidden": "not at all",
}
GIVEN = "This check gives full points to everyone who submitted."
ONLY_POINTS = "Only your points could be stored, because of a fault in the grader: tell your instructor, who can grade it again."


def document(
    result: Result,
    rubric: Rubric,
    hidden: HiddenVisibility,
    note: str = "",
    teaching: Teaching = Teaching(),  # noqa: B008 (it is immutable)
    visibility: Mapping[str, HiddenVisibility] | None = None,
    counting: Counting = Counting(),  # noqa: B008 (it is immutable)
) -> dict[str, Any]:
    """The whole of results.json. It holds no time: a submission that sleeps would tell its author what hidden checks asked.

    hidden: when students see the hidden checks of this submission. teaching: what these say.
    note: further text for the student, in Markdown, or "".
    visibility: when students see single hidden checks, by check or question.
    counting: the questions and checks that are dropped, given or a bonus.
    """
    result = counting.counted(result)
    when = {
        v.id: visibility.get(v.id) or visibility.get(v.question) or hidden if visibility else hidden
        for v in result.checks
        if v.visibility == "hidden"
    }
    return {
        "score": result.score,
        "output": _overview(result, when, note),
        "output_format": "md",
        "test_output_format": "md",
        "test_name_format": "text",
        "visibility": "visible",
        "stdout_visibility": "hidden",
        "extra_data": {"isolation": result.isolation, "sha256": result.sha256, "complete": result.complete},
        "tests": tests(result, rubric, when, teaching, counting),
    }


def smaller(document: Mapping[str, Any]) -> dict[str, Any]:
    """A results.json with the same points and nothing to read about them, for a disk that is nearly full."""
    rows = [{key: value for key, value in row.items() if key != "output"} for row in document["tests"]]
    return {**document, "output": ONLY_POINTS, "tests": rows}


def failure(why: str) -> dict[str, Any]:
    """A results.json for when there is nothing to report: the fault is in the grader."""
    return {
        "score": 0,
        "output": f"Your work could not be graded, because of a fault in the grader, not in your code: {why}\n\n"
        "Your upload is kept. Tell your instructor, who can grade it again.",
        "output_format": "md",
        "visibility": "visible",
        "stdout_visibility": "hidden",
        "extra_data": {"complete": False},
        "tests": [],
    }


def tests(
    result: Result,
    rubric: Rubric,
    when: Mapping[str, HiddenVisibility],
    teaching: Teaching,
    counting: Counting,
) -> list[dict[str, Any]]:
    """One entry for each check, numbered within its question: 1-4.1, 1-4.2, ... (public ones first).

    when: when students see each hidden check. A check that is dropped neither passes nor fails.
    """
    rows: list[dict[str, Any]] = []
    for question in rubric.auto:
        for number, verdict in enumerate(result.of(question.id), 1):
            public = verdict.visibility == "public"
            way, passed = counting.way(verdict), verdict.status == "passed"
            text = words(verdict, teaching)
            if public and not passed:
                text = for_markdown(text)
            if way == "given" and not passed:
                text = f"{GIVEN}\n\n{text}"
            status = {"status": "passed" if passed or way == "given" else "failed"}
            rows.append(
                {
                    "name": f"{question.id} {verdict.title if public else _named(verdict, question, teaching)}",
                    "number": f"{question.id}.{number}",
                    "score": verdict.score,
                    "max_score": verdict.max_score,
                    **({} if way == "dropped" else status),
                    "output": text,
                    "output_format": "md",
                    "visibility": "visible" if public else when[verdict.id],
                    "tags": [question.id, question.module, verdict.visibility],
                }
            )
    return rows


def looks_used(metadata: Mapping[str, Any]) -> int | None:
    """How many earlier submissions were made on the day of this one, in its time zone (submission_metadata.json).

    None if its time or the list of earlier ones cannot be read. One that ended in a fault of the autograder does not count;
    one whose own time cannot be read does.
    """
    created, earlier = _moment(metadata.get("created_at")), metadata.get("previous_submissions")
    if created is None or not isinstance(earlier, list):
        return None
    entries = [entry if isinstance(entry, dict) else {} for entry in earlier]
    moments = [_moment(e.get("submission_time")) for e in entries if e.get("autograder_error") is not True]
    midnight = created.replace(hour=0, minute=0, second=0, microsecond=0)
    return sum(m is None or midnight <= m <= created for m in moments)


def _moment(text: Any) -> datetime | None:
    """The time that a text in ISO 8601 names, in UTC where it names no zone; None for anything else."""
    try:
        found = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except (AttributeError, TypeError, ValueError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=timezone.utc)


def instructors_report(result: Result) -> str:
    """What hidden checks found, in full, and the time it took: for the host's own output, which students do not see."""
    points = f"{result.score:g} of {result.max_score:g} points"
    lines = [f"{result.submission}: {points}, isolation {result.isolation}, {result.seconds:.1f} s"]
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
    if verdict.visibility == "public" or verdict.feedback == NOT_RUN:
        return verdict.feedback.text()
    return GRADER_FAULT.text() if verdict.grader_fault else f"{NOT_PASSED} {teaching.lesson(verdict)}".strip()


def _overview(result: Result, when: Mapping[str, HiddenVisibility], note: str) -> str:
    """The text above the tests: public points per question, and what is decided later. when: as for `tests`."""
    public = [v for v in result.checks if v.visibility == "public"]
    score, most = tidy(sum(v.score for v in public)), tidy(sum(v.max_score for v in public))
    lines = [f"**Public checks: {score:g} of {most:g} points.**", ""]
    for question, _ in result.points:
        own = [v for v in public if v.question == question]
        if own:
            got, of = sum(v.score for v in own), sum(v.max_score for v in own)
            lines.append(f"- {question}: {_points(tidy(got), tidy(of))}")
    rest = tidy(result.max_score - most)
    lines += ["", f"Hidden checks decide the other {rest:g} points. {_when(when.values())}".rstrip()]
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


def _points(got: float, of: float) -> str:
    """A question's public points. Where they add nothing to the maximum, the question is a bonus or not counted."""
    if not of:
        return f"{got:g} bonus" if got else "no points"
    return f"{got:g} of {of:g}{'' if got >= of else ' (to do)'}"


def _when(visibilities: Iterable[HiddenVisibility]) -> str:
    """When students see hidden checks, in one sentence."""
    used = set(visibilities)
    if len(used) < 2:
        return "".join(WHEN[when] for when in used)
    *some, last = (text for when, text in WHEN_SOME.items() if when in used)
    return f"You see some of them {', others '.join(some)} and others {last}."
