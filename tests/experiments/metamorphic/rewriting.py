"""Rewrites: changes of a program that keep what it does, and their seeded combinations."""

from __future__ import annotations

import ast
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.experiments.metamorphic import patterns
from tests.experiments.metamorphic.patterns import Rule
from tests.experiments.metamorphic.programs import Program

Change = Callable[[dict[str, str], Sequence[str], random.Random], "dict[str, str] | None"]


USUAL = {"torch": "import torch", "nn": "from torch import nn", "F": "import torch.nn.functional as F"}


@dataclass(frozen=True)
class Rewrite:
    """One way to write the same program otherwise.

    change: takes the program, the files that it may rewrite, and a chooser; None where it does not fit.
    """

    name: str
    says: str
    change: Change

    def apply(self, program: Program, files: Sequence[str], chooser: random.Random) -> Program | None:
        """The rewritten program; None where nothing in these files fits, or nothing changes."""
        found = self.change(dict(program), files, chooser)
        return None if found is None or found == dict(program) else found


def by_rules(name: str, says: str, *rules: Rule | tuple[str, str], needs: Sequence[str] = ()) -> Rewrite:
    """A rewrite that applies pattern rules to every file. needs: import lines that the new code requires."""
    prepared = [rule if isinstance(rule, Rule) else Rule(*rule) for rule in rules]

    def change_text(text: str, chooser: random.Random) -> str | None:
        new = text
        for rule in prepared:
            new = patterns.apply(new, rule, chooser) or new
        return None if new == text else with_imports(new, needs)

    return by_text(name, says, change_text)


def by_text(name: str, says: str, change_text: Callable[[str, random.Random], str | None]) -> Rewrite:
    """A rewrite that changes each file by itself."""

    def change(
        program: dict[str, str], files: Sequence[str], chooser: random.Random
    ) -> dict[str, str] | None:
        new = {file: text for file in files if (text := change_text(program[file], chooser)) is not None}
        return program | new if new else None

    return Rewrite(name, says, change)


def by_tree(name: str, says: str, change_tree: Callable[[ast.Module, random.Random], bool]) -> Rewrite:
    """A rewrite that changes the syntax tree of each file in place, and says whether it did."""

    def change_text(text: str, chooser: random.Random) -> str | None:
        tree = ast.parse(text)
        if not change_tree(tree, chooser):
            return None
        return ast.unparse(ast.fix_missing_locations(tree)) + "\n"

    return by_text(name, says, change_text)


def with_imports(text: str, lines: Sequence[str]) -> str:
    """The source with import lines added, after the docstring and the `__future__` imports.

    The usual names of PyTorch are imported too, where new code uses them and the module has other names for them.
    """
    imports = [n for n in ast.parse(text).body if isinstance(n, ast.Import | ast.ImportFrom)]
    known = {(alias.asname or alias.name).partition(".")[0] for n in imports for alias in n.names}
    used = [name for name in USUAL if name not in known and re.search(rf"(?<![\w.]){name}\.", text)]
    lines = [*lines, *(USUAL[name] for name in used)]
    missing = [line for line in lines if not re.search(rf"^{re.escape(line)}$", text, re.MULTILINE)]
    if not missing:
        return text
    tree = ast.parse(text)
    at = 0
    for node in tree.body:
        docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        future = isinstance(node, ast.ImportFrom) and node.module == "__future__"
        if not (docstring or future):
            break
        at += 1
    tree.body[at:at] = ast.parse("\n".join(missing)).body
    return ast.unparse(tree) + "\n"


def combine(
    program: Program, files: Sequence[str], rewrites: Sequence[Rewrite], most: int, chooser: random.Random
) -> tuple[Program, list[str]]:
    """The program after up to `most` randomly chosen rewrites of these files, and the names of those that fitted."""
    applied: list[str] = []
    order = list(rewrites)
    chooser.shuffle(order)
    for rewrite in order:
        if len(applied) == most:
            break
        new = rewrite.apply(program, files, chooser)
        if new is not None:
            program = new
            applied.append(rewrite.name)
    return program, applied
