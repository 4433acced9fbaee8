"""Rewrites of any function: names, hints, prints, closures."""

from __future__ import annotations

import ast
import random
import re
from collections.abc import Callable, Iterable

from tests.experiments.metamorphic.patterns import functions
from tests.experiments.metamorphic.rewriting import Rewrite, by_tree

WORDS = ("foo", "tmp", "val", "thing", "buf", "res", "item", "stuff", "cur", "aux")
UNMOVABLE = re.compile(r"\bsuper\(|\byield\b|\bglobal\b|\bnonlocal\b|__class__|\bmatch\b")


def parse(source: str) -> list[ast.stmt]:
    return ast.parse(source).body


def _ordinary(tree: ast.Module) -> list[tuple[str, ast.FunctionDef]]:
    """The functions whose body may be moved into another function: none that yields, uses super() or is a constructor."""
    return [
        (name, node)
        for name, node in functions(tree)
        if not name.endswith("__init__") and not UNMOVABLE.search(ast.unparse(ast.Module(node.body, [])))
    ]


def _some(
    pick: Callable[[ast.Module], Iterable[tuple[str, ast.FunctionDef]]],
    change: Callable[[ast.FunctionDef], bool],
) -> Callable[[ast.Module, random.Random], bool]:
    """A change of about half of the functions that `pick` gives."""

    def apply(tree: ast.Module, chooser: random.Random) -> bool:
        found = list(pick(tree))
        if not found:
            return False
        chosen = [node for _, node in found if chooser.random() < 0.5] or [chooser.choice(found)[1]]
        return sum(change(node) for node in chosen) > 0

    return apply


def arguments(node: ast.FunctionDef) -> list[str]:
    given = node.args
    return [a.arg for a in [*given.posonlyargs, *given.args, *given.kwonlyargs]]


def body(node: ast.FunctionDef) -> tuple[list[ast.stmt], list[ast.stmt]]:
    """The docstring, and the statements after it."""
    at = 1 if ast.get_docstring(node, clean=False) is not None else 0
    return node.body[:at], node.body[at:] or parse("pass")


def _closure(node: ast.FunctionDef) -> bool:
    head, rest = body(node)
    names = ", ".join(arguments(node))
    inner = parse(f"def work({names}):\n    pass")[0]
    assert isinstance(inner, ast.FunctionDef)
    inner.body = rest
    node.body = (
        [*head, inner, *parse(f"return work({names})")]
        if not node.args.vararg and not node.args.kwarg
        else node.body
    )
    return inner.body is rest and node.args.vararg is None


def _printing(node: ast.FunctionDef) -> bool:
    head, rest = body(node)
    node.body = [*head, *parse(f"print('in {node.name}')"), *rest]
    return True


def _logging(node: ast.FunctionDef) -> bool:
    head, rest = body(node)
    names = [n for n in arguments(node) if n not in ("self", "cls")]
    shown = ", ".join(f"{n}={{getattr({n}, 'shape', {n})}}" for n in names)
    node.body = [*head, *parse(f'import sys\nprint(f"{node.name}({shown})", file=sys.stderr)'), *rest]
    return True


def _finally(node: ast.FunctionDef) -> bool:
    head, rest = body(node)
    node.body = [*head, ast.Try(rest, [], [], parse("pass"))]
    return True


def _context(node: ast.FunctionDef) -> bool:
    head, rest = body(node)
    (block,) = parse("with contextlib.nullcontext():\n    pass")
    assert isinstance(block, ast.With)
    block.body = rest
    node.body = [*head, *parse("import contextlib"), block]
    return True


def _named_result(node: ast.FunctionDef) -> bool:
    class Name(ast.NodeTransformer):
        done = False

        def visit_Return(self, statement: ast.Return) -> ast.AST | list[ast.stmt]:
            if statement.value is None or isinstance(statement.value, ast.Name):
                return statement
            self.done = True
            made = parse("answer = 0")[0]
            assert isinstance(made, ast.Assign)
            made.value = statement.value
            return [made, *parse("return answer")]

        def visit_Lambda(self, inner: ast.Lambda) -> ast.AST:
            return inner

    namer = Name()
    node.body = [namer.visit(s) for s in node.body]
    node.body = [s for part in node.body for s in (part if isinstance(part, list) else [part])]
    return namer.done


def _unhinted(node: ast.FunctionDef) -> bool:
    if any("register" in ast.unparse(d) for d in node.decorator_list):  # singledispatch reads the hints
        return False
    hinted = node.returns is not None
    node.returns = None
    for argument in ast.walk(node.args):
        if isinstance(argument, ast.arg):
            hinted, argument.annotation = hinted or argument.annotation is not None, None

    class Plain(ast.NodeTransformer):
        def visit_AnnAssign(self, statement: ast.AnnAssign) -> ast.AST:
            return ast.Assign([statement.target], statement.value) if statement.value else ast.Pass()

    node.body = [Plain().visit(s) for s in node.body]
    return hinted


def _hinted(node: ast.FunctionDef) -> bool:
    if node.decorator_list:
        return False
    done = False
    for argument in [*node.args.args, *node.args.kwonlyargs]:
        if argument.annotation is None and argument.arg not in ("self", "cls"):
            argument.annotation, done = ast.Constant("typing.Any"), True
    if node.returns is None:
        node.returns, done = ast.Constant("object"), True
    return done


def _no_docstring(node: ast.FunctionDef) -> bool:
    head, rest = body(node)
    node.body = rest
    return bool(head)


def _renamed(node: ast.FunctionDef) -> bool:
    """Local variables get other names."""
    text = ast.unparse(node)
    if UNMOVABLE.search(text):
        return False
    parameters = {a.arg for a in ast.walk(node) if isinstance(a, ast.arg)}
    keywords = {k.arg for k in ast.walk(node) if isinstance(k, ast.keyword)}
    fixed = {
        e.name for e in ast.walk(node) if isinstance(e, ast.ExceptHandler | ast.FunctionDef | ast.ClassDef)
    }
    fixed |= {(a.asname or a.name).partition(".")[0] for a in ast.walk(node) if isinstance(a, ast.alias)}
    stored = [n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
    taken = set(re.findall(r"\w+", text))
    free = [w for w in WORDS if w not in taken]
    chosen = [n for n in dict.fromkeys(stored) if n not in parameters | keywords | fixed and n != "_"]
    names = dict(zip(chosen, free, strict=False))
    for name in ast.walk(node):
        if isinstance(name, ast.Name) and name.id in names:
            name.id = names[name.id]
    return bool(names)


REWRITES: tuple[Rewrite, ...] = (
    by_tree("locals-renamed", "Local variables have other names.", _some(functions, _renamed)),
    by_tree(
        "body-in-a-closure", "A function's work is done by a function inside it.", _some(_ordinary, _closure)
    ),
    by_tree("body-in-try", "A function's work is in a try block.", _some(_ordinary, _finally)),
    by_tree(
        "body-in-with", "A function's work is in a with block that does nothing.", _some(_ordinary, _context)
    ),
    by_tree("prints", "Functions print.", _some(_ordinary, _printing)),
    by_tree(
        "prints-of-shapes", "Functions print their arguments' shapes to stderr.", _some(_ordinary, _logging)
    ),
    by_tree(
        "named-results", "Results have a name before they are returned.", _some(_ordinary, _named_result)
    ),
    by_tree("hints-removed", "There are no type hints.", _some(functions, _unhinted)),
    by_tree("hints-added", "There are more type hints.", _some(functions, _hinted)),
    by_tree("docstrings-removed", "There are no docstrings.", _some(functions, _no_docstring)),
)
