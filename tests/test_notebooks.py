"""The notebooks are made from their sources, contain every question, and run from top to bottom on the embedded data."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from autograder.build import notebooks, stubs
from autograder.model.assignment import assignment
from autograder.model.rubric import Question
from tests.conftest import ROOT
from tests.notebook_runs import execute

NAMES = ["vae.ipynb", "gan.ipynb"]
FOLDERS = ["assignment", "solutions"]
FIGURES = {"vae.ipynb": 23, "gan.ipynb": 15}
# Upper limits, also with other tests running at the same time: 5 minutes for both.
SECONDS = {"vae.ipynb": 200, "gan.ipynb": 200}
MAGICS = {"%load_ext autoreload", "%autoreload 2", "%matplotlib inline"}
RUBRIC = assignment().rubric


def home(question: Question) -> str:
    """The notebook that a question belongs to."""
    return "vae.ipynb" if question.id.startswith("1-") else "gan.ipynb"


def call(id: str) -> str:
    """How a notebook asks for a question's checks: `grader.check("q1_6w_a")` for 1-6w-a."""
    return f'grader.check("q{id.replace("-", "_")}")'


def read(path: Path) -> list[tuple[str, str]]:
    """The kind and the text of every cell."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [(cell["cell_type"], "".join(cell["source"])) for cell in cells]


@dataclass
class Written:
    """A written question in a notebook: its prompt and the text of its answer."""

    prompt: str
    answer: str


def written(cells: list[tuple[str, str]]) -> dict[str, Written]:
    """All written questions, found only by their marks, as the grader finds them."""
    found: dict[str, Written] = {}
    id = None
    for kind, text in cells:
        lines = text.splitlines()
        if kind != "markdown":
            assert id is None, f"code inside of question {id}"
        elif notebooks.BEGIN_QUESTION in lines:
            (id,) = [m["id"] for line in lines if (m := notebooks.QUESTION.fullmatch(line))]
            assert id not in found
            found[id] = Written(text, "")
        elif notebooks.END_QUESTION in lines:
            id = None
        elif id is not None:
            found[id].answer += text + "\n"
    assert id is None
    return found


# --- What is in git --------------------------------------------------------------------------------------


def test_the_notebooks_are_what_their_sources_give() -> None:
    for folder, complete in (("assignment", False), ("solutions", True)):
        made = notebooks.notebook_files(ROOT / "solutions", complete)
        assert sorted(made) == sorted(NAMES)
        for name, content in made.items():
            assert (ROOT / folder / name).read_bytes() == content, f"{folder}/{name}: run make stubs"
    assert stubs.differences(ROOT / "solutions", ROOT / "assignment") == []


def test_the_same_source_gives_the_same_bytes_in_another_process() -> None:
    code = (
        "import sys; from autograder.build.notebooks import notebook_files; from pathlib import Path\n"
        "sys.stdout.buffer.write(notebook_files(Path('solutions'), True)['gan.ipynb'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, timeout=120, check=True
    )
    assert done.stdout == (ROOT / "solutions" / "gan.ipynb").read_bytes()


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_contains_no_outputs_and_no_metadata_of_a_machine(folder: str, name: str) -> None:
    text = (ROOT / folder / name).read_text(encoding="utf-8")
    notebook = json.loads(text)
    assert text.endswith("}\n")
    assert notebook["metadata"] == notebooks.METADATA
    assert (notebook["nbformat"], notebook["nbformat_minor"]) >= (4, 5)
    assert max(Counter(cell["id"] for cell in notebook["cells"]).values()) == 1
    for cell in notebook["cells"]:
        assert cell["metadata"] == {}
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None


def test_a_change_in_one_cell_leaves_the_ids_of_the_others() -> None:
    first = json.loads(notebooks.notebook("# %%\na = 1\n\n# %%\nb = 1\n\n# %%\nb = 1\n", "x.py", True))
    second = json.loads(notebooks.notebook("# %%\nc = 1\n\n# %%\nb = 1\n\n# %%\nb = 1\n", "x.py", True))
    ids = [[cell["id"] for cell in notebook["cells"]] for notebook in (first, second)]
    assert ids[0][1:] == ids[1][1:]
    assert len({*ids[0], *ids[1]}) == 4


# --- Questions -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("name", NAMES)
def test_every_question_is_checked_in_its_notebook_once(folder: str, name: str) -> None:
    asked = [
        line for kind, text in read(ROOT / folder / name) if kind == "code" for line in text.splitlines()
    ]
    asked = [line for line in asked if line.startswith("grader.check(")]
    assert sorted(asked) == sorted(call(q.id) for q in RUBRIC.questions if home(q) == name)


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("name", NAMES)
def test_every_written_question_has_its_block_its_points_and_its_word_limit(folder: str, name: str) -> None:
    found = written(read(ROOT / folder / name))
    expected = {q.id: q for q in RUBRIC.written if home(q) == name}
    assert sorted(found) == sorted(expected)
    for id, question in expected.items():
        assert f"({question.points:g} points, at most {question.words} words)" in found[id].prompt


def test_our_answers_keep_to_the_word_limits_and_students_do_not_get_them() -> None:
    for name in NAMES:
        ours = written(read(ROOT / "solutions" / name))
        theirs = written(read(ROOT / "assignment" / name))
        for id, question in ours.items():
            assert question.prompt == theirs[id].prompt
            assert theirs[id].answer.strip() == notebooks.PLACEHOLDER
            words = len(question.answer.split())
            assert RUBRIC.question(id).words / 2 < words <= RUBRIC.question(id).words, id
        students = (ROOT / "assignment" / name).read_text(encoding="utf-8")
        assert "SOLUTION" not in students
        lines = [line for question in ours.values() for line in question.answer.splitlines()]
        for line in lines:
            if len(line) > 40:
                assert json.dumps(line, ensure_ascii=False)[1:-1] not in students


def solution_cells(name: str) -> list[str]:
    """The cells that only the complete notebook has."""
    source = ROOT / "solutions" / "notebooks" / f"{Path(name).stem}{notebooks.SUFFIX}.py"
    return notebooks.solution_cells(source.read_text(encoding="utf-8"))


def test_both_versions_of_a_notebook_differ_only_in_the_answers() -> None:
    for name in NAMES:
        ours, theirs = read(ROOT / "solutions" / name), read(ROOT / "assignment" / name)
        kept = [("markdown", text) for text in solution_cells(name)]
        assert all(cell in ours for cell in kept)
        ours = [cell for cell in ours if cell not in kept]
        assert len(ours) == len(theirs)
        changed = [theirs[i] for i in range(len(ours)) if ours[i] != theirs[i]]
        assert changed == [("markdown", notebooks.PLACEHOLDER)] * len(written(ours))


def test_students_do_not_get_the_solution_cells() -> None:
    """Neither the cell, nor its numbers: no released notebook names the beta of the bound, or a beta near it."""
    assert len(solution_cells("vae.ipynb")) == 1
    for path in [*(ROOT / "assignment").glob("*.ipynb"), *(ROOT / "assignment").glob("*.py")]:
        text = path.read_text(encoding="utf-8")
        for number in ("0.041", "0.04,", "0.0316", "0.105", "32/784", "n_z / D"):
            assert number not in text, (path.name, number)
    for _, text in read(ROOT / "assignment" / "vae.ipynb"):
        if "BETA" in text:
            assert not [number for number in re.findall(r"\d\.\d+", text) if 0.02 <= float(number) <= 0.2], (
                text
            )
    for name in NAMES:
        for line in "\n".join(solution_cells(name)).splitlines():
            if len(line) > 40:
                assert line not in "\n".join(text for _, text in read(ROOT / "assignment" / name))


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_states_the_points_of_the_rubric(name: str) -> None:
    text = "\n".join(text for kind, text in read(ROOT / "solutions" / name) if kind == "markdown")
    stated: dict[str, float] = {}
    for ids, points in re.findall(r"### Questions? ([\w\- ]+?) \((\d[\d +]*?) points?[,)]", text):
        stated.update(zip(ids.split(" and "), map(float, points.split(" + ")), strict=True))
    assert stated == {q.id: q.points for q in RUBRIC.questions if home(q) == name}


@pytest.mark.parametrize("name", NAMES)
def test_only_lines_that_work_in_jupyter_and_in_colab_are_used(name: str) -> None:
    for kind, text in read(ROOT / "assignment" / name):
        if kind == "code":
            assert "google.colab" not in text
            special = {line.strip() for line in text.splitlines() if line.lstrip().startswith(("!", "%"))}
            assert special <= MAGICS


# --- Links ---------------------------------------------------------------------------------------------

URL = re.compile(r"https?://[^\s)>\"']+")
CITED = re.compile(r"([A-Z][a-z]+)(?: et al\.| and [A-Z][a-z]+)?,? \(?(20\d\d)\)?")


def prose(name: str) -> str:
    return "\n".join(text for kind, text in read(ROOT / "assignment" / name) if kind == "markdown")


@pytest.mark.parametrize("name", NAMES)
def test_links_have_the_right_form(name: str) -> None:
    urls = URL.findall(prose(name))
    assert len(urls) >= 9
    for url in urls:
        assert re.fullmatch(r"https://[a-z][a-z.]+\.[a-z]{2,3}/[\w~./?=-]+", url), url
        assert not url.endswith((".", ","))
    assert len(urls) == len(set(urls)), "a link stands twice"
    linked = re.findall(r"\[([^\]]+)\]\((https[^)]+)\)", prose(name))
    assert sorted(url for _, url in linked) == sorted(urls), "every address belongs to a link with a text"


@pytest.mark.parametrize("name", NAMES)
def test_every_paper_in_the_text_has_a_link(name: str) -> None:
    """A citation such as (Kingma and Welling 2014) has an entry under the sources, with a link, its author and its year."""
    text, _, sources = prose(name).partition("## Sources")
    entries = [" ".join(entry.split()) for entry in sources.split("\n* ")]
    cited = set(CITED.findall(text))
    assert len(cited) >= 3
    for author, year in cited:
        assert any(author in entry and year in entry and "](https://" in entry for entry in entries), author


# --- The table of what the handout teaches ---------------------------------------------------------------

ROW = re.compile(
    r"^\| (?P<element>[^|]+) \| (?P<name>vae|gan)(?P<solution>, solution)? \| `(?P<words>.+)` \|$"
)


def test_every_element_of_the_handout_has_its_cell() -> None:
    lines = (ROOT / "docs" / "handout.md").read_text(encoding="utf-8").splitlines()
    rows = [ROW.fullmatch(line) for line in lines if line.startswith("|")][2:]
    assert len(rows) > 40
    for row, line in zip(rows, [line for line in lines if line.startswith("|")][2:], strict=True):
        assert row, f"malformed: {line}"
        folder = "solutions" if row["solution"] else "assignment"
        cells = [text for _, text in read(ROOT / folder / f"{row['name']}.ipynb")]
        assert any(row["words"] in " ".join(text.split()) or row["words"] in text for text in cells), line
        if row["solution"]:
            assert row["words"] not in prose(f"{row['name']}.ipynb")


# --- The first cell --------------------------------------------------------------------------------------


def setup_cell(name: str) -> str:
    return next(text for kind, text in read(ROOT / "assignment" / name) if kind == "code")


def run_setup(name: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the first cell twice, in `folder`, with an interpreter that finds the grader's package nowhere else."""
    (folder / "first_cell.txt").write_text(setup_cell(name), encoding="utf-8")
    code = """
        import sys
        sys.meta_path = [finder for finder in sys.meta_path if "editable" not in repr(finder)]
        cell = open("first_cell.txt", encoding="utf-8").read()
        exec(cell)
        exec(cell)
        import os, autograder, autoencoder
        print(os.getcwd(), autograder.HERE, autoencoder.HERE)
    """
    command = [sys.executable, "-I", "-B", "-c", textwrap.dedent(code)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)


def write_release(folder: Path) -> None:
    (folder / "assignment").mkdir(parents=True)
    (folder / "autograder").mkdir()
    (folder / "assignment" / "autoencoder.py").write_text("HERE = 'modules'\n")
    (folder / "autograder" / "__init__.py").write_text("HERE = 'grader'\n")


@pytest.mark.parametrize("name", NAMES)
def test_the_first_cell_finds_the_modules_beside_the_notebook(name: str, tmp_path: Path) -> None:
    write_release(tmp_path / "release")
    done = run_setup(name, tmp_path / "release" / "assignment")
    assert done.stdout.split() == [str(tmp_path / "release" / "assignment"), "grader", "modules"], done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_the_first_cell_unpacks_the_uploaded_release(name: str, tmp_path: Path) -> None:
    write_release(tmp_path / "made" / "generative-models")
    upload = tmp_path / "colab"
    upload.mkdir()
    with zipfile.ZipFile(upload / "generative-models.zip", "w") as archive:
        for path in (tmp_path / "made").rglob("*.py"):
            archive.write(path, path.relative_to(tmp_path / "made"))
    done = run_setup(name, upload)
    expected = [str(upload / "generative-models" / "assignment"), "grader", "modules"]
    assert done.stdout.split() == expected, done.stderr
    # In a second session of the same folder the student's modules are not overwritten.
    (upload / "generative-models" / "assignment" / "autoencoder.py").write_text("HERE = 'mine'\n")
    assert run_setup(name, upload).stdout.split()[-1] == "mine"


@pytest.mark.parametrize("name", NAMES)
def test_the_first_cell_says_what_to_upload(name: str, tmp_path: Path) -> None:
    done = run_setup(name, tmp_path)
    assert done.returncode == 1
    assert "upload the zip that you were given" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("name", NAMES)
def test_the_first_cell_requires_packages_as_the_project_does(name: str) -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    asked = re.findall(r'^    "\w+": "(.+)",$', setup_cell(name), flags=re.MULTILINE)
    assert len(asked) >= 5
    for requirement in asked:
        assert f'"{requirement}",' in project


def test_the_first_cell_installs_what_a_new_machine_lacks_and_nothing_else(tmp_path: Path) -> None:
    """The installer is not run, because it would need a network: the call is printed."""
    release = tmp_path / "release"
    write_release(release)
    (tmp_path / "cell.txt").write_text(setup_cell("vae.ipynb"), encoding="utf-8")
    code = """
        import importlib.util, subprocess, sys
        find = importlib.util.find_spec
        importlib.util.find_spec = lambda name: None if name in ("otter", "rich") else find(name)
        subprocess.run = lambda command, check: print(*command[1:], check)
        exec(open("../../cell.txt", encoding="utf-8").read())
    """
    done = subprocess.run(
        [sys.executable, "-I", "-B", "-c", textwrap.dedent(code)],
        cwd=release / "assignment",
        capture_output=True,
        text=True,
        timeout=120,
    )
    installer = release / "autograder" / "support" / "install.py"
    assert done.stdout.splitlines() == [
        "Installing otter-grader>=6.1, rich>=13 ...",
        f"{installer} --quiet otter-grader>=6.1 rich>=13 True",
    ], done.stderr


# --- The data --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("quick", "size"), [("1", {1400, 640}), ("", {1442, 5200})])
@pytest.mark.parametrize("name", NAMES)
def test_without_a_download_the_notebook_reports_it_and_continues_with_other_data(
    name: str,
    quick: str,
    size: set[int],
    solutions: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("GENERATIVE_QUICK", quick)
    monkeypatch.delenv("GENERATIVE_OFFLINE", raising=False)

    def unavailable(**_: Any) -> None:
        raise solutions.data.DataUnavailable("no network here")

    monkeypatch.setattr(solutions.data, "load_mnist", unavailable)
    monkeypatch.setattr(solutions.data, "load_cifar10", unavailable)
    (cell,) = [text for _, text in read(ROOT / "assignment" / name) if "def load():" in text]
    names: dict[str, Any] = {"os": os, "torch": torch, "data": solutions.data, "figures": solutions.figures}
    body = cell.rstrip().rpartition("\n")
    exec(body[0], names)
    title = eval(body[2], names).get_suptitle()
    output = capsys.readouterr().out
    assert output.startswith("no network here\n")
    assert "Going on with " in output
    assert title.startswith(names["DATA"])
    assert names["DATA"] in ("scikit-learn's digits", "patches of photographs")
    assert len(names["train_set" if name == "vae.ipynb" else "train_images"]) in size


# --- From top to bottom ----------------------------------------------------------------------------------


def outputs(cells: list[Any]) -> Iterator[Any]:
    for cell in cells:
        yield from cell.outputs


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", NAMES)
def test_the_complete_notebook_runs_from_top_to_bottom(name: str, tmp_path: Path) -> None:
    begun = time.monotonic()
    cells = execute(ROOT / "solutions", name, tmp_path / "assignment", allow_errors=False)
    assert time.monotonic() - begun < SECONDS[name]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    made = list(outputs(cells))
    assert not [output for output in made if output.output_type == "error"]
    drawn = [output for output in made if "image/png" in output.get("data", {})]
    assert len(drawn) == FIGURES[name]
    assert all(re.search(r'<img [^>]*alt="[^"]{20}', output.data["text/html"]) for output in drawn)
    printed = "".join(output.text for output in made if output.output_type == "stream")
    assert re.search(r"epoch \d+/\d+: 100%", printed), "no progress bar"
    assert "nan" not in printed.split()
    falls = re.findall(r"-log D\(G\(z\)\): (\S+) before, (\S+) after", printed)
    assert len(falls) == (2 if name == "gan.ipynb" else 0)
    assert all(float(after) <= float(before) for before, after in falls), (
        "rounded so that a fall reads as a rise"
    )


@pytest.mark.parametrize("name", NAMES)
def test_with_the_stubs_only_cells_that_need_missing_code_fail_and_they_name_it(
    name: str, tmp_path: Path
) -> None:
    cells = execute(ROOT / "assignment", name, tmp_path / "assignment", allow_errors=True)
    errors = {}
    for i, cell in enumerate(cells):
        for output in outputs([cell]):
            if output.output_type == "error":
                errors[i] = output
                assert "import" not in cell.source.split("\n", 1)[0]
                assert not cell.source.startswith("grader.")
    gaps = [error.evalue for error in errors.values() if error.ename == "NotImplementedError"]
    assert errors[min(errors)].evalue in gaps
    assert all(re.match(r"\d-\d[a-z]*: (write|choose) ", gap) for gap in gaps)
    assert {error.ename for error in errors.values()} <= {"NotImplementedError", "NameError"}
    expected = {"vae.ipynb": {"1-1", "1-6", "1-7"}, "gan.ipynb": {"2-1a"}}
    assert {gap.split(":")[0] for gap in gaps} >= expected[name]


# --- Marks that do not fit together ----------------------------------------------------------------------

QUESTION = "# %% [markdown]\n# <!-- BEGIN QUESTION -->\n# <!-- question 1-3w -->\n# Why?\n\n"
ANSWER = "# %% [markdown]\n# <!-- BEGIN SOLUTION -->\n# Because.\n# <!-- END SOLUTION -->\n\n"
END = "# %% [markdown]\n# <!-- END QUESTION -->\n"


def test_a_question_becomes_a_place_to_write_or_our_answer() -> None:
    def cells(complete: bool) -> list[str]:
        made = json.loads(notebooks.notebook(QUESTION + ANSWER + END, "lesson.py", complete))
        return ["".join(cell["source"]) for cell in made["cells"]]

    ask, end = "<!-- BEGIN QUESTION -->\n<!-- question 1-3w -->\nWhy?", "<!-- END QUESTION -->"
    assert cells(complete=False) == [ask, "_Write your answer here._", end]
    assert cells(complete=True) == [ask, "Because.", end]


def test_a_cell_tagged_solution_is_in_the_complete_notebook_only() -> None:
    source = '# %% [markdown]\n# Before.\n\n# %% [markdown] tags=["solution"]\n# The answer.\n\n# %%\nx = 1\n'
    made = [json.loads(notebooks.notebook(source, "lesson.py", complete)) for complete in (True, False)]
    texts = [["".join(cell["source"]) for cell in table["cells"]] for table in made]
    assert texts == [["Before.", "The answer.", "x = 1"], ["Before.", "x = 1"]]
    assert all(cell["metadata"] == {} for table in made for cell in table["cells"])
    assert notebooks.solution_cells(source) == ["The answer."]


MALFORMED = {
    "a question in a question": (QUESTION + QUESTION, 7, "inside the question that begins at line 2"),
    "a question without its end": (QUESTION + ANSWER, 2, "without <!-- END QUESTION -->"),
    "an end without a question": (END, 2, "without <!-- BEGIN QUESTION -->"),
    "a question without an answer": (QUESTION + END, 7, "has no answer"),
    "two answers": (QUESTION + ANSWER + ANSWER + END, 12, "a second answer"),
    "an answer without a question": (ANSWER, 2, "must lie in a question"),
    "a question without an id": (
        QUESTION.replace("# <!-- question 1-3w -->\n", "") + ANSWER + END,
        6,
        "after <!-- BEGIN QUESTION --> and its id",
    ),
    "an id without a question": ("# %% [markdown]\n# <!-- question 1-3w -->\n", 2, "must follow"),
    "an id in another cell": (
        QUESTION.replace("# <!-- question", "\n# %% [markdown]\n# <!-- question") + ANSWER + END,
        5,
        "in its cell",
    ),
    "two ids": (QUESTION.replace("# Why?", "# <!-- question 1-4w -->") + ANSWER + END, 4, "once"),
    "the same id twice": (2 * (QUESTION + ANSWER + END), 15, "the question at line 3 has the same id"),
    "an answer in the question's cell": (
        QUESTION.replace("# Why?\n\n", "# Why?\n#\n") + ANSWER.removeprefix("# %% [markdown]\n") + END,
        6,
        "a cell of its own",
    ),
    "an answer without its end": (
        QUESTION + ANSWER.replace("# <!-- END SOLUTION -->\n", "") + END,
        11,
        "inside the answer that begins at line 7",
    ),
    "an answer that nothing follows": (
        QUESTION + ANSWER.replace("# <!-- END SOLUTION -->\n", ""),
        7,
        "without <!-- END SOLUTION -->",
    ),
    "an answer's end alone": (
        QUESTION + ANSWER.replace("# <!-- BEGIN SOLUTION -->\n", "") + END,
        8,
        "without <!-- BEGIN SOLUTION -->",
    ),
    "an answer over two cells": (
        QUESTION + ANSWER.replace("# <!-- END", "\n# %% [markdown]\n# <!-- END") + END,
        11,
        "begins at line 7, in another cell",
    ),
    "an empty answer": (QUESTION + ANSWER.replace("# Because.\n", "#\n") + END, 7, "there is nothing"),
    "a cell with another tag": ('# %% [markdown] tags=["hidden"]\n# Text.\n', 1, "the only tagged cells"),
    "code that students do not get": ('# %% tags=["solution"]\nx = 1\n', 1, "the only tagged cells"),
    "a tagged cell in a question": (
        QUESTION + '# %% [markdown] tags=["solution"]\n# Text.\n\n' + ANSWER + END,
        6,
        "inside the question that begins at line 2",
    ),
    "a mark in code": ("# %%\n# <!-- BEGIN SOLUTION -->\n", 2, "in a markdown cell"),
    "a module's mark": ("# %%\n# BEGIN SOLUTION\n", 2, "a line of its own"),
    "a misspelt mark": (QUESTION.replace("BEGIN QUESTION", "begin question"), 2, "a line of its own"),
    "a misspelt id": (QUESTION.replace("1-3w", "1 3w"), 3, "a line of its own"),
    "more text on the line": (QUESTION.replace("QUESTION -->", "QUESTION --> Now:"), 2, "a line of its own"),
}


@pytest.mark.parametrize("fault", MALFORMED)
def test_malformed_marks_give_one_line_that_names_file_and_line(fault: str) -> None:
    source, line, text = MALFORMED[fault]
    with pytest.raises(ValueError, match=rf"^lesson\.py:{line}: ") as raised:
        notebooks.notebook(source, "lesson.py", complete=False)
    assert text in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_malformed_source_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "solutions" / "notebooks").mkdir(parents=True)
    (tmp_path / "solutions" / "a.py").write_text("x = 1\n")
    (tmp_path / "solutions" / "notebooks" / "b.py").write_text(QUESTION)
    with pytest.raises(ValueError, match=r"notebooks/b\.py:2"):
        stubs.write_stubs(tmp_path / "solutions", tmp_path / "assignment")
    assert not (tmp_path / "assignment").exists()
    assert not list((tmp_path / "solutions").glob("*.ipynb"))


def test_a_notebook_that_differs_is_missing_or_has_no_source_is_named(tmp_path: Path) -> None:
    solutions, given = tmp_path / "solutions", tmp_path / "assignment"
    shutil.copytree(ROOT / "solutions", solutions, ignore=shutil.ignore_patterns("__pycache__"))
    stubs.write_stubs(solutions, given)
    assert stubs.differences(solutions, given) == []
    (given / "vae.ipynb").write_text("{}\n")
    (solutions / "gan.ipynb").unlink()
    (given / "old.ipynb").write_text("{}\n")
    found = stubs.differences(solutions, given)
    assert [line.split(":")[0] for line in found] == [
        (given / "vae.ipynb").as_posix(),
        (solutions / "gan.ipynb").as_posix(),
        (given / "old.ipynb").as_posix(),
    ]
    assert [path.name for path in stubs.write_notebooks(solutions)] == ["gan.ipynb", "vae.ipynb"]
    assert len(stubs.differences(solutions, given)) == 2
