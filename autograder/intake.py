"""Reading a submission: a folder or a zip, nested or not, becomes a few named files in memory. Nothing is executed."""

from __future__ import annotations

import codecs
import contextlib
import hashlib
import importlib.util
import io
import os
import stat
import sys
import tokenize
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from autograder.rubric import Rubric

MAX_FILE = 2 << 20  # bytes of one module
MAX_ENTRIES = 5000  # files looked at in one submission
MAX_DEPTH = 8
MAX_CONTENTS = 8 << 20  # bytes of a zip's table of contents: some 100,000 files
ZIP_END, ZIP64_LOCATOR, ZIP64_END = 22, 20, 56  # bytes of a zip's last records
MAX_HELPERS = 20
MAX_NOTES = 20
SKIPPED = {"__MACOSX", "__pycache__", "node_modules", "venv", "site-packages"}


class UnusableSubmission(Exception):
    """The path cannot be read as a submission; the text is one line that names it and the mend."""


@dataclass(frozen=True)
class Submission:
    """What is graded: modules by file name, a digest of them, and remarks for its author (one line each)."""

    name: str
    files: Mapping[str, bytes]
    sha256: str
    notes: tuple[str, ...] = ()

    def has(self, module: str) -> bool:
        return f"{module}.py" in self.files


# A file found in a folder or a zip: its path in there, its size in bytes, and how to read it.
Entry = tuple[PurePosixPath, int, Callable[[], bytes]]


def name_of(path: Path) -> str:
    """The submission's name: the folder's, or the zip's without its ending."""
    resolved = path.resolve()
    return resolved.stem if resolved.suffix.lower() == ".zip" and not resolved.is_dir() else resolved.name


def read(path: Path, rubric: Rubric, name: str | None = None, depth: int = MAX_DEPTH) -> Submission:
    """Reads the submission at `path`. Raises UnusableSubmission where there is nothing to read.

    depth: how many levels of a folder are looked at (1: its own files alone).
    """
    name = name or name_of(path)
    notes: list[str] = []
    if not path.exists():
        raise UnusableSubmission(f"{path}: there is no such file or folder; check the spelling of the path")
    if path.is_dir():
        return _gather(name, _in_folder(path, notes, depth), rubric, path.resolve().name, notes)
    if not path.is_file():
        raise UnusableSubmission(
            f"{path}: neither a folder nor a file; give the folder or the zip that holds the modules"
        )
    if path.suffix.lower() == ".py" and path.stem in rubric.modules:
        entry = (PurePosixPath(path.name), path.stat().st_size, path.read_bytes)
        return _gather(name, [entry], rubric, path.name, notes)
    if not zipfile.is_zipfile(path):
        raise UnusableSubmission(
            f"{path}: not a zip archive (or a damaged one); zip the folder again and send that"
        )
    if contents_size(path) > MAX_CONTENTS:
        raise UnusableSubmission(
            f"{path}: the zip archive lists far too many files; send one with the modules and notebooks alone"
        )
    try:
        with zipfile.ZipFile(path) as archive:
            return _gather(name, _in_zip(archive, notes), rubric, path.name, notes)
    except Exception as error:  # hostile archives make zipfile raise nearly anything
        raise UnusableSubmission(
            f"{path}: the zip archive cannot be read ({first_line(error)}); make it again"
        ) from None


def empty(name: str, note: str, notes: tuple[str, ...] = ()) -> Submission:
    """A submission of nothing: graded like any other, so that every name ends in a valid result. notes: said before `note`."""
    return Submission(name, {}, digest({}), (*notes, note))


def digest(files: Mapping[str, bytes]) -> str:
    """SHA-256 over names and contents, independent of the order, the packing and the folders around them."""
    whole = hashlib.sha256()
    for name in sorted(files):
        whole.update(f"{name}\0{len(files[name])}\0".encode())
        whole.update(files[name])
    return whole.hexdigest()


def contents_size(path: Path) -> int:
    """Bytes of a zip's table of contents, as its last records say (they stand in its last 64 KiB); 0 where there are none.

    A 64-bit record goes before the usual one where there is one, as it does for `zipfile`; the larger of the two counts.
    """
    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - (1 << 16) - ZIP_END))
        tail = stream.read()
        place = tail.rfind(b"PK\x05\x06")
        if place < 0:
            return 0
        size = int.from_bytes(tail[place + 12 : place + 16], "little")
        locator = tail[max(0, place - ZIP64_LOCATOR) : place]
        if not locator.startswith(b"PK\x06\x07"):
            return size
        # Where the record stands: right before its locator, or where the locator says.
        start = path.stat().st_size - len(tail) + place - ZIP64_LOCATOR - ZIP64_END
        for at in (start, int.from_bytes(locator[8:16], "little")):
            with contextlib.suppress(OSError, ValueError, OverflowError):
                stream.seek(at)
                record = stream.read(ZIP64_END)
                if record.startswith(b"PK\x06\x06"):
                    size = max(size, int.from_bytes(record[40:48], "little"))
        return size


def _in_folder(root: Path, notes: list[str], depth: int = MAX_DEPTH) -> Iterator[Entry]:
    """Regular files under `root`, never through a link; nearest first. What is left out is told in `notes`."""
    count = 0
    level = [root]
    for _ in range(depth):
        following: list[Path] = []
        for folder in level:
            try:
                entries = sorted(os.scandir(folder), key=lambda e: e.name)
            except OSError:
                notes.append(f"{folder.name} cannot be opened; it is left out")
                continue
            for entry in entries:
                count += 1
                if count > MAX_ENTRIES:
                    notes.append(
                        f"more than {MAX_ENTRIES} files: the ones that lie deepest are not looked at"
                    )
                    return
                if entry.is_symlink():
                    if entry.name.endswith(".py"):
                        notes.append(f"{entry.name} is a link, which is not followed; send the file itself")
                elif entry.is_dir():
                    if entry.name not in SKIPPED and not entry.name.startswith("."):
                        following.append(Path(entry.path))
                elif entry.is_file():
                    path = Path(entry.path)
                    size = entry.stat().st_size
                    yield PurePosixPath(path.relative_to(root).as_posix()), size, path.read_bytes
        level = following
    if level and depth == MAX_DEPTH:
        notes.append(f"folders more than {MAX_DEPTH} deep are not looked at")


def _in_zip(archive: zipfile.ZipFile, notes: list[str]) -> Iterator[Entry]:
    """Regular files of the archive. They are read by us, never extracted: a path in there can name no place on disk."""
    infos = [i for i in archive.infolist() if not i.is_dir()]
    infos.sort(key=lambda i: i.filename.count("/"))
    if len(infos) > MAX_ENTRIES:
        notes.append(f"more than {MAX_ENTRIES} files: the ones that lie deepest are not looked at")
    outside = deep = 0
    for info in infos[:MAX_ENTRIES]:
        path = PurePosixPath(info.filename.replace("\\", "/"))
        mode = info.external_attr >> 16
        if any(p in SKIPPED or (p.startswith(".") and p != "..") for p in path.parts):
            continue
        if (
            path.is_absolute() or ".." in path.parts or info.filename[1:2] == ":"
        ):  # the last: a drive's letter
            outside += 1
        elif len(path.parts) > MAX_DEPTH:
            deep += 1
        elif mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG):
            if path.suffix == ".py":
                notes.append(
                    f"{path.name} is a link or a device, which is not followed; send the file itself"
                )
        elif info.flag_bits & 1:
            if path.suffix == ".py":
                notes.append(f"{path.name} is locked; make the zip again without a password")
        elif info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            if path.suffix == ".py":
                notes.append(
                    f"{path.name} is packed in an unusual way; make the zip again with ordinary compression"
                )
        else:
            yield path, info.file_size, _Member(archive, info)
    if outside:
        notes.append(f"{outside} files whose names point outside the archive are left out")
    if deep:
        notes.append(f"{deep} files more than {MAX_DEPTH} folders deep are left out")


@dataclass(frozen=True)
class _Member:
    archive: zipfile.ZipFile
    info: zipfile.ZipInfo

    def __call__(self) -> bytes:
        with self.archive.open(self.info) as stream:
            return stream.read(MAX_FILE + 1)


def _gather(name: str, found: Iterable[Entry], rubric: Rubric, origin: str, notes: list[str]) -> Submission:
    """The submission among the files found. notes: what has been left out so far (more may come while `found` is read)."""
    entries = [(p, size, read) for p, size, read in found if p.suffix.lower() == ".py"]
    wanted = {f"{m}.py" for m in rubric.modules}
    for path, _, _ in entries:
        if path.name not in wanted and path.name.lower() in wanted:
            notes.append(
                f"{path.name} is not looked at: its name must be {path.name.lower()}, in small letters"
            )
    homes = {p.parent for p, _, _ in entries if p.name in wanted}
    if not homes:
        notes.append(
            f"holds none of {', '.join(f'{m}.py' for m in rubric.modules)}; give the folder that holds them"
        )
        return Submission(name, {}, digest({}), _told(origin, notes))
    # The folder with most of the modules is the submission; of equals, the nearest to the top.
    home = min(
        homes,
        key=lambda h: (-sum(p.parent == h and p.name in wanted for p, _, _ in entries), len(h.parts), str(h)),
    )
    others = sorted(str(h) for h in homes - {home})
    if others:
        notes.append(f"modules in {', '.join(others[:5])} are ignored; the ones in {home} are graded")
    files: dict[str, bytes] = {}
    helpers = 0
    for path, size, reader in entries:
        if (
            path.parent != home
            or path.suffix != ".py"
            or path.stem in rubric.given
            or path.name.startswith(".")
        ):
            continue
        if path.name in files:
            notes.append(f"{path.name} is there twice; the first one is graded")
            continue
        if path.name not in wanted:
            if not path.stem.isidentifier() or _taken(path.stem):
                notes.append(f"{path.name} is left out: its name hides a Python package; give it another")
                continue
            helpers += 1
            if helpers > MAX_HELPERS:
                continue
        try:
            data = reader() if size <= MAX_FILE else None
        except Exception as error:  # one damaged member of a zip, or a file that may not be read
            notes.append(f"{path.name} cannot be read ({first_line(error)}); send it again")
            continue
        if data is None or len(data) > MAX_FILE:
            notes.append(f"{path.name} is left out: it is larger than {MAX_FILE >> 20} MiB")
            continue
        if encoding := _not_utf8(data):
            notes.append(f"{path.name} is {encoding}; save it as UTF-8 text")
        files[path.name] = data
    if helpers > MAX_HELPERS:
        notes.append(f"more than {MAX_HELPERS} further Python files; the rest of them are left out")
    return Submission(name, files, digest(files), _told(origin, notes))


def _told(origin: str, notes: Iterable[str]) -> tuple[str, ...]:
    """The remarks, each with the name of what it is about, in characters that can be shown anywhere; not more than a page."""
    told = ["".join(c if c.isprintable() else "?" for c in f"{origin}: {note}")[:300] for note in notes]
    return tuple(told[:MAX_NOTES]) + (
        (f"{len(told) - MAX_NOTES} more remarks of this kind",) if len(told) > MAX_NOTES else ()
    )


def _not_utf8(data: bytes) -> str:
    """What a module's bytes look like when Python will not read them as text; "" when it will."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "UTF-16 text"
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        data.decode(encoding)
    except (SyntaxError, UnicodeDecodeError, LookupError):
        return "not UTF-8 text"
    return "no text: it holds null bytes" if b"\0" in data else ""


def _taken(module: str) -> bool:
    """True when a helper module's name would hide an installed package, the standard library or the grader."""
    if module in sys.stdlib_module_names or module in (
        "probes",
        "autograder",
        "conftest",
        "sitecustomize",
        "usercustomize",
    ):
        return True
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return True
    # A file of that name in the working directory is no package that anything else needs.
    return spec is not None and "site-packages" in str(spec.origin or spec.submodule_search_locations)


def first_line(error: BaseException) -> str:
    """The first line of an error's text, for a message of one line."""
    return (str(error).splitlines() or [type(error).__name__])[0][:120]
