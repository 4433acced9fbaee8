"""Verdicts under many course secrets, that is, on different inputs (`make stability`).

False alarms: the reference and five wheats may never lose a point. Escapes: each of 60 chaffs, graded on its own question,
must be caught every time, and be recognised as the same mistake every time. Prints each of both, every submission when all
its gradings are done, and the time it took; exits 1 if there is any of either. With `--keep FILE` a run that was stopped
goes on, unless the grader has changed: the file names what was graded rightly.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence, Set
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from rich.progress import Progress

from autograder.grading import judge
from autograder.grading.options import grader_digest
from autograder.support.processes import begin_in_pool, default_jobs
from tests import corpus

REFERENCE = corpus.Entry("wheat", "solutions", "The reference.")
WRONG = {"wheat": "false alarm", "chaff": "escape"}


@dataclass(frozen=True)
class Subject:
    """An entry of a corpus that is graded on some questions (None: all), under the secrets 0 to `secrets` - 1."""

    entry: corpus.Entry
    questions: tuple[str, ...] | None
    secrets: int


def wheats(secrets: int, n: int = 5, seed: int = 3) -> list[Subject]:
    """The reference and `n` wheats, of different modules where possible."""
    entries = corpus.sample(corpus.read("wheat"), n, seed)[:n]
    return [Subject(REFERENCE, None, secrets), *(Subject(e, corpus.touched(e), secrets) for e in entries)]


def chaffs(secrets: int, n: int = 60, seed: int = 5) -> list[Subject]:
    """`n` chaffs, of all modules and questions where possible, each on its own question."""
    entries = corpus.sample(corpus.read("chaff"), n, seed)[:n]
    return [Subject(e, e.questions, secrets) for e in entries]


def wrong_verdicts(subject: Subject, folder: str, secret: int) -> list[str]:
    """What is wrong with the verdicts on the submission in `folder` under a secret: nothing, if all are right."""
    result = judge.grade_one(Path(folder), questions=subject.questions, secret=f"secret {secret}")
    found = corpus.complaints(subject.entry, result)
    if found and subject.entry.kind == "wheat":
        found += [f"{v.id}: {v.feedback.text()}" for v in result.checks if v.status != "passed"]
    return found


def row(subject: Subject, secret: int) -> tuple[str, str, str]:
    """A grading in a file that is kept. A change of the grader or of the entry makes it another grading."""
    entry = subject.entry
    changes = repr(
        (grader_digest(), sorted(entry.sources().items()), entry.kind, entry.questions, entry.mistakes)
    )
    return entry.name, str(secret), hashlib.sha256(changes.encode()).hexdigest()[:16]


def known(keep: Path | None) -> set[tuple[str, ...]]:
    """The rows of what an earlier run with the same file graded rightly."""
    if keep is None or not keep.is_file():
        return set()
    with keep.open(encoding="utf-8", newline="") as table:
        return {tuple(line) for line in csv.reader(table)}


def measure(
    subjects: Sequence[Subject], jobs: int, before: Set[tuple[str, ...]] = frozenset()
) -> Iterator[tuple[Subject, int, list[str]]]:
    """Every subject under each of its secrets, with its wrong verdicts, as they are graded; those of `before` at once."""
    for subject in subjects:
        for i in range(subject.secrets):
            if row(subject, i) in before:
                yield subject, i, []
    with tempfile.TemporaryDirectory(prefix="stability-") as folder:
        written = [str(subject.entry.write(Path(folder))) for subject in subjects]
        with ProcessPoolExecutor(jobs, get_context("spawn"), begin_in_pool) as pool:
            gradings = {
                pool.submit(wrong_verdicts, subject, path, i): (subject, i)
                for subject, path in zip(subjects, written, strict=True)
                for i in range(subject.secrets)
                if row(subject, i) not in before
            }
            for done in as_completed(gradings):
                yield *gradings[done], done.result()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--secrets", type=int, default=200, help="for each wheat (200)")
    parser.add_argument("--chaffs", type=int, default=60, help="how many chaffs (60)")
    parser.add_argument("--chaff-secrets", type=int, default=20, help="for each chaff (20)")
    parser.add_argument("--jobs", type=int, default=default_jobs())
    parser.add_argument("--keep", type=Path, help="a CSV file of right gradings; goes on where there is one")
    options = parser.parse_args()
    subjects = [*wheats(options.secrets), *chaffs(options.chaff_secrets, options.chaffs)]
    began, found, done = time.monotonic(), Counter[str](), Counter[str]()
    graded = Counter({kind: sum(s.secrets for s in subjects if s.entry.kind == kind) for kind in WRONG})
    before = known(options.keep)
    with Progress(disable=not sys.stdout.isatty()) as progress:
        verdicts = measure(subjects, options.jobs, before)
        for subject, secret, texts in progress.track(verdicts, total=graded.total(), description="Grading"):
            kind = subject.entry.kind
            found[kind] += bool(texts)
            done[subject.entry.name] += 1
            if options.keep is not None and not texts and row(subject, secret) not in before:
                with options.keep.open("a", encoding="utf-8", newline="") as table:
                    csv.writer(table).writerow(row(subject, secret))
            if done[subject.entry.name] == subject.secrets:
                print(f"{(time.monotonic() - began) / 60:5.1f} min  {kind} {subject.entry.name}", flush=True)
            for text in texts:
                print(f"{WRONG[kind]}: {subject.entry.name}, secret {secret}: {text}", flush=True)
    minutes = (time.monotonic() - began) / 60
    print(
        f"{graded['wheat']} gradings of correct submissions: {found['wheat']} false alarms; {graded['chaff']} gradings of "
        f"{options.chaffs} chaffs: {found['chaff']} escapes; {minutes:.1f} minutes"
    )
    sys.exit(1 if found.total() else 0)


if __name__ == "__main__":
    main()
