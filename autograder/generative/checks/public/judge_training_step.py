"""How the checks of `training_step` ask for calls of it, and what they have in common in reading them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import takewhile
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from autograder.judging import Draw, Mistake, NoAnswer, Observation, Submission, expect, first_shown

from ...mistakes.public.gan_losses import CLEARED_BEFORE_STEP
from ...mistakes.public.gan_training import LABELS_LACK_AXIS, OPTIMISERS_EXCHANGED, WRONG_ORDERS
from ...stand_ins.gan import CODE_SIZE
from .judge_backward import any_backward
from .models_gan import State, discriminator_from, discriminator_state, generator_from, generator_state

T = TypeVar("T")
PROBE = "gan_training.steps"

# The handout's batch size: code that works at no other fails one check (`test_any_batch_size`), and that one alone.
BATCH = 128
# The two halves of a step, in order: each is judged although the other is not written yet, or fails.
PHASES = ("discriminator", "generator")
# Farther than a few steps of an optimiser with an ordinary rate move a weight, and nearer than 0 is to most weights.
MOVED = 0.02
# Shapes of logits and labels that do not fit, as the stand-in of the loss and PyTorch's own losses report them.
MISFITS = (
    re.compile(
        r"logits of shape \((?P<logits>[\d, ]{0,40})\).{0,200}these labels have shape \((?P<labels>[\d, ]{0,40})\)"
    ),
    re.compile(
        r"[Tt]arget size \(torch\.Size\(\[(?P<labels>[\d, ]{0,40})\]\)\).{0,200}"
        r"input size \(torch\.Size\(\[(?P<logits>[\d, ]{0,40})\]\)\)"
    ),
)


class Calls(NamedTuple):
    """Calls of training_step in a row on the same small networks: the weights at first, the batches, what was observed."""

    generator: State
    discriminator: State
    batches: list[Tensor]
    calls: list[Observation]


def ask_calls(
    submission: Submission, draw: Draw, count: int, phases: Sequence[str] = (), strict: bool = False
) -> Calls:
    """One call or two, with batches of the handout's size; checks with the same draw examine the same two calls.

    Where those do not run, `count` calls are made, in whatever way they run: see `ask_phases` and `ask_steps`.
    """
    generator, discriminator = generator_state(draw), discriminator_state(draw)
    batches = [draw.uniform(BATCH, 3, 32, 32) ** draw.number(0.5, 2) for _ in range(2)]
    try:
        seen = submission.ask_once(PROBE, batches=batches, generator=generator, discriminator=discriminator)
        calls = seen.parts("calls")
    except NoAnswer as reason:
        if reason.status not in ("failed", "missing"):
            raise
        given = (submission, batches[:count], generator, discriminator)
        calls = ask_steps(*given, strict=True) if strict else ask_phases(*given, phases)
    expect(len(calls) >= count, expected=f"{count} calls", seen=f"{len(calls)}")
    return Calls(generator, discriminator, batches[:count], calls[:count])


def ask_steps(
    submission: Submission,
    batches: Sequence[Tensor],
    generator: State,
    discriminator: State,
    phase: str = "",
    strict: bool = False,
) -> list[Observation]:
    """The calls of training_step, one for each batch, on small networks with the given weights.

    phase: "discriminator" or "generator" where only this part of the step must run; "" for the whole step.
    strict: whether labels must have the shape and the type of the logits; the check that asks so takes the points for it.
    Raises NoAnswer, with the mistake's name if the code raised because of the labels' shape.
    """

    def ask(**how: bool) -> list[Observation]:
        seen = submission.ask(
            PROBE,
            batches=list(batches),
            generator=generator,
            discriminator=discriminator,
            phase=phase,
            **how,
        )
        return seen.parts("calls")

    try:
        calls = ask()
    except NoAnswer as reason:
        if axis_is_missing(reason.seen):
            reason.name(LABELS_LACK_AXIS)
        if strict or reason.status != "failed":
            raise
        calls = first_answer([lambda: ask(forgiving=True)], reason)
    expect(len(calls) == len(batches), expected=f"{len(batches)} calls", seen=f"{len(calls)}")
    return calls


def ask_phases(
    submission: Submission,
    batches: Sequence[Tensor],
    generator: State,
    discriminator: State,
    phases: Sequence[str] = PHASES,
) -> list[Observation]:
    """As `ask_steps`; where the whole step does not run, the calls of the first of the phases that runs without the other."""

    def ask(phase: str) -> list[Observation]:
        return ask_steps(submission, batches, generator, discriminator, phase)

    try:
        return ask("")
    except NoAnswer as reason:
        if reason.status not in ("failed", "missing"):
            raise
        return first_answer([partial(ask, phase) for phase in phases], reason)


def first_answer(questions: Sequence[Callable[[], T]], reason: NoAnswer) -> T:
    """The answer to the first of the questions that has one; raises `reason` where none has."""
    for ask in questions:
        with suppress(NoAnswer):
            return ask()
    raise reason


def axis_is_missing(message: str) -> bool:
    """Whether an exception reports labels (N,) for logits (N, 1)."""
    for misfit in MISFITS:
        if found := misfit.search(message):
            logits, labels = (re.findall(r"\d+", found[part]) for part in ("logits", "labels"))
            return len(logits) == 2 and logits[1] == "1" and labels == logits[:1]
    return False


def events(call: Observation, kind: str) -> list[Observation]:
    """The events of one kind ("generator", "discriminator step", ...) in a call, in order."""
    return [event for event in call.parts("events") if event.text("event") == kind]


def codes_of(event: Observation) -> Tensor:
    """The codes (N, 64) of one pass through the generator."""
    return event.tensor("noise", (None, CODE_SIZE), what="the codes sent through the generator")


def passes(call: Observation, network: str) -> list[Observation]:
    """The passes through a network in a call, without those that only measure: in evaluation mode and without a graph."""
    found = events(call, network)
    return [event for event in found if event.flag("training") or event.flag("grad")] or found


def order_of_steps(call: Observation) -> list[str]:
    """Which network's optimiser took a step, in order."""
    kinds = [event.text("event") for event in call.parts("events")]
    return [kind.removesuffix(" step") for kind in kinds if kind.endswith(" step")]


def wrong_order(call: Observation) -> Mistake | None:
    """The mistake that the order of the optimisers' steps shows, with the gradients at the first of them."""
    order = order_of_steps(call)
    if order == ["generator", "discriminator"]:
        kinds = [event.text("event") for event in call.parts("events")]
        before = call.parts("events")[: kinds.index("generator step")]
        attached = [event.flag("attached") for event in before if event.text("event") == "discriminator"]
        # Where no fakes with a graph were judged, the backward pass was the discriminator's.
        if attached and not any(attached):
            return OPTIMISERS_EXCHANGED
    return first_shown(WRONG_ORDERS, order)


def has_moved(call: Observation, network: str) -> bool:
    """Whether a call changed a network's parameters."""
    before, after = call.part("before").part(network), call.part("after").part(network)
    return any(not torch.equal(before.tensor(name), after.tensor(name, finite=False)) for name in before)


def end_of_first_phase(call: Observation) -> int:
    """The number of the event that ends the first phase: an optimiser's first step, or the last where it takes several in a row.

    The number of events where no optimiser takes a step.
    """
    kinds = [event.text("event") for event in call.parts("events")]
    steps = [i for i, kind in enumerate(kinds) if kind.endswith(" step")]
    in_a_row = takewhile(lambda i: kinds[i] == kinds[steps[0]], steps)
    return max(in_a_row, default=len(kinds))


def expect_gradient(call: Observation) -> None:
    """Raises a fault unless the optimiser that steps first had gradients to work with, and fakes were made before its step."""
    kinds = [event.text("event") for event in call.parts("events")]
    end = end_of_first_phase(call)
    found = call.parts("events")[end] if end < len(kinds) else Observation({})
    gradients = found.get(f"{found.text('event').removesuffix(' step')} gradients")
    expect(
        "generator" in kinds[:end],
        expected="fakes, made by self._generator, before the first optimiser's step",
        seen="none",
    )
    expect(
        any_gradient(gradients),
        expected="gradients of the loss at the optimiser's step",
        seen="none",
        mistake=why_no_gradient(call),
        hint="Call backward() on the loss before the optimiser's step.",
    )


def why_no_gradient(call: Observation, network: str = "discriminator") -> Mistake | None:
    """The mistake where a backward pass came before a network's optimiser step, and left no gradients there.

    Each network's own phase counts: fakes that are not detached in the other's have one too.
    """
    if order_of_steps(call)[:2] not in (["discriminator"], ["discriminator", "generator"]):
        return None  # another mistake
    end = end_of_first_phase(call)
    phase = call.list("events")[:end] if network == "discriminator" else call.list("events")[end + 1 :]
    found = events(Observation({"events": phase}), network)
    return CLEARED_BEFORE_STEP if any(event.flag("backward") for event in found) else None


def first_phase(call: Observation) -> Observation:
    """The events before the step that ends the first phase."""
    return Observation({"events": call.list("events")[: end_of_first_phase(call)]})


def any_gradient(gradients: object) -> bool:
    """Whether gradients, by the parameters' names, are finite and not all zero."""
    known = [g for g in gradients.values() if isinstance(g, Tensor)] if isinstance(gradients, dict) else []
    return all(bool(g.isfinite().all()) for g in known) and any(bool((g != 0).any()) for g in known)


def expect_begun_as_given(call: Observation, states: dict[str, State], most: float = 1e-6) -> None:
    """Raises a fault unless the networks were, until an optimiser's first step, those that the check sent.

    most: how far a weight may be. Where a network's own optimiser takes no step, another one may have moved it: by less than MOVED.
    """
    order = order_of_steps(call)
    first = next((e for e in call.parts("events") if e.text("event").endswith(" step")), call.part("before"))
    for source in (call.part("before"), first):
        for network, state in states.items():
            within = most if network in order else MOVED
            for name in parameters_of(state):
                seen = source.part(network).tensor(name, state[name].shape, what=f"the {network}'s {name}")
                expect(
                    float((seen - state[name]).abs().max()) <= within,
                    expected=f"the {network} unchanged until an optimiser takes a step",
                    seen=f"other weights: {name} was changed",
                    hint="Only the optimisers may change the networks.",
                )


def parameters_of(state: Mapping[str, Tensor]) -> list[str]:
    """The names of a network's parameters, in their order, without the running averages."""
    return [name for name in state if name.endswith((".weight", ".bias"))]


def expect_trained(call: Observation, generator: State, discriminator: State, real: Tensor) -> None:
    """Raises a fault unless there were gradients, and `expect_judged` holds.

    Every attempt that runs to its end does this much, right or wrong; made-up answers cannot.
    """
    expect(
        any_backward(call),
        expected="gradients of a loss on one of the networks",
        seen="none",
        hint="Call backward() on each of the two losses.",
    )
    expect_judged(call, generator, discriminator, real)


def expect_judged(call: Observation, generator: State, discriminator: State, real: Tensor) -> None:
    """Raises a fault unless the discriminator has judged real images or the generator's fakes with the weights given."""
    expect_begun_as_given(call, {"generator": generator, "discriminator": discriminator}, MOVED)
    net, maker = discriminator_from(discriminator), generator_from(generator)
    shown = [real]
    with torch.no_grad():
        for event in events(call, "generator")[:4]:
            codes = codes_of(event)
            expect(
                len(codes) <= 8 * len(real) + 1024,
                expected=f"fakes as many as the {len(real)} real images of the batch",
                seen=f"{len(codes)} fakes",
            )
            shown.append(maker.train()(codes))
        shown += [torch.cat([real, fakes]) for fakes in shown[1:]]
        right = [net.train(mode)(images) for images in shown for mode in (True, False)]
    judged = [event.get("logits") for event in events(call, "discriminator")]
    expect(
        any(
            isinstance(seen, Tensor)
            and seen.shape == logits.shape
            and seen.dtype == logits.dtype
            and torch.allclose(seen, logits, rtol=1e-3, atol=1e-4)
            for seen in judged
            for logits in right
        ),
        expected="self._discriminator judges the real images and the fakes that self._generator makes",
        seen="other images" if judged else "a discriminator that was not called",
        hint="Send the real batch, and fakes made by self._generator, through self._discriminator.",
    )
