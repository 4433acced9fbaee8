"""The zip that an instructor uploads to Gradescope: built with `otter generate`, and completed with the sandboxed grader.

What is in it:
    setup.sh, run_autograder    ours, in place of Otter's (which bring conda and a browser)
    otter_config.json, tests/   Otter's: test files that read verdicts, by question; the plugin that hands them over
    files/verdicts.ipynb        the one notebook that Otter finds in a submission's folder
    autograder/                 the grader, with the assignment, its hidden checks and its given modules
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
from functools import cache
from pathlib import Path

from autograder.build.contents import assignment_files, engine_files, home
from autograder.host import settings
from autograder.host.handover import NOTEBOOK, notebook, otter_name
from autograder.model.assignment import ENGINE, FILE, GIVEN, assignment
from autograder.support.archive import write_zip

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = ENGINE.parent
OWN = Path(__file__).parent / "gradescope_files"
NAME = "autograder.zip"
PLUGIN = "autograder.host.plugin.HandVerdicts"
EXECUTABLE = ("setup.sh", "run_autograder")
OTTERS = ("otter_config.json", "tests/", "files/")  # what is kept of Otter's own zip
LEFT_OUT = ("build", "notebook")  # packages of the engine that are not used on the host

TEST_FILE = '''"""{title}: the verdicts of the sandboxed grader, for Otter."""

from otter.test_files import test_case

OK_FORMAT = False
name = "{name}"
points = None


def judge(verdicts, check):
    verdict = (verdicts or {{}}).get(check) or {{"status": "error", "message": "there is no verdict"}}
    if verdict["status"] != "passed":
        raise AssertionError(verdict["message"])
'''
TEST_CASE = """

@test_case(name={id!r}, points={points!r}, hidden={hidden!r})
def check_{number}(verdicts):
    judge(verdicts, {id!r})
"""


def build(out: Path, choices: Path | None = None, secret: str | None = None) -> Path:
    """Writes the zip into the folder `out` and returns its path.

    choices: a gradescope.toml of the instructor's; the defaults when None.
    secret: the course secret; a new one, stored only in the zip, when None or blank.
    Raises ValueError for invalid choices, and RuntimeError if `otter generate` fails.
    """
    chosen = choices or OWN / settings.FILE
    if not chosen.is_file():
        raise ValueError(f"{chosen}: there is no such file")
    made = settings.read(chosen, assignment().rubric)
    if made.counting.checks or made.visibility:
        from autograder.grading.listing import checks_of

        settings.require_known(made, chosen, checks_of(assignment()))
    files = dict(otters_part(assignment().folder))
    for name in EXECUTABLE:
        files[name] = (OWN / name).read_bytes().replace(b"\r\n", b"\n")
    files[settings.FILE] = chosen.read_bytes()
    files[settings.SECRET] = ((secret or "").strip() or secrets.token_hex(16)).encode()
    files["constraints.txt"] = (ROOT / "constraints.txt").read_bytes()
    files["requirements.txt"] = _requirements().encode()
    files.update(_grader())
    write_zip(out / NAME, files, EXECUTABLE)
    return out / NAME


def test_files() -> dict[str, str]:
    """Otter's test files by name: one for each question, with one test case for each check."""
    from autograder.grading.listing import checks_of

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


@cache
def otters_part(folder: Path) -> dict[str, bytes]:
    """What `otter generate` makes from our test files and plugin, without its own scripts and conda environment.

    folder: the assignment's. It takes seconds, and a process makes it once.
    """
    config = {
        "plugins": [PLUGIN],
        "pdf": False,
        "show_hidden": False,
        "show_stdout": False,
        "print_summary": False,
        "logo": False,
    }
    with tempfile.TemporaryDirectory(prefix="otter-") as name:
        work = Path(name)
        (work / "tests").mkdir()
        for file, text in test_files().items():
            (work / "tests" / file).write_text(text, encoding="utf-8")
        (work / "otter_config.json").write_text(json.dumps(config))
        (work / NOTEBOOK).write_text(json.dumps(notebook("verdicts = None"), indent=1) + "\n")
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
            cwd=work,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        if done.returncode or not (work / NAME).is_file():
            said = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise RuntimeError(f"otter generate failed: {said}")
        with zipfile.ZipFile(work / NAME) as archive:
            return {n: archive.read(n) for n in archive.namelist() if n.startswith(OTTERS)}


def _requirements() -> str:
    """What the host installs: the package's own dependencies and Otter, as pyproject.toml declares them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return "\n".join([*project["dependencies"], *project["optional-dependencies"]["host"]]) + "\n"


def _grader() -> dict[str, bytes]:
    """The engine and the whole assignment; of the solutions only the given modules, which every submission gets."""
    subject = assignment()
    place = home(subject)
    given = {
        f"{place}/{GIVEN}/{n}.py": (subject.given / f"{n}.py").read_bytes() for n in subject.rubric.given
    }
    table = {f"{place}/{FILE}": (subject.folder / FILE).read_bytes()}
    return {**engine_files(LEFT_OUT), **assignment_files(subject, ()), **table, **given}
