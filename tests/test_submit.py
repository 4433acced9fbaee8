"""Submitting: one zip of the right files, refused while something is missing or untouched, with the same bytes each time."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from autograder.model.assignment import assignment
from autograder.submissions import handed_out, intake
from autograder.submissions import pack as submit
from tests.test_written import END, HEAD, HOLDER, notebook

ROOT = Path(__file__).resolve().parent.parent
RUBRIC = assignment().rubric
MODULES = ["autoencoder.py", "cvae.py", "gan.py", "vae.py"]
GAN_HEAD = HEAD.replace("1-3w", "2-2w")
STUBS = {"vae.ipynb": notebook(HEAD, HOLDER, END), "gan.ipynb": notebook(GAN_HEAD, HOLDER, END)}


def stubs() -> dict[str, bytes]:
    """The modules as they are handed out, by name."""
    return {path.name: path.read_bytes() for path in assignment().stubs.glob("*.py")}


@pytest.fixture(scope="module")
def given() -> handed_out.HandedOut:
    """What students have received: the stubs, and two small notebooks."""
    return handed_out.describe({**stubs(), **STUBS})


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A folder with everything that a student submits."""
    folder = shutil.copytree(
        ROOT / "solutions", tmp_path / "mine", ignore=shutil.ignore_patterns("__pycache__", "notebooks")
    )
    (folder / "vae.ipynb").write_bytes(notebook(HEAD, "They are blurs.", END))
    (folder / "gan.ipynb").write_bytes(notebook(GAN_HEAD, "It would hide colours.", END))
    return folder


def packed(folder: Path, given: handed_out.HandedOut, out: Path) -> zipfile.ZipFile:
    submit.pack(submit.read(folder, RUBRIC, given), out, pdf=False)
    return zipfile.ZipFile(out)


def test_the_zip_holds_the_right_files_and_no_others(
    mine: Path, given: handed_out.HandedOut, tmp_path: Path
) -> None:
    (mine / "helpers.py").write_text("x = 1\n")
    (mine / "notes.txt").write_text("private")
    (mine / ".env").write_text("private")
    (mine / "torch.py").write_text("x = 1\n")
    (mine / "old").mkdir()
    for name in [*MODULES, "more.py"]:
        (mine / "old" / name).write_text("x = 2\n")
    reading = submit.read(mine, RUBRIC, given)
    assert reading.problems == []
    assert reading.warnings == [
        "torch.py is left out: its name hides a Python package; rename it",
        "not packed, because they are in subfolders: old/autoencoder.py, old/cvae.py, old/gan.py, old/more.py, "
        "old/vae.py; move what your modules import into mine/ itself",
    ]
    archive = packed(mine, given, tmp_path / "z.zip")
    expected = sorted([*MODULES, "helpers.py", "vae.ipynb", "gan.ipynb", "written.html"])
    assert archive.namelist() == [f"submission/{name}" for name in expected]
    for name in [*MODULES, "helpers.py", "vae.ipynb"]:
        assert archive.read(f"submission/{name}") == (mine / name).read_bytes()
    page = archive.read("submission/written.html").decode()
    assert (
        "They are blurs." in page
        and "It would hide colours." in page
        and "What do samples look like" not in page
    )
    handed_in = intake.read(tmp_path / "z.zip", RUBRIC)
    assert handed_in.notes == ()
    assert handed_in.sha256 == intake.read(mine, RUBRIC, depth=1).sha256


def test_the_same_folder_gives_the_same_bytes(
    mine: Path, given: handed_out.HandedOut, tmp_path: Path
) -> None:
    packed(mine, given, tmp_path / "1.zip").close()
    other = shutil.copytree(mine, tmp_path / "elsewhere" / "other", copy_function=shutil.copyfile)
    for path in other.iterdir():
        os.utime(path, (1_000_000_000, 1_000_000_000))
        path.chmod(0o600)
    packed(other, given, tmp_path / "2.zip").close()
    assert (tmp_path / "1.zip").read_bytes() == (tmp_path / "2.zip").read_bytes()


def test_missing_untouched_and_broken_files_are_reported(mine: Path, given: handed_out.HandedOut) -> None:
    (mine / "autoencoder.py").unlink()
    # Saved by an editor on another system, but otherwise unchanged.
    (mine / "cvae.py").write_bytes(b"\xef\xbb\xbf" + stubs()["cvae.py"].replace(b"\n", b"\r\n"))
    (mine / "vae.py").write_text("def f(:\n    pass\n")
    (mine / "gan.py").write_bytes(b"x = 1\0")
    table = json.loads(STUBS["vae.ipynb"])
    table["metadata"]["saved"] = "again"
    (mine / "vae.ipynb").write_text(json.dumps(table, indent=3))
    (mine / "gan.ipynb").write_text("{")
    problems = submit.read(mine, RUBRIC, given).problems
    assert [problem.partition(".")[0] for problem in problems] == [
        "autoencoder",
        "vae",
        "cvae",
        "gan",
        "vae",
        "gan",
    ]
    report = "\n".join(problems)
    for text in (
        "autoencoder.py is missing from mine/",
        "cvae.py is untouched",
        "vae.py, line 1: not valid Python (",
        "gan.py: not valid Python",
        "vae.ipynb is untouched",
        "gan.ipynb is not a notebook",
    ):
        assert text in report


def test_files_that_are_too_large_or_links_are_reported(
    mine: Path, given: handed_out.HandedOut, monkeypatch: pytest.MonkeyPatch
) -> None:
    (mine / "gan.py").write_bytes(b"#" * (intake.MAX_FILE + 1))
    (mine / "vae.py").rename(mine / "v.txt")
    (mine / "vae.py").symlink_to("v.txt")
    monkeypatch.setattr("autograder.submissions.written.MAX_NOTEBOOK", 10)
    reading = submit.read(mine, RUBRIC, given)
    report = "\n".join(reading.problems + reading.warnings)
    assert "gan.py is left out: it is larger than" in report
    assert "vae.py is a link" in report
    assert "vae.ipynb is larger than" in report
    assert len(reading.problems) == 4


def test_a_module_and_a_notebook_in_a_subfolder_are_not_packed_and_the_report_says_where_they_are(
    mine: Path, given: handed_out.HandedOut
) -> None:
    (mine / "src" / "deep").mkdir(parents=True)
    (mine / "cvae.py").rename(mine / "src" / "deep" / "cvae.py")
    (mine / "gan.ipynb").rename(mine / "src" / "gan.ipynb")
    (mine / "src" / "layers.py").write_text("x = 1\n")
    reading = submit.read(mine, RUBRIC, given)
    assert reading.problems == [
        "cvae.py is missing from mine/; move src/deep/cvae.py into it",
        "gan.ipynb is missing from mine/; move src/gan.ipynb into it (it holds your written answers)",
    ]
    assert reading.warnings == [
        "not packed, because they are in subfolders: src/layers.py, src/deep/cvae.py; "
        "move what your modules import into mine/ itself"
    ]
    assert not [name for name in reading.files if "cvae" in name or "layers" in name]


def test_an_answer_that_is_too_long_is_a_warning(mine: Path, given: handed_out.HandedOut) -> None:
    (mine / "vae.ipynb").write_bytes(notebook(HEAD, "word " * 151, END))
    reading = submit.read(mine, RUBRIC, given)
    assert reading.problems == []
    assert reading.warnings == ["vae.ipynb, 1-3w: 151 words, 1 more than the 150 allowed; shorten it"]


def test_each_answer_that_is_empty_or_cannot_be_found_prevents_packing(
    mine: Path, given: handed_out.HandedOut
) -> None:
    (mine / "vae.ipynb").write_bytes(notebook("A note of mine.", HEAD, "_Write your answer here._", END))
    (mine / "gan.ipynb").write_bytes(notebook("This text belongs to no question.", END))
    reading = submit.read(mine, RUBRIC, given)
    assert reading.problems == [
        "vae.ipynb, 1-3w: there is no answer yet",
        "gan.ipynb, 2-2w: its line <!-- question 2-2w --> is missing; put it back above the prompt",
    ]
    refusal = submit.report(reading, None, partial=False)[-1]
    assert refusal.startswith("Nothing was packed: fix the 2 problems above") and "--partial" in refusal


def test_an_untouched_notebook_is_reported_once(mine: Path, given: handed_out.HandedOut) -> None:
    (mine / "vae.ipynb").write_bytes(STUBS["vae.ipynb"])
    (line,) = submit.read(mine, RUBRIC, given).problems
    assert line.startswith("vae.ipynb is untouched")


def test_notebooks_are_recognised_as_they_were_handed_out() -> None:
    """Untouched notebooks are recognised, and every written question belongs to one of them."""
    known = handed_out.handed_out()
    assert set(RUBRIC.notebooks) < set(known.digests)
    assert set(known.prompts) == {q.id for q in RUBRIC.written}
    for name in RUBRIC.notebooks:
        assert known.untouched(name, (ROOT / "assignment" / name).read_bytes())


# --- The command -----------------------------------------------------------------------------------------


def command(*args: object, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "autograder", "submit", *map(str, args)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_stubs_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    done = command("--out", tmp_path / "z.zip")
    assert done.returncode == 1
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert [line for line in lines if line.startswith("Problem: ")][:4] == [
        f"Problem: {name} is untouched: it is as it was handed out"
        for name in ("autoencoder.py", "vae.py", "cvae.py", "gan.py")
    ]
    assert "Nothing was packed: fix the 6 problems above" in lines[-1]
    assert "--partial" in lines[-1]
    assert list(tmp_path.iterdir()) == []


def test_partial_packs_the_existing_files_beside_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "a b" / "mine"
    folder.mkdir(parents=True)
    proof = folder / "proof"
    (folder / "vae.py").write_text(f"open({str(proof)!r}, 'w')\n")
    (folder / "gan.py").write_text("def f(:\n")
    done = command("mine", "--partial", cwd=folder.parent)
    assert done.returncode == 0, done.stderr
    assert "Note: autoencoder.py is missing from mine/" in done.stdout
    target = folder.parent / submit.zip_name()
    assert f"Packed: {target}" in done.stdout
    names = zipfile.ZipFile(target).namelist()
    assert names[:2] == ["submission/gan.py", "submission/vae.py"] and "submission/written.html" in names
    assert not proof.exists()  # nothing was run


def test_unusable_paths_are_reported_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_text("text")
    (tmp_path / "empty").mkdir()
    for path in ("nowhere", "x.zip", "empty"):
        done = command(tmp_path / path)
        assert (done.returncode, done.stdout) == (2, "")
        (line,) = done.stderr.splitlines()
        assert line.startswith(f"autograder: {tmp_path / path}: ") and "give the folder that" in line
    done = command("solutions", "--partial", "--out", tmp_path / "x.zip" / "y.zip")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "the zip cannot be written there" in line
