"""What checks expect of answers: each function raises a fault, written for the student, when an answer is wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import torch
from torch import Tensor

from autograder.judging.catalogue import Candidate, Mistake
from autograder.judging.outcome import Fault


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
            f"a tensor of shape {shape} ({str(value.dtype).removeprefix('torch.')}), values from {_number(flat.min().item())} "
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
    return f"{value + 0.0:.6g}"  # 0 in place of -0


def fail(
    *,
    expected: str,
    seen: str,
    hint: str = "",
    mistake: Mistake | None = None,
    form: bool = False,
) -> NoReturn:
    """Ends the check with a fault (see Fault)."""
    raise Fault(expected=expected, seen=seen, hint=hint, mistake=mistake, form=form)


def expect(
    condition: bool,
    *,
    expected: str,
    seen: str | Callable[[], str],
    hint: str = "",
    mistake: Mistake | Callable[[], Mistake | None] | None = None,
    form: bool = False,
) -> None:
    """Raises a fault unless `condition` holds.

    mistake: the mistake that this failure is a sure sign of, if there is one. form: see Fault.
    Pass a function where finding `seen` or `mistake` takes time or asks the code again: it is called only when the check fails.
    """
    if condition:
        return
    seen = seen if isinstance(seen, str) else seen()
    mistake = mistake if mistake is None or isinstance(mistake, Mistake) else mistake()
    raise Fault(expected=expected, seen=seen, hint=hint, mistake=mistake, form=form)


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
    mistakes: Sequence[Candidate] = (),
    hint: str = "",
    expected: str = "",
) -> None:
    """Raises a fault unless `seen` equals `value` within the tolerance, and names the mistake that gives `seen`.

    what: the noun that the message is about ("the total loss").
    mistakes: the known wrong values. A mistake is not named when its value equals the right value or another mistake's.
    expected: what is asked, in words; the expected value follows it.
    """
    if close(seen, value, rtol, atol):
        return
    message = f"{expected or what}: {say(torch.as_tensor(value))}"
    fitting = [
        m
        for m in mistakes
        if m.value is not None and close(seen, m.value, rtol, atol) and not close(m.value, value, rtol, atol)
    ]
    mistake = fitting[0].mistake if len({m.mistake.id for m in fitting}) == 1 else None
    raise Fault(expected=message, seen=_difference(seen, value), hint=hint, mistake=mistake)


def expect_equal(
    seen: Any, value: Any, *, what: str, hint: str = "", mistakes: Sequence[Candidate] = ()
) -> None:
    """Raises a fault unless two plain values are equal, and names the first of the mistakes that gives `seen`."""
    if seen == value:
        return
    mistake = next((m.mistake for m in mistakes if m.value == seen), None)
    show = repr if say(seen) == say(value) else say  # all digits where rounded values look the same
    raise Fault(expected=f"{what}: {show(value)}", seen=show(seen), hint=hint, mistake=mistake, form=True)


def _difference(seen: Any, value: Any) -> str:
    a, b = torch.as_tensor(seen), torch.as_tensor(value)
    text = say(a)
    if a.shape == b.shape and a.numel() > 1:
        gap = (a.double() - b.double()).abs()
        share = (gap > 1e-3 * b.double().abs() + 1e-6).double().mean().item()
        text += f"; {share:.0%} of the values differ, by {_number(gap.max().item())} at most"
    return text
