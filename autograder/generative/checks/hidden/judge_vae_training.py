"""Training runs of train_vae and train_cvae on a given model, and the histories that they return."""

from __future__ import annotations

from dataclasses import replace

from autograder.judging import Draw, Submission, expect

from ...mistakes.public.training import HISTORY_KEEPS_GRAPHS
from ...stand_ins import models
from ..public import models_autoencoder as small
from ..public.judge_history import expect_entries, wrong_lengths
from . import expected_own
from . import expected_steps as steps
from . import expected_training as training


def train(
    submission: Submission,
    draw: Draw,
    probe: str,
    model: type[models.VAE],
    beta: float,
    labels: int = 0,
    size: small.Sizes | None = None,
) -> training.Run:
    """A run on a new `model`, of odd sizes where none are given; it is conditional where there are `labels`."""
    size = size or small.sizes(draw)
    weights = small.weights(draw, size.nz, labels=labels)
    images, classes = draw.uniform(size.images, 1, 28, 28), draw.labels(labels or 10, size.images)
    seen = submission.ask_once(
        probe,
        weights=weights,
        beta=beta,
        images=images,
        labels=classes,
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
        labels=classes,
        make=lambda: expected_own.Model(weights, beta) if own else model(weights, beta).double(),
        losses=expected_own.losses() if own else steps.vae_losses(),
        needs_labels=bool(labels) and not own,
        own=own,
    )


def expect_histories(run: training.Run) -> None:
    """Both lists hold the losses at each step, as plain floats."""
    history = run.seen.part("history", what="the value that the training returned")
    expect(
        not run.seen.flag("graph"),
        expected="plain floats",
        seen="tensors with their autograd graphs",
        hint=HISTORY_KEEPS_GRAPHS.hint,
    )
    for name in ("rec_loss", "kl_loss"):
        what = f'history["{name}"]'
        lengths = wrong_lengths(run.seen, run.size.epochs, run.per_epoch)
        values = expect_entries(history, name, run.iterations, what, lengths)
        run.expect_history(name, values.once, what, values.others)
        values.expect_once(what)
