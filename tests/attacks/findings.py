"""What is wrong with an attack's result: undeserved points, losses on other questions, leaks, missing explanations."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from autograder.model.assignment import assignment
from autograder.model.verdicts import Result
from tests import corpus
from tests.attacks.entries import ASSIGNMENT, REACHED, Attack

DISTINCTIVE = 30  # characters of a line that no one writes by accident


def complaints(attack: Attack, result: Result, honest: Result, secret: str) -> list[str]:
    """What is wrong with the result. honest: the result of the solutions, for all checks and their points."""
    asked = not attack.touches or bool({*attack.touches} & {v.question for v in honest.checks})
    return [
        *_points(attack, result, honest),
        *_leaks(attack, result, secret),
        *_reached(result),
        *(
            f"no feedback or note contains {text!r}"
            for text in attack.hears
            if asked and text not in all_text(result)
        ),
    ]


def broken_file(path: Path, result: Result, honest: Result) -> list[str]:
    """Why the result on disk is not complete and valid; empty if it is."""
    try:
        found = Result.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        return [f"no valid result on disk: {error}"]
    problems = (
        [] if found.to_json() == json.loads(json.dumps(result.to_json())) else ["disk and memory differ"]
    )
    if not found.complete:
        problems.append("the result is not complete")
    if [v.id for v in found.checks] != [v.id for v in honest.checks]:
        problems.append("checks are missing in the result")
    return problems


def differences(result: Result, alone: Result) -> list[str]:
    """Where an honest submission's result differs from its result without attacks beside it."""
    pairs = zip(result.checks, alone.checks, strict=True)
    return [
        f"{a.id} was {b.status}, and is {a.status}: {a.feedback.text()[:200]}" for a, b in pairs if a != b
    ]


def public(result: Result) -> str:
    """Everything that a student can see of a result."""
    verdicts = [v for v in result.checks if v.visibility == "public"]
    texts = [text for v in verdicts for text in (v.feedback.text(), v.diagnosis or "")]
    return "\n".join([*texts, *result.printed.values(), *result.notes])


def all_text(result: Result) -> str:
    """All texts of a result, including those for instructors."""
    return "\n".join([public(result), *(v.feedback.text() for v in result.checks)])


def _points(attack: Attack, result: Result, honest: Result) -> Iterator[str]:
    gains_more = sum(v.score for v in result.checks) > attack.most
    for verdict, right in zip(result.checks, honest.checks, strict=False):
        if attack.base == "stubs" and verdict.score > 0 and gains_more:
            yield f"gains {verdict.score:g} on {verdict.id}"
        if (
            attack.base == "solutions"
            and verdict.score < right.score
            and verdict.question not in attack.touches
        ):
            yield f"loses {right.score - verdict.score:g} on {verdict.id}: {verdict.feedback.text()[:200]}"


def _leaks(attack: Attack, result: Result, secret: str) -> Iterator[str]:
    if secret in all_text(result):
        yield "a secret is leaked"
    seen = public(result)
    own = "\n".join(attack.sources().values())
    for what, lines in (("solution", solution_lines()), ("hidden checks", hidden_lines())):
        for line in lines:
            if line in seen and line not in own:
                yield f"a line of the {what} is leaked: {line}"


def _reached(result: Result) -> Iterator[str]:
    if odd := {c for c in all_text(result) if not c.isprintable() and c not in "\n\t"}:
        yield f"characters that can move a cursor or hide text are passed on: {sorted(odd)}"
    for verdict in result.checks:
        if verdict.grader_fault:
            yield f"the grader is blamed for {verdict.id}"
    for line in all_text(result).splitlines():
        if REACHED in line and not line.strip().startswith("at "):  # a line of code that is quoted
            yield line.strip()[:160]


@cache
def solution_lines() -> tuple[str, ...]:
    """Lines between the solution marks that students do not have."""
    found: set[str] = set()
    for text in corpus.reference().values():
        inside = False
        for line in text.splitlines():
            inside = "BEGIN SOLUTION" in line or (inside and "END SOLUTION" not in line)
            if inside and "SOLUTION" not in line:
                found.add(line.strip())
    return _distinctive(found)


@cache
def hidden_lines() -> tuple[str, ...]:
    """Lines of hidden checks and mistakes that students do not have."""
    hidden = [path for path in assignment().folder.rglob("*.py") if "hidden" in path.parts]
    texts = [path.read_text(encoding="utf-8") for path in hidden]
    return _distinctive({line.strip() for text in texts for line in text.splitlines()})


def _distinctive(lines: set[str]) -> tuple[str, ...]:
    """The long lines that are in no file that students have."""
    subject = assignment()
    engine = Path(__file__).resolve().parents[2] / "autograder" / "judging"
    parts = ("checks/public", "mistakes/public", "probes", "stand_ins")
    folders = [*(subject.folder / part for part in parts), engine, ASSIGNMENT]
    known = "\n".join(p.read_text(encoding="utf-8") for folder in folders for p in folder.rglob("*.py"))
    return tuple(sorted(line for line in lines if len(line) >= DISTINCTIVE and line not in known))
