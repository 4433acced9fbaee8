"""Judges reconstruct, of VAE and CVAE, between given networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from autograder.judging import Candidate, Observation, candidates, expect, expect_close

from ...mistakes.public import vae_loss as mistakes
from ...mistakes.public.vae import Posterior
from . import models_autoencoder as small
from .judge_vae import expect_deterministic

Posteriors = Callable[[Tensor | None], Posterior]
Decode = Callable[..., Tensor]


def decoded_by(weights: dict[str, Tensor], c: Tensor | None) -> Callable[[Tensor], bool]:
    """Whether images (N, 28, 28) are the given decoder's for some codes."""
    return lambda images: small.codes_in(weights, images, c) is not None


def expect_reconstruction(
    seen: Observation,
    weights: dict[str, Tensor],
    x: Tensor,
    c: Tensor | None,
    also: Sequence[Tensor] = (),
    others: Callable[[Posteriors, Decode], Sequence[Candidate]] = lambda posterior, decode: (),
) -> None:
    """The decoder's image of the posterior mean (or of one of the codes in `also`), the same at every call.

    others: further mistakes with their images, as a function of the posterior for some labels and of the decoder.
    """
    first = expect_deterministic(seen, len(x), decoded_by(weights, c)).double().flatten(1)

    def posterior(labels: Tensor | None) -> Posterior:
        mu, log_sigma = small.encoded(weights, x, labels).chunk(2, dim=-1)
        return Posterior(mu, log_sigma)

    def decode(code: Tensor, labels: Tensor | None = c) -> Tensor:
        return small.decoded(weights, code, labels)

    if any(torch.allclose(first, decode(code), atol=1e-4) for code in also):
        return
    known = [*candidates(mistakes.RECONSTRUCTIONS, posterior(c), decode), *others(posterior, decode)]
    expect_close(
        first,
        decode(posterior(c).mu),
        rtol=1e-3,
        atol=1e-4,
        what="reconstruct: the decoder's images of the posterior means",
        mistakes=known,
        hint="The mean is the first half of the encoder's output."
        if decoded_by(weights, c)(first)
        else "Return the decoder's output for these means"
        + (" and labels" if c is not None else "")
        + " as it is; only its shape changes.",
    )
    expect(seen.flag("x_kept"), expected="an unchanged input", seen="x was changed")
