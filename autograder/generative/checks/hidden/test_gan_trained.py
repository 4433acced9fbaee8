"""Hidden check of 2-4: with a trained generator, the search reaches a loss that training alone makes possible.

The handout asks for a loss below 0.145, which flat grey and an untrained generator reach as well. Mean squared errors of
the three images of which one is drawn (`figures --only generator` prints those of all four):

    trained generator, 500 steps                          0.039 to 0.045
    flat, in each image's mean colour                     0.067 to 0.073
    untrained generators, five seeds, 500 steps           0.101 to 0.135
    flat grey, 0.5                                        0.107 to 0.126
    trained generator, at code zero                       0.50 to 0.55
"""

from __future__ import annotations

import torch
from torch import Tensor

from autograder.judging import Draw, Observation, Submission, check, expect

from ...mistakes.hidden.gan_threshold import HANDOUT, STOPS_AT_HANDOUTS_BAR
from ...stand_ins.gan import CODE_SIZE
from ...stand_ins.gan_trained import TrainedGenerator
from ...trained import Trained
from ..public.judge_reconstruct import expect_called
from .judge_trained import ask_trained, trained

BAR = 0.06
# The root of the mean squared difference between what a GPU and a CPU make of the same codes stays far below this, and
# random images, grey and the given ones are at 0.1 and more.
SAME = 0.02


@check(
    "2-4",
    points=1,
    title="With a trained generator, the loss reaches what an untrained one does not",
    asks="reconstruct(samples): 500 Adam steps at vis_learning_rate on the codes alone bring the images of a trained generator "
    "near to real ones.",
    rubric="The loss that a trained generator reaches",
)
def test_trained_generator_reaches_the_threshold(submission: Submission, shared_draw: Draw) -> None:
    given = trained()
    seen, samples = ask_trained(submission, shared_draw)
    expect_called(seen.get("codes"))
    codes = seen.tensor(
        "codes", (len(samples), CODE_SIZE), what="the codes that the generator was called with"
    )
    made = images_of(given, codes.float())
    if seen.get("images") is not None:
        images = seen.tensor("images", tuple(samples.shape), what="the returned images")
        made = (min(made, key=lambda in_mode: distance(in_mode, images)),)
        gap = distance(made[0], images)
        expect(
            gap <= SAME,
            expected="images that the generator makes from the codes",
            seen=f"images at a distance of {gap:.2g} (root mean square) from those",
            hint="Return the generator's images of the last codes.",
        )
    loss = min(distance(in_mode, samples) ** 2 for in_mode in made)
    expect(
        loss < BAR,
        expected=f"a mean squared error below {BAR:g} (an earlier version of this assignment asked for {HANDOUT:g}, "
        "which flat grey and an untrained generator reach as well)",
        seen=f"{loss:.4f}",
        hint="Take all 500 Adam steps at vis_learning_rate, from the zero codes.",
        mistake=STOPS_AT_HANDOUTS_BAR if is_at_handouts_bar(seen, loss) else None,
    )


def images_of(given: Trained, codes: Tensor) -> tuple[Tensor, ...]:
    """The trained generator's images of some codes in evaluation mode, and in training mode, for which other checks take points."""
    generator = TrainedGenerator(given.weights)
    with torch.no_grad():
        return generator.eval()(codes), generator.train()(codes)


def distance(a: Tensor, b: Tensor) -> float:
    """Root of the mean squared difference."""
    return (a.double() - b.double()).square().mean().sqrt().item()


def is_at_handouts_bar(seen: Observation, loss: float) -> bool:
    shows = STOPS_AT_HANDOUTS_BAR.shows
    return shows is not None and shows(loss, seen.number("calls", what="the number of the generator's calls"))
