"""A release holds what students need and nothing else, is the same wherever it is made, and works with its README alone."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autograder.build import leaks, release, stubs
from autograder.model import rubric as rubrics
from autograder.model.assignment import assignment, load
from autograder.submissions import intake
from tests.tiny import make_assignment, write

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
SOLUTIONS = ROOT / "solutions"
HOME = "autograder/generative"
HIDDEN = ROOT / HOME / "checks" / "hidden"
HIDDEN_MISTAKE = """
from autograder.judging import Mistake

HALVED = Mistake("halved-not-doubled", "It is divided by two, not multiplied.")
"""
CLEAN = {k: v for k, v in os.environ.items() if not k.startswith(("AUTOGRADER", "PYTEST", "PYTHON"))}


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return release.files_of(assignment())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> release.Release:
    return release.make(tmp_path_factory.mktemp("dist"))


# --- What is in it ---------------------------------------------------------------------------------------


def test_tree_and_zip_hold_the_same_files(made: release.Release, files: dict[str, bytes]) -> None:
    archive = zipfile.ZipFile(made.archive)
    assert leaks.read_tree(made.tree) == files
    assert {f"generative-models/{name}" for name in files} == set(archive.namelist())
    for name, data in files.items():
        assert archive.read(f"generative-models/{name}") == data
    for info in archive.infolist():
        assert (info.date_time, info.external_attr >> 16) == ((1980, 1, 1, 0, 0, 0), 0o100644)
    for name in (
        "README.md",
        "Makefile",
        "pyproject.toml",
        "constraints.txt",
        "LICENSE",
        "assignment/gan.py",
    ):
        assert name in files


def test_nothing_of_instructors_is_in_it(files: dict[str, bytes]) -> None:
    theirs = r"\.pyc$|__pycache__|(^|/)(hidden|study|build|host|classroom|tests|solutions|\.git)/"
    assert [name for name in files if re.search(theirs, name)] == []
    for name in release.INSTRUCTORS:
        assert (ROOT / "autograder" / name).exists(), f"{name}: left out of releases, but not there"
    table = tomllib.loads(files[f"{HOME}/assignment.toml"].decode())
    assert set(table) == {"name", "title", "modules", "given", "notebooks", "size", "question"}
    questions = [{k: v for k, v in row.items() if k != "weight"} for row in table["question"]]
    assert questions == tomllib.loads((ROOT / HOME / "assignment.toml").read_text())["question"]


def test_both_notebooks_are_in_it_unfilled(files: dict[str, bytes]) -> None:
    if not (ROOT / "solutions" / "notebooks").is_dir():
        pytest.skip("there are no notebooks yet")
    for name in assignment().rubric.notebooks:
        cells = json.loads(files[f"assignment/{name}"])["cells"]
        assert any("Write your answer here" in "".join(cell["source"]) for cell in cells)
        assert not any(cell.get("outputs") for cell in cells)
        assert not any("SOLUTION" in "".join(cell["source"]) for cell in cells)


def test_students_get_every_public_check_probe_and_stub(files: dict[str, bytes]) -> None:
    folders = [ROOT / "autograder" / name for name in ("judging", "model", "sandbox")]
    folders += [ROOT / HOME / name for name in ("checks/public", "mistakes/public", "probes", "stand_ins")]
    for folder in folders:
        for path in folder.rglob("*.py"):
            assert path.relative_to(ROOT).as_posix() in files
    for name, data in stubs.stub_files(SOLUTIONS).items():
        assert files[f"assignment/{name}"] == data


def test_what_is_in_it_imports_nothing_that_was_left_out(files: dict[str, bytes]) -> None:
    """Commands and a function for instructors import what only they have, when they are called."""
    modules = {
        n.removesuffix(".py").replace("/", ".").removesuffix(".__init__") for n in files if n.endswith(".py")
    }
    left_out = set()
    for name, data in files.items():
        if not name.startswith("autograder/") or not name.endswith(".py"):
            continue
        for node in ast.walk(ast.parse(data)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("autograder"):
                wanted = [f"{node.module}.{alias.name}" for alias in node.names]
                left_out |= {
                    (name, node.module) for w in wanted if w not in modules and node.module not in modules
                }
            elif isinstance(node, ast.Import):
                left_out |= {
                    (name, a.name)
                    for a in node.names
                    if a.name.startswith("autograder") and a.name not in modules
                }
    allowed = {"autograder/cli/main.py", "autograder/grading/batch.py", "autograder/__init__.py"}
    assert {name for name, _ in left_out} <= allowed, left_out


def test_its_project_asks_for_the_same_packages(files: dict[str, bytes]) -> None:
    ours, theirs = (
        tomllib.loads(text)["project"]
        for text in ((ROOT / "pyproject.toml").read_text(encoding="utf-8"), files["pyproject.toml"].decode())
    )
    assert theirs["dependencies"] == ours["dependencies"]
    extras = theirs["optional-dependencies"]
    assert theirs["name"] == ours["name"]
    assert extras == {name: ours["optional-dependencies"][name] for name in ("students", "jupyter")}
    assert b"@" not in files["pyproject.toml"]


def test_its_readme_names_only_what_is_there(files: dict[str, bytes], made: release.Release) -> None:
    readme, makefile = files["README.md"].decode(), files["Makefile"].decode()
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    assert {"check", "watch", "submit", "notebook"} <= targets
    assert (
        set(re.findall(r"make ([a-z]+)", " ".join(re.findall(r"`[^`]*`|^make .*$", readme, re.MULTILINE))))
        <= targets
    )
    for name in re.findall(r"`(assignment/[\w./]+)`", readme):
        exists = name in files or any(n.startswith(name) for n in files)
        assert exists or (name.endswith(".ipynb") and not (ROOT / "solutions" / "notebooks").is_dir())
    if shutil.which("make"):
        # These tests may run below a make of their own, which must not speak into this one.
        outside = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
        for target, command in {
            "check Q=1-4": "-m autograder check assignment -q 1-4",
            "watch Q=1-4": "-m autograder check assignment -q 1-4 --watch",
            "submit PARTIAL=1": "-m autograder submit assignment --partial",
            "submit": "-m autograder submit assignment",
            "notebook": "-m jupyterlab .",
        }.items():
            done = subprocess.run(
                ["make", "-n", *target.split()],
                cwd=made.tree,
                env=outside,
                capture_output=True,
                text=True,
            )
            assert done.stdout.rstrip().endswith(command), done.stderr


def test_its_readme_begins_with_the_small_install_and_names_every_system(files: dict[str, bytes]) -> None:
    readme, project = files["README.md"].decode(), tomllib.loads(files["pyproject.toml"].decode())["project"]
    first, by_hand = re.findall(r"^```\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)[:2]
    assert first.startswith("make check ") and "TORCH_BACKEND=cpu" in readme
    command = next(line for line in by_hand.splitlines() if "install.py" in line)
    assert command.split()[1] in files
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", readme, re.MULTILINE)
    systems = dict(rows)
    for name in ("Windows", "Linux", "macOS, Apple silicon", "your own uv or pip", "behind a proxy"):
        assert name in systems
    (oldest,) = [p.partition(">=")[2] for p in project["dependencies"] if p.startswith("torch>=")]
    assert f"this assignment needs {oldest}: use Colab" in systems["macOS, Intel"]
    assert "://" not in readme.replace("http://name:port", "")  # no address of a package index


# --- What must not be in it ------------------------------------------------------------------------------


def test_nothing_leaks(files: dict[str, bytes]) -> None:
    assert leaks.find(files, assignment()) == []


def test_coincidences_are_needed_and_allowed_in_one_folder_each(files: dict[str, bytes]) -> None:
    without = leaks.find(files, replace(assignment(), coincidences=()))
    for entry in assignment().coincidences:
        key = leaks.squeeze(entry.line)
        assert any(
            line.startswith(f"{HOME}/{entry.within}/") and key in leaks.squeeze(line) for line in without
        ), entry
        elsewhere = {"assignment/other.py": entry.line.encode()}
        assert len(leaks.find(elsewhere, assignment())) == 1


def test_there_is_a_lot_that_could_leak() -> None:
    """If the marks or the folders were read wrongly, the tests above would find nothing, ever."""
    kinds = [secret.kind for secret in leaks.secrets(assignment())]
    assert kinds.count("a solution line") > 80
    assert kinds.count("the name") > 60
    assert kinds.count("a text") > 400
    assert kinds.count("a number") >= 1
    if (ROOT / "solutions" / "notebooks").is_dir():
        assert kinds.count("a model answer") > 40


def test_what_is_planted_is_found() -> None:
    """One leak of every kind, each in a file of its own; and none in one that is clean."""
    cells: list[dict[str, Any]] = [
        {
            "cell_type": "code",
            "source": ["def f():\n", "    history['rec_loss'].append(", "parts['rec_loss'].item())"],
        },
        {"cell_type": "markdown", "source": ["clean"]},
    ]
    line = 'history["rec_loss"].append(parts["rec_loss"].item())'
    cells[0]["source"] = ["def f():\n", f"    {line[:20]}", f"{line[20:]}\n"]
    hidden = leaks.hidden_parts(assignment())
    number = next(s.text for s in hidden if s.kind == "a number")
    words = next(s.text for s in hidden if s.kind == "a text" and s.text.isascii()).split()
    planted: dict[str, bytes | str] = {
        "assignment/vae.py": (ROOT / "solutions" / "vae.py").read_bytes(),
        "assignment/other_spacing.py": line.replace("(", "( ").replace("[", "[  ") + "  # mine\n",
        "assignment/in_a_docstring.py": f'"""Do it so: `{line}`."""\n',
        "assignment/in_a_notebook.ipynb": json.dumps({"cells": cells}),
        f"{HOME}/checks/public/another.py": (HIDDEN / "test_vae.py").read_bytes(),
        "named.md": "Look at test_codes_are_independent.",
        "said.md": "For instance: " + "\n".join((" ".join(words[:3]), " ".join(words[3:]))),
        "number.py": f"x = {number}\n",
        "path.py": f"HERE = {str(ROOT / 'autograder')!r}\n",
        "home.toml": "data = '/home/ana/data'\n",
        "drive.json": json.dumps({"data": "C:\\Users\\ana"}),
        f"{HOME}/checks/hidden/__init__.py": "",
        "autograder/__pycache__/cli.cpython-311.pyc": b"\0",
        "assignment/run.ipynb": json.dumps({"cells": [{"cell_type": "code", "source": "", "outputs": [{}]}]}),
    }
    if (ROOT / "solutions" / "notebooks").is_dir():
        planted["assignment/answer.md"] = f"So: {leaks.model_answers(SOLUTIONS)[5].text}"
    clean = {
        "assignment/clean.py": b"optimizer.step()\nx = 1\n",
        "clean.md": b"Take the mean over every element.",
    }
    data = {name: text.encode() if isinstance(text, str) else text for name, text in planted.items()}
    found = leaks.find({**data, **clean}, assignment())
    assert {line.partition(": ")[0] for line in found} == set(planted)
    assert not any("\n" in line for line in found)


def blocks() -> list[tuple[str, int, str]]:
    """Every solution block: its module, line and text."""
    found = []
    for path in sorted((ROOT / "solutions").glob("*.py")):
        source = path.read_text(encoding="utf-8")
        for block in leaks.CODE_MARK.finditer(source):
            found.append((path.name, source.count("\n", 0, block.start()) + 1, block[1]))
    return found


def test_a_stub_with_any_one_block_left_in_it_is_noticed() -> None:
    """Each has a line of its own that students see nowhere else."""
    keys = [secret.key for secret in leaks.solution_lines(SOLUTIONS)]
    unnoticed = []
    for name, line, text in blocks():
        squeezed = "".join(text.split())
        if not any(key in squeezed for key in keys):
            unnoticed.append((name, line, text.strip()))
    assert len(blocks()) > 30
    assert unnoticed == []


def test_a_release_with_a_leak_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = stubs.stub_files(SOLUTIONS)
    whole = {**given, "vae.py": (ROOT / "solutions" / "vae.py").read_bytes()}
    monkeypatch.setattr(release, "stub_files", lambda solutions: whole)
    with pytest.raises(release.ReleaseError) as raised:
        release.make(tmp_path / "dist")
    assert re.search(
        r"^assignment/vae\.py: holds a solution line of solutions/vae\.py:\d+: ", str(raised.value), re.M
    )
    assert not (tmp_path / "dist").exists()


def test_a_module_or_notebook_without_a_solution_is_reported() -> None:
    rubric = replace(assignment().rubric, given=("lost",), notebooks=("gone.ipynb",))
    with pytest.raises(release.ReleaseError) as raised:
        release.files_of(replace(assignment(), rubric=rubric))
    assert str(raised.value).splitlines() == [
        "assignment/lost.py: listed in assignment.toml, but the solutions have none",
        "assignment/gone.ipynb: listed in assignment.toml, but the solutions have none",
    ]


def test_what_is_hidden_stays_hidden_in_any_assignment(tmp_path: Path) -> None:
    """The ids of hidden mistakes, too; an assignment outside the package goes beside the engine's packages."""
    subject = make_assignment(tmp_path)
    write(
        subject.folder,
        {"mistakes/hidden/first.py": HIDDEN_MISTAKE, "study/figures.py": "X = 1\n", "shared.py": ""},
    )
    files = release.files_of(subject)
    assert {
        name.removeprefix("autograder/tiny/") for name in files if name.startswith("autograder/tiny/")
    } == {
        "assignment.toml",
        "checks/public/test_first.py",
        "checks/public/test_second.py",
        "handed_out.json",
        "mistakes/public/first.py",
        "probes/first.py",
        "probes/second.py",
        "shared.py",
        "stand_ins/first.py",
    }
    assert not any(name.startswith(HOME) for name in files)
    assert leaks.find(files, subject) == []
    planted = {
        "autograder/tiny/probes/a.py": b"# halved-not-doubled",
        "README.md": b"It is divided by two, not multiplied.",
    }
    assert {line.partition(":")[0] for line in leaks.find(planted, subject)} == set(planted)


def test_a_release_knows_the_weights_of_the_checks_that_it_lacks(tmp_path: Path) -> None:
    """Students see the same points for a public check as the gradebook, also where weights are not the rubric's points."""
    subject = make_assignment(tmp_path)
    toml = subject.folder / "assignment.toml"
    assert b"weight = 4" in release.files_of(subject)["autograder/tiny/assignment.toml"]
    toml.write_text(toml.read_text(encoding="utf-8").replace("points = 4", "points = 8"), encoding="utf-8")
    files = release.files_of(load(subject.folder))
    place = tmp_path / "released" / "assignment.toml"
    place.parent.mkdir()
    place.write_bytes(files["autograder/tiny/assignment.toml"])
    assert [(q.points, q.weight) for q in rubrics.read(place).auto] == [(8, 4), (2, 2)]


# --- Made anywhere ---------------------------------------------------------------------------------------


def test_it_is_the_same_from_another_copy_at_another_time(tmp_path: Path, made: release.Release) -> None:
    """Other places, times of files, umask, locale, time zone and hash seed; and in place of an older release."""
    copy = tmp_path / "Kopie des Repos"
    wanted = ["autograder", "solutions", "LICENSE", "constraints.txt", "pyproject.toml"]
    for name in wanted:
        source = ROOT / name
        if source.is_dir():
            leave = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, copy / name, ignore=leave, copy_function=shutil.copyfile)
        else:
            shutil.copyfile(source, copy / name)
    for path in copy.rglob("*"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    (copy / HOME / "checks" / "hidden" / "test_more.py").write_text("SECRET = 12345\n")
    old = tmp_path / "out" / "generative-models"
    (old / HOME).mkdir(parents=True)
    (old / HOME / "handed_out.json").write_text("{}")
    (old / "old.txt").write_text("old")
    environment = {**CLEAN, "TZ": "Asia/Tokyo", "LC_ALL": "C", "PYTHONHASHSEED": "7"}
    command = f"umask 077 && exec {sys.executable!r} -m autograder release --out {str(tmp_path / 'out')!r}"
    done = subprocess.run(["sh", "-c", command], cwd=copy, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"{tmp_path / 'out' / 'generative-models.zip'}: " in done.stdout
    assert (tmp_path / "out" / "generative-models.zip").read_bytes() == made.archive.read_bytes()
    assert leaks.read_tree(old) == leaks.read_tree(made.tree)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "generative-models",
        "generative-models.zip",
    ]


def test_a_folder_that_is_not_a_release_is_left_alone(tmp_path: Path) -> None:
    mine = tmp_path / "generative-models"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    with pytest.raises(release.ReleaseError, match="is not a release"):
        release.make(tmp_path)
    assert (mine / "thesis.txt").read_text() == "years of work"


# --- Used by a student -----------------------------------------------------------------------------------


def test_a_student_unzips_checks_solves_and_hands_in(tmp_path: Path, made: release.Release) -> None:
    """In a folder with a space and letters of their own, with none of the repository's settings."""
    desk = tmp_path / "Schülerin Ana" / "Übung 3"
    zipfile.ZipFile(made.archive).extractall(desk)
    tree = desk / "generative-models"
    before = leaks.read_tree(tree)

    def run(*arguments: str, cwd: Path = tree) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-B", *arguments]
        return subprocess.run(
            command, cwd=cwd, env={**CLEAN, "COLUMNS": "120"}, capture_output=True, text=True, timeout=250
        )

    where = run("-c", "import autograder; print(autograder.__file__)")
    assert Path(where.stdout.strip()) == tree / "autograder" / "__init__.py"
    # Nothing is written yet.
    done = run("-m", "autograder", "check", "--json", str(tmp_path / "stubs.json"))
    assert done.returncode == 1, done.stderr
    result = json.loads((tmp_path / "stubs.json").read_text(encoding="utf-8"))
    assert result["score"] == 0
    assert {check["id"].partition(":")[2] for check in result["checks"]} == _public_checks()
    assert done.stdout.count("Not written yet. In ") >= 8
    for command in ("grade", "release", "gradescope"):
        refused = run("-m", "autograder", command, "assignment")
        assert refused.returncode == 2
        assert refused.stderr == (
            f"autograder: {command} is for instructors; this release holds only the public checks: use check\n"
        )
    done = run("-m", "autograder", "submit")
    assert done.returncode == 1
    assert "gan.py is untouched" in done.stderr
    assert {name: data for name, data in leaks.read_tree(tree).items() if "__pycache__" not in name} == before
    # One module is.
    shutil.copyfile(ROOT / "solutions" / "vae.py", tree / "assignment" / "vae.py")
    done = run("-m", "autograder", "check", "-q", "1-7")
    assert (done.returncode, "All public checks passed." in done.stdout) == (0, True)
    code = "import sys; sys.path.insert(0, '..'); import autograder.notebook as n; print(n.Grader().check('q1_7'), n.__file__)"
    shown = run("-c", code, cwd=tree / "assignment").stdout
    assert "1 of 1 public check passed" in shown
    assert str(tree) in shown
    done = run("-m", "autograder", "submit", "--partial")
    assert done.returncode == 0, done.stderr
    handed_in = tree / "generative-models-submission.zip"
    assert (
        intake.read(handed_in, assignment().rubric).files["vae.py"]
        == (ROOT / "solutions" / "vae.py").read_bytes()
    )
    # And the instructor grades it.
    out = tmp_path / "grades"
    done = run(
        "-m", "autograder", "grade", str(handed_in), "--out", str(out), "-q", "1-7", "-q", "1-3", cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    grades = json.loads((out / "generative-models-submission.json").read_text(encoding="utf-8"))
    assert {id: q["score"] for id, q in grades["questions"].items()} == {"1-3": 0, "1-7": 1}


def test_in_colab_the_notebook_and_the_zip_are_enough_and_a_restart_loses_no_work(
    tmp_path: Path, made: release.Release
) -> None:
    """An empty folder with the two uploads; the first cell; a module is saved; then a new kernel runs the first cells again.

    Nothing is installed, which would need a network: the packages that the first cell asks for are there. No `make` is found.
    """
    import nbformat
    from nbclient import NotebookClient

    desk = tmp_path / "content"
    desk.mkdir()
    shutil.copy(made.archive, desk)
    shutil.copy(made.tree / "assignment" / "vae.ipynb", desk)
    notebook = nbformat.read(desk / "vae.ipynb", as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    bare = {**CLEAN, "OMP_NUM_THREADS": "1", "PATH": str(Path(sys.executable).parent)}
    subprocess.run([sys.executable, "-c", code[0].source], cwd=desk, env=bare, check=True, timeout=120)
    tree = desk / "generative-models"
    shutil.copyfile(ROOT / "solutions" / "vae.py", tree / "assignment" / "vae.py")
    last = next(i for i, cell in enumerate(code) if "grader = Grader(" in cell.source)
    more = """
        import autograder, autoencoder
        print(autograder.__file__, autoencoder.__file__)
        print(grader.check("q1_7"))
    """
    added = nbformat.v4.new_code_cell(textwrap.dedent(more))
    notebook.cells = [*code[: last + 1], added]
    resources = {"metadata": {"path": str(desk)}}
    NotebookClient(notebook, timeout=120, kernel_name="python3", resources=resources).execute(env=bare)
    places, checked = "".join(output.text for output in added.outputs).split("\n", 1)
    assert places.split() == [
        str(tree / "autograder" / "__init__.py"),
        str(tree / "assignment" / "autoencoder.py"),
    ]
    assert "1 of 1 public check passed" in checked


def _public_checks() -> set[str]:
    """The names of all public checks in the repository."""
    names = set()
    for path in (ROOT / HOME / "checks" / "public").glob("test_*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                names.add(node.name.removeprefix("test_"))
    return names
