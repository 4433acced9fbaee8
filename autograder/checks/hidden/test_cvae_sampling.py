"""Hidden checks of cvae.py: sampling (question 1-9)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from autograder.checks.hidden import expected_sampling as sampling
from autograder.checks.public import given, telling
from autograder.judging import (
    Draw,
    Mistake,
    Observation,
    check,
    expect,
    fail,
)

SAMPLE = "sample_conditional(model, labels, nz) -> (len(labels), 28, 28): one fresh z ~ N(0, I) per label, no graph attached."


def _sample(submission: Any, draw: Draw, labels: Tensor, count: int) -> tuple[Observation, dict[str, Tensor]]:
    nz = draw.integer(4, 9)
    weights = given.weights(draw, nz, labels=count)
    return submission.ask("cvae.sample_conditional", weights=weights, beta=1.0, labels=labels, nz=nz), weights


def _codes(seen: Observation, key: str, weights: dict[str, Tensor], labels: Tensor) -> Tensor:
    asked = (len(labels), 28, 28)
    images = seen.tensor(key, asked, what="the samples", mistakes=telling.misshapen(asked))
    return sampling.codes(weights, images, labels, "the samples")


@check("1-9", points=1, title="The codes are draws from N(0, I)", asks=SAMPLE)
def test_codes_are_normal(submission, draw: Draw) -> None:
    count = draw.integer(3, 12)
    labels = draw.integers(0, count, draw.integer(250, 300))
    seen, weights = _sample(submission, draw, labels, count)
    first, second = (_codes(seen, k, weights, labels) for k in ("first", "second"))
    sampling.expect_prior_draws(first, second, "the codes")


@check("1-9", points=1, title="Every label has a code of its own", asks=SAMPLE)
def test_codes_are_independent(submission, draw: Draw) -> None:
    count = draw.integer(3, 7)
    for labels in (draw.integers(0, count, draw.integer(20, 40)), torch.full((9,), draw.integer(0, count))):
        seen, weights = _sample(submission, draw, labels, count)
        z = _codes(seen, "first", weights, labels)
        same_label = [z[labels == k] for k in range(count) if int((labels == k).sum()) > 1]
        if not sampling.shared_rows(z) and all(sampling.shared_rows(rows) for rows in same_label):
            fail(
                expected="the codes: one draw for every label",
                seen="the same code for all labels of a class",
                diagnosis="One code is drawn for each class, not for each label.",
            )
        sampling.expect_own_draws(z, "the codes")


@check("1-9", points=0.5, title="The codes are new at every call", asks=SAMPLE)
def test_codes_are_fresh(submission, draw: Draw) -> None:
    count = draw.integer(3, 12)
    labels = draw.integers(0, count, draw.integer(3, 9))
    seen, weights = _sample(submission, draw, labels, count)
    first, second = (_codes(seen, k, weights, labels) for k in ("first", "second"))
    sampling.expect_new_draws(first, second, "the codes")
    given.expect_no_seed(seen.flag("seed_kept"), "sample_conditional")


@check(
    "1-9",
    points=1,
    title="The images are what the decoder makes of codes and labels, any number of them",
    asks=SAMPLE,
)
def test_images_are_decoded(submission, draw: Draw) -> None:
    for n in (1, draw.integer(3, 9), draw.integer(9, 70)):
        count = draw.integer(3, 12)
        labels = draw.integers(0, count, n)
        seen, weights = _sample(submission, draw, labels, count)
        _codes(seen, "first", weights, labels)
        expect(
            not seen.flag("graph"),
            expected="images without a graph",
            seen="a tensor that requires gradients",
            mistake=Mistake(
                None, "The samples still have a graph attached.", "Sample under torch.no_grad()."
            ),
        )
        expect(
            seen.flag("labels_kept"),
            expected="labels that are left as they are",
            seen="labels that were changed",
        )
        expect(
            seen.flag("model_kept"),
            expected="a model that is left as it is",
            seen="changed parameters or gradients",
        )
