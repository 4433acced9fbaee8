"""Reading a submission: a folder or a zip, nested or not, becomes a few named files in memory. Nothing is executed."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import stat
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from autograder.rubric import Rubric

MAX_FILE = 2 << 20  # bytes of one module
MAX_ENTRIES = 5000  # files looked at in one submission
MAX_DEPTH = 8
MAX_HELPERS = 20
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


def read(path: Path, rubric: Rubric, name: str | None = None) -> Submission:
    """Reads the submission at `path`. Raises UnusableSubmission where there is nothing to read."""
    name = name or name_of(path)
    if not path.exists():
        raise UnusableSubmission(f"{path}: there is no such file or folder; check the spelling of the path")
    if path.is_dir():
        return _gather(name, _in_folder(path), rubric, str(path))
    if path.suffix.lower() == ".py" and path.stem in rubric.modules:
        return _gather(
            name, [(PurePosixPath(path.name), path.stat().st_size, path.read_bytes)], rubric, str(path)
        )
    if not zipfile.is_zipfile(path):
        raise UnusableSubmission(
            f"{path}: not a zip archive (or a damaged one); zip the folder again and send that"
        )
    try:
        with zipfile.ZipFile(path) as archive:
            return _gather(name, _in_zip(archive), rubric, str(path))
    except (
        zipfile.BadZipFile,
        zipfile.LargeZipFile,
        NotImplementedError,
        RuntimeError,
        OSError,
        EOFError,
    ) as error:
        raise UnusableSubmission(
            f"{path}: the zip archive cannot be read ({_line(error)}); make it again without a password"
        ) from None


def empty(name: str, note: str) -> Submission:
    """A submission of nothing: graded like any other, so that every name ends in a valid result."""
    return Submission(name, {}, digest({}), (note,))


def digest(files: Mapping[str, bytes]) -> str:
    """SHA-256 over names and contents, independent of the order, the packing and the folders around them."""
    whole = hashlib.sha256()
    for name in sorted(files):
        whole.update(f"{name}\0{len(files[name])}\0".encode())
        whole.update(files[name])
    return whole.hexdigest()


def _in_folder(root: Path) -> Iterator[Entry]:
    """Regular files under `root`, never through a link; nearest first."""
    count = 0
    level = [root]
    for _ in range(MAX_DEPTH):
        following: list[Path] = []
        for folder in level:
            try:
                entries = sorted(os.scandir(folder), key=lambda e: e.name)
            except OSError:
                continue
            for entry in entries:
                count += 1
                if count > MAX_ENTRIES:
                    return
                if entry.is_symlink():
                    continue
                if entry.is_dir():
                    if entry.name not in SKIPPED and not entry.name.startswith("."):
                        following.append(Path(entry.path))
                elif entry.is_file():
                    path = Path(entry.path)
                    yield (
                        PurePosixPath(path.relative_to(root).as_posix()),
                        entry.stat().st_size,
                        path.read_bytes,
                    )
        level = following


def _in_zip(archive: zipfile.ZipFile) -> Iterator[Entry]:
    """Regular files of the archive. They are read by us, never extracted: a path in there can name no place on disk."""
    infos = [i for i in archive.infolist()[: 4 * MAX_ENTRIES] if not i.is_dir()]
    infos.sort(key=lambda i: i.filename.count("/"))
    for info in infos[:MAX_ENTRIES]:
        mode = info.external_attr >> 16
        if mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG):
            continue
        path = PurePosixPath(info.filename.replace("\\", "/"))
        if len(path.parts) > MAX_DEPTH or any(p in SKIPPED or p.startswith(".") for p in path.parts):
            continue
        yield path, info.file_size, _Member(archive, info)


@dataclass(frozen=True)
class _Member:
    archive: zipfile.ZipFile
    info: zipfile.ZipInfo

    def __call__(self) -> bytes:
        with self.archive.open(self.info) as stream:
            return stream.read(MAX_FILE + 1)


def _gather(name: str, found: Iterable[Entry], rubric: Rubric, origin: str) -> Submission:
    entries = [(p, size, read) for p, size, read in found if p.suffix == ".py" or p.name in rubric.notebooks]
    wanted = {f"{m}.py" for m in rubric.modules}
    homes = {p.parent for p, _, _ in entries if p.name in wanted}
    if not homes:
        found_nothing = f"{origin}: holds none of {', '.join(f'{m}.py' for m in rubric.modules)}"
        return Submission(name, {}, digest({}), (f"{found_nothing}; give the folder that holds them",))
    notes: list[str] = []
    # The folder with most of the modules is the submission; of equals, the nearest to the top.
    home = min(
        homes,
        key=lambda h: (-sum(p.parent == h and p.name in wanted for p, _, _ in entries), len(h.parts), str(h)),
    )
    others = sorted(str(h) for h in homes - {home})
    if others:
        notes.append(
            f"{origin}: modules in {', '.join(others[:5])} are ignored; the ones in {home} are graded"
        )
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
            notes.append(f"{origin}: {path.name} is there twice; the first one is graded")
            continue
        if path.name not in wanted:
            if not path.stem.isidentifier() or _taken(path.stem):
                notes.append(
                    f"{origin}: {path.name} is left out: its name hides a Python package; give it another"
                )
                continue
            helpers += 1
            if helpers > MAX_HELPERS:
                continue
        data = reader() if size <= MAX_FILE else None
        if data is None or len(data) > MAX_FILE:
            notes.append(f"{origin}: {path.name} is left out: it is larger than {MAX_FILE >> 20} MiB")
            continue
        files[path.name] = data
    if helpers > MAX_HELPERS:
        notes.append(f"{origin}: more than {MAX_HELPERS} further Python files; the rest of them are left out")
    return Submission(name, files, digest(files), tuple(notes))


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


def submissions_in(path: Path, rubric: Rubric) -> list[Path]:
    """The submissions that `path` stands for: itself, or the folders and zips in it when it holds no module itself.

    Raises UnusableSubmission when the path is not there.
    """
    if not path.exists():
        raise UnusableSubmission(f"{path}: there is no such file or folder; check the spelling of the path")
    if not path.is_dir() or any((path / f"{m}.py").is_file() for m in rubric.modules):
        return [path]
    inside = sorted(
        p
        for p in path.iterdir()
        if not p.name.startswith(".") and p.name not in SKIPPED and (p.is_dir() or p.suffix.lower() == ".zip")
    )
    return inside or [path]


def _line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:120]
