"""Attacks: hostile and broken submissions, graded in one batch among honest ones (`make attacks`; Linux).

Says of each whether the sandbox held: no point gained, none lost elsewhere, a whole result, nothing told, no canary touched,
nothing left behind, no honest result changed. At the level `process`, which is no wall, what is not stopped is only listed.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

from rich.progress import Progress

from autograder import batch, intake
from autograder.classroom import gradebook
from autograder.classroom.collect import Entry
from autograder.classroom.roster import Student
from autograder.reports.files import FORMULA_STARTS, file_name
from autograder.rubric import Question, assignment
from autograder.sandbox.launch import LEVELS, Unavailable
from autograder.verdicts import Result
from tests import corpus
from tests.attacks import findings
from tests.attacks.entries import KINDS, Attack, read
from tests.attacks.playground import Playground

WHEAT = "torch-distributions"
BETWEEN = 6  # attacks between two honest submissions
FORMULAS = tuple(c for c in FORMULA_STARTS if c.strip())


@dataclass
class Report:
    """What a batch of attacks came to.

    results: by the names under which submissions were graded; names: these, by the attacks' own.
    broken: by attack, why it was not held. around: what belongs to no single attack.
    """

    level: str
    results: dict[str, Result] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    broken: dict[str, list[str]] = field(default_factory=dict)
    around: list[str] = field(default_factory=list)
    seconds: float = 0.0


def grade(
    attacks: Sequence[Attack], level: str, jobs: int = 2, questions: tuple[str, ...] | None = None
) -> Report:
    """Grades the attacks, with honest submissions between them, and looks at all that came of it.

    Raises Unavailable where this machine does not have the level.
    """
    report, began = Report(level), time.monotonic()
    how = batch.How(questions=questions, isolation=level)
    wheat = next(e for e in corpus.read("wheat") if e.name == WHEAT)
    with Playground() as ground:
        alone = {
            "honest": _write_honest(ground.root, "honest"),
            "wheat": _renamed(wheat.write(ground.root), "wheat"),
        }
        before = {w.name: r for w, r in batch.run([batch.Work(p, n, None) for n, p in alone.items()], 2, how)}
        for name, result in before.items():
            if any(v.status != "passed" for v in result.checks):
                report.around.append(f"{name} loses points without any attack")
        works, by_name = _works(attacks, ground, wheat)
        report.names = {attack.name: name for name, attack in by_name.items()}
        with Progress(disable=not sys.stdout.isatty()) as progress:
            graded = batch.run(works, max(2, jobs), how)
            for work, result in progress.track(graded, total=len(works), description=f"Grading at {level}"):
                report.results[work.name] = result
        report.around += ground.troubles()
        for work in works:
            result = report.results[work.name]
            assert work.output is not None
            problems = findings.broken_file(work.output, result, before["honest"])
            if work.name in by_name:
                attack = by_name[work.name]
                problems += findings.complaints(attack, result, before["honest"], ground.secret)
                if attack.prints and (questions is None or {*questions} & {q.id for q in _questions(attack)}):
                    problems += _prints(work, result, how, ground.secret)
                if problems:
                    report.broken[attack.name] = problems
            else:
                problems += findings.differences(result, before[work.name.partition("-")[0]])
                report.around += [f"{work.name}: {problem}" for problem in problems]
        report.around += _gradebook(ground.results / "grades.csv", report.results)
    report.seconds = time.monotonic() - began
    return report


def _works(
    attacks: Sequence[Attack], ground: Playground, wheat: corpus.Entry
) -> tuple[list[batch.Work], dict[str, Attack]]:
    """The batch in its order, and the attacks by the names under which they are graded."""
    taken: set[str] = set()
    works: list[batch.Work] = []
    by_name: dict[str, Attack] = {}

    def add(path: Path) -> str:
        name = file_name(intake.name_of(path), taken)
        works.append(batch.Work(path, name, ground.results / f"{name}.json"))
        return name

    for number, attack in enumerate(attacks):
        if number % BETWEEN == 0:
            add(_write_honest(ground.uploads, f"honest-{number // BETWEEN + 1:02d}"))
        by_name[add(attack.write(ground.uploads))] = attack
    add(_renamed(wheat.write(ground.uploads), "wheat-01"))
    return works, by_name


def _write_honest(folder: Path, name: str) -> Path:
    target = folder / name
    target.mkdir()
    for file, text in corpus.reference().items():
        (target / file).write_text(text, encoding="utf-8")
    return target


def _renamed(path: Path, name: str) -> Path:
    return path.rename(path.with_name(name))


def _prints(work: batch.Work, result: Result, how: batch.How, secret: str) -> list[str]:
    """Whether a student reads more of the submission's prints than public checks alone make it print."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        public = pool.submit(
            batch.grade_one,
            work.path,
            visibilities=("public",),
            questions=how.questions,
            secret=secret,
            isolation=how.isolation,
        ).result()
    if public.printed != result.printed:
        return ["prints of hidden checks are told"]
    return [] if result.printed else ["it printed nothing, so nothing was tried"]


def _questions(attack: Attack) -> list[Question]:
    """The questions that are asked of the module which holds the attack's code."""
    return [q for q in assignment().rubric.auto if q.module == attack.module]


def _gradebook(path: Path, results: dict[str, Result]) -> list[str]:
    rubric = assignment().rubric
    entries = [Entry(Student(name), name) for name in results]
    gradebook.write_grades(path, gradebook.rows_of(entries, results, rubric), rubric)
    with path.open(encoding="utf-8", newline="") as stream:
        cells = [cell for row in csv.DictReader(stream) for cell in (row["submission"], row["student"])]
    return [f"a formula in the gradebook: {cell}" for cell in cells if cell.startswith(FORMULAS)]


def show(report: Report, attacks: Sequence[Attack], verbose: bool = False) -> None:
    for attack in attacks:
        problems, result = report.broken.get(attack.name, []), report.results[report.names[attack.name]]
        print(f"{'BROKEN' if problems else 'held'}  {attack.kind}  {attack.name}  {result.seconds:.1f} s")
        for problem in problems if verbose else problems[:6]:
            print(f"        {problem}")
        if verbose:
            print("        " + findings.told(result).strip().replace("\n", "\n        ")[:4000])
    for trouble in report.around:
        print(f"BROKEN  {trouble}")
    held = len(attacks) - len(report.broken)
    print(
        f"At {report.level}: {held} attacks held, {len(report.broken)} not"
        f"{', ' + str(len(report.around)) + ' troubles around them' if report.around else ''};"
        f" {report.seconds:.0f} s\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "-k", "--name", default="", help="only attacks whose name contains one of these (a,b)"
    )
    parser.add_argument("--kind", choices=KINDS)
    parser.add_argument("--level", choices=[*LEVELS, "all"], default="full")
    parser.add_argument("-q", "--question", action="append", help="grade these questions only (1-4)")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("-v", "--verbose", action="store_true", help="show all that each result says")
    options = parser.parse_args()
    attacks = [a for a in read() if options.kind in (None, a.kind)]
    attacks = [a for a in attacks if any(part in a.name for part in options.name.split(","))]
    questions = tuple(options.question) if options.question else None
    broken = False
    for level in LEVELS if options.level == "all" else (options.level,):
        try:
            report = grade(attacks, level, options.jobs, questions)
        except Unavailable as reason:
            print(f"{level} was not tried: {reason}")
            broken = broken or options.level != "all"
            continue
        show(report, attacks, options.verbose)
        broken = broken or (level != "process" and bool(report.broken or report.around))
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
