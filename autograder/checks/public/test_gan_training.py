"""Public checks of the DCGAN's training step: which network moves when, on which noise, for which batches."""

from __future__ import annotations

import torch
from torch import Tensor

from autograder.checks.public.gan_steps import (
    BATCH,
    ask_steps,
    events,
    expect_trained,
    order_of_steps,
    wrong_order,
)
from autograder.checks.public.small_gan import State, discriminator_state, generator_state
from autograder.examinee import Examinee, NoAnswer
from autograder.judging import (
    Draw,
    Fault,
    Mistake,
    Observation,
    check,
    expect,
    expect_fresh,
    expect_standard_normal,
)
from autograder.judging.statistics import shared_rows


def small_networks(draw: Draw) -> tuple[State, State]:
    return generator_state(draw), discriminator_state(draw)


@check(
    "2-1b",
    points=1.5,
    title="One training step changes both networks, the discriminator first, each once",
    asks="training_step(real) -> (dis_loss, gen_loss): one optimizerD step, then one optimizerG step; two floats.",
)
def test_each_network_takes_one_step(submission, draw):
    generator, discriminator = small_networks(draw)
    real = draw.uniform(BATCH, 3, 32, 32)
    (call,) = ask_steps(submission, [real], generator, discriminator)
    order = order_of_steps(call)
    expect(
        order == ["discriminator", "generator"],
        expected="one optimizerD step, then one optimizerG step",
        seen="a step of the " + ", then one of the ".join(order) if order else "no optimiser step at all",
        mistake=wrong_order(order),
        hint="Call step() once on each of self.optimizerD and self.optimizerG.",
    )
    for network, state in (("generator", generator), ("discriminator", discriminator)):
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
            hint="A parameter that gets no gradient is not moved: look for a detach() or no_grad() too many.",
        )
        stepped = events(call, f"{network} step")[0].part("after").part(network)
        pairs = [(stepped.tensor(name), after.tensor(name, stepped[name].shape)) for name in names]
        expect(
            all(torch.equal(a, b) for a, b in pairs),
            expected=f"nothing but its optimiser's step changes the {network}",
            seen=f"a {network} that was changed afterwards",
            hint="Leave the weights to the optimisers: no clipping, no scaling.",
            mistake=Mistake(
                None,
                f"The weights of the {network} are clipped after its step.",
                "Leave the weights to the optimisers; clipping belongs to the Wasserstein GAN.",
            )
            if clipped(pairs)
            else None,
        )
    returned = call.list("returned", 2, what="what training_step returned")
    told = Observation({"dis_loss": returned[0], "gen_loss": returned[1]})
    for name in ("dis_loss", "gen_loss"):
        told.number(name, what=f"the returned {name}", hint="Return loss.item().")
    expect(
        not call.flag("graph"),
        expected="floats, or tensors without a graph",
        seen="a tensor that still hangs on its graph",
        mistake=Mistake(
            None,
            "The returned losses keep the whole graph alive: memory grows with every iteration.",
            "Return loss.item().",
        ),
    )
    expect(
        call.flag("unchanged"),
        expected="the batch of real images left as it was",
        seen="a batch that was changed in place",
        mistake=Mistake(
            None,
            "The real images are changed in place, in the caller's own batch.",
            "Make a new tensor, or leave the images as they are: they are in [0, 1], as the fakes are.",
        ),
    )
    expect_trained(call, generator, discriminator, real)


def clipped(pairs: list[tuple[Tensor, Tensor]]) -> bool:
    """True when the second tensor of every pair is the first one, cut off at one and the same bound."""
    bound = max(after.abs().max().item() for _, after in pairs)
    return all(torch.equal(after, stepped.clamp(-bound, bound)) for stepped, after in pairs)


@check(
    "2-1b",
    points=1,
    title="The generator gets no gradient while the discriminator is trained",
    asks="training_step: the fakes are detached in the discriminator's phase.",
)
def test_fakes_are_detached(submission, draw):
    generator, discriminator = small_networks(draw)
    real = draw.uniform(BATCH, 3, 32, 32)
    (call,) = ask_steps(submission, [real], generator, discriminator)
    found = events(call, "discriminator step")
    order = order_of_steps(call)
    expect(bool(found), expected="an optimizerD step", seen="none", mistake=wrong_order(order))
    gradients = found[0].part("generator gradients")
    pulled = [
        name for name in gradients if gradients[name] is not None and gradients.tensor(name).abs().max() > 0
    ]
    expect(
        not pulled,
        expected="no gradient on the generator's parameters when optimizerD takes its step",
        seen=f"gradients on {len(pulled)} of {len(gradients)} parameters",
        mistake=Mistake(
            None,
            "The fakes are not detached: the discriminator's loss sends gradients into the generator.",
            "Detach the fakes, or make them under torch.no_grad().",
        )
        if order[:1] == ["discriminator"] and len(events(before_step(call), "discriminator")) <= 2
        else None,
        hint="Detach the fakes in the discriminator's phase, and do the generator's backward pass after it.",
    )
    expect_trained(call, generator, discriminator, real)


def before_step(call: Observation) -> Observation:
    """The events up to the discriminator's first step."""
    found = call.list("events")
    kinds = [event.text("event") for event in call.parts("events")]
    end = kinds.index("discriminator step") if "discriminator step" in kinds else len(found)
    return Observation({"events": found[:end]})


@check(
    "2-1b",
    points=1,
    title="Training steps work for batches of any size, with as many fakes as reals",
    asks="training_step(real): any batch of two or more images; as many codes are drawn as there are images.",
)
def test_any_batch_size(submission, draw):
    sizes = [7, draw.integer(20, 60), 2]
    generator, discriminator = small_networks(draw)
    batches = [draw.uniform(n, 3, 32, 32) for n in sizes]
    try:
        calls = ask_steps(submission, batches, generator, discriminator)
    except NoAnswer as reason:
        full = draw.uniform(BATCH, 3, 32, 32)
        alone = [works(submission, batch, generator, discriminator) for batch in (*batches[:2], full)]
        if reason.status == "failed" and alone == [False, False, True]:
            raise Fault(
                expected=f"training_step works for a batch of {sizes[0]} images as for one of {BATCH}",
                seen=f"with {sizes[0]} images {reason.seen}",
                hint="Take it from the batch: len(real), or ones_like(logits) for the labels.",
                diagnosis=f"The number of images is fixed at {BATCH} where it should follow the batch.",
            ) from None
        raise
    expect_trained(calls[0], generator, discriminator, batches[0])
    for n, call in zip(sizes, calls, strict=True):
        made = [event.tensor("noise", (None, 64)).shape[0] for event in events(call, "generator")]
        expect(
            bool(made) and all(m == n for m in made),
            expected=f"{n} codes for a batch of {n} images",
            seen=f"{', '.join(map(str, made)) or 'none'}",
            mistake=Mistake(
                None,
                "The number of fakes is fixed where it should follow the batch.",
                "Take it from the batch: real.shape[0].",
            )
            if made and all(m in (64, 128) for m in made)
            else None,
        )
        expect(
            all(n == event.number("images") for event in events(call, "discriminator")),
            expected=f"the discriminator judges {n} images at a time when the batch has {n}",
            seen=", ".join(f"{event.number('images'):.0f}" for event in events(call, "discriminator")),
            hint="The real and the fake batch go through the discriminator one after the other, each on its own.",
        )


def works(submission: Examinee, batch: Tensor, generator: State, discriminator: State) -> bool:
    """True when training_step can be called with this batch."""
    try:
        ask_steps(submission, [batch], generator, discriminator)
    except NoAnswer:
        return False
    return True


@check(
    "2-1b",
    points=1,
    title="The noise is standard normal, and new at every call",
    asks="training_step: noise z ~ N(0, I) of shape (N, code_size), drawn anew at every call.",
)
def test_noise_is_standard_normal_and_fresh(submission, draw):
    generator, discriminator = small_networks(draw)
    batches = [draw.uniform(BATCH, 3, 32, 32), draw.uniform(BATCH, 3, 32, 32)]
    calls = ask_steps(submission, batches, generator, discriminator)
    noises = [[event.tensor("noise", (None, 64)) for event in events(call, "generator")] for call in calls]
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
            mistake=Mistake(None, "One code is shared by the whole batch.", "Draw (N, code_size) numbers."),
        )
        spread = noise.double().std().item()
        expect(
            not another_spread(noise),
            expected="the generator's noise: independent draws from N(0, 1)",
            seen=f"normal noise with a standard deviation of {spread:.3f}",
            mistake=Mistake(
                None,
                f"The noise is scaled: its standard deviation is {spread:.2g} where 1 is asked.",
                "Leave torch.randn as it is.",
            ),
        )
        expect_standard_normal(noise, what="the generator's noise", hint="Use torch.randn.")
    for first in noises[0]:
        for second in noises[1]:
            expect_fresh(first, second, what="the noise of two calls of training_step")
    expect_trained(calls[0], generator, discriminator, batches[0])


def another_spread(noise: Tensor) -> bool:
    """True when the noise is normal with mean 0, and its standard deviation is far from 1."""
    spread = noise.double().std().item()
    if not spread > 0 or abs(spread - 1) < 0.1:
        return False
    try:
        expect_standard_normal(noise / spread, what="the noise")
    except Fault:
        return False
    return True
