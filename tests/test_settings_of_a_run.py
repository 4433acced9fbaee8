"""Settings of a run: what counts in another way, lateness, the highest total; and adjustments by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from autograder.classroom import adjustments, deadlines, gradebook, roster, settings
from autograder.classroom.deadlines import Deadlines
from autograder.classroom.entries import Entry
from autograder.classroom.errors import ClassroomError
from autograder.classroom.policy import Policy
from autograder.classroom.reporting import on_pages
from autograder.classroom.rows import Row, recounted, rows_of
from autograder.model.assignment import Assignment
from autograder.model.rubric import Rubric
from autograder.model.student import Student
from autograder.model.verdicts import GRADER_FAULT, Result, Verdict
from tests.tiny import make_assignment

DUE = datetime(2026, 3, 1, 23, 0, tzinfo=timezone.utc)
ANA, BEN, ZOE = Student("Ana Bo", "007", "ana@x.edu"), Student("Ben Cho", "008"), Student("Zoe Zed", "010")
ENTRIES = (Entry(ANA, "Ana Bo"), Entry(BEN, "Ben Cho"), Entry(ZOE, None))
CHECKS = (("1:twice", "public", 1.0), ("1:any_shape", "hidden", 3.0), ("2:four_times", "public", 2.0))


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Assignment:
    return make_assignment(tmp_path_factory.mktemp("assignment"))


@pytest.fixture(scope="module")
def rubric(subject: Assignment) -> Rubric:
    return subject.rubric


def graded(name: str, *scores: float) -> Result:
    """A result with these points for the checks of the tiny assignment."""
    verdicts = tuple(
        Verdict(id, id[0], f"Title of {id}", visibility, "passed" if score else "failed", score, most)  # type: ignore[arg-type]
        for (id, visibility, most), score in zip(CHECKS, scores, strict=True)
    )
    return Result(name, "a" * 64, "full", 1.0, verdicts, (("1", 4.0), ("2", 2.0)))


RESULTS = {"Ana Bo": graded("Ana Bo", 1, 3, 2), "Ben Cho": graded("Ben Cho", 1, 0, 2)}


def chosen(tmp_path: Path, rubric: Rubric, text: str) -> settings.Settings:
    path = tmp_path / "settings.toml"
    path.write_text(text, encoding="utf-8")
    return settings.read(path, rubric)


def rows(rubric: Rubric, policy: Policy, entries: Sequence[Entry] = ENTRIES) -> list[Row]:
    return rows_of(entries, RESULTS, rubric, policy=policy)


def out_of(tmp_path: Path, rows: list[Row], rubric: Rubric, made: settings.Settings) -> list[str]:
    """The points possible and the totals in canvas.csv."""
    gradebook.write_all(tmp_path / "g", rows, rubric, settings=made)
    lines = (tmp_path / "g" / "canvas.csv").read_text(encoding="utf-8").splitlines()
    return [line.rpartition(",")[2] for line in lines[1:]]


# --- What counts in another way ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "totals"),
    [
        ("", ["6", "6", "3", "0"]),
        ('[questions]\n"1" = "dropped"', ["2", "2", "2", "0"]),
        ('[questions]\n"1" = "given"', ["6", "6", "6", "0"]),
        ('given_to_absent = true\n[questions]\n"1" = "given"', ["6", "6", "6", "4"]),
        ('[questions]\n"1" = "bonus"', ["2", "6", "3", "0"]),
        ('[checks]\n"1:any_shape" = "dropped"', ["3", "3", "3", "0"]),
        ('[checks]\n"1:any_shape" = "given"', ["6", "6", "6", "0"]),
        ('[checks]\n"1:any_shape" = "bonus"', ["3", "6", "3", "0"]),
        ('maximum = 5\n[checks]\n"1:any_shape" = "bonus"', ["3", "5", "3", "0"]),
        ('[questions]\n"1" = "dropped"\n[checks]\n"1:any_shape" = "bonus"', ["2", "5", "2", "0"]),
    ],
)
def test_points_and_the_maximum_are_what_the_settings_say(
    tmp_path: Path, rubric: Rubric, text: str, totals: list[str]
) -> None:
    made = chosen(tmp_path, rubric, text)
    assert out_of(tmp_path, rows(rubric, Policy(made)), rubric, made) == totals


def test_a_written_question_counts_as_the_settings_say(tmp_path: Path, rubric: Rubric) -> None:
    marks = {ENTRIES[0].key: {"2w": 0.5}}
    for way, totals in (
        ("dropped", ["6", "6", "3", "0"]),
        ("given", ["7", "7", "4", "0"]),
        ("bonus", ["6", "6.5", "", "0"]),
    ):
        made = chosen(tmp_path, rubric, f'[questions]\n"2w" = "{way}"')
        counted = rows_of(ENTRIES, RESULTS, rubric, marks, policy=Policy(made))
        assert out_of(tmp_path, counted, rubric, made) == totals


def test_a_check_with_a_fault_of_the_grader_no_longer_holds_back_grades_once_it_is_dropped(
    tmp_path: Path, rubric: Rubric
) -> None:
    result = RESULTS["Ana Bo"]
    faulty = replace(result.checks[0], score=0, status="error", feedback=GRADER_FAULT, grader_fault=True)
    results = {"Ana Bo": replace(result, checks=(faulty, *result.checks[1:]))}
    made = chosen(tmp_path, rubric, '[checks]\n"1:twice" = "dropped"')
    statuses = [
        rows_of(ENTRIES[:1], results, rubric, policy=policy)[0].status for policy in (Policy(), Policy(made))
    ]
    assert statuses == ["fault in the grader", "graded"]


def test_pages_say_what_counts_and_do_not_name_hidden_checks(tmp_path: Path, rubric: Rubric) -> None:
    made = chosen(tmp_path, rubric, '[checks]\n"1:any_shape" = "dropped"\n"1:twice" = "given"')
    policy = Policy(made)
    lines = on_pages(policy, rows(rubric, policy), RESULTS, rubric)["Ben Cho"]
    assert lines[0] == "A hidden check of question 1 is not counted."
    assert lines[1].startswith("The check “Title of 1:twice” of question 1 gives full points")
    assert lines[2] == "With this, the total is 3 points."
    assert "Title of 1:any_shape" in made.counting.lines(rubric, RESULTS["Ben Cho"].checks, student=False)[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[questions]\n"9" = "dropped"', "questions: there is no '9'; it can be 1, 2, 2w"),
        ('[questions]\n"1" = "half"', "questions: 1 is 'half'; it can be dropped, given, bonus"),
        ('[checks]\n"1" = "dropped"', "checks: there is no '1'; it can be 1:NAME"),
        ('[checks]\n"2w:a" = "dropped"', "checks: there is no '2w:a'"),
        ('questions = "1"', "questions is no table"),
        ("droped = 1", "there is no setting 'droped'; there are questions, checks, late"),
        ("late = 1", "late is 1; it can be a table"),
        ("[late]\nper_week = 1", "late: there is no setting 'per_week'"),
        ('[late]\ndue = "soon"', "late: due: 'soon' is not a time"),
        ('[late]\ngrace = "a bit"', "late: grace is 'a bit'; it can be \"30 minutes\""),
        ('[late]\nper_day = "120%"', "late: per_day is '120%'; it can be a share"),
        ("[late]\nper_day = -1", "late: per_day is -1"),
        ('[late]\nper_day = "10%"\ncap = 3', "late: cap is 3; it can be a share, like per_day"),
        ('given_to_absent = "yes"', "given_to_absent is 'yes'; it can be true or false"),
        ("maximum = true", "maximum is True; it can be a number"),
        ("late =", "not valid TOML"),
    ],
)
def test_a_wrong_setting_is_refused_in_one_line_that_says_what_it_can_be(
    tmp_path: Path, rubric: Rubric, text: str, message: str
) -> None:
    with pytest.raises(ClassroomError, match=r"settings\.toml: ") as error:
        chosen(tmp_path, rubric, text)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_a_run_keeps_its_settings_and_reports_that_others_take_their_place(
    tmp_path: Path, subject: Assignment
) -> None:
    own, out = tmp_path / "mine.toml", tmp_path / "g"
    own.write_text('[late]\nper_day = 1\nextensions = "more.csv"\n')
    (tmp_path / "more.csv").write_text("student,extension\n007,2\n")
    out.mkdir()
    settings.of_run(out, own, subject).keep(out)
    later = settings.of_run(out, None, subject)
    assert later.settings.late.per_day == 1 and later.remarks == ()
    assert [(e.student, e.extension) for e in later.settings.table] == [("007", "2")]
    own.write_text("maximum = 5\n")
    other = settings.of_run(out, own, subject)
    assert other.settings.maximum == 5
    assert "differs from the settings of earlier runs" in other.remarks[0] and len(other.remarks) == 1


# --- Lateness --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("late", "hours", "total"),
    [
        ("per_day = 1", 0.0, 6),
        ("per_day = 1", 0.1, 5),
        ("per_day = 1", 24, 5),
        ("per_day = 1", 24.1, 4),
        ('per_day = 1\ngrace = "30 minutes"', 24.4, 5),
        ('per_day = 1\ngrace = "2 hours"', 2, 6),
        ("per_day = 1\ncap = 2", 100, 4),
        ("per_day = 4", 100, 0),
        ('per_day = "10%"', 30, 4.8),
        ('per_day = "10%"\ncap = "25%"', 100, 4.5),
        ('per_day = "60%"', 100, 0),
    ],
)
def test_days_that_have_begun_cost_points_up_to_the_cap_and_never_more_than_there_are(
    tmp_path: Path, rubric: Rubric, late: str, hours: float, total: float
) -> None:
    policy = Policy(chosen(tmp_path, rubric, f"[late]\n{late}"))
    entry = replace(ENTRIES[0], due=DUE, submitted_at=DUE + timedelta(hours=hours))
    (row,) = rows(rubric, policy, [entry])
    assert row.total == total
    assert bool(row.reasons) == (total < 6)


def test_an_extension_moves_one_students_due_time(tmp_path: Path) -> None:
    path = tmp_path / "roster.csv"
    path.write_text(
        "Name,ID,Extension\nAna Bo,007,2 days\nBen Cho,008,\nZoe Zed,010,2026-03-05T12:00Z\nEve E,011,soon\n"
    )
    people = roster.read(path)
    table = tmp_path / "more.csv"
    table.write_text("student,extension\nBen Cho,1\nNobody,3\n")
    remarks: list[str] = []
    ana, ben, zoe, eve = people.students
    dues = Deadlines(DUE, list(people.extensions.items()), deadlines.read(table)[0]).of(
        people.students, remarks
    )
    assert dues == {
        ana: DUE + timedelta(days=2),
        ben: DUE + timedelta(days=1),
        zoe: datetime(2026, 3, 5, 12, tzinfo=timezone.utc),
        eve: DUE,
    }
    assert len(remarks) == 2
    assert "more.csv: line 3: Nobody is not on the roster; this extension does not count" in remarks[0]
    assert "Eve E: the roster's extension is 'soon'; it can be days" in remarks[1]
    late = Entry(ana, "Ana Bo", late=True, submitted_at=DUE + timedelta(days=1), notes=("handed in late",))
    in_time = late.with_due(dues, timedelta())
    assert (in_time.late, in_time.notes) == (False, ())
    over = replace(late, submitted_at=dues[ana] + timedelta(minutes=10))
    assert over.with_due(dues, timedelta()).late is True
    assert over.with_due(dues, timedelta(minutes=10)).late is False, "in time within the grace"


def test_gradebooks_show_lateness_and_what_it_costs(tmp_path: Path, rubric: Rubric) -> None:
    made = chosen(tmp_path, rubric, "[late]\nper_day = 1")
    entry = replace(ENTRIES[0], due=DUE, submitted_at=DUE + timedelta(hours=25, minutes=2, seconds=3))
    gradebook.write_all(tmp_path / "g", rows(rubric, Policy(made), [entry]), rubric, settings=made)
    grades = (tmp_path / "g" / "grades.csv").read_text(encoding="utf-8").splitlines()
    found = dict(zip(grades[0].split(","), grades[1].split(","), strict=True))
    assert (found["score"], found["late_deduction"], found["total"]) == ("6", "2", "4")
    assert ",25:02:03," in (tmp_path / "g" / "gradescope.csv").read_text(encoding="utf-8")
    (again,) = gradebook.read(tmp_path / "g" / "grades.csv", rubric)
    assert (again.entry.due, again.total) == (DUE, 4)


# --- Adjustments -----------------------------------------------------------------------------------------


def adjusted(tmp_path: Path, rubric: Rubric, text: str) -> tuple[adjustments.Adjustments, list[str]]:
    path = tmp_path / "adjustments.csv"
    path.write_text(f"student,question,points,comment,who\n{text}", encoding="utf-8")
    found, remarks, _ = adjustments.read(path, rubric)
    matched, more = adjustments.match(found, ENTRIES)
    return matched, [*remarks, *more]


@pytest.mark.parametrize(
    ("row", "points"),
    [
        ("007,1,3,,", {"1": 3, "2": 2}),
        ("ana@x.edu,1,-1.5,,", {"1": 2.5, "2": 2}),
        ("Ana Bo,1,+2,,", {"1": 4, "2": 2}),
        ('"Bo, Ana",2,-2,,', {"1": 4, "2": 0}),
        ("7,2,\N{MINUS SIGN}1,,", {"1": 4, "2": 1}),
        ("007,1,1,,\n007,1,+1,,", {"1": 2, "2": 2}),
    ],
)
def test_an_adjustment_sets_or_changes_a_questions_points(
    tmp_path: Path, rubric: Rubric, row: str, points: dict[str, float]
) -> None:
    matched, remarks = adjusted(tmp_path, rubric, row)
    assert remarks == []
    ana, ben, _ = rows(rubric, Policy(adjustments=matched))
    assert ana.auto == points
    assert ben.auto == {"1": 1, "2": 2}


def test_an_adjustment_gives_points_to_someone_who_submitted_nothing(tmp_path: Path, rubric: Rubric) -> None:
    matched, _ = adjusted(tmp_path, rubric, "010,1,2,By mail,Kim\n010,2w,+1,,\n")
    policy = Policy(adjustments=matched)
    zoe = rows(rubric, policy)[2]
    assert (zoe.total, dict(zoe.written), zoe.reasons) == (2, {}, ("Question 1: set to 2 (Kim: By mail).",))
    gradebook.write_all(tmp_path / "g", rows(rubric, policy), rubric)
    (line,) = [li for li in (tmp_path / "g" / "gradescope.csv").read_text().splitlines() if "010" in li]
    assert ",2,6,Graded," in line


def test_rows_that_cannot_be_used_are_reported_and_the_others_count(tmp_path: Path, rubric: Rubric) -> None:
    matched, remarks = adjusted(
        tmp_path, rubric, "Nobody,1,1,,\n007,9,1,,\n007,1,5,,\n007,1,many,,\n008,1,+1,Fine,Kim\n008,1,2,,\n"
    )
    assert list(matched) == [ENTRIES[1].key]
    assert rows(rubric, Policy(adjustments=matched))[1].auto == {"1": 2, "2": 2}
    for line, words in (
        (3, "there is no question '9'; it can be 1, 2, 2w"),
        (4, "'5' is not a number from 0 to 4"),
        (5, "'many' is not a number from 0 to 4"),
        (2, "Nobody matches no row"),
        (7, "sets the points of 008, 1, which an earlier row adjusts"),
    ):
        (found,) = [r for r in remarks if f"line {line}: " in r]
        assert words in found
    assert len(remarks) == 5


def test_a_run_keeps_its_adjustments_and_names_those_that_another_file_lacks(
    tmp_path: Path, rubric: Rubric
) -> None:
    own, out = tmp_path / "mine.csv", tmp_path / "g"
    own.write_text('Student;Question;Points;Comment;Who\nNobody;1;+1;=1+1;Kim\n007;1;-1;"Two\nlines";Kim\n')
    out.mkdir()
    first = adjustments.of_run(out, own, rubric)
    first.keep(out)
    kept = adjustments.of_run(out, None, rubric)
    assert [(a.student, a.shown, a.comment, a.who) for a in kept.rows] == [
        ("Nobody", "+1", "=1+1", "Kim"),
        ("007", "-1", "Two\nlines", "Kim"),
    ]
    assert "'=1+1" in (out / "adjustments.csv").read_text()
    own.write_text("student,question,points\n007,1,-1\n")
    (line,) = adjustments.of_run(out, own, rubric).remarks
    assert "Nobody, 1: +1 is not in" in line and "does not count any more" in line
    own.write_text("student,points\n007,1\n")
    with pytest.raises(ClassroomError, match=r"mine\.csv: has no column question"):
        adjustments.of_run(out, own, rubric)


def test_rows_read_from_a_gradebook_are_adjusted_once(tmp_path: Path, rubric: Rubric) -> None:
    """A merge reads the points back that a run has adjusted, with the results or, where they are gone, without."""
    matched, _ = adjusted(tmp_path, rubric, "008,1,+1,,\n")
    policy = Policy(adjustments=matched)
    gradebook.write_all(tmp_path / "g", rows(rubric, policy), rubric)
    again = gradebook.read(tmp_path / "g" / "grades.csv", rubric)
    for results in (RESULTS, {}):
        assert [r.total for r in recounted(again, rubric, {}, policy, results)] == [6, 4, 0]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
def test_the_table_of_extensions_that_is_kept_can_be_read_again(
    tmp_path: Path, subject: Assignment, encoding: str
) -> None:
    out, given = tmp_path / "g", tmp_path / "settings.toml"
    given.write_text('\ufeff[late]\ndue = "2026-03-01"\nextensions = "more.csv"\n', encoding="utf-8")
    (tmp_path / "more.csv").write_bytes("student;extension\nAna Müller;3\n".encode(encoding))
    first = settings.of_run(out, given, subject)
    first.keep(out)
    again = settings.of_run(out, None, subject)
    assert [(e.student, e.extension) for e in again.settings.table] == [("Ana Müller", "3")]
    assert again.settings.late.due == first.settings.late.due is not None


def test_a_student_who_is_listed_twice_for_an_extension_is_reported() -> None:
    table = [deadlines.Extension("Ana Bo", days, f"more.csv: line {i}") for i, days in ((2, "1"), (3, "4"))]
    remarks: list[str] = []
    dues = Deadlines(DUE, table=table).of([ANA], remarks)
    assert dues[ANA] == DUE + timedelta(days=4)
    assert remarks == ["more.csv: line 3: Ana Bo has another row, more.csv: line 2; the later row counts"]
