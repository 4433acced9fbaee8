"""The judge's own search for codes: the images and losses that Adam's steps from the zero codes lead to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

import torch
from torch import Tensor, nn

from ...mistakes.hidden.gan_reconstruct import Optimiser, adam
from ...stand_ins.gan import CODE_SIZE
from ..public.judge_reconstruct import Loss, Search
from ..public.models_gan import generator_from

# The last step moves the images by 1.4e-4 to 2.5e-4 (root of the mean square, 24 draws); another order of the same float32
# operations, by less than 1e-6; a loss scaled by the batch size (Adam's epsilon then weighs a little less), by less than 3e-5.
IMAGE_GAP = 4e-5


@dataclass
class Reached:
    """The images (N, 3, 32, 32) that a search reaches, before its last step and after it."""

    before: Tensor
    images: Tensor


def path_of_search(
    generator: nn.Module,
    samples: Tensor,
    loss_of: Loss,
    *,
    make: Optimiser | None = None,
    cleared: bool = True,
) -> Iterator[tuple[Tensor, float]]:
    """Images and loss before the first step, after it, after the second, and so on without end.

    The codes start at zero, and the optimiser that `make` makes (Adam when None) lowers `loss_of`; the generator stays
    in its present mode. cleared: whether gradients are cleared between the steps.
    """
    codes = torch.zeros(samples.shape[0], CODE_SIZE, requires_grad=True)
    optimiser = (make or adam())([codes])
    while True:
        images = generator(codes)
        loss = loss_of(images, samples)
        yield images.detach(), loss.item()
        (gradient,) = torch.autograd.grad(loss, codes)
        codes.grad = gradient if cleared or codes.grad is None else codes.grad + gradient
        optimiser.step()


def reached_by_search(
    generator: nn.Module,
    samples: Tensor,
    loss_of: Loss,
    *,
    make: Optimiser | None = None,
    cleared: bool = True,
) -> Reached:
    """What 500 steps reach."""
    path = path_of_search(generator, samples, loss_of, make=make, cleared=cleared)
    *_, before, last = islice(path, 501)
    return Reached(before[0], last[0])


def mean_loss(generator: nn.Module, samples: Tensor, loss_of: Loss) -> float:
    """The mean of the losses of all 500 steps."""
    losses = [loss for _, loss in islice(path_of_search(generator, samples, loss_of), 500)]
    return sum(losses) / len(losses)


def steps_that_lead_to(
    images: Tensor, generator: nn.Module, samples: Tensor, loss_of: Loss, most: int = 1001
) -> int | None:
    """The number of steps after which the search reaches these images; None when it does not."""
    path = islice(path_of_search(generator, samples, loss_of), most + 1)
    gaps = [distance(images, reached) for reached, _ in path]
    nearest = min(range(len(gaps)), key=gaps.__getitem__)
    return nearest if gaps[nearest] <= IMAGE_GAP else None


def distance(a: Tensor, b: Tensor) -> float:
    """Root of the mean squared difference."""
    return (a.double() - b.double()).square().mean().sqrt().item()


def is_near(images: Tensor, reached: Reached) -> bool:
    return min(distance(images, reached.images), distance(images, reached.before)) <= IMAGE_GAP


@dataclass
class ComparedSearch:
    """A submission's search and the images that it returned, to be compared with searches that have a known mistake.

    It is the SearchCase of the catalogue's recognisers.
    """

    found: Search
    images: Tensor
    loss_of: Loss

    def __post_init__(self) -> None:
        self.calls = self.found.calls
        self.first, self.last = (self.codes(call) for call in ("first", "last"))

    def codes(self, call: str) -> Tensor | None:
        """The codes of the generator's first or last call, where they were numbers."""
        codes = self.found.seen.get(call)
        return codes if isinstance(codes, Tensor) and codes.is_floating_point() and codes.numel() else None

    @cached_property
    def steps(self) -> int | None:
        generator = generator_from(self.found.state).eval()
        return steps_that_lead_to(self.images, generator, self.found.samples, self.loss_of)

    def samples_changed(self) -> bool:
        return not self.found.seen.flag("unchanged")

    def fits_rate(self, rate: float) -> bool:
        return self.fits(adam(rate))

    def hardly_moved(self) -> bool:
        generator = generator_from(self.found.state).eval()
        descent = reached_by_search(
            generator,
            self.found.samples,
            self.loss_of,
            make=lambda codes: torch.optim.SGD(codes, lr=1e-2),
        )
        # Gradient descent moves the images very little, so being near them is not enough.
        return distance(self.images, descent.images) < 0.2 * distance(self.images, self.found.start())

    def fits(self, make: Optimiser | None = None, *, cleared: bool = True, training: bool = False) -> bool:
        generator = generator_from(self.found.state).train(training)
        reached = reached_by_search(generator, self.found.samples, self.loss_of, make=make, cleared=cleared)
        return is_near(self.images, reached)
