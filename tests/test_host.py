"""The grader on a host: uploads of all forms, results.json, what students may see, and Otter (`make host` simulates the host)."""

from __future__ import annotations

import json
import os
import pickle
import stat
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autograder.build.gradescope import build, otters_part
from autograder.host import harness, settings
from autograder.host.handover import OtterFailed, cell, otter_name, scores, through_otter
from autograder.host.results import HiddenVisibility, document, failure, looks_used
from autograder.model.assignment import assignment
from autograder.model.feedback import Feedback, HiddenFeedback
from autograder.model.verdicts import GRADER_FAULT, Result, Verdict
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


@pytest.mark.parametrize(("seconds", "shown"), [(0.4, 0), (12.34, 10), (118.9, 120)])
def test_the_time_is_shown_to_ten_seconds(seconds: float, shown: float) -> None:
    made = document(replace(result(verdict()), seconds=seconds), RUBRIC, "visible")
    assert made["execution_time"] == shown


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


def test_a_failure_is_a_valid_document_that_blames_the_grader() -> None:
    assert list(expected.invalid(failure("why."), complete=False)) == []
    assert "not in your code" in failure("why.")["output"]


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
        ("2026-11-24T23:50:00-08:00", ["no time", None], 0),
        ("never", ["2026-11-24T00:01:00-08:00"], 0),
    ],
)
def test_looks_are_counted_by_the_day(created: str, earlier: list[Any], used: int) -> None:
    metadata = {"created_at": created, "previous_submissions": [{"submission_time": t} for t in earlier]}
    assert looks_used(metadata) == used


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
        ("minutes = 1", "a number from 2 to 240"),
        ('otter = "yes"', "true or false"),
        ("visible = true", "there is no setting 'visible'"),
        ("hidden =", "cannot be read"),
        (
            '[visibility]\n"9-9" = "hidden"',
            "visibility: there is no '9-9'; it can be a question or a check of 1-1",
        ),
        ('[visibility]\n"1-7" = "later"', "visibility: 1-7 is 'later'; it can be hidden, after_due_date"),
        ('[questions]\n"1-7" = "half"', "questions: 1-7 is 'half'; it can be dropped, given, bonus"),
    ],
)
def test_settings_are_read_strictly(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "gradescope.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"gradescope\.toml") as error:
        settings.read(path, RUBRIC)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_single_hidden_checks_are_seen_at_another_time_and_count_in_another_way(tmp_path: Path) -> None:
    path = tmp_path / "gradescope.toml"
    path.write_text('[visibility]\n"1-1" = "visible"\n[checks]\n"1-1:secret" = "dropped"\n')
    chosen = settings.read(path, RUBRIC)
    one = replace(SECRETIVE, id="1-1:secret", question="1-1", score=0, max_score=2)
    two = replace(one, id="1-1:other", score=1)
    made = document(
        chosen.counting.counted(result(one, two)), RUBRIC, "hidden", visibility={"1-1:other": "visible"}
    )
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
    found, in_time = harness._graded(host, work, 18.0)
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


def test_gradescope_refuses_invalid_settings(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('hidden = "maybe"')
    command = [sys.executable, "-m", "autograder", "gradescope", "--out", str(tmp_path), "--settings"]
    for name, message in (("mine.toml", "hidden is 'maybe'"), ("other.toml", "there is no such file")):
        done = subprocess.run([*command, str(tmp_path / name)], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 2
        assert message in done.stderr
        assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("*.zip"))
