"""How hidden checks of 2-4 ask for a search with the trained generator."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from autograder.judging import Draw, Fault, NoAnswer, Observation, Submission

from ...trained import load_trained
from ..public.judge_reconstruct import FIXED, OTHER_MODES, SECONDS

PROBE = "gan_trained.search"
# Numbers of the file's images that the search comes near to, as they are or mirrored (0.036 to 0.045 each). Two of them are
# drawn, each as it is or mirrored, so that no codes can be kept ready. More images take longer and separate no better.
NEAR = (0, 1, 3)
COUNT = 2

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
    given = trained()
    samples = given.images[list(NEAR)][draw.permutation(len(NEAR))[:COUNT]]
    samples = torch.stack([image.flip(-1) if draw.integer(0, 2) else image for image in samples])
    first: NoAnswer | None = None
    for number in (len(samples), *FIXED):
        try:
            seen = submission.ask_once(
                PROBE,
                seconds=SECONDS,
                samples=samples,
                weights=given.weights,
                training=OTHER_MODES,
                copies=number // len(samples),
            )
        except NoAnswer as reason:
            first = first or reason
            if reason.status != "failed":
                break
            continue
        images = seen.get("images")
        if not isinstance(images, Tensor) or images.shape[:1] == samples.shape[:1]:
            return Asked(seen, samples)
    raise first or Fault(
        expected=f"{len(samples)} images, as many as were given", seen="another number of images"
    )
