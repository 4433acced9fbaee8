"""Hidden checks of 2-3: the largest singular value of the weight that each convolution uses."""

from __future__ import annotations

from torch import Tensor

from autograder.judging import Draw, Submission, check, expect, first_shown

from ...mistakes.hidden import gan_spectral as mistakes
from ..public.judge_spectral import ask_matrices, is_normalised, singular_values

ASKS = (
    "SpectralNormDiscriminator(): spectral normalisation on all three convolutions: the weight, seen as a matrix with one row "
    "per output channel, has the largest singular value 1."
)


def ask_drawn(submission: Submission, draw: Draw, which: str) -> list[Tensor]:
    """The weight of each convolution as a matrix, after its parameters were multiplied by 2.5 to 4."""
    factors = [draw.number(2.5, 4.0) for _ in range(3)]
    return ask_matrices(submission, which, draw.uniform(2, 3, 32, 32), factors)


def by_input_channel(matrix: Tensor) -> Tensor:
    """The same 4 x 4 convolution's weight with one row per input channel."""
    return matrix.reshape(matrix.shape[0], -1, 16).transpose(0, 1).flatten(1)


@check(
    "2-3",
    points=1.5,
    title="All three convolutions have spectral normalisation",
    asks=ASKS,
    rubric="Spectral normalisation",
)
def test_all_convolutions_are_normed(submission: Submission, draw: Draw) -> None:
    matrices = ask_drawn(submission, draw, "class")
    by_output = [is_normalised(matrix) for matrix in matrices]
    by_input = [is_normalised(by_input_channel(matrix)) for matrix in matrices]
    expect(
        all(by_output),
        expected="the largest singular value of all three convolutions is 1, also after training changed their parameters",
        seen=singular_values(matrices),
        mistake=first_shown(mistakes.NORMALISATION, by_output, by_input),
    )


@check(
    "2-3",
    points=1,
    title="DCGAN(spectral_norm=True) makes the discriminator with spectral normalisation, DCGAN() the plain one",
    asks="DCGAN(spectral_norm=True) makes its _discriminator a SpectralNormDiscriminator; DCGAN() a Discriminator.",
    rubric="The flag spectral_norm",
)
def test_the_flag_chooses_the_discriminator(submission: Submission, draw: Draw) -> None:
    matrices = ask_drawn(submission, draw, "true")
    normalised = [is_normalised(matrix) for matrix in matrices]
    ignored = not any(normalised) and submission.ask("gan_spectral.same_class").flag("same")
    expect(
        all(normalised),
        expected="DCGAN(spectral_norm=True): the largest singular value of all three convolutions is 1",
        seen=singular_values(matrices),
        hint="Look at how __init__ uses the flag, and whether the weight initialisation undoes the normalisation.",
        mistake=mistakes.FLAG_IGNORED if ignored else None,
    )
    first, *others = [is_normalised(matrix) for matrix in ask_drawn(submission, draw, "false")]
    expect(
        not first or not any(others),
        expected="DCGAN(): convolutions without spectral normalisation",
        seen="largest singular values of 1, whatever the parameters",
        hint="Let the flag choose between SpectralNormDiscriminator and Discriminator.",
    )


@check(
    "2-3",
    points=0.5,
    title="The convolutions stay normalised in evaluation mode",
    asks=ASKS,
    rubric="Spectral normalisation in evaluation mode",
)
def test_evaluation_mode_is_normed_too(submission: Submission, draw: Draw) -> None:
    images = draw.uniform(2, 3, 32, 32)
    factors = [draw.number(2.5, 4.0) for _ in range(3)]
    matrices = ask_matrices(submission, "class", images, factors, training=False)
    expect(
        all(map(is_normalised, matrices)),
        expected="the largest singular value of all three convolutions is 1 in evaluation mode too",
        seen=singular_values(matrices),
    )


@check(
    "2-3",
    points=0,
    title="The initialisation reaches the convolutions with spectral normalisation (for information)",
    asks="_weight_initialization: every Conv weight ~ N(0, 0.02), also behind spectral normalisation.",
    rubric="Initialisation under spectral normalisation, without points",
)
def test_initialisation_reaches_normed_layers(submission: Submission, draw: Draw) -> None:
    with_norm, plain = (kernel_spreads(submission, which) for which in ("true", "false"))
    reached = are_right_spreads(with_norm)
    # The mistake is about layers with spectral normalisation, so it is named only where there are such layers.
    missed = not reached and are_right_spreads(plain)
    missed = missed and all(map(is_normalised, ask_drawn(submission, draw, "true")))
    expect(
        reached,
        expected="parameters with a standard deviation of 0.02 behind all three weights",
        seen=", ".join(f"{s:.4f}" for s in with_norm) or "no such parameters",
        mistake=mistakes.MISSED_BY_INITIALISATION if missed else None,
        hint=""
        if are_right_spreads(plain)
        else "The plain discriminator's convolutions are not initialised correctly either: begin there (2-1a).",
    )


def kernel_spreads(submission: Submission, which: str) -> list[float]:
    """The standard deviations of a new discriminator's convolution parameters."""
    kernels = submission.ask("gan_spectral.initial_kernels", which=which).list("kernels")
    return [
        k.std().item() for k in kernels if isinstance(k, Tensor) and k.is_floating_point() and k.numel() > 1
    ]


def are_right_spreads(spreads: list[float]) -> bool:
    return bool(spreads) and all(0.015 < spread < 0.025 for spread in spreads)
