"""File names as learning platforms write them when all submissions of an assignment are downloaded.

Canvas (its `lib/content_zipper.rb` and `Attachment.make_unique_filename`): one file per upload, all in one folder, called
`<student>_[LATE_]<user>_<attachment>_<file name>`. `<student>` is the sortable name ("last, first") in lower case without
spaces and punctuation; anonymous ones are `[LATE_]anon_<code>_<attachment>_<file name>`. `<user>` and `<attachment>` are numbers; a
later upload has a higher attachment number. A file handed in again under the same name is renamed `name-1.py`,
`name-2.py`, ... Texts and links are `<student>_[LATE_]<user>_text.html` and `..._link.html`.

Moodle (its `mod/assign/classes/downloader.php`): `<full name>_<participant>_assignsubmission_<plugin>` is a folder of the
student's files (in older versions with one more `_` at its end), or `..._<file name>` is a file; the teacher chooses which.
Underscores in the name become spaces. `<plugin>` is `file` or `onlinetext`. For a team, the name is the team's.

Blackboard: `<assignment>_<login>_attempt_<year-month-day-hour-minute-second>_<file name>`, and the same with `.txt` in place of
the file name: a text whose first line is `Name: <full name> (<login>)`.

Brightspace: `<number>-<number> - <full name> - <date>` is a folder of files, or `... - <file name>` is a file, one for each
attempt; the date is written as `Mar 1, 2026 1030 PM`.

Google Classroom: `<full name> - <file name>`, in the assignment's folder on Drive.

GitHub Classroom: `gh classroom clone student-repos` makes `<assignment>-submissions`, with a folder `<assignment>-<account>` each.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import takewhile
from pathlib import PurePosixPath

from autograder.submissions import archives, metadata

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
BLACKBOARD = re.compile(
    r"(?P<head>[^/]+_[^/_]+)_attempt_(?P<time>\d{4}(?:-\d\d){5})(?:\.txt|_(?P<original>.+))", re.I | re.S
)
DATE = r"(?:[^\W\d]{3,9}\.? \d{1,2},? \d{4}|\d{1,2}\.? [^\W\d]{3,9}\.?,? \d{4}),? \d{1,2}:?\d\d(?: ?[AP]M)?"
BRIGHTSPACE = re.compile(
    rf"(?P<user>\d+)-\d+ ?- ?(?P<name>.+?) ?- ?(?P<time>{DATE})(?: ?- ?(?P<original>.+))?", re.I | re.S
)
GOOGLE = re.compile(r"(?P<name>(?:[^\w/]|[\d_])*[^\W\d_][^/]*?) - (?P<original>.+)", re.S)
GITHUB = "-submissions"  # the ending of the folder that its command line makes
MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
VERSION = re.compile(r"(?P<stem>.+)-(?P<version>\d{1,4})", re.S)


@dataclass(frozen=True)
class ParsedName:
    """What a name states. user: the platform's number (or code) of the student; original: the file's own name.

    late: None if the platform does not mark it. order: greater for the later of two files of a student with the same name.
    attempt: the same for all files of one attempt; "" if the name does not say. submitted_at: None if it does not say.
    """

    name: str
    user: str
    original: str
    late: bool | None = None
    order: tuple[int, ...] = ()
    attempt: str = ""
    submitted_at: datetime | None = None


def platform(
    files: Collection[str], folders: Collection[str], outer: str = ""
) -> tuple[str, dict[str, ParsedName]]:
    """Which platform wrote the names in a class's folder ("" if none), and the names that identify a student, parsed.

    outer: the name of the class's folder.
    """
    if metadata.NAME in files:
        return "gradescope", {}
    for layout, parse in (("moodle", moodle), ("blackboard", blackboard), ("brightspace", brightspace)):
        if found := {name: parsed for name in (*files, *folders) if (parsed := parse(name))}:
            return layout, with_logins(found) if layout == "blackboard" else found
    if found := canvas_names(files):
        return "canvas", found
    if found := google_names(files, folders):
        return "google", found
    found = github_names(folders, outer)
    return "github" if found else "", found


def blackboard(name: str) -> ParsedName | None:
    """The parts of Blackboard's name for a file; None if it is not one. original: "" for its own text.

    user: the assignment and the login, which may both hold underscores; name: what follows the last of them.
    """
    match = BLACKBOARD.fullmatch(name)
    if match is None:
        return None
    try:
        when = datetime.strptime(match["time"], "%Y-%m-%d-%H-%M-%S").astimezone()
    except (ValueError, OverflowError, OSError):
        return None
    order = tuple(map(int, match["time"].split("-")))
    head = match["head"]
    return ParsedName(
        head.rpartition("_")[2], head, match["original"] or "", None, order, match["time"], when
    )


def with_logins(found: Mapping[str, ParsedName]) -> dict[str, ParsedName]:
    """Blackboard's names with the logins as names: what follows the start that all of them share, the assignment."""
    heads = {parsed.user for parsed in found.values()}
    shared = takewhile(lambda letters: len(set(letters)) == 1, zip(*heads, strict=False))
    start = "".join("".join(letters[0] for letters in shared).rpartition("_")[:2]) if len(heads) > 1 else ""
    return {n: replace(p, name=p.user.removeprefix(start)) if start else p for n, p in found.items()}


def brightspace(name: str) -> ParsedName | None:
    """The parts of Brightspace's name for a folder or a file; None if it is not one. original: "" for a folder of files."""
    match = BRIGHTSPACE.fullmatch(name)
    when = time_in_words(match["time"]) if match else None
    if match is None or when is None:
        return None
    order = (int(when.timestamp()),)
    student, original = match["name"].strip(), match["original"] or ""
    return ParsedName(student, f"{match['user']} {student}", original, None, order, match["time"], when)


def google_names(files: Collection[str], folders: Collection[str]) -> dict[str, ParsedName]:
    """By name, those of `files` that Google Classroom wrote; empty if there are others that a student may have handed in."""
    handed_in = [n for n in files if n.lower().endswith((".py", ".ipynb", *archives.READ, *archives.UNREAD))]
    found = {n: match for n in files if (match := GOOGLE.fullmatch(n))}
    if not handed_in or folders or any(name not in found for name in handed_in):
        return {}
    return {n: ParsedName(m["name"].strip(), m["name"].strip(), m["original"]) for n, m in found.items()}


def github_names(folders: Collection[str], outer: str) -> dict[str, ParsedName]:
    """By name, the folders that GitHub Classroom's command line made in the folder `outer`."""
    slug = outer.removesuffix(GITHUB)
    if slug == outer or outer in folders or not all(name.startswith(f"{slug}-") for name in folders):
        return {}
    accounts = {name: name.removeprefix(f"{slug}-") for name in folders}
    return {name: ParsedName("", account, "") for name, account in accounts.items() if account}


def time_in_words(text: str) -> datetime | None:
    """A time as people read it ("Sunday, 1 March 2026, 10:30 PM", "Mar 1, 2026 1030 PM"), on this machine's clock."""
    text = text[:100]  # no time is longer
    month = next(
        (
            MONTHS.index(w[:3].lower()) + 1
            for w in re.findall(r"[^\W\d]{3,}", text)
            if w[:3].lower() in MONTHS
        ),
        0,
    )
    year, clock = (
        re.search(r"\b\d{4}\b", text),
        re.search(r"(\d{1,2}):?(\d\d)(?::\d\d)?\s*([AP]M)?\s*$", text, re.I),
    )
    day = re.search(r"(?<!\d)\d{1,2}(?![\d:])", text[: clock.start()] if clock else "")
    if not (month and year and clock and day):
        return None
    hour = int(clock[1])
    if clock[3]:
        hour = hour % 12 + 12 * (clock[3].lower() == "pm")
    try:
        return datetime(int(year[0]), month, int(day[0]), hour, int(clock[2])).astimezone()
    except (ValueError, OverflowError, OSError):
        return None


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
    name = match["name"].strip()
    if name.casefold() == "participant":  # marked without names
        name = f"{name} {match['user']}"
    return ParsedName(name, match["user"], original)


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
    # hw_3_1_ana.zip and hw_3_2_ben.zip: a class in archives that are numbered by hand.
    originals = {named.original for named in found.values()}
    one_user = len({named.user for named in found.values()}) == 1
    if one_user and len(originals) > 1 and all(archives.is_archive(name) for name in originals):
        return {}
    numbers = [named.order[0] for named in found.values() if named.order[0]]
    students: dict[str, str] = {}
    clash = any(students.setdefault(n.user, n.name.casefold()) != n.name.casefold() for n in found.values())
    return {} if clash or len(set(numbers)) < len(numbers) else found
