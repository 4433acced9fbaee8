"""The documentation is right: the worked examples do what they show, links lead somewhere, commands exist."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").glob("*.md"))]
WRITE_YOUR_OWN = ROOT / "docs" / "write-your-own.md"
FILE = re.compile(r"^`([\w./-]+)`\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]+\]\((?!https?:)([^)#]+)")
TARGET = re.compile(r"make ([a-z][a-z-]+)\b")
SECONDS = 900


class Command(NamedTuple):
    """A command that a page shows, and the output under it ("..." for any text)."""

    line: str
    output: str

    def printed_by(self, text: str) -> bool:
        """True when `text` is the output, whatever its spaces and line breaks."""
        parts = [re.escape("".join(part.split())) for part in self.output.split("...")]
        return re.fullmatch(".*".join(parts), "".join(text.split()), re.DOTALL) is not None


def commands(text: str) -> list[Command]:
    """The commands of all console blocks, in order."""
    found = []
    for block in CONSOLE.findall(text):
        for shown in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            line, _, output = shown.partition("\n")
            found.append(Command(line, output))
    return found


def examples() -> list[str]:
    """The parts of the page that make an assignment from nothing."""
    parts = re.split(r"^# ", WRITE_YOUR_OWN.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return [part for part in parts if CONSOLE.search(part)]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder to work in like the top of a clone, whose environment is this one."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "ready").touch()
    return tmp_path


def run(line: str, clone: Path) -> str:
    """What a shell command prints, in a clone."""
    kept = {
        k: v for k, v in os.environ.items() if not k.startswith(("AUTOGRADER", "MAKE", "MFLAGS", "PYTEST"))
    }
    folder = clone / line.split()[1] if line.startswith("cd ") else clone
    environment = {
        **kept,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        # In a release, the engine is the release's own.
        "PYTHONPATH": str(ROOT) if folder == clone else "",
        "MAKEFLAGS": f"READY={clone / 'ready'} PY={sys.executable}",
        "COLUMNS": "120",
    }
    done = subprocess.run(
        line,
        shell=True,
        cwd=clone,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return done.stdout if done.returncode == 0 else f"{done.stdout}\n[exit status {done.returncode}]"


@pytest.mark.timeout(SECONDS)
@pytest.mark.parametrize("part", examples(), ids=lambda part: part.partition("\n")[0])
def test_the_page_makes_an_assignment_from_nothing(part: str, clone: Path) -> None:
    """Writes the files that the page shows and runs its commands: each prints what the page says."""
    for name, text in FILE.findall(part):
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        (clone / name).write_text(text, encoding="utf-8")
    for command in commands(part):
        printed = run(command.line, clone)
        assert command.printed_by(printed), (
            f"$ {command.line}\n{printed}\n--- the page says\n{command.output}"
        )


def test_the_examples_show_every_command_for_an_assignment() -> None:
    for part in examples():
        lines = "\n".join(command.line for command in commands(part))
        for word in ("stubs", "check", "grade", "corpus" if "tests.corpus" in lines else "corpora", "submit"):
            assert re.search(rf"\b{word}\b", lines), word
        for word in ("release", "gradescope"):
            assert re.search(rf"\b{word} ", lines), word


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_the_makefile_has_every_target_that_a_page_names() -> None:
    known = set(re.findall(r"^([a-z][a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert known, "the Makefile has targets"
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for code in [*re.findall(r"`([^`\n]+)`", text), *text.splitlines()]:
            if match := TARGET.match(code):
                assert match[1] in known | {"notebook"}, f"{page.name}: make {match[1]}"


def test_every_command_has_help_with_an_example() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "autograder", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for command in ("check", "grade", "isolation", "release", "gradescope", "submit", "merge", "regrade"):
        assert f"python -m autograder {command}" in done.stdout or f"  {command} " in done.stdout


def test_every_test_that_holds_a_promise_exists() -> None:
    table = (
        (ROOT / "SECURITY.md").read_text(encoding="utf-8").partition("### Which test holds which promise")[2]
    )
    tests = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").glob("test_*.py"))
    named = re.findall(r"`(test_\w+)`", table)
    files = re.findall(r"`(?:tests/)?(test_\w+\.py)`", table)
    assert len(named) > 20 and len(files) > 10
    assert [name for name in named if f"def {name}(" not in tests] == []
    assert [name for name in files if not (ROOT / "tests" / name).is_file()] == []
