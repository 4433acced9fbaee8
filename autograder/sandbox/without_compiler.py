"""Keeps PyTorch's compiler from being loaded until it is used: importing it takes as long as importing PyTorch itself.

Ordinary code imports it without using it: the first step of any optimiser marks what must not be compiled, `torch.func.grad` and
`torch.utils.checkpoint` look at its settings, `torchvision` asks whether it is there. Nothing is compiled here.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from contextlib import nullcontext
from importlib.abc import Loader
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

import torch

NAME = "torch._dynamo"


def _disable(fn: Callable[..., Any] | None = None, *_: Any, **__: Any) -> Callable[..., Any]:
    return (lambda function: function) if fn is None else fn


# What is there without the compiler, by module; any other attribute of these modules loads it.
KNOWN: dict[str, dict[str, Any]] = {
    NAME: {"disable": _disable, "graph_break": lambda *_, **__: None},
    f"{NAME}.compiled_autograd": {"_disable": nullcontext},
    f"{NAME}.config": {"error_on_nested_fx_trace": False},
    f"{NAME}.utils": {"is_compile_supported": lambda _: False},
}


class _Unloaded(ModuleType):
    """In place of one of the compiler's modules."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # asked for by import statements, and by loops over all modules
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        _load()
        return getattr(importlib.import_module(self.__name__), name)


class _Parts:
    """Finds the compiler's other modules: loads the whole of it first, which may load the one that is wanted."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if not name.startswith(f"{NAME}.") or not isinstance(sys.modules.get(NAME), _Unloaded):
            return None
        package = _load()
        if name not in sys.modules:
            return PathFinder.find_spec(name, package.__path__)
        sys.modules[name].__spec__ = spec = ModuleSpec(name, _Loaded())  # or import would load it again
        return spec


class _Loaded(Loader):
    """Loads a module that is there already."""

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return sys.modules[spec.name]

    def exec_module(self, module: ModuleType) -> None:
        pass


def _load() -> ModuleType:
    """Loads the compiler in place of its stand-ins."""
    for name in KNOWN:
        if isinstance(sys.modules.get(name), _Unloaded):
            del sys.modules[name]
    if isinstance(torch.__dict__.get("_dynamo"), _Unloaded):
        del torch._dynamo
    return importlib.import_module(NAME)


def unload() -> None:
    """Has the compiler loaded when it is used; does nothing where it is loaded already."""
    if NAME in sys.modules:
        return
    made = {name: _Unloaded(name) for name in KNOWN}
    for name, module in made.items():
        vars(module).update(KNOWN[name], __spec__=ModuleSpec(name, None))
        parent, _, last = name.rpartition(".")
        setattr(made.get(parent, torch), last, module)
    made[NAME].__path__ = []
    sys.modules.update(made)
    sys.meta_path.insert(0, _Parts)
