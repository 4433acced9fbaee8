"""A simulated class: results as grading would give them, drawn by ability from a fixed seed."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from functools import cache

from autograder.grading.listing import checks_of
from autograder.model.assignment import assignment
from autograder.model.feedback import Feedback
from autograder.model.verdicts import GRADER_FAULT, NO_FEEDBACK, Result, Status, Verdict

FIRST = [
    "Amara",
    "Ben",
    "Chiara",
    "Dmitri",
    "Élodie",
    "Farid",
    "Grace",
    "Hana",
    "Ivo",
    "José",
    "Katarzyna",
    "Liam",
    "Mei",
    "Noor",
    "Oskar",
    "Priya",
    "Rosa",
    "Søren",
    "Uche",
    "Zoë",
]
LAST = [
    "Okafor",
    "Lindqvist",
    "Rossi",
    "Volkov",
    "Martin",
    "Haddad",
    "Kim",
    "Sato",
    "Novák",
    "Álvarez",
    "Wiśniewska",
    "O'Brien",
    "Chen",
    "Ahmed",
]
DIAGNOSES = (
    "The two arguments of the divergence are swapped.",
    "log sigma is used as log variance.",
    "The sum is taken instead of the mean.",
    "Gradients are not cleared between steps.",
    None,
)


@cache
def checks() -> tuple[Verdict, ...]:
    """Every check of the assignment, as in a submission that is not graded yet."""
    return checks_of(assignment())


def made_up_class(size: int = 40, seed: int = 1) -> list[Result]:
    """`size` results. The 3rd is blank, the 5th late, the 7th incomplete, in the 9th the grader failed."""
    draw = random.Random(seed)
    hardness = {check.id: draw.gauss(-1.2, 1.0) for check in checks()}
    results = []
    for i in range(size):
        name = f"{FIRST[i % len(FIRST)]} {LAST[(i * 3 + i // len(FIRST)) % len(LAST)]} {i + 1}"
        ability = draw.gauss(0.0, 1.3)
        verdicts = tuple(
            _missing(check) if i == 2 else _drawn(check, ability - hardness[check.id], draw)
            for check in checks()
        )
        result = Result(
            submission=name,
            sha256=f"{draw.getrandbits(256):064x}",
            isolation="full",
            seconds=draw.uniform(8, 14),
            checks=verdicts,
            points=tuple(
                (q.id, sum(c.max_score for c in checks() if c.question == q.id))
                for q in assignment().rubric.auto
            ),
            printed={"1-5": f"epoch 1, loss {draw.uniform(0.2, 0.7):.3f}\n"} if i % 3 == 0 else {},
        )
        results.append(_special_case(i, result))
    return results


def _drawn(check: Verdict, logit: float, draw: random.Random) -> Verdict:
    """Passes the check with the probability of the Rasch model, else draws one of the other statuses."""
    if draw.random() < 1 / (1 + math.exp(-logit)):
        return _passed(check)
    status: Status = draw.choices(("failed", "error", "timeout", "missing"), (20, 3, 1, 2))[0]
    if status == "missing":
        return _missing(check)
    diagnosis = draw.choice(DIAGNOSES) if status == "failed" else None
    feedback = Feedback(
        asked=f"what {check.id.partition(':')[2].replace('_', ' ')} says, for inputs of any size.",
        expected=f"{draw.uniform(0, 1):.6f}",
        seen=f"{draw.uniform(1, 2):.6f}",
        diagnosis=diagnosis or "",
        hint="one case by hand, with N = 3.",
    )
    return replace(check, status=status, score=0, feedback=feedback)


def _passed(check: Verdict) -> Verdict:
    return replace(check, status="passed", score=check.max_score, feedback=NO_FEEDBACK)


def _missing(check: Verdict) -> Verdict:
    todo = f"{check.question}: write the function"
    feedback = Feedback(asked="an answer.", seen=f"not written yet ({todo})", todo=todo)
    return replace(check, status="missing", score=0, feedback=feedback)


def _special_case(i: int, result: Result) -> Result:
    if i == 4:
        return replace(result, notes=("Handed in 2 h 10 min after the deadline.",))
    if i == 6:
        waiting = (
            replace(v, status="error", score=0, feedback=Feedback("This check has not run yet."))
            for v in result.checks[40:]
        )
        return replace(result, complete=False, checks=(*result.checks[:40], *waiting))
    if i == 8:
        fault = replace(result.checks[0], status="error", score=0, feedback=GRADER_FAULT, grader_fault=True)
        return replace(result, checks=(fault, *result.checks[1:]))
    return result
