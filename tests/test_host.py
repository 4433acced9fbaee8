"""The grader on a host: uploads of all forms, results.json, what students may see, and Otter (`make host` simulates the host)."""

from __future__ import annotations

import errno
import json
import os
import pickle
import stat
import subprocess
import sys
import time
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from autograder.build import gradescope
from autograder.build.gradescope import build, otters_part
from autograder.cli.build import gradescope as command_line
from autograder.host import harness, plugin, results, settings
from autograder.host.handover import OtterFailed, cell, otter_name, scores, through_otter
from autograder.host.results import HiddenVisibility, document, failure, instructors_report, looks_used
from autograder.model.assignment import assignment
from autograder.model.counting import Counting
from autograder.model.feedback import Feedback, HiddenFeedback
from autograder.model.verdicts import GRADER_FAULT, NOT_RUN, Result, Verdict
from autograder.reports.hidden import Teaching
from autograder.submissions.intake import read_upload
from tests.experiments.host import expected

ROOT = Path(__file__).resolve().parents[1]
SECRET = "canary-of-a-test"
SUBJECT = assignment()
RUBRIC = SUBJECT.rubric


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The upload zip."""
    return build(tmp_path_factory.mktemp("zip"), None, SECRET)


@pytest.fixture
def host(archive: Path, tmp_path: Path) -> Path:
    """A folder laid out as the host lays it out, with nothing uploaded yet."""
    root = tmp_path / "autograder"
    for name in ("source", "submission", "results"):
        (root / name).mkdir(parents=True)
    with zipfile.ZipFile(archive) as content:
        content.extractall(root / "source")
    (root / "submission_metadata.json").write_text("{}")
    return root


def verdict(visibility: Any = "public", status: Any = "passed", **more: Any) -> Verdict:
    fields = {"id": f"1-3:{visibility}", "question": "1-3", "title": "The title", "score": 0, "max_score": 1}
    return Verdict(**{**fields, "visibility": visibility, "status": status, **more})


def result(*verdicts: Verdict, **more: Any) -> Result:
    return Result("ana", "0" * 64, "process", 1.0, verdicts, (("1-3", 2.0),), **more)


SECRETIVE = verdict(
    "hidden", "failed", feedback=Feedback(expected="0.25", seen="0.5", diagnosis="half"), rubric="Samples"
)


@pytest.mark.parametrize("hidden", ["hidden", "after_due_date", "after_published", "visible"])
def test_a_hidden_check_shows_whether_it_passed_and_the_rubrics_text(hidden: HiddenVisibility) -> None:
    made = document(result(verdict(), SECRETIVE), RUBRIC, hidden)
    public, secretive = made["tests"]
    assert (public["visibility"], secretive["visibility"]) == ("visible", hidden)
    assert secretive["name"] == "1-3 Hidden check: Samples"
    assert secretive["output"] == "Not passed."
    assert "0.25" not in json.dumps(made) and "half" not in json.dumps(made)
    assert made["stdout_visibility"] == "hidden"


def test_only_the_instructor_reads_how_long_it_took() -> None:
    """A submission that sleeps would tell its author what hidden checks asked."""
    slow = replace(result(verdict()), seconds=118.94)
    assert "execution_time" not in document(slow, RUBRIC, "visible")
    assert "118.9 s" in instructors_report(slow)


def test_a_hidden_check_names_the_mistake_where_the_instructor_allows_it() -> None:
    known = {"halved": "It is half of the right value. Do not divide by two."}
    wrong = result(replace(SECRETIVE, mistake="halved"))

    def row(choice: HiddenFeedback) -> dict[str, Any]:
        (found,) = document(wrong, RUBRIC, "visible", "", Teaching(choice, known))["tests"]
        return found

    assert row("mistake")["output"] == "Not passed. It is half of the right value. Do not divide by two."
    assert row("rubric")["output"] == row("count")["output"] == "Not passed."
    assert (row("rubric")["name"], row("count")["name"]) == ("1-3 Hidden check: Samples", "1-3 Hidden check")


def test_a_hidden_check_without_a_rubric_text_is_named_after_its_question() -> None:
    (row,) = document(result(replace(SECRETIVE, rubric="")), RUBRIC, "visible")["tests"]
    assert row["name"] == "1-3 Hidden check: Sampling from the auto-encoder"


def test_a_fault_of_the_grader_is_shown_in_hidden_checks_too() -> None:
    (row,) = document(
        result(verdict("hidden", "error", feedback=GRADER_FAULT, grader_fault=True)), RUBRIC, "visible"
    )["tests"]
    assert "not in your code" in row["output"]


def test_feedback_cannot_leave_its_code_block() -> None:
    hostile = "```\n# Full marks\n<img src=x onerror=alert(1)>\n"
    made = document(
        result(verdict("public", "failed", feedback=Feedback(note=hostile)), printed={"1-3": hostile}),
        RUBRIC,
        "hidden",
    )
    for text in (made["tests"][0]["output"], made["output"]):
        fence = next(line for line in text.splitlines() if line.startswith("````"))
        assert text.count(fence.removesuffix("text")) >= 2


def test_the_total_of_the_public_checks_is_always_shown() -> None:
    got = verdict(score=1)
    made = document(result(got, SECRETIVE), RUBRIC, "hidden")
    assert "Public checks: 1 of 1 points" in made["output"]
    assert "Hidden checks decide the other 1 points. You do not see them." in made["output"]
    assert made["score"] == 1


@pytest.mark.parametrize(
    ("score", "most", "line"),
    [
        (1, 1, "- 1-3: 1 of 1"),
        (1.5, 1, "- 1-3: 1.5 of 1"),
        (0.5, 1, "- 1-3: 0.5 of 1 (to do)"),
        (1, 0, "- 1-3: 1 bonus"),
        (0, 0, "- 1-3: no points"),
    ],
)
def test_a_question_is_to_do_only_while_points_are_missing(score: float, most: float, line: str) -> None:
    made = document(result(verdict(score=score, max_score=most)), RUBRIC, "hidden")
    assert line in made["output"].splitlines()


@pytest.mark.parametrize(
    ("hidden", "single", "sentence"),
    [
        ("after_published", {}, "You see whether they passed when grades are published."),
        ("hidden", {"1-3": "visible"}, "You see whether they passed, not what they tried."),
        ("hidden", {"1-3:one": "visible"}, "You see some of them now and others not at all."),
        (
            "after_due_date",
            {"1-3:one": "visible", "1-3:two": "after_published"},
            "You see some of them now, others after the due date and others when grades are published.",
        ),
    ],
)
def test_students_read_when_they_see_hidden_checks(
    hidden: HiddenVisibility, single: Mapping[str, HiddenVisibility], sentence: str
) -> None:
    checks = [replace(SECRETIVE, id=f"1-3:{name}") for name in ("one", "two", "three")]
    made = document(result(verdict(), *checks), RUBRIC, hidden, visibility=single)
    assert f"Hidden checks decide the other 1 points. {sentence}" in made["output"].splitlines()


def test_a_hidden_check_that_did_not_run_has_not_failed() -> None:
    waiting = verdict("hidden", "error", feedback=NOT_RUN)
    (row,) = document(result(waiting, complete=False), RUBRIC, "visible")["tests"]
    assert row["output"] == "This check has not run yet."


@pytest.mark.parametrize("visibility", ["public", "hidden"])
def test_checks_that_are_given_or_dropped_have_not_failed(visibility: str) -> None:
    failed = verdict(visibility, "failed", feedback=Feedback(seen="0.5"))

    def row(check: Verdict, counting: Counting) -> dict[str, Any]:
        made = document(result(check), RUBRIC, "hidden", counting=counting)
        assert list(expected.invalid(made, complete=False)) == []
        (found,) = made["tests"]
        return found

    given, dropped = (
        row(failed, Counting({"1-3": "given"})),
        row(failed, Counting({}, {failed.id: "dropped"})),
    )
    assert (given["status"], given["score"], given["max_score"]) == ("passed", 1, 1)
    assert given["output"].startswith("This check gives full points to everyone who submitted.")
    assert "status" not in dropped
    assert (dropped["score"], dropped["max_score"]) == (0, 0)
    assert row(failed, Counting())["status"] == "failed"


def test_a_failure_is_a_valid_document_that_blames_the_grader() -> None:
    assert list(expected.invalid(failure("why."), complete=False)) == []
    assert "not in your code" in failure("why.")["output"]
    assert failure("why.")["extra_data"] == {"complete": False}


def test_the_script_has_a_valid_document_for_a_grader_that_cannot_start(host: Path) -> None:
    line = next(li for li in (host / "source" / "run_autograder").read_text().splitlines() if "score" in li)
    made = json.loads(line.partition("'{")[2].join(["{", ""]).rpartition("}'")[0] + "}")
    assert list(expected.invalid(made, complete=False)) == []
    assert made["extra_data"] == {"complete": False}


def test_the_validator_finds_invalid_documents() -> None:
    right = document(result(verdict(score=1), SECRETIVE), RUBRIC, "hidden")
    assert list(expected.invalid(right, complete=False)) == []
    assert list(expected.invalid(right)) != []  # 2 points are not the rubric's 75
    changes: list[dict[str, Any]] = [
        {"score": 7},
        {"score": "1"},
        {"tests": [{}]},
        {"visibility": "later"},
        {"more": 1},
    ]
    for change in changes:
        assert list(expected.invalid({**right, **change}, complete=False)) != [], change


@pytest.mark.parametrize(
    ("created", "earlier", "used"),
    [
        ("2026-11-24T23:50:00-08:00", ["2026-11-24T00:01:00-08:00", "2026-11-23T23:59:00-08:00"], 1),
        ("2026-11-24T23:50:00-08:00", [], 0),
        ("2026-11-24T23:50:00-08:00", ["no time", None], 2),  # they may be of this day
        ("2026-11-24T23:50:00-08:00", ["2026-11-25T07:00:00+00:00", "2026-11-25T07:30:00+00:00"], 2),
        ("2026-11-24T12:00:00-08:00", ["2026-11-24T11:00:00-08:00", "2026-11-24T13:00:00-08:00"], 1),
        ("2026-11-24T23:50:00", ["2026-11-24T00:10:00", "2026-11-24T01:00:00+02:00"], 1),
        ("never", ["2026-11-24T00:01:00-08:00"], None),
        (None, [], None),
    ],
)
def test_looks_are_counted_by_the_day(created: Any, earlier: list[Any], used: int | None) -> None:
    metadata = {"created_at": created, "previous_submissions": [{"submission_time": t} for t in earlier]}
    assert looks_used(metadata) == used


class Before311(datetime):
    """Reads times as Python 3.10 does: without a Z for UTC."""

    @classmethod
    def fromisoformat(cls, text: str) -> Before311:
        if text.endswith("Z"):
            raise ValueError(text)
        return super().fromisoformat(text)


def test_times_in_utc_are_read_with_every_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "datetime", Before311)
    earlier = [{"submission_time": "2026-11-24T00:01:00Z"}, {"submission_time": "2026-11-23T23:59:00Z"}]
    assert looks_used({"created_at": "2026-11-24T23:50:00Z", "previous_submissions": earlier}) == 1


def test_an_upload_that_the_autograder_failed_on_used_no_look() -> None:
    entry = {"submission_time": "2026-11-24T10:00:00-08:00"}
    earlier = [entry, {**entry, "autograder_error": True}, {**entry, "autograder_error": False}]
    assert looks_used({"created_at": "2026-11-24T11:00:00-08:00", "previous_submissions": earlier}) == 2


@pytest.mark.parametrize(
    "metadata",
    [
        "{",
        "[]",
        "{}",
        '{"previous_submissions": []}',
        '{"created_at": "2026-11-24T11:00:00-08:00"}',
        '{"created_at": "2026-11-24T11:00:00-08:00", "previous_submissions": 5}',
        '{"created_at": "2026-11-24T11:00:00-08:00", "previous_submissions": {"a": 1}}',
        '{"created_at": 5, "previous_submissions": []}',
    ],
)
def test_looks_that_cannot_be_counted_are_used_up(
    host: Path, capsys: pytest.CaptureFixture[str], metadata: str
) -> None:
    (host / "source" / settings.FILE).write_text('hidden = "visible"\nhidden_looks_per_day = 2\n')
    (host / "submission_metadata.json").write_text(metadata)
    _, hidden, note = harness._choices(host)
    assert hidden == "after_published"
    assert "could not be read" in note and "tell your instructor" in note
    assert "does not say how many uploads were made today" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("earlier", "visibility", "message"),
    [(0, "visible", "number 1 today"), (2, "after_published", "used up")],
)
def test_looks_at_hidden_checks_are_limited(host: Path, earlier: int, visibility: str, message: str) -> None:
    (host / "source" / settings.FILE).write_text('hidden = "visible"\nhidden_looks_per_day = 2\n')
    times = [{"submission_time": "2026-11-24T10:00:00-08:00"}] * earlier
    (host / "submission_metadata.json").write_text(
        json.dumps({"created_at": "2026-11-24T11:00:00-08:00", "previous_submissions": times})
    )
    _, hidden, note = harness._choices(host)
    assert hidden == visibility
    assert message in note


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('hidden = "later"', "it can be hidden, after_due_date"),
        ("hidden_looks_per_day = 3", 'counts only with hidden = "visible"'),
        ('hidden = "visible"\nhidden_looks_per_day = -1', "it can be 0, 1, 2"),
        ("minutes = 1", "a number from 2 to 40"),
        ("minutes = 41", "a number from 2 to 40"),
        ("minutes = 2\notter = true", "a number from 3 to 40 with otter = true"),
        ('otter = "yes"', "true or false"),
        ("visible = true", "there is no setting 'visible'"),
        ("hidden =", "cannot be read"),
        (
            '[visibility]\n"9-9" = "hidden"',
            "visibility: there is no '9-9'; it can be a question or a check of 1-1",
        ),
        ('[visibility]\n"1-7" = "later"', "visibility: 1-7 is 'later'; it can be hidden, after_due_date"),
        ('[questions]\n"1-7" = "half"', "questions: 1-7 is 'half'; it can be dropped, given, bonus"),
        (
            '[questions]\n"1-3w" = "bonus"',
            "questions: 1-3w is a written question; its points are given on Gradescope",
        ),
    ],
)
def test_settings_are_read_strictly(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "gradescope.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"gradescope\.toml") as error:
        settings.read(path, RUBRIC)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_settings_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "gradescope.toml"
    path.write_text("minutes = 3\notter = true\n", encoding="utf-8-sig")
    assert settings.read(path, RUBRIC) == settings.Settings(minutes=3.0, otter=True)


@pytest.mark.parametrize("named", ["1-3:public", "1-3"])
def test_when_public_checks_are_seen_cannot_be_chosen(tmp_path: Path, named: str) -> None:
    path = tmp_path / "gradescope.toml"
    path.write_text(f'[visibility]\n"{named}" = "hidden"\n')
    with pytest.raises(ValueError, match=f"visibility: {named} names no hidden check") as error:
        settings.require_known(settings.read(path, RUBRIC), path, [verdict()])
    assert "\n" not in str(error.value)


def test_single_hidden_checks_are_seen_at_another_time_and_count_in_another_way(tmp_path: Path) -> None:
    path = tmp_path / "gradescope.toml"
    path.write_text('[visibility]\n"1-1" = "visible"\n[checks]\n"1-1:secret" = "dropped"\n')
    chosen = settings.read(path, RUBRIC)
    one = replace(SECRETIVE, id="1-1:secret", question="1-1", score=0, max_score=2)
    two = replace(one, id="1-1:other", score=1)
    single: Mapping[str, HiddenVisibility] = {"1-1:other": "visible"}
    made = document(result(one, two), RUBRIC, "hidden", visibility=single, counting=chosen.counting)
    seen = [(t["score"], t["max_score"], t["visibility"]) for t in made["tests"]]
    assert seen == [(0, 0, "hidden"), (1, 2, "visible")]
    assert harness.visibility(replace(chosen, hidden="visible"), "visible") == {"1-1": "visible"}
    assert harness.visibility(replace(chosen, hidden="visible"), "after_published") == {
        "1-1": "after_published"
    }
    with pytest.raises(ValueError, match="checks: there is no check '1-1:secret'; it can be 1-1:other"):
        settings.require_known(chosen, path, [two])


def test_settings_that_cannot_be_read_on_the_host_keep_hidden_checks_hidden(
    host: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (host / "source" / settings.FILE).write_text("hidden = 1")
    assert harness._choices(host)[1] == "hidden"
    assert "hidden checks stay hidden" in capsys.readouterr().out


def zipped(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, "w") as made:
        for name in names:
            made.writestr(name, "x = 1\n")
    return path


def test_the_submission_is_found_in_an_upload_of_any_form(tmp_path: Path) -> None:
    flat, nested, packed, deep = (tmp_path / n for n in ("flat", "nested", "packed", "deep"))
    (nested / "a folder").mkdir(parents=True)
    (deep / "inside").mkdir(parents=True)
    for folder in (flat, packed):
        folder.mkdir()
    (flat / "vae.py").write_text("x = 1\n")
    (nested / "a folder" / "vae.py").write_text("x = 1\n")
    zipped(packed / "other.zip", "holiday.txt")
    zipped(packed / "work.ZIP", "submission/vae.py")
    zipped(deep / "inside" / "work.zip", "vae.py")
    digests = {read_upload(folder, RUBRIC, "ana").sha256 for folder in (flat, nested, packed, deep)}
    assert len(digests) == 1
    assert read_upload(flat, RUBRIC, "ana").has("vae")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "The upload is empty"),
        ({"photo.png": b"\x89PNG"}, "holds none of"),
        ({"work.zip": b"PK\x03\x04 not one"}, "work.zip: not a zip archive"),
    ],
)
def test_an_upload_without_modules_is_explained(
    tmp_path: Path, files: dict[str, bytes], message: str
) -> None:
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    found = read_upload(tmp_path, RUBRIC, "ana")
    assert not found.files
    assert message in "\n".join(found.notes)
    assert str(tmp_path) not in "\n".join(found.notes)


def test_a_whole_run_ends_in_results_that_otter_agrees_with(host: Path) -> None:
    """The solutions with one fault, by the same command as on the host."""
    (host / "source" / settings.FILE).write_text("otter = true")
    for module in RUBRIC.modules:
        text = (ROOT / "solutions" / f"{module}.py").read_text()
        (host / "submission" / f"{module}.py").write_text(
            text.replace("torch.randn_like(mu)", "torch.rand_like(mu)")
        )
    done = subprocess.run(
        [sys.executable, "-m", "autograder.host", str(host)],
        cwd=host / "source",
        env={**os.environ, "PYTHONPATH": str(host / "source")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    made = json.loads((host / "results" / "results.json").read_text())
    assert list(expected.invalid(made)) == []
    assert list(expected.leaks(made, "", [SECRET])) == []
    assert expected.lost(made) == {"1-4", "1-8"}  # vae.py and cvae.py both draw so
    assert "Otter's scores are the same." in done.stdout
    assert "noise is uniform" in done.stdout  # for the instructor: the feedback of hidden checks
    for name in ("source", "results", "submission", "submission_metadata.json"):
        assert not (host / name).stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO), name


def test_the_harness_itself_loads_no_torch() -> None:
    """Its process lives as long as the judge's: PyTorch in it would cost seconds and memory that small containers lack."""
    code = "import sys, autograder.host.harness; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_checks_that_were_graded_before_the_time_limit_count(host: Path, tmp_path: Path) -> None:
    solutions = {m: (ROOT / "solutions" / f"{m}.py").read_text() for m in RUBRIC.modules}
    for module, text in solutions.items():
        endless = "while True:\n    pass\n" if module != "autoencoder" else ""
        (host / "submission" / f"{module}.py").write_text(endless + text)
    work = tmp_path / "work"
    work.mkdir()
    began = time.monotonic()
    found, in_time = harness._graded(host, work, 18.0, SECRET)
    assert not in_time
    assert time.monotonic() - began < 40
    assert found is not None
    assert not found.complete
    assert found.score_of("2-4") == 0
    assert list(expected.invalid(document(found, RUBRIC, "hidden"))) == []


@pytest.mark.parametrize(("in_time", "message"), [(False, "look for a loop"), (True, "tell your instructor")])
def test_an_unfinished_result_says_why(
    host: Path, monkeypatch: pytest.MonkeyPatch, in_time: bool, message: str
) -> None:
    unfinished = result(verdict(), complete=False)
    monkeypatch.setattr(harness, "_graded", lambda *_: (unfinished, in_time))
    assert harness.main(host) == 0
    made = json.loads((host / "results" / "results.json").read_text())
    assert message in made["output"]
    assert list(expected.invalid(made, complete=False)) == []


class FullDisk:
    """Stands in for writing a file, on a disk with room for so many characters."""

    def __init__(self, room: int) -> None:
        self.room = room

    def __call__(self, path: Path, content: str) -> None:
        if len(content) > self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        path.write_text(content)


@pytest.mark.parametrize(("room", "status"), [(2500, 0), (900, 1)])
def test_points_survive_a_full_disk(
    host: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    room: int,
    status: int,
) -> None:
    """The points alone are stored where there is room for them, and printed where there is not."""
    long = verdict("public", "failed", score=0.5, feedback=Feedback(seen="x" * 5000))
    monkeypatch.setattr(harness, "_graded", lambda *_: (result(long, SECRETIVE), True))
    monkeypatch.setattr(harness, "write_atomically", FullDisk(room))
    assert harness.main(host) == status
    made = json.loads((host / "results" / "results.json").read_text())
    assert list(expected.invalid(made, complete=False)) == []
    printed = capsys.readouterr().out
    assert "No space left on device" in printed
    if status:
        assert made["score"] == 0 and "stopped before it was done" in made["output"]
        assert "0.5 points, by check:\n  1-3.1: 0.5 of 1\n  1-3.2: 0 of 1\n" in printed
    else:
        assert [made["score"], *(t["score"] for t in made["tests"])] == [0.5, 0.5, 0]
        assert "Only your points could be stored" in made["output"]
        assert not [t for t in made["tests"] if "output" in t]


@pytest.mark.parametrize("secret", [None, b"", b" \n\t", b"\xff\xfe"])
def test_a_grader_without_a_course_secret_grades_nothing(
    host: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], secret: bytes | None
) -> None:
    path = host / "source" / settings.SECRET
    path.unlink()
    if secret is not None:
        path.write_bytes(secret)
    monkeypatch.setattr(harness, "_graded", lambda *_: (result(verdict(score=1)), True))
    assert harness.main(host) == 1
    made = json.loads((host / "results" / "results.json").read_text())
    assert list(expected.invalid(made, complete=False)) == []
    assert made["score"] == 0
    assert "it has no course secret" in made["output"] and "Tell your instructor" in made["output"]
    assert "source/secret is missing or blank" in capsys.readouterr().out


def test_otter_run_needs_a_course_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOGRADER_SECRET", " ")
    with pytest.raises(RuntimeError, match="no course secret"):
        plugin._secret(tmp_path)
    (tmp_path / settings.SECRET).write_text("the zip's\n")
    assert plugin._secret(tmp_path) == "the zip's"
    monkeypatch.setenv("AUTOGRADER_SECRET", "ours")
    assert plugin._secret(tmp_path) == "ours"


def test_a_judge_that_returns_no_result_is_the_graders_fault(
    host: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (host / "submission").rmdir()
    (host / "submission").write_text("not a folder")
    harness.main(host)
    made = json.loads((host / "results" / "results.json").read_text())
    assert list(expected.invalid(made, complete=False)) == []
    assert made["score"] == 0


def test_otters_cell_contains_nothing_that_students_may_not_see() -> None:
    source = cell(result(verdict("public", "failed", feedback=Feedback(seen='\'quotes\' \\ """')), SECRETIVE))
    space: dict[str, Any] = {}
    exec(source, space)
    assert space["verdicts"]["1-3:public"]["message"] == 'Seen: \'quotes\' \\ """'
    assert "0.25" not in source


def test_otter_without_results_is_reported_in_one_line(host: Path) -> None:
    (host / "source" / "files" / "verdicts.ipynb").unlink()  # Otter finds nothing to grade
    with pytest.raises(OtterFailed) as error:
        through_otter(result(verdict()), host / "source", 120.0)
    assert "\n" not in str(error.value)
    with pytest.raises(OtterFailed, match="no scores"):
        scores({"tests": [{"name": "q1_1", "score": None}]})


class Canary:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (os.mkdir, (str(self.path),))


def test_otter_run_on_the_zip_executes_nothing_of_the_submission(archive: Path, tmp_path: Path) -> None:
    """Modules that shadow Otter's and Python's own, a log that is a pickle, test files: none of it runs in Otter's processes."""
    caught = tmp_path / "caught"
    hostile = f"import os\nos.mkdir({str(caught)!r} + str(os.getpid()))\n"
    stubs = {f"{m}.py": (ROOT / "assignment" / f"{m}.py").read_text() for m in RUBRIC.modules}
    with zipfile.ZipFile(tmp_path / "work.zip", "w") as made:
        for name, text in stubs.items():
            made.writestr(f"submission/{name}", text)
        for name in (
            "json.py",
            "otter/__init__.py",
            "pickle.py",
            "nbformat.py",
            "tests/q1_1.py",
            "sitecustomize.py",
        ):
            made.writestr(name, hostile)
        made.writestr(".OTTER_LOG", pickle.dumps(Canary(caught)))
    command = [
        sys.executable,
        "-m",
        "otter",
        "run",
        "-a",
        str(archive),
        "-o",
        str(tmp_path),
        str(tmp_path / "work.zip"),
    ]
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    by_otter = scores(json.loads((tmp_path / "results.json").read_text()))
    assert by_otter == {otter_name(q.id): 0 for q in RUBRIC.auto}
    assert list(tmp_path.glob("caught*")) == []


def test_the_zip_holds_what_the_host_needs_and_no_more(archive: Path) -> None:
    with zipfile.ZipFile(archive) as content:
        names = set(content.namelist())
        modes = {i.filename: i.external_attr >> 16 for i in content.infolist()}
        scripts = {n: content.read(n).decode() for n in ("setup.sh", "run_autograder")}
        assert content.read("secret").decode() == SECRET
    assert {
        "setup.sh",
        "run_autograder",
        "otter_config.json",
        "files/verdicts.ipynb",
        f"autograder/{SUBJECT.folder.name}/given/data.py",
    } <= names
    assert not [n for n in names if n.endswith("/vae.py") and "given" in n]
    assert {f"tests/{otter_name(q.id)}.py" for q in RUBRIC.auto} <= names
    assert not [
        n for n in names if n.startswith(("autograder/build", "tests/test_", ".", "/")) or n.endswith(".pyc")
    ]
    for name, text in scripts.items():
        assert modes[name] & 0o111, name
        subprocess.run(["bash", "-n"], input=text, text=True, check=True)
        code = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
        for word in ("conda", "mamba", "playwright", "tex"):
            assert word not in code, f"{name}: {word}"


def test_the_zip_is_the_same_when_it_is_built_again(archive: Path, tmp_path: Path) -> None:
    otters_part.cache_clear()
    assert build(tmp_path, None, SECRET).read_bytes() == archive.read_bytes()


def test_every_zip_without_a_course_secret_has_a_new_one(tmp_path: Path) -> None:
    kept = set()
    for name in ("a", "b"):
        with zipfile.ZipFile(build(tmp_path / name)) as content:
            kept.add(content.read("secret"))
    assert len(kept) == 2


def test_a_blank_course_secret_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOGRADER_SECRET", "   ")
    done = CliRunner().invoke(command_line, ["--out", str(tmp_path / "a")], catch_exceptions=False)
    assert "AUTOGRADER_SECRET is not set: the zip holds a new secret of its own." in done.output
    build(tmp_path / "b", None, " \n")
    build(tmp_path / "c", None, f" {SECRET}\n")
    kept = []
    for name in ("a", "b", "c"):
        with zipfile.ZipFile(tmp_path / name / "autograder.zip") as content:
            kept.append(content.read("secret").decode())
    assert [len(kept[0]), len(kept[1]), kept[2]] == [32, 32, SECRET]


def test_scripts_from_a_windows_clone_run_on_the_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in gradescope.OWN.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    monkeypatch.setattr(gradescope, "OWN", tmp_path)
    with zipfile.ZipFile(build(tmp_path / "dist", None, SECRET)) as content:
        for name in gradescope.EXECUTABLE:
            assert b"\r" not in content.read(name)


def test_clones_have_unix_line_ends_and_binary_files_as_they_are() -> None:
    lines = (ROOT / ".gitattributes").read_text().splitlines()
    assert lines[0] == "* text=auto eol=lf"
    assert {"*.png binary", "*.safetensors binary", "*.zip binary"} <= set(lines)


def test_gradescope_refuses_invalid_settings(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('hidden = "maybe"')
    command = [sys.executable, "-m", "autograder", "gradescope", "--out", str(tmp_path), "--settings"]
    for name, message in (("mine.toml", "hidden is 'maybe'"), ("other.toml", "there is no such file")):
        done = subprocess.run([*command, str(tmp_path / name)], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 2
        assert message in done.stderr
        assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("*.zip"))
