"""How the checks judge programs that nobody wrote by hand (`make metamorphic`).

Combines rewrites that keep behaviour, on the solutions and on three references written from scratch, and grades the
results: correct combinations must get full marks, and those with one fault inside must lose points on its question and on
no other. First every rewrite is shown to keep behaviour, by running both programs, without the grader.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from rich.progress import Progress

from autograder.support.processes import default_jobs
from tests.experiments.metamorphic import cases, equivalence, programs
from tests.experiments.metamorphic.observe import Observations, observe
from tests.experiments.metamorphic.rewrites import ALL as REWRITES

TABLE = "graded.csv"


def unlike() -> Iterator[str]:
    """The rewrites that do not keep the behaviour of a base, or fit in none, one line each."""
    known: dict[str, Observations] = {}
    for rewrite in REWRITES:
        fits = False
        for base, program in programs.bases().items():
            new = rewrite.apply(program, sorted(program), random.Random(f"{rewrite.name} {base}"))
            if new is None:
                continue
            fits = True
            if base not in known:
                known[base] = observe(program)
            for text in equivalence.compare(program, new, known[base]):
                yield f"{rewrite.name} on {base}: {text}"
        if not fits:
            yield f"{rewrite.name} fits in no program"


def _report(case: cases.Case, problems: list[str], keep: Path | None) -> None:
    kind = f"fault {case.fault.name} ({case.fault.question})" if case.fault else "correct"
    print(f"{case.name}: {kind}; rewrites: {', '.join(case.rewrites) or 'none'}")
    for problem in problems:
        print(f"    {problem}")
    if case.fault is None and case.rewrites:
        for text in equivalence.compare(programs.bases()[case.base], case.program)[:3]:
            print(f"    NOT EQUIVALENT to {case.base}: {text}")
    if keep is not None:
        programs.write(case.program, keep / case.name)
    sys.stdout.flush()


def _note(case: cases.Case, points: float, right: bool, keep: Path) -> None:
    """Adds a line to a table of what was graded so far."""
    keep.mkdir(parents=True, exist_ok=True)
    with (keep / TABLE).open("a", encoding="utf-8") as table:
        fault = case.fault.name if case.fault else ""
        table.write(f"{case.name},{fault},{points:g},{'right' if right else 'WRONG'}\n")


def _graded(keep: Path | None) -> set[str]:
    """The programs that an earlier run with the same folder found right: one that was stopped goes on."""
    if keep is None or not (keep / TABLE).is_file():
        return set()
    lines = (keep / TABLE).read_text(encoding="utf-8").splitlines()
    return {line.split(",")[0] for line in lines if line.endswith(",right")}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=500, help="correct combinations")
    parser.add_argument("--faults", type=int, default=300, help="combinations with a fault inside")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("-k", "--name", default="", help="only programs whose name contains this")
    parser.add_argument("--jobs", type=int, default=default_jobs())
    parser.add_argument(
        "--keep",
        type=Path,
        help="a folder for a table of results and for programs judged wrongly; goes on where it has a table",
    )
    parser.add_argument(
        "--no-equivalence", action="store_true", help="do not run every rewrite by itself first"
    )
    options = parser.parse_args()
    began = time.monotonic()
    wrong = 0
    if not options.no_equivalence:
        for line in unlike():
            wrong += 1
            print(line, flush=True)
        print(f"{len(REWRITES)} rewrites run by themselves: {wrong} differences from the original programs")
    made = [
        *cases.originals(),
        *cases.correct(options.count, options.seed),
        *cases.faulty(options.faults, options.seed),
    ]
    missing = 0 if options.name else len(cases.originals()) + options.count + options.faults - len(made)
    if missing:
        print(f"{missing} programs could not be made: no new combination was found for them")
    made = [case for case in made if options.name in case.name]
    before = _graded(options.keep)
    if before:
        made = [case for case in made if case.name not in before]
        print(f"{len(before)} programs were found right by an earlier run; {len(made)} are left")
    right = {"as they are": 0, "correct": 0, "faulty": 0}
    total = dict(right)
    elsewhere = 0
    with Progress(disable=not sys.stdout.isatty()) as progress:
        for case, result in progress.track(
            cases.grade(made, options.jobs), total=len(made), description="Grading"
        ):
            kind = "faulty" if case.fault else "correct" if case.rewrites else "as they are"
            problems = cases.complaints(case, result)
            total[kind] += 1
            right[kind] += not problems
            if options.keep is not None:
                _note(case, result.score, not problems, options.keep)
            if problems:
                _report(case, problems, options.keep)
            elif relying := cases.relying(case, result):
                elsewhere += 1
                _report(case, relying, None)
    used = {name for case in made for name in case.rewrites}
    faults = {case.fault.name for case in made if case.fault}
    print(
        f"{right['as they are']} of {total['as they are']} programs as they are and {right['correct']} of "
        f"{total['correct']} correct combinations at full marks; {right['faulty']} of {total['faulty']} faults caught on "
        f"their question and nowhere else, but for {elsewhere} in parts that other questions of the same program rely on "
        f"({len(used)} rewrites, {len(faults)} faults; "
        f"{(time.monotonic() - began) / 60:.0f} minutes)"
    )
    sys.exit(1 if wrong or missing or right != total else 0)


if __name__ == "__main__":
    main()
