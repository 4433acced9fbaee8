"""Rewrites of any module: classes, decorators, imports, constants, helper modules."""

from __future__ import annotations

import ast
import builtins
import random
import re
from collections.abc import Sequence

from tests.experiments.metamorphic.patterns import functions
from tests.experiments.metamorphic.rewrites.bodies import UNMOVABLE, arguments, body, parse
from tests.experiments.metamorphic.rewriting import Rewrite, by_tree


def _decorated(tree: ast.Module, chooser: random.Random) -> bool:
    """Functions are wrapped by a decorator that counts calls."""
    found = [
        n
        for _, n in functions(tree)
        if not any(
            "property" in ast.unparse(d) or "setter" in ast.unparse(d) or "register" in ast.unparse(d)
            for d in n.decorator_list
        )
    ]
    chosen = [n for n in found if chooser.random() < 0.4]
    for node in chosen:
        node.decorator_list.append(ast.Name("counted", ast.Load()))
    if chosen:
        source = (
            "import functools\n\ndef counted(function):\n    @functools.wraps(function)\n    def wrapper(*args, **kwargs):\n"
            "        wrapper.calls += 1\n        return function(*args, **kwargs)\n    wrapper.calls = 0\n    return wrapper"
        )
        tree.body[_after_head(tree) : _after_head(tree)] = parse(source)
    return bool(chosen)


def _after_head(tree: ast.Module) -> int:
    """Where code may be inserted: after the docstring and the imports at the top."""
    at = 0
    for at, node in enumerate(tree.body):
        docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if not (docstring or isinstance(node, ast.Import | ast.ImportFrom)):
            return at
    return at


def _runner(tree: ast.Module, chooser: random.Random) -> bool:
    """The body of a module's function becomes the method of a class."""
    found = [
        (i, n)
        for i, n in enumerate(tree.body)
        if isinstance(n, ast.FunctionDef)
        and not n.decorator_list
        and not UNMOVABLE.search(ast.unparse(ast.Module(n.body, [])))
        and not n.args.vararg
        and not n.args.kwarg
    ]
    if not found:
        return False
    at, node = chooser.choice(found)
    names = arguments(node)
    head, rest = body(node)
    title = "".join(word.title() for word in node.name.split("_")) + "Job"
    stored = "\n        ".join(f"self.{n} = {n}" for n in names) or "pass"
    read = "\n        ".join(f"{n} = self.{n}" for n in names) or "pass"
    source = f"class {title}:\n    def __init__(self, {', '.join(names)}):\n        {stored}\n\n    def run(self):\n        {read}"
    (owner,) = parse(source)
    assert isinstance(owner, ast.ClassDef) and isinstance(owner.body[1], ast.FunctionDef)
    owner.body[1].body += rest
    node.body = [*head, *parse(f"return {title}({', '.join(names)}).run()")]
    tree.body.insert(at, owner)
    return True


def _mixin(tree: ast.Module, chooser: random.Random) -> bool:
    """A method moves into a mixin."""
    found = [
        (owner, method)
        for owner in tree.body
        if isinstance(owner, ast.ClassDef) and owner.bases and not owner.decorator_list
        for method in owner.body
        if isinstance(method, ast.FunctionDef)
        and not method.name.startswith("__")
        and not UNMOVABLE.search(ast.unparse(method))
        and not any(re.fullmatch(r"property|\w+\.setter", ast.unparse(d)) for d in method.decorator_list)
        and method.name not in {n.id for d in ast.walk(owner) if isinstance(d, ast.Name) for n in [d]}
    ]
    if not found:
        return False
    owner, method = chooser.choice(found)
    name = f"{owner.name}{method.name.strip('_').title().replace('_', '')}Mixin"
    owner.body.remove(method)
    owner.body = owner.body or parse("pass")
    (mixin,) = parse(f"class {name}:\n    pass")
    assert isinstance(mixin, ast.ClassDef)
    mixin.body = [method]
    owner.bases.insert(0, ast.Name(name, ast.Load()))
    tree.body.insert(tree.body.index(owner), mixin)
    return True


def _shuffled_methods(tree: ast.Module, chooser: random.Random) -> bool:
    """The methods of classes stand in another order."""
    done = False
    for owner in tree.body:
        if not isinstance(owner, ast.ClassDef) or ".setter" in ast.unparse(owner):
            continue
        places = [i for i, n in enumerate(owner.body) if isinstance(n, ast.FunctionDef)]
        methods = [owner.body[i] for i in places]
        before = list(methods)
        chooser.shuffle(methods)
        for i, method in zip(places, methods, strict=True):
            owner.body[i] = method
        done = done or methods != before
    return done


def _imports(tree: ast.Module) -> list[ast.stmt]:
    return [
        n
        for n in tree.body
        if isinstance(n, ast.Import | ast.ImportFrom)
        and not (isinstance(n, ast.ImportFrom) and n.names[0].name == "*")
    ]


def _free_names(node: ast.FunctionDef) -> set[str]:
    local = {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    local |= {a.arg for a in ast.walk(node) if isinstance(a, ast.arg)}
    local |= {
        n.name
        for n in ast.walk(node)
        if isinstance(n, ast.FunctionDef | ast.ClassDef | ast.ExceptHandler) and n.name
    }
    local |= {(a.asname or a.name).partition(".")[0] for a in ast.walk(node) if isinstance(a, ast.alias)}
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name)} - local - set(dir(builtins))


def _helper_module(
    program: dict[str, str], files: Sequence[str], chooser: random.Random
) -> dict[str, str] | None:
    """A function moves into a module of its own."""
    candidates: list[tuple[str, ast.Module, ast.FunctionDef]] = []
    for file in files:
        tree = ast.parse(program[file])
        known = {(a.asname or a.name).partition(".")[0] for n in _imports(tree) for a in n.names}  # type: ignore[attr-defined]
        candidates += [
            (file, tree, n)
            for n in tree.body
            if isinstance(n, ast.FunctionDef)
            and not n.decorator_list
            and _free_names(n) <= known
            and not n.name.startswith("_")
        ]
    if not candidates:
        return None
    file, tree, node = chooser.choice(candidates)
    helper = f"{node.name}_impl"
    if f"{helper}.py" in program:
        return None
    lines = [ast.unparse(n) for n in _imports(tree)]
    moved = "\n".join([*lines, "", "", ast.unparse(node)]) + "\n"
    tree.body[tree.body.index(node)] = parse(f"from {helper} import {node.name}")[0]
    return program | {file: ast.unparse(tree) + "\n", f"{helper}.py": moved}


def _torch_alias(tree: ast.Module, _: random.Random) -> bool:
    """import torch as th."""
    found = [
        a
        for n in tree.body
        if isinstance(n, ast.Import)
        for a in n.names
        if a.name == "torch" and a.asname is None
    ]
    dotted = [
        a
        for n in tree.body
        if isinstance(n, ast.Import)
        for a in n.names
        if a.name.startswith("torch.") and a.asname is None
    ]
    if not found or dotted or re.search(r"\bth\b", ast.unparse(tree)):
        return False
    for alias in found:
        alias.asname = "th"
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id == "torch":
            node.id = "th"
    return True


def _constants(tree: ast.Module, _: random.Random) -> bool:
    """Numbers in functions become the module's constants."""
    numbers: dict[str, int] = {}

    class Hoist(ast.NodeTransformer):
        def visit_Constant(self, node: ast.Constant) -> ast.AST:
            if type(node.value) is int and node.value > 2:
                numbers[f"NUMBER_{node.value}"] = node.value
                return ast.Name(f"NUMBER_{node.value}", ast.Load())
            return node

        def visit_FormattedValue(self, node: ast.FormattedValue) -> ast.AST:
            return node

        def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
            return node

    for _name, node in functions(tree):
        if not UNMOVABLE.search(ast.unparse(node)) or node.name == "__init__":
            node.body = [Hoist().visit(s) for s in node.body]
    lines = [f"{name} = {value}" for name, value in sorted(numbers.items())]
    tree.body[_after_head(tree) : _after_head(tree)] = parse("\n".join(lines))
    return bool(numbers)


def _demo(tree: ast.Module, _: random.Random) -> bool:
    """A main function at the end that is not called on import."""
    if any(isinstance(n, ast.If) and "__main__" in ast.unparse(n.test) for n in tree.body):
        return False
    tree.body += parse(
        "def main():\n    print('Nothing to see here.')\n\nif __name__ == '__main__':\n    main()"
    )
    return True


REWRITES: tuple[Rewrite, ...] = (
    by_tree("body-in-a-class", "A function's work is done by the method of a class.", _runner),
    by_tree("decorated", "A decorator counts the calls of functions.", _decorated),
    by_tree("methods-in-a-mixin", "A method is inherited from a mixin.", _mixin),
    by_tree("methods-in-another-order", "Methods stand in another order.", _shuffled_methods),
    Rewrite("function-in-a-helper-module", "A function is imported from a helper module.", _helper_module),
    by_tree("torch-as-th", "torch has another name.", _torch_alias),
    by_tree("numbers-as-constants", "Numbers are constants of the module.", _constants),
    by_tree("main-function", "The module can be run.", _demo),
)
