"""Otter in a notebook: single checks, all checks and export, run by a kernel as students run them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.tiny import make_assignment, submit, write

ROOT = Path(__file__).resolve().parent.parent


def notebook(
    *cells: str, answer: str = "The samples are _blurred_: nothing holds $z \\sim N(0, 1)$ in place."
) -> Any:
    """A small notebook with one written question and these code cells."""
    v4 = nbformat.v4
    return v4.new_notebook(
        cells=[
            v4.new_code_cell('from autograder.notebook import Grader\ngrader = Grader("vae.ipynb")'),
            v4.new_markdown_cell("<!-- BEGIN QUESTION -->\n<!-- question 1-3w -->"),
            v4.new_markdown_cell(answer),
            v4.new_markdown_cell("<!-- END QUESTION -->"),
            *map(v4.new_code_cell, cells),
        ]
    )


def run(folder: Path, made: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Runs a notebook in its folder, as Jupyter does, and returns what each code cell shows: text, HTML, and errors."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("AUTOGRADER_ISOLATION", "process")
    nbformat.write(made, folder / "vae.ipynb")
    client = NotebookClient(
        made,
        timeout=120,
        kernel_name="python3",
        allow_errors=True,
        resources={"metadata": {"path": str(folder)}},
    )
    client.execute()
    return [_shown(cell) for cell in made.cells if cell.cell_type == "code"]


def _shown(cell: Any) -> str:
    shown = []
    for output in cell.outputs:
        if output.output_type == "error":
            shown.append("Traceback " + output.evalue)
        else:
            data = output.get("data", {})
            shown += [output.get("text", ""), data.get("text/plain", ""), data.get("text/html", "")]
    return "\n".join(shown)


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    return shutil.copytree(
        ROOT / "solutions", tmp_path / "mine", ignore=shutil.ignore_patterns("__pycache__")
    )


def test_a_student_checks_fixes_and_exports_in_one_notebook(
    mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Check, fix the module on disk, check again, check all, export: all in one kernel."""
    vae = mine / "vae.py"
    right = vae.read_text(encoding="utf-8")
    (mine / "right.txt").write_text(right, encoding="utf-8")
    vae.write_text(right + "\nINTERPOLATIONS = [(0, 0)]  # <b>\n", encoding="utf-8")
    (mine / "gan.ipynb").write_text(json.dumps(notebook()))
    made = notebook(
        'first = grader.check("q1_7"); first',
        "import shutil; _ = shutil.copy('right.txt', 'vae.py')",
        'second = grader.check("q1_7"); second',
        'grader.check("q1_3w")',
        "print([first.score, first.possible, first.grade, second.score, second.passed_all, first.to_dict()['score']])",
        "every = grader.check_all(); every",
        "print(every.total, every.possible, every.percent, sorted(every.results))",
        'print(grader.check("q9_9"))',
        "grader.export(partial=True)",  # most questions are not in these small notebooks
        "import os; print(sorted(os.listdir('.')))",
    )
    shown = run(mine, made, monkeypatch)
    assert not [text for text in shown if "Traceback" in text]
    first, second = shown[1], shown[3]
    assert "q1_7: 0 of 1 public check passed (0 of 1 public points)" in first
    assert "Asked: " in first and "Seen: a list of 1" in first and "INTERPOLATIONS" in first
    assert "<pre" in first
    assert "q1_7: 1 of 1 public check passed (1 of 1 public points)" in second
    assert "q1_3w: 9 of at most 150 words; graded by hand" in shown[4]
    assert shown[5].strip() == "[0, 1, 0.0, 1, True, 0]"
    assert "points that public checks give" in shown[6]
    total, possible, percent, *names = shown[7].split(maxsplit=3)
    assert total == possible and float(percent) == 1
    assert "q1_3w" in names[0] and "q2_1a" in names[0] and "q2_2w" not in names[0]
    assert "There is no question q9_9; there are q1_1, q1_2" in " ".join(shown[8].split())
    assert "Packed: " in shown[9] and 'href="../generative-models-submission.zip"' in shown[9]
    names_in = zipfile.ZipFile(mine.parent / "generative-models-submission.zip").namelist()
    assert {"submission/vae.py", "submission/vae.ipynb", "submission/written.html"} <= set(names_in)
    assert ".OTTER_LOG" not in shown[10]


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What students see of a module that prints and fails two checks for one cause: in a notebook whose thread trains, and in the
    terminal."""
    folder = tmp_path_factory.mktemp("folded")
    tiny = make_assignment(folder)
    public = tiny.folder / "checks" / "public"
    once = (public / "test_first.py").read_text(encoding="utf-8")
    again = once.replace("def test_twice", "def test_again").replace("twice the input", "still twice <it>")
    write(public, {"test_first_again.py": again})
    submit(
        folder / "mine", tiny, first="def double(x):\n    print('shape', '<b>', x.shape)\n    return x + 2\n"
    )
    code = """
import json, sys, threading, torch
steps, done = [0], threading.Event()
def train():
    w = torch.zeros(9, requires_grad=True)
    while not done.is_set():
        (w - 1).square().sum().backward()
        steps[0] += 1
thread = threading.Thread(target=train)
thread.start()
while not steps[0]:
    pass
before = steps[0]
found = Grader().check("1")
during = steps[0] - before
done.set()
thread.join()
json.dump({"text": str(found), "html": found._repr_html_(), "during": str(during)}, open("shown.json", "w"))
"""
    done = otter(code, folder / "mine", AUTOGRADER_ASSIGNMENT=str(tiny.folder))
    assert done.returncode == 0, done.stderr
    terminal = subprocess.run(
        [sys.executable, "-m", "autograder", "check", str(folder / "mine"), "-q", "1"],
        cwd=ROOT,
        env={**os.environ, "AUTOGRADER_ASSIGNMENT": str(tiny.folder), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    return {
        "terminal": terminal.stdout,
        **json.loads((folder / "mine" / "shown.json").read_text(encoding="utf-8")),
    }


def test_a_notebook_shows_the_feedback_and_the_prints_of_the_terminal(shown: dict[str, str]) -> None:
    lines = [line.strip() for line in shown["text"].splitlines()[1:] if line.strip()]
    for start in (
        "Asked: ",
        "Expected: ",
        "Seen: ",
        "Two is added.",
        "Your code printed:",
        "shape <b> torch.Size",
    ):
        assert any(start in line for line in lines), start
    for line in lines:
        assert line in shown["terminal"], line


def test_a_cause_that_hits_two_checks_is_shown_once_and_the_other_check_is_folded(
    shown: dict[str, str],
) -> None:
    assert shown["text"].count("Two is added.") == shown["html"].count("Two is added.") == 1
    assert "The same in: The result is still twice <it>" in shown["text"]
    folded = shown["html"].partition("<details><summary>The same in 1 other check</summary>")[2]
    assert folded.startswith("The result is still twice &lt;it&gt;</details>")


def test_a_check_works_while_a_thread_of_the_notebook_trains(shown: dict[str, str]) -> None:
    assert shown["text"].startswith("q1: 0 of 2 public checks passed")
    assert int(shown["during"]) > 100


def otter(code: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs code that uses a Grader, without a notebook's kernel."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("AUTOGRADER", "PYTEST"))}
    return subprocess.run(
        [sys.executable, "-c", f"from autograder.notebook import Grader\n{code}"],
        cwd=folder,
        env={**clean, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_broken_and_hostile_modules_are_reported_as_text(mine: Path) -> None:
    right = (mine / "vae.py").read_text(encoding="utf-8")
    words = "<script>alert(1)</script>\\x1b[2J"
    faults = {
        "syntax": right.replace("def forward(self", "def forward(self:", 1),
        "prints": right + f"\nimport sys\nprint('{words}' * 50_000)\nsys.exit('{words}')\n",
    }
    for name, source in faults.items():
        (mine / f"{name}.txt").write_text(source, encoding="utf-8")
    code = "import json, shutil\ngrader, shown = Grader('vae.ipynb'), {}\n"
    for name in faults:
        code += f"shutil.copy('{name}.txt', 'vae.py'); shown['{name}'] = grader.check('1-7')._repr_html_()\n"
    done = otter(code + "json.dump(shown, open('shown.json', 'w'))", mine)
    assert done.returncode == 0, done.stderr
    shown = json.loads((mine / "shown.json").read_text())
    assert "vae.py is not valid Python" in shown["syntax"]
    assert "vae.py stops Python while it is imported" in shown["prints"]
    assert "&lt;script&gt;alert(1)" in shown["prints"]
    for text in shown.values():
        assert "<script" not in text and "Traceback" not in text and len(text) < 10_000 and "\x1b" not in text


def test_what_cannot_be_checked_is_reported_in_one_line(tmp_path: Path) -> None:
    code = """
grader = Grader("vae.ipynb")
for name in ("q1_7", "q1_3w"):
    found = grader.check(name)
    print(found)
    print(found.score, found.possible, found.grade, found.passed_all)
everything = grader.check_all()
print(everything.total, everything.possible, everything.percent)
grader.export()
Grader().check("q1_3w")
"""
    done = otter(code, tmp_path, AUTOGRADER_START="teleport")
    assert done.returncode == 0, done.stderr
    assert "Note: vae.ipynb is not in" in done.stdout
    assert "AUTOGRADER_START is 'teleport'; it can be fork or spawn" in done.stdout
    assert "vae.ipynb is not in" in done.stdout
    assert done.stdout.count("0 0 0.0 False") == 2
    assert "holds none of autoencoder.py" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_a_students_module_with_the_name_of_a_library_does_no_harm(mine: Path) -> None:
    """The check does not run in the student's folder."""
    code = f"import os; os.chdir({str(mine)!r})\nprint(Grader('vae.ipynb').check('q1_7'))"
    for name in ("click", "json", "rich"):
        (mine / f"{name}.py").write_text("raise SystemExit('mine')\n")
    done = otter(code, ROOT)
    assert "q1_7: 1 of 1 public check passed" in done.stdout, done.stderr


def test_the_grader_works_where_otters_own_refuses(tmp_path: Path) -> None:
    """In Colab, Otter refuses to start without a folder of tests, and does not export."""
    shutil.copy(ROOT / "solutions" / "vae.py", tmp_path)
    code = """
import otter.check.utils as utils
utils._Interpreter.running = lambda self: self.display_name == "Google Colab"
grader = Grader("vae.ipynb")
print(grader.check("q1_7"))
grader.export(run_tests=True, partial=True)
"""
    (tmp_path / "vae.ipynb").write_text(json.dumps(notebook()))
    done = otter(code, tmp_path)
    assert "q1_7: 1 of 1 public check passed" in done.stdout, done.stderr
    assert "Packed: " in done.stdout
    assert not (tmp_path / ".OTTER_LOG").exists()
    (tmp_path.parent / "generative-models-submission.zip").unlink()


def test_the_command_line_never_imports_otter() -> None:
    code = (
        "import sys, autograder.cli.main, autograder.cli.student, autograder.submissions.pack\n"
        "sys.exit(bool({'otter', 'IPython', 'torch'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
