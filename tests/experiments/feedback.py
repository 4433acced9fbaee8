"""What students read about single faults (`make feedback`): every chaff, graded by the public checks alone.

Prints for each question how many faults are caught, how many of those have a name (a recognised mistake, an exception that is
explained, or a function that is not written yet), the lines of feedback at 80 columns, and how often one cause is told twice;
then the faults that no public check catches. Exits 1 when a wrong mistake is named.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import textwrap
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from rich.progress import Progress

from autograder.grading import judge
from autograder.model.assignment import assignment
from autograder.model.verdicts import lost
from autograder.reports.causes import by_cause, next_steps
from autograder.reports.terminal import as_text
from autograder.support.processes import default_jobs
from tests import corpus

WIDTH = 80


@dataclass(frozen=True)
class Told:
    """What the public checks said of a chaff.

    caught: whether a check failed. named: whether the feedback says what it is. wrong: ids of other mistakes that were named.
    lines: of feedback, at 80 columns. repeats: texts that say the same as an earlier one.
    """

    entry: corpus.Entry
    caught: bool
    named: bool
    wrong: tuple[str, ...]
    lines: int
    repeats: int


def told(entry: corpus.Entry, folder: str) -> Told:
    """Grades a chaff by the public checks of its own question."""
    question = assignment().rubric.question(entry.questions[0])
    result = judge.grade_one(
        entry.write(Path(folder)), visibilities=("public",), questions=(question.id,), secret="public"
    )
    failing = lost(result.checks)
    texts = [as_text(step) for step in next_steps(question, failing)]
    shown = [line for text in texts for line in text.splitlines()]
    groups = by_cause(failing)
    sentences = [group[0].feedback.diagnosis for group in groups if group[0].feedback.diagnosis]
    return Told(
        entry,
        caught=bool(failing),
        named=any(v.feedback.diagnosis or v.feedback.todo is not None for v in failing),
        wrong=tuple(sorted({v.mistake for v in failing if v.mistake} - set(entry.mistakes))),
        lines=sum(max(1, len(textwrap.wrap(line, WIDTH - 13))) for line in shown),
        repeats=len(sentences) - len(set(sentences)),
    )


def measure(entries: Sequence[corpus.Entry], jobs: int) -> Iterator[Told]:
    with (
        tempfile.TemporaryDirectory(prefix="feedback-") as folder,
        ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool,
    ):
        yield from pool.map(told, entries, [folder] * len(entries))


def table(found: Sequence[Told]) -> str:
    """One line for each question, and one for all."""
    questions: dict[str, list[Told]] = defaultdict(list)
    for one in found:
        questions[one.entry.questions[0]].append(one)
    rows = [*questions.items(), ("all", list(found))]
    lines = [
        "| question | faults | caught | named | median lines | most | told twice |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, group in rows:
        caught = [one for one in group if one.caught]
        named = sum(one.named for one in caught)
        sizes = [one.lines for one in caught] or [0]
        lines.append(
            f"| {name} | {len(group)} | {len(caught)} ({len(caught) / len(group):.0%}) | {named}"
            f" ({named / max(1, len(caught)):.0%}) | {statistics.median(sizes):g} | {max(sizes)} |"
            f" {sum(one.repeats for one in group)} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-k", "--name", default="", help="only chaffs whose name contains this")
    parser.add_argument("--jobs", type=int, default=default_jobs())
    options = parser.parse_args()
    entries = [entry for entry in corpus.read("chaff") if options.name in entry.name]
    with Progress(disable=not sys.stdout.isatty()) as progress:
        graded = measure(entries, options.jobs)
        found = list(progress.track(graded, total=len(entries), description="Grading publicly"))
    print(table(found))
    for title, chosen in (
        ("Caught by no public check", [one for one in found if not one.caught]),
        ("Caught and not named", [one for one in found if one.caught and not one.named]),
        ("Told twice", [one for one in found if one.repeats]),
    ):
        print(f"\n{title}:")
        for one in chosen:
            print(f"- {one.entry.name} ({one.entry.questions[0]}): {one.entry.says}")
    wrong = [one for one in found if one.wrong]
    print(f"\nNamed wrongly: {len(wrong)}")
    for one in wrong:
        print(f"- {one.entry.name}: {', '.join(one.wrong)}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
