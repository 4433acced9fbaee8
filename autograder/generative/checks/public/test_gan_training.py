"""Public checks of gan.py: question 2-1b, which network moves when, on which noise, for which batches."""

from __future__ import annotations

import torch
from torch import Tensor

from autograder.judging import (
    Draw,
    Fault,
    NoAnswer,
    Observation,
    Submission,
    check,
    expect,
    expect_fresh,
    expect_standard_normal,
    expect_unit_spread,
    first_shown,
    shared_rows,
)

from ...mistakes.public import gan_training as mistakes
from ...stand_ins.gan import CODE_SIZE
from .judge_training_step import (
    BATCH,
    PHASES,
    ask_calls,
    ask_phases,
    ask_steps,
    end_of_first_phase,
    events,
    expect_gradient,
    expect_trained,
    first_phase,
    has_moved,
    order_of_steps,
    passes,
    why_no_gradient,
    wrong_order,
)
from .models_gan import State, discriminator_state, generator_state

STEPS = (
    "training_step(real) -> (dis_loss, gen_loss): one optimizerD step, then one optimizerG step; two floats."
)
DETACHED = "training_step: the fakes are detached in the discriminator's phase."
SIZES = "training_step(real): any batch of two or more images; as many codes are drawn as there are images."
NOISE = "training_step: noise z ~ N(0, I) of shape (N, code_size), drawn anew at every call."

# Batch sizes of the handout, which code may have written in where it should follow the batch.
WRITTEN_IN = (64, BATCH)


def small_networks(draw: Draw) -> tuple[State, State]:
    return generator_state(draw), discriminator_state(draw)


@check(
    "2-1b",
    points=1.5,
    title="One training step changes both networks, the discriminator first, each once",
    asks=STEPS,
)
def test_each_network_takes_one_step(submission: Submission, shared_draw: Draw) -> None:
    asked = ask_calls(submission, shared_draw, 1, strict=True)
    generator, discriminator, (real,), (call,) = asked
    order = order_of_steps(call)
    moved = [network for network in PHASES if network not in order and has_moved(call, network)]
    expect(
        order == ["discriminator", "generator"],
        expected="one optimizerD step, then one optimizerG step",
        seen=("a step of the " + ", then one of the ".join(order) if order else "no optimiser step at all")
        + (f"; yet the weights of the {moved[0]} have changed" if moved else ""),
        mistake=mistakes.OTHER_OPTIMISER if moved else wrong_order(call),
        hint="Call step() once on each of self.optimizerD and self.optimizerG.",
    )
    for network, state in (("generator", generator), ("discriminator", discriminator)):
        expect_moved_by_optimiser(call, network, state)
    expect_gradient(call)
    returned = call.list("returned", 2, what="what training_step returned")
    losses = Observation({"dis_loss": returned[0], "gen_loss": returned[1]})
    for name in ("dis_loss", "gen_loss"):
        losses.number(name, what=f"the returned {name}", hint="Return loss.item().")
    expect(
        not call.flag("graph"),
        expected="floats, or tensors without a graph",
        seen="a tensor that is attached to its graph",
        mistake=mistakes.LOSSES_KEEP_GRAPH,
    )
    expect(
        call.flag("unchanged"),
        expected="the batch of real images left as it was",
        seen="a batch that was changed in place",
        mistake=mistakes.REAL_CHANGED_IN_PLACE,
    )
    expect_trained(call, generator, discriminator, real)


def expect_moved_by_optimiser(call: Observation, network: str, state: State) -> None:
    """Raises a fault unless every parameter of a network moved in a call, and only by its optimiser's step."""
    before, after = call.part("before").part(network), call.part("after").part(network)
    names = [name for name in state if name.endswith((".weight", ".bias"))]
    still = [
        name
        for name in names
        if torch.equal(before.tensor(name, state[name].shape), after.tensor(name, finite=False))
    ]
    expect(
        not still,
        expected=f"every parameter of the {network} moved",
        seen=f"{len(still)} of {len(names)} did not move: {', '.join(still[:4])}",
        mistake=why_no_gradient(call, network) if len(still) == len(names) else None,
        hint="A parameter without a gradient does not move: its loss must be computed from it, before the step, without a detach() "
        "or no_grad() between.",
    )
    stepped = events(call, f"{network} step")[0].part("after").part(network)
    pairs = [(stepped.tensor(name), after.tensor(name, stepped[name].shape)) for name in names]
    expect(
        all(torch.equal(a, b) for a, b in pairs),
        expected=f"nothing but its optimiser's step changes the {network}",
        seen=f"a {network} that was changed afterwards",
        hint="Leave the weights to the optimisers: no clipping, no scaling.",
        mistake=first_shown([mistakes.WEIGHTS_CLIPPED], pairs),
    )


@check(
    "2-1b",
    points=1,
    title="The generator gets no gradient while the discriminator is trained",
    asks=DETACHED,
)
def test_fakes_are_detached(submission: Submission, shared_draw: Draw) -> None:
    asked = ask_calls(submission, shared_draw, 1, PHASES[:1])
    generator, discriminator, (real,), (call,) = asked
    found = events(call, "discriminator step")
    order = order_of_steps(call)
    if order == [
        "generator"
    ]:  # without optimizerD's step, the graph of what the discriminator judges shows it
        attached = [event.flag("attached") for event in events(call, "discriminator")]
        expect(
            len(attached) >= 3 and sum(attached) <= 1,
            expected="a discriminator that judges fakes with a graph in the generator's phase only",
            seen=f"{sum(attached)} of {len(attached)} batches with a graph",
            mistake=wrong_order(call),
        )
        expect_gradient(call)
        expect_trained(call, generator, discriminator, real)
        return
    expect(
        bool(found),
        expected="an optimizerD step",
        seen="none",
        mistake=wrong_order(call),
    )
    # Where optimizerD takes two steps in a row, the fakes may be made after the first.
    ending = call.parts("events")[end_of_first_phase(call)] if order[0] == "discriminator" else found[0]
    gradients = ending.part("generator gradients")
    reached = [
        name for name in gradients if gradients[name] is not None and gradients.tensor(name).abs().max() > 0
    ]
    # Only then do the gradients come from the discriminator's phase: the generator's may have come first otherwise.
    alone = order[0] == "discriminator" and len(events(first_phase(call), "discriminator")) <= 2
    expect(
        not reached,
        expected="no gradient on the generator's parameters when optimizerD takes its step",
        seen=f"gradients on {len(reached)} of {len(gradients)} parameters",
        mistake=mistakes.FAKES_NOT_DETACHED if alone else wrong_order(call),
        hint="Detach the fakes in the discriminator's phase, and do the generator's backward pass after it.",
    )
    expect_gradient(call)
    expect_trained(call, generator, discriminator, real)


@check(
    "2-1b",
    points=1,
    title="Training steps work for batches of any size, with as many fakes as reals",
    asks=SIZES,
)
def test_any_batch_size(submission: Submission, draw: Draw) -> None:
    # One is above 64, the length of tracked_noise.
    sizes = [7, draw.integer(66, 90), 2]
    generator, discriminator = small_networks(draw)
    batches = [draw.uniform(n, 3, 32, 32) for n in sizes]
    try:
        calls = ask_steps(submission, batches, generator, discriminator)
    except NoAnswer as none:
        full = draw.uniform(BATCH, 3, 32, 32)
        alone = [works(submission, batch, generator, discriminator) for batch in (*batches[:2], full)]
        if none.status == "failed" and alone == [False, False, True]:
            raise Fault(
                expected=f"training_step works for a batch of {sizes[0]} images as for one of {BATCH}",
                seen=f"with {sizes[0]} images {none.seen}",
                mistake=mistakes.BATCH_SIZE_FIXED,
            ) from None
        if alone[-1]:
            raise
        calls = ask_phases(submission, batches, generator, discriminator)
    expect_trained(calls[0], generator, discriminator, batches[0])
    for n, call in zip(sizes, calls, strict=True):
        made = [event.tensor("noise", (None, CODE_SIZE)).shape[0] for event in passes(call, "generator")]
        expect(
            bool(made) and all(m == n for m in made),
            expected=f"{n} codes for a batch of {n} images",
            seen=f"{', '.join(map(str, made)) or 'none'}",
            mistake=mistakes.BATCH_SIZE_FIXED
            if made and all(m == n or m in WRITTEN_IN for m in made)
            else None,
        )
        judged = [event.number("images") for event in passes(call, "discriminator")]
        expect(
            all(n == images for images in judged),
            expected=f"the discriminator judges {n} images at a time when the batch has {n}",
            seen=", ".join(f"{images:.0f}" for images in judged),
            hint="The real and the fake batch go through the discriminator one after the other, each on its own.",
        )


def works(submission: Submission, batch: Tensor, generator: State, discriminator: State) -> bool:
    """Whether training_step can be called with this batch."""
    try:
        ask_steps(submission, [batch], generator, discriminator)
    except NoAnswer:
        return False
    return True


@check(
    "2-1b",
    points=1,
    title="The noise is standard normal, and new at every call",
    asks=NOISE,
)
def test_noise_is_standard_normal_and_fresh(submission: Submission, shared_draw: Draw) -> None:
    asked = ask_calls(submission, shared_draw, 2, PHASES)
    generator, discriminator, batches, calls = asked
    noises = [
        [event.tensor("noise", (None, CODE_SIZE)) for event in passes(call, "generator")] for call in calls
    ]
    expect(
        len(noises) == 2 and all(noises),
        expected="noise sent through self._generator at every call",
        seen="a call of training_step that made no fakes",
    )
    for noise in (*noises[0], *noises[1]):
        expect(
            not shared_rows(noise),
            expected="a code of its own for every image of the batch",
            seen="the same code in every row",
            mistake=mistakes.NOISE_SHARED,
        )
        expect_unit_spread(noise, what="the generator's noise")
        expect_standard_normal(noise, what="the generator's noise", hint="Use torch.randn.")
    for first in noises[0]:
        for second in noises[1]:
            expect_fresh(first, second, what="the noise of two calls of training_step")
    expect_trained(calls[0], generator, discriminator, batches[0])
