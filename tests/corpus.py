"""The corpora: wheats (correct, however unusual), chaffs (one fault each), combinations of them, half-finished submissions.

`python -m tests.corpus [-m vae] [-k name] [--kind wheat]` grades them and lists the wrong verdicts.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from autograder.build.stubs import stub_source
from autograder.grading import batch, judge, options
from autograder.model.assignment import assignment, choose
from autograder.model.verdicts import Result
from autograder.support.processes import default_jobs

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TODOS = re.compile(r"# TODO ([\w.-]+: .*)")
ROUNDING = 1e-9  # of sums of points
ATTEMPTS = 40  # per combination: parts on the same lines or question cannot be combined


@dataclass(frozen=True)
class Edit:
    """Replaces a piece of the reference, which occurs exactly once in `file`.

    The TOML files give `file` and `find`, or an `anchor` ("vae: VAE.loss/return") that corpora.toml defines.
    """

    file: str
    find: str
    replace: str


@dataclass(frozen=True)
class Entry:
    """One submission of a corpus.

    says: what is unusual or wrong in it.
    questions: the only questions on which it must lose points: none for a wheat, one for a chaff.
    mistakes: the ids of the mistakes that must be recognised, and no others (in a wheat: without costing points).
    unnamed: why no mistake is recognised in a chaff, if `mistakes` is empty.
    most: the most points that a chaff may cost, where a limit is set.
    costs_all: why a chaff may cost more than half of its question (nothing of the question runs, for instance).
    blank: to-dos whose solution is removed again (unfinished submissions).
    """

    kind: str
    name: str
    says: str
    edits: tuple[Edit, ...] = ()
    questions: tuple[str, ...] = ()
    mistakes: tuple[str, ...] = ()
    unnamed: str = ""
    most: float | None = None
    costs_all: str = ""
    module: str = ""
    blank: tuple[str, ...] = ()

    def sources(self) -> dict[str, str]:
        """The submission's modules, by file name; raises ValueError where an edit does not fit the reference."""
        texts = dict(reference())
        for edit in self.edits:
            count = texts[edit.file].count(edit.find)
            if count != 1:
                raise ValueError(f"{self.name}: `find` occurs {count} times in {edit.file}")
            texts[edit.file] = texts[edit.file].replace(edit.find, edit.replace)
        if self.blank:
            texts = {name: stub_source(text, name, self.blank.__contains__) for name, text in texts.items()}
        return texts

    def write(self, folder: Path) -> Path:
        """Writes the submission into a new folder under `folder`."""
        target = folder / self.name
        target.mkdir()
        for name, text in self.sources().items():
            (target / name).write_text(text, encoding="utf-8")
        return target


@cache
def reference() -> dict[str, str]:
    """The solutions, by file name."""
    solutions = assignment().solutions
    assert solutions is not None, "corpora need the solutions"
    return {
        f"{m}.py": (solutions / f"{m}.py").read_text(encoding="utf-8") for m in assignment().rubric.modules
    }


@cache
def shared() -> dict[str, Any]:
    """The content of corpora.toml, which an assignment may lack."""
    path = assignment().corpora / "corpora.toml"
    return tomllib.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def read(kind: str) -> list[Entry]:
    """All entries of a kind ("wheat" or "chaff"), in the files' order.

    Raises ValueError for names that occur twice, for chaffs with neither a mistake nor a reason for having none, and for
    wheats with a limit on what they may cost.
    """
    entries: list[Entry] = []
    for path in sorted((assignment().corpora / f"{kind}s").glob("*.toml")):
        rows: list[dict[str, Any]] = tomllib.loads(path.read_text(encoding="utf-8"))[kind]
        for row in rows:
            edits = tuple(_edit(row["name"], edit) for edit in row.pop("edits", ()))
            if modules := row.pop("modules", ""):
                edits += _whole_modules(path.parent / modules)
            questions = (row.pop("question"),) if kind == "chaff" else ()
            named = row.pop("mistake", ())
            mistakes = (named,) if isinstance(named, str) else tuple(named)
            entry = Entry(kind, edits=edits, questions=questions, mistakes=mistakes, module=path.stem, **row)
            if kind == "chaff" and bool(entry.mistakes) == bool(entry.unnamed):
                raise ValueError(f"{entry.name}: give its mistake's id, or say in `unnamed` why it has none")
            if kind == "wheat" and (entry.costs_all or entry.most is not None):
                raise ValueError(
                    f"{entry.name}: a wheat costs nothing, so it has no `most` and no `costs_all`"
                )
            entries.append(entry)
    names = [e.name for e in entries]
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise ValueError(f"{kind}s: names that occur twice: {twice}")
    return entries


def _whole_modules(folder: Path) -> tuple[Edit, ...]:
    """The edits that put a folder's modules in place of the reference's. Raises ValueError for a folder without any."""
    paths = sorted(folder.glob("*.py"))
    if not paths:
        raise ValueError(f"{folder}: there are no modules here; correct `modules` in the TOML file")
    return tuple(Edit(path.name, reference()[path.name], path.read_text(encoding="utf-8")) for path in paths)


def _edit(name: str, row: dict[str, str]) -> Edit:
    if "anchor" not in row:
        return Edit(**row)
    module, _, anchor = row["anchor"].partition(": ")
    try:
        find = shared()["anchors"][module][anchor]
    except KeyError:
        raise ValueError(f"{name}: corpora.toml has no anchor {row['anchor']!r}") from None
    return Edit(f"{module}.py", find, row["replace"])


def combinations(n: int = 20, seed: int = 1) -> list[Entry]:
    """Up to `n` submissions with two or three faults in different questions, combined from the chaffs."""
    chooser = random.Random(seed)
    chaffs = read("chaff")
    made: list[Entry] = []
    for _ in range(
        ATTEMPTS * n if len(chaffs) > 2 and len({q for c in chaffs for q in c.questions}) > 1 else 0
    ):
        if len(made) == n:
            break
        parts = chooser.sample(chaffs, chooser.choice((2, 3)))
        questions = {q for part in parts for q in part.questions}
        names = {part.name for part in parts}
        if any(set(pair) <= names for pair in shared().get("cancel", ())):
            continue
        entry = Entry(
            kind="combination",
            name=f"combination-{len(made) + 1:02d}",
            says=" ".join(part.says for part in parts),
            edits=tuple(edit for part in parts for edit in part.edits),
            questions=tuple(sorted(questions)),
        )
        try:
            entry.sources()
        except ValueError:  # the parts edit the same lines
            continue
        if len(questions) == len(parts):
            made.append(entry)
    return made


def unfinished(n: int = 30, seed: int = 1) -> list[Entry]:
    """`n` half-finished submissions: the reference with some of its solutions removed again."""
    chooser = random.Random(seed)
    todos = [t for text in reference().values() for t in TODOS.findall(text)]
    also: dict[str, list[str]] = shared().get("also_loses", {})
    made: list[Entry] = []
    for number in range(1, n + 1):
        blank = tuple(t for t in todos if chooser.random() < chooser.choice((0.05, 0.3, 0.8))) or (todos[0],)
        questions = {t.partition(":")[0] for t in blank} | {q for t in blank for q in also.get(t, ())}
        if blank in [entry.blank for entry in made]:  # a small assignment has few to-dos
            continue
        name = f"unfinished-{number:02d}"
        says = f"Not written: {', '.join(blank)}"
        made.append(Entry("unfinished", name, says, questions=tuple(sorted(questions)), blank=blank))
    return made


def sample(entries: Sequence[Entry], n: int, seed: int) -> list[Entry]:
    """`n` of the entries, the same ones for the same seed; at least one of every module and question."""
    chooser = random.Random(seed)
    shuffled = list(entries)
    chooser.shuffle(shuffled)
    first: dict[tuple[str, tuple[str, ...]], Entry] = {}
    for entry in shuffled:
        first.setdefault((entry.module, entry.questions), entry)
    rest = [e for e in shuffled if e not in first.values()]
    return [*first.values(), *rest][: max(n, len(first))]


@cache
def touched_modules(file: str) -> frozenset[str]:
    """The modules whose questions an edit of `file` can affect: its own, and all that import it, directly or not."""
    module = file.removesuffix(".py")
    importing = re.compile(rf"^\s*(?:from {module} import|import {module}\b)", re.MULTILINE)
    users = {name for name, text in reference().items() if name != file and importing.search(text)}
    return frozenset({module}.union(*(touched_modules(name) for name in users)))


def touched(entry: Entry) -> tuple[str, ...]:
    """The questions whose verdicts can differ from the reference's: the others would be graded on the same text."""
    files = {edit.file for edit in entry.edits} if not entry.blank else set(reference())
    modules = frozenset().union(*(touched_modules(file) for file in files))
    return tuple(q.id for q in assignment().rubric.auto if q.module in modules)


def grade(
    entries: Iterable[Entry],
    jobs: int = 2,
    whole: bool = False,
    device: str = "cpu",
    question: str | None = None,
    keep: Path | None = None,
) -> Iterator[tuple[Entry, Result]]:
    """Grades each entry as a submission of its own, on the questions that its edits can affect.

    whole: on all questions instead. question: on this one alone. keep: a folder for the results, where those of an earlier
    run with the same grader are found again.
    """
    groups: dict[tuple[str, ...] | None, list[Entry]] = {}
    for entry in entries:
        key = (question,) if question else None if whole else touched(entry)
        groups.setdefault(key, []).append(entry)
    with tempfile.TemporaryDirectory(prefix="corpus-") as folder:
        for questions, group in groups.items():
            by_name = {entry.name: entry for entry in group}
            queue = [
                options.Job(e.write(Path(folder)), e.name, keep and keep / f"{e.name}.json") for e in group
            ]
            chosen = options.GradingOptions(questions, device, reuse=keep is not None)
            if jobs <= 1 or len(queue) == 1:  # in this process, which none of these submissions endangers
                results = ((job, judge.grade_job(job, chosen)) for job in queue)
            else:
                results = batch.run(queue, jobs, chosen)
            for job, result in results:
                yield by_name[job.name], result


def cost(entry: Entry, result: Result) -> float:
    """The points that a chaff loses on its own question."""
    return sum(points - result.score_of(id) for id, points in result.points if id in entry.questions)


def share(entry: Entry, result: Result) -> float:
    """The part of its question that a chaff costs, 0 to 1."""
    return cost(entry, result) / sum(points for id, points in result.points if id in entry.questions)


def complaints(entry: Entry, result: Result) -> list[str]:
    """What is wrong with the verdicts, one line each; empty if all are right."""
    found = [f"{v.id}: the grader's own fault" for v in result.checks if v.grader_fault]
    lost = {id for id, points in result.points if result.score_of(id) < points}
    for id in sorted(lost - set(entry.questions)):
        checks = ", ".join(f"{v.id} ({v.status})" for v in result.of(id) if v.status != "passed")
        found.append(f"loses points on {id}, where it is right: {checks}")
    found += [f"is not caught on {id}" for id in entry.questions if id not in lost]
    if entry.most is not None and (points := cost(entry, result)) > entry.most + ROUNDING:
        found.append(
            f"costs {points:g} points on {', '.join(entry.questions)}; at most {entry.most:g} are right"
        )
    if entry.kind in ("wheat", "chaff") and not set(entry.questions) - lost:
        recognised = {v.mistake for v in result.checks if v.mistake}
        if missing := set(entry.mistakes) - recognised:
            found.append(f"is not recognised as {sorted(missing)}; recognised: {sorted(recognised)}")
        if wrong := recognised - set(entry.mistakes):
            found.append(f"is recognised as another mistake: {sorted(wrong)}")
    return found


KINDS: dict[str, Callable[[], list[Entry]]] = {
    "wheat": lambda: read("wheat"),
    "chaff": lambda: read("chaff"),
    "combination": combinations,
    "unfinished": unfinished,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-m", "--module", help="only this file's entries (vae)")
    parser.add_argument(
        "-k", "--name", default="", help="only entries whose name contains one of these (a,b)"
    )
    parser.add_argument(
        "-q", "--question", help="only the wheats and faults of this question, graded on it alone"
    )
    parser.add_argument("--kind", choices=list(KINDS))
    parser.add_argument("--jobs", type=int, default=default_jobs())
    parser.add_argument("-v", "--verbose", action="store_true", help="show every failing check's feedback")
    options = parser.parse_args(choose(sys.argv[1:]))
    entries = [e for kind, make in KINDS.items() if options.kind in (None, kind) for e in make()]
    parts = options.name.split(",")
    entries = [
        e for e in entries if options.module in (None, e.module) and any(part in e.name for part in parts)
    ]
    if options.question:
        # Wheats in which a mistake is to be named are left out: it may be that of another question.
        of_wheats = [
            e for e in entries if e.kind == "wheat" and options.question in touched(e) and not e.mistakes
        ]
        entries = of_wheats + [e for e in entries if e.kind == "chaff" and options.question in e.questions]
    wrong = diagnosed = chaffs = 0
    for entry, result in grade(entries, options.jobs, question=options.question):
        problems = complaints(entry, result)
        wrong += bool(problems)
        chaffs += entry.kind == "chaff"
        diagnosed += entry.kind == "chaff" and any(v.mistake for v in result.checks)
        caught = ", ".join(v.id for v in result.checks if v.status != "passed")
        print(f"{'WRONG' if problems else 'right'}  {entry.kind}  {entry.name}  {result.score:g}  {caught}")
        for problem in problems:
            print(f"       {problem}")
        if options.verbose:
            for verdict in result.checks:
                if verdict.status != "passed":
                    print(
                        f"       [{verdict.id}]\n         "
                        + verdict.feedback.text().replace("\n", "\n         ")
                    )
    print(f"{len(entries) - wrong} right, {wrong} wrong; {diagnosed} of {chaffs} chaffs diagnosed")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
