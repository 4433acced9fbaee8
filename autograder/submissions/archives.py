"""Opening the archives that students hand in: which files are archives, and the entries of one.

Zips and tars (plain, or compressed by gzip, bzip2 or xz) are read, by their content rather than their ending. Other kinds
are named, with what to do. A tar is read from front to back, so what may matter of it is held in memory, within a budget.
"""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import PurePosixPath
from typing import IO, cast

from autograder.submissions.files import (
    LINK,
    MAX_DEPTH,
    MAX_ENTRIES,
    MAX_NESTED,
    MAX_SCANNED,
    Entry,
    UnusableSubmission,
    fault_of,
    first_line,
    hidden,
    in_zip,
    opened_zip,
)

TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz", ".tbz2", ".tar.xz", ".txz")
READ = (".zip", *TARS)
UNREAD = (".7z", ".rar", ".gz", ".bz2", ".xz", ".zst", ".z", ".lzh", ".ace", ".cab")
KINDS = {b"Rar!": "RAR", b"7z\xbc\xaf": "7z", b"\x28\xb5\x2f\xfd": "Zstandard"}  # by their first bytes
MAX_ARCHIVES = 20  # archives of one submission that are opened
MAX_LEVELS = 4  # archives inside archives
MAX_HELD = 256 << 20  # bytes of one submission's archives inside archives, and files of its tars
MAX_TAR = 512 << 20  # bytes of a tar, unpacked
TOO_LARGE = "is left out: the archive is too large"
INSTEAD = "unpack it and send the files, or a zip of them"


@dataclass
class Budget:
    """What may still be opened and held in memory of one submission."""

    archives: int = MAX_ARCHIVES
    held: int = MAX_HELD


def is_archive(name: str) -> bool:
    """Whether a file of this name is opened to look for modules."""
    return name.lower().endswith(READ)


def is_unread(name: str) -> bool:
    """Whether a file of this name is an archive of a kind that is not read."""
    return name.lower().endswith(UNREAD) and not is_archive(name)


def unread(path: PurePosixPath | str) -> str:
    """The note on an archive of a kind that is not read."""
    kind = PurePosixPath(path).suffix.lower().removeprefix(".")
    what = f"a {kind} archive" if kind in ("7z", "rar") else f"a file compressed as .{kind}"
    return f"{path}: {what}, which is not read; {INSTEAD}"


def without_ending(name: str) -> str:
    """An archive's name without its ending ("ana.tar.gz" gives "ana"); any other name as it is."""
    ending = max((e for e in (*READ, ".rar", ".7z") if name.lower().endswith(e)), key=len, default="")
    return name[: len(name) - len(ending)] or name


def opened(
    entry: Entry, wanted: Callable[[str], bool], notes: list[str], budget: Budget, stack: contextlib.ExitStack
) -> list[Entry]:
    """The files with a wanted name in an archive; their paths are relative to it. They can be read until `stack` is closed.

    Raises UnusableSubmission if it cannot be read.
    """
    if budget.archives <= 0:
        raise UnusableSubmission(
            f"{entry.path}: not opened, because there are more than {MAX_ARCHIVES} archives"
        )
    budget.archives -= 1
    if entry.fault:
        raise UnusableSubmission(f"{entry.path} {entry.fault}")
    start = start_of(entry)
    for magic, kind in KINDS.items():
        if start.startswith(magic):
            raise UnusableSubmission(f"{entry.path}: a {kind} archive, which is not read; {INSTEAD}")
    if is_tar(start, entry.path.name):
        return _in_tar(entry, wanted, notes, budget)
    if entry.packed:  # an archive inside another one is held in memory
        budget.held -= min(entry.size, MAX_NESTED)
        if budget.held < 0:
            raise UnusableSubmission(
                f"{entry.path}: not opened, because the archives are larger than {MAX_HELD >> 20} MiB; {INSTEAD}"
            )
    archive = stack.enter_context(opened_zip(entry))
    return [e for e in in_zip(archive, notes, wanted=wanted) if not e.folder]


def start_of(entry: Entry) -> bytes:
    """The first bytes of a file, which show its kind. Raises UnusableSubmission."""
    try:
        return entry.read(512)
    except Exception as error:  # a damaged member, or a file without read permission
        raise UnusableSubmission(
            f"{entry.path}: the archive cannot be read ({first_line(error)}); make or download it again"
        ) from None


def is_tar(start: bytes, name: str) -> bool:
    """Whether a file that starts like this is a tar, perhaps a compressed one."""
    compressed = start.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0"))
    return compressed or start[257:262] == b"ustar" or (name.lower().endswith(".tar") and start[:2] != b"PK")


class _Bounded(io.RawIOBase):
    """A stream that ends with an error after so many bytes, so that no archive unpacks without end."""

    def __init__(self, stream: IO[bytes], limit: int) -> None:
        self._stream, self._left = stream, limit

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(min(size if size >= 0 else self._left + 1, 1 << 20))
        self._left -= len(data)
        if self._left < 0:
            raise _TooLarge("it is too large when unpacked")
        return data


class _TooLarge(Exception):
    pass


def _in_tar(entry: Entry, wanted: Callable[[str], bool], notes: list[str], budget: Budget) -> list[Entry]:
    """The files of a tar, nearest first, with their contents."""
    found: list[Entry] = []
    try:
        for member in in_tar(entry, MAX_TAR):
            if not wanted(member.path.name):
                continue
            if len(found) >= MAX_ENTRIES:
                notes.append(f"{entry.path}: more than {MAX_ENTRIES} files: the last ones are skipped")
                break
            fault, data = member.fault, b""
            if not fault and member.size > min(MAX_NESTED, budget.held):
                fault = TOO_LARGE
            elif not fault:
                data = member.read(member.size)
                budget.held -= len(data)
            found.append(replace(member, open=partial(io.BytesIO, data), fault=fault))
    except UnusableSubmission as error:
        if not found:
            raise
        notes.append(str(error))
    return sorted(found, key=lambda e: len(e.path.parts))


def in_tar(entry: Entry, limit: int, depth: int = MAX_DEPTH, members: int = MAX_SCANNED) -> Iterator[Entry]:
    """The files of a tar in its order; each can be read until the next is asked for. Hidden ones are skipped.

    limit: bytes, unpacked. depth: the most parts that a path may have. members: the most files and folders.
    Raises UnusableSubmission at the point where it cannot be read any further.
    """
    try:
        with contextlib.ExitStack() as stack:
            stream = stack.enter_context(entry.open())
            unpacked = stack.enter_context(_decompressed(stream, start_of(entry)))
            bounded = cast(IO[bytes], _Bounded(unpacked, limit))
            archive = stack.enter_context(tarfile.open(fileobj=bounded, mode="r|"))
            for count, member in enumerate(archive):
                archive.members.clear()  # type: ignore[attr-defined]  # or every header stays in memory
                if count >= members:
                    raise _TooLarge("too many files")
                path = PurePosixPath(member.name)
                if member.isdir() or hidden(path):
                    continue
                fault = fault_of(member.name, depth) or ("" if member.isreg() else LINK)
                content = cast(IO[bytes], archive.extractfile(member)) if not fault else io.BytesIO()
                same = partial(_same, content)
                yield Entry(path, member.size, float(member.mtime), same, fault, packed=True)
    except Exception as error:  # hostile archives raise nearly anything
        raise UnusableSubmission(
            f"{entry.path}: the archive cannot be read to its end ({first_line(error)}); make it again, or send a zip"
        ) from None


def _same(stream: IO[bytes]) -> IO[bytes]:
    return stream


def _decompressed(stream: IO[bytes], start: bytes) -> IO[bytes]:
    if start.startswith(b"\x1f\x8b"):
        return cast(IO[bytes], gzip.open(stream))
    if start.startswith(b"BZh"):
        return cast(IO[bytes], bz2.open(stream))
    if start.startswith(b"\xfd7zXZ\0"):
        return cast(IO[bytes], lzma.open(stream))
    return stream
