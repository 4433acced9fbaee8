"""Turns what one student handed in into one path that can be graded: a folder or a zip unchanged if possible, else copies.

Files handed in one by one get their own names back (`anna_12_345_model-1.py` becomes `model.py`) in a private folder. If
several things could be graded (two zips, or a zip and modules), the one with the most modules is graded, on a tie the last;
a note names the others.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from autograder.model.rubric import Rubric
from autograder.submissions import files, intake

MAX_FILES = 200  # copied for one student
MAX_CANDIDATES = 20


@dataclass
class TempStore:
    """A private folder for unpacked and copied files, created on first use; it must outlast the grading."""

    root: Path
    used: int = 0

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
    """Turns the parts of one upload into one path, copying files into `store` if necessary. parts: later ones take precedence."""
    notes: list[str] = []
    loose = [p for p in parts if not p.folder and p.original.lower().endswith(".py")]
    candidates: list[tuple[str, Path]] = []
    for part in parts:
        if part.folder:
            candidates += _zips(part.path, rubric) or [(part.original or "the folder", part.path)]
        elif part.original.lower().endswith(".zip") or (len(parts) == 1 and not loose):
            candidates.append((part.original, part.path))
        elif part not in loose and Path(part.original).suffix.lower() not in (".ipynb", ".html", ".pdf"):
            notes.append(f"{part.original} is ignored; send Python files or a zip of them")
    if loose or not candidates:
        into = store.place()
        notes += _copy(loose, into)
        candidates.append(("the single files", into))
    best = _best(candidates, rubric)
    return Staged(best.path, (*notes, *best.notes))


def _copy(parts: Sequence[Part], into: Path) -> list[str]:
    """Copies modules under their own names; returns one line for each that cannot be copied."""
    into.mkdir(mode=0o700)
    notes = []
    if len(parts) > MAX_FILES:
        notes.append(f"more than {MAX_FILES} Python files; the rest are left out")
    for part in parts[:MAX_FILES]:
        # A name from outside must not point outside this folder.
        name = "".join("_" if c in "/\\:\0" else c for c in part.original)
        try:
            with part.path.open("rb") as source:
                # One byte too many is enough for intake to see (and report) that it is too large.
                data = source.read(intake.MAX_FILE + 1)
            with (into / name).open("xb") as copy:
                copy.write(data)
        except FileExistsError:
            notes.append(f"{name} is there twice; the first one is graded")
        except OSError as error:
            notes.append(f"{name} cannot be read ({error.strerror}); send it again")
    return notes


def _best(candidates: Sequence[tuple[str, Path]], rubric: Rubric) -> Staged:
    """The candidate (a label and a path) with the most modules, on a tie the last."""
    if len(candidates) == 1:
        return Staged(candidates[0][1])
    considered = candidates[-MAX_CANDIDATES:]
    _, chosen = max((_modules(path, rubric), place) for place, (_, path) in enumerate(considered))
    others = [label for place, (label, _) in enumerate(considered) if place != chosen]
    others += [label for label, _ in candidates[:-MAX_CANDIDATES]]
    label, path = considered[chosen]
    return Staged(path, (f"{label} is graded; ignored: {', '.join(others[:5])}",))


def _modules(path: Path, rubric: Rubric) -> int:
    """How many modules of the assignment intake finds there; -1 if it cannot be read."""
    try:
        return intake.read(path, rubric).modules(rubric)
    except (intake.UnusableSubmission, OSError):
        return -1


def _zips(folder: Path, rubric: Rubric) -> list[tuple[str, Path]]:
    """The zips in a folder that holds no module, oldest first, each with its path inside; none if it holds one."""
    modules = {f"{m}.py" for m in rubric.modules}
    found = [entry for entry in files.in_folder(folder, []) if not entry.fault]
    if any(entry.path.name in modules for entry in found):
        return []
    zips = sorted((e for e in found if e.named(".zip")), key=lambda e: (e.modified, str(e.path)))
    return [(str(entry.path), folder / entry.path) for entry in zips]
