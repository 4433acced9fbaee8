"""A zip of a whole class: recognised as one, and unpacked into a private folder under names of our choice.

Only modules, zips and Gradescope's metadata keep their contents; anything else becomes an empty file, so that a student who
handed in nothing else is still listed.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field
from pathlib import Path

from autograder.model.rubric import Rubric
from autograder.submissions import files, intake, metadata, names
from autograder.submissions.files import DEEP, LINK, OUTSIDE, Entry, UnusableSubmission, first_line, one_line
from autograder.support.files import file_name

MAX_MEMBERS = 50_000
MAX_ZIP = 256 << 20  # bytes of one student's zip
MAX_TOTAL = 4 << 30  # bytes written for one class
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
    """A class's entries by name, and one line for each member that is left out."""

    items: list[Item] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def class_prefix(path: Path, rubric: Rubric) -> tuple[str, ...] | None:
    """The folder in the zip at `path` that holds a class's submissions; None if it is one student's, or not a zip.

    A class has one of: Gradescope's metadata, names by Canvas or Moodle, two zips, two folders with modules, or only zips.
    """
    try:
        with files.opened_zip(path) as archive:
            found = [e for e in files.in_zip(archive, [], MAX_MEMBERS) if e.fault not in (OUTSIDE, LINK)]
    except UnusableSubmission:  # intake reports it, as a submission
        return None
    inside = [entry.path.parts for entry in found if not entry.folder]
    modules = {f"{m}.py" for m in rubric.modules}
    prefix: tuple[str, ...] = ()
    enough = 2 if any(parts[-1] in modules for parts in inside) else 1  # zips that make a class
    while inside:
        tops = {parts[0] for parts in inside}
        single = {parts[0] for parts in inside if len(parts) == 1}
        folders = {p[0] for p in inside if len(p) > 1 and (p[-1] in modules or _is_zip(p[-1]))}
        if names.platform(single, tops - single)[0]:
            return prefix
        if single & modules:
            return None
        if len(folders) >= 2 or sum(_is_zip(name) for name in single) >= enough:
            return prefix
        if len(tops) > 1 or single:
            return None
        prefix += (next(iter(tops)),)
        inside = [parts[1:] for parts in inside]
    return None


def unpack(path: Path, prefix: tuple[str, ...], into: Path) -> Unpacked:
    """Unpacks the class in the zip at `path` into the new folder `into`. Raises UnusableSubmission."""
    notes: list[str] = []
    with files.opened_zip(path) as archive:
        into.mkdir(mode=0o700)
        work = _Unpacking(path.name, into)
        depth = len(prefix) + files.MAX_DEPTH + 1
        for entry in files.in_zip(archive, notes, MAX_MEMBERS, depth):
            if entry.fault in (OUTSIDE, DEEP, LINK):
                if entry.named(".py", ".zip"):
                    work.remark(entry, entry.fault)
            elif entry.path.parts[: len(prefix)] == prefix and len(entry.path.parts) > len(prefix):
                work.add(entry, entry.path.parts[len(prefix) :])
    items = [work.items[name] for name in sorted(work.items)]
    return Unpacked(items, [f"{path.name}: {note}" for note in notes] + work.remarks)


@dataclass
class _Unpacking:
    """An unpacking in progress: the folders made so far by their path in the archive, and the file names used in each."""

    origin: str
    into: Path
    items: dict[str, Item] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    folders: dict[tuple[str, ...], Path] = field(default_factory=dict)
    taken: dict[Path, set[str]] = field(default_factory=dict)
    seen: set[tuple[str, ...]] = field(default_factory=set)
    total: int = 0
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
        if parts in self.seen:
            self.remark(entry, "is there twice; the first one counts")
            return
        self.seen.add(parts)
        data = self._content(entry, _limit(parts))
        if data is None:
            self.placeholders += 1
            if not single or self.placeholders > MAX_PLACEHOLDERS:
                return
        parent = self._folder(parts[:-1])
        suffix = Path(parts[-1]).suffix.lower()
        keep = suffix if suffix in (".py", ".zip", ".yml") else ""
        stem = parts[-1][: len(parts[-1]) - len(keep)]
        target = parent / file_name(stem, self.taken.setdefault(parent, set()), keep)
        with target.open("xb") as out:
            out.write(data or b"")
        with contextlib.suppress(OSError, OverflowError, ValueError):
            os.utime(target, (entry.modified, entry.modified))
        if single:
            self._item(parts[0], target, False, entry.modified)

    def _content(self, entry: Entry, limit: int) -> bytes | None:
        """At most `limit` + 1 bytes. None if nothing is kept: for limit 0 or, with a remark, for a fault or an oversized zip."""
        if entry.fault and limit:
            self.remark(entry, entry.fault)
        if entry.fault or not limit:
            return None
        try:
            data = entry.read(limit + 1)
        except Exception as error:  # hostile archives make zipfile raise nearly anything
            self.remark(entry, f"cannot be read ({first_line(error)})")
            return None
        self.total += len(data)
        if self.total > MAX_TOTAL:
            raise UnusableSubmission(
                f"{self.origin}: more than {MAX_TOTAL >> 30} GiB when unpacked; unpack it yourself and give the folder"
            )
        if len(data) > limit and entry.named(".zip"):
            self.remark(entry, f"is larger than {MAX_ZIP >> 20} MiB; it is left out")
            return None
        return data

    def _folder(self, parts: tuple[str, ...]) -> Path:
        """The path of a folder of the archive; it is created on first use."""
        if not parts:
            return self.into
        if parts not in self.folders:
            parent = self._folder(parts[:-1])
            path = parent / file_name(parts[-1], self.taken.setdefault(parent, set()))
            path.mkdir(mode=0o700)
            self.folders[parts] = path
        return self.folders[parts]

    def _item(self, name: str, path: Path, folder: bool, modified: float) -> None:
        if before := self.items.get(name):
            modified = max(modified, before.modified)
        self.items[name] = Item(name, path, folder, modified)


def _is_zip(name: str) -> bool:
    return name.lower().endswith(".zip")


def _limit(parts: tuple[str, ...]) -> int:
    """How many bytes of a member are kept."""
    name = parts[-1].lower()
    if _is_zip(name):
        return MAX_ZIP
    if name == metadata.NAME and len(parts) == 1:
        return metadata.MAX_BYTES
    return intake.MAX_FILE if name.endswith(".py") else 0
