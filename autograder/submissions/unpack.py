"""An archive of a whole class, unpacked into a private folder under names of our choice.

Only files that may matter keep their contents; anything else becomes an empty file, so that a student who handed in nothing
else is still listed. Every student has a budget of their own: one upload without end costs no one else anything.
"""

from __future__ import annotations

import contextlib
import os
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from autograder.model.rubric import Rubric
from autograder.submissions import archives, files, intake, metadata, written
from autograder.submissions.files import DEEP, LINK, OUTSIDE, Entry, first_line, one_line
from autograder.support.files import file_name

MAX_MEMBERS = 500_000
MAX_CONTENTS = 64 << 20  # bytes of a class's table of contents
MAX_ARCHIVE = 256 << 20  # bytes of one archive of a student
MAX_STUDENT = 512 << 20  # bytes written for one student
MAX_TABLE = 16 << 20  # bytes of a platform's own table or text
MAX_TAR = 16 << 30  # bytes of a class's tar, unpacked
MAX_PLACEHOLDERS = 5000


@dataclass(frozen=True)
class Item:
    """One entry of a class's folder: its name in the export, and its path now. modified: the time of its newest file."""

    name: str
    path: Path
    folder: bool
    modified: float


@dataclass
class Unpacked:
    """A class's entries by name, all paths by their place in the archive, and one line for each member that is left out."""

    items: list[Item] = field(default_factory=list)
    paths: dict[tuple[str, ...], Path] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)


@contextlib.contextmanager
def members(path: Path, notes: list[str], depth: int) -> Iterator[Iterator[Entry]]:
    """The entries of the archive at `path`, each to be read before the next is asked for. Raises UnusableSubmission."""
    entry = files.file_at(path)
    if archives.is_tar(archives.start_of(entry), path.name):
        yield archives.in_tar(entry, MAX_TAR, depth, MAX_MEMBERS)
        return
    with files.opened_zip(path, MAX_CONTENTS) as archive:
        yield files.in_zip(archive, notes, MAX_MEMBERS, depth)


def listing(path: Path) -> list[Entry]:
    """The files in the archive at `path`, without those that must not be read. Raises UnusableSubmission."""
    with members(path, [], files.MAX_DEPTH) as found:
        return [e for e in found if not e.folder and e.fault not in (OUTSIDE, LINK)]


def unpack(
    path: Path, prefix: tuple[str, ...], into: Path, rubric: Rubric, owner: Callable[[str], str] = str
) -> Unpacked:
    """Unpacks the class in the archive at `path` into the new folder `into`. Raises UnusableSubmission.

    owner: the student whom an entry of the class's folder belongs to, for the budget.
    """
    notes: list[str] = []
    depth = len(prefix) + files.MAX_DEPTH + 1
    with members(path, notes, depth) as found:
        into.mkdir(mode=0o700)
        work = _Unpacking(path.name, into, intake.wanted(rubric), owner)
        for entry in found:
            if entry.fault in (OUTSIDE, DEEP, LINK):
                if work.wanted(entry.path.name):
                    work.remark(entry, entry.fault)
            elif entry.path.parts[: len(prefix)] == prefix and len(entry.path.parts) > len(prefix):
                work.add(entry, entry.path.parts[len(prefix) :])
    items = [work.items[name] for name in sorted(work.items)]
    return Unpacked(items, work.paths, [f"{path.name}: {note}" for note in notes] + work.remarks)


@dataclass
class _Unpacking:
    """An unpacking in progress: the paths made so far by their place in the archive, and the file names used in each."""

    origin: str
    into: Path
    wanted: Callable[[str], bool]
    owner: Callable[[str], str]
    items: dict[str, Item] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    paths: dict[tuple[str, ...], Path] = field(default_factory=dict)
    taken: dict[Path, set[str]] = field(default_factory=dict)
    size: Counter[str] = field(default_factory=Counter)
    count: Counter[str] = field(default_factory=Counter)
    over: set[str] = field(default_factory=set)
    placeholders: int = 0

    def remark(self, entry: Entry, text: str) -> None:
        self.remarks.append(f"{self.origin}: {one_line(str(entry.path), 150)} {text}")

    def add(self, entry: Entry, parts: tuple[str, ...]) -> None:
        """Writes a member. parts: its path under the class's prefix."""
        single = len(parts) == 1 and not entry.folder
        if not single:
            self._item(parts[0], self._folder(parts[:1]), True, entry.modified)
        if entry.folder:
            return
        if parts in self.paths:
            self.remark(entry, "is there twice; the first one counts")
            return
        data = self._content(entry, parts)
        if data is None:
            self.placeholders += 1
            if not single or self.placeholders > MAX_PLACEHOLDERS:
                return
        parent = self._folder(parts[:-1])
        target = parent / _name(parts[-1], self.taken.setdefault(parent, set()))
        with target.open("xb") as out:
            out.write(data or b"")
        self.paths[parts] = target
        with contextlib.suppress(OSError, OverflowError, ValueError):
            os.utime(target, (entry.modified, entry.modified))
        if single:
            self._item(parts[0], target, False, entry.modified)

    def _content(self, entry: Entry, parts: tuple[str, ...]) -> bytes | None:
        """At most one byte more than may be kept. None if nothing is: for a file that cannot matter or, with a remark, else."""
        limit, owner = self._limit(parts), self.owner(parts[0])
        if entry.fault and limit:
            self.remark(entry, entry.fault)
        if entry.fault or not limit:
            return None
        if owner in self.over:
            return None
        self.count[owner] += 1
        if self.count[owner] > files.MAX_ENTRIES or self.size[owner] >= MAX_STUDENT:
            self.over.add(owner)
            most = f"{files.MAX_ENTRIES} files or {MAX_STUDENT >> 20} MiB when unpacked"
            self.remark(entry, f"and what follows it from this student are left out: more than {most}")
            return None
        try:
            data = entry.read(limit + 1)
        except Exception as error:  # hostile archives make zipfile raise nearly anything
            self.remark(entry, f"cannot be read ({first_line(error)})")
            return None
        self.size[owner] += len(data)
        if len(data) > limit > intake.MAX_FILE:  # a module that is too large is reported where it is read
            self.remark(entry, f"is larger than {limit >> 20} MiB; it is left out")
            return None
        return data

    def _limit(self, parts: tuple[str, ...]) -> int:
        """How many bytes of a member are kept."""
        name = parts[-1].lower()
        if archives.is_archive(name):
            return MAX_ARCHIVE
        if name == metadata.NAME and len(parts) == 1:
            return metadata.MAX_BYTES
        if len(parts) == 1 and name.endswith((".csv", ".txt")):
            return MAX_TABLE
        if name.endswith(".ipynb"):
            return written.MAX_NOTEBOOK
        return intake.MAX_FILE if self.wanted(name) else 0

    def _folder(self, parts: tuple[str, ...]) -> Path:
        """The path of a folder of the archive; it is created on first use."""
        if not parts:
            return self.into
        if parts not in self.paths:
            parent = self._folder(parts[:-1])
            path = parent / _name(parts[-1], self.taken.setdefault(parent, set()))
            path.mkdir(mode=0o700)
            self.paths[parts] = path
        return self.paths[parts]

    def _item(self, name: str, path: Path, folder: bool, modified: float) -> None:
        if before := self.items.get(name):
            modified = max(modified, before.modified)
        self.items[name] = Item(name, path, folder, modified)


def _name(original: str, taken: set[str]) -> str:
    """A name for a member on this disk: its own if every system can write it, for notes and odd spellings depend on it."""
    usual = original.isprintable() and not set(original) & set('<>:"/\\|?*') and len(original.encode()) <= 150
    key = unicodedata.normalize("NFKC", original).casefold()
    if usual and key not in taken and original == original.strip(" .") and not original.startswith("-"):
        taken.add(key)
        return original
    suffix = Path(original).suffix
    keep = suffix if suffix.isascii() and suffix[1:].isalnum() else ""
    return file_name(original[: len(original) - len(keep)], taken, keep)
