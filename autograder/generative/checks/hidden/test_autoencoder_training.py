"""Hidden checks of autoencoder.py: training (question 1-2) and sampling (1-3)."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from autograder.judging import Draw, Observation, Submission, again, check, expect

from ...mistakes.public.training import HISTORY_KEEPS_GRAPHS
from ...stand_ins import models
from ..public import expected_sampling as sampling
from ..public import judge_common as common
from ..public import models_autoencoder as small
from ..public import test_autoencoder_sampling as public
from ..public.judge_history import expect_entries, wrong_lengths
from . import expected_own
from . import expected_steps as steps
from . import expected_training as training

TRAIN = (
    "train_autoencoder(model, loader, epochs, learning_rate, device='cpu'): one Adam for the whole run, training mode, "
    "every batch flattened to (N, 1, 784), one step a batch; returns one float per iteration."
)
SAMPLE = (
    "sample_images(model, num_samples, nz, device='cpu'): fresh z ~ N(0, I) of shape (num_samples, nz) at every call, "
    "decoded by model.decoder, without a graph."
)


def _train(submission: Submission, draw: Draw, size: small.Sizes | None = None) -> training.Run:
    size = size or small.sizes(draw)
    weights = small.weights(draw, size.nz, outputs=size.nz)
    images, labels = draw.uniform(size.images, 1, 28, 28), draw.labels(10, size.images)
    seen = submission.ask_once(
        "autoencoder.train_autoencoder",
        weights=weights,
        images=images,
        labels=labels,
        batch_size=size.batch,
        epochs=size.epochs,
        learning_rate=size.rate,
        pass_device=True,
        own_rate=training.OWN_RATE,
    )
    own = training.uses_own_parts(seen)
    return training.Run(
        seen=seen,
        size=replace(size, rate=training.OWN_RATE) if own else size,
        images=images,
        labels=labels,
        make=lambda: (
            expected_own.Model(weights, variational=False) if own else models.AutoEncoder(weights).double()
        ),
        losses=expected_own.losses() if own else steps.autoencoder_losses(),
        own=own,
    )


test_codes_are_normal = again(
    public.test_codes_are_normal_early, points=0.5, rubric="The distribution of the codes"
)


@check(
    "1-2",
    points=1,
    title="Training takes one Adam step per batch, with the given learning rate",
    asks=TRAIN,
    rubric="The parameters after training",
)
def test_training_steps(submission: Submission, shared_draw: Draw) -> None:
    run = _train(submission, shared_draw)
    run.expect_steps("train_autoencoder")
    run.expect_all_epochs()


@check(
    "1-2",
    points=0.5,
    title="Training goes through every batch of every epoch, in training mode",
    asks=TRAIN,
    rubric="The batches and the mode of training",
)
def test_training_batches(submission: Submission, shared_draw: Draw) -> None:
    run = _train(submission, shared_draw)
    run.expect_images()
    run.expect_mode()
    run.expect_all_epochs()
    training.expect_long_epoch(shared_draw, lambda size: _train(submission, shared_draw, size))


@check(
    "1-2",
    points=0.5,
    title="The list holds the loss of every iteration",
    asks=TRAIN,
    rubric="The returned losses",
)
def test_training_history(submission: Submission, shared_draw: Draw) -> None:
    run = _train(submission, shared_draw)
    what = "the list of losses"
    lengths = wrong_lengths(run.seen, run.size.epochs, run.per_epoch)
    losses = expect_entries(run.seen, "history", run.iterations, what, lengths)
    expect(
        not run.seen.flag("graph"),
        expected="plain floats",
        seen="tensors that are still attached to their graphs",
        hint=HISTORY_KEEPS_GRAPHS.hint,
    )
    run.expect_history("total", losses.once, "the losses of the first iterations")
    losses.expect_once(what)
    run.expect_all_epochs()


def _sample(submission: Submission, draw: Draw, count: int) -> tuple[Observation, dict[str, Tensor], int]:
    nz = draw.size("latent", 4, 9)
    weights = small.weights(draw, nz, outputs=nz)
    seen = submission.ask(
        "autoencoder.sample_images", weights=weights, num_samples=count, nz=nz, pass_device=True
    )
    return seen, weights, nz


def _images(seen: Observation, key: str, count: int) -> Tensor:
    return sampling.sampled(seen, key, (count, 1, 28, 28))


@check(
    "1-3",
    points=0.5,
    title="Every sample has its own code",
    asks=SAMPLE,
    rubric="Independence of the codes",
)
def test_codes_are_independent(submission: Submission, draw: Draw) -> None:
    count = draw.integer(20, 40)
    seen, weights, _ = _sample(submission, draw, count)
    images = _images(seen, "first", count)
    sampling.expect_own_draws(sampling.codes_in_any_form(weights, images, None, "the samples"), "the codes")


@check(
    "1-3",
    points=0.5,
    title="The samples are the decoder's output, on any device",
    asks=SAMPLE,
    rubric="How codes become images, on any device",
)
def test_samples_are_decoded(submission: Submission, draw: Draw) -> None:
    count = draw.integer(3, 9)
    seen, weights, _ = _sample(submission, draw, count)
    images = _images(seen, "first", count)
    sampling.codes(weights, images, None, "the samples")
    common.expect_gradients_on(seen, "sample_images")
    expect(
        seen.flag("model_kept"),
        expected="a model that is left as it is",
        seen="changed parameters or gradients",
    )
    nz = draw.size("latent", 4, 9)
    weights = small.weights(draw, nz, outputs=nz)
    seen = submission.ask("autoencoder.sample_elsewhere", weights=weights, num_samples=count, nz=nz)
    common.expect_no_collision(seen, "sample_images")
