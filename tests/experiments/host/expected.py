"""Examines results.json: the documented format, the points, and that it contains nothing that students may not see."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import jsonschema

from autograder.model.assignment import assignment
from autograder.model.verdicts import tidy
from tests.attacks.entries import REACHED
from tests.attacks.findings import hidden_lines, solution_lines

FORMATS = {"enum": ["text", "html", "simple_format", "md", "ansi"]}
VISIBILITY = {"enum": ["visible", "hidden", "after_due_date", "after_published"]}
# After https://gradescope-autograders.readthedocs.io/en/latest/specs/; stricter where we promise more (status, number, tags).
SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["score", "tests", "output"],
    "properties": {
        "score": {"type": "number", "minimum": 0},
        "output": {"type": "string"},
        "output_format": FORMATS,
        "test_output_format": FORMATS,
        "test_name_format": FORMATS,
        "visibility": VISIBILITY,
        "stdout_visibility": VISIBILITY,
        "extra_data": {"type": "object"},
        "tests": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": [
                    "name",
                    "number",
                    "score",
                    "max_score",
                    "visibility",
                    "tags",
                ],
                "properties": {
                    "name": {"type": "string", "minLength": 1},
                    "name_format": FORMATS,
                    "number": {"type": "string", "pattern": r"^[12]-\d+[a-z]?\.\d+$"},
                    "score": {"type": "number", "minimum": 0},
                    "max_score": {"type": "number", "minimum": 0},
                    "status": {"enum": ["passed", "failed"]},
                    "output": {"type": "string"},
                    "output_format": FORMATS,
                    "visibility": VISIBILITY,
                    "tags": {"type": "array", "items": {"type": "string"}},
                    "extra_data": {"type": "object"},
                },
            },
        },
    },
}


def invalid(document: Any, complete: bool = True) -> Iterator[str]:
    """Why a document is not a valid results.json of this grader.

    complete: whether it must contain all checks, so that their points are those of the rubric.
    """
    for error in jsonschema.Draft202012Validator(SCHEMA).iter_errors(document):
        yield f"{error.json_path}: {error.message[:200]}"
        return
    if tidy(sum(t["score"] for t in document["tests"])) != document["score"]:
        yield "the total is not the sum of the tests' scores"
    most = tidy(sum(t["max_score"] for t in document["tests"]))
    points = tidy(sum(q.points for q in assignment().rubric.auto))
    if complete and most != points:
        yield f"the tests give {most} points, the rubric {points}"
    for test in document["tests"]:
        if complete and not {"status", "output"} <= test.keys():
            yield f"{test['number']} has no status or no output"
        if test["score"] > test["max_score"]:
            yield f"{test['number']} has more points than its maximum"
        if ("public" in test["tags"]) != (test["visibility"] == "visible"):
            yield f"{test['number']} is {test['visibility']}, with the tags {test['tags']}"


def scores(document: Mapping[str, Any]) -> dict[str, float]:
    """Points by question."""
    found: dict[str, float] = {}
    for test in document["tests"]:
        found[test["tags"][0]] = found.get(test["tags"][0], 0) + test["score"]
    return {question: tidy(score) for question, score in found.items()}


def lost(document: Mapping[str, Any]) -> set[str]:
    """The questions that do not have all their points."""
    most = {q.id: q.points for q in assignment().rubric.auto}
    return {question for question, score in scores(document).items() if score < most[question]}


def leaks(document: Mapping[str, Any], own: str, secrets: Collection[str]) -> Iterator[str]:
    """What the document must not contain: secrets, lines of solutions or hidden checks, feedback of hidden checks.

    own: the submission's sources, whose lines may be quoted.
    """
    text = "\n".join([document["output"], *(t["name"] + "\n" + t["output"] for t in document["tests"])])
    yield from (f"a secret is leaked: {secret}" for secret in secrets if secret in text)
    for line in (*solution_lines(), *hidden_lines()):
        if line in text and line not in own:
            yield f"a hidden line is leaked: {line}"
    for line in text.splitlines():
        if REACHED in line and not line.strip().startswith("at "):
            yield line.strip()[:160]
    for test in document["tests"]:
        if "hidden" in test["tags"] and len(test["output"]) > 300:
            yield f"{test['number']}, a hidden check, shows more than whether it passed"
