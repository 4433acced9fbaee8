"""What a check raises when an answer is wrong: a fault that can be read by the person who made it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from autograder.judging.observation import Fault, Mistake, Observation

__all__ = ["Fault", "Mistake", "Observation", "expect", "expect_close", "expect_equal", "fail", "say"]


def say(value: Any) -> str:
    """Describes an observed or expected value in a few words: numbers in full, tensors by shape and range."""
    if isinstance(value, Tensor):
        if value.dim() == 0:
            return _number(value.item())
        shape = "x".join(str(n) for n in value.shape)
        if value.numel() == 0:
            return f"an empty tensor of shape {tuple(value.shape)}"
        if value.numel() <= 6:
            return f"[{', '.join(_number(v) for v in value.flatten().tolist())}] (shape {tuple(value.shape)})"
        flat = value.double().flatten()
        return (
            f"a {shape} {str(value.dtype).removeprefix('torch.')} tensor with values from {_number(flat.min().item())} "
            f"to {_number(flat.max().item())}, mean {_number(flat.mean().item())}"
        )
    if isinstance(value, bool) or value is None:
        return str(value)
    if isinstance(value, (int, float)):
        return _number(value)
    if isinstance(value, (list, tuple)):
        if len(value) > 6:
            return f"{len(value)} values: {', '.join(say(v) for v in value[:5])}, ..."
        return f"[{', '.join(say(v) for v in value)}]"
    return str(value)


def _number(value: float | int | bool) -> str:
    if isinstance(value, (bool, int)):
        return str(value)
    return f"{value:.6g}"


def fail(
    *,
    expected: str,
    seen: str,
    hint: str = "",
    diagnosis: str | None = None,
) -> None:
    """Ends the check with a fault."""
    raise Fault(expected=expected, seen=seen, hint=hint, diagnosis=diagnosis)


def expect(
    condition: bool,
    *,
    expected: str,
    seen: str,
    hint: str = "",
    mistake: Mistake | None = None,
) -> None:
    """Raises a fault unless `condition` holds.

    mistake: the mistake that this failure is surely a sign of, if there is one.
    """
    if condition:
        return
    if mistake is None:
        raise Fault(expected=expected, seen=seen, hint=hint)
    raise Fault(expected=expected, seen=seen, hint=mistake.try_ or hint, diagnosis=mistake.says)


def close(seen: Any, value: Any, rtol: float, atol: float) -> bool:
    """True when two tensors or numbers agree in shape and in value: |seen - value| <= atol + rtol |value|."""
    a = torch.as_tensor(seen).double()
    b = torch.as_tensor(value).double()
    return a.shape == b.shape and torch.allclose(a, b, rtol=rtol, atol=atol)


def expect_close(
    seen: Any,
    value: Any,
    *,
    what: str,
    rtol: float = 1e-4,
    atol: float = 1e-6,
    mistakes: Sequence[Mistake] = (),
    hint: str = "",
    expected: str = "",
) -> None:
    """Raises a fault unless `seen` equals `value` within the tolerance, and names the mistake that gives `seen`.

    what: the noun that the message speaks of ("the total loss").
    mistakes: tried in order; one whose value equals the right value, or another mistake's, cannot be told apart
        and is not named.
    expected: says what is asked in words; the expected value follows it.
    """
    if close(seen, value, rtol, atol):
        return
    told = (
        f"{what}: {say(torch.as_tensor(value))}"
        if not expected
        else f"{expected}: {say(torch.as_tensor(value))}"
    )
    fitting = [
        m
        for m in mistakes
        if m.value is not None and close(seen, m.value, rtol, atol) and not close(m.value, value, rtol, atol)
    ]
    if len(fitting) == 1 or (fitting and len({m.says for m in fitting}) == 1):
        raise Fault(
            expected=told,
            seen=_difference(seen, value),
            hint=fitting[0].try_ or hint,
            diagnosis=fitting[0].says,
        )
    raise Fault(expected=told, seen=_difference(seen, value), hint=hint)


def expect_equal(
    seen: Any, value: Any, *, what: str, hint: str = "", mistakes: Sequence[Mistake] = ()
) -> None:
    """Raises a fault unless two plain values are equal."""
    if seen == value:
        return
    for mistake in mistakes:
        if mistake.value == seen:
            raise Fault(
                expected=f"{what}: {say(value)}",
                seen=say(seen),
                hint=mistake.try_ or hint,
                diagnosis=mistake.says,
            )
    raise Fault(expected=f"{what}: {say(value)}", seen=say(seen), hint=hint)


def _difference(seen: Any, value: Any) -> str:
    a, b = torch.as_tensor(seen), torch.as_tensor(value)
    text = say(a)
    if a.shape == b.shape and a.numel() > 1:
        gap = (a.double() - b.double()).abs()
        share = (gap > 1e-3 * b.double().abs() + 1e-6).double().mean().item()
        text += f"; {share:.0%} of the values differ, by {_number(gap.max().item())} at most"
    return text
