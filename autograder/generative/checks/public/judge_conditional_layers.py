"""Judges CVAEEncoder and CVAEDecoder with given parameters: the layers, on [input, onehot(c)] or on the input alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import torch
from torch import Tensor

from autograder.judging import Draw, Fault, Observation, Submission, close, expect, expect_close, fail

from ...mistakes.public import cvae as mistakes
from ...mistakes.public.labels import LABELS_ADDED_UNASKED, NEEDS_LABELS
from ...stand_ins import models
from . import expected_layers as layers
from . import judge_calls as calls

HIDDEN = {"encoder": (256, 64), "decoder": (64, 256)}  # widths of the layers between input and output


@dataclass(frozen=True)
class Part:
    """A part that was asked for its output. kind: "encoder" or "decoder"; what: the call, as messages quote it.

    full, single: layers that read the input and labels: those of the assignment, and the stand-in's, which is one.
    widths: numbers of inputs that a part may have. Those without a label, and with the label as one number, are mistakes.
    """

    kind: str
    what: str
    full: layers.Layers
    single: layers.Layers
    widths: Sequence[int]

    @property
    def choices(self) -> list[layers.Layers]:
        """What the parameters may be set to: for each width the full layers, and the single one."""
        return [some.narrowed(width) for width in self.widths for some in (self.full, self.single)]

    @property
    def outputs(self) -> int:
        return len(self.single.biases[0])

    def computes(self, seen: Observation, x: Tensor) -> Tensor | None:
        """What the part returns for x (N, inputs), in float64; None when its layers are for another number of inputs."""
        choices, number = self.choices, layers.filled(seen)
        if number is None or not 0 <= number < len(choices) or choices[number].sizes[0] != x.shape[1]:
            return None
        if number % 2:
            return layers.stand_in_output(choices[number], x, self.kind)
        return choices[number].run(x, layers.RIGHT[self.kind])


def expect_part(submission: Submission, draw: Draw, name: str) -> None:
    """The part computes with the layers that are put into it, on the real layers or on the stand-in's."""
    for conditional, with_count in ((True, True), (False, False), (False, True)):
        _expect_part(submission, draw, name, conditional, with_count)


def _expect_part(submission: Submission, draw: Draw, name: str, conditional: bool, with_count: bool) -> None:
    """with_count: whether num_labels is above 0, which is for conditional parts alone to use."""
    kind = "encoder" if name == "CVAEEncoder" else "decoder"
    n, count, nz, pixels = (
        draw.size("batch", 3, 9),
        draw.size("classes", 3, 10),
        draw.size("latent", 13, 32),
        draw.size("image", 70, 240),  # with labels still below 256, so that each weight's shape is its own
    )
    inputs, outputs = (pixels, nz) if kind == "encoder" else (nz, pixels)
    x = draw.uniform(n, 1, inputs) if kind == "encoder" else draw.normal(n, 1, inputs, std=2.0)
    c = draw.labels(count, n)
    flat = x.reshape(n, inputs)
    widths = (inputs + count, inputs + 1, inputs) if conditional else (inputs,)
    part = Part(
        kind,
        f"{name}({nz}, {pixels}, {conditional}, {count if with_count else 0})",
        layers.drawn(draw, (widths[0], *HIDDEN[kind], outputs)),
        layers.drawn(draw, (widths[0], outputs)),
        widths,
    )
    call: dict[str, Any] = {
        "name": name,
        "width": nz,
        "size": pixels,
        "conditional": conditional,
        "num_labels": count if with_count else 0,
        "choices": [choice.values for choice in part.choices],
        "inputs": [x, flat],
        "c": c if conditional else None,
    }
    # An unconditional part is asked after a conditional one that works: where it raises, it needs labels. Where only a number
    # of labels makes it raise, it has inputs for them.
    reason = LABELS_ADDED_UNASKED if with_count else NEEDS_LABELS
    seen = (
        submission.ask("cvae.part", **call)
        if conditional
        else calls.ask_naming(submission, "cvae.part", reason, **call)
    )
    # With the stand-in's label rows where idx2onehot is called, and with real ones where it is not.
    rows = [models.label_rows(c, count), torch.eye(count)[c]] if conditional else [torch.zeros(n, 0)]
    if conditional:
        _expect_not_as_number(seen, flat, c, part)
        _expect_label_used(flat, seen, part)
    # Inside a CVAE its parts may use either of two shapes: one right answer is enough.
    faults = []
    for answer, labels in product(seen.parts("answers"), rows):
        try:
            value = answer.get("value")
            shape = (n, outputs) if isinstance(value, Tensor) and value.dim() == 2 else (n, 1, outputs)
            out = answer.tensor("value", shape, what=f"the output of {part.what}")
            _expect_output(out.reshape(n, outputs), seen, flat, labels, part)
            return
        except Fault as fault:
            faults.append(fault)
    if not faults:
        fail(expected=f"{part.what}: an output", seen="none")
    raise next((fault for fault in faults if fault.diagnosis), faults[0])


def _expect_label_used(flat: Tensor, seen: Observation, part: Part) -> None:
    """Ends the check when the part has the layers without a label, and returns what they compute for the input alone."""
    out = part.computes(seen, flat)
    if out is None:
        return
    for answer in seen.parts("answers"):
        value = answer.get("value")
        expect(
            not isinstance(value, Tensor)
            or value.numel() != out.numel()
            or not close(value.double().flatten(), out.flatten(), 1e-3, 1e-5),
            expected=f"the output of {part.what}, with one more input for each label",
            seen="its output for the input alone",
            mistake=replace(mistakes.IGNORED_LABELS[part.kind], once=True),
        )


def _expect_not_as_number(seen: Observation, flat: Tensor, c: Tensor, part: Part) -> None:
    """Ends the check when the part's layers explain its output with the label as one number behind the input."""
    out = part.computes(seen, torch.cat([flat, c[:, None].to(flat.dtype)], -1))
    if out is None:
        return
    wrong = out.reshape(len(flat), 1, part.outputs)
    for answer in seen.parts("answers"):
        value = answer.get("value")
        expect(
            not isinstance(value, Tensor) or not close(value.double(), wrong, 1e-3, 1e-5),
            expected="one more input for each label, of which one is 1",
            seen="one more input, which holds the label",
            mistake=mistakes.LABEL_AS_NUMBER,
        )


def _expect_output(out: Tensor, seen: Observation, flat: Tensor, labels: Tensor, part: Part) -> None:
    """`out` is the output of the layers that were put into the part for [input, labels]."""
    right, swapped = torch.cat([flat, labels], -1), torch.cat([labels, flat], -1)
    what = f"the output of {part.what}"
    asked, wrong = part.computes(seen, right), part.computes(seen, swapped)
    if asked is None or wrong is None:
        layers.fail_widths(seen, part.full.sizes, part.what)
    if layers.filled(seen) == 1:  # the single layer, whose activations are given
        expect_close(
            out,
            asked.float(),
            rtol=1e-3,
            atol=1e-5,
            what=what,
            mistakes=[mistakes.LABEL_FIRST.giving(wrong.float())],
        )
        return
    if torch.allclose(out.double(), wrong, rtol=1e-3, atol=1e-5):
        expect(
            labels.shape[1] == 0,
            expected=f"{part.what} on [input, onehot]",
            seen="its output for [onehot, input]",
            mistake=mistakes.LABEL_FIRST,
        )
    layers.expect_output(out, part.full, right, part.kind, what)
