"""How the checks of the discriminator with spectral normalisation read the weights that its convolutions use."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from autograder.judging import Submission, expect

# Power iteration, one round in each forward pass, approaches the singular value from below: after 60 passes the
# normalised weight's is at most a few per cent above 1. Without normalisation it is at least 2.5 times its initial value.
FORWARDS = 60
LOW, HIGH = 0.9, 1.15


def ask_matrices(
    submission: Submission, which: str, images: Tensor, factors: list[float], **inputs: Any
) -> list[Tensor]:
    """The weights that the three convolutions use, each as a matrix with one row per output channel, after the
    parameters were multiplied by `factors`.

    which: "class" for SpectralNormDiscriminator(), "true" or "false" for DCGAN(spectral_norm=...)'s discriminator.
    """
    seen = submission.ask(
        "gan_spectral.effective_weights",
        which=which,
        images=images,
        factors=factors,
        forwards=FORWARDS,
        **inputs,
    )
    found = [o for o in seen.parts("operations") if o.text("kind") == "convolution"]
    expect(len(found) == 3, expected="three convolutions in a forward pass", seen=str(len(found)))
    return [o.tensor("weight", (None, None, 4, 4)).flatten(1) * o.number("scale") for o in found]


def largest_singular_value(matrix: Tensor) -> float:
    return torch.linalg.matrix_norm(matrix, ord=2).item()


def is_normalised(matrix: Tensor) -> bool:
    """Whether the largest singular value is 1, as far as power iteration gets there."""
    return LOW <= largest_singular_value(matrix) <= HIGH


def singular_values(matrices: list[Tensor]) -> str:
    """The largest singular value of each matrix, for a message."""
    return ", ".join(f"{largest_singular_value(matrix):.3f}" for matrix in matrices)
