"""The programs that are graded: seeded combinations of rewrites, with and without one fault inside."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from autograder.grading import batch, options
from autograder.model.assignment import assignment
from autograder.model.verdicts import Result
from tests.experiments.metamorphic import programs
from tests.experiments.metamorphic.faults import ALL as FAULTS
from tests.experiments.metamorphic.inserting import Fault
from tests.experiments.metamorphic.programs import Program
from tests.experiments.metamorphic.rewrites import ALL as REWRITES
from tests.experiments.metamorphic.rewriting import combine

# How often a module is rewritten: an edit of autoencoder.py is also graded on the questions of vae.py and cvae.py.
WEIGHTS = {"autoencoder": 2, "vae": 3, "cvae": 3, "gan": 4}
TRIES = 30  # for a combination that is not there yet, or in which a fault fits

# Questions of a reference that only its own earlier parts can answer: a fault in the question on the left is in these too,
# since no stand-in has what the code relies on. Points lost there are listed, and are no wrong verdict.
RELIES = {
    "notebook": {
        "1-1": {
            "1-2": "the loop leaves the flattening to the author's own Encoder",
            "1-4": "VAE.forward calls a method of the author's own Decoder",
            "1-5": "train_vae notes a key that only the author's own loss returns",
            "1-8": "CVAE.forward makes rows that only the author's own networks take",
            "1-9": "sample_conditional makes rows that only the author's own networks take",
        },
        "1-2": {
            "1-5": "train_vae notes a key that only the author's own loss returns",
            "1-8": "train_cvae leaves the flattening to CVAE",
        },
        "1-4": {"1-5": "train_vae notes a key that only the author's own loss returns"},
        "1-8": {"1-9": "sample_conditional makes rows that only the author's own networks take"},
    },
    "lightning": {
        "1-1": {
            "1-5": "the trainer calls methods of the author's own VAE",
            "1-8": "CVAE inherits from a mixin of the author's own vae.py",
        },
        "1-2": {
            "1-5": "the trainer calls methods of the author's own VAE",
            "1-8": "CVAE inherits from a mixin of the author's own vae.py",
        },
        "1-4": {
            "1-5": "the trainer calls methods of the author's own VAE",
            "1-8": "CVAE inherits from a mixin of the author's own vae.py",
        },
    },
    "functional": {
        "1-1": {"1-5": "train_vae notes a key that only the author's own loss returns"},
        "1-2": {
            "1-5": "train_vae notes a key that only the author's own loss returns",
            "1-8": "CVAE.loss is a function of the author's own vae.py",
        },
        "1-4": {
            "1-5": "train_vae notes a key that only the author's own loss returns",
            "1-8": "CVAE.loss is a function of the author's own vae.py",
        },
    },
}


@dataclass(frozen=True)
class Case:
    """One program: what it was made from and of, and the question on which it must lose points (None: on none)."""

    name: str
    base: str
    program: Program
    rewrites: tuple[str, ...] = ()
    fault: Fault | None = None

    @property
    def questions(self) -> tuple[str, ...]:
        """The questions whose verdicts can differ from the base's; all of them for a base itself."""
        original = programs.bases()[self.base]
        files = programs.changed(original, self.program) or set(self.program)
        return programs.touched(self.program, files)


def originals() -> list[Case]:
    """The programs that everything else is made from."""
    return [Case(name, name, program) for name, program in programs.bases().items()]


def _combination(base: str, file: str, chooser: random.Random) -> tuple[Program, tuple[str, ...]]:
    """The base with three to eight rewrites of a file, and now and then of the base's helper modules too."""
    program = programs.bases()[base]
    modules = {f"{name}.py" for name in assignment().rubric.modules}
    helpers = sorted(set(program) - modules) if chooser.random() < 0.15 else []
    rewritten, names = combine(program, [file, *helpers], REWRITES, chooser.randint(3, 8), chooser)
    return rewritten, tuple(names)


def correct(count: int, seed: int) -> Iterator[Case]:
    """`count` different correct programs."""
    bases = list(programs.bases())
    seen: set[str] = set()
    for number in range(count):
        base = bases[number % len(bases)]
        for attempt in range(TRIES):
            chooser = random.Random(f"{seed} {number} {attempt}")
            (module,) = chooser.choices(list(WEIGHTS), list(WEIGHTS.values()))
            program, names = _combination(base, f"{module}.py", chooser)
            text = "\n".join(program[name] for name in sorted(program))
            if names and text not in seen:
                seen.add(text)
                yield Case(f"{number + 1:03d}-{base}-{module}", base, program, names)
                break


def faulty(count: int, seed: int) -> Iterator[Case]:
    """`count` programs with one fault each; every fault in turn, each time inside another combination."""
    bases = list(programs.bases())
    for number in range(count):
        order = random.Random(f"{seed} order {number // len(FAULTS)}").sample(FAULTS, len(FAULTS))
        fault = order[number % len(FAULTS)]
        for attempt in range(TRIES):
            chooser = random.Random(f"{seed} fault {number} {attempt}")
            base = bases[(number + attempt) % len(bases)]
            program, names = _combination(base, fault.file, chooser)
            broken = fault.apply(program)
            if broken is not None:
                yield Case(f"{number + 1:03d}-{base}-{fault.name}", base, broken, names, fault)
                break


def grade(cases: Iterable[Case], jobs: int) -> Iterator[tuple[Case, Result]]:
    """Grades each case on its questions."""
    groups: dict[tuple[str, ...], list[Case]] = {}
    for case in cases:
        groups.setdefault(case.questions, []).append(case)
    with tempfile.TemporaryDirectory(prefix="metamorphic-") as folder:
        for questions, group in groups.items():
            by_name = {case.name: case for case in group}
            queue = [
                options.Job(
                    programs.write(c.program, Path(folder) / str(len(questions)) / c.name), c.name, None
                )
                for c in group
            ]
            for job, result in batch.run(queue, jobs, options.GradingOptions(questions)):
                yield by_name[job.name], result


def relying(case: Case, result: Result) -> list[str]:
    """The questions on which a fault also costs points because they rely on the faulty part, with the reason."""
    relies = RELIES.get(case.base, {}).get(case.fault.question, {}) if case.fault else {}
    lost = {id for id, points in result.points if result.score_of(id) < points}
    return [f"also loses points on {id}: {why}" for id, why in relies.items() if id in lost]


def complaints(case: Case, result: Result) -> list[str]:
    """What is wrong with the verdicts, one line each; empty if all are right."""
    expected = {case.fault.question} if case.fault else set()
    excused = set(RELIES.get(case.base, {}).get(case.fault.question, {})) if case.fault else set()
    lost = {id for id, points in result.points if result.score_of(id) < points}
    found = [f"is not caught on {id}" for id in sorted(expected - lost)]
    for verdict in result.checks:
        if verdict.grader_fault:
            found.append(f"{verdict.id}: the grader's own fault")
        elif verdict.score < verdict.max_score and verdict.question not in expected | excused:
            text = " ".join(verdict.feedback.text().split())
            found.append(f"loses points on {verdict.question}: {verdict.id} ({verdict.status}): {text[:400]}")
    return found
