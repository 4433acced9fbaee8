"""Rewrites keep behaviour, faults change it, and the checks judge both rightly: a sample of `make metamorphic`."""

from __future__ import annotations

import ast
import random

import pytest

from autograder.model.assignment import assignment
from tests.experiments.metamorphic import cases, equivalence, patterns, programs
from tests.experiments.metamorphic.faults import ALL as FAULTS
from tests.experiments.metamorphic.inserting import Fault
from tests.experiments.metamorphic.observe import observe
from tests.experiments.metamorphic.patterns import Rule
from tests.experiments.metamorphic.rewrites import ALL as REWRITES
from tests.experiments.metamorphic.rewriting import Rewrite

BASES = list(programs.bases())
SOME_REWRITES = random.Random(3).sample(REWRITES, 5)
SOME_FAULTS = random.Random(3).sample(FAULTS, 3)


@pytest.mark.parametrize("base", [name for name in BASES if name != "solutions"])
def test_a_reference_does_what_the_solutions_do(base: str) -> None:
    modules = ("vae", "cvae", "gan") if base == "notebook" else ("autoencoder", "vae", "cvae")
    solutions, reference = (observe(programs.bases()[name], modules) for name in ("solutions", base))
    found = equivalence.differences(solutions, reference)
    assert [line for line in found if not line.startswith(equivalence.CHOSEN)] == []


@pytest.mark.parametrize("rewrite", SOME_REWRITES, ids=lambda rewrite: rewrite.name)
def test_a_rewrite_keeps_behaviour(rewrite: Rewrite) -> None:
    for base in random.Random(rewrite.name).sample(BASES, len(BASES)):
        program = programs.bases()[base]
        new = rewrite.apply(program, sorted(program), random.Random(base))
        if new is not None:
            assert equivalence.compare(program, new) == []
            return
    pytest.fail("it fits in no program")


@pytest.mark.parametrize("fault", SOME_FAULTS, ids=lambda fault: fault.name)
def test_a_fault_changes_behaviour(fault: Fault) -> None:
    for base in random.Random(fault.name).sample(BASES, len(BASES)):
        program = programs.bases()[base]
        broken = fault.apply(program)
        if broken is not None:
            assert equivalence.compare(program, broken, observe(program, (fault.file.removesuffix(".py"),)))
            return
    pytest.fail("it fits in no program")


@pytest.mark.parametrize(
    "case", [*cases.correct(1, seed=5), *cases.faulty(1, seed=8)], ids=lambda case: case.name
)
def test_the_verdict_is_right(case: cases.Case) -> None:
    ((_, result),) = cases.grade([case], jobs=1)
    assert cases.complaints(case, result) == []


def test_names_are_unique_and_every_question_has_faults() -> None:
    assert len({rewrite.name for rewrite in REWRITES}) == len(REWRITES) >= 40
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) >= 25
    assert {fault.question for fault in FAULTS} == {q.id for q in assignment().rubric.auto}


def test_a_combination_depends_on_its_seed_alone() -> None:
    first, again = ([*cases.correct(2, seed=5), *cases.faulty(1, seed=5)] for _ in range(2))
    assert [case.program for case in first] == [case.program for case in again]


@pytest.mark.parametrize(
    ("text", "rule", "expected"),
    [
        ("y = f(a.b, 2)", Rule("f(X_, N_)", "g(N_, X_)", within=""), "y = g(2, a.b)"),
        ("y = f(h(), 2)", Rule("f(X_, N_)", "g(X_, X_)", within=""), None),  # h() would be called twice
        (
            "y = f(1, 2, k=3)",
            Rule("f(A_, *ARGS_, **KW_)", "g(*ARGS_, A_, **KW_)", within=""),
            "y = g(2, 1, k=3)",
        ),
        ("a.go()\nb.go()", Rule("X_.go()\nX_.go()", "pass", within=""), None),  # not the same twice
        (
            "for i in s:\n    a\n    b",
            Rule("for T_ in s:\n    REST_", "for T_ in r(s):\n    REST_", within=""),
            "for i in r(s):\n    a\n    b",
        ),
        (
            "def f():\n    a\n\ndef g():\n    a",
            Rule("a;", "b", within="g"),
            "def f():\n    a\n\ndef g():\n    b",
        ),
    ],
)
def test_patterns(text: str, rule: Rule, expected: str | None) -> None:
    found = patterns.apply(text, rule)
    assert found == (None if expected is None else ast.unparse(ast.parse(expected)) + "\n")
