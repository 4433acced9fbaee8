"""Keeps PyTorch's compiler from being loaded until it is used: importing it takes as long as importing PyTorch itself.

The first step of any optimiser imports it, only to mark code that must not be compiled. Nothing is compiled here.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch

NAME = "torch._dynamo"


class _Unloaded(ModuleType):
    """In place of the compiler's module: what optimisers call does nothing, and any other attribute loads the module."""

    @staticmethod
    def disable(fn: Callable[..., Any] | None = None, *_: Any, **__: Any) -> Callable[..., Any]:
        return (lambda function: function) if fn is None else fn

    @staticmethod
    def graph_break(*_: Any, **__: Any) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__path__":  # what loops over all modules look at
            raise AttributeError(f"module {NAME!r} has no attribute {name!r}")
        if sys.modules.get(NAME) is self:
            del sys.modules[NAME]
            del torch._dynamo
        return getattr(importlib.import_module(NAME), name)


def unload() -> None:
    """Has the compiler loaded when it is used; does nothing where it is loaded already."""
    if NAME not in sys.modules:
        sys.modules[NAME] = torch._dynamo = _Unloaded(NAME)
