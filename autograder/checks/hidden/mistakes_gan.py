"""Known mistakes of a training step, each with the gradient that it gives."""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autograder.checks.hidden.expected_gan import LOSSES, NEAR, Loss, Step, flat, near
from autograder.judging import Mistake


def first_near(seen: Tensor, values: Iterable[tuple[str, str, Tensor]]) -> Mistake | None:
    """The first mistake whose vector is near."""
    for says, try_, value in values:
        if value.norm() > 0 and near(seen, value):
            return Mistake(None, says, try_)
    return None


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
