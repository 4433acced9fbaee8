"""Hidden checks of 2-3: the largest singular value of what each convolution computes."""

from __future__ import annotations

import torch

from autograder.checks.public.test_gan_spectral import effective_matrices
from autograder.judging import Mistake, check, expect

ASKS = (
    "SpectralNormDiscriminator(): spectral normalisation on all three convolutions: the weight, seen as a matrix with one row "
    "per output channel, has the largest singular value 1."
)
# Power iteration, one round a forward pass, comes near from below: after 60 passes the singular value is at most a few
# per cent above 1. Without normalisation it is 2.5 or more times its value at the start.
FORWARDS = 60
LOW, HIGH = 0.9, 1.15


def matrices(submission, draw, which: str) -> list[torch.Tensor]:
    """The weight of each convolution as a matrix, after its parameters were multiplied by 2.5 to 4."""
    factors = [draw.number(2.5, 4.0) for _ in range(3)]
    seen = submission.ask(
        "gan_spectral.effective_weights",
        which=which,
        images=draw.uniform(2, 3, 32, 32),
        factors=factors,
        forwards=FORWARDS,
    )
    return effective_matrices(seen)


def largest(matrix: torch.Tensor) -> float:
    return torch.linalg.matrix_norm(matrix, ord=2).item()


def largest_values(submission, draw, which: str) -> list[float]:
    return [largest(matrix) for matrix in matrices(submission, draw, which)]


def by_input_channel(matrix: torch.Tensor) -> torch.Tensor:
    """The same 4 x 4 convolution's weight with one row per input channel."""
    return matrix.reshape(matrix.shape[0], -1, 16).transpose(0, 1).flatten(1)


def normed(value: float) -> bool:
    return LOW <= value <= HIGH


@check(
    "2-3",
    points=1.5,
    title="All three convolutions are spectral-normed",
    asks=ASKS,
    rubric="Spectral normalisation",
)
def test_all_convolutions_are_normed(submission, draw):
    found = matrices(submission, draw, "class")
    values = [largest(matrix) for matrix in found]
    mistake = None
    if not all(map(normed, values)) and all(normed(largest(by_input_channel(matrix))) for matrix in found):
        mistake = Mistake(
            None,
            "The weights are normed as matrices with one row per input channel; one row per output channel is asked.",
            "For convolutions (not transposed ones) that is dim=0, the default.",
        )
    elif normed(values[0]) and not any(map(normed, values[1:])):
        mistake = Mistake(
            None, "Only the first convolution is spectral-normed.", "Norm all three convolutions."
        )
    elif not any(map(normed, values)):
        mistake = Mistake(
            None,
            "No convolution is spectral-normed while it is used: the norm is on fc only, was taken once at the start, or is "
            "not that of the whole weight.",
            "Norm each of the three convolutions, at every forward pass.",
        )
    elif not all(map(normed, values)):
        mistake = Mistake(
            None,
            "Only some of the convolutions are spectral-normed.",
            "Norm all three convolutions.",
        )
    expect(
        all(map(normed, values)),
        expected="the largest singular value of all three convolutions is 1, also after training changed their parameters",
        seen=", ".join(f"{value:.3f}" for value in values),
        mistake=mistake,
    )


@check(
    "2-3",
    points=1,
    title="DCGAN(spectral_norm=True) takes the spectral-normed discriminator, DCGAN() the plain one",
    asks="DCGAN(spectral_norm=True) makes its _discriminator a SpectralNormDiscriminator; DCGAN() a Discriminator.",
    rubric="The flag spectral_norm",
)
def test_the_flag_chooses_the_discriminator(submission, draw):
    values = largest_values(submission, draw, "true")
    ignored = not any(map(normed, values)) and submission.ask("gan_spectral.same_class").flag("same")
    expect(
        all(map(normed, values)),
        expected="DCGAN(spectral_norm=True): the largest singular value of all three convolutions is 1",
        seen=", ".join(f"{value:.3f}" for value in values),
        hint="Look at how __init__ uses the flag, and whether the weight initialisation undoes the normalisation.",
        mistake=Mistake(
            None,
            "The flag spectral_norm is ignored: the same discriminator is made with it and without it.",
            "Let the flag choose between SpectralNormDiscriminator and Discriminator.",
        )
        if ignored
        else None,
    )
    values = largest_values(submission, draw, "false")
    expect(
        not any(map(normed, values[1:])) or not normed(values[0]),
        expected="DCGAN(): convolutions without spectral normalisation",
        seen="largest singular values of 1, whatever the parameters",
        mistake=Mistake(
            None,
            "The spectral-normed discriminator is taken although it was not asked for.",
            "Let the flag choose between the two classes.",
        ),
    )


@check(
    "2-3",
    points=0.5,
    title="The convolutions stay normed in evaluation mode",
    asks=ASKS,
    rubric="Spectral normalisation in evaluation mode",
)
def test_evaluation_mode_is_normed_too(submission, draw):
    seen = submission.ask(
        "gan_spectral.effective_weights",
        which="class",
        images=draw.uniform(2, 3, 32, 32),
        factors=[draw.number(2.5, 4.0) for _ in range(3)],
        forwards=FORWARDS,
        training=False,
    )
    values = [torch.linalg.matrix_norm(matrix, ord=2).item() for matrix in effective_matrices(seen)]
    expect(
        all(map(normed, values)),
        expected="the largest singular value of all three convolutions is 1 in evaluation mode too",
        seen=", ".join(f"{value:.3f}" for value in values),
    )


@check(
    "2-3",
    points=0,
    title="The initialisation reaches the spectral-normed convolutions (for information)",
    asks="_weight_initialization: every Conv weight ~ N(0, 0.02), also behind spectral normalisation.",
    rubric="Initialisation of spectral-normed layers, without points",
)
def test_initialisation_reaches_normed_layers(submission, draw):
    normed_spreads, plain_spreads = (kernel_spreads(submission, which) for which in ("true", "false"))
    # The words about spectral-normed layers fit only where there are such layers.
    reached = right_spread(normed_spreads)
    missed = not reached and right_spread(plain_spreads)
    missed = missed and all(map(normed, largest_values(submission, draw, "true")))
    expect(
        reached,
        expected="parameters with a standard deviation of 0.02 behind all three weights",
        seen=", ".join(f"{s:.4f}" for s in normed_spreads) or "no such parameters",
        mistake=Mistake(
            None,
            "The initialisation misses the spectral-normed layers: their `weight` is computed from another parameter.",
            "Initialise before the norm is put on, or the parameter behind it: weight_orig, or "
            "parametrizations.weight.original. This costs no points: the norm hides the scale.",
        )
        if missed
        else None,
        hint=""
        if right_spread(plain_spreads)
        else "The plain discriminator's convolutions are not initialised as asked either: begin there (2-1a).",
    )


def kernel_spreads(submission, which: str) -> list[float]:
    """The standard deviations of a new discriminator's convolution parameters."""
    kernels = submission.ask("gan_spectral.initial_kernels", which=which).list("kernels")
    return [
        k.std().item()
        for k in kernels
        if isinstance(k, torch.Tensor) and k.is_floating_point() and k.numel() > 1
    ]


def right_spread(spreads: list[float]) -> bool:
    return bool(spreads) and all(0.015 < spread < 0.025 for spread in spreads)
