"""Public check of question 1-3: the distribution of the codes."""

from __future__ import annotations

from autograder.judging import Draw, Submission, check

from . import expected_sampling as sampling
from . import judge_common as common
from . import models_autoencoder as small

SAMPLE = (
    "sample_images(model, num_samples, nz, device='cpu'): fresh z ~ N(0, I) of shape (num_samples, nz) at every call, "
    "decoded by model.decoder, without a graph."
)


@check(
    "1-3",
    points=0,
    title="The codes are fresh draws from N(0, I) (for information)",
    asks=SAMPLE,
)
def test_codes_are_normal_early(submission: Submission, draw: Draw) -> None:
    count = draw.integer(250, 300)
    nz = draw.size("latent", 4, 9)
    weights = small.weights(draw, nz, outputs=nz)
    seen = submission.ask(
        "autoencoder.sample_images", weights=weights, num_samples=count, nz=nz, pass_device=True
    )
    first, second = (
        sampling.codes_in_any_form(
            weights, sampling.sampled(seen, k, (count, 1, 28, 28)), None, "the samples"
        )
        for k in ("first", "second")
    )
    sampling.expect_prior_draws(first, second, "the codes")
    common.expect_no_seed(seen.flag("seed_kept"), "sample_images")
