"""Reading one submission: a folder, an archive or a file becomes a few named files in memory. Nothing is executed.

Everyone who reads an upload reads it here: `check`, `grade`, a class's export and the grading host. What is read, and the
notes about it, do not depend on how often the upload is packed, or on the folders around it. Archives are opened while a
module is missing outside them.
"""

from __future__ import annotations

import contextlib
import hashlib
import posixpath
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from autograder.model.rubric import Rubric
from autograder.submissions import archives
from autograder.submissions.files import MAX_SCANNED, Entry, file_at, in_folder, one_line
from autograder.submissions.files import UnusableSubmission as UnusableSubmission
from autograder.submissions.hints import hints
from autograder.submissions.modules import MAX_FILE as MAX_FILE
from autograder.submissions.modules import Modules
from autograder.submissions.modules import text_fault as text_fault
from autograder.submissions.spelling import below, graders, module_of, resembles

MAX_NOTES = 20


@dataclass(frozen=True)
class Submission:
    """What is graded: modules by file name, their digest, and notes for its author (one line each)."""

    name: str
    files: Mapping[str, bytes]
    sha256: str
    notes: tuple[str, ...] = ()

    def has(self, module: str) -> bool:
        return f"{module}.py" in self.files

    def modules(self, rubric: Rubric) -> int:
        """How many modules of the assignment it holds."""
        return sum(self.has(module) for module in rubric.modules)


def name_of(path: Path) -> str:
    """The submission's name: the folder's, or the archive's without its ending."""
    resolved = path.resolve()
    return resolved.name if resolved.is_dir() else archives.without_ending(resolved.name)


def wanted(rubric: Rubric) -> Callable[[str], bool]:
    """Whether a file of this name may matter: Python files, notebooks, archives, and what is named after a module."""

    def matters(name: str) -> bool:
        return (
            name.lower().endswith((".py", ".ipynb", *archives.READ, *archives.UNREAD))
            or bool(module_of(name, rubric.modules))
            or bool(resembles(name, rubric.modules))
        )

    return matters


def read(path: Path, rubric: Rubric, name: str | None = None, depth: int = MAX_SCANNED) -> Submission:
    """Reads the submission at `path`: a folder, an archive, or a single module.

    depth: how many levels of a folder are visited (1: only its own files, and no archive in it).
    Raises UnusableSubmission if there is nothing to read.
    """
    found = _read(path, rubric, name or name_of(path), depth)
    if not found.files and path.is_file() and (first := found.notes[0]).startswith(f"{path.name}:"):
        raise UnusableSubmission(f"{path.parent / first}")
    return found


def read_upload(path: Path, rubric: Rubric, name: str, notes: Sequence[str] = ()) -> Submission:
    """The submission at `path`, however broken it is: what cannot be read is empty, with a note. Never raises.

    notes: come first.
    """
    try:
        found = _read(path, rubric, name, MAX_SCANNED)
        return replace(found, notes=(*notes, *found.notes))
    except UnusableSubmission as error:
        return empty(name, str(error), notes)
    except OSError as error:
        return empty(name, f"The upload cannot be read ({error.strerror}).", notes)


def _read(path: Path, rubric: Rubric, name: str, depth: int) -> Submission:
    """The submission at `path`; what cannot be read of it is in the notes. Raises UnusableSubmission if the path is neither."""
    notes: list[str] = []
    if not path.exists():
        raise UnusableSubmission(f"{path}: there is no such file or folder; check the spelling of the path")
    if path.is_dir():
        entries = list(in_folder(path, notes, depth, wanted(rubric)))
    elif path.is_file():
        entries = [file_at(path)]
    else:
        raise UnusableSubmission(
            f"{path}: neither a folder nor a file; give the folder or the zip that holds the modules"
        )
    return _gather(name, entries, rubric, notes, nested=depth > 1)


def empty(name: str, note: str, notes: Sequence[str] = ()) -> Submission:
    """A submission without files: graded like any other, so that everyone gets a valid result. notes: come before `note`."""
    return Submission(name, {}, digest({}), (*notes, note))


def digest(files: Mapping[str, bytes]) -> str:
    """SHA-256 over names and contents, independent of the order, the packing and the folders around them."""
    whole = hashlib.sha256()
    for name in sorted(files):
        whole.update(f"{name}\0{len(files[name])}\0".encode())
        whole.update(files[name])
    return whole.hexdigest()


def _gather(
    name: str, found: Sequence[Entry], rubric: Rubric, notes: list[str], nested: bool = True
) -> Submission:
    """The submission among the files found. notes: what was skipped. nested: whether archives among them are opened."""
    budget, matters = archives.Budget(), wanted(rubric)
    modules = Modules(rubric, notes)
    with contextlib.ExitStack() as stack:
        level, seen = _bare(_own(found, rubric)), list[Entry]()
        for depth in range(archives.MAX_LEVELS + 1):
            modules.add(level)
            seen += level
            notes += [archives.unread(e.path) for e in level if archives.is_unread(e.path.name)]
            packed = [e for e in level if archives.is_archive(e.path.name)]
            if not depth and len(found) == 1 and not matters(found[0].path.name):
                packed = level  # a zip under another name
            if nested and not modules.missing:
                notes += _not_opened(packed, rubric, budget, stack)
            if not nested or not packed or not modules.missing:
                break
            if depth == archives.MAX_LEVELS:
                notes.append(f"archives more than {archives.MAX_LEVELS} deep in archives are not opened")
                break
            alone = (
                len(level) == 1 and len(seen) == 1
            )  # the folders and archives around everything are not named
            level = []
            for entry in packed:
                try:
                    inner = _own(archives.opened(entry, matters, notes, budget, stack), rubric)
                except UnusableSubmission as error:
                    notes.append(str(error))
                    continue
                level += _bare(inner) if alone else [replace(e, path=entry.path / e.path) for e in inner]
            if alone and level:
                seen = []
        if modules.missing:
            notes += hints(modules.missing, seen, rubric)
    modules.report()
    if len(modules.missing) == len(rubric.modules):
        names = ", ".join(f"{m}.py" for m in rubric.modules)
        what = "the upload holds" if found else "The upload is empty: it holds"
        others = sorted({e.path.name for e in seen if e.path.suffix.lower() == ".py"})
        there = f" (it holds {', '.join(others[:5])})" if others else ""
        notes.append(f"{what} none of {names}{there}; send these files, or the zip that `make submit` makes")
    shown = [one_line(note) for note in dict.fromkeys(notes)]
    more = (f"{len(shown) - MAX_NOTES} more notes of this kind",) if len(shown) > MAX_NOTES else ()
    return Submission(name, modules.files, digest(modules.files), (*shown[:MAX_NOTES], *more))


def _not_opened(
    packed: Iterable[Entry], rubric: Rubric, budget: archives.Budget, stack: contextlib.ExitStack
) -> list[str]:
    """A note on each archive with modules that are not needed, because all are outside."""
    found = []
    for entry in packed:
        with contextlib.suppress(UnusableSubmission):
            inner = archives.opened(entry, wanted(rubric), [], budget, stack)
            if any(module_of(e.path.name, rubric.modules) for e in _own(inner, rubric)):
                found.append(f"the modules in {entry.path} are ignored; those beside it are graded")
    return found


def _own(found: Iterable[Entry], rubric: Rubric) -> list[Entry]:
    """The files without those of copies of the grader."""
    entries = list(found)
    roots = graders((entry.path.parts for entry in entries), rubric)
    return [entry for entry in entries if not below(entry.path.parts, roots)]


def _bare(found: list[Entry]) -> list[Entry]:
    """The entries with their paths relative to the folder that holds them all."""
    usable = [entry for entry in found if not entry.fault]
    shared = posixpath.commonpath([e.path.parent for e in usable]) if usable else ""
    top = PurePosixPath(shared)
    return [replace(e, path=e.path.relative_to(top)) if e.path.is_relative_to(top) else e for e in found]
