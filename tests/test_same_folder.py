"""Grading into a folder that holds results already: nothing of it changes without being asked for."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from click.testing import Result as Done

from autograder.classroom import collect, manifest, session, stored
from autograder.cli.main import main
from autograder.grading import batch, judge, options
from autograder.model.assignment import VARIABLE, assignment
from autograder.model.verdicts import Result
from autograder.submissions import intake
from tests.classes import METADATA, pack
from tests.conftest import JUDGES
from tests.tiny import SOLUTION, forget_assignment, make_assignment, write

ROSTER = "Name,ID,Email,Login\nAna Bo,007,ana@example.edu,ana\nBen Cho,008,ben@example.edu,ben\nZoe Zed,010,zoe@example.edu,zoe\n"
WRONG = {"first.py": "def double(x):\n    return x + 2\n"}  # no points for question 1
SECRET = "a secret of the course"


class Desk:
    """An instructor's desk: the tiny assignment, a roster of three, uploads of two of them, and their grades in g."""

    def __init__(self, base: Path) -> None:
        self.base, self.out, self.uploads = base, base / "g", base / "uploads"
        self.toml = make_assignment(base).folder / "assignment.toml"
        self.roster(ROSTER)
        self.upload("ana")
        self.upload("ben", WRONG)

    def roster(self, text: str) -> None:
        (self.base / "roster.csv").write_text(text, encoding="utf-8")

    def upload(self, name: str, files: dict[str, str] | None = None) -> Path:
        return write(self.uploads / name, {**SOLUTION, **(files or {})})

    def rubric(self, old: str, new: str) -> None:
        """Changes the assignment.toml."""
        text = self.toml.read_text(encoding="utf-8")
        assert old in text
        self.toml.write_text(text.replace(old, new), encoding="utf-8")
        forget_assignment()

    def run(self, *arguments: object) -> Done:
        return CliRunner().invoke(main, [str(a) for a in arguments])

    def grade(self, *arguments: object, roster: bool = True) -> Done:
        listed = ["--roster", self.base / "roster.csv"] if roster else []
        return self.run("grade", *arguments, *listed, "--out", self.out, "--jobs", "1")

    def graded(self) -> Desk:
        done = self.grade(self.uploads)
        assert done.exit_code == 0, done.output
        return self

    def rows(self, name: str = "grades.csv", out: Path | None = None) -> list[dict[str, str]]:
        with ((out or self.out) / name).open(encoding="utf-8", newline="") as stream:
            return list(csv.DictReader(stream))

    def points(self, *columns: str, out: Path | None = None) -> dict[str, tuple[str, ...]]:
        return {row["student"]: tuple(row[c] for c in columns) for row in self.rows(out=out)}

    def canvas(self) -> list[str]:
        lines = (self.out / "canvas.csv").read_text(encoding="utf-8").splitlines()
        return [line.rpartition(",")[2] for line in lines[1:]]

    def result(self, name: str) -> dict[str, Any]:
        table: dict[str, Any] = json.loads((self.out / f"{name}.json").read_text(encoding="utf-8"))
        Result.from_json(table)
        return table

    def files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.out.glob("*.*") if path.is_file()}

    def merged(self, *options: str, **points: str) -> Desk:
        """Merges written points by login."""
        filled = self.rows()
        for row in filled:
            row["2w"] = points.get(row["login"], "")
        with (self.base / "filled.csv").open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, list(filled[0]))
            writer.writeheader()
            writer.writerows(filled)
        done = self.run("merge", self.base / "filled.csv", "--out", self.out, *options)
        assert done.exit_code == 0, done.output
        return self


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, judged_here: None) -> Iterator[Desk]:
    made = Desk(tmp_path)
    monkeypatch.setenv(VARIABLE, str(made.toml.parent))
    monkeypatch.setenv("AUTOGRADER_SECRET", SECRET)
    forget_assignment()
    yield made
    forget_assignment()


# --- A part of the questions ---------------------------------------------------------------------------


def test_a_part_of_the_questions_updates_those_questions_only(desk: Desk) -> None:
    desk.graded()
    before = desk.result("Ana Bo")
    done = desk.grade(desk.uploads, "-q", "1", "--force")
    assert done.exit_code == 0, done.output
    after = desk.result("Ana Bo")
    assert (after["score"], after["max_score"], after["complete"], after["kept"]) == (6, 6, True, {})
    assert [c for c in after["checks"] if c["question"] == "2"] == [
        c for c in before["checks"] if c["question"] == "2"
    ]
    assert desk.points("score", "max_score", "status") == {
        "Ana Bo": ("6", "6", "graded"),
        "Ben Cho": ("2", "6", "graded"),
        "Zoe Zed": ("0", "6", "no submission"),
    }
    assert desk.canvas() == ["6", "6", "2", "0"]


def test_the_rest_of_the_questions_is_graded_later_and_nothing_twice(desk: Desk) -> None:
    assert desk.grade(desk.uploads, "-q", "2").exit_code == 0
    first = desk.result("Ben Cho")
    assert (first["score"], first["max_score"], desk.canvas()[0]) == (2, 2, "2")
    assert desk.graded().points("score", "max_score")["Ben Cho"] == ("2", "6")
    kept = desk.files()
    assert "2 of 2 were finished by an earlier run" in desk.graded().grade(desk.uploads).output
    assert desk.files() == kept


def test_a_question_of_another_upload_is_not_mixed_in_silently(desk: Desk) -> None:
    desk.graded()
    desk.upload("ana", WRONG)
    done = desk.grade(desk.uploads, "-q", "1")
    assert "Partly graded: 1 (Ana Bo)" in done.output
    (ana, *_) = desk.rows()
    assert (ana["score"], ana["max_score"], ana["status"]) == ("2", "6", "partly graded")
    assert "graded on an earlier upload: 2" in ana["notes"]
    assert list(desk.result("Ana Bo")["kept"]) == ["2"]
    assert desk.canvas() == ["6", "", "2", "0"]
    assert desk.graded().points("score", "status")["Ana Bo"] == ("2", "graded")


# --- More uploads, and fewer ------------------------------------------------------------------------------


def test_one_more_student_joins_the_class(desk: Desk) -> None:
    desk.graded()
    before = desk.points("id", "email", "score", "submission")
    one = pack(desk.base / "dan.zip", {name: text.encode() for name, text in SOLUTION.items()})
    done = desk.grade(one, roster=False)
    assert done.exit_code == 0, done.output
    assert desk.points("id", "email", "score", "submission") == {**before, "dan": ("", "", "6", "dan")}
    assert desk.canvas() == ["6", "6", "2", "0", "6"]
    assert len(desk.rows("gradescope.csv")) == 4
    report = (desk.out / "report.html").read_text(encoding="utf-8")
    assert all(name in report for name in ("Ana Bo", "Ben Cho", "dan"))
    assert sorted(p.name for p in (desk.out / "feedback").iterdir()) == [
        "Ana Bo.html",
        "Ben Cho.html",
        "dan.html",
    ]


@pytest.mark.parametrize(
    ("name", "roster"), [("ben", False), ("008", False), ("Cho, Ben", False), ("ben", True)]
)
def test_a_new_upload_updates_its_student_and_no_other(desk: Desk, name: str, roster: bool) -> None:
    desk.graded()
    others = {name: data for name, data in desk.files().items() if name == "Ana Bo.json"}
    one = pack(desk.base / "late" / f"{name}.zip", {n: text.encode() for n, text in SOLUTION.items()})
    assert desk.grade(one, roster=roster).exit_code == 0
    assert desk.points("id", "score", "submission", "status") == {
        "Ana Bo": ("007", "6", "Ana Bo", "graded"),
        "Ben Cho": ("008", "6", "Ben Cho", "graded"),
        "Zoe Zed": ("010", "0", "", "no submission"),
    }
    assert others.items() <= desk.files().items()
    assert "Zoe Zed" in (desk.out / "report.html").read_text(encoding="utf-8")


def test_a_class_without_ids_is_graded_twice_with_the_same_rows(desk: Desk) -> None:
    """Two folders with names that differ only in case, and a student who hands in for the first time."""
    for place in ("in", "late"):
        for name in ("ana", "Ana"):
            write(desk.base / place / name, {**SOLUTION, **(WRONG if name == "Ana" else {})})
    assert desk.grade(desk.base / "in", roster=False).exit_code == 0
    first = desk.rows()
    assert [row["submission"] for row in first] == ["Ana", "ana-2"]
    again = desk.grade(desk.base / "in", roster=False)
    assert "2 of 2 were finished by an earlier run" in again.output
    assert desk.rows() == first
    write(desk.base / "late" / "eve", SOLUTION)
    assert desk.grade(desk.base / "late", roster=False).exit_code == 0
    assert [row["submission"] for row in desk.rows()] == ["Ana", "ana-2", "eve"]


def test_a_namesake_with_another_id_replaces_nobody(desk: Desk) -> None:
    desk.graded()
    desk.roster(ROSTER + "Ana Bo,011,bo@example.edu,bo\n")
    desk.upload("bo", WRONG)
    assert desk.grade(desk.uploads / "bo").exit_code == 0
    found = {(row["id"], row["score"]): row["submission"] for row in desk.rows()}
    assert found[("007", "6")] == "Ana Bo" and found[("011", "2")] not in ("", "Ana Bo")
    assert desk.result("Ana Bo")["score"] == 6


def test_an_upload_that_cannot_be_read_does_not_replace_a_result(desk: Desk) -> None:
    desk.graded()
    broken = desk.base / "late" / "ana.zip"
    broken.parent.mkdir()
    broken.write_bytes(b"no zip")
    assert desk.grade(broken).exit_code == 0
    assert desk.points("score", "status")["Ana Bo"] == ("6", "graded")
    assert "not a zip archive" in desk.result("Ana Bo")["notes"][0]
    judge.ungraded(
        options.Job(broken, "Ana Bo", desk.out / "Ana Bo.json")
    )  # as after a judge that was killed
    assert (desk.result("Ana Bo")["score"], desk.result("Ana Bo")["complete"]) == (6, False)
    assert desk.graded().points("score", "status")["Ana Bo"] == ("6", "graded")


def test_who_handed_in_nothing_is_in_the_report(desk: Desk) -> None:
    desk.graded()
    report = " ".join((desk.out / "report.html").read_text(encoding="utf-8").split())
    assert (
        '<b>1 student submitted nothing</b>, left out of the statistics: <span class="words">Zoe Zed</span>.'
        in report
    )


# --- Another rubric, assignment or secret ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("points = 2", "points = 5"), "question 2 has 2 points there, 5 here"),
        (('id = "2w"', 'id = "2x"'), "question 2w is not in this rubric; question 2x is new in this rubric"),
        (('title = "Tiny"', 'title = "Tiny"\nname = "other"'), "the assignment is tiny there, other here"),
    ],
)
def test_another_rubric_or_assignment_is_refused_in_one_line(
    desk: Desk, change: tuple[str, str], message: str
) -> None:
    desk.graded()
    desk.rubric(*change)
    before = desk.files()
    for done in (desk.grade(desk.uploads), desk.run("merge", desk.out / "grades.csv", "--out", desk.out)):
        assert done.exit_code == 2
        assert done.output.startswith(f"autograder: {desk.out}: holds results of another run: {message}; ")
        assert len(done.output.splitlines()) == 1 and "another --out" in done.output
    assert desk.files() == before


def test_another_secret_is_refused_and_can_be_forced(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.graded()
    before = desk.files()
    assert SECRET.encode() not in b"".join(before.values())
    monkeypatch.setenv("AUTOGRADER_SECRET", "another")
    done = desk.grade(desk.uploads)
    assert done.exit_code == 2
    assert (
        done.output.count("\n") == 1 and "the course secret (AUTOGRADER_SECRET) is another one" in done.output
    )
    assert "another --out, or --force" in done.output
    assert desk.files() == before
    assert desk.grade(desk.uploads, "--force").exit_code == 0
    assert desk.graded().points("score")["Ana Bo"] == ("6",)


def test_forcing_another_rubric_makes_no_total_of_the_old_one_final(desk: Desk) -> None:
    desk.graded()
    desk.rubric("points = 2", "points = 5")
    assert desk.grade(desk.uploads / "ana", "--force").exit_code == 0
    assert desk.points("score", "max_score", "status") == {
        "Ana Bo": ("9", "9", "graded"),
        "Ben Cho": ("2", "6", "partly graded"),
        "Zoe Zed": ("0", "9", "no submission"),
    }
    assert desk.canvas() == ["9", "9", "", "0"]


def test_a_folder_without_a_manifest_is_adopted_when_its_results_fit(desk: Desk) -> None:
    desk.graded()
    held = manifest.read(desk.out)
    assert held is not None and (held.assignment, held.roster) == ("tiny", "roster.csv")
    (desk.out / manifest.NAME).unlink()
    assert "2 of 2 were finished by an earlier run" in desk.grade(desk.uploads).output
    (desk.out / manifest.NAME).unlink()
    desk.rubric("points = 2", "points = 5")
    done = desk.grade(desk.uploads)
    assert done.exit_code == 2 and "question 2 has 2 points there, 5 here" in done.output
    assert not (desk.out / manifest.NAME).exists()


def test_a_damaged_manifest_is_reported_in_one_line(desk: Desk) -> None:
    for text in ("", "[]", "{}", '{"assignment": 1, "rubric": {}, "secret": {}, "questions": []}'):
        write(desk.out, {manifest.NAME: text})
        done = desk.grade(desk.uploads)
        assert done.exit_code == 2
        assert len(done.output.splitlines()) == 1 and f"{manifest.NAME}: cannot be read" in done.output


# --- Written points ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        ("ana@example.edu", "a.bo@example.edu"),
        ("Ana Bo,007,ana@example.edu", "Anna Bo-Lee,007,a@example.edu"),
        ("007", ""),
        (",ana\n", ",abo\n"),
    ],
)
def test_written_points_follow_their_student_through_a_changed_roster(
    desk: Desk, change: tuple[str, str]
) -> None:
    desk.graded().merged(ana="1", ben="0.5")
    desk.roster(ROSTER.replace(*change))
    assert desk.grade(desk.uploads).exit_code == 0
    assert [(row["2w"], row["total"]) for row in desk.rows()] == [("1", "7"), ("0.5", "2.5"), ("", "0")]
    again = desk.base / "again"
    done = desk.run("regrade", desk.out, desk.uploads, "--roster", desk.base / "roster.csv", "--out", again)
    assert done.exit_code == 0, done.output
    assert [(row["2w"], row["total"]) for row in desk.rows(out=again)] == [
        ("1", "7"),
        ("0.5", "2.5"),
        ("", "0"),
    ]
    assert desk.rows("changes.csv", again) == []
    assert desk.merged("--replace", ana="", ben="1").rows()[0]["2w"] == "1"


def test_written_points_that_match_nobody_are_kept_and_reported(desk: Desk) -> None:
    desk.graded().merged(ana="1", ben="0.5", zoe="1")
    desk.roster(ROSTER[: ROSTER.index("Zoe")])
    again = desk.base / "again"
    done = desk.run("regrade", desk.out, desk.uploads, "--roster", desk.base / "roster.csv", "--out", again)
    assert done.exit_code == 0, done.output
    assert "Zoe Zed: has written points that match no row" in done.output
    (change,) = desk.rows("changes.csv", again)
    assert (change["submission"], change["question"], change["earlier"], change["now"]) == (
        "Zoe Zed",
        "2w",
        "1",
        "",
    )
    assert sorted(row["2w"] for row in desk.rows("written.csv", again)) == ["0.5", "1", "1"]


def test_points_of_a_renamed_written_question_are_kept_and_reported(desk: Desk) -> None:
    desk.graded().merged(ana="1", ben="0.5")
    desk.rubric('id = "2w"', 'id = "2x"')
    again = desk.base / "again"
    done = desk.run("regrade", desk.out, desk.uploads, "--roster", desk.base / "roster.csv", "--out", again)
    assert done.exit_code == 0, done.output
    assert (
        "written.csv: 2w is not a written question of the rubric; the points of 2 rows stay there"
        in done.output
    )
    assert [row["2w"] for row in desk.rows("written.csv", again)] == ["1", "0.5"]
    assert [row["total"] for row in desk.rows(out=again)] == ["6", "2", "0"]
    desk.rubric('id = "2x"', 'id = "2w"')
    done = desk.run("merge", desk.out / "grades.csv", "--out", desk.out)
    assert (done.exit_code, desk.points("2w")["Ana Bo"]) == (0, ("1",))


# --- Regrading -----------------------------------------------------------------------------------------


def test_one_question_is_regraded_without_the_others(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.graded()
    monkeypatch.setattr(batch, "_pool", JUDGES)  # new processes, which load the changed check
    check = desk.toml.parent / "checks" / "public" / "test_first.py"
    check.write_text(check.read_text().replace("2 * x, what", "x + 2, what"))
    options.grader_digest.cache_clear()
    again = desk.base / "again"
    listed = ("--roster", desk.base / "roster.csv")
    done = desk.run("regrade", desk.out, desk.uploads, *listed, "-q", "1", "--out", again, "--jobs", "2")
    assert done.exit_code == 0, done.output
    assert desk.points("score", "max_score", out=again) == {
        "Ana Bo": ("5", "6"),
        "Ben Cho": ("3", "6"),
        "Zoe Zed": ("0", "6"),
    }
    changes = desk.rows("changes.csv", again)
    assert [(c["submission"], c["question"], c["change"]) for c in changes] == [
        ("Ana Bo", "", "-1"),
        ("Ana Bo", "1", "-1"),
        ("Ben Cho", "", "1"),
        ("Ben Cho", "1", "1"),
    ]
    assert all(c["why"].startswith("another grader") for c in changes)
    before, after = (stored.results_in(out)[0]["Ana Bo"] for out in (desk.out, again))
    assert after.of("2") == before.of("2")
    assert after.kept["2"].grader == before.grader != after.grader


# --- Reports after a merge -------------------------------------------------------------------------------


def test_the_report_shows_what_is_merged_and_keeps_the_time_of_grading(desk: Desk) -> None:
    desk.graded()
    report = desk.out / "report.html"
    first = report.read_text(encoding="utf-8")
    desk.merged(ana="1")
    assert report.read_text(encoding="utf-8") == first  # it shows no written points
    (desk.base / "by-hand.csv").write_text("student,question,points,comment,who\nben,1,+1,By mail,Kim\n")
    assert "Adjusted by hand" not in first
    desk.merged("--adjustments", str(desk.base / "by-hand.csv"), ana="1")
    changed = report.read_text(encoding="utf-8")
    assert "Adjusted by hand: Ben Cho." in changed
    graded = re.search(r'<meta name="graded" content="(.+)">', first)
    assert graded and graded[0] in changed


def test_a_report_that_is_missing_or_older_is_left_alone(desk: Desk) -> None:
    desk.graded()
    report = desk.out / "report.html"
    report.write_text("<html>an older version's", encoding="utf-8")
    done = desk.run("merge", desk.out / "grades.csv", "--out", desk.out)
    assert done.exit_code == 0
    assert f"{report}: an older report, left as it is" in done.output
    report.unlink()
    assert desk.run("merge", desk.out / "grades.csv", "--out", desk.out).exit_code == 0
    assert not report.exists()


def test_a_check_that_does_not_exist_is_reported_in_the_folders_own_settings_too(desk: Desk) -> None:
    (desk.base / "settings.toml").write_text('[checks]\n"1:any_shape" = "given"\n', encoding="utf-8")
    assert desk.grade(desk.uploads, "--settings", desk.base / "settings.toml").exit_code == 0
    assert desk.grade(desk.uploads).exit_code == 0
    kept = desk.out / "settings.toml"
    kept.write_text(kept.read_text(encoding="utf-8").replace("1:any_shape", "1:any_shap"), encoding="utf-8")
    for done in (desk.grade(desk.uploads), desk.run("merge", desk.out / "grades.csv", "--out", desk.out)):
        assert done.exit_code == 2
        assert f"{kept}: checks: there is no check '1:any_shap'; it can be 1:any_shape" in done.output


# --- Namesakes, two runs at once, due times -------------------------------------------------------------


def test_without_a_roster_no_namesake_takes_anothers_place(desk: Desk) -> None:
    """Ana's of section A has full points; the upload of section B's Ana comes again, and later another one."""
    right = write(desk.base / "A" / "ana", SOLUTION)
    wrong = write(desk.base / "B" / "ana", {**SOLUTION, **WRONG})
    assert desk.grade(right.parent, wrong.parent, roster=False).exit_code == 0
    first = {row["submission"]: row["score"] for row in desk.rows()}
    assert len(first) == len(set(first.values())) == 2
    for paths in ([wrong.parent], [wrong.parent, right.parent]):
        assert desk.grade(*paths, roster=False).exit_code == 0
        assert {row["submission"]: row["score"] for row in desk.rows()} == first
    (wrong / "first.py").write_text("def double(x):\n    return 3 * x\n")
    done = desk.grade(wrong.parent, roster=False)
    assert (
        "several students of this name (ana, ana-2), so this upload counts as a new student's" in done.stderr
    )
    now = {row["submission"]: row["score"] for row in desk.rows()}
    assert len(now) == 3
    assert {name: now[name] for name in first} == first


def test_a_namesakes_upload_that_cannot_be_read_stops_nobody(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = [write(desk.base / section / "ana", SOLUTION).parent for section in ("A", "B")]
    assert desk.grade(*both, roster=False).exit_code == 0

    def damaged(*_: object) -> None:
        raise OSError("damaged")

    monkeypatch.setattr(intake, "read_upload", damaged)
    assert collect._digest(both[0] / "ana", assignment().rubric) == ""
    assert desk.grade(*both, roster=False).exit_code == 0
    assert [row["submission"] for row in desk.rows()] == ["ana", "ana-2"]


def test_a_second_run_into_the_same_folder_waits_for_the_first_to_end(desk: Desk) -> None:
    with session.locked(desk.out):
        done = desk.grade(desk.uploads)
        assert done.exit_code == 2
        assert "another run of grade, regrade or merge is writing into it" in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert not desk.out.exists()
    desk.graded()


def test_points_are_not_merged_while_another_run_writes(desk: Desk) -> None:
    desk.graded()
    before = desk.rows()
    with session.locked(desk.out):
        done = desk.run("merge", desk.out / "grades.csv", "--out", desk.out)
        assert (done.exit_code, len(done.stderr.splitlines())) == (2, 1)
        assert "another run of grade, regrade or merge is writing into it" in done.stderr
    assert desk.rows() == before
    assert desk.run("merge", desk.out / "grades.csv", "--out", desk.out).exit_code == 0


def test_results_cannot_go_where_a_file_is(desk: Desk) -> None:
    desk.out.write_text("mine")
    done = desk.grade(desk.uploads)
    assert (done.exit_code, done.stderr) == (
        2,
        f"autograder: {desk.out}: a file, not a folder; choose another --out\n",
    )
    assert desk.out.read_text() == "mine"


def test_the_due_time_that_is_given_last_counts(desk: Desk) -> None:
    """Without a roster: corrected to an earlier one, kept by a run without one, and by one with the settings' own."""
    folders = {f"submission_{n}/{name}": text for n in (101, 102, 103) for name, text in SOLUTION.items()}
    export = write(desk.base / "e", {"submission_metadata.yml": METADATA, **folders})
    (desk.base / "s.toml").write_text('[late]\ndue = "2026-02-20"\nper_day = 1\n')

    def due(*arguments: object) -> set[str]:
        done = desk.grade(export, *arguments, roster=False)
        assert done.exit_code == 0, done.output
        return {row["due"][:10] for row in desk.rows() if row["submission"] != "submission_103"}

    assert due("--due", "2026-03-05T12:00Z") == {"2026-03-05"}
    assert due("--due", "2026-03-01T12:00Z") == {"2026-03-01"}
    assert due() == {"2026-03-01"}
    assert due("--settings", desk.base / "s.toml", "--due", "2026-02-25T12:00Z") == {"2026-02-25"}
    assert due() == {"2026-02-25"}
    assert due("--settings", desk.base / "s.toml") == {"2026-02-20"}
    again = desk.run("regrade", desk.out, export, "--out", desk.base / "h", "--jobs", "1")
    assert again.exit_code == 0, again.output
    assert {row["due"][:10] for row in desk.rows(out=desk.base / "h") if row["due"]} == {"2026-02-20"}


def test_an_upload_that_comes_later_has_the_classs_due_time(desk: Desk) -> None:
    assert desk.grade(desk.uploads, "--due", "2026-03-01T12:00Z", roster=False).exit_code == 0
    assert desk.grade(write(desk.base / "more" / "dan", SOLUTION), roster=False).exit_code == 0
    assert {row["submission"]: row["due"][:10] for row in desk.rows()} == dict.fromkeys(
        ("ana", "ben", "dan"), "2026-03-01"
    )


def test_an_extension_that_is_withdrawn_ends(desk: Desk) -> None:
    (desk.base / "s.toml").write_text('[late]\nextensions = "x.csv"\n')
    for rows, expected in (("ana,3\n", "2026-03-04"), ("ben,3\n", "2026-03-01")):
        (desk.base / "x.csv").write_text(f"student,extension\n{rows}")
        given = ("--due", "2026-03-01T12:00Z", "--settings", desk.base / "s.toml")
        assert desk.grade(desk.uploads, *given, roster=False).exit_code == 0
        assert next(row["due"][:10] for row in desk.rows() if row["submission"] == "ana") == expected


class Lateness:
    """Ana's upload to Gradescope on a day of March, of which the 1st is the last in time; a day costs a tenth."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        text = '[late]\ndue = "2026-03-01T23:00Z"\nper_day = "10%"\n'
        self.options = ("--settings", write(desk.base, {"s.toml": text}) / "s.toml")

    def on(self, day: int, files: dict[str, str]) -> None:
        record = METADATA[: METADATA.index("submission_102")].replace("2026-03-01", f"2026-03-{day:02}")
        inside = {f"submission_101/{name}": text for name, text in files.items()}
        self.grade(write(self.desk.base / f"{day}", {"submission_metadata.yml": record, **inside}))

    def grade(self, path: Path) -> str:
        done = self.desk.grade(path, *self.options, roster=False)
        assert done.exit_code == 0, done.output
        return done.stderr

    @property
    def row(self) -> tuple[str, ...]:
        (row,) = self.desk.rows()
        return row["submitted"][:10], row["late"], row["total"]


def test_an_upload_that_cannot_be_read_makes_the_earlier_one_no_later(desk: Desk) -> None:
    ana = Lateness(desk)
    ana.on(1, SOLUTION)
    ana.on(4, {"hw.rar": "Rar!"})
    assert ana.row == ("2026-03-01", "no", "6")
    assert not any("late" in note for note in desk.result("Ana Müller")["notes"])
    ana.on(5, SOLUTION)
    assert ana.row == ("2026-03-05", "yes", "3.6")


def test_the_same_upload_without_a_time_stays_late_and_another_one_is_reported(desk: Desk) -> None:
    ana = Lateness(desk)
    ana.on(4, SOLUTION)
    assert ana.row == ("2026-03-04", "yes", "4.2")
    assert "states no time" not in ana.grade(write(desk.base / "007", SOLUTION))
    assert ana.row == ("2026-03-04", "yes", "4.2")
    assert (
        "007: states no time, so lateness costs it nothing, but the earlier upload of Ana Müller was late"
        in ana.grade(write(desk.base / "007", WRONG))
    )
    assert ana.row == ("", "", "2")


def test_repositories_of_a_class_without_a_roster_are_graded_twice_and_then_by_hand(desk: Desk) -> None:
    path = desk.base / "hw-submissions"
    for name, files in (("hw-ana", SOLUTION), ("hw-ben", {**SOLUTION, **WRONG})):
        write(path / name, files)
    assert desk.grade(path, roster=False).exit_code == 0
    first = desk.rows()
    assert [(row["student"], row["score"]) for row in first] == [("ana@github", "6"), ("ben@github", "2")]
    assert "2 of 2 were finished by an earlier run" in desk.grade(path, roster=False).output
    assert desk.rows() == first
    done = desk.run("written", path, "--out", desk.out)
    assert done.exit_code == 0 and "not among the uploads" not in done.output, done.output
    desk.roster("Name,ID,Login,GitHub Username\nAna Bo,007,ben,ana\nBen Cho,008,,\n")
    assert desk.grade(path).exit_code == 0
    assert [(row["id"], row["student"], row["score"]) for row in desk.rows()] == [
        ("007", "Ana Bo", "6"),
        ("008", "Ben Cho", "0"),
        ("", "ben@github", "2"),
    ]


def test_ids_whose_zeros_excel_has_removed_are_the_same(desk: Desk) -> None:
    first = desk.graded().rows()
    book = desk.out / "grades.csv"
    book.write_text(
        book.read_text(encoding="utf-8").replace(",00", ",").replace(",010", ",10"), encoding="utf-8"
    )
    assert desk.rows()[0]["id"] == "7"
    assert desk.graded().rows() == first


def test_a_gradebook_that_excel_has_saved_is_regraded(desk: Desk) -> None:
    write(desk.uploads / "Zoë Müller", SOLUTION)
    desk.graded()
    book = desk.out / "grades.csv"
    book.write_bytes(book.read_text(encoding="utf-8").encode("cp1252"))
    done = desk.run("regrade", desk.out, desk.uploads, "--out", desk.base / "h", "--jobs", "1")
    assert done.exit_code == 0, done.output
    assert "Zoë Müller" in {row["student"] for row in desk.rows(out=desk.base / "h")}
