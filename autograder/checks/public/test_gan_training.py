"""Public checks of the DCGAN's training step: which network moves when, on which noise, for which batches."""

from __future__ import annotations

import torch

from autograder.judging import Mistake, Observation, check, expect, expect_fresh, expect_standard_normal
from autograder.judging.statistics import shared_rows


def events(call: Observation, kind: str) -> list[Observation]:
    return [event for event in call.parts("events") if event.text("event") == kind]


@check(
    "2-1b",
    points=1.5,
    title="One training step changes both networks, the discriminator first, each once",
    asks="training_step(real) -> (dis_loss, gen_loss): one optimizerD step, then one optimizerG step; two floats.",
)
def test_each_network_takes_one_step(submission, draw):
    call = submission.ask("gan_training.steps", batches=[draw.uniform(128, 3, 32, 32)]).parts("calls")[0]
    order = [event.text("event") for event in call.parts("events") if event.text("event").endswith(" step")]
    expect(
        order == ["discriminator step", "generator step"],
        expected="one optimizerD step, then one optimizerG step",
        seen=", then ".join(order) if order else "no optimiser step at all",
        mistake=Mistake(
            None,
            "The generator is trained before the discriminator.",
            "Train the discriminator first; the generator then learns from the better one.",
        )
        if order == ["generator step", "discriminator step"]
        else None,
        hint="Call step() once on each of self.optimizerD and self.optimizerG.",
    )
    for network in ("generator", "discriminator"):
        before, after = call.part("before").part(network), call.part("after").part(network)
        still = [
            name for name in before if torch.equal(before.tensor(name), after.tensor(name, finite=False))
        ]
        expect(
            not still,
            expected=f"every parameter of the {network} moved",
            seen=f"{len(still)} of {len(before)} did not move: {', '.join(still[:4])}",
            hint="A parameter that gets no gradient is not moved: look for a detach() or no_grad() too many.",
        )
        stepped = events(call, f"{network} step")[0].part("after").part(network)
        expect(
            all(torch.equal(after.tensor(name), stepped.tensor(name)) for name in after),
            expected=f"nothing but its optimiser's step changes the {network}",
            seen=f"a {network} that was changed afterwards",
            hint="Leave the weights to the optimisers: no clipping, no scaling.",
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
    )


@check(
    "2-1b",
    points=1,
    title="The generator gets no gradient while the discriminator is trained",
    asks="training_step: the fakes are detached in the discriminator's phase.",
)
def test_fakes_are_detached(submission, draw):
    call = submission.ask("gan_training.steps", batches=[draw.uniform(128, 3, 32, 32)]).parts("calls")[0]
    found = events(call, "discriminator step")
    expect(bool(found), expected="an optimizerD step", seen="none")
    gradients = found[0].part("generator gradients")
    pulled = [
        name for name in gradients if gradients[name] is not None and gradients.tensor(name).abs().max() > 0
    ]
    first = [event.text("event") for event in call.parts("events") if event.text("event").endswith(" step")]
    expect(
        not pulled,
        expected="no gradient on the generator's parameters when optimizerD takes its step",
        seen=f"gradients on {len(pulled)} of {len(gradients)} parameters",
        mistake=Mistake(
            None,
            "The fakes are not detached: the discriminator's loss sends gradients into the generator.",
            "Detach the fakes, or make them under torch.no_grad().",
        )
        if first[:1] == ["discriminator step"] and len(events(before_step(call), "discriminator")) <= 2
        else None,
        hint="Detach the fakes in the discriminator's phase, and do the generator's backward pass after it.",
    )


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
    answer = submission.ask("gan_training.steps", batches=[draw.uniform(n, 3, 32, 32) for n in sizes])
    for n, call in zip(sizes, answer.parts("calls"), strict=False):
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


@check(
    "2-1b",
    points=1,
    title="The noise is standard normal, and new at every call",
    asks="training_step: noise z ~ N(0, I) of shape (N, code_size), drawn anew at every call.",
)
def test_noise_is_standard_normal_and_fresh(submission, draw):
    batches = [draw.uniform(48, 3, 32, 32), draw.uniform(48, 3, 32, 32)]
    calls = submission.ask("gan_training.steps", batches=batches).parts("calls")
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
        expect_standard_normal(noise, what="the generator's noise", hint="Use torch.randn.")
    for first in noises[0]:
        for second in noises[1]:
            expect_fresh(first, second, what="the noise of two calls of training_step")
