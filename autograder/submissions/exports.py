"""A class's submissions as they are downloaded: which layout a folder or zip has, and the uploads in it.

Layouts, each as a folder or as the zip that was downloaded:
- Gradescope's "Export Submissions": folders next to `submission_metadata.yml` (see `metadata`);
- Canvas's and Moodle's bulk downloads, recognised by their file names (see `names`);
- a folder of folders and zips, one per student.

Everything found belongs to one upload or is named in a remark; nothing is dropped silently, and nothing is executed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice
from pathlib import Path

from autograder.model.rubric import Rubric
from autograder.model.student import Student
from autograder.submissions import files, intake, metadata, names, staging
from autograder.submissions.names import ParsedName
from autograder.submissions.staging import Part, TempStore
from autograder.submissions.unpack import Item, class_prefix, unpack

# Endings of files that a student may have handed in, for files outside every student's folder.
HANDED_IN = {".py", ".zip", ".ipynb", ".rar", ".7z", ".gz", ".tgz", ".tar", ".xz", ".bz2"}
MAX_DESCENT = 3
MAX_DATED = 500  # files of an upload whose times are compared
LAYOUTS = {
    "gradescope": "a Gradescope export",
    "canvas": "a Canvas download",
    "moodle": "a Moodle download",
    "zip": "a zip of a class",
    "folder": "a folder of submissions",
    "one": "one submission",
}


@dataclass(frozen=True)
class Upload:
    """What one student, or one group, handed in once.

    students: those the export names; empty if only the label is known.
    label: the export's own name for it; key: the same for all uploads of one student in this layout.
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


@dataclass
class Found:
    """The uploads of one path, its layout, and one line for each thing that is left out or unusual."""

    layout: str
    uploads: list[Upload] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def find(path: Path, rubric: Rubric, store: TempStore) -> Found:
    """The uploads that `path` holds; what must be unpacked goes into `store`.

    Raises intake.UnusableSubmission if the path does not exist or cannot be read.
    """
    if not path.exists():
        raise intake.UnusableSubmission(
            f"{path}: there is no such file or folder; check the spelling of the path"
        )
    if not path.is_dir():
        prefix = class_prefix(path, rubric) if path.is_file() else None
        if prefix is None:
            return Found("one", [_single(path)])
        unpacked = unpack(path, prefix, store.place())
        found = _Export(path, rubric, store).sort(unpacked.items)
        found.remarks[:0] = unpacked.remarks
        return replace(found, layout="zip") if found.layout == "folder" else found
    if any((path / f"{m}.py").is_file() for m in rubric.modules):
        return Found("one", [_single(path)])
    try:
        items = _items_in(path)
        for _ in range(MAX_DESCENT):  # a download unpacked into a folder of its own
            if len(items) != 1 or not items[0].folder or _platform(items)[0]:
                break
            inner = _items_in(items[0].path)
            if not _platform(inner)[0]:
                break
            items = inner
    except OSError as error:
        raise intake.UnusableSubmission(f"{path}: cannot be opened ({error.strerror})") from None
    found = _Export(path, rubric, store).sort(items)
    return found if found.uploads else Found("one", [_single(path)], found.remarks)


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


def _platform(items: Sequence[Item]) -> tuple[str, dict[str, ParsedName]]:
    return names.platform([i.name for i in items if not i.folder], [i.name for i in items if i.folder])


@dataclass
class _Export:
    """A class's folder or zip being sorted into uploads."""

    path: Path
    rubric: Rubric
    store: TempStore
    found: Found = field(default_factory=lambda: Found("folder"))

    def sort(self, items: Sequence[Item]) -> Found:
        """The uploads among the entries of the class's folder."""
        platform, parsed = _platform(items)
        self.found.layout = platform or "folder"
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
        """An entry that is an upload by itself; its label is a folder's name, or a zip's without its ending."""
        label = item.name if item.folder else item.name[: -len(Path(item.name).suffix)] or item.name
        staged = staging.stage([Part(item.name, item.path, item.folder)], self.rubric, self.store)
        return Upload(layout, label, key, staged.path, modified=item.modified, notes=staged.notes)

    def _attempt(self, user: str, attempt: Sequence[tuple[Item, ParsedName]]) -> Upload:
        """One attempt of the student with the platform's number `user`."""
        layout = self.found.layout
        parts = [Part(name.original, item.path, item.folder) for item, name in attempt]
        staged = staging.stage(parts, self.rubric, self.store)
        item, last = attempt[-1]
        known = layout == "canvas" and not last.name.startswith("anon_")
        more = f" and {len(attempt) - 1} more" if len(attempt) > 1 else ""
        return Upload(
            layout,
            f"{item.name}{more}",
            f"{layout}:{user}",
            staged.path,
            (Student(last.name, canvas=user if known else ""),),
            late=_late(name for _, name in attempt),
            order=last.order,
            modified=max(item.modified for item, _ in attempt),
            notes=staged.notes,
        )

    def _unclaimed(self, item: Item) -> None:
        if Path(item.name).suffix.lower() in HANDED_IN:
            self._remark(
                f"{item.name} lies beside the submissions and its name identifies no student; it is left out"
            )

    def _remark(self, text: str) -> None:
        self.found.remarks.append(f"{self.path}: {text}")


def _gradable(item: Item) -> bool:
    return item.folder or item.path.suffix.lower() == ".zip"


def _late(parsed: Iterable[ParsedName]) -> bool | None:
    """Whether any of the files is marked late; None if the platform does not mark them."""
    marks = {name.late for name in parsed}
    return True if True in marks else None if None in marks else False


def _attempts(theirs: Sequence[tuple[Item, ParsedName]]) -> list[list[tuple[Item, ParsedName]]]:
    """A student's files by attempt, first one first: of files with the same name, the last is in the last attempt, and so on."""
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
