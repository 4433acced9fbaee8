"""How hidden checks of 2-4 ask for a search with the trained generator."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from torch import Tensor

from autograder.judging import Draw, Fault, NoAnswer, Observation, Submission

from ...trained import load_trained
from ..public.judge_reconstruct import OTHER_MODES, SECONDS, fixed_number

PROBE = "gan_trained.search"
# Numbers of the file's images that the search comes near to, as they are or mirrored (0.036 to 0.045 each). One of them is
# drawn. More images take longer and separate no better; other checks search for several.
NEAR = (0, 1, 3)

trained = cache(load_trained)


class Asked(NamedTuple):
    """What the probe saw, and the images that were given."""

    seen: Observation
    samples: Tensor


def ask_trained(submission: Submission, draw: Draw) -> Asked:
    """A search with the trained generator; with copies of the images where the code works with another number of them only.

    Only the check of the number of images takes points for that. Checks with the same draw examine the same search.
    """
    draw.restart()
    samples = trained().images[[draw.choice(NEAR)]]
    if draw.integer(0, 2):
        samples = samples.flip(-1)
    failed: NoAnswer | None = None
    try:
        seen = _ask(submission, samples, len(samples))
        if not _makes_another_number(seen, len(samples)):
            return Asked(seen, samples)
    except NoAnswer as reason:
        if reason.status != "failed":
            raise
        failed = reason
    fixed = fixed_number(submission, draw)
    if fixed is None:
        raise failed or Fault(expected="as many images as were given", seen="another number of images")
    return Asked(_ask(submission, samples, fixed), samples)


def _ask(submission: Submission, samples: Tensor, number: int) -> Observation:
    """One search with this number of images, copies of the samples among them."""
    return submission.ask_once(
        PROBE,
        seconds=SECONDS,
        samples=samples,
        weights=trained().weights,
        training=OTHER_MODES,
        copies=number // len(samples),
    )


def _makes_another_number(seen: Observation, number: int) -> bool:
    images = seen.get("images")
    return isinstance(images, Tensor) and images.shape[:1] != (number,)
