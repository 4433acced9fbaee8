"""What people do to points after grading: marks, adjustments, extensions and settings, in files that spreadsheets have saved.

Verdicts are scripted, so that no judge runs; everything else is the command line as instructors use it.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner
from click.testing import Result as Done

from autograder.classroom import session
from autograder.classroom.deadlines import due_time
from autograder.cli.main import main
from autograder.grading import batch
from autograder.grading.options import GradingOptions, Job
from autograder.model.assignment import VARIABLE, assignment
from autograder.model.verdicts import Result, Verdict
from autograder.submissions import intake
from autograder.support.files import write_result
from tests import tiny
from tests.tiny import SOLUTION, forget_assignment, make_assignment, write

ROSTER = (
    "Name,ID,Email,Login\nAna Bo,007,ana@x.edu,am7\nBen Cho,008,ben@x.edu,bc8\nZoe Zed,010,zoe@x.edu,zz0\n"
)
CHECKS = (("twice", 1.0), ("any_shape", 3.0), ("four_times", 2.0))


def graded(queue: Sequence[Job], jobs: int, options: GradingOptions) -> Iterator[tuple[Job, Result]]:
    """Full points for all, in place of `batch.run`."""
    first, second = (q.id for q in assignment().rubric.auto)
    ids = zip((first, first, second), CHECKS, strict=True)
    verdicts = tuple(
        Verdict(f"{q}:{name}", q, name, "hidden", "passed", most, most) for q, (name, most) in ids
    )
    for job in queue:
        digest = intake.read(job.path, assignment().rubric).sha256
        result = Result(job.name, digest, "full", 1.0, verdicts, ((first, 4.0), (second, 2.0)), grader="g")
        assert job.output is not None
        write_result(job.output, result)
        yield job, result


class Desk:
    """Three students on a roster, two of whom handed in; everybody who did has all automatic points: 4 and 2."""

    def __init__(self, base: Path) -> None:
        self.base, self.out = base, base / "g"
        self.file("roster.csv", ROSTER)
        write(base / "sub" / "Ana Bo", SOLUTION)
        write(base / "sub" / "Ben Cho", {**SOLUTION, "first.py": "def double(x):\n    return x + x\n"})

    def file(self, name: str, text: str) -> Path:
        (self.base / name).write_text(text, encoding="utf-8")
        return self.base / name

    def run(self, *arguments: object) -> Done:
        done = CliRunner().invoke(main, [str(a) for a in arguments])
        assert not done.exception or isinstance(done.exception, SystemExit), done.exception
        return done

    def grade(self, *more: object, path: str = "sub", roster: str | None = "roster.csv") -> Done:
        listed = ["--roster", self.base / roster] if roster else []
        done = self.run("grade", self.base / path, *listed, "--out", self.out, "--no-report", *more)
        assert done.exit_code == 0, done.output
        return done

    def merge(self, *arguments: object) -> Done:
        return self.run("merge", *arguments, "--out", self.out)

    def marks(self, **points: str) -> Path:
        """A grader's file: points for question 2w by the student's id."""
        rows = "".join(f"{id.removeprefix('i')},{text}\n" for id, text in points.items())
        return self.file("marks.csv", f"id,2w\n{rows}")

    def column(self, *names: str, out: str = "g") -> dict[str, tuple[str, ...] | str]:
        with (self.base / out / "grades.csv").open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
        made = {row["student"]: tuple(row[n] for n in names) for row in rows}
        return {student: row[0] if len(names) == 1 else row for student, row in made.items()}


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    yield from _desk(tmp_path, monkeypatch)


def _desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setattr(batch, "run", graded)
    monkeypatch.setenv("AUTOGRADER_SECRET", "s")
    monkeypatch.setenv(VARIABLE, str(make_assignment(tmp_path).folder))
    forget_assignment()
    yield Desk(tmp_path)
    monkeypatch.undo()
    forget_assignment()


@pytest.fixture
def other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Desk]]:
    """A desk with another rubric."""

    def made(rubric: str) -> Desk:
        monkeypatch.setattr(tiny, "RUBRIC", rubric)
        return next(desks)

    desks = _desk(tmp_path, monkeypatch)
    yield made
    next(desks, None)


def test_a_namesake_who_left_leaves_neither_grade_nor_marks(desk: Desk) -> None:
    desk.file("r1.csv", "Name,Email\nKim Lee,kim1@x.edu\nKim Lee,kim2@x.edu\n")
    desk.file("r2.csv", "Name,Email\nKim Lee,kim2@x.edu\n")
    desk.file("files.csv", "file,student\nAna Bo,kim1@x.edu\n")
    desk.grade("--map", desk.base / "files.csv", roster="r1.csv")
    write(desk.base / "more" / "Zoe", SOLUTION)
    desk.grade(path="more", roster="r2.csv")
    assert [(r["email"], r["total"], r["notes"]) for r in rows(desk) if r["student"] == "Kim Lee"] == [
        ("kim2@x.edu", "0", ""),
        ("kim1@x.edu", "6", "not on the roster"),
    ]


def rows(desk: Desk) -> list[dict[str, str]]:
    with (desk.out / "grades.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_copy_of_the_gradebook_brings_no_adjusted_points_back_as_marks(desk: Desk) -> None:
    desk.grade()
    assert desk.merge(desk.marks(i007="1")).exit_code == 0
    adjusted = desk.file("a.csv", "student,question,points\n007,2w,-0.5\n008,2w,1\n")
    assert desk.merge("--adjustments", adjusted).exit_code == 0
    before = desk.column("2w")
    assert before == {"Ana Bo": "0.5", "Ben Cho": "1", "Zoe Zed": ""}
    marked = (desk.out / "written.csv").read_text()
    copy = desk.file("copy.csv", (desk.out / "grades.csv").read_text())
    for more in ([], ["--replace"]):
        assert desk.merge(copy, *more).exit_code == 0
        assert desk.column("2w") == before
        assert (desk.out / "written.csv").read_text() == marked


def test_points_typed_into_the_gradebook_itself_are_kept_and_named(desk: Desk) -> None:
    desk.grade()
    path = desk.out / "grades.csv"
    typed = path.read_text().replace(",4,2,,,6,", ",4,2,1,,6,")
    adjusted = desk.file("a.csv", "student,question,points\n007,1,-1\n")
    for by_merge in (False, True):
        path.write_text(typed)
        done = desk.merge("--adjustments", adjusted) if by_merge else desk.grade()
        assert "differ from what is merged and adjusted (Ana Bo, 2w; Ben Cho, 2w)" in done.stderr
        assert set(desk.column("2w").values()) == {""}
    assert "differ from what is merged" not in desk.grade().stderr
    assert desk.merge(desk.out / "grades-typed-1.csv").exit_code == 0
    assert desk.column("2w") == {"Ana Bo": "1", "Ben Cho": "1", "Zoe Zed": ""}
    # Merging the file itself is the usual way.
    path.write_text(path.read_text().replace(",4,2,1,,7,", ",4,2,0.5,,7,"))
    done = desk.merge(path, "--replace")
    assert done.exit_code == 0 and "differ from what is merged" not in done.stderr
    assert desk.column("2w")["Ben Cho"] == "0.5"


def test_points_are_taken_back_with_none(desk: Desk) -> None:
    desk.grade()
    assert desk.merge(desk.marks(i007="1", i008="0.5")).exit_code == 0
    back = desk.marks(i007="none", i008="")
    done = desk.merge(back)
    assert done.exit_code == 1
    assert (
        "Ana Bo, 2w: no points in marks.csv, line 2, but 1 from marks.csv are merged already" in done.stderr
    )
    assert desk.merge(back, "--replace").exit_code == 0
    assert desk.column("2w") == {"Ana Bo": "", "Ben Cho": "0.5", "Zoe Zed": ""}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("id,2w,2w comment\n007,0,5,fine\n", "line 2 has 4 cells and the header 3"),
        ("id,2w,2w\n007,1,0\n", "the column 2w is there twice"),
        ("id,2w,2w Kommentar\n007,1,gut\n", "the column '2w Kommentar' is not read"),
    ],
)
def test_a_file_that_would_be_misread_is_refused(desk: Desk, text: str, line: str) -> None:
    desk.grade()
    done = desk.merge(desk.file("marks.csv", text))
    assert (done.exit_code, len(done.stderr.splitlines())) == (2, 1)
    assert line in done.stderr
    assert set(desk.column("2w").values()) == {""}


def test_a_row_that_a_quotation_mark_swallows_is_noticed(desk: Desk) -> None:
    desk.grade()
    text = 'student,question,points,comment,who\n007,1,-1,"Two,Kim\n008,1,-2,,Kim\n007,2,-1,"Late, excused",Kim\n'
    done = desk.merge("--adjustments", desk.file("a.csv", text))
    assert done.exit_code == 2
    assert "cells and the header 5: put quotation marks around a cell" in done.stderr
    assert desk.column("total")["Ana Bo"] == "6"


def test_ids_that_differ_in_punctuation_are_different_questions(other: Callable[[str], Desk]) -> None:
    desk = other(tiny.RUBRIC.replace('id = "2w"', 'id = "1.2"').replace('id = "2"', 'id = "12"'))
    desk.grade()
    copy = (desk.out / "grades.csv").read_text().replace(",4,2,,,6,", ",4,2,0.5,,6,")
    assert desk.merge(desk.file("copy.csv", copy)).exit_code == 0
    assert desk.column("12", "1.2")["Ana Bo"] == ("2", "0.5")
    assert desk.column("12", "1.2")["Zoe Zed"] == ("0", "")
    desk.grade()
    assert desk.column("12", "1.2")["Ana Bo"] == ("2", "0.5")


def test_adjustments_without_written_questions(other: Callable[[str], Desk]) -> None:
    before, _, _ = tiny.RUBRIC.rpartition("[[question]]")
    desk = other(before)
    desk.grade()
    adjusted = desk.file("a.csv", "student,question,points\n007,1,-1\n")
    for _ in range(2):
        assert desk.merge("--adjustments", adjusted).exit_code == 0
        desk.grade()
        assert desk.column("total")["Ana Bo"] == "5"


def test_an_added_point_whose_sign_a_spreadsheet_dropped_is_noticed(desk: Desk) -> None:
    desk.grade()
    done = desk.merge("--adjustments", desk.file("a.csv", "student,question,points\n007,1,1\n"))
    assert "sets 007, 1, from 4 to 1 points; if 1 should be added" in done.stderr
    assert "write: add 1" in desk.grade().stderr
    assert desk.column("1")["Ana Bo"] == "1"
    both = desk.file("b.csv", "student,question,points\n007,1,-2\n007,1,add 1\n007,1,-2\n")
    assert desk.merge("--adjustments", both).exit_code == 0
    assert desk.column("1")["Ana Bo"] == "1"
    once = desk.merge("--adjustments", desk.file("c.csv", "student,question,points\n007,1,-2\n007,1,+1\n"))
    assert "-2 is not in" in once.stderr, "one of two equal rows is gone"
    assert desk.column("1")["Ana Bo"] == "3"


def test_what_is_given_to_absent_students_follows_the_checks(desk: Desk) -> None:
    head = "given_to_absent = true\n"
    for text, points in (
        ('[checks]\n"1:any_shape" = "given"\n', "3"),
        ('[questions]\n"1" = "given"\n[checks]\n"1:any_shape" = "dropped"\n', "1"),
        ('[questions]\n"1" = "given"\n', "4"),
    ):
        desk.grade("--settings", desk.file("s.toml", head + text))
        assert desk.column("1")["Zoe Zed"] == points
        assert desk.merge(desk.out / "grades.csv").exit_code == 0
        assert desk.column("1")["Zoe Zed"] == points


def test_extensions_hold_without_the_roster_and_follow_the_class(desk: Desk) -> None:
    """Those of the last roster, as written; those of the table, as it is now."""
    text = "- :submitters:\n  - :name: {}\n    :sid: '{}'\n  :created_at: 2026-03-04 12:00:00.0 Z\n"
    people = (("Ana Bo", "007"), ("Ben Cho", "008"))
    records = "".join(
        f"submission_{n}:\n" + text.format(*who).replace("- :submitters", "  :submitters", 1)
        for n, who in enumerate(people)
    )
    folders = {f"submission_{n}/{name}": body for n in range(2) for name, body in SOLUTION.items()}
    write(desk.base / "export", {"submission_metadata.yml": records, **folders})
    desk.file(
        "roster.csv",
        ROSTER.replace("\n", ",\n").replace("Login,", "Login,Extension").replace("am7,", "am7,2 days"),
    )
    (desk.base / "s.toml").write_text('[late]\nper_day = 1\nextensions = "e.csv"\n')
    desk.file("e.csv", "student,extension\n008,30\n")
    desk.grade("--due", "2026-03-01T23:00Z", "--settings", desk.base / "s.toml", path="export")
    assert desk.column("late_deduction") == {"Ana Bo": "1", "Ben Cho": "", "Zoe Zed": ""}
    desk.grade("--due", "2026-03-02T23:00Z", path="export", roster=None)
    assert desk.column("late_deduction")["Ana Bo"] == "", "two days from the new due time"
    desk.file("e.csv", "student,extension\n008,1\n")
    desk.grade("--settings", desk.base / "s.toml", path="export", roster=None)
    assert desk.column("late_deduction")["Ben Cho"] == "1", "corrected"
    again = desk.run("regrade", desk.out, desk.base / "export", "--out", desk.base / "g2", "--no-report")
    assert again.exit_code == 0, again.output
    assert desk.column("due", "total", out="g2") == desk.column("due", "total")


def test_an_older_upload_replaces_no_newer_one(desk: Desk) -> None:
    def export(name: str, day: int, body: str) -> None:
        record = f"submission_1:\n  :submitters:\n  - :name: Ben Cho\n    :sid: '008'\n  :created_at: 2026-03-0{day} 12:00:00.0 Z\n"
        files = {f"submission_1/{n}": t for n, t in {**SOLUTION, "first.py": body}.items()}
        write(desk.base / name, {"submission_metadata.yml": record, **files})

    export("new", 5, "def double(x):\n    return 2 * x\n")
    export("old", 1, "def double(x):\n    return x\n")
    desk.grade(path="new")
    before = desk.column("sha256", "submitted")["Ben Cho"]
    for roster in ("roster.csv", None):
        done = (
            desk.grade(path="old", roster=roster)
            if roster
            else desk.run("grade", desk.base / "old", "--out", desk.out)
        )
        assert "an earlier run has graded a later upload of the same student" in done.stderr
        assert desk.column("sha256", "submitted")["Ben Cho"] == before


def test_marks_of_an_earlier_upload_are_named(desk: Desk) -> None:
    desk.grade()
    assert desk.merge(desk.marks(i007="1", i008="1")).exit_code == 0
    assert "handed in again" not in desk.grade().stderr
    write(desk.base / "sub" / "Ana Bo", {**SOLUTION, "first.py": "def double(x):\n    return x * 2\n"})
    done = desk.grade()
    assert "Ana Bo: handed in again after the written answers had points, which stay" in done.stderr
    assert "Ben Cho: handed in again" not in done.stderr
    assert desk.column("2w")["Ana Bo"] == "1"


def test_a_change_of_settings_or_adjustments_alone_is_in_the_table_of_changes(desk: Desk) -> None:
    desk.grade("--adjustments", desk.file("a.csv", "student,question,points\n007,1,-2\n"))
    dropped = desk.file("s.toml", '[questions]\n"2" = "dropped"\n')
    for name, more in (
        ("g2", ["--settings", dropped]),
        ("g3", ["--adjustments", desk.file("none.csv", "student,question,points\n")]),
    ):
        out = desk.base / name
        done = desk.run(
            "regrade",
            desk.out,
            desk.base / "sub",
            "--roster",
            desk.base / "roster.csv",
            "--out",
            out,
            "--no-report",
            *more,
        )
        assert done.exit_code == 0, done.output
        with (out / "changes.csv").open(encoding="utf-8", newline="") as stream:
            moved = {
                r["submission"]: (r["earlier"], r["now"]) for r in csv.DictReader(stream) if not r["question"]
            }
        assert moved == (
            {"Ana Bo": ("4", "2"), "Ben Cho": ("6", "4")} if name == "g2" else {"Ana Bo": ("4", "6")}
        )


def test_the_canvas_column_and_odd_letters_stay(desk: Desk) -> None:
    desk.file(
        "roster.csv",
        ROSTER.replace("Ana Bo", "Ana\u00a0Bo").replace(
            "Zoe Zed", "\u0639\u0644\u06cc\u200c\u0631\u0636\u0627"
        ),
    )
    desk.grade("--assignment", "HW 3 (12345)")
    assert desk.merge(desk.marks(i007="1")).exit_code == 0
    canvas = (desk.out / "canvas.csv").read_text(encoding="utf-8")
    assert canvas.splitlines()[0].endswith(",HW 3 (12345)")
    assert "Bo, Ana" in canvas or "Ana Bo" in canvas
    assert "\u0639\u0644\u06cc\u200c\u0631\u0636\u0627" in canvas and "?" not in canvas


def test_a_gradebook_that_a_spreadsheet_saved_in_place_is_read(desk: Desk) -> None:
    desk.grade()
    path = desk.out / "grades.csv"
    with path.open(encoding="utf-8", newline="") as stream:
        table = list(csv.reader(stream))
    table[1] = [text.replace("6", "6,0", 1) if text == "6" else text for text in table[1]]
    path.write_text("\n".join(";".join(row) for row in table), encoding="utf-8")
    assert desk.merge(desk.file("marks.csv", "id;2w\n007;0,5\n")).exit_code == 0
    assert desk.column("total")["Ana Bo"] == "6.5"
    path.write_text(path.read_text().replace(",6.5,", ",inf,"))
    done = desk.merge(desk.marks(i008="1"))
    assert (done.exit_code, len(done.stderr.splitlines())) == (2, 1)
    assert "total is 'inf', which is not a number" in done.stderr


def test_names_read_in_the_wrong_encoding_still_find_their_row(desk: Desk) -> None:
    desk.file("roster.csv", ROSTER.replace("Ana Bo", "Ana Müller"))
    desk.file("files.csv", "file,student\nAna Bo,007\n")
    desk.grade("--map", desk.base / "files.csv")
    wrong = (desk.out / "grades.csv").read_bytes().decode("cp1252").replace(",4,2,,,6,", ",4,2,1,,6,")
    assert desk.merge(desk.file("copy.csv", wrong)).exit_code == 0
    assert desk.column("2w")["Ana Müller"] == "1"


def test_two_runs_do_not_write_into_one_folder(desk: Desk) -> None:
    desk.grade()
    with session.locked(desk.out):
        assert desk.merge(desk.marks(i007="1")).exit_code == 2
    assert desk.merge(desk.marks(i007="1")).exit_code == 0


def test_a_member_who_handed_in_alone_later_stays_alone(desk: Desk) -> None:
    def record(number: int, day: int, *ids: str) -> str:
        people = "".join(
            f"  - :name: {name}\n    :sid: '{id}'\n"
            for id, name in (("007", "Ana Bo"), ("008", "Ben Cho"))
            if id in ids
        )
        return f"submission_{number}:\n  :submitters:\n{people}  :created_at: 2026-03-0{day} 12:00:00.0 Z\n"

    for name, text, number in (("group", record(1, 1, "007", "008"), 1), ("alone", record(2, 5, "008"), 2)):
        files = {f"submission_{number}/{n}": body for n, body in SOLUTION.items()}
        write(desk.base / name, {"submission_metadata.yml": text, **files})
        desk.grade(path=name)
    assert desk.column("submission") == {"Ana Bo": "Ana Bo and Ben Cho", "Ben Cho": "Ben Cho", "Zoe Zed": ""}
    desk.grade(path="group")
    assert desk.column("submission") == {"Ana Bo": "Ana Bo and Ben Cho", "Ben Cho": "Ben Cho", "Zoe Zed": ""}


def test_a_graders_file_holds_marks_whatever_the_gradebook_shows(desk: Desk) -> None:
    """A mark is a mark, also where it equals what an adjustment has made of another one."""
    desk.grade()
    assert desk.merge(desk.marks(i007="0.5")).exit_code == 0
    assert (
        desk.merge(
            "--adjustments", desk.file("a.csv", "student,question,points\n007,2w,add 0.25\n008,2w,0.5\n")
        ).exit_code
        == 0
    )
    assert desk.column("2w") == {"Ana Bo": "0.75", "Ben Cho": "0.5", "Zoe Zed": ""}
    assert desk.merge(desk.marks(i007="0.75", i008="0.5"), "--replace").exit_code == 0
    assert desk.merge("--adjustments", desk.file("none.csv", "student,question,points\n")).exit_code == 0
    assert desk.column("2w") == {"Ana Bo": "0.75", "Ben Cho": "0.5", "Zoe Zed": ""}


def test_one_grader_takes_back_and_another_comments(desk: Desk) -> None:
    desk.grade()
    assert desk.merge(desk.marks(i007="1")).exit_code == 0
    comment = desk.file("comments.csv", "id,2w,2w comment\n007,,Please ask me.\n")
    done = desk.merge(desk.file("back.csv", "id,2w\n007,none\n"), comment, "--replace")
    assert done.exit_code == 0, done.output
    assert desk.column("2w")["Ana Bo"] == ""


def test_the_sections_of_a_class_keep_their_extensions(desk: Desk) -> None:
    head, ana, ben, _ = ROSTER.splitlines()
    desk.file("a.csv", f"{head},Extension\n{ana},5 days\n")
    desk.file("b.csv", f"{head}\n{ben}\n")
    for name, roster in (("Ana Bo", "a.csv"), ("Ben Cho", "b.csv")):
        desk.grade("--due", "2026-03-01T23:00Z", path=f"sub/{name}", roster=roster)
    assert desk.column("due") == {
        "Ben Cho": "2026-03-01 23:00:00 +0000",
        "Ana Bo": "2026-03-06 23:00:00 +0000",
    }


@pytest.mark.parametrize("text", ["2026-03-01T23:59", "2026-03-01t23:59", "2026-03-01\u00a023:59"])
def test_a_time_of_day_is_not_taken_for_a_whole_day(text: str) -> None:
    assert due_time(f"{text}Z").minute == 59 and due_time(f"{text}Z").day == 1
