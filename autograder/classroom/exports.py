"""A class's submissions as they are downloaded: which layout a folder or zip has, and the uploads in it.

Layouts, each as a folder or as the zip that was downloaded:
- Gradescope's "Export Submissions": folders beside `submission_metadata.yml` (see `metadata`);
- Canvas's and Moodle's bulk downloads, known by their file names (see `names`);
- a folder of folders and zips, one a student.

Everything found belongs to one upload or is named in a remark; nothing is dropped in silence, and nothing is executed.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from autograder import intake
from autograder.classroom import metadata, names, staging, unpack
from autograder.classroom.roster import Student
from autograder.classroom.staging import Holding
from autograder.classroom.unpack import Item
from autograder.rubric import Rubric

# What a student may have handed in, where it lies in no folder of theirs.
TELLING = {".py", ".zip", ".ipynb", ".rar", ".7z", ".gz", ".tgz", ".tar", ".xz", ".bz2"}
MAX_DESCENT = 3
LAYOUTS = {
    "gradescope": "an export of Gradescope",
    "canvas": "a download of Canvas",
    "moodle": "a download of Moodle",
    "zip": "a zip of a class",
    "folder": "a folder of submissions",
    "one": "one submission",
}


@dataclass(frozen=True)
class Upload:
    """What one student, or one group, handed in once.

    students: whom the export names; none where the label is all that is known.
    label: the export's own name for it; key: the same for all uploads of one student in this layout.
    submitted_at: None where the export does not say. late: the export's own mark; None where it has none.
    order: of two uploads of one student, the later has more; modified: the time of the newest file, in seconds.
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
    """The uploads of one path, what layout it has, and one line for each thing that is left out or out of order."""

    layout: str
    uploads: list[Upload] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def find(path: Path, rubric: Rubric, holding: Holding) -> Found:
    """The uploads that `path` holds.

    Raises intake.UnusableSubmission when the path is not there, or cannot be read.
    """
    if not path.exists():
        raise intake.UnusableSubmission(
            f"{path}: there is no such file or folder; check the spelling of the path"
        )
    if not path.is_dir():
        prefix = unpack.class_prefix(path, rubric) if path.is_file() else None
        if prefix is None:
            return Found("one", [_single(path)])
        done = unpack.unpack(path, prefix, holding.place())
        found = _sorted_out(path, done.items, rubric, holding)
        found.remarks[:0] = done.remarks
        return replace(found, layout="zip") if found.layout == "folder" else found
    if any((path / f"{m}.py").is_file() for m in rubric.modules):
        return Found("one", [_single(path)])
    try:
        items = _listed(path)
        for _ in range(MAX_DESCENT):  # a download unpacked into a folder of its own
            if len(items) != 1 or not items[0].folder or _marked(items):
                break
            inner = _listed(items[0].path)
            if not _marked(inner):
                break
            items = inner
    except OSError as error:
        raise intake.UnusableSubmission(f"{path}: cannot be opened ({error.strerror})") from None
    found = _sorted_out(path, items, rubric, holding)
    if not found.uploads:
        return Found("one", [_single(path)], found.remarks)
    return found


def _single(path: Path) -> Upload:
    label = intake.name_of(path)
    return Upload("one", label, f"one:{path.resolve()}", path, modified=_newest(path))


def _listed(folder: Path) -> list[Item]:
    items = []
    for entry in sorted(os.scandir(folder), key=lambda e: e.name):
        if entry.name.startswith(".") or entry.name in intake.SKIPPED:
            continue
        items.append(Item(entry.name, Path(entry.path), entry.is_dir(), _newest(Path(entry.path))))
    return items


def _newest(path: Path) -> float:
    """When the newest file of a folder (or the file itself) was last written, as far as a look at some hundreds tells."""
    times = [0.0]
    with contextlib.suppress(OSError):
        if not path.is_dir():
            return path.stat().st_mtime
        for root, _, files in os.walk(path):
            times += [os.lstat(os.path.join(root, name)).st_mtime for name in files]
            if len(times) > 500:
                break
    return max(times)


def _marked(items: Sequence[Item]) -> bool:
    """True when a platform's own names or metadata are among the entries."""
    return (
        any(i.name == metadata.NAME and not i.folder for i in items)
        or any(names.moodle(i.name) for i in items)
        or bool(names.canvas_names(i.name for i in items if not i.folder))
    )


def _sorted_out(path: Path, items: Sequence[Item], rubric: Rubric, holding: Holding) -> Found:
    if any(i.name == metadata.NAME and not i.folder for i in items):
        return _gradescope(path, items, rubric, holding)
    by_moodle = {i.name: named for i in items if (named := names.moodle(i.name))}
    if by_moodle:
        return _by_name("moodle", path, items, by_moodle, rubric, holding)
    by_canvas = names.canvas_names(i.name for i in items if not i.folder)
    return _by_name("canvas" if by_canvas else "folder", path, items, by_canvas, rubric, holding)


def _gradescope(path: Path, items: Sequence[Item], rubric: Rubric, holding: Holding) -> Found:
    found = Found("gradescope")
    said: dict[str, metadata.Handed] = {}
    try:
        said = metadata.read(next(i.path for i in items if i.name == metadata.NAME))
    except metadata.MetadataError as error:
        found.remarks.append(f"{path}: {error}")
    others = [i for i in items if i.name != metadata.NAME]
    for item in others:
        handed = said.get(item.name)
        if handed is None and not item.folder and item.path.suffix.lower() != ".zip":
            _unclaimed(path, item, found)
            continue
        if handed is None and said:
            found.remarks.append(
                f"{path}: {item.name} is not named in {metadata.NAME}; it goes by its own name"
            )
        elif handed and not handed.students:
            found.remarks.append(
                f"{path}: {metadata.NAME} names nobody for {item.name}; it goes by its own name"
            )
        staged = staging.stage([staging.Part(item.name, item.path, item.folder)], rubric, holding)
        found.uploads.append(
            Upload(
                "gradescope",
                _label(item),
                f"gradescope:{item.name}",
                staged.path,
                handed.students if handed else (),
                handed.created_at if handed else None,
                modified=item.modified,
                notes=staged.notes,
            )
        )
    there = {item.name for item in others}
    for name in said:
        if name not in there:
            found.remarks.append(f"{path}: {name} is named in {metadata.NAME}, but there is no such folder")
    return found


def _by_name(
    layout: str,
    path: Path,
    items: Sequence[Item],
    told: dict[str, names.Named],
    rubric: Rubric,
    holding: Holding,
) -> Found:
    """Uploads where names tell whose they are: those of one student together, attempt by attempt."""
    found = Found(layout)
    students: dict[str, list[tuple[Item, names.Named]]] = {}
    for item in items:
        if named := told.get(item.name):
            students.setdefault(named.user, []).append((item, named))
        elif item.folder or item.path.suffix.lower() == ".zip":
            staged = staging.stage([staging.Part(item.name, item.path, item.folder)], rubric, holding)
            found.uploads.append(
                Upload(
                    "folder",
                    _label(item),
                    f"folder:{item.path}",
                    staged.path,
                    modified=item.modified,
                    notes=staged.notes,
                )
            )
        else:
            _unclaimed(path, item, found)
    for user, theirs in students.items():
        for attempt in _attempts(theirs):
            parts = [staging.Part(n.original, i.path, i.folder) for i, n in attempt]
            staged = staging.stage(parts, rubric, holding)
            last = attempt[-1][1]
            student = Student(
                last.name, canvas="" if layout == "moodle" or last.name.startswith("anon_") else user
            )
            found.uploads.append(
                Upload(
                    layout,
                    attempt[-1][0].name + (f" and {len(attempt) - 1} more" if len(attempt) > 1 else ""),
                    f"{layout}:{user}",
                    staged.path,
                    (student,),
                    late=_late([n for _, n in attempt]),
                    order=last.order,
                    modified=max(i.modified for i, _ in attempt),
                    notes=staged.notes,
                )
            )
    return found


def _late(told: Iterable[names.Named]) -> bool | None:
    marks = {n.late for n in told}
    return True if True in marks else None if None in marks else False


def _attempts(theirs: Sequence[tuple[Item, names.Named]]) -> list[list[tuple[Item, names.Named]]]:
    """A student's files, first attempt first: of files that had one name, the last is in the last attempt, and so on."""
    versions: dict[str, list[tuple[Item, names.Named]]] = {}
    for item, named in sorted(theirs, key=lambda t: (t[1].order, t[0].name)):
        # Folders and Moodle's texts have no name of their own; they all belong to the one attempt there is.
        key = named.original.casefold() or f"/{item.name}"
        versions.setdefault(key, []).append((item, named))
    most = max(len(files) for files in versions.values())
    attempts = []
    for back in range(most, 0, -1):
        attempt = [files[-back] for files in versions.values() if len(files) >= back]
        attempts.append(sorted(attempt, key=lambda t: (t[1].order, t[0].name)))
    return attempts


def _unclaimed(path: Path, item: Item, found: Found) -> None:
    if item.path.suffix.lower() in TELLING or Path(item.name).suffix.lower() in TELLING:
        found.remarks.append(
            f"{path}: {item.name} lies beside the submissions and its name tells no student; it is left out"
        )


def _label(item: Item) -> str:
    """A plain entry's name: a folder's own, a zip's without its ending."""
    return item.name if item.folder else item.name[: -len(Path(item.name).suffix)] or item.name
