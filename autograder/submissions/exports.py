"""A class's submissions as they are downloaded: which layout a folder or archive has, and the uploads in it.

Layouts, each as a folder or as the archive that was downloaded:
- Gradescope's "Export Submissions": folders next to `submission_metadata.yml` (see `metadata`);
- the bulk downloads of other platforms, recognised by their file names (see `names`);
- a folder of folders and archives, one per student;
- anything else, with a table of files and students.

Everything found belongs to one upload or is named in a remark; nothing is dropped silently, and nothing is executed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice
from pathlib import Path, PurePosixPath

from autograder.model.rubric import Rubric
from autograder.model.student import Student
from autograder.submissions import archives, files, intake, metadata, names, staging
from autograder.submissions.layout import Known, Layout, layout, nobody
from autograder.submissions.names import ParsedName
from autograder.submissions.spelling import below, graders, module_of
from autograder.submissions.staging import Part, TempStore
from autograder.submissions.unpack import MAX_MEMBERS, Item, listing, unpack

# Endings of files that a student may have handed in, for files outside every student's folder.
HANDED_IN = (".py", ".ipynb", *archives.READ, *archives.UNREAD)
MAX_DESCENT = 3
MAX_DATED = 500  # files of an upload whose times are compared
LAYOUTS = {
    "gradescope": "a Gradescope export",
    "canvas": "a Canvas download",
    "moodle": "a Moodle download",
    "blackboard": "a Blackboard download",
    "brightspace": "a Brightspace download",
    "google": "a Google Classroom folder",
    "github": "GitHub Classroom's repositories",
    "map": "files and their students",
    "zip": "an archive of a class",
    "folder": "a folder of submissions",
    "one": "one submission",
}


@dataclass(frozen=True)
class Upload:
    """What one student, or one group, handed in once.

    students: those the export names; empty if only the label is known.
    label: the export's own name for it; also: further names that may be the student's, such as a folder's around it.
    key: the same for all uploads of one student in this layout; number: the platform's number or code of the student.
    submitted_at: None if the export does not state it. late: the export's own mark; None if it has none.
    order: of two uploads of one student, the later has the greater value; modified: the time of the newest file, in seconds.
    """

    layout: str
    label: str
    key: str
    path: Path
    students: tuple[Student, ...] = ()
    submitted_at: datetime | None = None
    late: bool | None = None
    order: tuple[int, ...] = ()
    modified: float = 0.0
    notes: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    number: str = ""


@dataclass
class Found:
    """The uploads of one path, its layout, and one line for each thing that is left out or unusual.

    tables: CSV files beside the uploads, which may name their students. mapped: the rows of a table of files that were used.
    """

    layout: str
    uploads: list[Upload] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    tables: list[Path] = field(default_factory=list)
    mapped: set[str] = field(default_factory=set)


def find(
    path: Path, rubric: Rubric, store: TempStore, known: Known = nobody, out: Path | None = None
) -> Found:
    """The uploads that `path` holds; what must be unpacked goes into `store`.

    known: whether a name is a student's. out: the folder for results, which is no upload where it lies in `path`.
    Raises intake.UnusableSubmission if the path does not exist or cannot be read.
    """
    if not path.exists():
        raise intake.UnusableSubmission(
            f"{path}: there is no such file or folder; check the spelling of the path"
        )
    try:
        return (
            _in_folder(path, rubric, store, known, out)
            if path.is_dir()
            else _in_file(path, rubric, store, known)
        )
    except OSError as error:
        if error.filename and Path(error.filename).is_relative_to(store.root):
            raise
        raise intake.UnusableSubmission(f"{path}: cannot be opened ({error.strerror})") from None


def _in_file(path: Path, rubric: Rubric, store: TempStore, known: Known) -> Found:
    outer = intake.name_of(path)
    inside: list[files.Entry] = []
    with suppress(intake.UnusableSubmission):  # it is reported where submissions are read
        if path.is_file():
            inside = listing(path)

    def peek(parts: tuple[str, ...]) -> set[str]:
        with suppress(intake.UnusableSubmission, OSError), ExitStack() as stack:
            whole = files.file_at(path)
            held = archives.opened(whole, archives.is_archive, [], archives.Budget(), stack)
            return next((_modules_in(e, rubric) for e in held if e.path.parts == parts), set())
        return set()

    roots = graders((e.path.parts for e in inside), rubric)
    paths = [e.path.parts for e in inside if not below(e.path.parts, roots)]
    shape = layout(paths, outer, rubric, known, peek, descend=True)
    if shape.prefix is None:
        return _one(path, shape, [str(p[-1]) for p in paths if archives.is_archive(p[-1])])
    top = len(shape.prefix)
    singles = {p[top] for p in paths if p[:top] == shape.prefix and len(p) == top + 1}
    tops = {p[top] for p in paths if p[:top] == shape.prefix and len(p) > top}
    parsed = names.platform(singles, tops - singles, (outer, *shape.prefix)[-1])[1]
    unpacked = unpack(
        path, shape.prefix, store.place(), rubric, lambda name: parsed[name].user if name in parsed else name
    )
    found = _Export(path, rubric, store, (outer, *shape.prefix)[-1]).sort(unpacked.items)
    found.remarks[:0] = unpacked.remarks
    return replace(found, layout="zip") if found.layout == "folder" else found


def _in_folder(path: Path, rubric: Rubric, store: TempStore, known: Known, out: Path | None) -> Found:
    outer = intake.name_of(path)
    ours = out.resolve() if out else None
    entries = files.in_folder(path, [], limit=MAX_MEMBERS)
    everything = [e.path.parts for e in entries if not e.fault and (path / e.path.parts[0]).resolve() != ours]
    roots = graders(everything, rubric)
    inside = [parts for parts in everything if not below(parts, roots)]
    # What was handed out, as a whole, is one student's.
    handed_out = any(len(root) == 1 for root in roots)

    def peek(parts: tuple[str, ...]) -> set[str]:
        return _modules_in(files.file_in(path, PurePosixPath(*parts)), rubric)

    shape = layout(inside, outer, rubric, known, peek, descend=False)
    items = [item for item in _items_in(path) if item.path.resolve() != ours]
    module = any(module_of(i.name, rubric.modules) for i in items if not i.folder)
    if shape.prefix is None and (module or shape.remark or handed_out or known(outer)):
        return _one(path, shape, [i.name for i in items])
    for _ in range(MAX_DESCENT):  # a download unpacked into a folder of its own
        if len(items) != 1 or not items[0].folder or _platform(items, outer)[0]:
            break
        inner = _items_in(items[0].path)
        if not _platform(inner, items[0].name)[0]:
            break
        items, outer = inner, items[0].name
    found = _Export(path, rubric, store, outer).sort(items)
    if len(found.uploads) == 1 and found.layout == "folder":
        found.uploads = [replace(found.uploads[0], also=(outer,))]
    if found.uploads or found.layout != "folder":
        return found
    return Found("one", [_single(path)], found.remarks)


def _one(path: Path, shape: Layout, inner: Sequence[str]) -> Found:
    """One submission. inner: names in it that may be the student's."""
    also = tuple(archives.without_ending(name) for name in inner[:1]) if len(inner) == 1 else ()
    return Found(
        "one", [replace(_single(path), also=also)], [f"{path}: {shape.remark}"] if shape.remark else []
    )


def _modules_in(entry: files.Entry, rubric: Rubric) -> set[str]:
    """The modules in an archive, by its files' names."""
    with suppress(intake.UnusableSubmission, OSError), ExitStack() as stack:
        found = archives.opened(entry, intake.wanted(rubric), [], archives.Budget(), stack)
        return {module for e in found if (module := module_of(e.path.name, rubric.modules))}
    return set()


def find_mapped(path: Path, rows: Mapping[str, str], rubric: Rubric, store: TempStore) -> Found:
    """The uploads at `path` according to a table. rows: by file or folder, relative to `path`, the student.

    Raises intake.UnusableSubmission if the path does not exist or cannot be read.
    """
    if not path.exists():
        raise intake.UnusableSubmission(
            f"{path}: there is no such file or folder; check the spelling of the path"
        )
    found, paths = Found("map"), dict[tuple[str, ...], Path]()
    if path.is_dir():
        entries = [e for e in files.in_folder(path, found.remarks, limit=MAX_MEMBERS) if not e.fault]
        paths = {parent.parts: path / parent for e in entries for parent in (e.path, *e.path.parents)}
    else:
        unpacked = unpack(path, (), store.place(), rubric)
        paths, found.remarks = unpacked.paths, unpacked.remarks
    theirs: dict[str, list[Part]] = {}
    renamed: dict[str, list[str]] = {}
    used: set[tuple[str, ...]] = set()
    for name, student in rows.items():
        parts = PurePosixPath(name.replace("\\", "/")).parts
        parts = (
            parts
            if parts in paths
            else parts[1:]
            if parts[:1] in ((path.name,), (intake.name_of(path),))
            else ()
        )
        if parts in paths and parts:
            place = paths[parts]
            original = parts[-1] if place.is_dir() else _own_name(parts[-1], rubric)
            if original != parts[-1]:
                renamed.setdefault(student, []).append(f"{parts[-1]} is read as {original}")
            theirs.setdefault(student, []).append(Part(original, place, place.is_dir()))
            used.add(parts)
            found.mapped.add(name)
    for student, some in theirs.items():
        staged = staging.stage(some, rubric, store)
        modified = max(_newest(part.path) for part in some)
        notes = (*renamed.get(student, ()), *staged.notes)
        found.uploads.append(
            Upload("map", student, f"map:{student}", staged.path, modified=modified, notes=notes)
        )
    for parts, place in paths.items():
        covered = any(parts[:n] in used for n in range(1, len(parts) + 1))
        if not covered and parts and not place.is_dir() and parts[-1].lower().endswith(HANDED_IN):
            found.remarks.append(f"{path}: {'/'.join(parts)} is not in the table of files; it is left out")
    return found


def _own_name(name: str, rubric: Rubric) -> str:
    """A file's name without what a platform wrote before it ("ana_12_model.py"), if a module's name is at its end."""
    ends = [
        f"{module}.py" for module in rubric.modules if re.search(rf"[-_ .]{re.escape(module)}\.py$", name)
    ]
    return name if module_of(name, rubric.modules) or not ends else max(ends, key=len)


def _single(path: Path) -> Upload:
    return Upload("one", intake.name_of(path), f"one:{path.resolve()}", path, modified=_newest(path))


def _items_in(folder: Path) -> list[Item]:
    return [
        Item(entry.name, Path(entry.path), entry.is_dir(), _newest(Path(entry.path)))
        for entry in sorted(os.scandir(folder), key=lambda e: e.name)
        if not entry.name.startswith(".") and entry.name not in files.SKIPPED
    ]


def _newest(path: Path) -> float:
    """When the newest of a folder's first files (or the file itself) was last written; 0.0 if unknown."""
    try:
        if not path.is_dir():
            return path.stat().st_mtime
        return max((e.modified for e in islice(files.in_folder(path, []), MAX_DATED)), default=0.0)
    except OSError:
        return 0.0


def _platform(items: Sequence[Item], outer: str) -> tuple[str, dict[str, ParsedName]]:
    return names.platform([i.name for i in items if not i.folder], [i.name for i in items if i.folder], outer)


@dataclass
class _Export:
    """A class's folder or archive being sorted into uploads. outer: the name of the folder that holds them."""

    path: Path
    rubric: Rubric
    store: TempStore
    outer: str
    found: Found = field(default_factory=lambda: Found("folder"))

    def sort(self, items: Sequence[Item]) -> Found:
        """The uploads among the entries of the class's folder."""
        platform, parsed = _platform(items, self.outer)
        self.found.layout = platform or "folder"
        self.found.tables = [i.path for i in items if not i.folder and i.name.lower().endswith(".csv")]
        if platform == "gradescope":
            self._by_metadata(items)
        else:
            self._by_name(items, parsed)
        return self.found

    def _by_metadata(self, items: Sequence[Item]) -> None:
        """One upload per folder, with what Gradescope's metadata states about it."""
        records: dict[str, metadata.SubmissionRecord] = {}
        try:
            records = metadata.read(next(i.path for i in items if i.name == metadata.NAME))
        except metadata.MetadataError as error:
            self._remark(str(error))
        others = [i for i in items if i.name != metadata.NAME]
        for item in others:
            record = records.get(item.name)
            if record is None and not _gradable(item):
                self._unclaimed(item)
                continue
            if record is None and records:
                self._remark(f"{item.name} is not named in {metadata.NAME}; it is graded under its own name")
            elif record and not record.students:
                self._remark(f"{metadata.NAME} names nobody for {item.name}; it is graded under its own name")
            upload = self._whole("gradescope", f"gradescope:{item.name}", item)
            if record:
                upload = replace(upload, students=record.students, submitted_at=record.created_at)
            self.found.uploads.append(upload)
        present = {item.name for item in others}
        for name in records:
            if name not in present:
                self._remark(f"{name} is named in {metadata.NAME}, but there is no such folder")

    def _by_name(self, items: Sequence[Item], parsed: Mapping[str, ParsedName]) -> None:
        """Uploads that show their student by name: all uploads of one student together, attempt by attempt."""
        students: dict[str, list[tuple[Item, ParsedName]]] = {}
        for item in items:
            if name := parsed.get(item.name):
                students.setdefault(name.user, []).append((item, name))
            elif _gradable(item):
                self.found.uploads.append(self._whole("folder", f"folder:{item.path}", item))
            else:
                self._unclaimed(item)
        for user, theirs in students.items():
            for attempt in _attempts(theirs):
                self.found.uploads.append(self._attempt(user, attempt))

    def _whole(self, layout: str, key: str, item: Item) -> Upload:
        """An entry that is an upload by itself; its label is a folder's name, or an archive's without its ending."""
        label = item.name if item.folder else archives.without_ending(item.name)
        return Upload(layout, label, key, item.path, modified=item.modified)

    def _attempt(self, user: str, attempt: Sequence[tuple[Item, ParsedName]]) -> Upload:
        """One attempt of the student with the platform's number `user`."""
        layout = self.found.layout
        item, last = attempt[-1]
        # Blackboard's own text is about the upload, not part of it.
        own = [(i, n) for i, n in attempt if layout != "blackboard" or n.original]
        parts = [Part(name.original, item.path, item.folder) for item, name in own]
        staged = staging.stage(parts, self.rubric, self.store)
        more = f" and {len(attempt) - 1} more" if len(attempt) > 1 else ""
        student = Student(last.name)
        if layout == "canvas" and not last.name.startswith("anon_"):
            student = Student(last.name, canvas=user)
        elif layout == "github":
            student = Student(github=user)
        elif layout == "blackboard":
            student = _in_text([i.path for i, n in attempt if not n.original]) or Student(login=last.name)
        return Upload(
            layout,
            f"{item.name}{more}",
            f"{layout}:{user}",
            staged.path,
            (student,),
            last.submitted_at,
            late=_late(name for _, name in attempt),
            order=last.order,
            modified=max(item.modified for item, _ in attempt),
            notes=staged.notes,
            also=(last.name,) if layout == "blackboard" else (),
            number=user,
        )

    def _unclaimed(self, item: Item) -> None:
        if item.name.lower().endswith(HANDED_IN):
            self._remark(
                f"{item.name} lies beside the submissions and its name identifies no student; it is left out"
            )

    def _remark(self, text: str) -> None:
        self.found.remarks.append(f"{self.path}: {text}")


def _in_text(paths: Sequence[Path]) -> Student | None:
    """The student that Blackboard's text about an attempt names."""
    for path in paths:
        with suppress(OSError), path.open("rb") as stream:
            first = stream.readline(2000).decode("utf-8-sig", "replace").strip()
            name, _, login = first.removeprefix("Name:").removesuffix(")").rpartition("(")
            if (
                first.startswith("Name:")
                and first.endswith(")")
                and name.strip()
                and login
                and ")" not in login
            ):
                return Student(name.strip(), login=login.strip())
    return None


def _gradable(item: Item) -> bool:
    return item.folder or archives.is_archive(item.name) or item.name.lower().endswith((".rar", ".7z"))


def _late(parsed: Iterable[ParsedName]) -> bool | None:
    """Whether any of the files is marked late; None if the platform does not mark them."""
    marks = {name.late for name in parsed}
    return True if True in marks else None if None in marks else False


def _attempts(theirs: Sequence[tuple[Item, ParsedName]]) -> list[list[tuple[Item, ParsedName]]]:
    """A student's files by attempt, first one first: of files with the same name, the last is in the last attempt, and so on."""
    if theirs[0][1].attempt:
        by_attempt: dict[str, list[tuple[Item, ParsedName]]] = {}
        for item, name in sorted(theirs, key=lambda t: (t[1].order, t[0].name)):
            by_attempt.setdefault(name.attempt, []).append((item, name))
        return list(by_attempt.values())
    versions: dict[str, list[tuple[Item, ParsedName]]] = {}
    for item, name in sorted(theirs, key=lambda t: (t[1].order, t[0].name)):
        # Folders and Moodle's texts have no name of their own; they all belong to the only attempt there is.
        key = name.original.casefold() or f"/{item.name}"
        versions.setdefault(key, []).append((item, name))
    attempts = []
    for back in range(max(len(same) for same in versions.values()), 0, -1):
        attempt = [same[-back] for same in versions.values() if len(same) >= back]
        attempts.append(sorted(attempt, key=lambda t: (t[1].order, t[0].name)))
    return attempts
