"""A zip of a whole class, as it is downloaded: found out as one, and laid out in a private folder under names of our making.

Nothing is extracted by the names in the archive: members are read one by one, within bounds, and written where we say. Only
modules, zips and Gradescope's metadata keep their contents; of anything else the name alone is kept, as an empty file, so that
a student who handed in nothing else is still seen.
"""

from __future__ import annotations

import contextlib
import os
import time
import zipfile
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from autograder import intake
from autograder.classroom import metadata, names
from autograder.reports.files import file_name
from autograder.rubric import Rubric

MAX_MEMBERS = 50_000
MAX_ZIP = 256 << 20  # bytes of one student's zip
MAX_TOTAL = 4 << 30  # bytes written for one class
MAX_PLACEHOLDERS = 5000


@dataclass(frozen=True)
class Item:
    """One entry of a class's folder: its name as it was exported, and where it lies now."""

    name: str
    path: Path
    folder: bool
    modified: float


@dataclass
class Unpacked:
    """A class's entries, and one line for each member that is left out."""

    items: list[Item] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def class_prefix(path: Path, rubric: Rubric) -> tuple[str, ...] | None:
    """The folders in the zip at `path` under which a class's submissions lie; None when it is one student's, or no zip.

    A class's are: Gradescope's metadata, names of Canvas or Moodle, two zips, two folders with modules; or zips alone.
    """
    try:
        if not zipfile.is_zipfile(path) or intake.contents_size(path) > intake.MAX_CONTENTS:
            return None
        with zipfile.ZipFile(path) as archive:
            members = [parts for info in archive.infolist() if (parts := _parts(info)) and not info.is_dir()]
    except Exception:  # a damaged archive is told by intake, as a submission
        return None
    modules = {f"{m}.py" for m in rubric.modules}
    prefix: tuple[str, ...] = ()
    inside = members[:MAX_MEMBERS]
    alone = not any(parts[-1] in modules for parts in inside)  # zips alone: one is enough
    while inside:
        tops = {parts[0] for parts in inside}
        files = {parts[0] for parts in inside if len(parts) == 1}
        if metadata.NAME in files or names.canvas_names(files) or any(names.moodle(top) for top in tops):
            return prefix
        if files & modules:
            return None
        folders = {
            parts[0] for parts in inside if len(parts) > 1 and (parts[-1] in modules or _zip(parts[-1]))
        }
        if len(folders) >= 2 or sum(_zip(name) for name in files) >= 2 - alone:
            return prefix
        if len(tops) > 1 or files:
            return None
        prefix += (next(iter(tops)),)
        inside = [parts[1:] for parts in inside]
    return None


def unpack(path: Path, prefix: tuple[str, ...], into: Path) -> Unpacked:
    """Lays the class in the zip at `path` out in the new folder `into`. Raises intake.UnusableSubmission."""
    done = Unpacked()
    try:
        with zipfile.ZipFile(path) as archive:
            into.mkdir(mode=0o700)
            _lay_out(archive, path.name, prefix, into, done)
    except intake.UnusableSubmission:
        raise
    except Exception as error:  # hostile archives make zipfile raise nearly anything
        raise intake.UnusableSubmission(
            f"{path}: the zip archive cannot be read ({intake.first_line(error)}); download it again"
        ) from None
    return done


def _lay_out(
    archive: zipfile.ZipFile, origin: str, prefix: tuple[str, ...], into: Path, done: Unpacked
) -> None:
    infos = archive.infolist()
    if len(infos) > MAX_MEMBERS:
        done.remarks.append(f"{origin}: more than {MAX_MEMBERS:,} files; the rest is not looked at")
    folders: dict[tuple[str, ...], Path] = {(): into}
    taken: dict[Path, set[str]] = {}
    written: set[tuple[str, ...]] = set()
    items: dict[str, Item] = {}
    total = placeholders = 0

    def place(parts: tuple[str, ...]) -> Path:
        """Where a folder of the archive lies, made when it is first needed."""
        if parts not in folders:
            parent = place(parts[:-1])
            folders[parts] = parent / file_name(parts[-1], taken.setdefault(parent, set()))
            folders[parts].mkdir(mode=0o700)
        return folders[parts]

    for info in infos[:MAX_MEMBERS]:
        parts = _parts(info)
        if not parts or parts[: len(prefix)] != prefix or len(parts) == len(prefix):
            if parts is None and _wanted(info.filename):
                done.remarks.append(
                    f"{origin}: {_shown(info.filename)} is left out: its name points outside the archive"
                )
            continue
        inner = parts[len(prefix) :]
        if len(inner) > intake.MAX_DEPTH + 1:
            if _wanted(inner[-1]):
                done.remarks.append(f"{origin}: {_shown(info.filename)} is left out: it lies too deep")
            continue
        modified = _time(info)
        if info.is_dir():
            items.setdefault(inner[0], Item(inner[0], place(inner[:1]), True, modified))
            continue
        if inner in written:
            done.remarks.append(f"{origin}: {_shown(info.filename)} is there twice; the first one counts")
            continue
        written.add(inner)
        limit = _limit(inner)
        if limit == 0 and len(inner) > 1:
            items.setdefault(inner[0], Item(inner[0], place(inner[:1]), True, modified))
            continue
        if limit == 0 and (placeholders := placeholders + 1) > MAX_PLACEHOLDERS:
            continue
        data = b""
        if limit:
            try:
                with archive.open(info) as stream:
                    data = stream.read(limit + 1)
            except Exception as error:
                done.remarks.append(
                    f"{origin}: {_shown(info.filename)} cannot be read ({intake.first_line(error)})"
                )
            total += len(data)
            if total > MAX_TOTAL:
                raise intake.UnusableSubmission(
                    f"{origin}: more than {MAX_TOTAL >> 30} GiB when unpacked; unpack it yourself and give the folder"
                )
            if len(data) > limit and _zip(inner[-1]):
                done.remarks.append(
                    f"{origin}: {_shown(info.filename)} is larger than {MAX_ZIP >> 20} MiB; it is left out"
                )
                data = b""
        parent = place(inner[:-1])
        # The ending tells what a file is, so it is kept; modules keep their names, which are safe ones.
        stem = PurePosixPath(inner[-1])
        target = parent / _file_name(stem, taken.setdefault(parent, set()))
        with open(target, "xb") as out:
            out.write(data)
        with contextlib.suppress(OSError, OverflowError, ValueError):
            os.utime(target, (modified, modified))
        top = place(inner[:1]) if len(inner) > 1 else target
        before = items.get(inner[0])
        newest = max(modified, before.modified) if before else modified
        items[inner[0]] = Item(inner[0], top, len(inner) > 1, newest)
    done.items.extend(items[name] for name in sorted(items))


def _file_name(path: PurePosixPath, taken: set[str]) -> str:
    suffix = path.suffix.lower() if path.suffix.lower() in (".py", ".zip", ".yml") else ""
    if not suffix:
        return file_name(path.name, taken)
    # Another's name but for case, say, gets a number before its ending, so that the ending stays.
    stem, number = path.name[: -len(suffix)], 1
    while True:
        trial: set[str] = set(taken)
        wanted = f"{stem[:90]}{f'-{number}' if number > 1 else ''}{suffix}"
        name = file_name(wanted, trial)
        if name.lower().endswith(suffix):
            taken |= trial
            return name
        number += 1


def _parts(info: zipfile.ZipInfo) -> tuple[str, ...] | None:
    """A member's path; () for what is never looked at (hidden, Mac's doubles), None for one that points outside."""
    name = info.filename
    if not info.flag_bits & 0x800:  # not said to be UTF-8, but often is
        with contextlib.suppress(UnicodeError):
            name = name.encode("cp437").decode("utf-8")
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or name[1:2] == ":":
        return None
    mode = info.external_attr >> 16
    if mode & 0o170000 not in (0, 0o100000, 0o040000):  # a link or a device
        return None
    if any(p in intake.SKIPPED or p.startswith(".") for p in path.parts):
        return ()
    return tuple(path.parts)


def _wanted(name: str) -> bool:
    return name.lower().endswith((".py", ".zip"))


def _zip(name: str) -> bool:
    return name.lower().endswith(".zip")


def _limit(inner: tuple[str, ...]) -> int:
    """How many bytes of a member are kept."""
    name = inner[-1].lower()
    if _zip(name):
        return MAX_ZIP
    if name == metadata.NAME and len(inner) == 1:
        return metadata.MAX_BYTES
    return intake.MAX_FILE if name.endswith(".py") else 0


def _time(info: zipfile.ZipInfo) -> float:
    try:
        return time.mktime((*info.date_time, 0, 0, -1))
    except (ValueError, OverflowError):
        return 0.0


def _shown(name: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in name)[:150]
