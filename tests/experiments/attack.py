"""Attacks: hostile and broken submissions, graded in one batch among honest ones (`make attacks`; Linux).

Reports of each whether the sandbox held: no points gained, none lost elsewhere, a complete result, nothing leaked, no canary
touched, nothing left behind, no honest result changed. The level `process` is not secure, so there failures are only listed.
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

from autograder.classroom import gradebook
from autograder.classroom.collect import Entry
from autograder.classroom.rows import rows_of
from autograder.grading import batch, judge, options
from autograder.model.assignment import assignment
from autograder.model.rubric import Question
from autograder.model.student import Student
from autograder.model.verdicts import Result
from autograder.sandbox.launch import LEVELS, Unavailable
from autograder.submissions import answers, intake, pages
from autograder.submissions.handed_out import handed_out
from autograder.support.files import FORMULA_STARTS, file_name
from tests import corpus
from tests.attacks import findings
from tests.attacks.entries import KINDS, Attack, read
from tests.attacks.playground import Playground

WHEAT = "torch-distributions"
BETWEEN = 6  # attacks between two honest submissions
READING_SECONDS = 20.0  # of computing, for the written answers of one upload
FORMULAS = tuple(c for c in FORMULA_STARTS if c.strip())


@dataclass
class Report:
    """The results of a batch of attacks.

    results: by the names under which submissions were graded. names: these names, by the attacks' own names.
    broken: by attack, why the sandbox did not hold. other_problems: those that belong to no single attack.
    """

    level: str
    results: dict[str, Result] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    broken: dict[str, list[str]] = field(default_factory=dict)
    other_problems: list[str] = field(default_factory=list)
    seconds: float = 0.0


def grade(
    attacks: Sequence[Attack], level: str, jobs: int = 2, questions: tuple[str, ...] | None = None
) -> Report:
    """Grades the attacks with honest submissions between them, and examines everything that results.

    Raises Unavailable if this machine does not have the level.
    """
    report, began = Report(level), time.monotonic()
    settings = options.GradingOptions(questions=questions, isolation=level)
    wheat = next(e for e in corpus.read("wheat") if e.name == WHEAT)
    with Playground() as ground:
        alone = {
            "honest": _write_honest(ground.root, "honest"),
            "wheat": _renamed(wheat.write(ground.root), "wheat"),
        }
        before = {
            job.name: r
            for job, r in batch.run([options.Job(p, n, None) for n, p in alone.items()], 2, settings)
        }
        for name, result in before.items():
            if any(v.status != "passed" for v in result.checks):
                report.other_problems.append(f"{name} loses points without any attack")
        queue, by_name = _queue(attacks, ground, wheat)
        report.names = {attack.name: name for name, attack in by_name.items()}
        with Progress(disable=not sys.stdout.isatty()) as progress:
            graded = batch.run(queue, max(2, jobs), settings)
            for job, result in progress.track(graded, total=len(queue), description=f"Grading at {level}"):
                report.results[job.name] = result
        report.other_problems += ground.problems()
        for job in queue:
            result = report.results[job.name]
            assert job.output is not None
            problems = findings.broken_file(job.output, result, before["honest"])
            if job.name in by_name:
                attack = by_name[job.name]
                problems += findings.complaints(attack, result, before["honest"], ground.secret)
                if attack.prints and (questions is None or {*questions} & {q.id for q in _questions(attack)}):
                    problems += _prints(job, result, settings, ground.secret)
                problems += _answers(job.path)
                if problems:
                    report.broken[attack.name] = problems
            else:
                problems += findings.differences(result, before[job.name.partition("-")[0]])
                report.other_problems += [f"{job.name}: {problem}" for problem in problems]
        report.other_problems += _gradebook(ground.results / "grades.csv", report.results)
    report.seconds = time.monotonic() - began
    return report


def _queue(
    attacks: Sequence[Attack], ground: Playground, wheat: corpus.Entry
) -> tuple[list[options.Job], dict[str, Attack]]:
    """The batch in order, and the attacks by the names under which they are graded."""
    taken: set[str] = set()
    queue: list[options.Job] = []
    by_name: dict[str, Attack] = {}

    def add(path: Path) -> str:
        name = file_name(intake.name_of(path), taken)
        queue.append(options.Job(path, name, ground.results / f"{name}.json"))
        return name

    for number, attack in enumerate(attacks):
        if number % BETWEEN == 0:
            add(_write_honest(ground.uploads, f"honest-{number // BETWEEN + 1:02d}"))
        by_name[add(attack.write(ground.uploads))] = attack
    add(_renamed(wheat.write(ground.uploads), "wheat-01"))
    return queue, by_name


def _write_honest(folder: Path, name: str) -> Path:
    target = folder / name
    target.mkdir()
    for file, text in corpus.reference().items():
        (target / file).write_text(text, encoding="utf-8")
    return target


def _renamed(path: Path, name: str) -> Path:
    return path.rename(path.with_name(name))


def _prints(job: options.Job, result: Result, settings: options.GradingOptions, secret: str) -> list[str]:
    """Problems if students see more output than the submission prints in the public checks alone."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        public = pool.submit(
            judge.grade_one,
            job.path,
            visibilities=("public",),
            questions=settings.questions,
            secret=secret,
            isolation=settings.isolation,
        ).result()
    if public.printed != result.printed:
        return ["output printed during hidden checks is shown"]
    return [] if result.printed else ["it printed nothing, so this attack tests nothing"]


def _answers(path: Path) -> list[str]:
    """Problems when the written answers of an upload are read and shown, as `desk` does."""
    current, began = assignment(), time.thread_time()
    try:
        found = answers.read(path, current.rubric, handed_out().prompts).found
        for answer in found.values():
            pages.answer_html(answer.answer, answer.folder)
    except Exception as error:  # any at all is a problem
        return [f"reading its written answers raised {error!r}"[:300]]
    seconds = time.thread_time() - began
    return [f"reading its written answers took {seconds:.0f} s"] if seconds > READING_SECONDS else []


def _questions(attack: Attack) -> list[Question]:
    """The questions about the module that contains the attack's code."""
    return [q for q in assignment().rubric.auto if q.module == attack.module]


def _gradebook(path: Path, results: dict[str, Result]) -> list[str]:
    rubric = assignment().rubric
    entries = [Entry(Student(name), name) for name in results]
    gradebook.write_grades(path, rows_of(entries, results, rubric), rubric)
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
            print("        " + findings.all_text(result).strip().replace("\n", "\n        ")[:4000])
    for problem in report.other_problems:
        print(f"BROKEN  {problem}")
    held = len(attacks) - len(report.broken)
    print(
        f"At {report.level}: the sandbox held against {held} of {len(attacks)} attacks,"
        f" {len(report.other_problems)} other problems; {report.seconds:.0f} s\n"
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
    parser.add_argument("-v", "--verbose", action="store_true", help="show the whole text of each result")
    options = parser.parse_args()
    attacks = [a for a in read() if options.kind in (None, a.kind)]
    attacks = [a for a in attacks if any(part in a.name for part in options.name.split(","))]
    questions = tuple(options.question) if options.question else None
    broken = False
    for level in LEVELS if options.level == "all" else (options.level,):
        try:
            report = grade(attacks, level, options.jobs, questions)
        except Unavailable as reason:
            print(f"{level} was skipped: {reason}")
            broken = broken or options.level != "all"
            continue
        show(report, attacks, options.verbose)
        broken = broken or (level != "process" and bool(report.broken or report.other_problems))
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
