"""A probe's answer: every access checks kind, shape and finiteness, and raises a fault in plain words."""

from __future__ import annotations

import builtins
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from autograder.judging.catalogue import Candidate
from autograder.judging.outcome import Fault

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


@dataclass(frozen=True)
class Unsupported:
    """Stands for an object that cannot cross the wire (a function, a custom class): only the name of its type does."""

    kind: str

    def __str__(self) -> str:
        return f"an object of type {self.kind}"


def kind(value: Any) -> str:
    """What a value is, in words for a student."""
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)} and type {str(value.dtype).removeprefix('torch.')}"
    if isinstance(value, Unsupported):
        return str(value)
    if value is None:
        return "None"
    if isinstance(value, str):
        return f"the text {value[:60]!r}"
    if isinstance(value, (bool, int, float)):
        return f"the number {value}" if not isinstance(value, bool) else str(value)
    if isinstance(value, (list, tuple)):
        return f"a list or tuple of {len(value)}"
    return f"a {type(value).__name__}"


@dataclass(frozen=True)
class Observation(Mapping[str, Any]):
    """A probe's answer: a mapping of names to plain values and tensors (CPU, no graph).

    names: what messages call an entry, when the key itself is not clear ("z" -> "the z that reparameterize returned").
    """

    found: Mapping[str, Any]
    names: Mapping[str, str] = field(default_factory=dict)

    def __getitem__(self, key: str) -> Any:
        return self.found[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.found)

    def __len__(self) -> int:
        return len(self.found)

    def name(self, key: str) -> str:
        return self.names.get(key, key)

    def tensor(
        self,
        key: str,
        shape: Sequence[int | None] | None = None,
        *,
        what: str = "",
        finite: bool = True,
        floating: bool = True,
        hint: str = "",
        mistakes: Sequence[Candidate] = (),
    ) -> Tensor:
        """The tensor under `key`; floats of any size as float32, so that a check can compute with it.

        shape: what is asked; None allows any length of that axis.
        finite: whether a NaN or an infinity is a fault.
        mistakes: candidates whose values are the known wrong shapes.
        Raises Fault for anything else, so a check can work with the tensor at once.
        """
        what = what or self.name(key)
        value = self.found.get(key)
        asked = "a tensor" if shape is None else f"a tensor of shape {_shape(shape)}"
        if not isinstance(value, Tensor):
            raise Fault(expected=f"{what}: {asked}", seen=self._kind(key), hint=self._of_nothing(key) or hint)
        if shape is not None and (
            value.dim() != len(shape)
            or any(n is not None and n != m for n, m in zip(shape, value.shape, strict=True))
        ):
            raise _wrong(
                f"{what}: {asked}", f"shape {tuple(value.shape)}", tuple(value.shape), hint, mistakes
            )
        if floating and value.dtype not in FLOATS:
            raise Fault(expected=f"{what}: {asked} of floats", seen=kind(value), hint=hint)
        if floating:
            value = value.float()
        if finite and value.dtype in FLOATS and not bool(torch.isfinite(value).all()):
            bad = "NaN (not a number)" if bool(torch.isnan(value).any()) else "infinite values"
            raise Fault(expected=f"{what}: finite values", seen=f"{bad} in {kind(value)}", hint=hint)
        return value

    def number(self, key: str, *, what: str = "", finite: bool = True, hint: str = "") -> float:
        """The number under `key` as a float; a 0-dim tensor is a number too."""
        what = what or self.name(key)
        value = self.found.get(key)
        if isinstance(value, Tensor) and value.dim() == 0:
            value = value.item()
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise Fault(
                expected=f"{what}: a number", seen=self._kind(key), hint=self._of_nothing(key) or hint
            )
        try:
            value = float(value)
        except OverflowError:
            raise Fault(expected=f"{what}: a number", seen="a number that is too large", hint=hint) from None
        if finite and not math.isfinite(value):
            raise Fault(expected=f"{what}: a finite number", seen=str(value), hint=hint)
        return value + 0.0  # 0 in place of -0

    def numbers(
        self,
        key: str,
        length: int | None = None,
        *,
        what: str = "",
        hint: str = "",
        mistakes: Sequence[Candidate] = (),
    ) -> builtins.list[float]:
        """The list of numbers under `key`; `length` and `mistakes` as for `list`."""
        what = what or self.name(key)
        items = self.list(key, length, what=what, hint=hint, mistakes=mistakes)
        part = Observation({str(i): v for i, v in enumerate(items)})
        return [part.number(str(i), what=f"{what}, entry {i}", hint=hint) for i in range(len(items))]

    def list(
        self,
        key: str,
        length: int | None = None,
        *,
        what: str = "",
        hint: str = "",
        mistakes: Sequence[Candidate] = (),
    ) -> builtins.list[Any]:
        """The list under `key`; length: what is asked. mistakes: candidates whose values are wrong lengths."""
        what = what or self.name(key)
        value = self.found.get(key)
        asked = "a list" if length is None else f"a list of {length}"
        if not isinstance(value, (list, tuple)):
            raise Fault(expected=f"{what}: {asked}", seen=self._kind(key), hint=self._of_nothing(key) or hint)
        if length is not None and len(value) != length:
            raise _wrong(f"{what}: {asked}", f"a list of {len(value)}", len(value), hint, mistakes)
        return builtins.list(value)

    def flag(self, key: str) -> bool:
        """The truth value under `key`; anything but True counts as False."""
        return self.found.get(key) is True

    def text(self, key: str, default: str = "") -> str:
        value = self.found.get(key)
        return value if isinstance(value, str) else default

    def part(self, key: str, *, what: str = "", hint: str = "") -> Observation:
        """The mapping under `key`, as an observation."""
        value = self.found.get(key)
        if not isinstance(value, Mapping):
            raise Fault(
                expected=f"{what or self.name(key)}: a dictionary",
                seen=self._kind(key),
                hint=self._of_nothing(key) or hint,
            )
        return Observation(value)

    def _kind(self, key: str) -> str:
        """What the value under a key is; where there is none, the keys that there are."""
        if key in self.found or not self.found:
            return kind(self.found.get(key))
        return "nothing under this name; there are " + ", ".join(
            repr(str(name)[:30]) for name in list(self.found)[:6]
        )

    def _of_nothing(self, key: str) -> str:
        """What to do where a value is None, or of a type that is no answer."""
        value = self.found.get(key)
        if isinstance(value, Unsupported) and value.kind == "ndarray":
            return "Return a PyTorch tensor, not a NumPy array."
        if value is None and key in self.found:
            return "A function without a return statement returns None."
        return ""

    def parts(self, key: str) -> builtins.list[Observation]:
        """The list of mappings under `key` (other entries become empty)."""
        return [Observation(v if isinstance(v, Mapping) else {}) for v in self.list(key)]


def _wrong(expected: str, seen: str, value: Any, hint: str, mistakes: Sequence[Candidate]) -> Fault:
    """The fault of a wrong shape or length; it names the one mistake that gives `value`, if there is one."""
    fitting = [m for m in mistakes if m.value == value]
    if len(fitting) != 1:
        return Fault(expected=expected, seen=seen, hint=hint, form=True)
    return Fault(expected=expected, seen=seen, hint=hint, mistake=fitting[0].mistake, form=True)


def _shape(shape: Sequence[int | None]) -> str:
    inner = ", ".join("any" if n is None else str(n) for n in shape)
    return f"({inner},)" if len(shape) == 1 else f"({inner})"
