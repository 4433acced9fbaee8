"""What a training step leads to: the gradients and losses that are right, and those of known mistakes.

Everything is computed here, from the weights that the check sent, the noise that was captured, and the
networks' weights at the moment of each optimiser step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import permutations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autograder.judging import Mistake, Observation, candidates, expect

from ...mistakes.public.gan_losses import (
    DISCRIMINATOR_MISTAKES,
    EVALUATION_MODE,
    GENERATOR_MISTAKES,
    OTHER_LOSSES,
    Case,
    DiscriminatorCase,
    GeneratorCase,
    Loss,
    labelled,
    total,
)
from ...mistakes.public.gan_training import OTHER_OPTIMISER
from ...stand_ins.gan import SmallDiscriminator, SmallGenerator, stand_in_loss
from .judge_training_step import (
    codes_of,
    events,
    expect_begun_as_given,
    has_moved,
    parameters_of,
    wrong_order,
)
from .models_gan import discriminator_from, generator_from

# The loss that is asked, and the stand-in that replaces it while stand-ins are active: a student may call either.
LOSSES: tuple[Loss, ...] = (F.binary_cross_entropy_with_logits, stand_in_loss)
# Gradients are compared as one vector: the same float32 operations in another order differ by about 1e-6 of its length.
NEAR = 1e-3
SMALLEST = 1e-7  # Length of a gradient: with the weights and images that are drawn they are longer than 0.4.
# Passes of one phase that are tried in every order, where a network was in evaluation mode.
MOST_PASSES = 4
# Passes of the generator in one phase, and codes in them beyond eight times the batch: more are not judged.
MOST_GENERATED, MOST_CODES = 64, 1024

Wrong = tuple[Mistake, Tensor, nn.Module]  # a mistake, the loss that it minimises, the network that learns


@dataclass(frozen=True)
class Step:
    """One call of `training_step` as the probe observed it, with what the check sent."""

    call: Observation
    real: Tensor
    generator: Mapping[str, Tensor]
    discriminator: Mapping[str, Tensor]

    def state(self, network: str) -> Mapping[str, Tensor]:
        """The weights that the check gave a network."""
        return self.generator if network == "generator" else self.discriminator

    def optimiser_step(self, network: str) -> Observation:
        found = events(self.call, f"{network} step")
        optimiser = f"optimizer{network[0].upper()}"
        expect(
            len(found) == 1,
            expected=f"one step of {optimiser} in a call of training_step",
            seen=f"{len(found)} steps",
            hint=f"Call self.{optimiser}.step() once.",
            mistake=OTHER_OPTIMISER
            if not found and has_moved(self.call, network)
            else wrong_order(self.call),
        )
        return found[0]

    def source(self, network: str) -> Observation:
        """The weights at the first step of a network's optimiser; where it took none, those at the end of its phase."""
        found = events(self.call, f"{network} step")
        if found:
            return found[0]
        return self.call.part("after" if network == "generator" else "before")

    def passes(self, phase: str, network: str) -> list[Observation]:
        """The passes through a network in the phase that ends with the first step of an optimiser."""
        found: list[Observation] = []
        for event in self.call.parts("events"):
            kind = event.text("event")
            if kind == f"{phase} step":
                break
            if kind.endswith(" step"):
                found = []
            elif kind == network:
                found.append(event)
        return found

    def noises(self, before: str) -> list[Tensor]:
        """The codes (N, 64) that went through the generator before the first step of a network's optimiser."""
        found = []
        for event in self.call.parts("events"):
            if event.text("event") == f"{before} step":
                break
            if event.text("event") == "generator":
                found.append(codes_of(event))
        codes, most = sum(map(len, found)), 8 * len(self.real) + MOST_CODES
        expect(
            len(found) <= MOST_GENERATED and codes <= most,
            expected=f"fakes as many as the {len(self.real)} real images of the batch, made by one pass of self._generator",
            seen=f"{codes} fakes made by {len(found)} passes",
        )
        return found

    def in_evaluation_mode(self, phase: str) -> str:
        """A network that was in evaluation mode in the phase that ends with a network's step; "" if none was."""
        for network in ("discriminator", "generator"):
            if any(event.get("training") is False for event in self.passes(phase, network)):
                return network
        return ""

    def expect_begun_as_given(self) -> None:
        """For the first call on networks, so that gradients cannot be made up along with the weights that they belong to."""
        expect_begun_as_given(self.call, {n: dict(self.state(n)) for n in ("generator", "discriminator")})

    def networks(self, at: str) -> tuple[SmallGenerator, SmallDiscriminator]:
        """Both networks, in training mode, as they were when a network's optimiser took its step.

        at: "generator", "discriminator", or "call" for the networks at the start of the call.
        """
        source = self.call.part("before") if at == "call" else self.source(at)
        generator = {**self.generator, **weights(source, "generator", self.generator)}
        discriminator = {**self.discriminator, **weights(source, "discriminator", self.discriminator)}
        return generator_from(generator).train(), discriminator_from(discriminator).train()

    def gradient(self, network: str) -> Tensor:
        """A network's gradient at its optimiser's step, as one vector; a parameter without one counts as zeros."""
        found = self.optimiser_step(network).part(f"{network} gradients")
        return flat_gradient(found, self.state(network), network)

    def left(self, network: str) -> Tensor:
        """The gradient that a network has at the end of the call, as one vector."""
        return flat_gradient(self.call.part("left").part(network), self.state(network), network)

    def leaked(self) -> Tensor:
        """The generator's gradient at the discriminator's step, as one vector; zeros if there is none."""
        found = events(self.call, "discriminator step")
        if not found:
            return torch.zeros(1)
        return flat_gradient(found[0].part("generator gradients"), self.generator, "generator")


def weights(source: Observation, network: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A network's parameters in an observation, by name, each checked for its shape."""
    found = source.part(network)
    return {
        name: found.tensor(name, state[name].shape, what=f"the {network}'s {name}")
        for name in parameters_of(state)
    }


def flat_gradient(found: Observation, state: Mapping[str, Tensor], network: str) -> Tensor:
    """A network's gradients in an observation, as one vector."""
    parts = [
        torch.zeros(state[name].shape)
        if found.get(name) is None
        else found.tensor(name, state[name].shape, what=f"the {network}'s gradient")
        for name in parameters_of(state)
    ]
    return torch.cat([part.flatten() for part in parts])


def gradient_of(loss: Tensor, network: nn.Module) -> Tensor:
    """The gradient of a loss with respect to a network's parameters, as one vector; the graph is kept."""
    parameters = list(network.parameters())
    found = torch.autograd.grad(loss, parameters, allow_unused=True, retain_graph=True)
    return torch.cat(
        [torch.zeros(p.numel()) if g is None else g.flatten() for p, g in zip(parameters, found, strict=True)]
    )


def gradients(losses: Sequence[tuple[Tensor, nn.Module]]) -> list[Tensor]:
    """The gradient of every loss with respect to its network."""
    return [gradient_of(loss, network) for loss, network in losses]


def is_gradient_of(seen: Tensor, losses: Sequence[tuple[Tensor, nn.Module]]) -> bool:
    """Whether a gradient is that of one of the losses; those after it are not computed."""
    return any(near(seen, gradient_of(loss, network)) for loss, network in losses)


def near(seen: Tensor, value: Tensor) -> bool:
    """Whether two gradients are equal up to rounding. Nothing is near to a gradient of 0: it needs no work to be right."""
    size = value.double().norm()
    return (
        seen.shape == value.shape
        and SMALLEST < size < torch.inf
        and bool((seen - value).norm() <= NEAR * size)
    )


# --- The discriminator's phase ----------------------------------------------------------------------------


def discriminator_cases(step: Step) -> Iterator[DiscriminatorCase]:
    """The phase with each noise that it may have used, and the loss that is asked."""
    for noise in step.noises("discriminator"):
        generator, discriminator = step.networks("discriminator")
        yield DiscriminatorCase(discriminator, step.real, generator(noise).detach(), LOSSES[0])


def discriminator_losses(step: Step) -> list[tuple[Tensor, SmallDiscriminator]]:
    """Every accepted loss of the discriminator, with its network: each noise, the loss that is asked or the stand-in."""
    found = []
    for case in discriminator_cases(step):
        (real, _), (fakes, _) = case.judged
        for for_real in LOSSES:
            for for_fakes in LOSSES:
                found.append((labelled(for_real, real, 1) + labelled(for_fakes, fakes, 0), case.net))
    return found


def discriminator_mistakes(step: Step) -> Iterator[Wrong]:
    """Known mistakes of the phase, each with the loss that it minimises and the network that learns."""
    for case in discriminator_cases(step):
        yield from wrong_losses(DISCRIMINATOR_MISTAKES, case)


# --- The generator's phase --------------------------------------------------------------------------------


def generator_cases(step: Step) -> Iterator[GeneratorCase]:
    """As `discriminator_cases`, with the discriminator as it is at the generator's step."""
    for noise in step.noises("generator"):
        generator, discriminator = step.networks("generator")
        _, old = step.networks("call")
        yield GeneratorCase(generator, generator(noise), discriminator, old, LOSSES[0])


def generator_losses(step: Step) -> list[tuple[Tensor, SmallGenerator]]:
    """Every accepted loss of the generator, with its network: each noise, the loss that is asked or the stand-in."""
    return [(total(case, loss), case.net) for case in generator_cases(step) for loss in LOSSES]


def generator_mistakes(step: Step) -> Iterator[Wrong]:
    """As `discriminator_mistakes`."""
    for case in generator_cases(step):
        yield from wrong_losses(GENERATOR_MISTAKES, case)


def wrong_losses(mistakes: Sequence[Mistake], case: Case) -> Iterator[Wrong]:
    """The losses of mistakes, with the loss that is asked and with the stand-in, and then those of other losses."""
    for loss in LOSSES:
        yield from _losses(mistakes, replace(case, loss=loss))
    yield from _losses(OTHER_LOSSES, case)


def _losses(mistakes: Sequence[Mistake], case: Case) -> Iterator[Wrong]:
    # One mistake at a time: a loss is computed only if no mistake before it fits.
    for mistake in mistakes:
        for given in candidates([mistake], case):
            for loss in given.value if isinstance(given.value, tuple) else (given.value,):
                yield mistake, loss, case.net


# --- Networks in evaluation mode --------------------------------------------------------------------------


def losses_in_modes_seen(step: Step, phase: str) -> Iterator[Wrong]:
    """The losses of right code whose networks are in the modes that were seen, if one of them is evaluation mode."""
    if not step.in_evaluation_mode(phase):
        return
    step.noises(phase)  # no more than can be judged
    judging = step.passes(phase, "discriminator")[:MOST_PASSES]
    for making in step.passes("discriminator", "generator")[:MOST_PASSES] + step.passes(
        "generator", "generator"
    ):
        generator, discriminator = step.networks(phase)
        net = discriminator if phase == "discriminator" else generator
        fakes = as_seen(generator, making, codes_of(making))
        fakes = fakes.detach() if phase == "discriminator" else fakes
        of_fakes = [as_seen(discriminator, event, fakes) for event in judging]
        of_reals = [as_seen(discriminator, event, step.real) for event in judging]
        for loss in LOSSES:
            if phase == "generator":
                for logits in of_fakes:
                    yield EVALUATION_MODE, labelled(loss, logits, 1), net
                continue
            for i, j in permutations(range(len(judging)), 2):
                total_loss = labelled(loss, of_reals[i], 1) + labelled(loss, of_fakes[j], 0)
                yield EVALUATION_MODE, total_loss, net


def as_seen(network: nn.Module, event: Observation, inputs: Tensor) -> Tensor:
    """What a network makes of inputs in the mode, and with the running averages, that it had in a pass."""
    averages = event.part("averages")
    now = {
        name: averages.tensor(name, buffer.shape, floating=False)
        for name, buffer in network.named_buffers()
        if name in averages
    }
    network.train(event.get("training") is not False)
    outputs: Tensor = torch.func.functional_call(network, now, (inputs,))
    return outputs
