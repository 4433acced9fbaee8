"""Public checks of 2-4: the reconstruction loss, what `reconstruct` returns, and what it leaves as it was."""

from __future__ import annotations

import torch

from autograder.judging import Draw, Submission, candidates, check, expect, expect_close

from ...mistakes.public import gan_reconstruct as mistakes
from .judge_common import expect_no_seed
from .judge_gan import loss_number
from .judge_reconstruct import (
    Search,
    expect_loss_of,
    expect_search_as_asked,
    expect_searched,
    expect_untouched,
    judge_search,
    why_at_zero,
)


@check(
    "2-4",
    points=1,
    title="The reconstruction loss is 0 for equal images and known for shifted ones",
    asks="_reconstruction_loss(reconstruction, x): mean squared error, the mean over every element.",
)
def test_reconstruction_loss_has_known_values(submission: Submission, draw: Draw) -> None:
    images, shift = draw.uniform(5, 3, 32, 32, high=0.6), draw.number(0.2, 0.4)
    probe = "gan.loss_value"
    equal = submission.ask(probe, name="_reconstruction_loss", first=images, second=images)
    expect_close(
        loss_number(equal, 0.0, "the loss of equal images"), 0.0, what="the loss of equal images", atol=1e-7
    )
    shifted = images + shift
    seen = submission.ask(probe, name="_reconstruction_loss", first=shifted, second=images)
    expect_close(
        loss_number(seen, shift**2, "the loss of shifted images"),
        shift**2,
        what=f"the loss when every value is off by {shift:.3f}",
        mistakes=candidates(
            (
                mistakes.ERROR_SUMMED,
                mistakes.ERROR_SUMMED_PER_IMAGE,
                mistakes.ERROR_SUMMED_OVER_BATCH,
                mistakes.ERROR_NOT_SQUARED,
                mistakes.ERROR_HALVED,
            ),
            mistakes.LossCase(shifted, images, right=shift**2, absolute=shift),
        ),
    )


@check(
    "2-4",
    points=1.5,
    title="Reconstruction lowers the loss by at least 40 %",
    asks="reconstruct(samples) -> (loss, images): codes from zero, 500 Adam steps; a float and images (N, 3, 32, 32).",
)
def test_reconstruction_comes_nearer(submission: Submission, shared_draw: Draw) -> None:
    judge_search(submission, shared_draw, expect_nearer)


def expect_nearer(found: Search) -> None:
    """Raises Fault unless the images are nearer to the given ones than those of the zero codes, and the loss is theirs."""
    loss, images = found.returned()
    at_zero, reached = found.error(found.start()), found.error(images)
    expect(
        not torch.allclose(images, found.samples, atol=1e-4),
        expected="images from the generator",
        seen="the given images themselves",
        hint="Return the images that the generator makes from the codes.",
    )
    expect(
        reached < 0.6 * at_zero,
        expected=f"a mean squared error at least 40 % below that of the zero codes' images ({at_zero:.4f})",
        seen=f"{reached:.4f}",
        mistake=why_at_zero(found) if torch.allclose(images, found.start(), atol=1e-5) else None,
        hint="Let Adam change the codes so that _reconstruction_loss falls.",
    )
    expect_loss_of(
        found,
        loss,
        images,
        what="the returned loss: that of the returned images, or from just before the last step",
        rtol=0.02,
    )
    expect_searched(found)


@check(
    "2-4",
    points=0,
    title="The search starts at zero and takes 500 steps in evaluation mode (for information)",
    asks="reconstruct: codes start at zero, the generator is in evaluation mode, exactly 500 Adam steps; no graph is kept.",
)
def test_search_is_as_asked(submission: Submission, shared_draw: Draw) -> None:
    judge_search(submission, shared_draw, expect_search_as_asked)


@check(
    "2-4",
    points=1.5,
    title="Reconstruction leaves the networks as they were",
    asks="reconstruct: only the codes change. Parameters, running averages and modes of both networks stay as they were, "
    "and no gradient is left on them.",
)
def test_networks_are_left_alone(submission: Submission, shared_draw: Draw) -> None:
    judge_search(submission, shared_draw, expect_left_alone)


def expect_left_alone(found: Search) -> None:
    expect_untouched(found)
    expect_no_seed(found.seen.flag("seed_kept"), "reconstruct")
