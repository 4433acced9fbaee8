"""Rewrites of any Python program: names, hints, prints, closures, classes, imports, helper modules."""

from __future__ import annotations

import ast
import builtins
import random
import re
from collections.abc import Callable, Sequence

from tests.experiments.metamorphic.patterns import functions
from tests.experiments.metamorphic.rewriting import Rewrite, by_tree

WORDS = ("foo", "tmp", "val", "thing", "buf", "res", "item", "stuff", "cur", "aux")
SPECIAL = re.compile(r"\bsuper\(|\byield\b|\bglobal\b|\bnonlocal\b|__class__|\bmatch\b")


def _parse(source: str) -> list[ast.stmt]:
    return ast.parse(source).body


def _ordinary(tree: ast.Module) -> list[tuple[str, ast.FunctionDef]]:
    """The functions whose body may be moved into another function: none that yields, uses super() or is a constructor."""
    return [
        (name, node)
        for name, node in functions(tree)
        if not name.endswith("__init__") and not SPECIAL.search(ast.unparse(node.body))  # type: ignore[arg-type]
    ]


def _some(
    pick: Callable[[ast.Module], Sequence[tuple[str, ast.FunctionDef]]],
    change: Callable[[ast.FunctionDef], bool],
) -> Callable[[ast.Module, random.Random], bool]:
    """A change of about half of the functions that `pick` gives."""

    def apply(tree: ast.Module, chooser: random.Random) -> bool:
        found = list(pick(tree))
        if not found:
            return False
        chosen = [node for _, node in found if chooser.random() < 0.5] or [chooser.choice(found)[1]]
        return any([change(node) for node in chosen])

    return apply


def _arguments(node: ast.FunctionDef) -> list[str]:
    given = node.args
    return [a.arg for a in [*given.posonlyargs, *given.args, *given.kwonlyargs]]


def _body(node: ast.FunctionDef) -> tuple[list[ast.stmt], list[ast.stmt]]:
    """The docstring, and the statements after it."""
    at = 1 if ast.get_docstring(node, clean=False) is not None else 0
    return node.body[:at], node.body[at:]


def _closure(node: ast.FunctionDef) -> bool:
    head, rest = _body(node)
    names = ", ".join(_arguments(node))
    inner = _parse(f"def work({names}):\n    pass")[0]
    assert isinstance(inner, ast.FunctionDef)
    inner.body = rest
    node.body = (
        [*head, inner, *_parse(f"return work({names})")]
        if not node.args.vararg and not node.args.kwarg
        else node.body
    )
    return inner.body is rest and node.args.vararg is None


def _printing(node: ast.FunctionDef) -> bool:
    head, rest = _body(node)
    node.body = [*head, *_parse(f"print('in {node.name}')"), *rest]
    return True


def _logging(node: ast.FunctionDef) -> bool:
    head, rest = _body(node)
    names = [n for n in _arguments(node) if n not in ("self", "cls")]
    shown = ", ".join(f"{n}={{getattr({n}, 'shape', {n})}}" for n in names)
    node.body = [*head, *_parse(f"import sys\nprint(f'{node.name}({shown})', file=sys.stderr)"), *rest]
    return True


def _finally(node: ast.FunctionDef) -> bool:
    head, rest = _body(node)
    node.body = [*head, ast.Try(rest, [], [], _parse("pass"))]
    return True


def _context(node: ast.FunctionDef) -> bool:
    head, rest = _body(node)
    (block,) = _parse("with contextlib.nullcontext():\n    pass")
    assert isinstance(block, ast.With)
    block.body = rest
    node.body = [*head, *_parse("import contextlib"), block]
    return True


def _named_result(node: ast.FunctionDef) -> bool:
    class Name(ast.NodeTransformer):
        done = False

        def visit_Return(self, statement: ast.Return) -> ast.AST | list[ast.stmt]:
            if statement.value is None or isinstance(statement.value, ast.Name):
                return statement
            self.done = True
            made = _parse("answer = 0")[0]
            assert isinstance(made, ast.Assign)
            made.value = statement.value
            return [made, *_parse("return answer")]

        def visit_Lambda(self, inner: ast.Lambda) -> ast.AST:
            return inner

    namer = Name()
    node.body = [namer.visit(s) for s in node.body]
    node.body = [s for part in node.body for s in (part if isinstance(part, list) else [part])]
    return namer.done


def _unhinted(node: ast.FunctionDef) -> bool:
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
    done = False
    for argument in [*node.args.args, *node.args.kwonlyargs]:
        if argument.annotation is None and argument.arg not in ("self", "cls"):
            argument.annotation, done = ast.Constant("typing.Any"), True
    if node.returns is None:
        node.returns, done = ast.Constant("object"), True
    return done


def _no_docstring(node: ast.FunctionDef) -> bool:
    head, rest = _body(node)
    node.body = rest or _parse("pass")
    return bool(head)


def _renamed(node: ast.FunctionDef) -> bool:
    """Local variables get other names."""
    text = ast.unparse(node)
    if SPECIAL.search(text):
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
        tree.body[_after_head(tree) : _after_head(tree)] = _parse(source)
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
        and not SPECIAL.search(ast.unparse(n.body))
        and not n.args.vararg
        and not n.args.kwarg  # type: ignore[arg-type]
    ]
    if not found:
        return False
    at, node = chooser.choice(found)
    names = _arguments(node)
    head, rest = _body(node)
    title = "".join(word.title() for word in node.name.split("_")) + "Job"
    stored = "\n        ".join(f"self.{n} = {n}" for n in names) or "pass"
    read = "\n        ".join(f"{n} = self.{n}" for n in names) or "pass"
    source = f"class {title}:\n    def __init__(self, {', '.join(names)}):\n        {stored}\n\n    def run(self):\n        {read}"
    (owner,) = _parse(source)
    assert isinstance(owner, ast.ClassDef) and isinstance(owner.body[1], ast.FunctionDef)
    owner.body[1].body += rest
    node.body = [*head, *_parse(f"return {title}({', '.join(names)}).run()")]
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
        and not SPECIAL.search(ast.unparse(method))
        and not any(
            isinstance(d, ast.Attribute) and d.attr == "setter" or ast.unparse(d) == "property"
            for d in method.decorator_list
        )
        and method.name not in {n.id for d in ast.walk(owner) if isinstance(d, ast.Name) for n in [d]}
    ]
    if not found:
        return False
    owner, method = chooser.choice(found)
    name = f"{owner.name}{method.name.strip('_').title().replace('_', '')}Mixin"
    owner.body.remove(method)
    owner.body = owner.body or _parse("pass")
    (mixin,) = _parse(f"class {name}:\n    pass")
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
    tree.body[tree.body.index(node)] = _parse(f"from {helper} import {node.name}")[0]
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
        if not SPECIAL.search(ast.unparse(node)) or node.name == "__init__":
            node.body = [Hoist().visit(s) for s in node.body]
    lines = [f"{name} = {value}" for name, value in sorted(numbers.items())]
    tree.body[_after_head(tree) : _after_head(tree)] = _parse("\n".join(lines))
    return bool(numbers)


def _demo(tree: ast.Module, _: random.Random) -> bool:
    """A main function at the end that is not called on import."""
    if any(isinstance(n, ast.If) and "__main__" in ast.unparse(n.test) for n in tree.body):
        return False
    tree.body += _parse(
        "def main():\n    print('Nothing to see here.')\n\nif __name__ == '__main__':\n    main()"
    )
    return True


REWRITES: tuple[Rewrite, ...] = (
    by_tree(
        "locals-renamed", "Local variables have other names.", _some(lambda t: list(functions(t)), _renamed)
    ),
    by_tree(
        "body-in-a-closure", "A function's work is done by a function inside it.", _some(_ordinary, _closure)
    ),
    by_tree("body-in-a-class", "A function's work is done by the method of a class.", _runner),
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
    by_tree("hints-removed", "There are no type hints.", _some(lambda t: list(functions(t)), _unhinted)),
    by_tree(
        "hints-added",
        "There are more type hints.",
        _some(lambda t: [(n, f) for n, f in functions(t) if not f.decorator_list], _hinted),
    ),
    by_tree(
        "docstrings-removed", "There are no docstrings.", _some(lambda t: list(functions(t)), _no_docstring)
    ),
    by_tree("decorated", "A decorator counts the calls of functions.", _decorated),
    by_tree("methods-in-a-mixin", "A method is inherited from a mixin.", _mixin),
    by_tree("methods-in-another-order", "Methods stand in another order.", _shuffled_methods),
    Rewrite("function-in-a-helper-module", "A function is imported from a helper module.", _helper_module),
    by_tree("torch-as-th", "torch has another name.", _torch_alias),
    by_tree("numbers-as-constants", "Numbers are constants of the module.", _constants),
    by_tree("main-function", "The module can be run.", _demo),
)
