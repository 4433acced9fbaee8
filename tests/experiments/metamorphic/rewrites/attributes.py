"""Attributes as properties, in dataclasses, with defaults."""

from __future__ import annotations

import ast
import random
from collections.abc import Callable

from tests.experiments.metamorphic.rewriting import Rewrite, by_tree

PROPERTY = """
@property
def beta(self):
    return {get}

@beta.setter
def beta(self, value):
    {set}
"""


def _models(tree: ast.Module) -> list[ast.ClassDef]:
    """The classes that keep beta as a plain attribute, set in __init__ after the parent's constructor."""
    return [
        node
        for node in tree.body
        if isinstance(node, ast.ClassDef)
        and node.name in ("VAE", "CVAE")
        and "self.beta = beta" in ast.unparse(node)
    ]


def _property(get: str, set_: str, first: str = "") -> Callable[[ast.Module, random.Random], bool]:
    def change(tree: ast.Module, _: random.Random) -> bool:
        for owner in (found := _models(tree)):
            owner.body += ast.parse(PROPERTY.format(get=get, set=set_)).body
            if first:
                constructor = next(
                    n for n in owner.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"
                )
                at = next(i for i, n in enumerate(constructor.body) if ast.unparse(n) == "self.beta = beta")
                constructor.body[at:at] = ast.parse(first).body
        return bool(found)

    return change


def _dataclass(tree: ast.Module, _: random.Random) -> bool:
    found = _models(tree)
    if found:
        at = tree.body.index(found[0])
        tree.body[at:at] = ast.parse(
            "import dataclasses\n\n@dataclasses.dataclass\nclass Settings:\n    beta: float = 1.0"
        ).body
    return bool(found) and bool(
        _property("self.settings.beta", "self.settings.beta = value", "self.settings = Settings(beta)")(
            tree, _
        )
    )


def _class_default(tree: ast.Module, _: random.Random) -> bool:
    for owner in (found := _models(tree)):
        owner.body[1 if ast.get_docstring(owner) else 0 : 0] = ast.parse("beta = 1.0").body
    return bool(found)


def _extras(tree: ast.Module, chooser: random.Random) -> bool:
    """Classes get methods and attributes that nobody asked for."""
    extra = ast.parse(
        "def count_parameters(self):\n    return sum(p.numel() for p in self.parameters())\n\n"
        "def extra_repr(self):\n    return f'{self.count_parameters()} parameters'\n\nauthor = 'me'"
    ).body
    found = [
        n
        for n in tree.body
        if isinstance(n, ast.ClassDef) and any("Module" in ast.unparse(b) for b in n.bases)
    ]
    for owner in found:
        owner.body += extra
    return bool(found)


def _constructor_of_parent(tree: ast.Module, _: random.Random) -> bool:
    """super().__init__() names its class."""
    found = False
    for owner in tree.body:
        for node in ast.walk(owner) if isinstance(owner, ast.ClassDef) else ():
            if isinstance(node, ast.Call) and ast.unparse(node) == "super().__init__()":
                assert isinstance(owner, ast.ClassDef)
                node.func = ast.parse(f"super({owner.name}, self).__init__", mode="eval").body
                found = True
    return found


REWRITES: tuple[Rewrite, ...] = (
    by_tree("beta-as-property", "beta is a property.", _property("self._beta", "self._beta = value")),
    by_tree(
        "beta-in-a-dictionary",
        "beta is a property that reads a dictionary.",
        _property("self.settings['beta']", "self.settings['beta'] = value", "self.settings = {}"),
    ),
    by_tree("beta-in-a-dataclass", "beta is a property that reads a dataclass.", _dataclass),
    by_tree("beta-with-class-default", "The class has a default for beta.", _class_default),
    by_tree("extra-methods", "Classes have methods and attributes of their own.", _extras),
    by_tree("super-with-arguments", "super() is told its class.", _constructor_of_parent),
)
