"""From a student's files to one path that can be graded: a folder or a zip as it is where possible, else copies in a folder.

Files handed in singly get their own names back (`anna_12_345_vae-1.py` is `vae.py` again), and lie together in a private
folder. Where there are several things that could be graded (two zips, a zip beside modules), the one that holds most modules
is, of equals the last; the others are named in a note.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from autograder import intake
from autograder.rubric import Rubric

MAX_FILES = 200  # copied for one student
MAX_LOOKED_AT = 5000
MAX_CANDIDATES = 20


@dataclass
class Holding:
    """A private folder for what must be unpacked or copied; it must outlast the grading. Made when it is first needed."""

    root: Path
    used: int = 0

    def place(self) -> Path:
        """A path in it that nothing has been given yet, under a name of our making."""
        self.root.mkdir(parents=True, mode=0o700, exist_ok=True)
        while True:
            self.used += 1
            place = self.root / f"{self.used:05}"
            if not os.path.lexists(place):  # what a killed run has left may resist
                return place


@dataclass(frozen=True)
class Part:
    """A thing that a student handed in: the name that it had on their machine, and where it lies."""

    original: str
    path: Path
    folder: bool


@dataclass(frozen=True)
class Staged:
    """What is graded, and one line for each thing that is not."""

    path: Path
    notes: tuple[str, ...] = ()


def stage(parts: Sequence[Part], rubric: Rubric, holding: Holding) -> Staged:
    """Makes the parts of one upload one path, with copies in `holding` where they must be. parts: the last ones count most."""
    if len(parts) == 1 and not parts[0].original.lower().endswith(".py"):
        only = parts[0]
        if not only.folder:
            return Staged(only.path)
        zips = _zips_alone(only.path, rubric)
        return (
            _best([(str(z.relative_to(only.path)), z) for z in zips], rubric) if zips else Staged(only.path)
        )
    notes: list[str] = []
    loose = [p for p in parts if not p.folder and p.original.lower().endswith(".py")]
    candidates: list[tuple[str, Path]] = []
    for part in parts:
        if part.folder:
            zips = _zips_alone(part.path, rubric)
            candidates += [(str(z.relative_to(part.path)), z) for z in zips] or [
                (part.original or "the folder", part.path)
            ]
        elif part.original.lower().endswith(".zip"):
            candidates.append((part.original, part.path))
        elif part not in loose and Path(part.original).suffix.lower() not in (".ipynb", ".html", ".pdf"):
            notes.append(f"{part.original} is not looked at; send Python files or a zip of them")
    if loose or not candidates:
        into = holding.place()
        notes += _copy(loose, into)
        candidates.append(("the single files", into))
    best = _best(candidates, rubric)
    return Staged(best.path, (*notes, *best.notes))


def _copy(parts: Sequence[Part], into: Path) -> list[str]:
    """Copies modules under their own names; one line for each that cannot be."""
    into.mkdir(mode=0o700)
    notes = []
    if len(parts) > MAX_FILES:
        notes.append(f"more than {MAX_FILES} Python files; the rest of them are left out")
    for part in parts[:MAX_FILES]:
        # A name from outside may only name a place in this folder.
        name = "".join("_" if c in "/\\:\0" else c for c in part.original)
        try:
            with part.path.open("rb") as source:
                # One byte too many is enough for intake to see (and say) that it is too large.
                data = source.read(intake.MAX_FILE + 1)
            with (into / name).open("xb") as copy:
                copy.write(data)
        except FileExistsError:
            notes.append(f"{name} is there twice; the first one is graded")
        except OSError as error:
            notes.append(f"{name} cannot be read ({error.strerror}); send it again")
    return notes


def _best(candidates: Sequence[tuple[str, Path]], rubric: Rubric) -> Staged:
    if len(candidates) == 1:
        return Staged(candidates[0][1])
    considered = candidates[-MAX_CANDIDATES:]
    worth = [(_modules(path, rubric), place) for place, (_, path) in enumerate(considered)]
    _, chosen = max(worth)
    others = [label for place, (label, _) in enumerate(considered) if place != chosen]
    others += [label for label, _ in candidates[:-MAX_CANDIDATES]]
    note = f"{considered[chosen][0]} is graded; not looked at: {', '.join(others[:5])}"
    return Staged(considered[chosen][1], (note,))


def _modules(path: Path, rubric: Rubric) -> int:
    """How many modules of the assignment intake finds there."""
    try:
        found = intake.read(path, rubric)
    except (intake.UnusableSubmission, OSError):
        return -1
    return sum(found.has(module) for module in rubric.modules)


def _zips_alone(folder: Path, rubric: Rubric) -> list[Path]:
    """The zips in a folder that holds no module at all, oldest first; none when it holds one."""
    modules = {f"{m}.py" for m in rubric.modules}
    zips: list[Path] = []
    count = 0
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(f for f in folders if f not in intake.SKIPPED and not f.startswith("."))
        if len(Path(root).relative_to(folder).parts) >= intake.MAX_DEPTH:
            folders[:] = []
        for name in sorted(files):
            count += 1
            path = Path(root, name)
            if name in modules:
                return []
            if name.lower().endswith(".zip") and not name.startswith(".") and not path.is_symlink():
                zips.append(path)
        if count > MAX_LOOKED_AT:
            break
    return sorted(zips, key=lambda z: (z.stat().st_mtime, str(z)))
