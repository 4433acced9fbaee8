"""Hidden checks of 2-4: the reconstruction loss, and the course of a reconstruction compared with the judge's own."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from autograder.checks.hidden.expected_reconstruction import (
    CHANGED,
    apart,
    explain,
    fits,
    mean_loss,
    reconstruction,
)
from autograder.checks.hidden.test_gan_loss import expect_graph
from autograder.checks.public.gan_search import (
    FIXED,
    PROBE,
    Search,
    expect_searched,
    fixed_search,
    makes_another_number,
    number_is_fixed,
    search,
)
from autograder.checks.public.small_gan import generator_from, generator_state, reachable_images
from autograder.checks.public.test_gan import loss_number
from autograder.checks.public.test_gan_reconstruct import expect_untouched
from autograder.examinee import NoAnswer
from autograder.judging import Fault, Mistake, check, expect, expect_close

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
def test_reconstruction_loss_value(submission, draw):
    a, b = draw.uniform(5, 3, 32, 32), draw.uniform(5, 3, 32, 32)
    error = (a - b).double()
    right = error.square().mean().item()
    seen = submission.ask("gan.loss_value", name="_reconstruction_loss", first=a, second=b)
    expect_close(
        loss_number(seen, right, "the loss"),
        right,
        what="the loss",
        mistakes=[
            Mistake(right * error.numel(), "The sum is taken where the mean is asked.", "Take the mean."),
            Mistake(
                right * 3072,
                "The sum over the pixels is taken where the mean over every element is asked.",
                "Take the mean over batch, channels and pixels.",
            ),
            Mistake(right * 5, "The sum over the batch is taken where the mean is asked.", "Take the mean."),
            Mistake(
                error.abs().mean().item(),
                "The absolute error is taken where the squared error is asked.",
                "Square the difference.",
            ),
            Mistake(math.sqrt(right), "The root of the mean squared error is taken.", "Leave the root out."),
            Mistake(right / 2, "The squared error is halved.", "Leave the factor 1/2 out."),
            Mistake(
                torch.nn.functional.binary_cross_entropy(a, b).item(),
                "The binary cross-entropy is taken where the squared error is asked.",
                "Take the mean squared error.",
            ),
        ],
    )
    expect_graph(seen)
    expect_close(
        seen.tensor(
            "gradient", (5, 3, 32, 32), what="the loss's gradient with respect to the reconstruction"
        ),
        2 * (a - b) / a.numel(),
        what="the loss's gradient with respect to the reconstruction",
        rtol=1e-3,
        atol=1e-8,
        hint="The loss must keep its graph: no item(), detach() or no_grad().",
    )
    expect(
        seen.flag("unchanged"),
        expected="both arguments left as they were",
        seen="one of them changed in place",
    )
    fine = submission.ask("gan.loss_value", name="_reconstruction_loss", first=a.double(), second=b.double())
    expect_close(
        fine.number("loss", what="the loss in float64"), right, what="the loss in float64", rtol=1e-5
    )


@check(
    "2-4",
    points=3.5,
    title="The images are those that 500 Adam steps from the zero codes lead to",
    asks=ASKS,
    rubric="The search for the codes",
)
def test_images_are_where_the_search_leads(submission, shared_draw):
    found = search(submission, shared_draw, 5)
    _, images = found.returned()
    course = reconstruction(generator_from(found.state).eval(), found.samples)
    if not fits(images, course):
        expect(
            False,
            expected="the images that 500 Adam steps at learning rate 0.01 from the zero codes lead to, with the generator in "
            "evaluation mode",
            seen=f"images {apart(images, course.images):.2g} away from those (root mean square; the search itself moved them by "
            f"{apart(found.start(), course.images):.2g})",
            mistake=explain(images, found),
            hint="Count the steps, and look at where the codes start, the learning rate and the generator's mode.",
        )


@check(
    "2-4",
    points=1,
    title="The returned loss is that of the final codes, and no graph is attached",
    asks=ASKS + " The loss as a float and the images on the CPU, without a graph, at the final codes.",
    rubric="What reconstruct returns",
)
def test_loss_belongs_to_the_images(submission, shared_draw):
    found = search(submission, shared_draw, 5)
    loss, images = found.returned()
    expect(
        not found.seen.flag("graph"),
        expected="a float and images without a graph",
        seen="a result that still hangs on its graph",
        mistake=Mistake(
            None,
            "The results still hang on their graph, which keeps the whole search in memory.",
            "Use loss.item(), and images.detach() or torch.no_grad().",
        ),
    )
    expect(
        found.seen.flag("unchanged"),
        expected="the samples left as they were",
        seen="samples that were changed",
        mistake=CHANGED,
    )
    right, at_zero = found.error(images), found.error(found.start())
    # The loss from just before the last step lies within 1 % of the loss after it.
    close_enough = abs(loss - right) <= 0.01 * right + 1e-6
    mean = None if close_enough else mean_loss(generator_from(found.state).eval(), found.samples)
    expect_close(
        loss,
        right,
        what="the returned loss: the mean squared error of the returned images",
        rtol=0.01,
        atol=1e-6,
        mistakes=[
            Mistake(
                at_zero, "The loss of the first step is returned.", "Return the loss after the last step."
            ),
            Mistake(mean, "The mean loss of all steps is returned.", "Return the loss after the last step."),
            Mistake(
                right * images.numel(),
                "The sum is returned where the mean is asked.",
                "Use _reconstruction_loss.",
            ),
            Mistake(
                right * found.count,
                "The loss is the sum over the batch where the mean is asked.",
                "Take the mean.",
            ),
        ],
        hint="Return the loss after the last step, not the mean or the list of all.",
    )
    expect(
        right < at_zero,
        expected="a loss below that of the zero codes",
        seen=f"{right:.4g}, where the zero codes have {at_zero:.4g}",
    )


@check(
    "2-4",
    points=1,
    title="Whatever modes the networks are in, reconstruct leaves them there and leaves no gradient",
    asks=ASKS + " The networks are untouched.",
    rubric="The networks are untouched",
)
def test_modes_are_kept(submission, draw):
    first = draw.choice([True, False])
    found = search(submission, draw, 2, training=[first, not first])
    expect_untouched(found)
    steps = found.seen.number("steps")
    expect(
        steps == 0,
        expected="no step of optimizerG or optimizerD",
        seen=f"{steps:.0f} steps",
        mistake=Mistake(
            None,
            "An optimiser of the training is used: it moves the network, not the codes.",
            "Make a new Adam over the codes.",
        ),
    )


@check(
    "2-4",
    points=1,
    title="Reconstruction works for any number of images",
    asks=ASKS + " samples: images (N, 3, 32, 32), however many.",
    rubric="Other batch sizes",
)
def test_any_number_of_images(submission, draw):
    count = draw.integer(7, 12)
    state = generator_state(draw)
    samples = reachable_images(state, draw, count)
    try:
        found = Search(submission.ask_once(PROBE, samples=samples, generator=state), state, samples)
    except NoAnswer as reason:
        works = number_that_works(submission, draw, state) if reason.status == "failed" else None
        if works is None:
            raise
        mistake = number_is_fixed(count, works)
        raise Fault(
            expected=f"{count} images, as many as were given",
            seen=reason.seen,
            hint=mistake.try_,
            diagnosis=mistake.says,
        ) from None
    if makes_another_number(found):
        works = number_that_works(submission, draw, state)
        expect(
            False,
            expected=f"{count} images, as many as were given",
            seen="another number of images",
            mistake=None if works is None else number_is_fixed(count, works),
        )
    expect_searched(found)


def number_that_works(submission, draw, state: dict[str, Tensor]) -> int | None:
    """The number of images that is written into the code, if it is one of those that are seen; None where none works."""
    return next((n for n in FIXED if fixed_search(submission, draw, state, n) is not None), None)
