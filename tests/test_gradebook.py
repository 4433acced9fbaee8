"""Gradebooks: one row per student; the formats of Canvas and Gradescope; written points merged from a copy."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from click.testing import Result as Done
from hypothesis import given, settings
from hypothesis import strategies as st

from autograder.classroom import gradebook, marks, merge, tables
from autograder.classroom.collect import Entry
from autograder.classroom.entries import KEY
from autograder.classroom.formats import total_of
from autograder.classroom.rows import NOTHING, Row, rows_of
from autograder.cli.main import main
from autograder.model.assignment import assignment
from autograder.model.student import Student
from autograder.model.verdicts import GRADER_FAULT, Verdict
from autograder.support.files import FORMULA_STARTS
from tests.classes import result

RUBRIC = assignment().rubric
ANA = Student("Müller, Ana", "007", "ana@example.edu", "am7", "A", "12")
BEN = Student("Ben Bo", "008", "ben@example.edu")
ENTRIES = (
    Entry(ANA, "Ana Müller", ("Ana Müller earlier 1",), late=True, notes=("handed in late",)),
    Entry(BEN, "Ben Bo", late=False),
    Entry(Student("Zoe Zed", "010"), None),
)
RESULTS = {
    r.submission: r
    for r in (
        result("Ana Müller", q1_7=1, q1_6=2),
        result("Ana Müller earlier 1", q1_7=0, q1_6=0),
        result("Ben Bo", q1_7=0, q1_6=2),
    )
}
ASKED = ("1-6", "1-7")


def rows(written: marks.Written | None = None) -> list[Row]:
    return rows_of(ENTRIES, RESULTS, RUBRIC, written, ASKED)


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    gradebook.write_all(tmp_path / "grades", rows(), RUBRIC)
    return tmp_path / "grades"


def fill(out: Path, cells: dict[str, dict[str, str]], drop: Sequence[str] = ()) -> Path:
    """A copy of grades.csv with cells set, by submission (or student), some columns dropped."""
    copy = out.parent / "filled.csv"
    filled = table(out / "grades.csv")
    for row in filled:
        row.update(cells.get(row["submission"]) or cells.get(row["student"]) or {})
    with copy.open("w", encoding="utf-8-sig", newline="") as stream:
        writer = csv.DictWriter(
            stream, [n for n in filled[0] if n not in drop], delimiter=";", extrasaction="ignore"
        )
        writer.writeheader()
        writer.writerows(filled)
    return copy


def run(copy: Path, out: Path) -> Done:
    return CliRunner().invoke(main, ["merge", str(copy), "--out", str(out)])


def test_there_is_one_row_per_student_and_one_column_per_question(out: Path) -> None:
    ana, ben, zoe = table(out / "grades.csv")
    assert list(ana) == gradebook.header(RUBRIC)
    assert [q.id for q in RUBRIC.questions] == [n for n in ana if n[0].isdigit()]
    assert (ana["score"], ana["max_score"], ana["total"], ana["1-7"], ana["1-3w"]) == ("3", "3", "3", "1", "")
    assert (ana["late"], ben["late"], zoe["late"]) == ("yes", "no", "")
    assert (ana["isolation"], ana["status"], zoe["status"]) == ("full", "graded", "no submission")
    assert ana["duplicates"] == "Ana Müller earlier 1"
    assert "earlier: Ana Müller earlier 1: 0/3" in ana["notes"]
    assert (zoe["submission"], zoe["score"], zoe["1-7"], zoe["total"]) == ("", "0", "0", "0")


def test_unfinished_results_and_faults_of_the_grader_give_no_grade() -> None:
    faulty = result("Ana Müller", q1_7=0)
    check: Verdict = replace(faulty.checks[0], feedback=GRADER_FAULT, grader_fault=True)
    cases = {
        "fault in the grader": replace(faulty, checks=(check,)),
        "not finished": replace(faulty, complete=False),
        "nothing to grade": replace(faulty, sha256=NOTHING),
        "graded": faulty,
    }
    for status, one in cases.items():
        (row,) = rows_of(ENTRIES[:1], {"Ana Müller": one}, RUBRIC, questions=["1-7"])
        assert row.status == status
        assert (total_of(row, ()) == "") == (status in ("fault in the grader", "not finished"))
    (row,) = rows_of(ENTRIES[:1], {"Ana Müller": faulty}, RUBRIC, questions=ASKED)
    assert row.status == "partly graded" and total_of(row, ()) == ""
    (row,) = rows_of(ENTRIES[:1], {}, RUBRIC)
    assert row.status == "not graded yet" and total_of(row, ()) == ""


def test_canvas_gets_the_columns_that_its_importer_requires(out: Path) -> None:
    with (out / "canvas.csv").open(encoding="utf-8", newline="") as stream:
        lines = list(csv.reader(stream))
    assert lines[0] == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", RUBRIC.title]
    assert lines[1][0].strip() == "Points Possible" and lines[1][5] == "3"
    assert lines[2] == ["Müller, Ana", "12", "007", "am7", "A", "3"]
    assert lines[3] == ["Bo, Ben", "", "008", "", "", "2"]
    assert lines[4][5] == "0"
    gradebook.write_all(out, rows(), RUBRIC, "HW 3 (12345)")
    assert (out / "canvas.csv").read_text(encoding="utf-8").splitlines()[0].endswith(",HW 3 (12345)")


def test_gradescopes_columns_are_those_of_its_own_export(out: Path) -> None:
    ana, ben, zoe = table(out / "gradescope.csv")
    assert (ana["First Name"], ana["Last Name"], ana["SID"], ana["Email"]) == (
        "Ana",
        "Müller",
        "007",
        "ana@example.edu",
    )
    assert (ana["Total Score"], ana["Max Points"], ana["Status"]) == ("3", "3", "Graded")
    assert ben["1-7: Two pairs of digits to interpolate between (1.0 pts)"] == "0"
    assert (zoe["Total Score"], zoe["Status"]) == ("", "Missing")


def test_gradebooks_are_read_back_as_they_were_written(out: Path) -> None:
    again = gradebook.read(out / "grades.csv", RUBRIC)
    assert [r.key for r in again] == [r.key for r in rows()]
    gradebook.write_all(out.parent / "again", again, RUBRIC)
    for name in ("grades.csv", "canvas.csv"):
        assert (out.parent / "again" / name).read_bytes() == (out / name).read_bytes()


def test_written_points_are_merged_into_all_gradebooks(out: Path) -> None:
    points = {q.id: "1" for q in RUBRIC.written}
    copy = fill(
        out, {"Ana Müller": {**points, "1-3w": "1,5"}, "Ben Bo": {"1-3w": " 2 "}}, drop=["notes", "1-7"]
    )
    done = run(copy, out)
    assert done.exit_code == 0, done.output
    ana, ben, _ = table(out / "grades.csv")
    assert (ana["1-3w"], ana["score"], ana["total"]) == ("1.5", "3", "8.5")
    assert (ben["1-3w"], ben["2-2w"], ben["total"]) == ("2", "", "4")
    canvas = (out / "canvas.csv").read_text(encoding="utf-8").splitlines()
    assert [line.rpartition(",")[2] for line in canvas[1:]] == ["16", "8.5", "", "0"]
    assert table(out / "gradescope.csv")[1]["Status"] == "Ungraded"
    assert "2-2w: 1 of 2 submissions have no points yet" in done.output


def test_merged_points_stay_after_another_merge_and_another_run(out: Path) -> None:
    assert run(fill(out, {"Ana Müller": {"1-3w": "2"}}), out).exit_code == 0
    assert run(fill(out, {"Ana Müller": {"1-3w": "", "1-7w": "1"}}), out).exit_code == 0
    kept = marks.points_of(marks.load(out, RUBRIC))
    ana = rows(kept)[0]
    assert (dict(ana.written), ana.total) == ({"1-3w": 2, "1-7w": 1}, 6)


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"Ana Müller": {"1-3w": "3"}}, "Müller, Ana, 1-3w: '3' is not a number from 0 to 2"),
        ({"Ana Müller": {"1-3w": "-1"}}, "'-1' is not a number from 0 to 2"),
        ({"Ana Müller": {"1-3w": "nan"}}, "'nan' is not a number"),
        ({"Ana Müller": {"1-3w": "good"}}, "'good' is not a number"),
        ({"Ana Müller": {"1-3w": "=1+1"}}, "is not a number"),
        ({"Ana Müller": {"submission": "Nobody", "student": "Nobody"}}, "line 2: Nobody Nobody 007"),
        (
            {"Ben Bo": {"submission": "Ana Müller", "student": "Müller, Ana", "id": "007", "email": ""}},
            "is already in line 2",
        ),
        (
            {"Ana Müller": dict.fromkeys(KEY, "")},
            "line 2: no name is not a row",
        ),
    ],
)
def test_points_that_cannot_be_merged_are_reported_and_nothing_changes(
    out: Path, cells: dict[str, dict[str, str]], message: str
) -> None:
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    done = run(fill(out, {"Ben Bo": {"1-7w": "1"}, **cells}), out)
    assert done.exit_code == 1
    assert message in done.output
    assert "nothing is merged" in done.output
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_rows_are_recognised_in_a_copy_that_a_spreadsheet_has_changed(out: Path) -> None:
    cells = {"Ana Müller": {"id": "7", "1-3w": "1"}}
    assert run(fill(out, cells, drop=["submission", "email"]), out).exit_code == 0
    assert table(out / "grades.csv")[0]["1-3w"] == "1"


def test_files_that_are_not_gradebooks_are_refused_in_one_line(out: Path, tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    for copy, folder in (
        (tmp_path / "nowhere.csv", out),
        (tmp_path / "other.csv", out),
        (out / "grades.csv", tmp_path),
    ):
        done = run(copy, folder)
        assert done.exit_code == 2
        assert len(done.output.strip().splitlines()) == 1
    (out / "written.csv").write_text("submission,1-3w\nAna,many\n")
    assert "correct the points in that file" in run(out / "grades.csv", out).output


HOSTILE = st.text(st.sampled_from("=+-@\t\r\n'\",;<b>éa\u202e\x1b0"), max_size=8)


@settings(deadline=None)
@given(st.lists(st.tuples(HOSTILE, HOSTILE, HOSTILE), min_size=1, max_size=4, unique=True))
def test_hostile_names_become_no_formulas_and_keep_their_points(
    tmp_path_factory: pytest.TempPathFactory, people: list[tuple[str, str, str]]
) -> None:
    out = tmp_path_factory.mktemp("grades")
    entries = [Entry(Student(*facts), f"s{i}", notes=(facts[0],)) for i, facts in enumerate(people)]
    results = {f"s{i}": result(f"s{i}", q1_7=1) for i in range(len(people))}
    made = rows_of(entries, results, RUBRIC)
    gradebook.write_all(out, made, RUBRIC)
    for path in out.glob("*.csv"):
        for row in csv.reader(path.open(encoding="utf-8", newline="")):
            for cell in row:
                assert not cell.startswith(FORMULA_STARTS)
                assert cell.isprintable()
    points: marks.Written = {row.key: {"1-3w": i % 3} for i, row in enumerate(made)}
    given = {
        key: {q: marks.Mark(p, people[0][0].strip()) for q, p in row.items()} for key, row in points.items()
    }
    marks.store(out, given, RUBRIC)
    assert marks.points_of(marks.load(out, RUBRIC)) == points
    taken = merge.take(
        [out / "written.csv"], [r.key for r in gradebook.read(out / "grades.csv", RUBRIC)], {}, RUBRIC
    )
    assert (marks.points_of(taken.marks), taken.problems) == (points, [])


def test_a_table_that_is_too_long_is_refused(tmp_path: Path) -> None:
    (tmp_path / "long.csv").write_text("name\n" + "x\n" * (tables.MAX_ROWS + 1))
    with pytest.raises(tables.TableError, match="more than 100,000 rows"):
        tables.read(tmp_path / "long.csv")
