"""The documentation does what it says: the worked example is graded as it stands, links lead somewhere, commands exist."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import autograder.probes
from autograder import intake
from autograder.build.stubs import stub_source
from autograder.grading import Options, grade
from autograder.rubric import Assignment, read
from autograder.sandbox.launch import Launcher, launcher
from autograder.verdicts import Result

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^`([\w./-]+)`\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]+\]\((?!https?:)([^)#]+)")
TARGET = re.compile(r"make ([a-z][a-z-]+)\b")


@pytest.fixture(scope="module")
def boxes() -> Any:
    made = launcher()
    yield made
    made.close()


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the worked example."""
    folder = tmp_path_factory.mktemp("example")
    blocks = BLOCK.findall((ROOT / "docs" / "write-your-own.md").read_text(encoding="utf-8"))
    assert len(blocks) == 7
    for name, text in blocks:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    kit = Path(autograder.probes.__file__).parent
    for name in ("__init__.py", "kit.py"):
        (folder / "probes" / name).write_text((kit / name).read_text(encoding="utf-8"), encoding="utf-8")
    (folder / "given").mkdir()
    return folder


class Example:
    """Grades texts of activations.py with the worked example."""

    def __init__(self, folder: Path, boxes: Launcher, work: Path) -> None:
        self.folder, self.boxes, self.work = folder, boxes, work
        self.solution = (folder / "solutions" / "activations.py").read_text(encoding="utf-8")
        self.assignment = Assignment(
            read(folder / "rubric.toml"),
            folder / "probes",
            folder / "checks",
            folder / "given",
            folder / "solutions",
        )

    def grade(self, text: str) -> Result:
        (self.work / "activations.py").write_text(text, encoding="utf-8")
        submission = intake.read(self.work, self.assignment.rubric)
        return grade(submission, self.assignment, self.boxes, Options("a secret"))

    def entry(self, kind: str) -> Mapping[str, Any]:
        table = tomllib.loads((self.folder / f"tests/{kind}s/activations.toml").read_text(encoding="utf-8"))
        (row,) = table[kind]
        return row

    def edited(self, entry: Mapping[str, Any]) -> str:
        (edit,) = entry["edits"]
        assert self.solution.count(edit["find"]) == 1
        return self.solution.replace(edit["find"], edit["replace"])


@pytest.fixture
def worked(example: Path, boxes: Launcher, tmp_path: Path) -> Example:
    return Example(example, boxes, tmp_path)


def test_the_examples_solution_and_wheat_get_full_marks(worked: Example) -> None:
    for text in (worked.solution, worked.edited(worked.entry("wheat"))):
        result = worked.grade(text)
        assert (result.score, result.max_score) == (3, 3), [v.feedback for v in result.checks]


def test_the_examples_stub_gets_nothing(worked: Example) -> None:
    stub = stub_source(worked.solution, "activations.py")
    assert 'raise NotImplementedError("1-1: write softmax")' in stub
    assert worked.grade(stub).score == 0


def test_the_examples_chaff_is_caught_and_named(worked: Example) -> None:
    chaff = worked.entry("chaff")
    result = worked.grade(worked.edited(chaff))
    assert result.score_of(chaff["question"]) < 3
    assert any(chaff["diagnosis"] in (v.diagnosis or "") for v in result.checks)


@pytest.mark.parametrize(
    ("find", "replace", "check"),
    [
        ("logits - logits.max(dim=1, keepdim=True).values", "logits", "large_logits"),
        ("    shifted = logits - ", "    shifted = logits.sub_(1) - ", "logits_are_kept"),
    ],
)
def test_every_check_of_the_example_can_fail(worked: Example, find: str, replace: str, check: str) -> None:
    result = worked.grade(worked.solution.replace(find, replace))
    assert [v.id for v in result.checks if v.status != "passed"] == [f"1-1:{check}"]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_every_target_that_is_named_is_in_the_makefile() -> None:
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
