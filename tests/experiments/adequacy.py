"""How good the autograder is as a classifier, measured on the corpora: `make adequacy`.

Grades every wheat, chaff, combination and half-finished submission, and writes into a folder (adequacy/ by default):
matrix.csv    one row per check, one column per chaff: the points that the chaff loses there ("-" if the check passed)
report.md     wheats at full marks, chaffs caught, points lost elsewhere, right, wrong and missing diagnoses, chaffs that
              cost more than half of their question, checks that no chaff needs, points that each fault costs

Takes about forty minutes on two cores; with `--keep DIR` a run that was stopped goes on. Exits 1 when a verdict is wrong,
or when a single fault costs more than half of a question of four points or more and its entry does not say in `costs_all` why.
"""

from __future__ import annotations

import argparse
import csv
import io
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.progress import Progress

from autograder.model.assignment import assignment
from autograder.model.verdicts import Result, Verdict
from autograder.support.files import write_atomically
from autograder.support.processes import default_jobs
from tests import corpus

Graded = tuple[corpus.Entry, Result]
HALF, LARGE = 0.5, 4.0  # a fault costs at most this share of a question of this many points or more


@dataclass(frozen=True)
class Diagnoses:
    """What was recognised in a chaff.

    right: whether its own mistake was. wrong: the ids of other mistakes that were.
    """

    right: bool
    wrong: list[str]


def diagnoses(entry: corpus.Entry, result: Result) -> Diagnoses:
    recognised = {v.mistake for v in result.checks if v.mistake}
    own = set(entry.mistakes)
    return Diagnoses(bool(own & recognised), sorted(recognised - own))


def failed(result: Result) -> list[Verdict]:
    return [v for v in result.checks if v.status != "passed"]


def all_checks(graded: Sequence[Graded]) -> list[Verdict]:
    """A verdict of every check, in the rubric's order (an entry is graded only on the questions that its edits can affect)."""
    order = [q.id for q in assignment().rubric.auto]
    found = {v.id: v for _, r in graded for v in r.checks}
    return sorted(found.values(), key=lambda v: (order.index(v.question), v.visibility != "public"))


def matrix(graded: Sequence[Graded]) -> str:
    """The matrix of checks by chaffs, as CSV."""
    chaffs = [(e, {v.id: v for v in r.checks}) for e, r in graded if e.kind == "chaff"]
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["check", "points", *(e.name for e, _ in chaffs)])
    for verdict in all_checks(graded):
        found = [by_id.get(verdict.id) for _, by_id in chaffs]
        cells = ["-" if v is None or v.status == "passed" else f"{v.max_score - v.score:g}" for v in found]
        writer.writerow([verdict.id, verdict.max_score, *cells])
    return table.getvalue()


def above_half(graded: Sequence[Graded]) -> list[Graded]:
    """The chaffs that cost more than half of a question of four points or more."""
    return [
        (e, r)
        for e, r in graded
        if e.kind == "chaff"
        and dict(r.points)[e.questions[0]] >= LARGE
        and corpus.share(e, r) > HALF + corpus.ROUNDING
    ]


def not_listed(graded: Sequence[Graded]) -> list[Graded]:
    """Those of them whose entries do not say why."""
    return [(e, r) for e, r in above_half(graded) if not e.costs_all]


def figures(graded: Sequence[Graded]) -> list[str]:
    """The report's first part: a table of figures, as Markdown lines."""
    wheats = [(e, r) for e, r in graded if e.kind == "wheat"]
    chaffs = [(e, r) for e, r in graded if e.kind == "chaff"]
    caught = [(e, r) for e, r in chaffs if corpus.cost(e, r) > corpus.ROUNDING]
    named = [diagnoses(e, r) for e, r in chaffs]
    right, wrong = sum(d.right for d in named), sum(bool(d.wrong) for d in named)
    percent = f"{100 * right / len(chaffs):.1f} %"
    points = [r.max_score - r.score for _, r in chaffs]
    shares = [corpus.share(e, r) for e, r in chaffs]
    over, unlisted = len(above_half(graded)), len(not_listed(graded))
    lines = [
        "| what | figure |",
        "|---|---|",
        f"| wheats at full marks | {sum(r.score == r.max_score for _, r in wheats)} of {len(wheats)} |",
        f"| chaffs caught on their own question | {len(caught)} of {len(chaffs)} |",
        f"| chaffs that lose points elsewhere | {sum(_elsewhere(e, r) for e, r in chaffs)} |",
        f"| chaffs with the right diagnosis | {right} of {len(chaffs)} ({percent}) |",
        f"| chaffs with a wrong diagnosis | {wrong} |",
        f"| chaffs without a diagnosis | {sum(not d.right and not d.wrong for d in named)} |",
    ]
    for kind in ("combination", "unfinished"):
        own = [corpus.complaints(e, r) for e, r in graded if e.kind == kind]
        lines.append(f"| {kind}: every verdict right | {sum(not c for c in own)} of {len(own)} |")
    return [
        *lines,
        f"| points lost per fault: least, median, most | {_spread(points, 'g')} |",
        f"| share of its question that a fault costs: least, median, most | {_spread(shares, '.0%')} |",
        f"| chaffs above half of a question of {LARGE:g} points or more: listed, not listed "
        f"| {over - unlisted}, {unlisted} |",
        "",
        f"Diagnosis right for {percent}, wrong for {wrong}.",
        "",
    ]


def _spread(values: Sequence[float], form: str) -> str:
    return ", ".join(format(v, form) for v in (min(values), statistics.median(values), max(values)))


def report(graded: Sequence[Graded]) -> str:
    """The report, as Markdown."""
    chaffs = [(e, r) for e, r in graded if e.kind == "chaff"]
    over = above_half(graded)
    lines = ["# Adequacy of the checks", "", *figures(graded), "## Chaffs above half of their question", ""]
    lines += [_above_half(e, r) for e, r in over] or ["None."]
    lines += [
        "",
        "## Checks that no chaff needs",
        "",
        "A chaff needs a check when no other check catches it. A check that fails on no chaff at all is worse.",
        "",
    ]
    alone = {failed(r)[0].id for _, r in chaffs if len(failed(r)) == 1}
    ever = {v.id for _, r in chaffs for v in failed(r)}
    for verdict in all_checks(graded):
        if verdict.id not in alone:
            state = "fails on some" if verdict.id in ever else "FAILS ON NONE"
            lines.append(f"- {verdict.id} ({verdict.max_score:g} points, {verdict.visibility}): {state}")
    lines += ["", "## Wrong verdicts", ""]
    wrong = [f"- {e.kind} {e.name}: {text}" for e, r in graded for text in corpus.complaints(e, r)]
    lines += wrong or ["Nothing."]
    lines += ["", "## Chaffs without a diagnosis", ""]
    lines += [f"- {e.name} ({e.questions[0]}): {e.says}" for e, r in chaffs if not diagnoses(e, r).right]
    lines += ["", "## Points lost", ""]
    lines += ["| chaff | question | points | share | caught by |", "|---|---|---|---|---|"]
    for entry, result in chaffs:
        by = ", ".join(v.id.partition(":")[2] for v in failed(result))
        lost, part = corpus.cost(entry, result), corpus.share(entry, result)
        lines.append(f"| {entry.name} | {entry.questions[0]} | {lost:g} | {part:.0%} | {by} |")
    return "\n".join(lines) + "\n"


def _above_half(entry: corpus.Entry, result: Result) -> str:
    why = entry.costs_all or "NOT LISTED"
    return f"- {entry.name} ({corpus.share(entry, result):.0%} of {entry.questions[0]}): {why}"


def _elsewhere(entry: corpus.Entry, result: Result) -> bool:
    return any(result.score_of(id) < points for id, points in result.points if id not in entry.questions)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("adequacy"))
    parser.add_argument("--jobs", type=int, default=default_jobs())
    parser.add_argument("--keep", type=Path, help="for the results: the next run goes on from there")
    options = parser.parse_args()
    entries = [entry for make in corpus.KINDS.values() for entry in make()]
    order = {entry.name: i for i, entry in enumerate(entries)}
    graded: list[Graded] = []
    with Progress(disable=not sys.stdout.isatty()) as progress:
        for pair in progress.track(
            corpus.grade(entries, options.jobs, keep=options.keep),
            total=len(entries),
            description="Grading",
        ):
            graded.append(pair)
    graded.sort(key=lambda pair: order[pair[0].name])
    write_atomically(options.out / "matrix.csv", matrix(graded))
    write_atomically(options.out / "report.md", report(graded))
    print("\n".join(figures(graded)).strip())
    wrong = [(e, text) for e, r in graded for text in corpus.complaints(e, r)]
    for entry, text in wrong:
        print(f"{entry.kind} {entry.name}: {text}")
    unlisted = not_listed(graded)
    print(f"{len(unlisted)} chaffs above half of their question and not listed")
    for entry, result in unlisted:
        print(_above_half(entry, result))
    print(f"Details: {options.out}/report.md and matrix.csv.")
    sys.exit(1 if wrong or unlisted else 0)


if __name__ == "__main__":
    main()
