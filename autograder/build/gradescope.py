"""The zip that an instructor uploads to Gradescope: built with `otter generate`, and completed with the sandboxed grader.

What is in it:
    setup.sh, run_autograder    ours, in place of Otter's (which bring conda and a browser)
    otter_config.json, tests/   Otter's: test files that read verdicts, by question; the plugin that hands them over
    files/verdicts.ipynb        the one notebook that Otter finds in a submission's folder
    autograder/, solutions/     the grader with its hidden checks, and the reference
    gradescope.toml, secret     the instructor's choices, and the course secret that inputs are drawn from
    constraints.txt, requirements.txt
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from autograder.archive import write_zip
from autograder.host import settings
from autograder.host.handover import NOTEBOOK, notebook, otter_name
from autograder.rubric import assignment

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
OWN = Path(__file__).parent / "gradescope_files"
NAME = "autograder.zip"
PLUGIN = "autograder.host.plugin.HandVerdicts"
EXECUTABLE = ("setup.sh", "run_autograder")
OTTERS = ("otter_config.json", "tests/", "files/")  # what is kept of Otter's own zip
LEFT_OUT = ("build", "notebook", "study")  # parts of the package that have no work on the host

TEST_FILE = '''"""{title}: the verdicts of the sandboxed grader, for Otter."""

from otter.test_files import test_case

OK_FORMAT = False
name = "{name}"
points = None


def judge(verdicts, check):
    verdict = (verdicts or {{}}).get(check) or {{"status": "error", "told": "there is no verdict"}}
    if verdict["status"] != "passed":
        raise AssertionError(verdict["told"])
'''
TEST_CASE = """

@test_case(name={id!r}, points={points!r}, hidden={hidden!r})
def check_{number}(verdicts):
    judge(verdicts, {id!r})
"""


def build(out: Path, choices: Path | None = None, secret: str | None = None) -> Path:
    """Writes the zip into the folder `out` and returns its path.

    choices: a gradescope.toml of the instructor's; the defaults when None.
    secret: the course secret; a new one, kept in the zip alone, when None.
    Raises ValueError for choices that are none, and RuntimeError where `otter generate` fails.
    """
    chosen = choices or OWN / settings.FILE
    if not chosen.is_file():
        raise ValueError(f"{chosen}: there is no such file")
    settings.read(chosen)
    files = _otters()
    for name in EXECUTABLE:
        files[name] = (OWN / name).read_bytes()
    files[settings.FILE] = chosen.read_bytes()
    files[settings.SECRET] = (secret or secrets.token_hex(16)).encode()
    files["constraints.txt"] = (ROOT / "constraints.txt").read_bytes()
    files["requirements.txt"] = _requirements().encode()
    files.update(_grader())
    write_zip(out / NAME, files, EXECUTABLE)
    return out / NAME


def test_files() -> dict[str, str]:
    """Otter's test files by name: one for each question, with one test case for each check."""
    from autograder.grading import checks_of

    checks = checks_of(assignment())
    texts: dict[str, str] = {}
    for question in assignment().rubric.auto:
        name = otter_name(question.id)
        texts[f"{name}.py"] = TEST_FILE.format(title=f"{question.id} {question.title}", name=name)
        for number, check in enumerate((c for c in checks if c.question == question.id), 1):
            hidden = check.visibility == "hidden"
            texts[f"{name}.py"] += TEST_CASE.format(
                id=check.id, points=check.max_score, hidden=hidden, number=number
            )
    return texts


def _otters() -> dict[str, bytes]:
    """What `otter generate` makes of our test files and plugin, less its own scripts and conda environment."""
    config = {
        "plugins": [PLUGIN],
        "pdf": False,
        "show_hidden": False,
        "show_stdout": False,
        "print_summary": False,
        "logo": False,
    }
    with tempfile.TemporaryDirectory(prefix="otter-") as name:
        folder = Path(name)
        (folder / "tests").mkdir()
        for file, text in test_files().items():
            (folder / "tests" / file).write_text(text, encoding="utf-8")
        (folder / "otter_config.json").write_text(json.dumps(config))
        (folder / NOTEBOOK).write_text(json.dumps(notebook("verdicts = None"), indent=1) + "\n")
        options = [
            "-t",
            "tests",
            "-o",
            NAME,
            "-c",
            "otter_config.json",
            "--no-requirements",
            "--no-environment",
        ]
        done = subprocess.run(
            [sys.executable, "-m", "otter", "generate", *options, NOTEBOOK],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        if done.returncode or not (folder / NAME).is_file():
            said = (done.stderr.strip().splitlines() or ["no word"])[-1]
            raise RuntimeError(f"otter generate failed: {said}")
        with zipfile.ZipFile(folder / NAME) as archive:
            return {n: archive.read(n) for n in archive.namelist() if n.startswith(OTTERS)}


def _requirements() -> str:
    """What the host installs: the package's own dependencies and Otter, as pyproject.toml declares them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return "\n".join([*project["dependencies"], *project["optional-dependencies"]["host"]]) + "\n"


def _grader() -> dict[str, bytes]:
    """The package and the reference solutions."""
    files: dict[str, bytes] = {}
    package = ROOT / "autograder"
    for path in sorted([*package.rglob("*.py"), *package.rglob("*.toml")]):
        if path.relative_to(package).parts[0] not in LEFT_OUT:
            files[path.relative_to(ROOT).as_posix()] = path.read_bytes()
    rubric = assignment().rubric
    for name in (*rubric.modules, *rubric.given):
        files[f"solutions/{name}.py"] = (ROOT / "solutions" / f"{name}.py").read_bytes()
    return files
