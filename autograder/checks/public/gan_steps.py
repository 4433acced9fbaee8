"""How the checks of `training_step` ask for calls of it, and what they have in common in reading them."""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from torch import Tensor

from autograder.checks.public.small_gan import State, discriminator_from, generator_from
from autograder.examinee import Examinee, NoAnswer
from autograder.judging import Mistake, Observation, expect
from autograder.probes.stand_ins.gan import CODE_SIZE

# The handout's batch size: code that can do no other fails one check (`test_any_batch_size`), and that one alone.
BATCH = 128
# Shapes of logits and labels that do not fit, as the stand-in of the loss and PyTorch's own losses tell them.
MISFITS = (
    re.compile(r"logits of shape \((?P<logits>[\d, ]*)\).*these labels have shape \((?P<labels>[\d, ]*)\)"),
    re.compile(
        r"[Tt]arget size \(torch\.Size\(\[(?P<labels>[\d, ]*)\]\)\).*input size \(torch\.Size\(\[(?P<logits>[\d, ]*)\]\)\)"
    ),
)


def ask_steps(
    submission: Examinee, batches: Sequence[Tensor], generator: State, discriminator: State, **how: bool
) -> list[Observation]:
    """The calls of training_step, one for each batch, on small networks with the given weights.

    Raises NoAnswer, with the mistake's name where labels of the wrong shape raised in the loss.
    """
    try:
        seen = submission.ask(
            "gan_training.steps",
            batches=list(batches),
            generator=generator,
            discriminator=discriminator,
            **how,
        )
    except NoAnswer as reason:
        if axis_is_missing(reason.seen):
            raise NoAnswer(
                reason.status,
                reason.seen,
                "Give the labels the shape of the logits: ones_like(logits), zeros_like(logits).",
                own_words=True,
                diagnosis="The labels lack an axis: they have shape (N,), where the logits have (N, 1).",
            ) from None
        raise
    calls = seen.parts("calls")
    expect(len(calls) == len(batches), expected=f"{len(batches)} calls", seen=f"{len(calls)}")
    return calls


def axis_is_missing(said: str) -> bool:
    """True when an exception tells of labels (N,) for logits (N, 1)."""
    for misfit in MISFITS:
        if found := misfit.search(said):
            logits, labels = (re.findall(r"\d+", found[part]) for part in ("logits", "labels"))
            return len(logits) == 2 and logits[1] == "1" and labels == logits[:1]
    return False


def events(call: Observation, kind: str) -> list[Observation]:
    return [event for event in call.parts("events") if event.text("event") == kind]


def order_of_steps(call: Observation) -> list[str]:
    """Which network's optimiser took a step, in order."""
    kinds = [event.text("event") for event in call.parts("events")]
    return [kind.removesuffix(" step") for kind in kinds if kind.endswith(" step")]


def wrong_order(order: Sequence[str]) -> Mistake | None:
    """What is wrong with the optimisers' steps of one call; None where nothing is."""
    counts = {network: list(order).count(network) for network in ("discriminator", "generator")}
    for network, count in counts.items():
        optimiser = f"optimizer{network[0].upper()}"
        if count == 0:
            return Mistake(
                None,
                f"{optimiser} takes no step: the {network} does not learn.",
                f"Call self.{optimiser}.step() after the backward pass of the {network}'s loss.",
            )
    if order == ["discriminator", "generator", "discriminator"]:
        return Mistake(
            None,
            "optimizerD takes a second step, after the generator's.",
            "In the generator's phase only optimizerG takes a step.",
        )
    if order == ["discriminator", "discriminator", "generator"]:
        return Mistake(
            None,
            "optimizerD takes a second step, before the generator's: one step for the sum of both losses is asked.",
            "Add the losses of the real and the fake batch, and call self.optimizerD.step() once.",
        )
    for network, count in counts.items():
        if count > 1:
            optimiser = f"optimizer{network[0].upper()}"
            return Mistake(
                None, f"{optimiser} takes {count} steps in one call.", f"Call self.{optimiser}.step() once."
            )
    if order == ["generator", "discriminator"]:
        return Mistake(
            None,
            "The generator is trained before the discriminator.",
            "Train the discriminator first; the generator then learns from the better one.",
        )
    return None


def expect_trained(call: Observation, generator: State, discriminator: State, real: Tensor) -> None:
    """Raises a fault unless the discriminator has judged real images or the generator's fakes with the weights given.

    This much every attempt does, right or wrong; made-up answers cannot.
    """
    net, maker = discriminator_from(discriminator), generator_from(generator)
    shown = [real]
    with torch.no_grad():
        for event in events(call, "generator")[:4]:
            shown.append(maker.train()(event.tensor("noise", (None, CODE_SIZE), what="the codes")))
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
        seen="other images" if judged else "a discriminator that was not asked",
        hint="Send the real batch, and fakes made by self._generator, through self._discriminator.",
    )
