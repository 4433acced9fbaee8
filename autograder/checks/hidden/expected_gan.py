"""What a training step should come to: its gradients and losses, and those of its known mistakes.

Everything is computed here, from the weights that the check sent, the noise that was captured, and the
networks' weights at the moment of each optimiser step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autograder.checks.public.gan_steps import events, order_of_steps, wrong_order
from autograder.checks.public.small_gan import discriminator_from, generator_from
from autograder.judging import Mistake, Observation, expect
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


def first_near(seen: Tensor, values: Iterable[tuple[str, str, Tensor]]) -> Mistake | None:
    """The first mistake whose vector is near."""
    for says, try_, value in values:
        if value.norm() > 0 and near(seen, value):
            return Mistake(None, says, try_)
    return None


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


def discriminator_mistakes(step: Step) -> Iterable[tuple[str, str, Tensor]]:
    """Known mistakes of the discriminator's phase: what it is, what to try, the gradient that it gives."""
    for noise in step.noises("discriminator"):
        generator, net = step.networks("discriminator")
        fakes = generator(noise).detach()
        real, fake = net(step.real), net(fakes)
        real_rescaled = net(2 * step.real - 1)
        for loss in LOSSES:

            def both(
                a: Tensor, b: Tensor, loss: Loss = loss, real: Tensor = real, fake: Tensor = fake
            ) -> Tensor:
                return loss(real, a) + loss(fake, b)

            def pull(value: Tensor, net: nn.Module = net) -> Tensor:
                parameters = list(net.parameters())
                return torch.cat(
                    [g.flatten() for g in torch.autograd.grad(value, parameters, retain_graph=True)]
                )

            ones, zeros, fake_ones, fake_zeros = (
                torch.ones_like(real),
                torch.zeros_like(real),
                torch.ones_like(fake),
                torch.zeros_like(fake),
            )
            right = both(ones, fake_zeros)
            yield (
                "The real images are changed before they are judged: they are rescaled to [-1, 1], and the fakes are not.",
                "Leave the images as they are: in [0, 1], as the generator's sigmoid makes the fakes.",
                pull(loss(real_rescaled, ones) + loss(fake, fake_zeros)),
            )
            yield (
                "The labels are flipped: real images are labelled 0 and fakes 1.",
                "Label real images 1 and fakes 0.",
                pull(both(zeros, fake_ones)),
            )
            yield (
                "The mean of the two losses is taken where their sum is asked.",
                "Add the two losses, without the factor 1/2.",
                pull(right / 2),
            )
            yield (
                "Only the real batch counts: the loss of the fake batch is missing, or its gradient was cleared or never taken.",
                "Add both losses before backward(), or clear the gradients once, before both.",
                pull(loss(real, ones)),
            )
            yield (
                "Only the fake batch counts: the loss of the real batch is missing, or its gradient was cleared.",
                "Add both losses before backward(), or clear the gradients once, before both.",
                pull(loss(fake, fake_zeros)),
            )
            yield (
                "Both batches have the label 1.",
                "Label fakes 0 in the discriminator's phase.",
                pull(both(ones, fake_ones)),
            )
            yield (
                "The discriminator's loss has the wrong sign.",
                "The optimiser makes the loss smaller: do not negate it.",
                pull(-right),
            )
            mixed = net(torch.cat([step.real, fakes]))
            labels = torch.cat([torch.ones_like(real), fake_zeros])
            for factor in (1, 2):
                yield (
                    "Real images and fakes go through the discriminator in one mixed batch, so that batch normalisation "
                    "mixes their statistics.",
                    "Call the discriminator twice: once for the real batch, once for the fakes.",
                    pull(factor * loss(mixed, labels)),
                )
            half = real.shape[0]
            yield (
                "Real images and fakes go through the discriminator in one mixed batch, so that batch normalisation "
                "mixes their statistics.",
                "Call the discriminator twice: once for the real batch, once for the fakes.",
                pull(loss(mixed[:half], ones) + loss(mixed[half:], fake_zeros)),
            )
            yield (
                "A sigmoid is taken of the logits before a loss that takes one itself.",
                "Give the loss the discriminator's logits as they are.",
                pull(loss(real.sigmoid(), ones) + loss(fake.sigmoid(), fake_zeros)),
            )
        yield (
            "The losses are sums over the batch where means are asked.",
            "Take the mean over the batch.",
            pull(
                F.binary_cross_entropy_with_logits(real, ones, reduction="sum")
                + F.binary_cross_entropy_with_logits(fake, fake_zeros, reduction="sum")
            ),
        )
        yield (
            "The squared error of logits and labels is taken (a least-squares GAN) where cross-entropy is asked.",
            "Use _classification_loss.",
            pull((real - 1).square().mean() + fake.square().mean()),
        )
        yield (
            "The squared error of beliefs and labels is taken where cross-entropy is asked.",
            "Use _classification_loss.",
            pull((real.sigmoid() - 1).square().mean() + fake.sigmoid().square().mean()),
        )
        yield (
            "The means of the logits are compared (a Wasserstein GAN) where cross-entropy is asked.",
            "Use _classification_loss.",
            pull(fake.mean() - real.mean()),
        )


def smoothing(step: Step) -> Mistake | None:
    """The mistake of labels that are neither 0 nor 1: every loss's gradient is a straight line in its labels."""
    seen = step.gradient("discriminator")
    for noise in step.noises("discriminator"):
        generator, net = step.networks("discriminator")
        real, fake = net(step.real), net(generator(noise).detach())
        for loss in LOSSES:
            ends = [
                [flat(net, loss(logits, torch.full_like(logits, label)), keep=True) for label in (0.0, 1.0)]
                for logits in (real, fake)
            ]
            slopes = torch.stack([one - zero for zero, one in ends], dim=1).double()
            rest = (seen - ends[0][0] - ends[1][0]).double()
            labels = torch.linalg.lstsq(slopes, rest.unsqueeze(1)).solution.flatten()
            if float((slopes @ labels - rest).norm()) > NEAR * float(seen.norm()):
                continue
            for_real, for_fake = labels.tolist()
            if 0.5 < for_real < 0.999 and abs(for_fake) < 0.5:
                return Mistake(
                    None,
                    f"The labels are smoothed: the real images' label is {for_real:.3g} where 1 is asked.",
                    "Label real images 1 and fakes 0.",
                )
    return None


def rescaled(seen: Tensor, values: Iterable[Tensor], network: str) -> Mistake | None:
    """The mistake of gradients that have the right direction and another length."""
    for value in values:
        if seen.norm() > 0 and near(seen / seen.norm(), value / value.norm()):
            factor = float(seen.norm() / value.norm())
            return Mistake(
                None,
                f"The gradients of the {network} are clipped, or its loss is scaled: they have the right direction and "
                f"{factor:.3g} times the right length.",
                "Leave gradients and loss as they are.",
            )
    return None


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


def generator_mistakes(step: Step) -> Iterable[tuple[str, str, Tensor]]:
    """Known mistakes of the generator's phase: what it is, what to try, the gradient that it gives."""
    for noise in step.noises("generator"):
        generator, discriminator = step.networks("generator")
        _, old = step.networks("call")
        images = generator(noise)
        logits, old_logits = discriminator(images), old(images)
        ones, zeros = torch.ones_like(logits), torch.zeros_like(logits)

        def pull(value: Tensor, net: nn.Module = generator) -> Tensor:
            parameters = list(net.parameters())
            return torch.cat([g.flatten() for g in torch.autograd.grad(value, parameters, retain_graph=True)])

        for loss in LOSSES:
            yield (
                "The generator's loss is the saturating one: it maximises the discriminator's loss of fakes labelled 0.",
                "Minimise the classification loss of the fakes with label 1.",
                pull(-loss(logits, zeros)),
            )
            yield (
                "The generator's fakes are labelled 0: it learns to be recognised.",
                "Label the fakes 1 in the generator's phase: the generator wants them taken for real.",
                pull(loss(logits, zeros)),
            )
            yield (
                "The generator learns from the discriminator as it was before its step.",
                "Send the fakes through the discriminator after optimizerD.step().",
                pull(loss(old_logits, ones)),
            )
            yield (
                "The generator's loss has the wrong sign.",
                "The optimiser makes the loss smaller: do not negate it.",
                pull(-loss(logits, ones)),
            )
            yield (
                "A sigmoid is taken of the logits before a loss that takes one itself.",
                "Give the loss the discriminator's logits as they are.",
                pull(loss(logits.sigmoid(), ones)),
            )
        yield (
            "The generator's loss is the sum over the batch where the mean is asked.",
            "Take the mean over the batch.",
            pull(F.binary_cross_entropy_with_logits(logits, ones, reduction="sum")),
        )
        yield (
            "The squared error of logits and labels is taken (a least-squares GAN) where cross-entropy is asked.",
            "Use _classification_loss.",
            pull((logits - 1).square().mean()),
        )
        yield (
            "The squared error of beliefs and labels is taken where cross-entropy is asked.",
            "Use _classification_loss.",
            pull((logits.sigmoid() - 1).square().mean()),
        )
        yield (
            "The mean of the logits is taken (a Wasserstein GAN) where cross-entropy is asked.",
            "Use _classification_loss.",
            pull(-logits.mean()),
        )
