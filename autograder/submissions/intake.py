"""Reading one submission: a folder or a zip becomes a few named files in memory. Nothing is executed.

The modules may be in subfolders. If there are no modules, zips inside are opened, and the one with the most modules counts.
"""

from __future__ import annotations

import codecs
import hashlib
import importlib.util
import io
import sys
import tokenize
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from autograder.model.rubric import Rubric
from autograder.submissions.files import (
    DEEP,
    MAX_DEPTH,
    OUTSIDE,
    Entry,
    file_at,
    first_line,
    in_folder,
    in_zip,
    one_line,
    opened_zip,
)
from autograder.submissions.files import UnusableSubmission as UnusableSubmission

MAX_FILE = 2 << 20  # bytes of one module
MAX_HELPERS = 20
MAX_NOTES = 20
MAX_ZIPS = 20  # zips inside a submission that are opened
RESERVED = {"autograder", "conftest", "sitecustomize", "usercustomize"}


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
    """The submission's name: the folder's, or the zip's without its ending."""
    resolved = path.resolve()
    return resolved.stem if resolved.suffix.lower() == ".zip" and not resolved.is_dir() else resolved.name


def read(path: Path, rubric: Rubric, name: str | None = None, depth: int = MAX_DEPTH) -> Submission:
    """Reads the submission at `path`: a folder, a zip, or a single module.

    depth: how many levels of a folder are visited (1: only its own files, and no zip in it).
    Raises UnusableSubmission if there is nothing to read.
    """
    name = name or name_of(path)
    notes: list[str] = []
    if not path.exists():
        raise UnusableSubmission(f"{path}: there is no such file or folder; check the spelling of the path")
    if path.is_dir():
        entries = list(in_folder(path, notes, depth))
        found = _gather(name, path.resolve().name, entries, rubric, notes)
        return found if depth == 1 else _or_nested(found, path.resolve().name, entries, rubric)
    if not path.is_file():
        raise UnusableSubmission(
            f"{path}: neither a folder nor a file; give the folder or the zip that holds the modules"
        )
    if path.suffix.lower() == ".py" and path.stem in rubric.modules:
        return _gather(name, path.name, [file_at(path, path.parent)], rubric, notes)
    with opened_zip(path) as archive:
        entries = list(in_zip(archive, notes))
        found = _gather(name, path.name, entries, rubric, notes)
        return _or_nested(found, path.name, entries, rubric)


def read_upload(folder: Path, rubric: Rubric, name: str) -> Submission:
    """The submission in a grading host's upload folder. Never raises: an unreadable upload is graded as empty, with a note."""
    try:
        found = read(folder, rubric, name)
        if any(folder.iterdir()):
            return found
        note = "The upload is empty; send your modules, or the zip that `make submit` makes."
        return empty(name, note, found.notes)
    except UnusableSubmission as error:
        return empty(name, str(error))
    except OSError as error:
        return empty(name, f"The upload cannot be read ({error.strerror}).")


def empty(name: str, note: str, notes: tuple[str, ...] = ()) -> Submission:
    """A submission without files: graded like any other, so that everyone gets a valid result. notes: come before `note`."""
    return Submission(name, {}, digest({}), (*notes, note))


def digest(files: Mapping[str, bytes]) -> str:
    """SHA-256 over names and contents, independent of the order, the packing and the folders around them."""
    whole = hashlib.sha256()
    for name in sorted(files):
        whole.update(f"{name}\0{len(files[name])}\0".encode())
        whole.update(files[name])
    return whole.hexdigest()


def _or_nested(found: Submission, origin: str, entries: Iterable[Entry], rubric: Rubric) -> Submission:
    """`found` if it holds a module, else the submission in the zip inside with the most modules (on a tie, the nearest)."""
    if found.modules(rubric):
        return found
    zips = [entry for entry in entries if entry.named(".zip") and not entry.fault][:MAX_ZIPS]
    problems: list[str] = []
    best, chosen = found, PurePosixPath()
    for entry in zips:
        notes: list[str] = []
        try:
            with opened_zip(entry) as archive:
                inner = _gather(found.name, entry.path.name, in_zip(archive, notes), rubric, notes)
        except UnusableSubmission as error:
            problems.append(str(error))
            continue
        if inner.modules(rubric) > best.modules(rubric):
            best, chosen = inner, entry.path
    if best is not found:
        others = ", ".join(str(entry.path) for entry in zips if entry.path != chosen)
        problems = [f"{origin}: {chosen} is graded; ignored: {others}"] if others else []
    return replace(best, notes=(*best.notes, *map(one_line, problems)))


def _gather(name: str, origin: str, found: Iterable[Entry], rubric: Rubric, notes: list[str]) -> Submission:
    """The submission among the files found. notes: what was skipped; more may be added while `found` is read."""
    files: dict[str, bytes] = {}
    entries = _python_files(found, notes)
    wanted = {f"{m}.py" for m in rubric.modules}
    for entry in entries:
        if entry.path.name not in wanted and (lower := entry.path.name.lower()) in wanted:
            notes.append(f"{entry.path.name} is ignored: its name must be {lower}, in lower case")
    homes = {e.path.parent for e in entries if e.path.name in wanted}
    if homes:
        # The folder with the most modules is the submission; on a tie, the one nearest to the top.
        count = {h: sum(e.path.parent == h and e.path.name in wanted for e in entries) for h in homes}
        home = min(homes, key=lambda h: (-count[h], len(h.parts), str(h)))
        if others := sorted(str(h) for h in homes - {home}):
            notes.append(f"modules in {', '.join(others[:5])} are ignored; the ones in {home} are graded")
        beside = [e for e in entries if e.path.parent == home and e.path.suffix == ".py"]
        files = _read_files(beside, wanted, rubric, notes)
    else:
        notes.append(
            f"holds none of {', '.join(f'{m}.py' for m in rubric.modules)}; give the folder that holds them"
        )
    shown = [one_line(f"{origin}: {note}") for note in notes]
    more = (f"{len(shown) - MAX_NOTES} more notes of this kind",) if len(shown) > MAX_NOTES else ()
    return Submission(name, files, digest(files), (*shown[:MAX_NOTES], *more))


def _python_files(found: Iterable[Entry], notes: list[str]) -> list[Entry]:
    """The Python files that can be read; the others are reported in `notes`."""
    entries: list[Entry] = []
    counts = {OUTSIDE: 0, DEEP: 0}
    for entry in found:
        if entry.fault in counts:
            counts[entry.fault] += not entry.folder
        elif entry.named(".py"):
            if entry.fault:
                notes.append(f"{entry.path.name} {entry.fault}")
            else:
                entries.append(entry)
    if counts[OUTSIDE]:
        notes.append(f"{counts[OUTSIDE]} files whose names point outside the archive are left out")
    if counts[DEEP]:
        notes.append(f"{counts[DEEP]} files more than {MAX_DEPTH} folders deep are left out")
    return entries


def _read_files(
    entries: Sequence[Entry], wanted: set[str], rubric: Rubric, notes: list[str]
) -> dict[str, bytes]:
    """The modules and helper modules of one folder, by name."""
    files: dict[str, bytes] = {}
    helpers = 0
    for entry in entries:
        name, stem = entry.path.name, entry.path.stem
        if stem in rubric.given:
            continue
        if name in files:
            notes.append(f"{name} is there twice; the first one is graded")
            continue
        if name not in wanted:
            if not stem.isidentifier() or _taken(stem, rubric.package):
                notes.append(f"{name} is left out: its name hides a Python package; rename it")
                continue
            helpers += 1
            if helpers > MAX_HELPERS:
                continue
        try:
            data = entry.read(MAX_FILE + 1) if entry.size <= MAX_FILE else None
        except Exception as error:  # one damaged member of a zip, or a file without read permission
            notes.append(f"{name} cannot be read ({first_line(error)}); send it again")
            continue
        if data is None or len(data) > MAX_FILE:
            notes.append(f"{name} is left out: it is larger than {MAX_FILE >> 20} MiB")
            continue
        if encoding := _not_utf8(data):
            notes.append(f"{name} is {encoding}; save it as UTF-8 text")
        files[name] = data
    if helpers > MAX_HELPERS:
        notes.append(f"more than {MAX_HELPERS} further Python files; the rest are left out")
    return files


def _not_utf8(data: bytes) -> str:
    """What a module's bytes look like if Python cannot read them as text; "" if it can."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "UTF-16 text"
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        data.decode(encoding)
    except (SyntaxError, UnicodeDecodeError, LookupError):
        return "not UTF-8 text"
    return "not text: it holds null bytes" if b"\0" in data else ""


def _taken(module: str, package: str) -> bool:
    """Whether a helper module's name would hide an installed package, the standard library, the grader or the assignment.

    package: the assignment's top-level package.
    """
    if module in sys.stdlib_module_names or module in RESERVED or module == package:
        return True
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return True
    # A file of that name in the working directory is not a package that anything else needs.
    return spec is not None and "site-packages" in str(spec.origin or spec.submodule_search_locations)
