"""Hidden checks of autoencoder.py: training (question 1-2) and sampling (1-3)."""

from __future__ import annotations

from torch import Tensor

from autograder.checks.hidden import expected_sampling as sampling
from autograder.checks.hidden import expected_steps as steps
from autograder.checks.hidden import expected_training as training
from autograder.checks.public import given, telling
from autograder.judging import (
    Draw,
    Mistake,
    Observation,
    check,
    expect,
)
from autograder.probes.stand_ins import models

TRAIN = (
    "train_autoencoder(model, loader, epochs, learning_rate, device='cpu'): one Adam for the whole run, training mode, "
    "every batch flattened to (N, 1, 784), one step a batch; returns one float per iteration."
)
SAMPLE = (
    "sample_images(model, num_samples, nz, device='cpu'): fresh z ~ N(0, I) of shape (num_samples, nz) at every call, "
    "decoded by model.decoder, without a graph."
)


def _train(submission, draw: Draw) -> training.Run:
    size = given.sizes(draw)
    weights = given.weights(draw, size.nz, outputs=size.nz)
    images, labels = draw.uniform(size.images, 1, 28, 28), draw.integers(0, 10, size.images)
    seen = submission.ask(
        "autoencoder.train_autoencoder",
        weights=weights,
        images=images,
        labels=labels,
        batch_size=size.batch,
        epochs=size.epochs,
        learning_rate=size.rate,
        pass_device=True,
    )
    return training.Run(
        seen=seen,
        size=size,
        images=images,
        labels=labels,
        make=lambda: models.AutoEncoderModel(weights).double(),
        losses=steps.autoencoder_losses(),
    )


@check("1-2", points=1, title="Training takes one Adam step per batch, with the rate it is told", asks=TRAIN)
def test_training_steps(submission, draw: Draw) -> None:
    _train(submission, draw).expect_steps("train_autoencoder")


@check(
    "1-2", points=0.5, title="Training goes through every batch of every epoch, in training mode", asks=TRAIN
)
def test_training_batches(submission, draw: Draw) -> None:
    run = _train(submission, draw)
    run.batches()
    run.expect_mode()


@check("1-2", points=0.5, title="The list holds the loss of every iteration", asks=TRAIN)
def test_training_history(submission, draw: Draw) -> None:
    run = _train(submission, draw)
    one_per_epoch = Mistake(run.size.epochs, telling.ONE_PER_EPOCH)
    losses = run.seen.numbers(
        "history", run.size.iterations, what="the list of losses", mistakes=[one_per_epoch]
    )
    expect(
        not run.seen.flag("graph"),
        expected="plain floats",
        seen="tensors that hold their graph",
        hint="loss.item()",
    )
    run.expect_history("total", losses, "the losses of the first iterations")


def _sample(submission, draw: Draw, count: int) -> tuple[Observation, dict[str, Tensor], int]:
    nz = draw.integer(4, 9)
    weights = given.weights(draw, nz, outputs=nz)
    seen = submission.ask(
        "autoencoder.sample_images", weights=weights, num_samples=count, nz=nz, pass_device=True
    )
    return seen, weights, nz


def _images(seen: Observation, key: str, count: int) -> Tensor:
    asked = (count, 1, 28, 28)
    return seen.tensor(key, asked, what="the samples", mistakes=telling.misshapen(asked))


@check("1-3", points=0.5, title="The codes are fresh draws from N(0, I)", asks=SAMPLE)
def test_codes_are_normal(submission, draw: Draw) -> None:
    count = draw.integer(250, 300)
    seen, weights, _ = _sample(submission, draw, count)
    first, second = (
        sampling.codes(weights, _images(seen, k, count), None, "the samples") for k in ("first", "second")
    )
    sampling.expect_prior_draws(first, second, "the codes")
    given.expect_no_seed(seen.flag("seed_kept"), "sample_images")


@check("1-3", points=0.5, title="Every sample has a code of its own", asks=SAMPLE)
def test_codes_are_independent(submission, draw: Draw) -> None:
    count = draw.integer(20, 40)
    seen, weights, _ = _sample(submission, draw, count)
    images = _images(seen, "first", count)
    sampling.expect_own_draws(sampling.codes(weights, images, None, "the samples"), "the codes")


@check("1-3", points=0.5, title="The samples are the decoder's output, without a graph", asks=SAMPLE)
def test_samples_are_decoded(submission, draw: Draw) -> None:
    count = draw.integer(3, 9)
    seen, weights, _ = _sample(submission, draw, count)
    images = _images(seen, "first", count)
    sampling.codes(weights, images, None, "the samples")
    expect(
        not seen.flag("graph"),
        expected="samples without a graph",
        seen="a tensor that requires gradients",
        mistake=Mistake(None, "The samples still have a graph attached.", "Sample under torch.no_grad()."),
    )
    expect(
        seen.flag("model_kept"),
        expected="a model that is left as it is",
        seen="changed parameters or gradients",
    )
    nz = draw.integer(4, 9)
    weights = given.weights(draw, nz, outputs=nz)
    seen = submission.ask("autoencoder.sample_elsewhere", weights=weights, num_samples=count, nz=nz)
    given.expect_no_collision(seen, "sample_images")
