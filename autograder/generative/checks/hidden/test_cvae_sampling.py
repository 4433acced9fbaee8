"""Hidden checks of cvae.py: sampling (question 1-9)."""

from __future__ import annotations

import torch
from torch import Tensor

from autograder.judging import Draw, Observation, Submission, again, check, expect, first_shown

from ...mistakes.hidden.cvae import ONE_CODE_PER_CLASS
from ...mistakes.public.common import SAMPLES_KEEP_GRAPH
from ..public import expected_sampling as sampling
from ..public import judge_common as common
from ..public import models_autoencoder as small
from ..public import test_cvae_sampling as public

SAMPLE = "sample_conditional(model, labels, nz) -> (len(labels), 28, 28): one fresh z ~ N(0, I) per label, no graph attached."


def _sample(
    submission: Submission, draw: Draw, labels: Tensor, count: int
) -> tuple[Observation, dict[str, Tensor]]:
    nz = draw.size("latent", 4, 9)
    weights = small.weights(draw, nz, labels=count)
    return submission.ask("cvae.sample_conditional", weights=weights, beta=1.0, labels=labels, nz=nz), weights


def _codes(seen: Observation, key: str, weights: dict[str, Tensor], labels: Tensor) -> Tensor:
    images = sampling.sampled(seen, key, (len(labels), 28, 28))
    return sampling.codes_in_any_form(weights, images, labels, "the samples")


test_codes_are_normal = again(
    public.test_codes_are_normal_early, points=1, rubric="The distribution of the codes"
)


@check(
    "1-9",
    points=1,
    title="Every label has its own code",
    asks=SAMPLE,
    rubric="Independent codes",
)
def test_codes_are_independent(submission: Submission, draw: Draw) -> None:
    count = draw.size("classes", 3, 7)
    one_class = torch.full((draw.or_usual("labels", 9),), draw.integer(0, count))
    for labels in (draw.labels(count, draw.size("labels", 20, 40)), one_class):
        seen, weights = _sample(submission, draw, labels, count)
        z = _codes(seen, "first", weights, labels)
        per_class = first_shown([ONE_CODE_PER_CLASS], z, labels)
        expect(
            per_class is None,
            expected="the codes: one draw for every label",
            seen="the same code for all labels of a class",
            mistake=per_class,
        )
        sampling.expect_own_draws(z, "the codes")


@check(
    "1-9",
    points=0.5,
    title="The codes are new at every call",
    asks=SAMPLE,
    rubric="New codes at every call",
)
def test_codes_are_fresh(submission: Submission, draw: Draw) -> None:
    count = draw.size("classes", 3, 10)
    labels = draw.labels(count, draw.size("labels", 3, 9))
    seen, weights = _sample(submission, draw, labels, count)
    first, second = (_codes(seen, k, weights, labels) for k in ("first", "second"))
    sampling.expect_new_draws(first, second, "the codes")
    common.expect_no_seed(seen.flag("seed_kept"), "sample_conditional")


@check(
    "1-9",
    points=1,
    title="The images are the decoder's output for codes and labels, any number of them",
    asks=SAMPLE,
    rubric="The images for any number of labels",
)
def test_images_are_decoded(submission: Submission, draw: Draw) -> None:
    for n in (draw.size("labels", 1, 2), draw.size("labels", 3, 9), draw.size("labels", 9, 60)):
        count = draw.size("classes", 3, 10)
        labels = draw.labels(count, n)
        seen, weights = _sample(submission, draw, labels, count)
        sampling.codes(weights, sampling.sampled(seen, "first", (n, 28, 28)), labels, "the samples")
        common.expect_gradients_on(seen, "sample_conditional")
        expect(
            not seen.flag("graph"),
            expected="images without a graph",
            seen="a tensor that requires gradients",
            mistake=SAMPLES_KEEP_GRAPH,
        )
        expect(
            seen.flag("labels_kept"),
            expected="unchanged labels",
            seen="labels that were changed",
        )
        expect(
            seen.flag("model_kept"),
            expected="an unchanged model",
            seen="changed parameters or gradients",
        )
