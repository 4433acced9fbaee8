"""Which of an upload's files are its modules: wherever they are, and however their names came to be spelled.

Modules in several folders belong together. If there are several files for one module, the folder with the most modules is
preferred, on a tie the one nearest to the top, then the last in order of names. Notes say what was taken from where.
"""

from __future__ import annotations

import codecs
import importlib.util
import io
import sys
import tokenize
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from autograder.model.rubric import Rubric
from autograder.submissions.archives import is_archive
from autograder.submissions.files import DEEP, MAX_DEPTH, OUTSIDE, Entry, first_line
from autograder.submissions.spelling import module_of, natural

MAX_FILE = 2 << 20  # bytes of one module
MAX_HELPERS = 20
MAX_COMPARED = 50  # further files of a module's name that are compared with the one that is taken
RESERVED = {"autograder", "conftest", "sitecustomize", "usercustomize"}

Home = PurePosixPath


@dataclass
class Modules:
    """The modules found so far. files: their contents, by name; places: the file that each was taken from."""

    rubric: Rubric
    notes: list[str]
    files: dict[str, bytes] = field(default_factory=dict)
    places: dict[str, PurePosixPath] = field(default_factory=dict)
    _ignored: dict[PurePosixPath, PurePosixPath] = field(default_factory=dict)
    _compared: int = 0
    _helpers: int = 0

    @property
    def missing(self) -> list[str]:
        return [m for m in self.rubric.modules if f"{m}.py" not in self.files]

    def add(self, found: Iterable[Entry]) -> None:
        """Takes the modules that are still missing, and the helper modules beside them, from further files."""
        homes: dict[Home, list[Entry]] = {}
        for entry in self._readable(found):
            homes.setdefault(entry.path.parent, []).append(entry)
        holds = {home: self._held(entries) for home, entries in homes.items()}
        order = sorted((h for h in homes if holds[h]), key=lambda h: natural(str(h)), reverse=True)
        for home in sorted(order, key=lambda h: (-len(holds[h]), len(h.parts))):
            before = len(self.places)
            spare: list[Entry] = []
            for name, candidates in holds[home].items():
                spare += self._take(name, candidates)
            if len(self.places) > before:
                beside = [e for e in homes[home] if not module_of(e.path.name, self.rubric.modules)]
                self._take_helpers([*beside, *spare])

    def report(self) -> None:
        """Adds the notes on what was taken from where, and on what was not."""
        homes: dict[Home, list[str]] = {}
        for name in sorted(self.places):
            homes.setdefault(self.places[name].parent, []).append(name)
        if len(homes) > 1:
            parts = [f"{', '.join(names)} from {_shown(home)}" for home, names in homes.items()]
            self.notes.append(f"modules are taken from several places: {'; '.join(parts)}")
        elif any(is_archive(part) for home in homes for part in home.parts):
            self.notes.append(f"modules are taken from {next(iter(homes))}")
        for name, place in sorted(self.places.items()):
            if unicodedata.normalize("NFKC", place.name) != name:
                self.notes.append(f"{place} is read as {name}; rename it to {name}")
        by_home: dict[tuple[Home, Home], list[str]] = {}
        for place, taken in self._ignored.items():
            if place.parent == taken.parent:
                self.notes.append(f"{place} is ignored; {taken} is graded")
            else:
                by_home.setdefault((place.parent, taken.parent), []).append(place.name)
        for (home, other), names in list(by_home.items())[:MAX_COMPARED]:
            self.notes.append(
                f"{', '.join(sorted(names))} in {_shown(home)} {'is' if len(names) == 1 else 'are'} ignored; "
                f"{'the one' if len(names) == 1 else 'the ones'} in {_shown(other)} "
                f"{'is' if len(names) == 1 else 'are'} graded"
            )
        if self._helpers > MAX_HELPERS:
            self.notes.append(f"more than {MAX_HELPERS} further Python files; the rest are left out")

    def _readable(self, found: Iterable[Entry]) -> list[Entry]:
        """The Python files that can be read; the others are reported."""
        entries: list[Entry] = []
        counts = {OUTSIDE: 0, DEEP: 0}
        for entry in found:
            if entry.named(".py") or (not entry.folder and module_of(entry.path.name, self.rubric.modules)):
                if entry.fault in counts:
                    counts[entry.fault] += 1
                elif entry.fault:
                    self.notes.append(f"{entry.path} {entry.fault}")
                else:
                    entries.append(entry)
        if counts[OUTSIDE]:
            self.notes.append(f"{counts[OUTSIDE]} files whose names point outside the archive are left out")
        if counts[DEEP]:
            self.notes.append(f"{counts[DEEP]} files more than {MAX_DEPTH} folders deep are left out")
        return entries

    def _held(self, entries: Sequence[Entry]) -> dict[str, list[Entry]]:
        """By the name of a module, the files of one folder that may be it: the one with its own name first, then the last."""
        held: dict[str, list[Entry]] = {}
        for entry in sorted(entries, key=lambda e: natural(e.path.name), reverse=True):
            if module := module_of(entry.path.name, self.rubric.modules):
                held.setdefault(f"{module}.py", []).append(entry)
        return {name: sorted(some, key=lambda e: e.path.name != name) for name, some in held.items()}

    def _take(self, name: str, candidates: Sequence[Entry]) -> list[Entry]:
        """Takes the first file that can be read, unless the module is there. Returns files that are helpers after all."""
        spare = []
        for entry in candidates:
            own = name in self.files and self.places[name].parent == entry.path.parent
            if own and entry.path.name != name and entry.path.stem.isidentifier():
                spare.append(entry)  # MODEL.py beside model.py
                continue
            if name in self.files:
                self._compare(entry, name)
                continue
            data = self._content(entry)
            if data is not None:
                self.files[name], self.places[name] = data, entry.path
        return spare

    def _compare(self, entry: Entry, name: str) -> None:
        """Notes a further file of a module's name, unless it has the same content."""
        taken = self.files[name]
        if entry.path == self.places[name]:
            self.notes.append(f"{entry.path} is there twice; the first one is graded")
            return
        self._compared += 1
        if self._compared <= MAX_COMPARED and entry.size == len(taken):
            try:
                if entry.read(len(taken) + 1) == taken:
                    return
            except Exception:  # a damaged member: it is not what is graded, which the note says
                pass
        if self._compared <= MAX_COMPARED:
            self._ignored[entry.path] = self.places[name]

    def _take_helpers(self, entries: Sequence[Entry]) -> None:
        """Takes the further Python files of a folder that modules were taken from."""
        for entry in sorted(entries, key=lambda e: e.path.name):
            # Python looks for a module under the composed form of its name; macOS writes the decomposed one.
            name = unicodedata.normalize("NFKC", entry.path.name)
            stem = PurePosixPath(name).stem
            if stem in self.rubric.given or entry.path.suffix != ".py":
                continue
            if name in self.files:
                self._compare(entry, name)
                continue
            if not stem.isidentifier():
                self.notes.append(f"{entry.path} is left out: no module can have this name; rename it")
                continue
            if _taken(stem, self.rubric.package):
                self.notes.append(f"{entry.path} is left out: its name hides a Python package; rename it")
                continue
            self._helpers += 1
            if self._helpers <= MAX_HELPERS and (data := self._content(entry)) is not None:
                self.files[name], self.places[name] = data, entry.path

    def _content(self, entry: Entry) -> bytes | None:
        """A module's bytes; None, with a note, if there is nothing to grade."""
        try:
            data = entry.read(MAX_FILE + 1) if entry.size <= MAX_FILE else None
        except Exception as error:  # one damaged member of a zip, or a file without read permission
            self.notes.append(f"{entry.path} cannot be read ({first_line(error)}); send it again")
            return None
        if data is None or len(data) > MAX_FILE:
            self.notes.append(f"{entry.path} is left out: it is larger than {MAX_FILE >> 20} MiB")
            return None
        if fault := text_fault(data):
            self.notes.append(f"{entry.path} is {fault}; save it as UTF-8 text")
        return data


def _shown(home: Home) -> str:
    return str(home) if home.parts else "the upload's top folder"


def text_fault(data: bytes) -> str:
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
    where = "" if spec is None else str(spec.origin or spec.submodule_search_locations)
    return "site-packages" in where or "dist-packages" in where  # Debian's own packages are in the latter
