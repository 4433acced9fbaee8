"""Judges forward, of VAE and CVAE: the posterior that it returns and the code that it decodes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from autograder.judging import (
    Observation,
    candidates,
    expect,
    expect_close,
    expect_fresh,
    expect_standard_normal,
    fail,
)

from ...mistakes.hidden import cvae as cvae_mistakes
from ...mistakes.hidden import vae as mistakes
from ...mistakes.public.vae import Q_OVERWRITTEN, Posterior
from ..public import judge_calls as calls
from ..public import judge_vae as public
from ..public import models_autoencoder as small
from ..public.expected_sampling import expect_own_draws
from . import expected_vae as expected
from .judge_noise import expect_no_known_scale

Weights = dict[str, Tensor]


def expect_posterior_sample(
    seen: Observation, weights: Weights, x: Tensor, c: Tensor | None, also: Sequence[Tensor] = ()
) -> None:
    """rec is decoded from the given reparameterize's code, from the student's own sample, or from one of `also`.

    In evaluation mode it may not be decoded from the mean either.
    """
    _, resting = _posterior_and_code(seen, "in_evaluation", weights, x, c)
    posterior, z = _posterior_and_code(seen, "outputs", weights, x, c)
    given = [expected.reparameterized(posterior.mu, posterior.log_sigma), *also]
    if not any(torch.allclose(z, code, atol=2e-3) for code in given):
        _expect_draws(z, posterior)
    expect(
        not torch.allclose(resting, posterior.mu, atol=2e-3),
        expected="a sample z of the posterior, decoded, in evaluation mode as well",
        seen="the mean, decoded",
        mistake=mistakes.NO_NOISE_IN_EVALUATION,
    )


def _expect_draws(z: Tensor, posterior: Posterior) -> None:
    """The codes are the student's own draws from the posterior."""
    _expect_no_known_code(z, posterior)
    noise = z - posterior.mu
    eps = noise / posterior.log_sigma.exp()
    expect_own_draws(eps, "the noise")
    expect_no_known_scale(noise, posterior.log_sigma)
    expect_standard_normal(eps, what="(z - mu) / sigma of the codes that forward decoded")


def expect_new_sample(seen: Observation, weights: Weights, x: Tensor, c: Tensor | None) -> None:
    """Two calls decode two different codes, and neither is the mean."""
    posterior, z = _posterior_and_code(seen, "outputs", weights, x, c)
    _expect_no_known_code(z, posterior)
    _, again = _posterior_and_code(seen, "again", weights, x, c)
    expect_fresh(z, again, what="the code that forward decodes")
    expect(seen.flag("x_kept"), expected="an unchanged input", seen="x was changed")


def expect_own_parts(seen: Observation, x: Tensor) -> None:
    """The model as constructed uses its own encoder, and the loss reaches all parameters of both networks."""
    code = seen.tensor("code", what="the encoder's output")
    q = seen.part("outputs").tensor("q", what='outputs["q"]')
    expect_close(
        *(part.reshape(len(x), -1) if part.numel() % len(x) == 0 else part for part in (q, code)),
        what='outputs["q"], which is the encoder\'s output',
    )
    calls.expect_gradient_flow(seen, "the model as constructed")


def _posterior_and_code(
    seen: Observation, key: str, weights: Weights, x: Tensor, c: Tensor | None
) -> tuple[Posterior, Tensor]:
    """The posterior and the code z that was decoded, (N, nz) each, after checking q and rec."""
    n, nz = len(x), weights["decoder_weight"].shape[1]
    outputs = seen.part(key, what="the value that forward returned")
    q = outputs.tensor("q", what='outputs["q"]')
    public.expect_posterior_shape(q, n, nz, what='outputs["q"]', mistake=Q_OVERWRITTEN)

    def encode(labels: Tensor | None) -> Tensor:
        return small.encoded(weights, x, labels)

    right = encode(c)
    expect_close(
        q.double().reshape(n, -1),
        right,
        rtol=1e-3,
        atol=1e-4,
        what='outputs["q"], which is the encoder\'s output',
        mistakes=[] if c is None else candidates(cvae_mistakes.ENCODINGS, encode, c),
    )
    rec = outputs.tensor("rec", (n, 1, 784), what='outputs["rec"]')
    z = small.codes_in(weights, rec, c)
    if z is None:
        labelled = c is not None
        fail(
            expected='outputs["rec"]: the decoder\'s output for a code'
            + (" and the labels" if labelled else ""),
            seen="an image that the decoder returns for no code",
            mistake=cvae_mistakes.DECODER_WITHOUT_LABELS
            if labelled and small.codes_in(weights, rec) is not None
            else None,
        )
    return Posterior(*expected.halves(right)), z


def _expect_no_known_code(z: Tensor, posterior: Posterior) -> None:
    for wrong in mistakes.decoded_codes(posterior, expected.reparameterized):
        expect(
            not torch.allclose(z, wrong.value, atol=2e-3),
            expected="a sample z of the posterior, decoded",
            seen="another code, decoded",
            mistake=wrong.mistake,
        )
