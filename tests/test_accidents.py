"""Accidents of students, late at night: each gets a line that says what happened and what to do."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from autograder.cli import options
from autograder.grading import raised
from autograder.model.assignment import assignment
from autograder.submissions import handed_out, intake, pack
from autograder.support.archive import write_zip
from autograder.support.text import printed
from tests.test_written import END, HEAD, notebook

ROOT = Path(__file__).resolve().parent.parent
QUESTION = assignment().rubric.question("1-1")


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A folder with the solutions."""
    without = shutil.ignore_patterns("__pycache__", "notebooks")
    return shutil.copytree(ROOT / "solutions", tmp_path / "work" / "assignment", ignore=without)


def run(*words: object, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "autograder", *map(str, words)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    return subprocess.run(
        command,
        cwd=cwd,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=120,
    )


def test_constants_that_are_not_chosen_yet_are_not_written_yet(mine: Path) -> None:
    done = run("check", ROOT / "assignment", "-q", "1-6", "-q", "1-7", cwd=mine, COLUMNS="200")
    assert "Not written yet. In vae.py: choose BETA." in done.stdout
    assert "Not written yet. In vae.py: choose INTERPOLATIONS." in done.stdout
    assert "NotImplementedError" not in done.stdout


def test_a_misspelt_method_odd_letters_and_a_file_like_a_package(mine: Path) -> None:
    """In a terminal with an old encoding, in a folder that holds a random.py; the modules are in the working directory."""
    path = mine / "autoencoder.py"
    text = path.read_text(encoding="utf-8").replace(
        "def forward(self, x: Tensor)", "def foward(self, x: Tensor)", 1
    )
    path.write_text(
        f'{text}\nprint("loss \\u2192 0.1", end="\\r")\nprint("loss \\u2192 0.05 \\u03b2")\n',
        encoding="utf-8",
    )
    (mine / "random.py").write_text("raise RuntimeError('not this one')\n")
    done = run("check", "-q", "q1_1", cwd=mine, PYTHONIOENCODING="cp1252", COLUMNS="200")
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert "Encoder has no method called forward" in done.stdout
    assert "Not written yet" not in done.stdout
    assert "loss ? 0.05 ?" in done.stdout and "0.1" not in done.stdout.split("Your code printed")[1]


@pytest.mark.parametrize(
    ("type_", "message", "code", "says"),
    [
        ("SyntaxError", "invalid syntax", "%matplotlib inline", "begin with % work only in notebooks"),
        ("SyntaxError", "invalid syntax", "!pip install x", "begin with ! work only in notebooks"),
        ("SyntaxError", "invalid syntax", "<<<<<<< HEAD", "a mark of a Git conflict"),
        ("SystemExit", "None", "exit()", "autoencoder.py stops Python while it is imported"),
        ("NameError", "name 'get_ipython' is not defined", "x", "get_ipython exists only in notebooks"),
        ("NameError", "name 'null' is not defined", "x", "may hold a notebook"),
        ("ImportError", "cannot import name 'helper' from 'data' (data.py)", "x", "data.py is a given file"),
        ("DataUnavailable", "MNIST cannot be downloaded", "x", "there is no network when the work is graded"),
        ("EOFError", "EOF when reading a line", "x = input()", "input() waits for the keyboard"),
        ("BdbQuit", "", "breakpoint()", "Remove breakpoint()"),
        ("OSError", "something else", "x", 'python -c "import autoencoder"'),
    ],
)
def test_what_goes_wrong_at_import_is_named(type_: str, message: str, code: str, says: str) -> None:
    line = {"file": "autoencoder.py", "line": 3, "code": code}
    reason = raised.at_import({"type": type_, "message": message, "lines": [line]}, QUESTION)
    meaning = reason.meaning
    texts = [reason.seen, reason.hint, *((meaning.sentence, meaning.hint) if meaning else ())]
    assert any(says in text for text in texts), texts


def test_prints_are_shown_as_a_terminal_shows_them() -> None:
    bar = "\r  0%|   | 0/2\r\x1b[32m 50%|#  | 1/2\x1b[0m\r100%|###| 2/2\n"
    assert printed(f"before\r\n{bar}after\r\n", 100) == "before\n100%|###| 2/2\nafter\n"
    assert printed("hidden\x07\x1b]0;title\n", 100) == "hidden??]0;title\n"


@pytest.mark.parametrize("typed", ["1-3", "q1_3", "Q1-3", " 1-3 ", "1-3,", "1-3,q1_3"])
def test_questions_are_known_however_they_are_typed(typed: str) -> None:
    assert options.of_checks((typed,)) == ("1-3",)


def test_a_written_question_is_not_checked(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        options.require_usable(options.of_checks(("1-3w",)), "cpu")
    assert "1-3w is a written answer, which is graded by hand" in capsys.readouterr().err


def test_submit_replaces_no_other_file(mine: Path) -> None:
    before = (mine / "vae.py").read_bytes()
    for out in (mine / "vae.py", mine / "hw.rar", mine / "hw"):
        with pytest.raises(intake.UnusableSubmission, match=r"must end in \.zip"):
            pack.submit(mine, out, partial=True, pdf=False)
    assert (mine / "vae.py").read_bytes() == before
    assert not list(mine.glob("hw*"))


def test_an_earlier_zip_stays_when_the_new_one_is_wrong(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = mine.parent / "hw.zip"
    out.write_bytes(b"earlier")
    monkeypatch.setattr(pack, "write_zip", lambda path, files: write_zip(path, {}))
    with pytest.raises(RuntimeError, match="try again"):
        pack.submit(mine, out, partial=True, pdf=False)
    assert out.read_bytes() == b"earlier"
    assert [path.name for path in mine.parent.iterdir() if path.suffix == ".zip"] == ["hw.zip"]


def test_what_a_zip_lacks_is_said_last(mine: Path) -> None:
    given = {"vae.ipynb": notebook(HEAD, "placeholder", END)}
    (mine / "vae (1).ipynb").write_bytes(notebook(HEAD, "They are blurs.", END))
    (mine / "gan.py").unlink()
    (mine / "vae.ipynb").unlink(missing_ok=True)
    reading = pack.read(mine, given=handed_out.describe(given))
    assert any(
        "vae.ipynb is missing" in p and "vae (1).ipynb is there: rename it" in p for p in reading.problems
    )
    lines = pack.report(reading, pack.Packed(mine / "hw.zip", {}), partial=True)
    place = next(i for i, line in enumerate(lines) if line.startswith("Packed:"))
    lacking = [line for line in lines[:place] if line.startswith("NOT in the zip")]
    assert lines[place - len(lacking) : place] == lacking
    assert lacking[0] == "NOT in the zip: gan.py"
    assert lacking[1].startswith("NOT in the zip: vae.ipynb, and with it your answers to 1-3w")
    (mine / "vae.ipynb").write_bytes(given["vae.ipynb"])
    untouched = pack.read(mine, given=handed_out.describe(given)).problems
    assert any("is your work in vae (1).ipynb? Then rename that to vae.ipynb" in p for p in untouched)
    (mine / "vae.ipynb").write_bytes(notebook(HEAD, "Older.", END))
    assert any("Is vae.ipynb the newer one?" in w for w in pack.read(mine).warnings)


def test_what_is_not_written_yet_and_an_answer_without_an_end_are_named(mine: Path) -> None:
    (mine / "vae.py").write_bytes((assignment().stubs / "vae.py").read_bytes() + b"# begun\n")
    (mine / "vae.ipynb").write_bytes(notebook(HEAD, "word " * 300))
    (mine / "gan.ipynb").write_bytes(b"")
    reading = pack.read(mine)
    assert any(w.startswith("vae.py still raises NotImplementedError in ") for w in reading.warnings)
    assert any(
        "END QUESTION --> after it is missing, so what follows counts as part" in p for p in reading.problems
    )
    assert not any("more than the" in text for text in (*reading.problems, *reading.warnings))
    assert any("gan.ipynb is empty: take it from .ipynb_checkpoints/" in p for p in reading.problems)


def test_a_folder_without_modules_is_not_checked(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("text")
    done = run("check", tmp_path, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert (
        "holds none of autoencoder.py, vae.py, cvae.py, gan.py; give the folder that holds them"
        in done.stderr
    )
    assert len(done.stderr.splitlines()) == 1
