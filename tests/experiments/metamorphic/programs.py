"""Programs: complete submissions as text. The solutions and three references written from scratch are where rewriting begins."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from autograder.model.assignment import assignment

REFERENCES = Path(__file__).parent / "references"
Program = Mapping[str, str]  # source text by file name


@cache
def bases() -> dict[str, Program]:
    """The correct programs by name: the solutions, and every folder of references/."""
    solutions = assignment().solutions
    assert solutions is not None, "rewriting begins with the solutions"
    names = [f"{module}.py" for module in assignment().rubric.modules]
    found: dict[str, Program] = {"solutions": {name: (solutions / name).read_text("utf-8") for name in names}}
    for folder in sorted(REFERENCES.iterdir()):
        if folder.is_dir() and (folder / names[0]).is_file():
            found[folder.name] = {path.name: path.read_text("utf-8") for path in sorted(folder.glob("*.py"))}
    return found


def write(program: Program, folder: Path) -> Path:
    """Writes the program into a new folder."""
    folder.mkdir(parents=True)
    for name, text in program.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def imported(text: str) -> set[str]:
    """The modules that a source text imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


def changed(before: Program, after: Program) -> set[str]:
    """The files that differ."""
    return {name for name in {*before, *after} if before.get(name) != after.get(name)}


def touched(program: Program, files: set[str]) -> tuple[str, ...]:
    """The questions whose verdicts can depend on these files: those of their modules and of all modules that import them."""
    reached = set(files)
    while True:
        stems = {name.removesuffix(".py") for name in reached}
        more = {name for name, text in program.items() if name not in reached and imported(text) & stems}
        if not more:
            break
        reached |= more
    return tuple(q.id for q in assignment().rubric.auto if f"{q.module}.py" in reached)
