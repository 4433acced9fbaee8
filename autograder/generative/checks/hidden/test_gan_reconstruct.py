"""Hidden checks of 2-4: the reconstruction loss, and the search for codes compared with the judge's own."""

from __future__ import annotations

import math
from functools import partial

from autograder.judging import (
    Draw,
    Fault,
    NoAnswer,
    Submission,
    candidates,
    check,
    expect,
    expect_close,
    fail,
)

from ...mistakes.hidden import gan_reconstruct as mistakes
from ...mistakes.public import gan_reconstruct as known
from ..public.judge_gan import loss_number
from ..public.judge_reconstruct import (
    MODES,
    OTHER_MODES,
    SHARED,
    Search,
    ask_elsewhere,
    ask_search,
    expect_loss_of,
    expect_new_codes,
    expect_same,
    expect_searched,
    expect_untouched,
    fixed_number,
    judge_search,
    makes_another_number,
    number_of,
    search,
)
from ..public.models_gan import generator_from, generator_state, reachable_images
from .expected_reconstruction import ComparedSearch, distance, is_near, mean_loss, reached_by_search
from .judge_trained import ask_trained
from .test_gan_loss import expect_graph

ASKS = (
    "reconstruct(samples) -> (loss, images): codes start at zero, exactly 500 Adam steps at vis_learning_rate on the codes "
    "alone, the generator in evaluation mode."
)


@check(
    "2-4",
    points=1,
    title="The reconstruction loss is the mean squared error, with its gradient",
    asks="_reconstruction_loss(reconstruction, x): mean squared error, the mean over every element.",
    rubric="Value and gradient of the reconstruction loss",
)
def test_reconstruction_loss_value(submission: Submission, draw: Draw) -> None:
    a, b = draw.uniform(5, 3, 32, 32), draw.uniform(5, 3, 32, 32)
    error = (a - b).double()
    right = error.square().mean().item()
    case = known.LossCase(a, b, right, absolute=error.abs().mean().item())
    seen = submission.ask("gan.loss_value", name="_reconstruction_loss", first=a, second=b)
    expect_close(
        loss_number(seen, right, "the loss"),
        right,
        what="the loss",
        mistakes=[
            *candidates(
                (
                    known.ERROR_SUMMED,
                    known.ERROR_SUMMED_PER_IMAGE,
                    known.ERROR_SUMMED_OVER_BATCH,
                    known.ERROR_NOT_SQUARED,
                    known.ERROR_HALVED,
                    mistakes.CROSS_ENTROPY,
                ),
                case,
            ),
            known.ERROR_NOT_SQUARED.giving(math.sqrt(right)),
        ],
    )
    expect_graph(seen)
    what = "the loss's gradient with respect to the reconstruction"
    expect_close(
        seen.tensor("gradient", (5, 3, 32, 32), what=what),
        2 * (a - b) / a.numel(),
        what=what,
        rtol=1e-3,
        atol=1e-8,
        hint="The loss must keep its graph: no item(), detach() or no_grad().",
    )
    expect(
        seen.flag("unchanged"),
        expected="both arguments left as they were",
        seen="one of them changed in place",
    )
    double = submission.ask(
        "gan.loss_value", name="_reconstruction_loss", first=a.double(), second=b.double()
    )
    what = "the loss in float64"
    expect_close(double.number("loss", what=what), right, what=what, rtol=1e-5)


@check(
    "2-4",
    points=2.5,
    title="The images are those that 500 Adam steps from the zero codes lead to",
    asks=ASKS,
    rubric="The search for the codes",
)
def test_images_are_where_the_search_leads(submission: Submission, shared_draw: Draw) -> None:
    right: list[Search] = []

    def judge(found: Search, named: bool = True) -> None:
        expect_where_the_search_leads(found, named)
        right.append(found)

    judge_search(submission, shared_draw, judge, partial(judge, named=False))
    expect_all_steps(submission, shared_draw, right[-1])


def expect_all_steps(submission: Submission, draw: Draw, right: Search) -> None:
    """Raises Fault when a search takes fewer steps than the right one did, for images that the zero codes all but reach.

    Code that stops at a small loss always stops early here; for other images, that depends on the draw.
    """
    start = right.start()
    samples = (start + draw.uniform(*start.shape, high=1e-3)).clamp(0, 1)
    calls = search(submission, right.state, samples, MODES).calls
    expect(
        calls >= right.calls,
        expected=f"as many steps for every batch of images: {right.calls} calls of the generator",
        seen=f"{calls} calls for images close to those of the zero codes, whose loss is near 0 from the start",
        mistake=known.STEPS_NOT_500,
    )


def expect_where_the_search_leads(found: Search, named: bool = True) -> None:
    """Raises Fault unless the images are those that the judge's own search leads to. named: whether it names the mistake."""
    _, images = found.returned()
    # The loss that was called first; right code may compute the error itself, or call its own method only in the end.
    reached = (
        reached_by_search(generator_from(found.state).eval(), found.samples, loss) for loss in found.losses
    )
    right = next(reached)
    if is_near(images, right) or is_near(images, next(reached)):
        expect_new_codes(found)
        return
    case = ComparedSearch(found, images, found.losses[0])
    mistake = mistakes.mistake_of(case) if named else None
    fail(
        expected="the images that 500 Adam steps at learning rate 0.01 from the zero codes lead to, with the generator in "
        "evaluation mode",
        seen=f"images at a distance of {distance(images, right.images):.2g} from those (root mean square; the search itself "
        f"moves them by {distance(found.start(), right.images):.2g}){mistakes.measured(case, mistake)}",
        mistake=mistake,
        hint="Count the steps, and look at where the codes start, the learning rate and the generator's mode.",
    )


@check(
    "2-4",
    points=1,
    title="The returned loss is that of the final codes, and no graph is attached",
    asks=ASKS + " The loss as a float and the images on the CPU, without a graph, at the final codes.",
    rubric="What reconstruct returns",
)
def test_loss_belongs_to_the_images(submission: Submission, shared_draw: Draw) -> None:
    judge_search(submission, shared_draw, expect_loss_of_images)


def expect_loss_of_images(found: Search) -> None:
    """Raises Fault unless the loss is that of the images, no graph is attached, and the samples are as they were."""
    loss, images = found.returned()
    expect(
        not found.seen.flag("graph"),
        expected="a float and images without a graph",
        seen="a result that is still attached to its autograd graph",
        mistake=known.GRAPH_KEPT,
    )
    expect(
        found.seen.flag("unchanged"),
        expected="the samples left as they were",
        seen="samples that were changed",
        mistake=known.SAMPLES_CHANGED,
    )
    right, generator = found.error(images), generator_from(found.state).eval()
    close_enough = any(abs(loss - value) <= 0.01 * value + 1e-6 for value in found.accepted(images))
    mean = None if close_enough else mean_loss(generator, found.samples, found.losses[0])
    # The loss from just before the last step lies within 1 % of the loss after it.
    expect_loss_of(
        found,
        loss,
        images,
        what="the returned loss: that of the returned images",
        rtol=0.01,
        others=[
            mistakes.RETURNS_MEAN_LOSS.giving(mean),
            known.ERROR_SUMMED.giving(right * images.numel()),
            known.ERROR_SUMMED_OVER_BATCH.giving(right * found.count),
        ],
    )
    expect_searched(found)


@check(
    "2-4",
    points=1,
    title="Whatever modes the networks are in, reconstruct leaves them there and leaves no gradient",
    asks=ASKS + " The networks are untouched.",
    rubric="The networks are untouched",
)
def test_modes_are_kept(submission: Submission, shared_draw: Draw) -> None:
    judge_search(submission, shared_draw, expect_networks_kept)
    # The search with the trained generator begins in the other modes.
    try:
        seen = ask_trained(submission, shared_draw).seen
    except (Fault, NoAnswer):
        shared_draw.restart()
        expect_networks_kept(ask_search(submission, shared_draw, SHARED, OTHER_MODES))
        return
    expect_same(seen)


def expect_networks_kept(found: Search) -> None:
    """Raises Fault unless both networks are as they were, and no other optimiser has taken a step."""
    expect_untouched(found)
    steps = found.seen.number("steps")
    expect(
        steps == 0,
        expected="no step of optimizerG or optimizerD",
        seen=f"{steps:.0f} steps",
        mistake=mistakes.TRAINING_OPTIMISER,
    )


@check(
    "2-4",
    points=1,
    title="Reconstruction works for any number of images",
    asks=ASKS + " samples: images (N, 3, 32, 32), for any N.",
    rubric="Other batch sizes",
)
def test_any_number_of_images(submission: Submission, shared_draw: Draw) -> None:
    found = ask_elsewhere(submission, shared_draw)
    if found is not None:
        expect_searched(found)
        return
    shared_draw.restart()
    count = number_of(shared_draw)
    state = generator_state(shared_draw)
    samples = reachable_images(state, shared_draw, count)
    expected = f"{count} images, as many as were given"
    try:
        found = search(submission, state, samples, OTHER_MODES)
    except NoAnswer as reason:
        failed = reason.status == "failed"
        fixed = fixed_number(submission, shared_draw) if failed else None
        if fixed is None:
            raise
        fail(
            expected=expected,
            seen=f"{reason.seen}; it works for {fixed} images",
            mistake=known.NUMBER_FIXED,
        )
    if makes_another_number(found):
        fixed = fixed_number(submission, shared_draw)
        works = "" if fixed is None else f"; it works for {fixed} images"
        fail(
            expected=expected,
            seen=f"another number of images{works}",
            mistake=None if fixed is None else known.NUMBER_FIXED,
        )
    expect_searched(found)
