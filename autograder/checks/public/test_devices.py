"""Public checks of where tensors are made: what would fail on a GPU is found on any machine, with its line."""

from __future__ import annotations

from autograder.checks.public import given
from autograder.checks.public.gan_search import FIXED, Search, expect_searched, makes_another_number
from autograder.checks.public.gan_steps import BATCH, expect_trained
from autograder.checks.public.small_gan import discriminator_state, generator_state, reachable_images
from autograder.examinee import NoAnswer
from autograder.judging import Draw, Fault, Mistake, check, expect

DEVICE = "{}: everything on the device that the model's parameters are on, wherever that is; no tensor is made on the CPU only."


@check(
    "1-2",
    points=0.5,
    title="Batches are moved to the model's device",
    asks=DEVICE.format("train_autoencoder"),
)
def test_autoencoder_training_on_another_device(submission, draw: Draw) -> None:
    nz, n = draw.integer(3, 6), draw.integer(7, 12)
    weights, images = given.weights(draw, nz, outputs=nz), draw.uniform(n, 1, 28, 28)
    seen = submission.ask(
        "autoencoder.train_elsewhere",
        weights=weights,
        images=images,
        labels=draw.integers(0, 10, n),
        batch_size=4,
    )
    given.expect_no_collision(seen, "train_autoencoder")
    given.expect_encoded(seen, weights, images[:4], "train_autoencoder")


@check("1-4", points=0.5, title="The VAE makes its tensors on the model's device", asks=DEVICE.format("VAE"))
def test_vae_on_another_device(submission, draw: Draw) -> None:
    weights, x = given.weights(draw, draw.integer(3, 9)), draw.uniform(draw.integer(3, 9), 1, 784)
    seen = submission.ask("vae.elsewhere", weights=weights, x=x)
    given.expect_no_collision(seen, "forward, loss and reconstruct")
    given.expect_encoded(seen, weights, x, "forward")


@check("1-5", points=0.5, title="Batches are moved to the model's device", asks=DEVICE.format("train_vae"))
def test_vae_training_on_another_device(submission, draw: Draw) -> None:
    n = draw.integer(7, 12)
    weights, images = given.weights(draw, draw.integer(3, 6)), draw.uniform(n, 1, 28, 28)
    seen = submission.ask(
        "vae.train_elsewhere",
        weights=weights,
        images=images,
        labels=draw.integers(0, 10, n),
        batch_size=4,
    )
    given.expect_no_collision(seen, "train_vae")
    given.expect_encoded(seen, weights, images[:4], "train_vae")


@check(
    "1-9",
    points=0.5,
    title="The codes are drawn on the model's device",
    asks=DEVICE.format("sample_conditional"),
)
def test_sampling_on_another_device(submission, draw: Draw) -> None:
    nz, count = draw.integer(4, 9), draw.integer(3, 12)
    weights, labels = given.weights(draw, nz, labels=count), draw.integers(0, count, 5)
    seen = submission.ask("cvae.sample_elsewhere", weights=weights, labels=labels, nz=nz)
    given.expect_no_collision(seen, "sample_conditional")
    worked = given.rows_of(seen, given.PIXELS)
    expect(
        worked is not None
        and len(worked) <= len(labels)
        and any(
            given.codes_in(weights, worked, None if c is None else c[: len(worked)]) is not None
            for c in (labels, None, labels.flip(0), labels.sort().values)
        ),
        expected="sample_conditional: the model's decoder called with codes and labels",
        seen="a decoder that was not called" if worked is None else "images that the decoder did not make",
        hint="Draw the codes, and send them through model.decoder with the labels.",
    )


@check(
    "2-1b",
    points=0.5,
    title="The training step works on the device that the networks are on",
    asks="training_step: noise and labels are made on the networks' device.",
)
def test_training_step_on_another_device(submission, draw):
    generator, discriminator = generator_state(draw), discriminator_state(draw)
    real = draw.uniform(BATCH, 3, 32, 32)
    seen = submission.ask(
        "gan_training.elsewhere", batch=real, generator=generator, discriminator=discriminator
    )
    expect(
        seen.get("collision") is None,
        expected="tensors made on the device that the networks are on",
        seen=f"with networks and batch on a GPU: {seen.text('collision')}",
        mistake=Mistake(
            None,
            "A tensor is made on the CPU (noise or labels, as a rule) while the networks are on a GPU.",
            "Give device=real.device, or use randn_like, ones_like and the like.",
        ),
    )
    expect_trained(seen.part("here"), generator, discriminator, real)


@check(
    "2-4",
    points=0.5,
    title="Reconstruction works on the device that the generator is on",
    asks="reconstruct: codes and samples are on the generator's device, the images come back on the CPU.",
)
def test_reconstruct_on_another_device(submission, draw):
    found = elsewhere(submission, draw, 2)
    seen = found.seen
    expect(
        seen.get("collision") is None,
        expected="codes and samples on the device that the generator is on",
        seen=f"with the networks on a GPU: {seen.text('collision')}",
        mistake=Mistake(
            None,
            "The codes or the samples stay on the CPU while the generator is on a GPU.",
            "Make the codes on the generator's device, and move the samples there.",
        ),
    )
    expect(
        set(seen.list("devices")) <= {"cpu"},
        expected="images on the CPU",
        seen="images on the device of the networks",
        mistake=Mistake(None, "The images are not moved back to the CPU.", "Return images.cpu()."),
    )
    expect_searched(found)


def elsewhere(submission, draw: Draw, count: int) -> Search:
    """The search on another device; with as many images as the code can do, if it can do one number only."""
    state = generator_state(draw)
    failed = None
    for n in (count, *FIXED):
        samples = reachable_images(state, draw, n)
        try:
            seen = submission.ask("gan_reconstruct.elsewhere", samples=samples, generator=state)
        except NoAnswer as reason:
            failed = failed or reason
            if reason.status == "failed":
                continue
            raise
        found = Search(seen, state, samples)
        if not makes_another_number(found):
            return found
    raise failed or Fault(expected=f"{count} images, as many as were given", seen="another number of images")
