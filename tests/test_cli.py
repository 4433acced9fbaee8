"""The command line, run as people run it."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO, Any

import pytest

from autograder.grading import sandboxed
from tests.commands import autograder, here
from tests.tiny import make_assignment, write

ROOT = Path(__file__).resolve().parent.parent
HALF = ROOT / "tests" / "submissions" / "problem-1-done"


def results_in(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*.json") if path.name != "manifest.json"]


def load(path: Path) -> dict[str, Any]:
    table: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return table


def test_a_check_of_the_stubs_says_what_to_write_next(tmp_path: Path) -> None:
    done = autograder("check", "--json", tmp_path / "result.json")
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    assert done.stdout.count("In autoencoder.py: write") == 3
    assert "In gan.py: write" in done.stdout
    result = load(tmp_path / "result.json")
    assert result["score"] == 0
    assert {c["visibility"] for c in result["checks"]} == {"public"}
    for id in result["questions"]:
        assert id in done.stdout


def test_a_copy_of_the_solutions_passes_all_public_checks(tmp_path: Path) -> None:
    mine = shutil.copytree(ROOT / "solutions", tmp_path / "mine")
    done = autograder("check", mine)
    assert done.returncode == 0, done.stdout
    assert "All public checks passed." in done.stdout
    assert "hidden checks decide the other" in " ".join(done.stdout.split())


def test_one_question_is_checked_alone(tmp_path: Path) -> None:
    done = autograder("check", "solutions", "-q", "1-7", "--json", tmp_path / "r.json")
    assert done.returncode == 0
    assert list(load(tmp_path / "r.json")["questions"]) == ["1-7"]
    assert "1-4" not in done.stdout


def test_spawned_sandboxes_give_the_same_verdicts(tmp_path: Path) -> None:
    """`spawn` starts sandboxes where fork is unavailable; this test asks for it."""
    for start in ("fork", "spawn"):
        autograder(
            "check",
            HALF,
            "-q",
            "1-2",
            "-q",
            "1-8",
            "--json",
            tmp_path / f"{start}.json",
            AUTOGRADER_START=start,
        )
    fork, spawn = (load(tmp_path / f"{start}.json") for start in ("fork", "spawn"))
    assert fork["checks"] == spawn["checks"]
    assert fork["score"] == fork["max_score"] > 0


def test_bad_input_costs_its_own_questions_and_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, judged_here: None
) -> None:
    """A batch of uploads with every kind of fault, graded on one cheap question per module."""
    monkeypatch.setattr(sandboxed, "IMPORT_SECONDS", 4.0)
    batch = tmp_path / "batch"
    vae = (ROOT / "solutions" / "vae.py").read_text(encoding="utf-8")
    names = ("good", "syntax", "raises", "loops", "exits")
    for name in names:
        shutil.copytree(ROOT / "solutions", batch / name, ignore=shutil.ignore_patterns("__pycache__"))
    (batch / "syntax" / "vae.py").write_text(vae.replace("def forward(self", "def forward(self:", 1))
    (batch / "raises" / "vae.py").write_text("open('train-images.bin')\n" + vae)
    (batch / "loops" / "vae.py").write_text(vae + "\nwhile True:\n    pass\n")
    (batch / "exits" / "vae.py").write_text(vae + "\nimport os\nos._exit(0)\n")
    (batch / "empty").mkdir()
    (batch / "nozip.zip").write_text("not a zip")
    out = tmp_path / "out"
    done = here("grade", batch, tmp_path / "nowhere", "--out", out, "-q", "1-3", "-q", "1-7", "-q", "1-9")
    assert done.exit_code == 2
    assert f"{tmp_path / 'nowhere'}: there is no such file or folder" in done.stderr
    assert "Traceback" not in done.output
    results = {p.stem: load(p) for p in results_in(out)}
    scores = {name: {q: v["score"] for q, v in r["questions"].items()} for name, r in results.items()}
    full = {"1-3": 2, "1-7": 1, "1-9": 6}
    broken = {"1-3": 2, "1-7": 0, "1-9": 6}
    nothing = dict.fromkeys(full, 0)
    assert scores == {
        "good": full,
        **dict.fromkeys(["syntax", "raises", "loops", "exits"], broken),
        "empty": nothing,
        "nozip": nothing,
    }
    messages = {
        "syntax": "vae.py is not valid Python: ",
        "raises": "vae.py could not be imported: FileNotFoundError",
        "loops": "importing vae.py did not finish within 4 s",
        "exits": "importing vae.py ended the Python process",
    }
    for name, text in messages.items():
        (check,) = [c for c in results[name]["checks"] if c["question"] == "1-7"]
        assert text in check["feedback"]
        assert "Try: " in check["feedback"]
    assert "nozip.zip: not a zip archive" in results["nozip"]["notes"][0]
    assert "holds none of" in results["empty"]["notes"][0]


def test_unusable_paths_are_reported_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_text("text")
    for args in (
        ["check", tmp_path / "nowhere"],
        ["check", tmp_path / "x.zip"],
        ["grade", tmp_path / "nowhere"],
    ):
        done = autograder(*args)
        assert done.returncode == 2
        (line,) = done.stderr.strip().splitlines()
        assert line.startswith(f"autograder: {tmp_path}")
    done = autograder("check", "-q", "9-9")
    assert done.returncode == 2
    assert done.stderr.startswith("autograder: there is no auto-graded question 9-9; there are 1-1, 1-2")


def test_the_same_submission_gets_the_same_json_twice(tmp_path: Path) -> None:
    texts = set()
    for seed in ("1", "2"):  # of the order of sets, which nothing may depend on
        out = tmp_path / seed
        command = ("grade", HALF, "--out", out, "-q", "1-4", "-q", "1-9")
        autograder(*command, AUTOGRADER_SECRET="s", PYTHONHASHSEED=seed)
        result = load(out / "problem-1-done.json")
        del result["seconds"]
        texts.add(json.dumps(result))
    assert len(texts) == 1


def test_submissions_whose_names_collide_are_all_graded(tmp_path: Path, judged_here: None) -> None:
    for name in ("ana", "Ana"):
        shutil.copytree(HALF, tmp_path / "in" / name)
    shutil.make_archive(str(tmp_path / "in" / "ana"), "zip", HALF)
    done = here("grade", tmp_path / "in", "--out", tmp_path / "out", "-q", "1-7")
    assert done.exit_code == 0
    assert len(results_in(tmp_path / "out")) == 3
    assert len((tmp_path / "out" / "grades.csv").read_text().splitlines()) == 4


def test_a_grader_that_cannot_run_says_why_in_one_line(tmp_path: Path) -> None:
    done = autograder("check", "-q", "1-7", AUTOGRADER_START="teleport")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "autograder: AUTOGRADER_START is 'teleport'; it can be fork or spawn\n"
    code = "import sys; sys.modules['click'] = None; sys.argv[1:] = ['check']; import autograder.__main__ as m; m.run()"
    bare = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert bare.returncode == 2
    assert bare.stderr.startswith(
        f"autograder: the package click is not installed for {sys.executable}; use the Python in"
    )
    assert "or run `make env`" in bare.stderr


def test_the_cli_does_not_import_torch_before_the_fork_server_runs() -> None:
    """The help of all commands loads the code of all of them."""
    loaded = "[m for m in ('torch', 'otter', 'jinja2', 'distributed') if m in sys.modules]"
    code = f"import sys; from tests.commands import here; here('--help'); print({loaded})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_students_read_about_mistakes_is_loaded_for_the_first_of_them() -> None:
    """The catalogue loads torch: two seconds more for every run of `grade`, also where there is nothing to tell."""
    code = """if True:
        import sys
        from autograder.classroom.feedback import teaching_of
        from autograder.model.verdicts import Verdict
        teaching = teaching_of("mistake")
        fields = {"question": "1-4", "title": "t", "visibility": "hidden", "score": 0.0, "max_score": 1.0}
        for mistake in (None, "noise-uniform"):
            lesson = teaching.lesson(Verdict(id="x", status="failed", mistake=mistake, **fields))
            print(bool(lesson), "torch" in sys.modules)"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False", "True", "True"]


def test_watching_checks_again_when_a_file_is_saved(tmp_path: Path) -> None:
    mine = shutil.copytree(ROOT / "assignment", tmp_path / "mine")
    command = [sys.executable, "-m", "autograder", "check", str(mine), "-q", "1-7", "--watch"]
    # A shell starts background jobs with Ctrl-C ignored, and their children inherit that.
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        watching = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
    finally:
        signal.signal(signal.SIGINT, before)
    with watching:
        assert watching.stdout is not None
        try:
            first = _until(watching.stdout, "Watching for changes")
            solved = (ROOT / "solutions" / "vae.py").read_text(encoding="utf-8")
            (mine / "vae.py").write_text(solved, encoding="utf-8")
            second = _until(watching.stdout, "Watching for changes")
        finally:
            watching.send_signal(signal.SIGINT)
    assert "1 public check to go" in first
    assert "All public checks passed." in second
    assert watching.returncode == 0


def _until(stream: IO[str], text: str) -> str:
    """The stream's output up to the line that contains `text`."""
    lines = []
    for line in stream:
        lines.append(line)
        if text in line:
            return "".join(lines)
    raise AssertionError(f"the output ended without {text!r}:\n{''.join(lines)}")


def test_a_second_run_grades_only_what_is_new_or_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, judged_here: None
) -> None:
    mine = tmp_path / "class"
    for name in ("ana", "ben"):
        shutil.copytree(ROOT / "solutions", mine / name)
    out = tmp_path / "grades"

    def run(*more: str) -> str:
        done = here("grade", mine, "-q", "1-7", "--out", out, "--jobs", "1", *more)
        assert done.exit_code == 0, done.output
        return done.output

    assert "earlier run" not in run()
    (out / ".ben.json.abcd1234").write_text("half of a resu")
    assert "2 of 2 were finished by an earlier run" in run()
    assert not (out / ".ben.json.abcd1234").exists()
    vae = mine / "ben" / "vae.py"
    vae.write_text(vae.read_text(encoding="utf-8") + "\nINTERPOLATIONS = []\n", encoding="utf-8")
    assert "1 of 2 were finished by an earlier run" in run()
    scores = {name: json.loads((out / f"{name}.json").read_text())["score"] for name in ("ana", "ben")}
    assert scores == {"ana": 1, "ben": 0}
    (out / "ana.json").write_text("{}")
    assert "1 of 2 were finished by an earlier run" in run()
    assert json.loads((out / "ana.json").read_text())["score"] == 1
    assert "earlier run" not in run("--force")
    monkeypatch.setenv("AUTOGRADER_SECRET", "another")
    assert "earlier run" not in run("--force")


def test_help_shows_the_assignments_title_and_the_available_commands(tmp_path: Path) -> None:
    folder = make_assignment(tmp_path).folder
    with (folder / "assignment.toml").open("a", encoding="utf-8") as stream:
        stream.write('\n[commands]\nplot = "study.commands:plot"\nbroken = "study.commands:nowhere"\n')
    write(folder / "study", {"commands.py": PLOT})
    done = autograder("plot", AUTOGRADER_ASSIGNMENT=str(folder))
    assert (done.returncode, done.stdout, done.stderr) == (0, "plotted\n", "")
    done = autograder("broken", AUTOGRADER_ASSIGNMENT=str(folder))
    assert done.returncode == 2
    assert "commands: 'study.commands:nowhere' is not a click command" in done.stderr
    shutil.rmtree(folder / "solutions")
    for command in ("grade", "release", "plot", "mistakes"):
        done = autograder(command, AUTOGRADER_ASSIGNMENT=str(folder))
        assert done.returncode == 2
        assert done.stderr.startswith(f"autograder: {command} needs the solutions; name their folder")
    done = autograder("--help", AUTOGRADER_ASSIGNMENT=str(folder))
    assert "Checks and grades submissions of Tiny." in done.stdout
    commands = done.stdout.partition("Commands:")[2]
    assert [line.split()[0] for line in commands.strip().splitlines()] == ["check", "submit"]


PLOT = """
    import click

    @click.command()
    def plot():
        \"\"\"Plots.\"\"\"
        click.echo("plotted")
"""
MISTAKES = """
    from autograder.judging import Mistake

    TWO_ADDED = Mistake("two-added", "Two is added.", hint="Multiply by two.", questions=("1", "2"))
    TRIPLED = Mistake("tripled", "The input is tripled.", questions=("1",))
"""


def test_mistakes_prints_the_catalogue_by_question(tmp_path: Path) -> None:
    folder = make_assignment(tmp_path).folder
    write(folder / "mistakes", {"public/first.py": MISTAKES})
    done = autograder("mistakes", AUTOGRADER_ASSIGNMENT=str(folder))
    assert (done.returncode, done.stderr) == (0, "")
    page = done.stdout
    assert page.startswith("# Mistakes that checks recognise: Tiny\n")
    one, two, any_ = (
        page.index("## 1 Doubling\n"),
        page.index("## 2 Doubling twice\n"),
        page.index("## Any question\n"),
    )
    entry = "- `two-added`: Two is added.\n  Try: Multiply by two.\n"
    assert "- `tripled`: The input is tripled.\n" + entry in page[one:two]
    assert entry in page[two:any_] and "tripled" not in page[two:any_]
    assert "- `noise-uniform`: " in page[any_:]
    rows = json.loads(autograder("mistakes", "--json", AUTOGRADER_ASSIGNMENT=str(folder)).stdout)
    assert {
        "id": "two-added",
        "sentence": "Two is added.",
        "hint": "Multiply by two.",
        "questions": ["1", "2"],
    } in rows
    assert [row["id"] for row in rows] == sorted(row["id"] for row in rows)


def test_an_assignment_without_mistakes_lists_those_of_the_engine(tmp_path: Path) -> None:
    folder = make_assignment(tmp_path).folder
    shutil.rmtree(folder / "mistakes")
    done = autograder("mistakes", "--json", AUTOGRADER_ASSIGNMENT=str(folder))
    assert done.returncode == 0
    assert done.stderr == f"autograder: {folder}: the assignment has no mistakes folder\n"
    assert all(not row["questions"] for row in json.loads(done.stdout))
