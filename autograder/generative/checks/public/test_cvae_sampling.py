"""Public check of question 1-9: the distribution of the codes."""

from __future__ import annotations

from autograder.judging import Draw, Submission, check

from . import expected_sampling as sampling
from . import models_autoencoder as small

SAMPLE = "sample_conditional(model, labels, nz) -> (len(labels), 28, 28): one fresh z ~ N(0, I) per label, no graph attached."


@check(
    "1-9",
    points=0,
    title="The codes are samples from N(0, I) (for information)",
    asks=SAMPLE,
)
def test_codes_are_normal_early(submission: Submission, draw: Draw) -> None:
    count = draw.size("classes", 3, 10)
    labels = draw.labels(count, draw.size("labels", 250, 300))
    nz = draw.size("latent", 4, 9)
    weights = small.weights(draw, nz, labels=count)
    seen = submission.ask("cvae.sample_conditional", weights=weights, beta=1.0, labels=labels, nz=nz)
    first, second = (
        sampling.codes_in_any_form(
            weights, sampling.sampled(seen, k, (len(labels), 28, 28)), labels, "the samples"
        )
        for k in ("first", "second")
    )
    sampling.expect_prior_draws(first, second, "the codes")
