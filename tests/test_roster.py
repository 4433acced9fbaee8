"""Rosters as platforms and people write them; uploads are never matched by guess."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograder.classroom import roster, tables
from autograder.classroom.roster import Roster
from autograder.model.student import Student

CANVAS = """Student,ID,SIS User ID,SIS Login ID,Section,HW 1 (77)
    Points Possible,,,,,10
"Müller, Ana Maria",12,s1,amm,Sec A,9
"Bo, Ben",13,s2,bb,Sec B,
"Student, Test",99,,abc,Sec B,
"""
GRADESCOPE = """First Name,Last Name,SID,Email,Role
Ana Maria,Müller,s1,Ana@Example.edu,Student
Ben,Bo,s2,ben@example.edu,Student
Tess,Teach,t1,tess@example.edu,Instructor
"""
MOODLE = """First name\tSurname\tID number\tEmail address
Ana Maria\tMüller\ts1\tana@example.edu
Ben\tBo\ts2\tben@example.edu
"""
OWN = "sep=;\nMatriculation number;Name;E-Mail\ns1;Ana Maria Müller;ana@example.edu\n\ns2;Ben Bo;\n"


def read(tmp_path: Path, text: str, encoding: str = "utf-8") -> Roster:
    path = tmp_path / "roster.csv"
    path.write_bytes(text.encode(encoding))
    return roster.read(path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
@pytest.mark.parametrize(
    "text", [CANVAS, GRADESCOPE, MOODLE, OWN], ids=["canvas", "gradescope", "moodle", "own"]
)
def test_known_rosters_are_read_in_every_usual_encoding(tmp_path: Path, text: str, encoding: str) -> None:
    people = read(tmp_path, text, encoding)
    assert [s.id for s in people.students] == ["s1", "s2"]
    assert [s.natural for s in people.students] == ["Ana Maria Müller", "Ben Bo"]
    assert bool(people.remarks) == (encoding == "cp1252")


def test_canvas_has_its_own_number_besides_the_students_id(tmp_path: Path) -> None:
    ana = read(tmp_path, CANVAS).students[0]
    assert (ana.canvas, ana.id, ana.login, ana.section) == ("12", "s1", "amm", "Sec A")
    (other,) = read(tmp_path, "Name,ID\nAna,12\n").students
    assert (other.canvas, other.id) == ("", "12")


@pytest.mark.parametrize(
    ("claimed", "expected"),
    [
        (Student(id="S1"), "s1"),
        (Student(email="ANA@example.edu"), "s1"),
        (Student("Somebody Else", email="ben@example.edu"), "s2"),
        (Student("Ana Maria Müller"), "s1"),
        (Student("Müller, Ana Maria"), "s1"),
        (Student("mülleranamaria"), "s1"),
        (Student("Mu\u0308ller Ana Maria"), "s1"),
        (Student("Ana Muller"), None),
        (Student("Ben Bo", id="s9"), None),
        (Student(id="s1", email="ben@example.edu"), None),
        (Student(), None),
    ],
)
def test_the_details_in_an_export_identify_one_student_or_none(
    tmp_path: Path, claimed: Student, expected: str | None
) -> None:
    match = read(tmp_path, GRADESCOPE).find(claimed)
    assert (match.student.id if match.student else None) == expected
    assert bool(match.why) == (expected is None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("s1", "s1"),
        ("ana", "s1"),
        ("ben@example.edu", "s2"),
        ("ben bo", "s2"),
        ("Bo_Ben", "s2"),
        ("s1 hw", None),
    ],
)
def test_a_folders_name_is_an_id_an_address_or_a_name(
    tmp_path: Path, text: str, expected: str | None
) -> None:
    match = read(tmp_path, GRADESCOPE).find_text(text)
    assert (match.student.id if match.student else None) == expected


def test_namesakes_are_listed_and_not_chosen_by_guess(tmp_path: Path) -> None:
    people = read(tmp_path, "Name,ID\nKim Lee,1\nLee Kim,2\nAna,3\n")
    match = people.find(Student("Kim Lee"))
    assert match.student is None
    assert "several on the roster: Kim Lee (1), Lee Kim (2)" in match.why
    assert people.find(Student("Kim Lee", id="2")).student == people.students[1]


def test_rows_that_contradict_each_other_are_reported(tmp_path: Path) -> None:
    people = read(tmp_path, "Name,ID\nAna,1\nAna,1\nBen,1\n")
    assert [s.name for s in people.students] == ["Ana", "Ben"]
    assert "line 3: Ana is there twice" in people.remarks[0]
    assert "line 4: Ben and Ana have the same id" in people.remarks[1]
    assert people.find(Student(id="1")).student is None


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "has no rows"),
        (b"a,b\n1,2\n", "has no column name that is recognised (a, b)"),
        (b"Name,ID\n", "has no student"),
        (b"PK\x03\x04rest", "a spreadsheet or a zip"),
        (b"\x00\x00\x00\x00", "not text"),
        (b'Name\n"' + b"x" * 200_000, "is not CSV"),
        (b"Name\n" + b"x" * (tables.MAX_BYTES + 1), "larger than 16 MiB"),
    ],
)
def test_a_file_that_is_not_a_roster_is_refused_in_one_line(
    tmp_path: Path, data: bytes, message: str
) -> None:
    path = tmp_path / "r.csv"
    path.write_bytes(data)
    with pytest.raises(tables.TableError) as error:
        roster.read(path)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    with pytest.raises(tables.TableError, match="cannot be read"):
        roster.read(tmp_path / "nowhere.csv")


# Letters that stay one letter in capitals, and Turkish's dotless i, which does not.
LETTERS = st.characters(categories=["L"]).filter(
    lambda c: c == "\u0131" or c.upper().casefold() == c.casefold()
)
WORDS = st.lists(st.text(LETTERS, min_size=1, max_size=6), min_size=1, max_size=4)


@given(WORDS)
def test_a_name_is_found_with_its_words_in_any_rotation(words: list[str]) -> None:
    people = Roster((Student(" ".join(words), "1"),))
    for i in range(len(words)):
        turned = words[i:] + words[:i]
        for claimed in (" ".join(turned), "".join(turned).lower(), ", ".join(turned).upper()):
            assert people.find(Student(claimed)).student is people.students[0]


@given(
    st.lists(st.builds(Student, st.text(max_size=5), st.text(max_size=2), st.text(max_size=3)), max_size=5)
)
def test_a_student_who_is_found_has_the_claimed_id(students: list[Student]) -> None:
    people = Roster(tuple(students))
    for student in students:
        found = people.find(student).student
        if found is not None:
            for key in ("id", "email"):
                mine, theirs = getattr(student, key), getattr(found, key)
                assert (
                    not roster.plain(mine)
                    or not roster.plain(theirs)
                    or roster.plain(mine) == roster.plain(theirs)
                    or key == "email"
                )


def test_canvas_without_the_institutions_columns_has_its_own_number(tmp_path: Path) -> None:
    text = 'Student,ID,Section,HW 1 (77)\n    Points Possible,,,10\n"Roe, Ana",101,A,\n"Roe, Ana",102,A,\n'
    people = read(tmp_path, text)
    assert [(s.canvas, s.id) for s in people.students] == [("101", ""), ("102", "")]
    assert people.find(Student("roeana", canvas="102")).student == people.students[1]


def test_a_student_in_two_sections_is_one_student(tmp_path: Path) -> None:
    people = read(tmp_path, "Name,ID,Section,Extension\nAna Roe,1,A,2\nBen Bo,2,A,\nAna Roe,1,B,\n")
    assert [(s.name, s.section) for s in people.students] == [("Ana Roe", "A, B"), ("Ben Bo", "A")]
    assert people.find(Student(id="1")).student == people.students[0]
    assert people.extensions == {people.students[0]: "2"}
    assert len(people.remarks) == 1
    assert "line 4: Ana Roe is there twice" in people.remarks[0]


def test_a_name_does_not_outweigh_another_number_at_canvas() -> None:
    """Ana Silva of the other section, whom this section's roster lacks."""
    people = Roster((Student("Silva, Ana", canvas="101"),))
    assert people.find(Student("silvaana", canvas="202")).student is None
    assert people.find(Student("silvaana", canvas="101")).student is people.students[0]
    assert people.find(Student("silvaana")).student is people.students[0]


def test_an_id_without_its_leading_zeros_is_the_same_unless_someone_has_it() -> None:
    ana, ben = Student("Ana Silva", "007", "ana@example.edu"), Student("Ben Bo", "7")
    for known in (Student("Ana Silva", "7", "ana@example.edu"), Student("A. Silva", "07"), Student(id="7")):
        assert Roster((ana,)).recognise(known) is ana
    assert Roster((ana, ben)).recognise(Student(id="7")) is ben
    assert Roster((ana, ben)).recognise(Student("Ana Silva", "17", "ana@example.edu")) is None


def test_a_quotation_mark_that_is_never_closed_hides_nobody(tmp_path: Path) -> None:
    with pytest.raises(tables.TableError, match="a quotation mark in line 2 is not closed"):
        read(tmp_path, 'Name,ID\n"Roe, Ana,1\nBen Bo,2\nCleo,3\n')
    assert len(read(tmp_path, 'Name,ID\n"Roe,\nAna",1\nBen Bo,2').students) == 2
