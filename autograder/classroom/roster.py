"""The roster: who is in the class, and which of them an upload belongs to. Uploads are never matched by guess.

Header names that are recognised (case, spaces and punctuation do not matter):
- Gradescope's roster: Name, or First Name and Last Name; SID; Email; Role; Section(s).
- Canvas's gradebook export: Student ("Last, First"), ID (Canvas's own number), SIS User ID, SIS Login ID, Section, with a row
  "Points Possible" and perhaps "Student, Test", which are not students. (Canvas: `lib/gradebook_importer.rb`.)
- Moodle's participants: First name, Surname (or Last name), ID number, Email address, Username.
- GitHub Username and Extension (days, or a due time), in columns beside any of these.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from autograder.classroom import tables
from autograder.model.student import Student

COLUMNS = {
    "name": "name fullname student studentname displayname sortablename",
    "first": "firstname first givenname forename",
    "last": "lastname last surname familyname",
    "id": "sid sisuserid id idnumber studentid studentnumber studentno matriculationnumber orgdefinedid universityid",
    "email": "email emailaddress mail studentemail",
    "login": "sisloginid loginid login username user netid",
    "github": "github githubusername githubaccount githublogin",
    "section": "section sections",
    "role": "role roles",
    "extension": "extension extensions",
}
STAFF = ("instructor", "ta", "reader", "teacher", "grader", "designer", "observer", "teaching assistant")


@dataclass(frozen=True)
class Match:
    """The student that an upload belongs to, or None and the reason, as the end of a sentence that starts with the upload."""

    student: Student | None
    why: str = ""


@dataclass
class Roster:
    """Students in the roster's order, and ways to find one.

    remarks: one line for each problem with a row or the file. extensions: as written, for the students that have one.
    """

    students: tuple[Student, ...]
    remarks: tuple[str, ...] = ()
    extensions: Mapping[Student, str] = field(default_factory=dict)
    _by: dict[str, dict[str, list[Student]]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._by = {
            key: {} for key in ("canvas", "id", "email", "login", "github", "mailbox", "digits", "name")
        }
        for student in self.students:
            for key in ("canvas", "id", "email", "login", "github"):
                self._add(key, plain(getattr(student, key)), student)
            self._add("mailbox", plain(student.email.partition("@")[0]), student)
            self._add("digits", _digits(student.id), student)
            for form in name_forms(student.name):
                self._add("name", form, student)
            if student.github:  # so an earlier run without a roster may have called them
                self._add("name", plain(of_account(student.github)), student)

    def _add(self, key: str, value: str, student: Student) -> None:
        if value and student not in (found := self._by[key].setdefault(value, [])):
            found.append(student)

    def _having(self, key: str, text: str) -> list[Student]:
        """The students with this fact. An id of digits may lack its leading zeros, which spreadsheets remove."""
        found = self._by[key].get(plain(text), [])
        return found or (self._by["digits"].get(_digits(text), []) if key == "id" else [])

    def find(self, claimed: Student) -> Match:
        """The student whom an export's facts identify: by id, email and login, and by name only if none of those is known."""
        strong = {
            key: self._having(key, getattr(claimed, key))
            for key in ("canvas", "id", "email", "login", "github")
        }
        named = [found for key, found in strong.items() if getattr(claimed, key) and found]
        if named:
            both = [s for s in named[0] if all(s in found for found in named)]
            if len(both) == 1:
                return Match(both[0])
            return Match(None, f"matches {_shown(s for found in named for s in found)}")
        # A name alone does not outweigh a different id or number.
        return self._one([s for s in self._named(claimed.name) if not _differ(s, claimed, ("id", "canvas"))])

    def find_text(self, text: str) -> Match:
        """The student whom the name of a folder or file identifies: the whole name is an id, an email, a login, or a name."""
        return self._one(self.fitting(text))

    def fitting(self, text: str) -> list[Student]:
        """All students whom the name of a folder or file may identify."""
        found: list[Student] = []
        for key in ("id", "email", "login", "github", "mailbox"):
            found += [s for s in self._having(key, text) if s not in found]
        return found or self._named(text)

    def recognise(self, known: Student) -> Student | None:
        """The student whom facts from another run identify: by id, else by login, else by email, else by name.

        A fact counts only where it fits one student, and no stronger one is different.
        """
        keys = ("id", "canvas", "login", "email")
        for place, key in enumerate(keys):
            value = getattr(known, key)
            fitting = [s for s in self._having(key, value) if not _differ(s, known, keys[:place])]
            if value and len(fitting) == 1:
                return fitting[0]
        return self._one([s for s in self._named(known.name) if not _differ(s, known, keys)]).student

    def _named(self, name: str) -> list[Student]:
        found: list[Student] = []
        for form in (plain(name), *name_forms(name)):
            found += [s for s in self._by["name"].get(form, []) if s not in found]
        return found

    @staticmethod
    def _one(found: list[Student]) -> Match:
        if len(found) == 1:
            return Match(found[0])
        return Match(None, f"matches {_shown(found)}" if found else "is not on the roster")


def _differ(one: Student, other: Student, keys: Iterable[str]) -> bool:
    """Whether both have a fact of these kinds, and it is not the same."""
    facts = ((plain(getattr(one, key)), plain(getattr(other, key))) for key in keys)
    return any(a and b and a != b and (_digits(a) or a) != (_digits(b) or b) for a, b in facts)


def _digits(text: str) -> str:
    """A number without leading zeros; "" for any other text."""
    value = plain(text)
    return value.lstrip("0") if value.isdecimal() else ""


def identified(student: Student) -> bool:
    """Whether more than a name is known of a student."""
    return bool(student.id or student.email or student.login or student.canvas)


def of_account(github: str) -> str:
    """What to call a student of whom only the account at GitHub is known: no other student's login or name."""
    return f"{github}@github"


def _shown(students: Iterable[Student]) -> str:
    names = list(dict.fromkeys(f"{s.shown} ({s.id or s.email or s.login or 'no id'})" for s in students))
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return f"several on the roster: {', '.join(names[:4])}{more}"


def plain(text: str) -> str:
    """A text as ids and addresses are compared: ignoring case, Unicode form and surrounding space."""
    return unicodedata.normalize("NFKC", text).strip().casefold()


def name_forms(name: str) -> set[str]:
    """The forms in which a name may appear: its words joined together, starting with any of them.

    "Müller, Ana Maria", "Ana Maria Müller" and Canvas's "mülleranamaria" have one in common. Accents and punctuation are
    ignored, except in a name without letters and digits.
    """
    text = (
        unicodedata.normalize("NFKD", name).casefold().replace("\u0131", "i")
    )  # the Turkish letter whose capital is I
    text = "".join(c for c in text if not unicodedata.combining(c))
    words = "".join(c if c.isalnum() else " " for c in text).split()
    if not words:
        return {whole} if (whole := plain(name)) else set()
    return {"".join(words[i:] + words[:i]) for i in range(min(len(words), 12))}


def read(path: Path) -> Roster:
    """Reads a roster from a CSV file. Raises tables.TableError, which says how to fix it, if it is not one."""
    known = {name: key for key, names in COLUMNS.items() for name in names.split()}
    table = tables.read(path, tuple(known))
    places: dict[str, list[int]] = {}
    headers = [tables.header_key(name) for name in table.header]
    # Canvas calls its own number ID, and the institution's SIS User ID, a column that not every institution has.
    of_canvas = {"sisuserid", "sisloginid"} & set(headers) or any(
        plain(cell) == "points possible" for row in table.rows for cell in row
    )
    for place, header in enumerate(headers):
        key = known.get(header)
        if header == "id" and of_canvas:
            key = "canvas"
        if key:
            places.setdefault(key, []).append(place)
    if not set(places) & {"name", "first", "last", "id", "email", "login"}:
        names = ", ".join(name for name in table.header[:8] if name) or "nothing"
        raise tables.TableError(
            f"{path}: its first row has no column name that is recognised ({names}); name them Name, ID, Email, Login or Section"
        )
    students: list[Student] = []
    extensions: dict[Student, str] = {}
    remarks = list(table.remarks)
    keys: dict[tuple[str, str], Student] = {}
    anywhere: dict[Student, Student] = {}  # by all that is known of them but the section
    for number, row in zip(table.numbers, table.rows, strict=True):
        # The first nonempty column of a kind counts.
        facts = {key: next((row[p] for p in where if row[p]), "") for key, where in places.items()}
        role, extension = facts.pop("role", ""), facts.pop("extension", "")
        student = Student(**facts)
        if not student.name:
            student = Student(**{**facts, "name": f"{student.first} {student.last}".strip()})
        if plain(student.name) == "points possible" or not any(facts.values()):
            continue
        if plain(student.name) == "student, test" and not student.id:
            continue
        if plain(role) in STAFF:
            continue
        twin = anywhere.setdefault(replace(student, section=""), student)
        if twin is not student and (twin == student or identified(twin)):  # in two sections, for instance
            remarks.append(f"{path}: line {number}: {student.shown} is there twice; one row counts")
            sections = ", ".join(dict.fromkeys(filter(None, (twin.section, student.section))))
            student = replace(student, section=sections)
            students[students.index(twin)] = anywhere[replace(student, section="")] = student
            if extension := extension or extensions.pop(twin, ""):
                extensions[student] = extension
            keys = {key: student if one is twin else one for key, one in keys.items()}
            continue
        for key in ("id", "email", "login", "canvas", "github"):
            if value := plain(getattr(student, key)):
                other = keys.setdefault((key, value), student)
                if other is not student:
                    remarks.append(
                        f"{path}: line {number}: {student.shown} and {other.shown} have the same {key}; "
                        "neither is matched by it"
                    )
        students.append(student)
        if extension:
            extensions[student] = extension
    if not students:
        raise tables.TableError(f"{path}: has no student below its first row")
    return Roster(tuple(students), tuple(remarks), extensions)
