"""Mutation testing of the reference: `make mutants`.

Cosmic Ray's operators change one token between the solution marks at a time; each mutant is graded as a submission. A mutant with
full marks has survived: either it is equivalent by the contract, and survivors.toml says why, or the checks have a hole.
"""

from __future__ import annotations

import argparse
import ast
import itertools
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cosmic_ray import plugins
from cosmic_ray.mutating import mutate_code
from rich.progress import Progress

from autograder.support.files import write_atomically
from autograder.support.processes import default_jobs
from tests import corpus

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

EXPLAINED = Path(__file__).with_name("survivors.toml")
# These two need settings of their own (which variable to insert), and produce meaningless code here.
LEFT_OUT = ("core/VariableInserter", "core/VariableReplacer")


@dataclass(frozen=True)
class Mutant:
    """One changed module. before, after: the line that differs, without indentation."""

    file: str
    line: int
    before: str
    after: str
    source: str

    @property
    def text(self) -> str:
        return f"{self.file}:{self.line}: {self.before}  ->  {self.after}"


def mutants(file: str, source: str) -> Iterator[Mutant]:
    """All mutants of a module that differ in one line between the solution marks; each syntax tree once."""
    lines = source.splitlines()
    inside = _solution_lines(lines)
    seen = {ast.dump(ast.parse(source))}
    for name in sorted(set(plugins.operator_names()) - set(LEFT_OUT)):
        operator = plugins.get_operator(name)()
        for occurrence in itertools.count():
            changed = mutate_code(source, operator, occurrence)
            if changed is None:
                break
            new = changed.splitlines()
            differing = [i for i, (a, b) in enumerate(zip(lines, new, strict=False)) if a != b]
            if not differing or not set(differing) <= inside:
                continue
            try:
                tree = ast.dump(ast.parse(changed))
            except SyntaxError:
                continue
            if tree in seen:
                continue
            seen.add(tree)
            i = differing[0]
            yield Mutant(file, i + 1, lines[i].strip(), new[i].strip(), changed)


def _solution_lines(lines: list[str]) -> set[int]:
    inside, on = set(), False
    for i, line in enumerate(lines):
        on = on or "# BEGIN SOLUTION" in line
        if on:
            inside.add(i)
        on = on and "# END SOLUTION" not in line
    return inside


def explained() -> dict[tuple[str, str, str], str]:
    """Why a survivor is not a fault, by file, line and changed line."""
    rows = tomllib.loads(EXPLAINED.read_text(encoding="utf-8")).get("survivor", [])
    return {(r["file"], r["before"], r["after"]): r["why"] for r in rows}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-m", "--module", help="only this module's mutants")
    parser.add_argument("--jobs", type=int, default=default_jobs())
    parser.add_argument("--out", type=Path, default=Path("adequacy"))
    parser.add_argument("--keep", type=Path, help="for the results: the next run goes on from there")
    options = parser.parse_args()
    made: dict[str, Mutant] = {}
    entries: list[corpus.Entry] = []
    for file, source in corpus.reference().items():
        if options.module not in (None, file.removesuffix(".py")):
            continue
        for mutant in mutants(file, source):
            name = f"mutant-{len(made):04d}"
            made[name] = mutant
            edit = corpus.Edit(file, source, mutant.source)
            entries.append(corpus.Entry("mutant", name, mutant.text, (edit,)))
    why = explained()
    survivors: list[str] = []
    holes: list[str] = []
    with Progress(disable=not sys.stdout.isatty()) as progress:
        graded = corpus.grade(entries, options.jobs, keep=options.keep)
        for entry, result in progress.track(graded, total=len(entries), description="Grading mutants"):
            if result.score < result.max_score:
                continue
            mutant = made[entry.name]
            reason = why.get((mutant.file, mutant.before, mutant.after))
            survivors.append(f"- {mutant.text}\n  {reason or 'NOT EXPLAINED'}")
            if reason is None:
                holes.append(mutant.text)
    killed = len(entries) - len(survivors)
    text = f"# Mutants\n\n{killed} of {len(entries)} killed; {len(survivors)} survived, {len(holes)} of them unexplained.\n\n"
    write_atomically(options.out / "mutants.md", text + "\n".join(sorted(survivors)) + "\n")
    print(text.partition("\n\n")[2].strip())
    for hole in sorted(holes):
        print(f"survived: {hole}")
    sys.exit(1 if holes else 0)


if __name__ == "__main__":
    main()
