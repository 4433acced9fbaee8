"""A class of forty as every platform exports it: every upload is read, matched to its student, and nothing is lost."""

from __future__ import annotations

import io
import json
import os
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from autograder.classroom import collect, tables, worksheets
from autograder.classroom.roster import Roster
from autograder.cli.main import main
from autograder.grading.judge import read_job
from autograder.grading.options import GradingOptions
from autograder.model.assignment import VARIABLE, assignment
from autograder.model.student import Student
from autograder.submissions import names, unpack
from autograder.submissions.staging import TempStore
from tests.classes import MODULES, inside, pack, write
from tests.test_doors import tarred, zipped
from tests.tiny import SOLUTION, forget_assignment, make_assignment

FIRST = ["Ana", "Bo", "Cleo", "Dora", "Émile", "Fatma", "Güneş", "Hana"]
LAST = ["Arc", "Bauer-Diaz", "da Silva", "O'Neil", "Çelik"]
STUDENTS = [
    Student(f"{first} {last}", f"{1000 + i}", f"s{i}@example.edu", f"s{i}", github=f"git-{i}")
    for i, (first, last) in enumerate((f, n) for n in LAST for f in FIRST)
]
Files = dict[str, bytes]
Layout = Callable[[int, Student, Files], Files]


def modules(number: int) -> Files:
    return {name: data + f"# {number}\n".encode() for name, data in MODULES.items()}


def handed_in(number: int) -> Files:
    """What a student uploads, in one of five ways; no folders, because no platform takes them."""
    own = modules(number)
    first = zipped({name: data for name, data in own.items() if name != "gan.py"})
    return [
        own,
        {"hw.zip": zipped(own)},
        {"hw 3.zip": zipped({"hw.zip": zipped(inside("work", own))})},
        {"hw.tar.gz": tarred(inside("hw", own))},
        {"problem1.zip": first, "gan.py": own["gan.py"]},
    ][number % 5]


def canvas(number: int, student: Student, files: Files) -> Files:
    first, _, last = student.name.partition(" ")
    name = "".join(c for c in f"{last}{first}".lower() if c.isalnum())
    return {
        f"{name}_{9000 + number}_{100 * number + 1000 + i}_{f}": d for i, (f, d) in enumerate(files.items())
    }


def moodle(number: int, student: Student, files: Files) -> Files:
    return inside(f"{student.name}_{500 + number}_assignsubmission_file_", files)


def blackboard(number: int, student: Student, files: Files) -> Files:
    start = f"HW_3 models_{student.login}_attempt_2026-03-01-22-30-{number:02}"
    text = f"Name: {student.name} ({student.login})\nAssignment: HW_3 models\n"
    return {f"{start}_{name}": data for name, data in files.items()} | {f"{start}.txt": text.encode()}


def brightspace(number: int, student: Student, files: Files) -> Files:
    return inside(f"{70000 + number}-55555 - {student.name} - Mar 1, 2026 {1000 + number} PM", files)


def google(number: int, student: Student, files: Files) -> Files:
    return {f"{student.name} - {name}": data for name, data in files.items()}


def github(number: int, student: Student, files: Files) -> Files:
    return inside(f"hw-3-{student.github}", files | {"README.md": b"", ".git/config": b""})


def gradescope(number: int, student: Student, files: Files) -> Files:
    return inside(f"submission_{number + 1}", files)


def folders(number: int, student: Student, files: Files) -> Files:
    return inside(student.login, files)


def metadata() -> Files:
    entries = [
        f"submission_{i + 1}:\n  :submitters:\n  - :name: {s.name}\n    :sid: '{s.id}'\n    :email: {s.email}\n"
        f"  :created_at: 2026-03-01 22:30:{i:02} Z\n"
        for i, s in enumerate(STUDENTS)
    ]
    return {"submission_metadata.yml": "".join(entries).encode()}


LAYOUTS: dict[str, tuple[Layout, str, Files]] = {
    "canvas": (canvas, "submissions", {}),
    "moodle": (moodle, "CS-HW 3-77", {}),
    "blackboard": (blackboard, "gradebook_CS_HW3", {}),
    "brightspace": (brightspace, "HW 3 Download", {"index.html": b"<html>"}),
    "google": (google, "HW 3", {}),
    "github": (github, "hw-3-submissions", {}),
    "gradescope": (gradescope, "assignment_55_export", metadata()),
    "folder": (folders, "class", {}),
}


def plan(path: Path, roster: Roster | None, mapped: dict[str, str] | None = None) -> collect.Plan:
    out = path.parent / "out"
    store = TempStore(out / ".uploads")
    return collect.plan([path], out, assignment().rubric, store, roster, None, mapped=mapped)


def read(made: collect.Plan) -> dict[str, Files]:
    """By student, what is read."""
    jobs = {job.name: job for job in made.works}
    return {
        entry.student.name: dict(read_job(jobs[entry.work], GradingOptions()).submission.files)
        for entry in made.entries
        if entry.work
    }


EXPECTED = {student.name: modules(i) for i, student in enumerate(STUDENTS)}


def exported(layout: str) -> tuple[str, Files]:
    made, top, more = LAYOUTS[layout]
    files = dict(more)
    for i, student in enumerate(STUDENTS):
        files |= made(i, student, handed_in(i))
    return top, files


@pytest.mark.parametrize("packed", ["folder", "zip", "zip of a folder", "tar.gz"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_class_of_forty_is_read_whole_and_matched(tmp_path: Path, layout: str, packed: str) -> None:
    top, files = exported(layout)
    if packed == "folder":
        path = write(tmp_path / top, files)
    elif packed == "tar.gz":
        path = write(tmp_path, {f"{top}.tar.gz": tarred(inside(top, files))}) / f"{top}.tar.gz"
    else:
        path = pack(tmp_path / f"{top}.zip", files if packed == "zip" else inside(top, files))
    made = plan(path, Roster(tuple(STUDENTS)))
    assert (made.problems, made.remarks) == ([], [])
    assert len(made.works) == len(made.entries) == 40
    assert all(entry.listed for entry in made.entries)
    assert read(made) == EXPECTED


PLATFORMS = ("canvas", "moodle", "blackboard", "brightspace", "github", "gradescope")
# CLASSES=all also grades a class of forty on each platform alone, which takes minutes.
CLASSES = [PLATFORMS, *([(name,) for name in PLATFORMS] if os.environ.get("CLASSES") == "all" else [])]


@pytest.mark.parametrize("platforms", CLASSES, ids="-".join)
def test_a_class_is_graded_once_with_nothing_lost(
    platforms: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every student's upload, of the tiny assignment, comes from one of these platforms, each with its own export."""
    exports: dict[str, Files] = {}
    for i, student in enumerate(STUDENTS):
        layout = platforms[i % len(platforms)]
        made, top, more = LAYOUTS[layout]
        text = {name: text.encode() for name, text in SOLUTION.items()}
        files = text if i % 4 else {"second.py": b"def quadruple(x):\n    return x\n"}
        exports.setdefault(top, dict(more)).update(made(i, student, files))
    paths = [str(pack(tmp_path / f"{top}.zip", inside(top, files))) for top, files in exports.items()]
    people = [f"{s.name},{s.id},{s.email},{s.login},{s.github}" for s in STUDENTS]
    listed = write(tmp_path, {"r.csv": "\n".join(["Name,ID,Email,Login,GitHub Username", *people]).encode()})
    monkeypatch.setenv(VARIABLE, str(make_assignment(tmp_path).folder))
    forget_assignment()
    try:
        given = [
            *paths,
            "--roster",
            str(listed / "r.csv"),
            "-q",
            "2",
            "--out",
            str(tmp_path / "g"),
            "--no-report",
        ]
        for reused in (0, 40):
            done = CliRunner().invoke(main, ["grade", *given, "--json"])
            assert done.exit_code == 0, done.output
            run = json.loads(done.stdout)
            assert (run["submissions"], run["reused"], run["problems"]) == (40, reused, [])
            found = [(s["student"], s["id"], s["status"], s["score"]) for s in run["students"]]
            assert found == [(s.name, s.id, "graded", 2 if i % 4 else 0) for i, s in enumerate(STUDENTS)]
    finally:
        forget_assignment()


@pytest.mark.parametrize("layout", ["moodle", "blackboard", "brightspace", "google"])
def test_names_that_are_in_the_export_need_no_roster(tmp_path: Path, layout: str) -> None:
    top, files = exported(layout)
    assert read(plan(write(tmp_path / top, files), None)) == EXPECTED


def test_moodles_worksheet_states_who_a_participant_is_and_when_they_submitted(tmp_path: Path) -> None:
    rows = [
        f'Participant {500 + i},{s.name},{s.id},{s.email},"Sunday, 1 March 2026, 10:{10 + i} PM",,'
        for i, s in enumerate(STUDENTS)
    ]
    header = "Identifier,Full name,ID number,Email address,Last modified (submission),Grade,Feedback comments"
    files = {"Grades-CS-HW 3--77.csv": "\n".join([header, *rows]).encode("utf-8-sig")}
    for i in range(40):
        files |= inside(f"Participant_{500 + i}_assignsubmission_file_", handed_in(i))
    for path in (write(tmp_path / "in", files), pack(tmp_path / "in.zip", files)):
        made = plan(path, Roster(tuple(Student(s.name, s.id) for s in STUDENTS)))
        assert (made.problems, made.remarks, read(made)) == ([], [], EXPECTED)
        assert made.entries[7].submitted_at is not None
        assert f"{made.entries[7].submitted_at.astimezone():%H:%M}" == "22:17"


def test_githubs_table_states_whose_an_account_is(tmp_path: Path) -> None:
    rows = [f"HW 3,git-{i},{s.id},hw-3-git-{i},2026-03-01 22:30:00 UTC" for i, s in enumerate(STUDENTS)]
    header = "assignment_name,github_username,roster_identifier,student_repository_name,submission_timestamp"
    files: Files = {"classroom_grades.csv": "\n".join([header, *rows]).encode()}
    for i, student in enumerate(STUDENTS):
        files |= github(i, student, handed_in(i))
    made = plan(write(tmp_path / "in", files), Roster(tuple(Student(s.name, s.id) for s in STUDENTS)))
    assert (made.problems, made.remarks, read(made)) == ([], [], EXPECTED)


def test_an_account_at_github_is_no_one_elses_login(tmp_path: Path) -> None:
    """jlee is John's account and Jane's login."""
    jane = Student("Jane Lee", "1", login="jlee", github="janelee99")
    people = Roster((jane, Student("John Lee", "2", login="jlee2")))
    repositories = inside("hw-janelee99", modules(1)) | inside("hw-jlee", modules(2))
    table = b"github_username,roster_identifier,student_repository_name\njlee,jlee2,hw-jlee\n"
    made = plan(write(tmp_path / "hw-submissions", repositories), people)
    assert read(made) == {"Jane Lee": modules(1), "jlee@github": modules(2)}
    assert any("jlee is not on the roster" in line for line in made.remarks)
    write(tmp_path / "hw-submissions", {"classroom_grades.csv": table})
    assert read(plan(tmp_path / "hw-submissions", people)) == {
        "Jane Lee": modules(1),
        "John Lee": modules(2),
    }


def test_several_attempts_on_one_platform_are_listed_and_the_last_counts(tmp_path: Path) -> None:
    student = STUDENTS[3]
    old = {f"HW_{student.login}_attempt_2026-02-01-10-00-00_vae.py": b"# old\n"}
    new = {f"HW_{student.login}_attempt_2026-03-01-10-00-00_{n}": d for n, d in MODULES.items()}
    made = plan(write(tmp_path / "bb", old | new), Roster(tuple(STUDENTS)))
    entry = next(e for e in made.entries if e.student == student)
    assert (entry.work, len(entry.earlier)) == (student.natural, 1)
    assert read(made)[student.name] == MODULES


@pytest.mark.parametrize("packed", [False, True])
def test_a_table_says_whose_a_file_is(tmp_path: Path, packed: bool) -> None:
    files: Files = {"stray.zip": zipped(MODULES)}
    rows: list[tuple[str, Student]] = []
    for i, student in enumerate(STUDENTS):
        theirs = handed_in(i)
        if i % 2:
            files |= inside(f"box {i}", theirs)
            rows.append((f"box {i}", student))
        else:
            files |= {f"{i} {name}": data for name, data in theirs.items()}
            rows += [(f"{i} {name}", student) for name in theirs]
    rows.append(("gone.zip", STUDENTS[0]))
    table = tmp_path / "files.csv"
    table.write_text("\n".join(["File;Student", *(f"{name};{s.email}" for name, s in rows)]))
    table_rows = worksheets.read_map(table)
    path = pack(tmp_path / "in.zip", files) if packed else write(tmp_path / "in", files)
    made = plan(path, Roster(tuple(STUDENTS)), table_rows)
    assert read(made) == EXPECTED
    stray, gone = made.remarks
    assert "stray.zip is not in the table of files; it is left out" in stray
    assert "gone.zip, which the table gives to s0@example.edu, is in none of the paths" in gone
    (job,) = [job for job in made.works if job.name == STUDENTS[0].natural]
    assert any("0 vae.py is read as vae.py" in note for note in job.notes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,who\na.zip,ana\n", "must name the columns file and student"),
        ("file,student\na.zip,\n", "has an empty cell"),
        ("file,student\na.zip,ana\na.zip,ben\n", "a.zip has two students, ana and ben"),
        ("file,student\n", "has no row below the first one"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "files.csv").write_text(text)
    with pytest.raises(tables.TableError, match=message):
        worksheets.read_map(tmp_path / "files.csv")
    done = CliRunner().invoke(main, ["grade", str(tmp_path), "--map", str(tmp_path / "files.csv")])
    assert done.exit_code == 2


def test_one_students_endless_upload_costs_no_one_else_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpack, "MAX_STUDENT", 4 << 20)
    files: Files = {}
    for i, student in enumerate(STUDENTS):
        files |= folders(i, student, handed_in(i))
    endless = {f"s3/z{i:03}.zip": bytes(3 << 20) for i in range(20)}  # 60 MiB of nothing in some KiB
    path = write(tmp_path, {"class.zip": zipped(files | endless)}) / "class.zip"
    made = plan(path, Roster(tuple(STUDENTS)))
    assert made.problems == []
    (line,) = made.remarks
    assert "s3/z" in line and "what follows it from this student are left out" in line
    assert {name: files for name, files in read(made).items() if name != STUDENTS[3].name} == {
        name: files for name, files in EXPECTED.items() if name != STUDENTS[3].name
    }
    unpacked = sum(p.stat().st_size for p in (tmp_path / "out" / ".uploads").rglob("*"))
    assert unpacked < 10 << 20


def test_a_students_many_files_push_out_no_one_elses(tmp_path: Path) -> None:
    files: Files = {f"s3/data/{i}.png": b"" for i in range(60_000)}
    for i in (0, 3):
        files |= inside(f"s{i}/a/b/c", modules(i))
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    path = write(tmp_path, {"class.zip": stream.getvalue()}) / "class.zip"
    made = plan(path, Roster(tuple(STUDENTS)))
    assert {name: found for name, found in read(made).items() if found} == {
        STUDENTS[i].name: modules(i) for i in (0, 3)
    }


def test_a_bomb_in_a_tar_ends_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autograder.submissions.archives.MAX_TAR", 1 << 20)
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, data in {"vae.py": b"# v\n", "huge.bin": bytes(8 << 20), "gan.py": b"# g\n"}.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    from autograder.submissions import intake

    found = intake.read(write(tmp_path, {"a.tgz": stream.getvalue()}) / "a.tgz", assignment().rubric)
    assert found.files == {"vae.py": b"# v\n"}
    assert "a.tgz: the archive cannot be read to its end" in found.notes[0]


def test_a_class_is_told_from_the_parts_of_one_submission(tmp_path: Path) -> None:
    """By what is in the folders, unless a roster says who is a student."""
    parts = inside("problem1", {"vae.py": b"v"}) | inside("problem2", {"gan.py": b"g"})
    one = plan(write(tmp_path / "ana", parts), None)
    assert [e.work for e in one.entries] == ["ana"]
    assert "problem1, problem2 hold different modules, so they are read as one submission" in one.remarks[0]
    students = Roster((Student("Problem1", "1"), Student("Problem2", "2")))
    assert [e.work for e in plan(tmp_path / "ana", students).entries] == ["Problem1", "Problem2"]
    class_ = inside("s1") | inside("s2", {"gan.py": b"g"}) | {"vae.py": b"stray"}
    stray = plan(write(tmp_path / "class", class_), Roster((Student("s1"), Student("s2"))))
    assert [e.work for e in stray.entries] == ["s1", "s2"]
    assert any("vae.py lies beside the submissions" in line for line in stray.remarks)
    del class_["vae.py"]
    assert [e.work for e in plan(pack(tmp_path / "c.zip", class_), None).entries] == ["s1", "s2"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Sunday, 1 March 2026, 10:30 PM", "2026-03-01 22:30"),
        ("Wednesday, September 23, 2020, 12:05 AM", "2020-09-23 00:05"),
        ("Mar 1, 2026 1030 AM", "2026-03-01 10:30"),
        ("1 Dec 2026 23:59", "2026-12-01 23:59"),
    ],
)
def test_times_in_words_are_read(text: str, shown: str) -> None:
    when = names.time_in_words(text)
    assert when is not None and f"{when:%Y-%m-%d %H:%M}" == shown
    assert names.time_in_words("-") is None


def test_logins_with_underscores_on_blackboard_are_different_students(tmp_path: Path) -> None:
    moment = "attempt_2026-03-01-10-00-00"
    files = {f"hw_{login}_{moment}_vae.py": login.encode() for login in ("a_roe", "b_roe")}
    texts = {
        f"hw_{login}_{moment}.txt": f"Name: {name} ({login})".encode()
        for login, name in (("a_roe", "Ana Roe"), ("b_roe", "Ben Roe"))
    }
    for given in (files, files | texts):
        made = plan(write(tmp_path / f"bb{len(given)}", given), None)
        assert sorted(e.student.login for e in made.entries) == ["a_roe", "b_roe"]
        assert len(made.works) == 2


def test_archives_that_are_numbered_by_hand_are_not_canvas(tmp_path: Path) -> None:
    named = {f"hw_3_{i}_{name}.zip": zipped(modules(i)) for i, name in enumerate(("ana", "ben", "cleo"), 1)}
    for path in (write(tmp_path / "in", named), pack(tmp_path / "in.zip", named)):
        made = plan(path, Roster((Student("Ana", login="ana"),)))
        assert len(made.entries) == 4  # Ana, who is in none of the names, and three others
        assert len({tuple(f.items()) for f in read(made).values()}) == 3
