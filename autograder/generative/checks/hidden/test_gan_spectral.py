"""Hidden checks of 2-3: the largest singular value of the weight that each convolution uses."""

from __future__ import annotations

from torch import Tensor

from autograder.judging import Draw, Submission, again, check, close, expect

from ...mistakes.hidden import gan_spectral as mistakes
from ..public import test_gan_spectral as public
from ..public.judge_spectral import ask_filled, singular_values

ASKS = (
    "SpectralNormDiscriminator(): spectral normalisation on all three convolutions: the weight, seen as a matrix with one row "
    "per output channel, has the largest singular value 1."
)


test_all_convolutions_are_normed = again(
    public.test_all_convolutions_are_normed_early, points=1.5, rubric="Spectral normalisation"
)

test_the_flag_chooses_the_discriminator = again(
    public.test_the_flag_chooses_the_discriminator_early, points=1, rubric="The flag spectral_norm"
)


@check(
    "2-3",
    points=0.5,
    title="The convolutions stay normalised in evaluation mode",
    asks=ASKS,
    rubric="Spectral normalisation in evaluation mode",
)
def test_evaluation_mode_is_normed_too(submission: Submission, shared_draw: Draw) -> None:
    found = ask_filled(submission, shared_draw, "class")
    kernels = found.sent.weights[:3]
    used, evaluated = (found.weights(mode).used for mode in ("training", "evaluation"))
    expect(
        all(found.weights().follow())
        and not all(close(a, b, rtol=1e-3, atol=1e-4) for a, b in zip(used, kernels, strict=False)),
        expected="convolutions whose weights are their parameters, normalised",
        seen=lambda: (
            "their parameters, unchanged"
            if all(found.weights().follow())
            else singular_values(found.weights())
        ),
        mistake=lambda: public.why_not_normalised(found),
        hint="Normalise the convolutions' weights in every forward pass.",
    )
    expect(
        len(used) == len(evaluated)
        and all(close(a, b, rtol=0.05, atol=1e-3) for a, b in zip(used, evaluated, strict=True)),
        expected="the convolutions' weights in evaluation mode as normalised as in training mode",
        seen=lambda: (
            f"largest singular values of {singular_values(found.weights('evaluation'))} in evaluation mode and of "
            f"{singular_values(found.weights())} in training mode"
        ),
        mistake=lambda: public.why_not_normalised(found) or mistakes.NOT_IN_EVALUATION_MODE,
    )


@check(
    "2-3",
    points=0,
    title="The initialisation reaches the convolutions with spectral normalisation (for information)",
    asks="_weight_initialization: every Conv weight ~ N(0, 0.02), also behind spectral normalisation.",
    rubric="Initialisation under spectral normalisation, without points",
)
def test_initialisation_reaches_normed_layers(submission: Submission, shared_draw: Draw) -> None:
    (with_norm, norms), (plain, _) = (initial_spreads(submission, which) for which in ("true", "false"))
    reached = are_right_spreads(with_norm)
    # The mistake is about layers with spectral normalisation, so it is named only where there are such layers, and the others
    # are initialised.
    missed = not reached and are_right_spreads(plain) and all(spread > 0 for spread in norms)
    missed = missed and all(ask_filled(submission, shared_draw, "true").weights().normalised())
    expect(
        reached,
        expected="parameters with a standard deviation of 0.02 behind all three weights",
        seen=", ".join(f"{s:.4f}" for s in with_norm) or "no such parameters",
        mistake=mistakes.MISSED_BY_INITIALISATION if missed else None,
        hint=""
        if are_right_spreads(plain)
        else "The plain discriminator's convolutions are not initialised correctly either: begin there (2-1a).",
    )


def initial_spreads(submission: Submission, which: str) -> tuple[list[float], list[float]]:
    """The standard deviations of a new discriminator's convolution parameters, and of its batch normalisations' weights."""
    seen = submission.ask("gan_spectral.initial_kernels", which=which)
    kernels, norms = (
        [
            t.std().item()
            for t in seen.list(part)
            if isinstance(t, Tensor) and t.is_floating_point() and t.numel() > 1
        ]
        for part in ("kernels", "norms")
    )
    return kernels, norms


def are_right_spreads(spreads: list[float]) -> bool:
    return bool(spreads) and all(0.015 < spread < 0.025 for spread in spreads)
