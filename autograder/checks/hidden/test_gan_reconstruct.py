"""Hidden checks of 2-4: the reconstruction loss, and the course of a reconstruction compared with the judge's own."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from autograder.checks.hidden.expected_reconstruction import (
    apart,
    fits,
    reconstruction,
    returned_pair,
    steps_that_lead_to,
)
from autograder.checks.public.small_gan import generator_from, generator_state, reachable_images
from autograder.checks.public.test_gan_reconstruct import expect_untouched
from autograder.judging import Mistake, Observation, check, expect, expect_close

ASKS = (
    "reconstruct(samples) -> (loss, images): codes start at zero, exactly 500 Adam steps at vis_learning_rate on the codes "
    "alone, the generator in evaluation mode."
)


def run(submission, draw, count: int, **how) -> tuple[Observation, dict[str, Tensor], Tensor]:
    state = generator_state(draw)
    samples = reachable_images(state, draw, count)
    return (
        submission.ask_once("gan_reconstruct.reconstruct", samples=samples, generator=state, **how),
        state,
        samples,
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
        seen.number("loss", what="the loss"),
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
    seen.tensor("loss", (), what="the loss", hint="Return a scalar tensor, with its graph.")
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


def explain(images: Tensor, state: dict[str, Tensor], samples: Tensor, seen: Observation) -> Mistake | None:
    """The mistake that leads to these images, if one of the known ones does."""
    first = seen.get("first")
    if isinstance(first, Tensor) and first.is_floating_point() and bool(first.abs().max() > 0.05):
        uniform = bool(first.min() >= 0 and first.max() <= 1)
        return Mistake(
            None,
            "The codes start at random values" + (" (uniform ones)" if uniform else "") + ".",
            "Start at torch.zeros, so that the result is the same every time.",
        )

    generator = generator_from(state).eval()
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
    candidates: list[tuple[str, str, dict[str, Any]]] = [
        (
            "The codes' learning rate is the one of the training.",
            "Use self.vis_learning_rate.",
            {"rate": 2e-4},
        ),
        (
            "Adam's learning rate is left out: it takes its default, 1e-3.",
            "Use self.vis_learning_rate.",
            {"rate": 1e-3},
        ),
        (
            "Adam has the betas of the training, (0.5, 0.999); the default is asked here.",
            "Leave the betas out here.",
            {"betas": (0.5, 0.999)},
        ),
        (
            "The codes' gradients are not cleared between the steps.",
            "Call zero_grad() on the codes' optimiser in every step.",
            {"cleared": False},
        ),
    ]
    for says, try_, how in candidates:
        if fits(images, reconstruction(generator, samples, **how)):
            return Mistake(None, says, try_)
    if fits(images, reconstruction(generator_from(state).train(), samples)):
        return Mistake(
            None,
            "The generator is in training mode: batch normalisation takes the statistics of the batch.",
            "Call eval() on the generator for the length of the search.",
        )
    return None


@check(
    "2-4",
    points=3.5,
    title="The images are those that 500 Adam steps from the zero codes lead to",
    asks=ASKS,
    rubric="The search for the codes",
)
def test_images_are_where_the_search_leads(submission, shared_draw):
    seen, state, samples = run(submission, shared_draw, 5)
    _, images = returned_pair(seen, 5)
    course = reconstruction(generator_from(state).eval(), samples)
    if not fits(images, course):
        expect(
            False,
            expected="the images that 500 Adam steps at learning rate 0.01 from the zero codes lead to, with the generator in "
            "evaluation mode",
            seen=f"images {apart(images, course.images):.2g} away from those (root mean square; the search itself moved them by "
            f"{apart(seen.tensor('start', (5, 3, 32, 32)), course.images):.2g})",
            mistake=explain(images, state, samples, seen),
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
    seen, _, samples = run(submission, shared_draw, 5)
    loss, images = returned_pair(seen, 5)
    expect(
        not seen.flag("graph"),
        expected="a float and images without a graph",
        seen="a result that still hangs on its graph",
        hint="Use loss.item(), and images.detach() or torch.no_grad().",
    )
    right = (images - samples).double().square().mean().item()
    at_zero = (seen.tensor("start", (5, 3, 32, 32)) - samples).double().square().mean().item()
    # The loss from just before the last step lies within 1 % of the loss after it.
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
            Mistake(
                right * images.numel(),
                "The sum is returned where the mean is asked.",
                "Use _reconstruction_loss.",
            ),
            Mistake(
                right * 5, "The loss is the sum over the batch where the mean is asked.", "Take the mean."
            ),
        ],
        hint="Return the loss after the last step, not the mean or the list of all.",
    )
    expect(
        right < at_zero,
        expected="a loss below that of the zero codes",
        seen=f"{right:.4g}, where the zero codes have {at_zero:.4g}",
    )
    expect(
        seen.flag("unchanged"),
        expected="the samples left as they were",
        seen="samples that were changed in place",
    )


@check(
    "2-4",
    points=1,
    title="Whatever modes the networks are in, reconstruct leaves them there and leaves no gradient",
    asks=ASKS + " The networks are untouched.",
    rubric="The networks are untouched",
)
def test_modes_are_kept(submission, draw):
    modes = [draw.choice([True, False])]
    seen, _, _ = run(submission, draw, 2, training=[*modes, not modes[0]])
    expect_untouched(seen)
    expect(
        seen.number("steps") == 0,
        expected="no step of optimizerG or optimizerD",
        seen=f"{seen.number('steps'):.0f} steps",
        mistake=Mistake(
            None,
            "An optimiser of the training is used: it moves the network, not the codes.",
            "Make a new Adam over the codes.",
        ),
    )


@check(
    "2-4",
    points=1,
    title="Arrays work as tensors do, in any number",
    asks=ASKS + " samples: an array or a tensor (N, 3, 32, 32).",
    rubric="Arrays, and other batch sizes",
)
def test_arrays_of_any_length(submission, draw):
    count = draw.integer(7, 12)
    seen, _, samples = run(submission, draw, count, array=True)
    _, images = returned_pair(seen, count)
    at_zero = (seen.tensor("start", (count, 3, 32, 32)) - samples).square().mean().item()
    reached = (images - samples).square().mean().item()
    expect(
        reached < at_zero,
        expected="images nearer to the given ones than those of the zero codes",
        seen=f"mean squared error {reached:.4f}, at the zero codes {at_zero:.4f}",
    )
    expect(
        seen.flag("unchanged"), expected="the array left as it was", seen="an array that was changed in place"
    )
