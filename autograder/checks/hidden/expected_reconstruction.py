"""What a reconstruction should come to: the images and losses that Adam's steps from the zero codes lead to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autograder.checks.public.gan_search import Search
from autograder.checks.public.small_gan import generator_from
from autograder.judging import Mistake
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


CHANGED = Mistake(
    None, "The samples are changed in place.", "Make a new tensor of them, or leave them as they are."
)
# Other optimisers and settings than the ones asked: what it is, what to try, the optimiser.
OTHERS: tuple[tuple[str, str, Optimiser], ...] = (
    ("The codes' learning rate is the one of the training.", "Use self.vis_learning_rate.", adam(2e-4)),
    (
        "Adam's learning rate is left out: it takes its default, 1e-3.",
        "Use self.vis_learning_rate.",
        adam(1e-3),
    ),
    (
        "Adam has the betas of the training, (0.5, 0.999); the default is asked here.",
        "Leave the betas out here.",
        adam(betas=(0.5, 0.999)),
    ),
    *(
        (
            "Adam has weight decay, which pulls the codes back to 0.",
            "Make a plain Adam.",
            adam(weight_decay=w),
        )
        for w in (1e-2, 1e-3, 1e-4, 1e-5)
    ),
    (
        "Adam has weight decay (AdamW has it by default), which pulls the codes back to 0.",
        "Make a plain Adam.",
        lambda codes: torch.optim.AdamW(codes, lr=1e-2),
    ),
)


def explain(images: Tensor, found: Search) -> Mistake | None:
    """The mistake that leads to these images, if one of the known ones does."""
    if not found.seen.flag("unchanged"):
        return CHANGED
    first, last = found.seen.get("first"), found.seen.get("last")
    if isinstance(first, Tensor) and first.is_floating_point() and bool(first.abs().max() > 0.05):
        uniform = bool(first.min() >= 0 and first.max() <= 1)
        return Mistake(
            None,
            "The codes start at random values" + (" (uniform ones)" if uniform else "") + ".",
            "Start at torch.zeros, so that the result is the same every time.",
        )
    samples = found.samples
    generator = generator_from(found.state).eval()
    descent = reconstruction(generator, samples, make=lambda codes: torch.optim.SGD(codes, lr=1e-2))
    # It hardly moves the images, so more is asked here than to be near.
    if apart(images, descent.images) < 0.2 * apart(images, found.start()):
        return Mistake(
            None,
            "Plain gradient descent takes the place of Adam: the codes hardly move.",
            "Make a torch.optim.Adam over the codes.",
        )
    number = steps_that_lead_to(images, generator, samples)
    if number == 0:
        return Mistake(
            None,
            "The images are those of the zero codes: the codes never moved, or the first images are returned.",
            "Give the codes to Adam, and make the images of the codes after the last step.",
        )
    if number is not None and number not in (499, 500):
        return Mistake(
            None, f"The codes are moved by {number} steps; exactly 500 are asked.", "Take 500 steps."
        )
    if isinstance(last, Tensor) and last.is_floating_point() and last.numel() > 0:
        bound = last.abs().max()
        if bound > 0.1 and int((last.abs() == bound).sum()) > 2:
            return Mistake(
                None,
                f"The codes are clamped to [-{bound:.3g}, {bound:.3g}].",
                "Leave the codes to Adam: they may go wherever the loss falls.",
            )
    for says, try_, make in OTHERS:
        if fits(images, reconstruction(generator, samples, make=make)):
            return Mistake(None, says, try_)
    if fits(images, reconstruction(generator, samples, cleared=False)):
        return Mistake(
            None,
            "The codes' gradients are not cleared between the steps.",
            "Call zero_grad() on the codes' optimiser in every step.",
        )
    if fits(images, reconstruction(generator_from(found.state).train(), samples)):
        return Mistake(
            None,
            "The generator is in training mode: batch normalisation takes the statistics of the batch.",
            "Call eval() on the generator for the length of the search.",
        )
    return None
