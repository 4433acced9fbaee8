"""Walking a folder or a zip: its files within fixed limits, each with its path inside, its size and a way to read it.

Links are never followed, and nothing is extracted by a path from an archive: a member is read, and its reader chooses
where the bytes go. A file that must not or cannot be read is yielded with its fault, so that the caller can report it.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

MAX_ENTRIES = 5000  # files of one submission that may matter
MAX_SCANNED = 200_000  # files and folders of one submission
MAX_DEPTH = 8  # levels of folders
MAX_CONTENTS = 8 << 20  # bytes of a zip's table of contents: some 100,000 files
MAX_NESTED = 64 << 20  # bytes of a zip inside a zip, which is held in memory
ZIP_END, ZIP64_LOCATOR, ZIP64_END = 22, 20, 56  # bytes of a zip's last records
SKIPPED = {"__MACOSX", "__pycache__", "node_modules", "venv", "site-packages"}

OUTSIDE = "is left out: its name points outside the archive"
DEEP = "is left out: it is nested too deep"
LINK = "is a link or a device, which is not followed; send the file itself"
LOCKED = "is locked; make the zip again without a password"
UNUSUAL = "uses an unusual compression; make the zip again with ordinary compression"


class UnusableSubmission(Exception):
    """The path cannot be read as a submission; the text is one line that names it and says how to fix it."""


@dataclass(frozen=True)
class Entry:
    """A file in a folder or a zip.

    path: inside the folder or zip. size: bytes, as the zip or the disk states it. modified: seconds since the epoch, 0.0 if
    unknown. open: a stream of its content. fault: why it must not or cannot be read, as the end of a sentence that starts with
    its name; "" if it can. folder: True for a zip's entry of an (often empty) folder. packed: whether it is inside an archive.
    """

    path: PurePosixPath
    size: int
    modified: float
    open: Callable[[], IO[bytes]]
    fault: str = ""
    folder: bool = False
    packed: bool = False

    def read(self, limit: int) -> bytes:
        """At most `limit` bytes of the content. May raise nearly any exception when a zip is damaged."""
        with self.open() as stream:
            return stream.read(limit)

    def named(self, *suffixes: str) -> bool:
        """Whether this is a visible file whose name has one of these endings, in any case."""
        return (
            not self.folder
            and not self.path.name.startswith(".")
            and self.path.name.lower().endswith(suffixes)
        )


def file_at(path: Path) -> Entry:
    """The file at `path`, which may be a link, since whoever grades has named it. Raises OSError."""
    status = path.stat()
    return Entry(PurePosixPath(path.name), status.st_size, status.st_mtime, lambda: path.open("rb"))


def file_in(root: Path, inside: PurePosixPath) -> Entry:
    """The file at the path `inside` a folder, which must not have become a link by the time that it is read. Raises OSError."""
    status = (root / inside).lstat()
    return Entry(inside, status.st_size, status.st_mtime, partial(_opened, root, inside))


def _opened(root: Path, inside: PurePosixPath) -> IO[bytes]:
    """A file in a folder, opened through no link, even if another program puts one there meanwhile. Raises OSError."""
    if os.open not in os.supports_dir_fd:  # Windows
        return (root / inside).open("rb")
    with contextlib.ExitStack() as stack:

        def descend(part: str | Path, flags: int, **below: int) -> int:
            descriptor = os.open(part, os.O_RDONLY | flags, **below)
            stack.callback(os.close, descriptor)
            return descriptor

        folder = descend(root, os.O_DIRECTORY)
        for part in inside.parts[:-1]:
            folder = descend(part, os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
        # Without waiting: a pipe would let the reader wait for its other end.
        file = descend(inside.name, os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise OSError(errno.EINVAL, "not a file", str(inside))
        return os.fdopen(os.dup(file), "rb")


def anything(name: str) -> bool:
    """Every file is wanted."""
    return True


def in_folder(
    root: Path,
    notes: list[str],
    depth: int = MAX_SCANNED,
    wanted: Callable[[str], bool] = anything,
    limit: int = MAX_ENTRIES,
) -> Iterator[Entry]:
    """The files under `root` with a wanted name, nearest first. Hidden ones are skipped.

    notes: receives a line for each thing that is skipped. depth: how many levels are visited (1: only the folder's own files).
    limit: the most files; that of one submission, unless the folder is a class's.
    """
    scanned, found, level, visited = 0, 0, [root], 0
    while level and visited < depth:
        visited += 1
        below: list[Path] = []
        for folder in level:
            try:
                entries = sorted(os.scandir(folder), key=lambda e: e.name)
            except OSError:
                notes.append(f"{folder.name} cannot be opened; it is left out")
                continue
            for entry in entries:
                scanned += 1
                if scanned > max(MAX_SCANNED, limit):
                    notes.append(_too_many(max(MAX_SCANNED, limit)))
                    return
                if entry.name in SKIPPED or entry.name.startswith("."):
                    continue
                path = Path(entry.path)
                if entry.is_dir() and not entry.is_symlink():
                    below.append(path)
                elif entry.is_dir():
                    notes.append(
                        f"{entry.name} is a link to a folder, which is not followed; send the folder itself"
                    )
                elif wanted(entry.name):
                    found += 1
                    if found > limit:
                        notes.append(_too_many(limit))
                        return
                    inside = PurePosixPath(path.relative_to(root).as_posix())
                    if entry.is_symlink() or not entry.is_file():
                        yield Entry(inside, 0, 0.0, io.BytesIO, LINK)
                    elif len(inside.parts) > MAX_DEPTH:
                        yield Entry(inside, 0, 0.0, io.BytesIO, DEEP)
                    else:
                        yield file_in(root, inside)
        level = below


def in_zip(
    archive: zipfile.ZipFile,
    notes: list[str],
    limit: int = MAX_ENTRIES,
    depth: int = MAX_DEPTH,
    wanted: Callable[[str], bool] = anything,
) -> Iterator[Entry]:
    """The entries of an archive: its folders, then its files with a wanted name, nearest first. Hidden ones are skipped.

    notes: receives a line when there are more than `limit` files. depth: the most parts that a path may have.
    """
    members = sorted(((_name(i), i) for i in archive.infolist()), key=lambda m: m[0].count("/"))
    members = [m for m in members if m[1].is_dir() or wanted(PurePosixPath(m[0]).name)]
    folders = [m for m in members if m[1].is_dir()]
    regular = [m for m in members if not m[1].is_dir()]
    if len(regular) > limit:
        notes.append(_too_many(limit))
    for name, info in [*folders[:limit], *regular[:limit]]:
        path = PurePosixPath(name)
        if hidden(path):
            continue
        kind = stat.S_IFMT(info.external_attr >> 16)
        fault = fault_of(name, depth)
        if not fault and kind not in (0, stat.S_IFREG) and not info.is_dir():
            fault = LINK
        elif not fault and info.flag_bits & 1:
            fault = LOCKED
        elif not fault and info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            fault = UNUSUAL
        content = partial(archive.open, info)
        yield Entry(path, info.file_size, _modified(info), content, fault, info.is_dir(), packed=True)


def hidden(path: PurePosixPath) -> bool:
    """Whether an archive's member, or a folder around it, is one that is never read."""
    return not path.parts or any(p in SKIPPED or (p.startswith(".") and p != "..") for p in path.parts)


def fault_of(name: str, depth: int) -> str:
    """Why the name of an archive's member must not be used; "" if it may. depth: the most parts that a path may have."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or name[1:2] == ":":  # the last: a drive's letter
        return OUTSIDE
    return DEEP if len(path.parts) > depth else ""


@contextlib.contextmanager
def opened_zip(source: Path | Entry, contents: int = MAX_CONTENTS) -> Iterator[zipfile.ZipFile]:
    """Opens the zip at a path, or one found in a folder or an archive. Raises UnusableSubmission if it cannot be read.

    contents: the most bytes that its table of contents may have.
    """
    label = str(source) if isinstance(source, Path) else str(source.path)
    try:
        with contextlib.ExitStack() as stack:
            stream: IO[bytes] = stack.enter_context(
                source.open("rb") if isinstance(source, Path) else source.open()
            )
            if isinstance(stream, zipfile.ZipExtFile):  # every backward seek would decompress it again
                data = stream.read(MAX_NESTED + 1)
                stream = io.BytesIO(data)
                if len(data) > MAX_NESTED:
                    raise UnusableSubmission(
                        f"{label}: larger than {MAX_NESTED >> 20} MiB inside another zip; send one zip of the modules"
                    )
            if not zipfile.is_zipfile(stream):
                raise UnusableSubmission(
                    f"{label}: not a zip archive (or a damaged one); zip the folder again and send that"
                )
            if contents_size(stream) > contents:
                raise UnusableSubmission(
                    f"{label}: the zip archive lists far too many files; send one with only the modules and notebooks "
                    "(if it holds a class: unpack it and give the folder)"
                )
            yield stack.enter_context(zipfile.ZipFile(stream))
    except UnusableSubmission:
        raise
    except Exception as error:  # hostile archives make zipfile raise nearly anything
        raise UnusableSubmission(
            f"{label}: the zip archive cannot be read ({first_line(error)}); make or download it again"
        ) from None


def contents_size(stream: IO[bytes]) -> int:
    """Bytes of a zip's table of contents according to its last records (in its last 64 KiB); 0 if there are none.

    A 64-bit record takes precedence over the usual one, as it does for `zipfile`; the larger of the two counts.
    """
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - (1 << 16) - ZIP_END))
    tail = stream.read()
    place = tail.rfind(b"PK\x05\x06")
    if place < 0:
        return 0
    contents = int.from_bytes(tail[place + 12 : place + 16], "little")
    locator = tail[max(0, place - ZIP64_LOCATOR) : place]
    if not locator.startswith(b"PK\x06\x07"):
        return contents
    # The record is right before its locator, or at the place that the locator gives.
    start = size - len(tail) + place - ZIP64_LOCATOR - ZIP64_END
    for at in (start, int.from_bytes(locator[8:16], "little")):
        with contextlib.suppress(OSError, ValueError, OverflowError):
            stream.seek(at)
            record = stream.read(ZIP64_END)
            if record.startswith(b"PK\x06\x06"):
                contents = max(contents, int.from_bytes(record[40:48], "little"))
    return contents


def first_line(error: BaseException) -> str:
    """The first line of an error's text, for a message of one line."""
    return (str(error).splitlines() or [type(error).__name__])[0][:120]


def one_line(text: str, limit: int = 300) -> str:
    """An untrusted text as one line of printable characters."""
    return "".join(c if c.isprintable() else "?" for c in text)[:limit]


def _too_many(limit: int) -> str:
    return f"more than {limit} files: the most deeply nested ones are skipped"


def _name(info: zipfile.ZipInfo) -> str:
    name = info.filename
    if not info.flag_bits & 0x800:  # not marked as UTF-8, but it often is
        with contextlib.suppress(UnicodeError):
            name = name.encode("cp437").decode("utf-8")
    return name.replace("\\", "/")


def _modified(info: zipfile.ZipInfo) -> float:
    try:
        return time.mktime((*info.date_time, 0, 0, -1))
    except (ValueError, OverflowError):
        return 0.0
