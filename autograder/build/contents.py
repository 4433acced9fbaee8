"""The files that a release and the zip for a grading host have in common: the engine's modules and the assignment's.

The engine is copied by rule: all of its modules except the packages and modules that the caller leaves out. The assignment goes
next to the engine's packages, as `autograder/<folder>/`, wherever it is here; its modules import each other relatively. Its
folder `data`, if it has one, goes along as it is: files that checks and notebooks read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from autograder.model.assignment import ENGINE, FILE, Assignment

STUDY = "study"  # experiments and figures, for instructors
HIDDEN = "hidden"  # hidden checks and the mistakes that only they recognise
DATA = "data"  # files of an assignment that are not code
BINARY = (".safetensors",)  # of these, the ends of their names: not text


def engine_files(left_out: Collection[str]) -> dict[str, bytes]:
    """The engine's modules, by their paths in the package to make; left_out: packages ("build") and modules ("cli/merge.py")."""
    found = {}
    for path in _modules(ENGINE):
        name = path.relative_to(ENGINE).as_posix()
        part = name.partition("/")[0]
        if not {part, name} & set(left_out) and not (ENGINE / part / FILE).is_file():
            found[f"{ENGINE.name}/{name}"] = path.read_bytes()
    return found


def assignment_files(subject: Assignment, left_out: Collection[str]) -> dict[str, bytes]:
    """The assignment's modules and data, by their paths in the package to make; left_out: folders, at any depth.

    Its solutions, stubs and corpora are never among them.
    """
    others = [place for place in (subject.solutions, subject.stubs, subject.corpora) if place is not None]
    found = {}
    for path in [*_modules(subject.folder), *_data(subject.folder)]:
        place = path.relative_to(subject.folder)
        if {*place.parts[:-1]} & {STUDY, *left_out} or any(path.is_relative_to(other) for other in others):
            continue
        found[f"{home(subject)}/{place.as_posix()}"] = path.read_bytes()
    return found


def home(subject: Assignment) -> str:
    """The assignment's folder in the package to make."""
    return f"{ENGINE.name}/{subject.folder.name}"


def _modules(folder: Path) -> Iterator[Path]:
    yield from sorted(folder.rglob("*.py"))


def _data(folder: Path) -> Iterator[Path]:
    found = sorted((folder / DATA).rglob("*"))
    yield from (path for path in found if path.is_file() and path.suffix not in (".py", ".pyc"))
