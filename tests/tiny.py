"""A tiny assignment for the engine's tests: a folder with one question per kind of behaviour."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path

from autograder.classroom import answers
from autograder.grading import options
from autograder.model.assignment import FILE, Assignment, assignment, load
from autograder.submissions import handed_out, intake

RUBRIC = """
title = "Tiny"
modules = ["first", "second"]
given = ["given"]

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
    "probes/first.py": """
        from autograder.sandbox.kit import need, snapshot

        def double(x):
            return {"y": snapshot(need("first", "double")(x))}

        def raw(name):
            return {"y": need("first", name)()}
    """,
    "probes/second.py": """
        from autograder.sandbox.kit import need, snapshot

        def quadruple(x):
            return {"y": snapshot(need("second", "quadruple")(x))}
    """,
    "stand_ins/first.py": """
        def double(x):
            return x * 3
    """,
}

CHECKS = {
    "mistakes/public/first.py": """
        from autograder.judging import Mistake

        TWO_IS_ADDED = Mistake(
            "two-is-added", "Two is added.", hint="Multiply by two.", questions=("1",), gives=lambda x: x + 2
        )
    """,
    "checks/public/test_first.py": """
        from autograder.judging import candidates, check, expect_close

        from ...mistakes.public.first import TWO_IS_ADDED

        @check("1", points=1, title="The result is twice the input", asks="double(x): 2 x.")
        def test_twice(submission, draw):
            x = draw.normal(3, 2)
            y = submission.ask("first.double", seconds=3, x=x).tensor("y", (3, 2))
            expect_close(y, 2 * x, what="double(x)", mistakes=candidates([TWO_IS_ADDED], x))
    """,
    "checks/hidden/test_first.py": """
        from autograder.judging import check, expect_close

        @check("1", points=3, title="Doubling is right for any shape", asks="double(x): 2 x.")
        def test_any_shape(submission, draw):
            x = draw.normal(5)
            y = submission.ask("first.double", seconds=3, x=x).tensor("y", (5,))
            expect_close(y, 2 * x, what="double(x)")
    """,
    "checks/public/test_second.py": """
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
    """Writes texts into files under `folder`, which is created if needed, and returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
    return folder


def make_assignment(folder: Path) -> Assignment:
    """The tiny assignment with its solutions, written into `folder`/tiny."""
    home = write(folder / "tiny", {FILE: RUBRIC, **PROBES, **CHECKS})
    write(home / "solutions", {**SOLUTION, "given.py": "GIVEN = 1\n"})
    return load(home)


def forget_assignment() -> None:
    """Drops what this process knows of the assignment in use, before and after a test uses another one."""
    for known in (assignment, options.grader_digest, handed_out.handed_out, answers._handed_out):
        known.cache_clear()


def submit(folder: Path, assignment: Assignment, **files: str) -> intake.Submission:
    """A submission of the solution with some modules replaced: submit(..., first="..."); an empty text omits the module."""
    texts = {**SOLUTION, **{f"{name}.py": text for name, text in files.items()}}
    write(folder, {name: text for name, text in texts.items() if text})
    return intake.read(folder, assignment.rubric)
