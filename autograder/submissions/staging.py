"""Puts what one student handed in, in several parts, into one folder under the names that the student gave them.

`anna_12_345_model-1.py` becomes `model.py`. Which of the files are graded is decided where every upload is read (`intake`).
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from autograder.model.rubric import Rubric
from autograder.submissions import files, intake

MAX_FILES = 500  # of one student in several parts


@dataclass
class TempStore:
    """A private folder for unpacked and copied files, created on first use; it must outlast the grading."""

    root: Path
    used: int = 0

    @contextlib.contextmanager
    def cleared(self) -> Iterator[TempStore]:
        """The folder without what a killed run has left in it; it is removed in the end."""
        shutil.rmtree(self.root, ignore_errors=True)  # a link in its place is not followed
        try:
            yield self
        finally:
            shutil.rmtree(self.root, ignore_errors=True)

    def place(self) -> Path:
        """A new path in it, under a name of our choice."""
        self.root.mkdir(parents=True, mode=0o700, exist_ok=True)
        while True:
            self.used += 1
            place = self.root / f"{self.used:05}"
            if not os.path.lexists(place):  # the leftovers of a killed run may still be there
                return place


@dataclass(frozen=True)
class Part:
    """A file or folder that a student handed in: the name it had on their machine, and its path now."""

    original: str
    path: Path
    folder: bool


@dataclass(frozen=True)
class Staged:
    """What is graded, and one line for each thing that is not."""

    path: Path
    notes: tuple[str, ...] = ()


def stage(parts: Sequence[Part], rubric: Rubric, store: TempStore) -> Staged:
    """Turns the parts of one upload into one path: a folder unchanged if it is the only one, else a folder in `store`."""
    if len(parts) == 1 and parts[0].folder:
        return Staged(parts[0].path)
    into = store.place()
    into.mkdir(mode=0o700)
    notes: list[str] = []
    count, wanted = 0, intake.wanted(rubric)
    for part in parts:
        if part.folder:
            found = [
                (str(e.path), part.path / e.path) for e in files.in_folder(part.path, notes, wanted=wanted)
            ]
        else:
            # A name from outside must not point outside this folder.
            name = "".join("_" if c in "/\\:\0" else c for c in part.original)
            found = [(name, part.path)] if wanted(name) else []
        for name, path in found:
            count += 1
            if count > MAX_FILES:
                notes.append(f"more than {MAX_FILES} files; {name} is left out")
            elif note := _put(path, into / name):
                notes.append(f"{name} {note}")
    return Staged(into, tuple(notes[: intake.MAX_NOTES]))


def _put(path: Path, target: Path) -> str:
    """Puts a file under its own name, without copying where the disk allows it; returns the reason if it cannot."""
    try:
        if path.is_symlink() or not path.is_file():
            return files.LINK
        if os.path.lexists(target):
            return "is there twice; the first one is graded"
        target.parent.mkdir(parents=True, mode=0o700, exist_ok=True)
        try:
            os.link(path, target)
        except OSError:  # another disk, or one without links
            found = files.file_in(path.parent, PurePosixPath(path.name))
            with found.open() as source, target.open("xb") as copy:
                shutil.copyfileobj(source, copy)
    except (OSError, ValueError) as error:
        return f"cannot be read ({getattr(error, 'strerror', error)}); send it again"
    return ""
