"""Public checks of the size of training steps. They give no points: hidden checks of the same steps do."""

from __future__ import annotations

from autograder.judging import Draw, Submission, check

from .judge_first_step import expect_adams_steps

ASKS = "{}: one Adam for the whole run with the given learning rate, its other parameters as they are by default; training mode."


@check(
    "1-2",
    points=0,
    title="Steps have the size that Adam takes (for information)",
    asks=ASKS.format("train_autoencoder"),
)
def test_autoencoder_steps_are_adams(submission: Submission, draw: Draw) -> None:
    expect_adams_steps(submission, draw, "autoencoder.train_autoencoder")


@check(
    "1-5",
    points=0,
    title="Steps have the size that Adam takes (for information)",
    asks=ASKS.format("train_vae"),
)
def test_vae_steps_are_adams(submission: Submission, draw: Draw) -> None:
    expect_adams_steps(submission, draw, "vae.train_vae")


@check(
    "1-8",
    points=0,
    title="Steps have the size that Adam takes (for information)",
    asks=ASKS.format("train_cvae"),
)
def test_cvae_steps_are_adams(submission: Submission, draw: Draw) -> None:
    expect_adams_steps(submission, draw, "cvae.train_cvae", draw.size("classes", 3, 10))
