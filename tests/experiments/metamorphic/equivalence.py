"""Whether two programs do the same, judged by running both and not by the grader."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from autograder.model.assignment import assignment
from tests.experiments.metamorphic import programs
from tests.experiments.metamorphic.observe import Moments, Observations, Roughly, observe
from tests.experiments.metamorphic.programs import Program

CHOSEN = ("vae: BETA", "vae: INTERPOLATIONS")  # every author chooses these


def modules_of(before: Program, after: Program) -> tuple[str, ...]:
    """The modules whose behaviour can differ."""
    questions = programs.touched(after, programs.changed(before, after))
    rubric = assignment().rubric
    touched = {q.module for q in rubric.auto if q.id in questions}
    return tuple(name for name in rubric.modules if name in touched)


def differences(before: Observations, after: Observations) -> list[str]:
    """What differs, one line each."""
    lines = [f"{key}: observed in one program only" for key in sorted({*before} ^ {*after})]
    for key in sorted({*before} & {*after}):
        lines += [f"{key}: {text}" for text in _differences(before[key], after[key])]
    return lines


def _differences(a: Any, b: Any) -> Iterator[str]:
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        if len(a) != len(b):
            yield f"{len(a)} and {len(b)} entries"
        for i, (x, y) in enumerate(zip(a, b, strict=False)):
            yield from (f"[{i}] {text}" for text in _differences(x, y))
    elif isinstance(a, Tensor) and isinstance(b, Tensor):
        if a.shape != b.shape or a.dtype != b.dtype:
            yield f"{a.dtype} {tuple(a.shape)} and {b.dtype} {tuple(b.shape)}"
        elif not _close(a, b):
            yield f"differ by up to {(a - b).abs().max().item():.3g}"
    elif isinstance(a, Moments) and isinstance(b, Moments):
        if not a.agrees(b):
            yield f"are draws of unlike distributions: {[float(v) for v in a.values]}, {[float(v) for v in b.values]}"
    elif isinstance(a, Roughly) and isinstance(b, Roughly):
        if not a.agrees(b):
            yield f"differ by {(a.value - b.value).abs().max():.3g}"
    elif isinstance(a, float) and isinstance(b, float):
        if not _close(torch.tensor(a).double(), torch.tensor(b).double()):
            yield f"{a} and {b}"
    elif a != b:
        yield f"{a} and {b}"


def _close(a: Tensor, b: Tensor) -> bool:
    tolerance = 1e-4 if a.dtype == torch.float32 else 1e-7
    if not a.is_floating_point():
        return torch.equal(a, b)
    return torch.allclose(a, b, rtol=tolerance, atol=tolerance / 10, equal_nan=True)


def compare(before: Program, after: Program, known: Observations | None = None) -> list[str]:
    """What a changed program does otherwise than the original; `known` holds the original's observations, if they were made."""
    modules = modules_of(before, after)
    if known is None:
        known = observe(before, modules)
    old = {key: value for key, value in known.items() if key.partition(":")[0] in modules}
    try:
        new = observe(after, modules)
    except Exception as error:
        return [f"raised {type(error).__name__}: {error}"]
    return differences(old, new)
