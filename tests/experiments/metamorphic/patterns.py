"""Finding and replacing pieces of Python code by pattern, on the syntax tree.

A pattern is code in which names such as X_ or LOSS_ stand for any expression, the same one wherever the name occurs, and
`*ARGS_` and `**KW_` at the end of a call for its remaining arguments; REST_ on a line of its own, at the end of a block, stands
for the statements that are left. An expression pattern is found anywhere; a pattern of
statements (or of one expression and a semicolon) is found where they follow one another. Comments and layout are lost.
"""

from __future__ import annotations

import ast
import copy
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

VARIABLE = re.compile(r"[A-Z][A-Z0-9]*_")
Bindings = dict[str, ast.AST]
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Rule:
    """`find` becomes `replace`, inside functions whose qualified name ("VAE.forward") matches `within` ("" at the top level).

    unless: the function's text must not match this.
    """

    find: str
    replace: str
    within: str = ".*"
    unless: str = ""


def same(a: object, b: object) -> bool:
    return _dump(a) == _dump(b)


def _dump(node: object) -> str:
    text = ast.dump(node) if isinstance(node, ast.AST) else repr(node)
    return re.sub(r", ctx=(Load|Store|Del)\(\)", "", text)


def match(pattern: object, node: object, bindings: Bindings) -> bool:
    """Whether the node has the pattern's form; fills `bindings`."""
    if isinstance(pattern, ast.Name) and VARIABLE.fullmatch(pattern.id):
        if not isinstance(node, ast.expr) or isinstance(node, ast.Starred):
            return False
        if pattern.id in bindings:
            return same(bindings[pattern.id], node)
        bindings[pattern.id] = node
        return True
    if isinstance(pattern, list):
        if not isinstance(node, list):
            return False
        if pattern and (rest := _rest(pattern[-1])):
            pattern, node, bindings[rest] = (
                pattern[:-1],
                node[: len(pattern) - 1],
                _Rest(node[len(pattern) - 1 :]),
            )
        return len(pattern) == len(node) and all(
            match(p, n, bindings) for p, n in zip(pattern, node, strict=True)
        )
    if isinstance(pattern, ast.AST):
        if type(pattern) is not type(node):
            return False
        fields = [f for f in pattern._fields if f not in ("ctx", "type_comment", "kind")]
        return all(match(getattr(pattern, f, None), getattr(node, f, None), bindings) for f in fields)
    return pattern == node


class _Rest(ast.AST):
    """The arguments that `*ARGS_` or `**KW_` stands for."""

    def __init__(self, parts: list[ast.AST]) -> None:
        super().__init__()
        self.parts = parts


def _rest(node: object) -> str | None:
    """The variable's name if a pattern's argument or statement stands for all remaining ones."""
    inside = node.value if isinstance(node, ast.Starred | ast.keyword | ast.Expr) else None
    if isinstance(node, ast.Expr) and not (isinstance(inside, ast.Name) and inside.id == "REST_"):
        return None
    if isinstance(node, ast.keyword) and node.arg is not None:
        return None
    return inside.id if isinstance(inside, ast.Name) and VARIABLE.fullmatch(inside.id) else None


def plain(node: ast.AST) -> bool:
    """Whether evaluating an expression twice is the same as once: names, attributes, constants."""
    return isinstance(node, ast.Name | ast.Constant) or (
        isinstance(node, ast.Attribute) and plain(node.value)
    )


def fill(template: ast.AST, bindings: Bindings) -> ast.AST:
    """A copy of the template with its variables replaced."""

    class Fill(ast.NodeTransformer):
        def visit_Name(self, node: ast.Name) -> ast.AST:
            return copy.deepcopy(bindings[node.id]) if node.id in bindings else node

        def generic_visit(self, node: ast.AST) -> ast.AST:
            for field in ("args", "keywords", "body"):
                parts = getattr(node, field, None)
                if isinstance(parts, list):
                    expanded: list[ast.AST] = []
                    for part in parts:
                        held = bindings.get(_rest(part) or "")
                        expanded += (
                            copy.deepcopy(held.parts) if isinstance(held, _Rest) else [self.visit(part)]
                        )
                    setattr(node, field, expanded)
            return super().generic_visit(node)

    return Fill().visit(copy.deepcopy(template))


def _uses(tree: ast.AST | list[ast.stmt], name: str) -> int:
    trees = tree if isinstance(tree, list) else [tree]
    return sum(isinstance(n, ast.Name) and n.id == name for t in trees for n in ast.walk(t))


def functions(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, ast.FunctionDef]]:
    """The functions and methods of a module with their qualified names; not those inside functions."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef):
            yield from functions(node, f"{prefix}{node.name}.")
        elif isinstance(node, ast.FunctionDef):
            yield f"{prefix}{node.name}", node


def _places(tree: ast.AST, rule: Rule) -> Iterator[ast.AST]:
    """The parts of a module in which the rule may be applied."""
    if rule.within == "":
        yield tree
        return
    for name, function in functions(tree):
        if re.fullmatch(rule.within, name) and not (
            rule.unless and re.search(rule.unless, ast.unparse(function))
        ):
            yield function


def apply(text: str, rule: Rule, chooser: random.Random | None = None) -> str | None:
    """The text with the rule applied wherever it fits (with a chooser: at some of these places); None if it fits nowhere."""
    if not all(word in text for word in _words(rule.find)):
        return None
    tree = ast.parse(text)
    find, replace = ast.parse(rule.find).body, ast.parse(rule.replace).body
    single = len(find) == 1 and isinstance(find[0], ast.Expr) and not _is_statement(rule, find[0])
    variables = {
        n.id for s in find for n in ast.walk(s) if isinstance(n, ast.Name) and VARIABLE.fullmatch(n.id)
    }
    repeated = [v for v in variables if _uses(replace, v) > _uses(find, v)]

    def fits(pattern: object, node: object) -> Bindings | None:
        bindings: Bindings = {}
        if not match(pattern, node, bindings) or not all(plain(bindings[v]) for v in repeated):
            return None
        return bindings

    sites: list[Callable[[], None]] = []
    for place in _places(tree, rule):
        sites += (
            _expression_sites(place, find, replace, fits)
            if single
            else _statement_sites(place, find, replace, fits)
        )
    if not sites:
        return None
    if chooser is not None:
        sites = [s for s in sites if chooser.random() < 0.8] or [chooser.choice(sites)]
    for change in reversed(sites):  # later statements first, so that positions stay right
        change()
    return ast.unparse(ast.fix_missing_locations(tree)) + "\n"


@cache
def _words(find: str) -> frozenset[str]:
    """The names in a pattern, without its variables: a text that lacks one of them need not be parsed."""
    words = {n.id for n in ast.walk(ast.parse(find)) if isinstance(n, ast.Name)}
    words |= {n.attr for n in ast.walk(ast.parse(find)) if isinstance(n, ast.Attribute)}
    return frozenset(word for word in words if not VARIABLE.fullmatch(word))


def _is_statement(rule: Rule, node: ast.Expr) -> bool:
    """One expression standing as a statement (a call for its effect) is written with a semicolon at its end."""
    return rule.find.rstrip().endswith(";")


def _expression_sites(
    place: ast.AST,
    find: list[ast.stmt],
    replace: list[ast.stmt],
    fits: Callable[[object, object], Bindings | None],
) -> list[Callable[[], None]]:
    assert isinstance(find[0], ast.Expr) and isinstance(replace[0], ast.Expr)
    pattern, template = find[0].value, replace[0].value
    sites: list[Callable[[], None]] = []
    taken: set[int] = set()

    def put(owner: ast.AST, field: str, index: int | None, bindings: Bindings) -> Callable[[], None]:
        def change() -> None:
            new = fill(template, bindings)
            if index is None:
                setattr(owner, field, new)
            else:
                getattr(owner, field)[index] = new

        return change

    for owner in ast.walk(place):
        if id(owner) in taken:
            taken.update(id(child) for child in ast.iter_child_nodes(owner))
            continue
        for field, value in ast.iter_fields(owner):
            for index, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
                if isinstance(child, ast.expr) and (bindings := fits(pattern, child)) is not None:
                    sites.append(put(owner, field, index, bindings))
                    taken.add(id(child))
    return sites


def _statement_sites(
    place: ast.AST,
    find: list[ast.stmt],
    replace: list[ast.stmt],
    fits: Callable[[object, object], Bindings | None],
) -> list[Callable[[], None]]:
    sites: list[Callable[[], None]] = []

    def put(body: list[ast.stmt], start: int, bindings: Bindings) -> Callable[[], None]:
        def change() -> None:
            body[start : start + len(find)] = [fill(s, bindings) for s in replace]  # type: ignore[misc]

        return change

    for owner in ast.walk(place):
        for field in ("body", "orelse", "finalbody"):
            body = getattr(owner, field, None)
            if not isinstance(body, list):
                continue
            start = 0
            while start + len(find) <= len(body):
                bindings = fits(find, body[start : start + len(find)])
                if bindings is None:
                    start += 1
                else:
                    sites.append(put(body, start, bindings))
                    start += len(find)
    return sites
