"""Public checks of reconstruction through latent codes: what is returned, and what is left alone."""

from __future__ import annotations

import torch

from autograder.checks.public.gan_search import Search, expect_searched, search
from autograder.checks.public.test_gan import loss_number
from autograder.judging import Mistake, check, expect, expect_close

MODES_LEFT = "The networks are left in another mode than they were handed over in."


@check(
    "2-4",
    points=1,
    title="The reconstruction loss is 0 for equal images and known for plain ones",
    asks="_reconstruction_loss(reconstruction, x): mean squared error, the mean over every element.",
)
def test_reconstruction_loss_has_known_values(submission, draw):
    images, shift = draw.uniform(5, 3, 32, 32), draw.number(0.2, 0.4)
    ask = "gan.loss_value"
    equal = submission.ask(ask, name="_reconstruction_loss", first=images, second=images)
    expect_close(
        loss_number(equal, 0.0, "the loss of equal images"), 0.0, what="the loss of equal images", atol=1e-7
    )
    moved = submission.ask(ask, name="_reconstruction_loss", first=images + shift, second=images)
    expect_close(
        loss_number(moved, shift**2, "the loss of shifted images"),
        shift**2,
        what=f"the loss when every value is off by {shift:.3f}",
        mistakes=[
            Mistake(shift**2 * 5 * 3072, "The sum is taken where the mean is asked.", "Take the mean."),
            Mistake(
                shift**2 * 3072,
                "The sum over the pixels is taken where the mean over every element is asked.",
                "Take the mean over batch, channels and pixels.",
            ),
            Mistake(
                shift,
                "The error is not squared, or the root is taken of the mean.",
                "Take the mean of the squared differences.",
            ),
            Mistake(shift**2 / 2, "The squared error is halved.", "Leave the factor 1/2 out."),
        ],
    )


@check(
    "2-4",
    points=1.5,
    title="Reconstruction lowers the loss by 40 % at least",
    asks="reconstruct(samples) -> (loss, images): codes from zero, 500 Adam steps; a float and images (N, 3, 32, 32).",
)
def test_reconstruction_comes_nearer(submission, shared_draw):
    found = search(submission, shared_draw, 4)
    loss, images = found.returned()
    at_zero, reached = found.error(found.start()), found.error(images)
    expect(
        not torch.allclose(images, found.samples, atol=1e-4),
        expected="images that the generator makes",
        seen="the given images themselves",
        hint="Return what the generator makes of the codes.",
    )
    expect(
        reached < 0.6 * at_zero,
        expected=f"a mean squared error at least 40 % below that of the zero codes' images ({at_zero:.4f})",
        seen=f"{reached:.4f}",
        hint="Let Adam change the codes so that _reconstruction_loss falls.",
    )
    expect_close(
        loss,
        reached,
        what="the returned loss: that of the returned images, or from just before the last step",
        rtol=0.02,
        atol=1e-5,
        mistakes=[
            Mistake(
                at_zero, "The loss of the first step is returned.", "Return the loss after the last step."
            )
        ],
        hint="Return the loss after the last step, not the first or the mean of all.",
    )


@check(
    "2-4",
    points=1.5,
    title="Reconstruction leaves the networks as they were",
    asks="reconstruct: only the codes change. Parameters, running averages and modes of both networks stay as they were, "
    "and no gradient is left on them.",
)
def test_networks_are_left_alone(submission, shared_draw):
    expect_untouched(search(submission, shared_draw, 4))


def expect_untouched(found: Search) -> None:
    """Raises a fault when reconstruct changed a network, left gradients on it, or searched for nothing."""
    for network in ("generator", "discriminator"):
        same = found.seen.part("same").part(network)
        for part, (words, hint, says) in {
            "parameters": (
                f"the parameters of the {network}",
                "Give the optimiser the codes alone.",
                f"The parameters of the {network} are moved along with the codes.",
            ),
            "buffers": (
                f"batch normalisation's running averages in the {network}",
                "Put the generator in evaluation mode for the length of the search.",
                f"The {network} is in training mode during the search: batch normalisation's running averages move.",
            ),
            "modes": (
                f"the mode (training or evaluation) of the {network}",
                "Set the modes back when you are done.",
                MODES_LEFT,
            ),
            "trainable": (
                f"the parameters of the {network} ask for gradients",
                "Set requires_grad back when you are done.",
                f"The {network} is left frozen: its parameters no longer ask for gradients, so it cannot be trained on.",
            ),
        }.items():
            expect(
                same.flag(part),
                expected=f"{words} as before the call",
                seen="changed",
                mistake=Mistake(None, says, hint),
            )
        largest = found.seen.part("gradients").get(network)
        expect(
            largest is None or largest == 0.0,
            expected=f"no gradient left on the {network}",
            seen="gradients on its parameters",
            mistake=Mistake(
                None,
                "backward() on the loss also fills the networks' gradients, which the next training step would use.",
                "Use torch.autograd.grad for the codes alone, or clear the networks' gradients at the end.",
            ),
        )
    expect_searched(found)
