"""The corpora: wheats (correct, however unusual), chaffs (one fault each), combinations of them, half-finished submissions.

`python -m tests.corpus [-m vae] [-k name] [--kind wheat]` grades them and says which verdicts are not as they must be.
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

from autograder import batch
from autograder.build.stubs import stub_source
from autograder.rubric import assignment
from autograder.verdicts import Result

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HERE = Path(__file__).resolve().parent
SOLUTIONS = HERE.parent / "solutions"
TODOS = re.compile(r"# TODO (\d.*)")


@dataclass(frozen=True)
class Edit:
    """Replaces `find`, which occurs exactly once in `file`, by `replace`."""

    file: str
    find: str
    replace: str


@dataclass(frozen=True)
class Entry:
    """One submission of a corpus.

    questions: the questions on which it must lose points, and no other: none for a wheat, one for a chaff.
    diagnosis: a word that the diagnosis of a chaff must contain; "" where none is asked.
    blank: to-dos whose solution is taken out again (half-finished submissions).
    """

    kind: str
    name: str
    says: str
    edits: tuple[Edit, ...] = ()
    questions: tuple[str, ...] = ()
    diagnosis: str = ""
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
    return {
        f"{m}.py": (SOLUTIONS / f"{m}.py").read_text(encoding="utf-8") for m in assignment().rubric.modules
    }


def read(kind: str) -> list[Entry]:
    """All entries of a kind ("wheat" or "chaff"), in the files' order."""
    entries: list[Entry] = []
    for path in sorted((HERE / f"{kind}s").glob("*.toml")):
        rows: list[dict[str, Any]] = tomllib.loads(path.read_text(encoding="utf-8"))[kind]
        for row in rows:
            edits = tuple(Edit(**edit) for edit in row.pop("edits"))
            questions = (row.pop("question"),) if kind == "chaff" else ()
            entries.append(Entry(kind=kind, edits=edits, questions=questions, module=path.stem, **row))
    names = [e.name for e in entries]
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise ValueError(f"{kind}s: names that occur twice: {twice}")
    return entries


def combinations(n: int = 20, seed: int = 1) -> list[Entry]:
    """`n` submissions with two or three faults in different questions, put together from the chaffs."""
    chooser = random.Random(seed)
    chaffs = read("chaff")
    made: list[Entry] = []
    while len(made) < n:
        parts = chooser.sample(chaffs, chooser.choice((2, 3)))
        questions = {q for part in parts for q in part.questions}
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
    """`n` half-finished submissions: some solutions are taken out again, as students leave them."""
    chooser = random.Random(seed)
    todos = [t for text in reference().values() for t in TODOS.findall(text)]
    made: list[Entry] = []
    for number in range(1, n + 1):
        blank = tuple(t for t in todos if chooser.random() < chooser.choice((0.05, 0.3, 0.8))) or (todos[0],)
        questions = {t.partition(":")[0] for t in blank}
        if "2-1a: write DCGAN.__init__" in blank:
            questions.add("2-3")  # which discriminator `spectral_norm` chooses is written there
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


# The modules whose questions an edit of a module can touch: itself, and those that import it.
TOUCHED = {
    "autoencoder.py": {"autoencoder", "vae", "cvae"},
    "vae.py": {"vae", "cvae"},
    "cvae.py": {"cvae"},
    "gan.py": {"gan"},
}


def touched(entry: Entry) -> tuple[str, ...]:
    """The questions whose verdicts can differ from the reference's: the others would be graded on the same text."""
    files = {edit.file for edit in entry.edits} if not entry.blank else set(TOUCHED)
    modules = set().union(*(TOUCHED[file] for file in files))
    return tuple(q.id for q in assignment().rubric.auto if q.module in modules)


def grade(entries: Iterable[Entry], jobs: int = 2, whole: bool = False) -> Iterator[tuple[Entry, Result]]:
    """Grades each entry as a submission of its own, on the questions that its edits can touch (on all, if `whole`)."""
    groups: dict[tuple[str, ...] | None, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(None if whole else touched(entry), []).append(entry)
    with tempfile.TemporaryDirectory(prefix="corpus-") as folder:
        for questions, group in groups.items():
            by_name = {entry.name: entry for entry in group}
            works = [batch.Work(e.write(Path(folder)), e.name, None) for e in group]
            for work, result in batch.run(works, jobs, batch.How(questions)):
                yield by_name[work.name], result


def complaints(entry: Entry, result: Result) -> list[str]:
    """What is not as it must be, one line each; empty when every verdict is right."""
    found = [f"{v.id}: the grader's own fault" for v in result.checks if "fault in the grader" in v.feedback]
    lost = {id for id, points in result.points if result.score_of(id) < points}
    for id in sorted(lost - set(entry.questions)):
        checks = ", ".join(f"{v.id} ({v.status})" for v in result.of(id) if v.status != "passed")
        found.append(f"loses points on {id}, where it is right: {checks}")
    found += [f"is not caught on {id}" for id in entry.questions if id not in lost]
    if entry.kind == "chaff" and not set(entry.questions) - lost:
        named = [v.diagnosis for v in result.checks if v.diagnosis]
        fitting = [d for d in named if entry.diagnosis and entry.diagnosis.lower() in d.lower()]
        if entry.diagnosis and not fitting:
            found.append(f"is not diagnosed ({entry.diagnosis!r} is in none of {named})")
        if len(fitting) < len(named):
            found.append(f"has a diagnosis that does not fit: {[d for d in named if d not in fitting]}")
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
    parser.add_argument("-k", "--name", default="", help="only entries whose name contains this")
    parser.add_argument("--kind", choices=list(KINDS))
    parser.add_argument("--jobs", type=int, default=batch.default_jobs())
    parser.add_argument("-v", "--verbose", action="store_true", help="show every failing check's feedback")
    options = parser.parse_args()
    entries = [e for kind, make in KINDS.items() if options.kind in (None, kind) for e in make()]
    entries = [e for e in entries if options.module in (None, e.module) and options.name in e.name]
    wrong = diagnosed = chaffs = 0
    for entry, result in grade(entries, options.jobs):
        problems = complaints(entry, result)
        wrong += bool(problems)
        chaffs += entry.kind == "chaff"
        diagnosed += entry.kind == "chaff" and any(v.diagnosis for v in result.checks)
        caught = ", ".join(v.id for v in result.checks if v.status != "passed")
        print(f"{'WRONG' if problems else 'right'}  {entry.kind}  {entry.name}  {result.score:g}  {caught}")
        for problem in problems:
            print(f"       {problem}")
        if options.verbose:
            for verdict in result.checks:
                if verdict.status != "passed":
                    print(f"       [{verdict.id}]\n         " + verdict.feedback.replace("\n", "\n         "))
    print(f"{len(entries) - wrong} as they must be, {wrong} not; {diagnosed} of {chaffs} chaffs diagnosed")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
