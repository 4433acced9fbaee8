"""The roster: who is in the class, and which of them an upload belongs to. Nobody is ever guessed.

Header names that are known, however they are spelled (case, spaces and signs do not matter):
- Gradescope's roster: Name, or First Name and Last Name; SID; Email; Role; Section(s).
- Canvas's gradebook export: Student ("Last, First"), ID (Canvas's own number), SIS User ID, SIS Login ID, Section, with a row
  "Points Possible" and perhaps "Student, Test", which are no students. (Canvas: `lib/gradebook_importer.rb`.)
- Moodle's participants: First name, Surname (or Last name), ID number, Email address, Username.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from autograder.classroom import tables

COLUMNS = {
    "name": "name fullname student studentname displayname sortablename",
    "first": "firstname first givenname forename",
    "last": "lastname last surname familyname",
    "id": "sid sisuserid id idnumber studentid studentnumber studentno matriculationnumber orgdefinedid universityid",
    "email": "email emailaddress mail studentemail",
    "login": "sisloginid loginid login username user netid",
    "section": "section sections",
    "role": "role roles",
}
STAFF = ("instructor", "ta", "reader", "teacher", "grader", "designer", "observer", "teaching assistant")


@dataclass(frozen=True)
class Student:
    """A person, as far as known; every field may be empty. canvas: the number that Canvas itself gave them."""

    name: str = ""
    id: str = ""
    email: str = ""
    login: str = ""
    section: str = ""
    canvas: str = ""
    first: str = ""
    last: str = ""

    @property
    def shown(self) -> str:
        """What to call them in a message."""
        return self.name or self.id or self.email or self.login or self.canvas

    @property
    def natural(self) -> str:
        """The name with the first name first; what else they are called where there is none."""
        return " ".join(filter(None, self.split())) or self.shown

    def split(self) -> tuple[str, str]:
        """First and last name; where they are not known apart, "Last, First" or the last word tell them."""
        if self.first or self.last:
            return self.first, self.last
        if "," in self.name:
            last, _, first = self.name.partition(",")
            return first.strip(), last.strip()
        first, _, last = self.name.rpartition(" ")
        return (first, last) if first else (last, "")


@dataclass(frozen=True)
class Match:
    """Whom an upload belongs to: one student, or nobody, with the reason (one line that names no other thing)."""

    student: Student | None
    why: str = ""


@dataclass
class Roster:
    """Students in the roster's order, and ways to find one.

    remarks: one line for each row or thing about the file that its owner should know.
    """

    students: tuple[Student, ...]
    remarks: tuple[str, ...] = ()
    _by: dict[str, dict[str, list[Student]]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._by = {key: {} for key in ("canvas", "id", "email", "login", "mailbox", "name")}
        for student in self.students:
            for key in ("canvas", "id", "email", "login"):
                self._add(key, plain(getattr(student, key)), student)
            self._add("mailbox", plain(student.email.partition("@")[0]), student)
            for form in name_forms(student.name):
                self._add("name", form, student)

    def _add(self, key: str, value: str, student: Student) -> None:
        if value and student not in (found := self._by[key].setdefault(value, [])):
            found.append(student)

    def find(self, claimed: Student) -> Match:
        """The student that an export's own facts name: by id, email and login, and only where those say nothing, by name."""
        strong = {
            key: self._by[key].get(plain(getattr(claimed, key)), [])
            for key in ("canvas", "id", "email", "login")
        }
        named = [found for key, found in strong.items() if getattr(claimed, key) and found]
        if named:
            both = [s for s in named[0] if all(s in found for found in named)]
            if len(both) == 1:
                return Match(both[0])
            return Match(None, f"fits {_shown(s for found in named for s in found)}")
        # A name alone does not outweigh an id that is somebody else's.
        named_so = self._named(claimed.name)
        return self._one(
            [s for s in named_so if not (claimed.id and s.id) or plain(claimed.id) == plain(s.id)]
        )

    def find_text(self, text: str) -> Match:
        """The student that a folder's or file's name stands for, as a whole: an id, an email, a login, or a name."""
        value = plain(text)
        found: list[Student] = []
        for key in ("id", "email", "login", "mailbox"):
            found += [s for s in self._by[key].get(value, []) if s not in found]
        return self._one(found or self._named(text))

    def _named(self, name: str) -> list[Student]:
        found: list[Student] = []
        for form in name_forms(name):
            found += [s for s in self._by["name"].get(form, []) if s not in found]
        return found

    @staticmethod
    def _one(found: list[Student]) -> Match:
        if len(found) == 1:
            return Match(found[0])
        return Match(None, f"fits {_shown(found)}" if found else "is nobody on the roster")


def _shown(students: Iterable[Student]) -> str:
    names = list(dict.fromkeys(f"{s.shown} ({s.id or s.email or s.login or 'no id'})" for s in students))
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return f"several on the roster: {', '.join(names[:4])}{more}"


def plain(text: str) -> str:
    """A text as ids and addresses are compared: without case, Unicode form and outer space."""
    return unicodedata.normalize("NFKC", text).strip().casefold()


def name_forms(name: str) -> set[str]:
    """The forms in which a name may come: its words run together, beginning with any of them.

    "Müller, Ana Maria", "Ana Maria Müller" and Canvas's "mülleranamaria" have one in common. Accents and signs do not count,
    but in a name of signs alone they are all there is.
    """
    text = (
        unicodedata.normalize("NFKD", name).casefold().replace("\u0131", "i")
    )  # Turkish, whose capital is I
    text = "".join(c for c in text if not unicodedata.combining(c))
    words = "".join(c if c.isalnum() else " " for c in text).split()
    if not words:
        return {whole} if (whole := plain(name)) else set()
    return {"".join(words[i:] + words[:i]) for i in range(min(len(words), 12))}


def read(path: Path) -> Roster:
    """Reads a roster from a CSV file; raises tables.TableError, one line that names the mend, where it is none."""
    known = {name: key for key, names in COLUMNS.items() for name in names.split()}
    table = tables.read(path, tuple(known))
    places: dict[str, list[int]] = {}
    headers = [tables.header_key(name) for name in table.header]
    for place, header in enumerate(headers):
        key = known.get(header)
        # Canvas calls its own number ID, and the institution's SIS User ID.
        if header == "id" and ("sisuserid" in headers or "sisloginid" in headers):
            key = "canvas"
        if key:
            places.setdefault(key, []).append(place)
    if not set(places) & {"name", "first", "last", "id", "email", "login"}:
        names = ", ".join(name for name in table.header[:8] if name) or "nothing"
        raise tables.TableError(
            f"{path}: its first row names no column that is known ({names}); name them Name, ID, Email, Login or Section"
        )
    students: list[Student] = []
    remarks = list(table.remarks)
    keys: dict[tuple[str, str], Student] = {}
    for number, row in zip(table.numbers, table.rows, strict=True):
        # The first column of a kind that holds something counts.
        facts = {key: next((row[p] for p in where if row[p]), "") for key, where in places.items()}
        role = facts.pop("role", "")
        student = Student(**facts)
        if not student.name:
            student = Student(**{**facts, "name": f"{student.first} {student.last}".strip()})
        if plain(student.name) == "points possible" or not any(facts.values()):
            continue
        if plain(student.name) == "student, test" and not student.id:
            continue
        if plain(role) in STAFF:
            continue
        if student in students:
            remarks.append(f"{path}: line {number}: {student.shown} is there twice; one row counts")
            continue
        for key in ("id", "email", "login", "canvas"):
            if value := plain(getattr(student, key)):
                other = keys.setdefault((key, value), student)
                if other is not student:
                    remarks.append(
                        f"{path}: line {number}: {student.shown} and {other.shown} have the same {key}; "
                        "neither is found by it"
                    )
        students.append(student)
    if not students:
        raise tables.TableError(f"{path}: names no student under its first row")
    return Roster(tuple(students), tuple(remarks))
