"""What a training step should come to: its gradients and losses, and those of its known mistakes.

Everything is computed here, from the weights that the check sent, the noise that was captured, and the
networks' weights at the moment of each optimiser step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autograder.checks.public.gan_steps import events, order_of_steps, wrong_order
from autograder.checks.public.small_gan import discriminator_from, generator_from
from autograder.judging import Observation, expect
from autograder.probes.stand_ins.gan import CODE_SIZE, SmallDiscriminator, SmallGenerator, stained_loss

Loss = Callable[[Tensor, Tensor], Tensor]
# The loss that is asked, and the dye that takes its place while stand-ins are active: a student may call either.
LOSSES: tuple[Loss, ...] = (F.binary_cross_entropy_with_logits, stained_loss)
# Gradients are compared as one vector: the same float32 operations in another order differ by about 1e-6 of its length.
NEAR = 1e-3


@dataclass
class Step:
    """One call of `training_step`, read from the probe's answer.

    noises: the codes that went through the generator, apart before and after the discriminator's step.
    """

    call: Observation
    real: Tensor
    generator: Mapping[str, Tensor]
    discriminator: Mapping[str, Tensor]

    def events(self, kind: str) -> list[Observation]:
        return events(self.call, kind)

    def optimiser_step(self, network: str) -> Observation:
        found = self.events(f"{network} step")
        letter = network[0].upper()
        expect(
            len(found) == 1,
            expected=f"one step of optimizer{letter} in a call of training_step",
            seen=f"{len(found)} steps",
            hint=f"Call self.optimizer{letter}.step() once.",
            mistake=wrong_order(order_of_steps(self.call)),
        )
        return found[0]

    def noises(self, before: str = "") -> list[Tensor]:
        """The codes that went through the generator before the first step of an optimiser (or in the whole call)."""
        found = []
        for event in self.call.parts("events"):
            if before and event.text("event") == f"{before} step":
                break
            if event.text("event") == "generator":
                found.append(
                    event.tensor("noise", (None, CODE_SIZE), what="the codes sent through the generator")
                )
        return found

    def in_evaluation_mode(self, phase: str) -> str:
        """The network that worked in evaluation mode before a step, after the step before it; "" where none did."""
        found = ""
        for event in self.call.parts("events"):
            kind = event.text("event")
            if kind == f"{phase} step":
                return found
            if kind.endswith(" step"):
                found = ""
            elif event.get("training") is False:
                found = kind
        return ""

    def expect_begun_as_given(self) -> None:
        """Raises a fault unless the networks were, up to the first step, those that the check sent.

        For the first call on networks. So that gradients cannot be made up along with the weights that they belong to.
        """
        first = next(
            (e for e in self.call.parts("events") if e.text("event").endswith(" step")),
            self.call.part("before"),
        )
        for source in (self.call.part("before"), first):
            for network, state in (("generator", self.generator), ("discriminator", self.discriminator)):
                for name, value in weights(source, network, state).items():
                    expect(
                        float((value - state[name]).abs().max()) <= 1e-6,
                        expected=f"the {network} as it is handed over, until an optimiser takes a step",
                        seen=f"other weights: {name} was changed",
                        hint="Only the optimisers may move the networks.",
                    )

    def networks(self, at: str) -> tuple[SmallGenerator, SmallDiscriminator]:
        """Both networks, in training mode, as they were when an optimiser (or the call: "call") took its step."""
        source = self.call.part("before") if at == "call" else self.optimiser_step(at)
        return (
            generator_from({**self.generator, **weights(source, "generator", self.generator)}).train(),
            discriminator_from(
                {**self.discriminator, **weights(source, "discriminator", self.discriminator)}
            ).train(),
        )

    def gradient(self, network: str) -> Tensor:
        """A network's gradient at its optimiser's step, as one vector; a parameter without one counts as zeros."""
        return flat_gradient(
            self.optimiser_step(network).part(f"{network} gradients"),
            self.generator if network == "generator" else self.discriminator,
            network,
        )

    def left(self, network: str) -> Tensor:
        """The gradient that a network is left with at the end of the call, as one vector."""
        state = self.generator if network == "generator" else self.discriminator
        return flat_gradient(self.call.part("left").part(network), state, network)


def parameters_of(state: Mapping[str, Tensor]) -> list[str]:
    """The names of a network's parameters, in their order: what is not a running average."""
    return [name for name in state if name.endswith((".weight", ".bias"))]


def weights(source: Observation, network: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    found = source.part(network)
    return {
        name: found.tensor(name, state[name].shape, what=f"the {network}'s {name}")
        for name in parameters_of(state)
    }


def flat_gradient(found: Observation, state: Mapping[str, Tensor], network: str) -> Tensor:
    parts = [
        torch.zeros(state[name].shape)
        if found.get(name) is None
        else found.tensor(name, state[name].shape, what=f"the {network}'s gradient")
        for name in parameters_of(state)
    ]
    return torch.cat([part.flatten() for part in parts])


def flat(network: nn.Module, loss: Tensor, keep: bool = False) -> Tensor:
    """The gradient of a loss with respect to a network's parameters, as one vector. keep: the graph is needed again."""
    parameters = list(network.parameters())
    found = torch.autograd.grad(loss, parameters, allow_unused=True, retain_graph=keep)
    return torch.cat(
        [torch.zeros(p.numel()) if g is None else g.flatten() for p, g in zip(parameters, found, strict=True)]
    )


def near(seen: Tensor, value: Tensor) -> bool:
    return seen.shape == value.shape and bool((seen - value).norm() <= NEAR * value.norm() + 1e-9)


# --- The discriminator's phase ---------------------------------------------------------------------------


def discriminator_losses(
    step: Step, at: str = "discriminator"
) -> list[tuple[Tensor, SmallDiscriminator, Tensor]]:
    """Every accepted loss of the discriminator (with its network and its fakes): each noise, true loss or dye."""
    found = []
    for noise in step.noises("discriminator"):
        generator, discriminator = step.networks(at)
        fakes = generator(noise).detach()
        real_logits, fake_logits = discriminator(step.real), discriminator(fakes)
        for for_real in LOSSES:
            for for_fake in LOSSES:
                loss = for_real(real_logits, torch.ones_like(real_logits))
                loss = loss + for_fake(fake_logits, torch.zeros_like(fake_logits))
                found.append((loss, discriminator, fakes))
    return found


def discriminator_gradients(step: Step) -> list[Tensor]:
    return [
        torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(net.parameters()), retain_graph=True)])
        for loss, net, _ in discriminator_losses(step)
    ]


# --- The generator's phase -------------------------------------------------------------------------------


def generator_losses(step: Step) -> list[tuple[Tensor, SmallGenerator]]:
    """Every accepted loss of the generator, through the discriminator as it is at the generator's step."""
    found = []
    for noise in step.noises("generator"):
        generator, discriminator = step.networks("generator")
        logits = discriminator(generator(noise))
        found += [(loss(logits, torch.ones_like(logits)), generator) for loss in LOSSES]
    return found


def generator_gradients(step: Step) -> list[Tensor]:
    return [
        torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(net.parameters()), retain_graph=True)])
        for loss, net in generator_losses(step)
    ]
