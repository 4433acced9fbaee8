"""A tiny assignment for the engine's tests: one question per kind of behaviour, nothing about generative models."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path

from autograder import intake
from autograder.rubric import Assignment
from autograder.rubric import read as read_rubric

RUBRIC = """
title = "Tiny"
modules = ["first", "second"]
given = ["given"]
notebooks = []

[[question]]
id = "1"
title = "Doubling"
points = 4
graded = "auto"
module = "first"
asks = "double"

[[question]]
id = "2"
title = "Doubling twice"
points = 2
graded = "auto"
module = "second"
stand_ins = ["first"]
asks = "quadruple"
seconds = 20

[[question]]
id = "2w"
title = "Why"
points = 1
graded = "written"
words = 50
"""

PROBES = {
    "first.py": """
        from .kit import need, snapshot

        def double(x):
            return {"y": snapshot(need("first", "double")(x))}

        def raw(name):
            return {"y": need("first", name)()}
    """,
    "second.py": """
        from .kit import need, snapshot

        def quadruple(x):
            return {"y": snapshot(need("second", "quadruple")(x))}
    """,
    "stand_ins/__init__.py": "",
    "stand_ins/first.py": """
        def double(x):
            return x * 3
    """,
}

CHECKS = {
    "public/test_first.py": """
        from autograder.judging import Mistake, check, expect_close

        @check("1", points=1, title="The result is twice the input", asks="double(x): 2 x.")
        def test_twice(submission, draw):
            x = draw.normal(3, 2)
            y = submission.ask("first.double", seconds=3, x=x).tensor("y", (3, 2))
            mistakes = [Mistake(x + 2, "Two is added.", "Multiply by two.")]
            expect_close(y, 2 * x, what="double(x)", mistakes=mistakes)
    """,
    "hidden/test_first.py": """
        from autograder.judging import check, expect_close

        @check("1", points=3, title="Doubling is as the reference's", asks="double(x): 2 x.")
        def test_as_reference(submission, reference, draw):
            x = draw.normal(5)
            y = submission.ask("first.double", seconds=3, x=x).tensor("y", (5,))
            expect_close(y, reference.ask("first.double", x=x).tensor("y"), what="double(x)")
    """,
    "public/test_second.py": """
        from autograder.judging import check, close, expect

        @check("2", points=2, title="The result is four times the input", asks="quadruple(x): double(double(x)).")
        def test_four_times(submission, draw):
            x = draw.normal(3)
            y = submission.ask("second.quadruple", seconds=3, x=x).tensor("y", (3,))
            expect(close(y, 4 * x, 1e-4, 1e-6) or close(y, 9 * x, 1e-4, 1e-6), expected="4 x", seen="another value")
    """,
}

SOLUTION = {
    "first.py": "def double(x):\n    return 2 * x\n",
    "second.py": "from first import double\n\n\ndef quadruple(x):\n    return double(double(x))\n",
}


def write(folder: Path, files: Mapping[str, str]) -> Path:
    """Writes texts into files under `folder` (made as needed) and returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
    return folder


def make_assignment(folder: Path) -> Assignment:
    """The tiny assignment, with its reference, written under `folder`."""
    import autograder.probes

    kit = Path(autograder.probes.__file__).with_name("kit.py").read_text(encoding="utf-8")
    write(folder / "probes", {"__init__.py": "", **PROBES})
    (folder / "probes" / "kit.py").write_text(kit, encoding="utf-8")
    write(folder / "checks", CHECKS)
    write(folder / "given", {"given.py": "GIVEN = 1\n"})
    write(folder / "reference", SOLUTION)
    write(folder, {"rubric.toml": RUBRIC})
    return Assignment(
        rubric=read_rubric(folder / "rubric.toml"),
        probes=folder / "probes",
        checks=folder / "checks",
        given=folder / "given",
        reference=folder / "reference",
    )


def submit(folder: Path, assignment: Assignment, **files: str) -> intake.Submission:
    """A submission of the solution with some modules replaced: submit(..., first="..."); an empty text leaves one out."""
    texts = {**SOLUTION, **{f"{name}.py": text for name, text in files.items()}}
    write(folder, {name: text for name, text in texts.items() if text})
    return intake.read(folder, assignment.rubric)
