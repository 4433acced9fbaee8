"""Public checks of reconstruction through latent codes: what is returned, and what is left alone."""

from __future__ import annotations

from autograder.checks.public.small_gan import generator_state, reachable_images
from autograder.judging import Mistake, Observation, check, expect, expect_close

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
        equal.number("loss", what="the loss of equal images"), 0.0, what="the loss of equal images", atol=1e-7
    )
    moved = submission.ask(ask, name="_reconstruction_loss", first=images + shift, second=images)
    expect_close(
        moved.number("loss", what="the loss of shifted images"),
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
    generator = generator_state(shared_draw)
    samples = reachable_images(generator, shared_draw, 4)
    seen = submission.ask_once("gan_reconstruct.reconstruct", samples=samples, generator=generator)
    returned = seen.list("returned", 2, what="what reconstruct returned")
    told = Observation({"loss": returned[0], "images": returned[1]})
    loss = told.number("loss", what="the returned loss", hint="Return loss.item().")
    images = told.tensor("images", (4, 3, 32, 32), what="the returned images")
    at_zero = (seen.tensor("start", (4, 3, 32, 32)) - samples).square().mean().item()
    expect(
        (images - samples).square().mean().item() < 0.6 * at_zero,
        expected=f"a mean squared error at least 40 % below that of the zero codes' images ({at_zero:.4f})",
        seen=f"{(images - samples).square().mean().item():.4f}",
        hint="Let Adam change the codes so that _reconstruction_loss falls.",
    )
    expect_close(
        loss,
        (images - samples).square().mean().item(),
        what="the returned loss: that of the returned images, or from just before the last step",
        rtol=0.02,
        atol=1e-5,
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
    generator = generator_state(shared_draw)
    samples = reachable_images(generator, shared_draw, 4)
    seen = submission.ask_once("gan_reconstruct.reconstruct", samples=samples, generator=generator)
    expect_untouched(seen)


def expect_untouched(seen: Observation) -> None:
    """Raises a fault when reconstruct changed a network, or left gradients on it."""
    hints = {
        "parameters": ("the parameters", "Give the optimiser the codes alone."),
        "buffers": ("batch normalisation's running averages", "Put the generator in evaluation mode."),
        "modes": ("the mode (training or evaluation)", "Set the modes back when you are done."),
        "trainable": ("which parameters ask for gradients", "Set requires_grad back when you are done."),
    }
    for network in ("generator", "discriminator"):
        same = seen.part("same").part(network)
        for part, (words, hint) in hints.items():
            expect(
                same.flag(part),
                expected=f"{words} of the {network} as before the call",
                seen="changed",
                hint=hint,
                mistake=Mistake(None, MODES_LEFT, hint) if part == "modes" else None,
            )
        largest = seen.part("gradients").get(network)
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
