"""What a reconstruction should come to: the images and losses that Adam's steps from the zero codes lead to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autograder.probes.stand_ins.gan import CODE_SIZE


@dataclass
class Course:
    """A reconstruction: images and loss at the codes before and after the last step, codes at the end."""

    images: Tensor
    images_before: Tensor
    loss: float
    loss_before: float
    loss_at_start: float


Optimiser = Callable[[list[Tensor]], torch.optim.Optimizer]


def adam(rate: float = 1e-2, **more: Any) -> Optimiser:
    return lambda codes: torch.optim.Adam(codes, lr=rate, **more)


def course_of_images(
    generator: nn.Module, samples: Tensor, *, make: Optimiser | None = None, cleared: bool = True
) -> Iterator[tuple[Tensor, float]]:
    """Images and loss before the first step, after it, after the second, ... : codes from zero, moved by Adam (or what
    `make` makes) so that the mean squared error falls; the generator in its present mode. cleared: whether old gradients
    are."""
    codes = torch.zeros(samples.shape[0], CODE_SIZE, requires_grad=True)
    optimiser = (make or adam())([codes])
    while True:
        images = generator(codes)
        loss = F.mse_loss(images, samples)
        yield images.detach(), loss.item()
        (gradient,) = torch.autograd.grad(loss, codes)
        codes.grad = gradient if cleared or codes.grad is None else codes.grad + gradient
        optimiser.step()


def reconstruction(generator: nn.Module, samples: Tensor, *, steps: int = 500, **how: Any) -> Course:
    """The course of a reconstruction, up to its last step."""
    first, *_, before, last = islice(course_of_images(generator, samples, **how), steps + 1)
    return Course(last[0], before[0], last[1], before[1], first[1])


def mean_loss(generator: nn.Module, samples: Tensor) -> float:
    """The mean of the losses of all 500 steps."""
    losses = [loss for _, loss in islice(course_of_images(generator, samples), 500)]
    return sum(losses) / len(losses)


def steps_that_lead_to(images: Tensor, generator: nn.Module, samples: Tensor, most: int = 1001) -> int | None:
    """After how many steps the search comes to these images; None when it does not."""
    gaps = [apart(images, made) for made, _ in islice(course_of_images(generator, samples), most + 1)]
    nearest = min(range(len(gaps)), key=gaps.__getitem__)
    return nearest if gaps[nearest] <= IMAGE_GAP else None


# One step moves the images by about 8e-5 (root of the mean square); another order of the same float32 operations, by less
# than 1e-6; a loss scaled by the batch size (Adam's epsilon then weighs a little less), by less than 3e-5.
IMAGE_GAP = 4e-5


def apart(a: Tensor, b: Tensor) -> float:
    """Root of the mean squared difference."""
    return (a.double() - b.double()).square().mean().sqrt().item()


def fits(images: Tensor, course: Course) -> bool:
    return min(apart(images, course.images), apart(images, course.images_before)) <= IMAGE_GAP
