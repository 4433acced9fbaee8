"""Public checks of devices: code that would fail on a GPU is found on any machine, with its line."""

from __future__ import annotations

from functools import partial

from autograder.judging import Draw, Fault, NoAnswer, Observation, Submission, check, expect

from ...mistakes.public import common as mistakes
from . import judge_common as common
from . import models_autoencoder as small
from .judge_reconstruct import (
    ELSEWHERE,
    MODES,
    Search,
    expect_searched,
    fixed_number,
    makes_another_number,
    number_of,
    search,
)
from .judge_training_step import BATCH, expect_judged, first_answer
from .models_gan import discriminator_state, generator_state, reachable_images

DEVICE = "{}: every tensor is made on the device of the model's parameters, whichever that is, not on the CPU only."


@check(
    "1-2",
    points=0.5,
    title="Batches are moved to the model's device",
    asks=DEVICE.format("train_autoencoder"),
)
def test_autoencoder_training_on_another_device(submission: Submission, draw: Draw) -> None:
    nz, batch = draw.integer(3, 6), draw.or_usual("batch", 4)
    n = 2 * batch
    weights, images = small.weights(draw, nz, outputs=nz), draw.uniform(n, 1, 28, 28)
    seen = submission.ask(
        "autoencoder.train_elsewhere",
        weights=weights,
        images=images,
        labels=draw.labels(10, n),
        batch_size=batch,
    )
    common.expect_no_collision(seen, "train_autoencoder")
    common.expect_encoded(seen, weights, images, "train_autoencoder")


@check("1-4", points=0.5, title="The VAE makes its tensors on the model's device", asks=DEVICE.format("VAE"))
def test_vae_on_another_device(submission: Submission, draw: Draw) -> None:
    n, nz = draw.size("batch", 3, 9), draw.size("latent", 3, 9)
    weights, x = small.weights(draw, nz), draw.uniform(n, 1, 784)
    seen = submission.ask("vae.elsewhere", weights=weights, x=x)
    common.expect_no_collision(seen, "forward, loss and reconstruct")
    common.expect_encoded(seen, weights, x, "forward")


@check("1-5", points=0.5, title="Batches are moved to the model's device", asks=DEVICE.format("train_vae"))
def test_vae_training_on_another_device(submission: Submission, draw: Draw) -> None:
    batch = draw.or_usual("batch", 4)
    n = 2 * batch
    weights, images = small.weights(draw, draw.integer(3, 6)), draw.uniform(n, 1, 28, 28)
    seen = submission.ask(
        "vae.train_elsewhere",
        weights=weights,
        images=images,
        labels=draw.labels(10, n),
        batch_size=batch,
    )
    common.expect_no_collision(seen, "train_vae")
    common.expect_encoded(seen, weights, images, "train_vae")


@check(
    "1-8",
    points=0,
    title="Batches and labels are moved to the model's device (for information)",
    asks=DEVICE.format("train_cvae"),
)
def test_cvae_training_on_another_device(submission: Submission, draw: Draw) -> None:
    batch, labels = draw.or_usual("batch", 4), draw.size("classes", 3, 10)
    seen = submission.ask(
        "cvae.train_elsewhere",
        weights=small.weights(draw, draw.integer(3, 6), labels=labels),
        images=draw.uniform(2 * batch, 1, 28, 28),
        labels=draw.labels(labels, 2 * batch),
        batch_size=batch,
    )
    common.expect_no_collision(seen, "train_cvae")


@check(
    "1-9",
    points=0.5,
    title="The codes are drawn on the model's device",
    asks=DEVICE.format("sample_conditional"),
)
def test_sampling_on_another_device(submission: Submission, draw: Draw) -> None:
    nz, count = draw.size("latent", 4, 9), draw.size("classes", 3, 10)
    weights, labels = (
        small.weights(draw, nz, labels=count),
        draw.labels(count, draw.or_usual("labels", 5)),
    )
    seen = submission.ask("cvae.sample_elsewhere", weights=weights, labels=labels, nz=nz)
    common.expect_no_collision(seen, "sample_conditional")
    worked = common.rows_of(seen, small.PIXELS)
    expect(
        worked is not None
        and len(worked) <= len(labels)
        and any(
            small.codes_in(weights, worked, None if c is None else c[: len(worked)]) is not None
            for c in (labels, None, labels.flip(0), labels.sort().values)
        ),
        expected="sample_conditional: the model's decoder called with codes and labels",
        seen="a decoder that was not called" if worked is None else "images that the decoder did not make",
        hint="Draw the codes, and call model.decoder with them and the labels.",
    )


@check(
    "2-1b",
    points=0.5,
    title="The training step works on the networks' device",
    asks="training_step: noise and labels are made on the networks' device.",
)
def test_training_step_on_another_device(submission: Submission, draw: Draw) -> None:
    generator, discriminator = generator_state(draw), discriminator_state(draw)
    real = draw.uniform(BATCH, 3, 32, 32)

    def ask(phase: str) -> Observation:
        return submission.ask(
            "gan_training.elsewhere",
            batch=real,
            generator=generator,
            discriminator=discriminator,
            phase=phase,
        )

    try:
        seen = ask("")
    except NoAnswer as reason:  # no network was called: the discriminator's half may not be written
        seen = first_answer([partial(ask, "generator")], reason)
    expect(
        seen.get("collision") is None,
        expected="tensors made on the networks' device",
        seen=f"with networks and batch on a GPU: {seen.text('collision')}",
        mistake=common.device_mistake(seen),
    )
    expect_judged(seen.part("here"), generator, discriminator, real)


@check(
    "2-4",
    points=0.5,
    title="Reconstruction works on the generator's device",
    asks="reconstruct: codes and samples are on the generator's device, the images come back on the CPU.",
)
def test_reconstruct_on_another_device(submission: Submission, shared_draw: Draw) -> None:
    found = elsewhere(submission, shared_draw)
    seen = found.seen
    expect(
        seen.get("collision") is None,
        expected="codes and samples on the generator's device",
        seen=f"with the networks on a GPU: {seen.text('collision')}",
        mistake=common.device_mistake(seen),
    )
    expect(
        all(device == "cpu" for device in seen.list("devices")),
        expected="images on the CPU",
        seen="images on the networks' device",
        mistake=mistakes.IMAGES_ON_DEVICE,
    )
    expect_searched(found)  # an exception after that, on the CPU as well, is for other checks to judge


def elsewhere(submission: Submission, draw: Draw) -> Search:
    """The search on another device; with another number of images where the code works with one number only."""
    state, count = generator_state(draw), number_of(draw)
    samples = reachable_images(state, draw, count)
    failed: NoAnswer | None = None
    begun: Search | None = None
    try:
        found = search(submission, state, samples, MODES, ELSEWHERE)
    except NoAnswer as reason:
        if reason.status != "failed":
            raise
        failed = reason
    else:
        if found.seen.flag("raised"):  # on the CPU as well, so devices are not the reason
            begun = found
        elif not makes_another_number(found):
            return found
    fixed = fixed_number(submission, draw)
    if fixed is not None:
        return search(submission, state, reachable_images(state, draw, fixed), MODES, ELSEWHERE)
    if begun is not None:
        return begun
    raise failed or Fault(expected=f"{count} images, as many as were given", seen="another number of images")
