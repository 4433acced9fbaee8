"""The release, used as its README says by someone who has nothing else: `make release-check`.

Unzips it into a folder with a space and non-ASCII letters in its name, makes the environment with `make check` (a real
installation: some 5 GB and minutes), solves one module, checks it, runs the notebook's grader, submits, and grades the submission.
The caller's PIP and UV settings apply; nothing else of this repository is used.

    python -m tests.experiments.fresh_release [--keep DIR]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from autograder.build import release

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = """
import sys
from nbclient import NotebookClient
import nbformat
v4 = nbformat.v4
code = ["from autograder.notebook import Grader; grader = Grader('vae.ipynb')", "print(grader.check('q1_7'))"]
made = v4.new_notebook(cells=[v4.new_code_cell(text) for text in code])
NotebookClient(made, kernel_name="python3", resources={"metadata": {"path": "assignment"}}).execute()
print(made.cells[-1].outputs[0].text)
"""


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.experiments.fresh_release", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--keep", type=Path, metavar="DIR", help="unzip there and keep the folder")
    kept = parser.parse_args().keep
    if kept is not None:
        return _try(kept.resolve())
    with tempfile.TemporaryDirectory(prefix="release ", ignore_cleanup_errors=True) as folder:
        return _try(Path(folder))


def _try(folder: Path) -> int:
    made = release.make(folder / "dist")
    zipfile.ZipFile(made.archive).extractall(folder / "Übung eins")
    tree = folder / "Übung eins" / made.tree.name
    python = tree / ".venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    assignment = tree / "assignment"

    def step(what: str, command: list[str], status: int, *words: str) -> None:
        began = time.monotonic()
        leave = ("AUTOGRADER", "PYTEST", "PYTHON", "VIRTUAL_ENV", "MAKE", "MFLAGS")
        environment = {k: v for k, v in os.environ.items() if not k.startswith(leave)}
        done = subprocess.run(
            command, cwd=tree, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        print(f"{time.monotonic() - began:6.1f} s  {what}")
        missing = [word for word in words if word not in done.stdout]
        # make exits with 2 for any other status of its commands.
        if done.returncode != (2 if command[0] == "make" and status else status) or missing:
            sys.exit(f"{done.stdout}\n{what}: ended with {done.returncode}; missing in the output: {missing}")

    interpreter = f"PYTHON={sys.executable}"
    step(
        "make check: the environment, and stubs",
        ["make", "check", interpreter],
        1,
        "In autoencoder.py: write",
        "0 / ",
    )
    step("make submit, refused", ["make", "submit"], 1, "gan.py is untouched")
    shutil.copyfile(ROOT / "solutions" / "vae.py", assignment / "vae.py")
    step("make check Q=1-7, solved", ["make", "check", "Q=1-7"], 0, "All public checks passed.")
    where = "import autograder; print(autograder.__file__)"
    step("the package is the release's", [str(python), "-c", where], 0, str(tree / "autograder"))
    step("the notebook's grader", [str(python), "-c", NOTEBOOK], 0, "q1_7: 1 of 1 public check passed")
    step("JupyterLab is installed", [str(python), "-m", "jupyterlab", "--version"], 0)
    step("make submit PARTIAL=1", ["make", "submit", "PARTIAL=1"], 0, "Packed: ")
    out = folder / "grades"
    submission = tree / "generative-models-submission.zip"
    subprocess.run(
        [
            sys.executable,
            "-m",
            "autograder",
            "grade",
            str(submission),
            "--out",
            str(out),
            "-q",
            "1-7",
            "-q",
            "1-3",
        ],
        cwd=ROOT,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    grades = json.loads((out / f"{submission.stem}.json").read_text(encoding="utf-8"))
    scores = {id: question["score"] for id, question in grades["questions"].items()}
    if scores != {"1-3": 0, "1-7": 1}:
        sys.exit(f"graded {scores}")
    print("The release works with only its README.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
