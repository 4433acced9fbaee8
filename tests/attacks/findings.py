"""What is wrong with an attack's result: points it must not have, losses that are not its own, leaks, silence."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from autograder.rubric import assignment
from autograder.verdicts import GRADERS_FAULT, Result
from tests import corpus
from tests.attacks.entries import ASSIGNMENT, REACHED, Attack

DISTINCTIVE = 30  # characters of a line that nobody writes by accident


def complaints(attack: Attack, result: Result, honest: Result, secret: str) -> list[str]:
    """honest: the result of the solutions, for the checks there are and the points they give."""
    asked = not attack.touches or bool({*attack.touches} & {v.question for v in honest.checks})
    return [
        *_points(attack, result, honest),
        *_leaks(attack, result, secret),
        *_reached(result),
        *(f"nobody is told {text!r}" for text in attack.hears if asked and text not in told(result)),
    ]


def broken_file(path: Path, result: Result, honest: Result) -> list[str]:
    """Why the result on disk is not the whole, valid one; nothing when it is."""
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
    """Where an honest submission's result is not what it is without attacks beside it."""
    pairs = zip(result.checks, alone.checks, strict=True)
    return [f"{a.id} was {b.status}, and is {a.status}: {a.feedback[:200]}" for a, b in pairs if a != b]


def public(result: Result) -> str:
    """All that a student can see of a result."""
    verdicts = [v for v in result.checks if v.visibility == "public"]
    texts = [text for v in verdicts for text in (v.feedback, v.diagnosis or "")]
    return "\n".join([*texts, *result.printed.values(), *result.notes])


def told(result: Result) -> str:
    """Everything in words in a result, an instructor's part too."""
    return "\n".join([public(result), *(v.feedback for v in result.checks)])


def _points(attack: Attack, result: Result, honest: Result) -> Iterator[str]:
    for verdict, right in zip(result.checks, honest.checks, strict=False):
        if attack.base == "stubs" and verdict.score > 0:
            yield f"gains {verdict.score:g} on {verdict.id}"
        if (
            attack.base == "solutions"
            and verdict.score < right.score
            and verdict.question not in attack.touches
        ):
            yield f"loses {right.score - verdict.score:g} on {verdict.id}: {verdict.feedback[:200]}"


def _leaks(attack: Attack, result: Result, secret: str) -> Iterator[str]:
    if secret in told(result):
        yield "a secret is told"
    seen = public(result)
    own = "\n".join(attack.sources().values())
    for what, lines in (("solution", solution_lines()), ("hidden checks", hidden_lines())):
        for line in lines:
            if line in seen and line not in own:
                yield f"a line of the {what} is told: {line}"


def _reached(result: Result) -> Iterator[str]:
    if odd := {c for c in told(result) if not c.isprintable() and c not in "\n\t"}:
        yield f"characters that can move a cursor or hide text are passed on: {sorted(odd)}"
    for verdict in result.checks:
        if GRADERS_FAULT in verdict.feedback:
            yield f"the grader is blamed for {verdict.id}"
    for line in told(result).splitlines():
        if REACHED in line and not line.strip().startswith("at "):  # a line of code that is quoted
            yield line.strip()[:160]


@cache
def solution_lines() -> tuple[str, ...]:
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
    texts = [path.read_text(encoding="utf-8") for path in (assignment().checks / "hidden").glob("*.py")]
    return _distinctive({line.strip() for text in texts for line in text.splitlines()})


def _distinctive(lines: set[str]) -> tuple[str, ...]:
    """The long lines that stand in no file that students have."""
    subject = assignment()
    engine = Path(__file__).resolve().parents[2] / "autograder" / "judging"
    folders = [subject.checks / "public", subject.probes, engine, ASSIGNMENT]
    known = "\n".join(p.read_text(encoding="utf-8") for folder in folders for p in folder.rglob("*.py"))
    return tuple(sorted(line for line in lines if len(line) >= DISTINCTIVE and line not in known))
