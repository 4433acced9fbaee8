"""File names as Canvas and Moodle write them when all submissions of an assignment are downloaded.

Canvas (its `lib/content_zipper.rb` and `Attachment.make_unique_filename`): one file per upload, all in one folder, called
`<student>_[LATE_]<user>_<attachment>_<file name>`. `<student>` is the sortable name ("last, first") in lower case without
spaces and punctuation; anonymous ones are `[LATE_]anon_<code>_<attachment>_<file name>`. `<user>` and `<attachment>` are numbers; a
later upload has a higher attachment number. A file handed in again under the same name is renamed `name-1.py`,
`name-2.py`, ... Texts and links are `<student>_[LATE_]<user>_text.html` and `..._link.html`.

Moodle (its `mod/assign/classes/downloader.php`): `<full name>_<participant>_assignsubmission_<plugin>` is a folder of the
student's files (in older versions with one more `_` at its end), or `..._<file name>` is a file; the teacher chooses which.
Underscores in the name become spaces. `<plugin>` is `file` or `onlinetext`. For a team, the name is the team's.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from autograder.submissions import metadata

NUMBER = r"\d{1,18}"
CANVAS = re.compile(
    rf"(?P<name>[^/]+?)_(?:(?P<late>late)_)?(?P<user>{NUMBER})_(?P<file>{NUMBER})_(?P<original>.+)",
    re.I | re.S,
)
CANVAS_ANONYMOUS = re.compile(
    rf"(?:(?P<late>late)_)?(?P<name>anon)_(?P<user>[a-z0-9]{{1,12}})_(?P<file>{NUMBER})_(?P<original>.+)",
    re.I | re.S,
)
CANVAS_TEXT = re.compile(
    rf"(?P<name>[^/]+?)_(?:(?P<late>late)_)?(?P<user>{NUMBER})_(?P<original>(?:text|link)\.html)", re.I | re.S
)
MOODLE = re.compile(
    rf"(?P<name>[^_]+)_(?P<user>{NUMBER})_assignsubmission_(?P<plugin>[a-z]+)(?:_(?P<original>.*))?",
    re.I | re.S,
)
VERSION = re.compile(r"(?P<stem>.+)-(?P<version>\d{1,4})", re.S)


@dataclass(frozen=True)
class ParsedName:
    """What a name states. user: the platform's number (or code) of the student; original: the file's own name.

    late: None if the platform does not mark it. order: greater for the later of two files of a student with the same name.
    """

    name: str
    user: str
    original: str
    late: bool | None = None
    order: tuple[int, ...] = ()


def platform(files: Collection[str], folders: Collection[str]) -> tuple[str, dict[str, ParsedName]]:
    """Which platform wrote the names in a class's folder ("" if none), and the names that identify a student, parsed."""
    if metadata.NAME in files:
        return "gradescope", {}
    if by_moodle := {name: parsed for name in (*files, *folders) if (parsed := moodle(name))}:
        return "moodle", by_moodle
    by_canvas = canvas_names(files)
    return "canvas" if by_canvas else "", by_canvas


def canvas(name: str) -> ParsedName | None:
    """The parts of Canvas's name for an uploaded file; None if it is not one."""
    match = CANVAS_ANONYMOUS.fullmatch(name) or CANVAS.fullmatch(name)
    if match is None:
        if match := CANVAS_TEXT.fullmatch(name):
            return ParsedName(match["name"], match["user"], match["original"], bool(match["late"]), (0, 0))
        return None
    original, version = unversioned(match["original"])
    student = f"anon_{match['user']}" if match["name"].lower() == "anon" else match["name"]
    return ParsedName(student, match["user"], original, bool(match["late"]), (int(match["file"]), version))


def moodle(name: str) -> ParsedName | None:
    """The parts of Moodle's name for a student's folder or file; None if it is not one. original: "" for a folder of files."""
    match = MOODLE.fullmatch(name)
    if match is None:
        return None
    original = match["original"] or ""
    if match["plugin"].lower() != "file":
        original = f"{match['plugin']}/{original}"
    return ParsedName(match["name"].strip(), match["user"], original)


def unversioned(original: str) -> tuple[str, int]:
    """A file's name before Canvas made it unique, and its version number: "a-2.py" gives ("a.py", 2), "a.py" gives ("a.py", 0)."""
    path = PurePosixPath(original)
    match = VERSION.fullmatch(path.stem) if path.suffix else None
    return (match["stem"] + path.suffix, int(match["version"])) if match else (original, 0)


def canvas_names(names: Iterable[str]) -> dict[str, ParsedName]:
    """By name, those of `names` that Canvas wrote.

    Empty if they contradict what Canvas does (two files with one attachment number, or two students with one user number):
    then the names only look like Canvas's.
    """
    found = {name: named for name in names if (named := canvas(name))}
    numbers = [named.order[0] for named in found.values() if named.order[0]]
    students: dict[str, str] = {}
    clash = any(students.setdefault(n.user, n.name.casefold()) != n.name.casefold() for n in found.values())
    return {} if clash or len(set(numbers)) < len(numbers) else found
