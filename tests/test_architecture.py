"""The layers of the design: which package imports which, and that the engine does not know the assignment's subject."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from autograder.model.assignment import FILE, choose

ROOT = Path(__file__).resolve().parents[1]
ENGINE = ROOT / "autograder"
OF_THE_ASSIGNMENT = re.compile(r"(?<![A-Za-z])(VAE|GAN|MNIST|CIFAR|generative)(?![A-Za-z])", re.IGNORECASE)


def engine_files() -> list[Path]:
    """All text files of the engine."""
    homes = [path.parent for path in ENGINE.glob(f"*/{FILE}")]
    files = [p for p in ENGINE.rglob("*") if p.is_file() and "__pycache__" not in p.parts]
    return sorted(p for p in files if not any(p.is_relative_to(home) for home in homes))


def test_the_engine_does_not_name_the_assignments_subject() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in engine_files()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if OF_THE_ASSIGNMENT.search(line)
    ]
    assert len(engine_files()) > 80
    assert found == []


def test_imports_follow_the_contracts() -> None:
    """The layers, and no cycle: see [tool.importlinter] in pyproject.toml."""
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache", "--no-logo"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["--assignment-dir", "lesson", "check", "-q", "1"],
        ["check", "-q", "1", "--assignment-dir=lesson"],
        ["check", "--assignment-dir", "lesson", "-q", "1"],
    ],
)
def test_the_option_is_removed_from_any_position(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    environment: dict[str, str] = {}
    monkeypatch.setattr("os.environ", environment)
    assert choose(arguments) == ["check", "-q", "1"]
    assert environment == {"AUTOGRADER_ASSIGNMENT": str(tmp_path / "lesson")}


def test_without_the_option_the_environment_variable_is_made_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Judges in other processes may have another working folder."""
    monkeypatch.chdir(tmp_path)
    environment = {"AUTOGRADER_ASSIGNMENT": "lesson"}
    monkeypatch.setattr("os.environ", environment)
    assert choose(["check", "--", "--assignment-dir"]) == ["check", "--", "--assignment-dir"]
    assert environment == {"AUTOGRADER_ASSIGNMENT": str(tmp_path / "lesson")}
