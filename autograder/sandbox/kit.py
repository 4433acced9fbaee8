"""The probe kit: fetching what the student wrote, watching it run, and copying what it returns."""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial, wraps
from itertools import count
from types import FunctionType
from typing import Any

import torch
from torch import Tensor, nn


class MissingName(Exception):
    """The module lacks the requested class, function or attribute."""


class NotWritten(Exception):
    """What the student must still write or choose, where no code of theirs raises NotImplementedError."""


class TooLarge(Exception):
    """A tensor with more elements than any right answer has: it is not copied."""


LARGEST = 64 << 20  # bytes of one copied tensor

# Modules that stand-ins replace in this process; set before the first probe is called.
standing_in: set[str] = set()

# The device on which probes look for misplaced tensors: a real one ("cuda"), or "cpu" for the simulated one (see posing.py).
device = "cpu"


def need(module: str, name: str) -> Any:
    """The object `name` of the student's module."""
    loaded = importlib.import_module(module)
    if not hasattr(loaded, name):
        plain = {n.replace("_", "").lower(): n for n in vars(loaded) if not n.startswith("_")}
        found = difflib.get_close_matches(name.replace("_", "").lower(), plain, n=1)
        near = [plain[n] for n in found]
        raise MissingName(f"{module}.py has no {name}" + (f" (it has {near[0]}: a typo?)" if near else ""))
    return getattr(loaded, name)


def attribute(owner: Any, name: str, what: str) -> Any:
    """`owner.name`; `what` is the owner's name in messages ("Model(size)")."""
    if not hasattr(owner, name):
        raise MissingName(f"{what} has no attribute {name}")
    return getattr(owner, name)


def unwrapped(value: Tensor) -> Tensor:
    """A plain tensor in place of one that is valid inside torch.func.grad or vmap only; vmap's axis is joined with the rows."""
    functions: Any = torch._C._functorch
    if not functions.is_functorch_wrapped_tensor(value):
        return value
    axis = functions.maybe_get_bdim(value) if functions.is_batchedtensor(value) else None
    inner: Tensor = functions.get_unwrapped(value)
    return unwrapped(inner if axis is None or inner.dim() < 2 else inner.movedim(axis, 0).flatten(0, 1))


def snapshot(value: Any) -> Any:
    """A copy of `value` that later changes cannot reach: tensors detached, cloned and on the CPU; containers walked."""
    if isinstance(value, Tensor):
        if (
            value.numel() * value.element_size() > LARGEST
        ):  # a view of one element can have a shape of many gigabytes
            raise TooLarge(f"a tensor of shape {tuple(value.shape)}")
        return unwrapped(value.detach()).clone().cpu()
    if isinstance(value, dict):
        return {str(k): snapshot(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [snapshot(v) for v in value]
    return value


def attempt(function: Callable[..., Any], *args: Any, **kwargs: Any) -> dict[str, Any]:
    """Calls `function` where an exception may be the right answer: {"value": ...} or {"raised": type, "message": text}."""
    try:
        return {"value": snapshot(function(*args, **kwargs))}
    except Exception as error:
        return {"raised": type(error).__name__, "message": str(error)[:300]}


def parameters(module: nn.Module) -> list[dict[str, Any]]:
    """Name, value, gradient (or None) and whether gradients are asked for, of every parameter in the module's own order."""
    return [
        {
            "name": name,
            "value": snapshot(p),
            "grad": None if p.grad is None else snapshot(p.grad),
            "trainable": p.requires_grad,
        }
        for name, p in module.named_parameters()
    ]


def same(before: Any, after: Any) -> bool:
    """True when two trees of tensors and plain values are equal, bit for bit."""
    if isinstance(before, Tensor):
        return (
            isinstance(after, Tensor)
            and before.shape == after.shape
            and torch.equal(before, after.detach().cpu())
        )
    if isinstance(before, dict):
        return (
            isinstance(after, dict)
            and before.keys() == after.keys()
            and all(same(before[k], after[k]) for k in before)
        )
    if isinstance(before, (list, tuple)):
        return len(before) == len(after) and all(same(a, b) for a, b in zip(before, after, strict=True))
    return bool(before == after)


class Calls(list[dict[str, Any]]):
    """The calls of a module: one {"inputs": [...], "output": ..., "training": bool, "grad_enabled": bool} per call."""


@contextmanager
def watching(module: nn.Module) -> Iterator[Calls]:
    """Records every call of `module` (any nn.Module), `module.forward(...)` too, while the block runs."""
    calls = Calls()

    def record(
        called: nn.Module, call: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        output = call(*args, **kwargs)
        calls.append(
            {
                "inputs": snapshot([*args, *kwargs.values()]),
                "output": snapshot(output),
                "training": called.training,
                "grad_enabled": torch.is_grad_enabled(),
            }
        )
        return output

    with around(module, record):
        yield calls


Run = Callable[[nn.Module, Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]
_marks = count()


@contextmanager
def around(module: nn.Module, run: Run) -> Iterator[None]:
    """While the block runs, every call of `module` or `module.forward` goes through run(module, call, args, kwargs).

    A hook would not see code that calls `module.forward(...)`. Calls within a call are part of it. The module stays of its class,
    whose methods are exchanged for the length of the block; a mark tells it from others of the class, and goes with its copies.
    """
    kind: Any = type(module)
    mark = f"_around_{next(_marks)}"
    running: list[object] = []  # the call at hand

    def watched(method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        def call(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
            if running or mark not in vars(self):
                return method(self, *args, **kwargs)
            running.append(method)
            try:
                return run(self, partial(method, self), args, kwargs)
            finally:
                running.clear()

        return call

    # What is no function there is a property, say, or belongs to a compiled module: that is not watched.
    found = {name: inspect.getattr_static(kind, name, None) for name in ("__call__", "forward")}
    functions = {name: method for name, method in found.items() if isinstance(method, FunctionType)}
    own = {name: method for name, method in functions.items() if name in vars(kind)}
    for name, method in functions.items():
        setattr(kind, name, watched(method))
    vars(module)[mark] = True
    try:
        yield
    finally:
        vars(module).pop(mark, None)
        for name in functions:
            if name in own:
                setattr(kind, name, own[name])
            else:
                delattr(kind, name)


def has_graph(value: Any) -> bool:
    """True when a tensor is attached to an autograd graph, or requires gradients itself."""
    return isinstance(value, Tensor) and (value.requires_grad or value.grad_fn is not None)


def observed(value: Any) -> dict[str, Any]:
    """What a function returned: its copy, and whether it is attached to an autograd graph."""
    return {"value": snapshot(value), "graph": has_graph(value)}
