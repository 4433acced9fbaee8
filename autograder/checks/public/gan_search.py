"""How the checks of `reconstruct` ask for a search, and read what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from autograder.checks.public.small_gan import generator_from, generator_state, reachable_images
from autograder.examinee import Examinee, NoAnswer
from autograder.judging import Draw, Fault, Mistake, Observation, expect
from autograder.probes.stand_ins.gan import CODE_SIZE

PROBE = "gan_reconstruct.reconstruct"
# The sizes of a batch that are written into code where the batch's own belongs: the handout's 64 images, and batch_size.
FIXED = (64, 128)
CODES = "The codes are returned where their images are asked."
SWAPPED = "The two results are returned in the wrong order."


@dataclass
class Search:
    """One call of `reconstruct`: what was seen, the generator's weights, the images that were given."""

    seen: Observation
    state: dict[str, Tensor]
    samples: Tensor

    @property
    def count(self) -> int:
        return self.samples.shape[0]

    def returned(self) -> tuple[float, Tensor]:
        """Loss and images, as reconstruct returned them."""
        return returned_pair(self.seen, self.count)

    def images_of(self, codes: Tensor) -> Tensor:
        """The generator's images of some codes, in evaluation mode."""
        with torch.no_grad():
            images: Tensor = generator_from(self.state).eval()(codes)
        return images

    def start(self) -> Tensor:
        """The images of the zero codes."""
        return self.images_of(torch.zeros(self.count, CODE_SIZE))

    def error(self, images: Tensor) -> float:
        """Mean squared difference from the given images."""
        return (images - self.samples).double().square().mean().item()


def search(submission: Examinee, draw: Draw, count: int, **how: Any) -> Search:
    """Asks for a search with `count` images; with as many as the code can do, if it can do one number only.

    That it can do no other is the matter of one check alone.
    """
    state = generator_state(draw)
    samples = reachable_images(state, draw, count)
    try:
        found = Search(submission.ask_once(PROBE, samples=samples, generator=state, **how), state, samples)
    except NoAnswer as reason:
        if reason.status == "failed":
            for fixed in FIXED:
                if (other := fixed_search(submission, draw, state, fixed, **how)) is not None:
                    return other
        raise
    if makes_another_number(found):
        for fixed in FIXED:
            if (other := fixed_search(submission, draw, state, fixed, **how)) is not None:
                return other
    return found


def fixed_search(
    submission: Examinee, draw: Draw, state: dict[str, Tensor], count: int, **how: Any
) -> Search | None:
    """The search with `count` images; None where that does not work either."""
    samples = reachable_images(state, Draw(draw.seed), count)
    try:
        seen = submission.ask_once(PROBE, samples=samples, generator=state, **how)
    except NoAnswer:
        return None
    found = Search(seen, state, samples)
    return None if makes_another_number(found) else found


def makes_another_number(found: Search) -> bool:
    """True when images came back, and not as many as were given."""
    pair = found.seen.get("returned")
    images = pair[1] if isinstance(pair, (list, tuple)) and len(pair) == 2 else None
    return isinstance(images, Tensor) and images.shape[1:] == (3, 32, 32) and images.shape[0] != found.count


def returned_pair(seen: Observation, count: int) -> tuple[float, Tensor]:
    """Loss and images, as reconstruct returned them."""
    pair = seen.list("returned", 2, what="what reconstruct returned")
    told = Observation({"loss": pair[0], "images": pair[1]})
    if isinstance(pair[0], Tensor) and pair[0].dim() > 0 and isinstance(pair[1], (int, float)):
        raise Fault(
            expected="(loss, images)",
            seen="(images, loss)",
            hint="Return the loss first.",
            diagnosis=SWAPPED,
        )
    if isinstance(pair[1], Tensor) and pair[1].shape == (count, CODE_SIZE):
        raise Fault(
            expected=f"the returned images: a tensor of shape ({count}, 3, 32, 32)",
            seen=f"a tensor of shape ({count}, {CODE_SIZE}), as the codes have",
            hint="Return self._generator(codes), without a graph.",
            diagnosis=CODES,
        )
    loss = told.number("loss", what="the returned loss", hint="Return loss.item().")
    return loss, told.tensor("images", (count, 3, 32, 32), what="the returned images")


def expect_searched(found: Search) -> None:
    """Raises a fault unless codes, or the images that came back, are nearer to the given images than the zero codes' are."""
    at_zero = found.error(found.start())
    reached = []
    last = found.seen.get("last")
    if isinstance(last, Tensor) and last.shape == (found.count, CODE_SIZE) and last.is_floating_point():
        reached.append(found.error(found.images_of(last.float())))
    pair = found.seen.get("returned")
    if isinstance(pair, (list, tuple)):
        reached += [found.error(v) for v in pair if isinstance(v, Tensor) and v.shape == found.samples.shape]
    expect(
        any(error < at_zero for error in reached),
        expected=f"codes whose images are nearer to the given ones than those of the zero codes ({at_zero:.4f})",
        seen=", ".join(f"a mean squared error of {error:.4f}" for error in reached)
        or "no codes and no images",
        hint="Let Adam change the codes so that _reconstruction_loss falls.",
    )


def number_is_fixed(count: int, works: int) -> Mistake:
    """The mistake of code that can do `works` images and not `count`."""
    return Mistake(
        None,
        f"The number of images is fixed at {works}: reconstruct works for {works} images, and not for {count}.",
        "Make one code for each image that is given: len(samples).",
    )
