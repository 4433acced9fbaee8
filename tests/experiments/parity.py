"""Four ways to grade give one score: `grade`, `otter run` with the upload zip, results.json, and `grader.check` in the notebook.

`make parity` grades the solutions, the stubs, five wheats and twenty chaffs in all four ways (the last: only public checks) and
compares the scores by question. Exits with 0 only if all agree.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from autograder.host.handover import otter_name, scores
from autograder.model.assignment import assignment
from autograder.model.verdicts import Result, tidy
from tests import corpus
from tests.attacks.entries import stubs
from tests.experiments.host import expected
from tests.experiments.host.archive import archive_with_otter

ROOT = Path(__file__).resolve().parents[2]
SECRET = "a course secret for parity"
WHEATS, CHAFFS, SEED = 5, 20, 20
JOBS = 2
SECONDS = 600.0
# All questions in one process, then some of them alone.
CHECK = """
import json, sys
from autograder.notebook import Grader
from autograder.model.assignment import assignment
grader = Grader("vae.ipynb")
names = {q.id: "q" + q.id.replace("-", "_") for q in assignment().rubric.auto}
together = grader.check_all().results
found = {id: together[name].score for id, name in names.items()}
for id in sys.argv[1:]:
    alone = grader.check(names[id])
    found[id] = alone.score if alone.score == found[id] else -1
print("RESULT" + json.dumps(found))
"""

Scores = Mapping[str, float]


@dataclass
class Comparison:
    """One submission's score, and the questions on which the four ways differ."""

    name: str
    score: float = 0
    differences: list[str] = field(default_factory=list)


def submissions() -> dict[str, Mapping[str, str]]:
    """Sources by name, the same in every run."""
    chooser = random.Random(SEED)
    chosen: dict[str, Mapping[str, str]] = {"solutions": corpus.reference(), "stubs": stubs()}
    for entry in chooser.sample(corpus.read("wheat"), WHEATS) + chooser.sample(corpus.read("chaff"), CHAFFS):
        chosen[entry.name] = entry.sources()
    return chosen


def compare(name: str, sources: Mapping[str, str], archive: Path, folder: Path) -> Comparison:
    """Grades one submission in all four ways, in new folders under `folder`."""
    work = folder / name
    (work / "submission").mkdir(parents=True)
    for file, text in sources.items():
        (work / "submission" / file).write_text(text, encoding="utf-8")
    result = by_grade(work)
    whole = {q.id: result.score_of(q.id) for q in assignment().rubric.auto}
    public = {
        q.id: tidy(sum(v.score for v in result.of(q.id) if v.visibility == "public"))
        for q in assignment().rubric.auto
    }
    # Alone: up to three questions that lose points, and one that does not.
    points = {q.id: q.points for q in assignment().rubric.auto}
    alone = [id for id in points if whole[id] < points[id]][:3] + [
        id for id in points if whole[id] == points[id]
    ][:1]
    found = Comparison(name, result.score)
    for way, expected_scores, got in (
        ("otter run", whole, by_otter(work, archive)),
        ("results.json", whole, by_host(work, archive)),
        ("grader.check", public, by_notebook(work, alone)),
    ):
        for question, score in expected_scores.items():
            if abs(got.get(question, -1) - score) > 1e-4:
                found.differences.append(f"{question}: {score:g} by grade, {got.get(question)} by {way}")
    return found


def by_grade(work: Path) -> Result:
    _run([sys.executable, "-m", "autograder", "grade", "submission", "--out", "grades", "--jobs", "1"], work)
    return Result.from_json(json.loads((work / "grades" / "submission.json").read_text(encoding="utf-8")))


def by_otter(work: Path, archive: Path) -> Scores:
    with zipfile.ZipFile(work / "submission.zip", "w") as made:
        for path in sorted((work / "submission").iterdir()):
            made.write(path, f"submission/{path.name}")
    (work / "otter").mkdir()
    _run([sys.executable, "-m", "otter", "run", "-a", str(archive), "-o", "otter", "submission.zip"], work)
    found = scores(json.loads((work / "otter" / "results.json").read_text(encoding="utf-8")))
    return {q.id: found.get(otter_name(q.id), -1) for q in assignment().rubric.auto}


def by_host(work: Path, archive: Path) -> Scores:
    root = work / "autograder"
    (root / "results").mkdir(parents=True)
    with zipfile.ZipFile(archive) as content:
        content.extractall(root / "source")
    (work / "submission").rename(root / "submission")
    (root / "submission_metadata.json").write_text("{}")
    done = _run([sys.executable, "-m", "autograder.host", str(root)], root / "source")
    (root / "submission").rename(work / "submission")
    (work / "submission").chmod(0o755)
    if "Otter's scores are the same." not in done:
        return {}
    document: Any = json.loads((root / "results" / "results.json").read_text(encoding="utf-8"))
    return {} if list(expected.invalid(document)) else expected.scores(document)


def by_notebook(work: Path, alone: Sequence[str]) -> Scores:
    """The public scores, as in a student's notebook. alone: the questions that are also checked one by one."""
    (work / "submission" / "vae.ipynb").write_text(
        '{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}'
    )
    output = _run([sys.executable, "-c", CHECK, *alone], work / "submission")
    line = next(line for line in output.splitlines() if line.startswith("RESULT"))
    found: dict[str, float] = json.loads(line.removeprefix("RESULT"))
    return found


def _run(command: Sequence[str], folder: Path) -> str:
    """The output of a command. Raises RuntimeError if it fails."""
    own = folder if (folder / "autograder").is_dir() else ROOT  # the host's files bring their own package
    environment = {**os.environ, "PYTHONPATH": str(own), "AUTOGRADER_SECRET": SECRET}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=SECONDS
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)[:120]}: {(done.stdout + done.stderr)[-1000:]}")
    return done.stdout


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.experiments.parity", description=__doc__)
    parser.add_argument("-k", default="", help="only submissions whose name contains this")
    options = parser.parse_args(arguments)
    console, wrong = Console(highlight=False, soft_wrap=True), 0
    chosen = {name: sources for name, sources in submissions().items() if options.k in name}
    with tempfile.TemporaryDirectory(prefix="parity-") as name, ThreadPoolExecutor(JOBS) as pool:
        archive = archive_with_otter(Path(name), SECRET)
        jobs = {pool.submit(compare, n, s, archive, Path(name)): n for n, s in chosen.items()}
        with Progress(console=console, disable=not console.is_terminal) as progress:
            for job in progress.track(as_completed(jobs), total=len(jobs), description="Comparing"):
                try:
                    found = job.result()
                except Exception as error:
                    found = Comparison(jobs[job], differences=[f"{type(error).__name__}: {error}"])
                wrong += bool(found.differences)
                console.print(
                    f"{found.name}: {found.score:g} points, {'differs' if found.differences else 'equal'}"
                )
                for line in found.differences:
                    console.print(f"  {line}", markup=False)
    console.print(
        f"{len(chosen) - wrong} of {len(chosen)} submissions have the same scores in all four ways."
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
