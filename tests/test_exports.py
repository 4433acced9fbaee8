"""Class downloads: every layout is recognised, and every file that is found belongs to one student or is reported."""

from __future__ import annotations

import os
import re
import shutil
import time
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autograder.classroom import collect
from autograder.classroom.collect import Entry, Plan
from autograder.classroom.deadlines import Deadlines, Extension, due_time, extended
from autograder.classroom.errors import ClassroomError
from autograder.classroom.policy import Policy
from autograder.classroom.reporting import OWN_POINTS, on_pages
from autograder.classroom.roster import Roster
from autograder.classroom.rows import rows_of
from autograder.classroom.settings import Late, Settings
from autograder.model.assignment import assignment
from autograder.model.rubric import Rubric
from autograder.model.student import Student
from autograder.submissions import exports, intake, metadata, names
from autograder.submissions import files as walking
from autograder.submissions.exports import Found
from autograder.submissions.staging import TempStore
from autograder.support.files import file_name, write_atomically
from tests.classes import METADATA, MODULES, gradescope, inside, pack, packed, result, write


@pytest.fixture(scope="module")
def rubric() -> Rubric:
    return assignment().rubric


def find(path: Path, rubric: Rubric) -> Found:
    return exports.find(path, rubric, TempStore(path.parent / ".uploads"))


def plan(
    *paths: Path,
    roster: Roster | None = None,
    due: datetime | Deadlines | None = None,
    earlier: Sequence[Entry] = (),
) -> Plan:
    out = paths[0].parent / "out"
    return collect.plan(paths, out, assignment().rubric, TempStore(out / ".uploads"), roster, due, earlier)


def contents(path: Path) -> dict[str, bytes]:
    return dict(intake.read(path, assignment().rubric).files)


def test_a_folder_of_submissions_is_distinguished_from_a_submission(tmp_path: Path, rubric: Rubric) -> None:
    write(tmp_path / "in", inside("ana") | {"ben/hw/vae.py": b"b", "notes.txt": b""})
    pack(tmp_path / "in" / "cleo.zip", MODULES)
    (tmp_path / "in" / "dora").mkdir()
    found = find(tmp_path / "in", rubric)
    assert (found.layout, [u.label for u in found.uploads]) == ("folder", ["ana", "ben", "cleo", "dora"])
    assert found.remarks == []
    for path in (tmp_path / "in" / "ana", tmp_path / "in" / "cleo.zip"):
        (upload,) = find(path, rubric).uploads
        assert (upload.path, upload.layout) == (path, "one")
    with pytest.raises(intake.UnusableSubmission, match="there is no such file or folder"):
        find(tmp_path / "nowhere", rubric)


@pytest.mark.parametrize("as_zip", [False, True])
def test_gradescopes_export_names_students_groups_and_times(
    tmp_path: Path, rubric: Rubric, as_zip: bool
) -> None:
    path = pack(tmp_path / "e.zip", gradescope()) if as_zip else write(tmp_path / "e", gradescope())
    found = find(path, rubric)
    assert found.layout == "gradescope"
    ana, group, unnamed = found.uploads
    assert ana.students == (Student("Ana Müller", "007", "ana@example.edu"),)
    assert ana.submitted_at == datetime(2026, 3, 1, 22, 30, 0, 861687, tzinfo=timezone.utc)
    assert [s.name for s in group.students] == ["Ben Bo", "Cleo Cruz"]
    assert unnamed.students == ()
    assert "names nobody for submission_103" in found.remarks[0]
    assert all(contents(u.path) == MODULES for u in found.uploads)


def test_late_gradescope_uploads_are_found_by_the_due_time_and_group_members_have_a_row_each(
    tmp_path: Path,
) -> None:
    made = plan(write(tmp_path / "e", gradescope()), due=due_time("2026-03-02T00:00Z"))
    rows = {e.student.name: (e.work, e.late) for e in made.entries}
    assert rows == {
        "Ana Müller": ("Ana Müller", False),
        "Ben Bo": ("Ben Bo and Cleo Cruz", True),
        "Cleo Cruz": ("Ben Bo and Cleo Cruz", True),
        "submission_103": ("submission_103", None),
    }
    assert len(made.works) == 3
    (late,) = [w for w in made.works if w.name == "Ben Bo and Cleo Cruz"]
    assert any("handed in late" in note for note in late.notes)


def test_members_of_a_group_have_due_times_of_their_own(tmp_path: Path, rubric: Rubric) -> None:
    """Eight hours late for one, and on an extension for the other: two totals; the page that they share names neither."""
    extension = Extension("Cleo Cruz", "1", "more.csv: line 2")
    until = Deadlines(due_time("2026-03-02T00:00Z"), table=[extension])
    made = plan(write(tmp_path / "e", gradescope()), due=until)
    _, ben, cleo, _ = made.entries
    assert [(e.student.name, e.late, "handed in late" in e.notes) for e in (ben, cleo)] == [
        ("Ben Bo", True, True),
        ("Cleo Cruz", False, False),
    ]
    results = {"Ben Bo and Cleo Cruz": result("Ben Bo and Cleo Cruz", q1_6=2)}
    policy = Policy(Settings(late=Late(per_day=0.5)))
    rows = rows_of([ben, cleo], results, rubric, {}, ["1-6"], policy)
    assert [(row.deduction, row.total) for row in rows] == [(0.5, 1.5), (0, 2)]
    lines = on_pages(policy, rows, results, rubric)["Ben Bo and Cleo Cruz"]
    assert lines == (OWN_POINTS,)
    (work,) = [w for w in made.works if w.name == "Ben Bo and Cleo Cruz"]
    assert not any("late" in note for note in work.notes)
    both = rows_of([ben, replace(cleo, due=ben.due)], results, rubric, {}, ["1-6"], policy)
    assert on_pages(policy, both, results, rubric)["Ben Bo and Cleo Cruz"] == (
        "Handed in 08:00:00 (hours, minutes and seconds) after the due time, which counts as 1 day: -0.5 points.",
        "With this, the total is 1.5 points.",
    )


BROKEN = {
    "bomb": "a: &a [x, x]\nb: &b [*a, *a]\nc: &c {<<: [*b, *b]}\n",
    "object": "submission_101: !!python/object/apply:os.system ['echo no']\n",
    "deep": "[" * 100_000,
    "half": METADATA[:60] + "\n\t- :x: [",
    "binary": "\x00\x01",
    "list": "- 1\n- 2\n",
    "empty": "",
}


@pytest.mark.parametrize("kind", BROKEN)
def test_metadata_that_is_hostile_or_broken_costs_only_the_names(
    tmp_path: Path, rubric: Rubric, kind: str
) -> None:
    write(
        tmp_path / "e", gradescope() | {"assignment_55_export/submission_metadata.yml": BROKEN[kind].encode()}
    )
    found = find(tmp_path / "e", rubric)
    assert [u.label for u in found.uploads] == ["submission_101", "submission_102", "submission_103"]
    assert all(u.students == () for u in found.uploads)
    assert found.remarks
    assert all("\n" not in line for line in found.remarks)


def test_metadata_without_its_folder_and_a_folder_without_metadata_are_reported(
    tmp_path: Path, rubric: Rubric
) -> None:
    files = {n: d for n, d in gradescope().items() if "submission_101/" not in n}
    write(tmp_path / "e", files | inside("assignment_55_export/submission_999"))
    found = find(tmp_path / "e", rubric)
    assert "submission_999" in [u.label for u in found.uploads]
    assert any("submission_999 is not named" in line for line in found.remarks)
    assert any("submission_101 is named in submission_metadata.yml, but" in line for line in found.remarks)


def canvas_files(tmp_path: Path) -> dict[str, bytes]:
    single = {f"mülleranamaria_12_{100 + i}_{name}": data for i, (name, data) in enumerate(MODULES.items())}
    return single | {
        "bobenjamin_LATE_13_200_work-2.zip": packed(MODULES, tmp_path),
        "cruzcleo_14_201_hw.rar": b"Rar!",
        "doedora_15_text.html": b"<p>It is in my mail</p>",
        "LATE_anon_Ab3xZ_300_vae-1.py": b"# v\n",
        "stray.py": b"",
    }


@pytest.mark.parametrize("as_zip", [False, True])
def test_canvas_file_names_group_the_files_of_a_student(tmp_path: Path, rubric: Rubric, as_zip: bool) -> None:
    files = canvas_files(tmp_path)
    path = pack(tmp_path / "c.zip", files) if as_zip else write(tmp_path / "c", files)
    found = find(path, rubric)
    assert found.layout == "canvas"
    by_name = {u.students[0].name: u for u in found.uploads}
    assert sorted(by_name) == ["anon_Ab3xZ", "bobenjamin", "cruzcleo", "doedora", "mülleranamaria"]
    assert contents(by_name["mülleranamaria"].path) == MODULES
    assert contents(by_name["bobenjamin"].path) == MODULES
    assert contents(by_name["anon_Ab3xZ"].path) == {"vae.py": b"# v\n"}
    assert {n: u.late for n, u in by_name.items()} == {
        "mülleranamaria": False,
        "bobenjamin": True,
        "cruzcleo": False,
        "doedora": False,
        "anon_Ab3xZ": True,
    }
    (line,) = found.remarks
    assert "stray.py lies beside the submissions" in line


def test_canvas_versions_are_attempts_and_the_last_counts(tmp_path: Path) -> None:
    files = {
        "bob_13_200_vae.py": b"# first\n",
        "bob_13_210_vae-1.py": b"# second\n",
        "bob_13_205_gan.py": b"# g\n",
    }
    made = plan(write(tmp_path / "c", files))
    latest, earlier = made.works
    assert contents(latest.path) == {"vae.py": b"# second\n", "gan.py": b"# g\n"}
    assert contents(earlier.path) == {"vae.py": b"# first\n"}
    (entry,) = made.entries
    assert (entry.work, entry.earlier) == ("bob", ("bob earlier 1",))
    assert "2 uploads; the latest" in entry.notes[0] and "not bob_13_200_vae.py" in entry.notes[0]


def test_file_names_that_only_look_like_canvas_are_not_interpreted(tmp_path: Path, rubric: Rubric) -> None:
    zipped = packed(MODULES, tmp_path)
    found = find(write(tmp_path / "c", {"hw_1_2_ana.zip": zipped, "hw_1_2_ben.zip": zipped}), rubric)
    assert (found.layout, [u.label for u in found.uploads]) == ("folder", ["hw_1_2_ana", "hw_1_2_ben"])


@pytest.mark.parametrize("as_zip", [False, True])
def test_moodle_folders_and_files_are_recognised(tmp_path: Path, rubric: Rubric, as_zip: bool) -> None:
    files = {
        **inside("Ana Müller_31_assignsubmission_file_"),
        "Ben Bo_32_assignsubmission_file/work.zip": packed(MODULES, tmp_path),
        "Cleo Cruz_33_assignsubmission_file_vae.py": b"# v\n",
        "Cleo Cruz_33_assignsubmission_file_gan.py": b"# g\n",
        "Ana Müller_31_assignsubmission_onlinetext_/onlinetext.html": b"<p>done</p>",
    }
    found = find(
        pack(tmp_path / "m.zip", files) if as_zip else write(tmp_path / "m", files),
        rubric,
    )
    assert found.layout == "moodle"
    assert {u.students[0].name: sorted(contents(u.path)) for u in found.uploads} == {
        "Ana Müller": sorted(MODULES),
        "Ben Bo": sorted(MODULES),
        "Cleo Cruz": ["gan.py", "vae.py"],
    }
    assert {u.late for u in found.uploads} == {None}


def test_zips_of_folders_and_of_zips_are_classes_but_a_students_zip_is_not(
    tmp_path: Path, rubric: Rubric
) -> None:
    folders = pack(tmp_path / "folders.zip", inside("all/ana") | inside("all/ben/hw"))
    zips = pack(tmp_path / "zips.zip", {f"{n}.zip": packed(MODULES, tmp_path) for n in ("ana", "ben")})
    for path in (folders, zips):
        found = find(path, rubric)
        assert (found.layout, [u.label for u in found.uploads]) == ("zip", ["ana", "ben"])
        assert all(contents(u.path) == MODULES for u in found.uploads)
    for files in (MODULES, inside("hw3/mine"), inside("hw3") | {"hw3/old.zip": b"PK"}, {"x.txt": b""}):
        (upload,) = find(pack(tmp_path / "one.zip", files), rubric).uploads
        assert upload.layout == "one"


def test_a_class_zip_writes_nothing_outside_its_folder(tmp_path: Path, rubric: Rubric) -> None:
    path = tmp_path / "in" / "class.zip"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("../up.zip", "/abs.zip", "a/../../b.zip", "ana/vae.py", "ben/vae.py", "C:\\x.py"):
            archive.writestr(name, b"# v\n")
        link = zipfile.ZipInfo("cleo/gan.py")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    store = tmp_path / "deep" / "er" / "store"
    found = exports.find(path, rubric, TempStore(store))
    assert [u.label for u in found.uploads] == ["ana", "ben"]
    written = {p for p in tmp_path.rglob("*") if p.is_file()} - {path}
    assert all(p.is_relative_to(store) for p in written)
    assert sum("points outside the archive" in line for line in found.remarks) == 4
    assert sum("cleo/gan.py is a link" in line for line in found.remarks) == 1
    if os.name == "posix":
        assert store.stat().st_mode & 0o077 == 0


def test_names_in_a_zip_that_differ_only_in_case_are_two_students(tmp_path: Path, rubric: Rubric) -> None:
    files = {"ana.zip": packed(MODULES, tmp_path), "Ana.zip": packed({"vae.py": b"x"}, tmp_path)}
    found = find(pack(tmp_path / "c.zip", files), rubric)
    assert {u.label: len(contents(u.path)) for u in found.uploads} == {"ana": 4, "Ana": 1}


def test_a_damaged_file_in_a_class_zip_costs_only_itself(tmp_path: Path, rubric: Rubric) -> None:
    data = bytearray(pack(tmp_path / "c.zip", inside("ana") | inside("ben")).read_bytes())
    place = data.index(b"# autoencoder")
    data[place : place + 5] = b"XXXXX"
    (tmp_path / "d.zip").write_bytes(data)
    found = find(tmp_path / "d.zip", rubric)
    assert [u.label for u in found.uploads] == ["ana", "ben"]
    assert any("ana/autoencoder.py cannot be read" in line for line in found.remarks)


# Digits beside underscores in a name would look like the numbers that Canvas adds.
NAME = st.text("abcäßé_-. =@é1", min_size=1, max_size=8).filter(
    lambda s: s.strip(" ._-") != "" and not re.search(r"_\d|\d_|^\d+$|\d$", s)
)
NUMBER = st.integers(1, 40)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(NAME, st.booleans(), NUMBER, NUMBER, st.sampled_from(["vae.py", "vae-1.py", "w.zip"])),
        max_size=8,
    ),
    st.lists(
        st.sampled_from(["x.py", "y_1_2.py", "plain.zip", "Ann_3_assignsubmission_file_vae.py"]), max_size=3
    ),
)
def test_every_file_found_belongs_to_one_upload_or_is_reported(
    tmp_path_factory: pytest.TempPathFactory, canvas: list[tuple[str, bool, int, int, str]], more: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("class") / "in"
    folder.mkdir()
    files = {f"{n}{'_LATE' if late else ''}_{u}_{f}_{o}" for n, late, u, f, o in canvas} | set(more)
    files = {name for name in files if not name.startswith(".") and len({name.casefold()}) == 1}
    for i, name in enumerate(sorted(files)):
        data = {"vae.py": f"# {i} {name}\n".encode()}
        if name.endswith(".zip"):
            pack(folder / name, data)
        else:
            (folder / name).write_bytes(data["vae.py"])
    found = find(folder, assignment().rubric)
    graded: list[bytes] = []
    reported = " ".join([*found.remarks, *(note for u in found.uploads for note in u.notes)])
    for upload in found.uploads:
        if upload.layout == "one":  # an empty folder
            assert not any(f.endswith(".zip") for f in files)
            continue
        graded += contents(upload.path).values()
        # Files that are left out on reading are reported with the result.
        reported += " ".join(intake.read(upload.path, assignment().rubric).notes)
    assert len(graded) == len(set(graded))
    for i, name in enumerate(sorted(files)):
        its_own = names.canvas(name) or names.moodle(name)
        assert (
            f"# {i} {name}\n".encode() in graded
            or name in reported
            or (its_own and its_own.original in reported)
        )


def test_the_latest_of_a_students_uploads_counts(tmp_path: Path) -> None:
    """With a roster, uploads of one student are grouped across all paths."""
    roster = Roster((Student("Ana Müller", "007", "ana@example.edu", "am7"), Student("Zoe Zed", "010")))
    export = write(tmp_path / "e", gradescope())
    again = write(
        tmp_path / "again",
        {
            n.replace("55", "56"): d.replace(b"2026-03-01", b"2026-03-09")
            for n, d in gradescope().items()
            if "102" not in n and "103" not in n
        },
    )
    made = plan(again, export, roster=roster)
    ana, zoe, *others = made.entries
    assert (ana.student.name, ana.work, len(ana.earlier)) == ("Ana Müller", "Ana Müller", 1)
    (latest,) = [w for w in made.works if w.name == "Ana Müller"]
    assert latest.path.is_relative_to(again)
    assert (zoe.work, zoe.listed) == (None, True)
    assert [e.student.name for e in others] == ["Ben Bo", "Cleo Cruz", "submission_103"]
    assert all(not e.listed and "not on the roster" in e.notes for e in others)
    assert any("Ben Bo is not on the roster" in line for line in made.remarks)


def test_two_plain_folders_of_one_student_are_listed_and_the_newer_counts(tmp_path: Path) -> None:
    write(tmp_path / "in", inside("am7") | inside("ana müller", {"vae.py": b"# new\n"}))
    for name, when in (("am7", 1_000_000_000), ("ana müller", 1_700_000_000)):
        for path in (tmp_path / "in" / name).iterdir():
            os.utime(path, (when, when))
    made = plan(tmp_path / "in", roster=Roster((Student("Müller, Ana", "007", login="am7"),)))
    (entry,) = made.entries
    assert "2 uploads; the latest, ana müller, counts; not am7" in entry.notes
    assert sorted(w.path.name for w in made.works) == ["am7", "ana müller"]
    assert made.works[0].path.name == "ana müller"


def test_without_a_roster_namesakes_stay_separate(tmp_path: Path) -> None:
    write(tmp_path / "in", inside("ana"))
    pack(tmp_path / "in" / "ana.zip", MODULES)
    made = plan(tmp_path / "in")
    assert [e.work for e in made.entries] == ["ana", "ana-2"]


def test_a_student_with_an_own_and_a_group_upload_has_one_row_and_the_later_upload_counts(
    tmp_path: Path,
) -> None:
    text = METADATA.replace("Ana Müller", "Ben Bo").replace("'007'", "'008'").replace("ana@", "ben@")
    files = gradescope() | {"assignment_55_export/submission_metadata.yml": text.encode()}
    made = plan(write(tmp_path / "e", files))
    (ben,) = [e for e in made.entries if e.student.name == "Ben Bo"]
    assert (ben.work, ben.earlier) == ("Ben Bo and Cleo Cruz", ("Ben Bo",))


def test_an_extension_stays_when_a_later_run_has_no_roster_and_no_due_time(tmp_path: Path) -> None:
    path, due = write(tmp_path / "e", gradescope()), due_time("2026-03-01T00:00Z")
    people = Roster((Student("Ana Müller", "007", "ana@example.edu"),))
    extended = Deadlines(due, [(people.students[0], "2 days")])
    first = plan(path, roster=people, due=extended).entries
    # The manifest keeps the roster's extensions (see test_points_by_hand.py); without a due time the row keeps its own.
    for again in (plan(path, due=extended, earlier=first), plan(path, earlier=first)):
        (ana,) = [e for e in again.entries if e.student.id == "007"]
        (ben,) = [e for e in again.entries if e.student.id == "008"]
        assert (ana.due, ana.late) == (due + timedelta(days=2), False)
        assert (ben.due, ben.late, ben.notes) == (due, True, ("handed in late",))


def test_an_extension_by_login_stays_when_a_later_run_has_no_roster(tmp_path: Path) -> None:
    """The export has no login, and Ana's differs from her address."""
    path, due = write(tmp_path / "e", gradescope()), due_time("2026-03-01T00:00Z")
    until = Deadlines(due, table=[Extension("asilva", "3", "extensions.csv: line 2")])
    people = Roster((Student("Ana Müller", "007", "ana@example.edu", "asilva"),))
    first = plan(path, roster=people, due=until)
    again = plan(path, due=until, earlier=first.entries)
    for made in (first, again):
        assert (made.entries[0].due, made.entries[0].late) == (due + timedelta(days=3), False)
        assert not any("asilva" in line for line in made.remarks)


def test_a_name_that_several_on_the_roster_have_is_not_looked_up_in_an_earlier_run(tmp_path: Path) -> None:
    path = write(tmp_path / "in", inside("Alex Kim", {"vae.py": b"# 2\n"}) | inside("Zoe Zed"))
    one, two = Student("Alex Kim", "101"), Student("Alex Kim", "102")
    made = plan(
        path, roster=Roster((one, two)), earlier=[Entry(one, "Alex Kim"), Entry(Student("Bo", "9"), "Bo")]
    )
    rows = {(e.student.name, e.student.id): (e.work, e.kept) for e in made.entries}
    assert rows[("Alex Kim", "101")] == ("Alex Kim", True)
    assert rows[("Alex Kim", "102")] == (None, False)
    assert rows[("Alex Kim", "")] == ("Alex Kim-2", False)


def test_a_group_with_an_unknown_member_hides_no_upload_of_the_others(tmp_path: Path) -> None:
    """Ana's own upload comes after that of her group with Zed, who has neither id nor address."""
    text = METADATA[: METADATA.index("submission_103")].replace("2026-03-02 08", "2026-02-28 08")
    text = text.replace("Ben Bo", "Ana Müller").replace("'008'", "'007'").replace("ben@", "ana@")
    text = text.replace("Cleo Cruz", "Zed Unknown").replace(
        "    :sid: '009'\n    :email: cleo@example.edu\n", ""
    )
    files = {name: data for name, data in gradescope().items() if "103" not in name}
    files["assignment_55_export/submission_metadata.yml"] = text.encode()
    path = write(tmp_path / "e", files)
    for people in (None, Roster((Student("Ana Müller", "007"),))):
        ana, zed = plan(path, roster=people).entries
        assert (ana.work, ana.earlier, ana.listed) == ("Ana Müller", ("Ana Müller and Zed Unknown",), True)
        assert "also handed in as Ana Müller and Zed Unknown" in ana.notes[-1]
        assert (zed.student.name, zed.work) == ("Zed Unknown", "Ana Müller and Zed Unknown")


def test_due_times_are_read_with_their_time_zone_or_refused() -> None:
    assert due_time("2026-03-01T23:59+01:00") == datetime(2026, 3, 1, 22, 59, tzinfo=timezone.utc)
    assert due_time("2026-03-01 23:59Z") == datetime(2026, 3, 1, 23, 59, tzinfo=timezone.utc)
    end = due_time("2026-03-01").astimezone()
    assert (end.day, end.hour, end.minute, end.second) == (1, 23, 59, 59)
    for wrong in ("", "tomorrow", "2026-13-01", "01.03.2026"):
        with pytest.raises(ValueError, match="is not a time; write it as"):
            due_time(wrong)
    with pytest.raises(ClassroomError, match="'9999-12-31' is after the year 9000"):
        due_time("9999-12-31")
    assert extended("999", due_time("9000-12-31")) > due_time("9000-12-31")
    assert metadata.time_of("2026-03-01 22:30:00.5 -0500") == datetime(
        2026, 3, 2, 3, 30, 0, 500000, tzinfo=timezone.utc
    )


@pytest.mark.skipif(
    not hasattr(time, "tzset"), reason="the time zone of a process cannot be set on this system"
)
def test_due_times_without_a_zone_are_this_machines_however_they_are_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        for text in ("2026-3-1", "2026-03-01", "2026-3-1T23:59:59", "2026-03-01  23:59:59"):
            assert due_time(text) == datetime(2026, 3, 2, 4, 59, 59, tzinfo=timezone.utc), text
        assert due_time("2026-03-01 9:30") == datetime(2026, 3, 1, 14, 30, tzinfo=timezone.utc)
        assert due_time("2026-3-1 9:30Z") == datetime(2026, 3, 1, 9, 30, tzinfo=timezone.utc)
        # Two days of extension end at the same hour, also where summer time ends in between.
        assert extended("2", due_time("2026-10-31T23:59")) == due_time("2026-11-02T23:59")
        assert extended("1", due_time("2026-03-07T23:59")) == due_time("2026-03-08T23:59")
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_fraction_of_a_second_is_not_late(tmp_path: Path) -> None:
    """Gradebooks hold whole seconds, so that a total would change when they are read again."""
    path = write(tmp_path / "e", gradescope())  # Ana's upload: 22:30:00.86
    ana = plan(path, due=due_time("2026-03-01T22:30:00Z")).entries[0]
    assert (ana.late, ana.overdue) == (False, timedelta())
    late = plan(path, due=due_time("2026-03-01T22:29:59Z")).entries[0]
    assert (late.late, late.overdue) == (True, timedelta(seconds=1))


def test_a_gradescope_export_without_submissions_holds_no_student(tmp_path: Path, rubric: Rubric) -> None:
    found = find(write(tmp_path / "e", {metadata.NAME: METADATA.encode()}), rubric)
    assert found.uploads == []
    assert all("there is no such folder" in line for line in found.remarks)


def test_the_folder_for_results_is_no_upload(tmp_path: Path) -> None:
    write(tmp_path / "class", inside("ana") | inside("ben") | {"out/manifest.json": b"{}"})
    for path in (tmp_path / "class", tmp_path / "class" / "ana"):
        found = exports.find(
            path, assignment().rubric, TempStore(tmp_path / "t"), out=tmp_path / "class" / "out"
        )
        assert "out" not in [u.label for u in found.uploads]
        assert found.uploads


def test_a_class_in_a_folder_may_have_more_files_than_a_student(
    tmp_path: Path, rubric: Rubric, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walking, "MAX_ENTRIES", 5)
    many = {f"ana/pictures/{i}.png": b"" for i in range(9)}
    path = write(tmp_path / "class", inside("ana") | inside("ben") | many)
    assert [u.label for u in find(path, rubric).uploads] == ["ana", "ben"]
    store = TempStore(tmp_path / "t")
    mapped = exports.find_mapped(path, {"ana": "Ana", "ben/vae.py": "Ben"}, rubric, store)
    assert mapped.mapped == {"ana", "ben/vae.py"}


@pytest.mark.parametrize("name", ["学" * 100, "é" * 130, "a" * 300], ids=["Chinese", "accents", "plain"])
def test_a_long_name_leaves_room_for_what_is_added_to_it(tmp_path: Path, name: str) -> None:
    taken: set[str] = set()
    for _ in range(3):
        made = file_name(name, taken)
        write_atomically(tmp_path / f"{made}.earlier.json", "{}")
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize("kind", ["folder", "zip", "zip of a folder"])
def test_everything_that_was_handed_out_is_one_submission(tmp_path: Path, rubric: Rubric, kind: str) -> None:
    files = {f"assignment/{m}.py": b"x = 1\n" for m in rubric.modules}
    files |= {f"autograder/generative/probes/{m}.py": b"x = 2\n" for m in rubric.modules}
    files |= {"README.md": b"text", "Makefile": b"all:\n", "autograder/__main__.py": b""}
    whole = write(tmp_path / "ana", files)
    path = whole
    if kind != "folder":
        root, base = (whole, None) if kind == "zip" else (tmp_path, "ana")
        path = Path(shutil.make_archive(str(tmp_path / "zips" / "ana"), "zip", root, base))
    with TempStore(tmp_path / "store").cleared() as store:
        found = exports.find(path, rubric, store)
    assert (found.layout, [u.label for u in found.uploads]) == ("one", ["ana"])
