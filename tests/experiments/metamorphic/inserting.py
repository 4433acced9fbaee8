"""Faults: changes of one function that break one question, made in whichever form the function has."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.experiments.metamorphic import patterns
from tests.experiments.metamorphic.patterns import Rule
from tests.experiments.metamorphic.programs import Program

Change = Callable[[Program], "dict[str, str] | None"]


@dataclass(frozen=True)
class Fault:
    """One fault: the question on which it must lose points, and how it is put into a program (None where it does not fit)."""

    name: str
    question: str
    says: str
    file: str
    change: Change

    def apply(self, program: Program) -> Program | None:
        found = self.change(program)
        return None if found is None or found == dict(program) else found


def place(name: str) -> str:
    """Where the code of a function may stand after rewriting, as a pattern of qualified names.

    A method may have moved into a mixin of its class, a function's body into a class of its own.
    """
    owner, _, method = name.rpartition(".")
    if owner:
        return rf"{owner}(\w+Mixin)?\.{method}"
    title = "".join(word.title() for word in name.split("_"))
    return rf"{name}|{title}Job\.run"


def _files(program: Program, file: str, function: str) -> Iterator[str]:
    """The module, and the helper module into which rewriting may have moved the function."""
    yield file
    helper = f"{function}_impl.py"
    if helper in program:
        yield helper


def by_rules(*rules: tuple[str, str], within: str, file: str) -> Change:
    """The first of these rules that fits, applied in the function or method `within`."""

    def change(program: Program) -> dict[str, str] | None:
        for name in _files(program, file, within):
            for find, replace in rules:
                new = patterns.apply(program[name], Rule(find, replace, place(within)), None)
                if new is not None:
                    return {**program, name: new}
        return None

    return change


def _edited(
    program: Program, file: str, function: str, edit: Callable[[ast.FunctionDef], bool]
) -> dict[str, str] | None:
    pattern = rf"{function}" if "." not in function else place(function)
    for name in _files(program, file, function):
        tree = ast.parse(program[name])
        for qualified, node in patterns.functions(tree):
            if re.fullmatch(pattern, qualified) and edit(node):
                return {**program, name: ast.unparse(ast.fix_missing_locations(tree)) + "\n"}
    return None


def first(statements: str, function: str, file: str) -> Change:
    """The function begins with these statements. They may refer to its arguments as A1, A2, ... (self is none of them)."""

    def edit(node: ast.FunctionDef) -> bool:
        body = _with_arguments(statements, node)
        if body is None:
            return False
        at = 1 if ast.get_docstring(node, clean=False) is not None else 0
        node.body[at:at] = ast.parse(body).body
        return True

    return lambda program: _edited(program, file, function, edit)


def last(statements: str, function: str, file: str) -> Change:
    """The function (which returns nothing) ends with these statements."""

    def edit(node: ast.FunctionDef) -> bool:
        node.body += ast.parse(statements).body
        return True

    return lambda program: _edited(program, file, function, edit)


def result(expression: str, function: str, file: str) -> Change:
    """The function returns this expression of its RESULT, and of its arguments A1, A2, ..."""

    def edit(node: ast.FunctionDef) -> bool:
        text = _with_arguments(expression, node)
        if text is None:
            return False
        found = False
        for owner in _own_nodes(node):
            if isinstance(owner, ast.Return) and owner.value is not None:
                template = ast.parse(f"(lambda RESULT: {text})(0)", mode="eval").body
                assert isinstance(template, ast.Call)
                template.args, owner.value, found = [owner.value], template, True
        return found

    return lambda program: _edited(program, file, function, edit)


def _own_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes of a function, without those of functions inside it."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.Lambda | ast.ClassDef):
            yield child
            yield from _own_nodes(child)


def _with_arguments(text: str, node: ast.FunctionDef) -> str | None:
    names = [a.arg for a in [*node.args.args, *node.args.kwonlyargs] if a.arg not in ("self", "cls")]
    wanted = [int(number) for number in re.findall(r"\bA(\d)\b", text)]
    if max(wanted, default=0) > len(names):
        return None
    return re.sub(r"\bA(\d)\b", lambda m: names[int(m[1]) - 1], text)


def either(*changes: Change) -> Change:
    """The first of these changes that fits."""

    def change(program: Program) -> dict[str, str] | None:
        return next((new for c in changes if (new := c(program)) is not None), None)

    return change


def appended(text: str, file: str) -> Change:
    """The module ends with this text."""
    return lambda program: {**program, file: program[file] + f"\n\n{text}\n"}
