"""Mistakes in spectral normalisation, recognised by the singular values of the weights in use."""

from __future__ import annotations

from autograder.judging import Mistake

PER_INPUT_CHANNEL = Mistake(
    "spectral-norm-per-input-channel",
    "The weights are normalised as matrices with one row per input channel, not one row per output channel.",
    hint="For Conv2d the dimension of output channels is dim=0, the default.",
    questions=("2-3",),
    shows=lambda by_output, by_input: all(by_input),
)
FIRST_ONLY = Mistake(
    "spectral-norm-first-only",
    "Only the first convolution has spectral normalisation.",
    hint="Normalise all three convolutions.",
    questions=("2-3",),
    shows=lambda by_output, by_input: by_output[0] and not any(by_output[1:]),
)
NONE_NORMALISED = Mistake(
    "spectral-norm-none",
    "No convolution has spectral normalisation when it is used: only fc is normalised, the weights are normalised once at "
    "the start, or another norm is taken.",
    hint="Normalise each of the three convolutions, at every forward pass.",
    questions=("2-3",),
    shows=lambda by_output, by_input: not any(by_output),
)
SOME_ONLY = Mistake(
    "spectral-norm-some-only",
    "Only some of the convolutions have spectral normalisation.",
    hint="Normalise all three convolutions.",
    questions=("2-3",),
    shows=lambda by_output, by_input: not all(by_output),
)
# Recognised by two lists that state for each convolution whether its largest singular value is 1: as a matrix with one row
# per output channel, and with one row per input channel. The first mistake that shows is named.
NORMALISATION = (PER_INPUT_CHANNEL, FIRST_ONLY, NONE_NORMALISED, SOME_ONLY)

FLAG_IGNORED = Mistake(
    "spectral-norm-flag-ignored",
    "The flag spectral_norm is ignored: DCGAN makes the same discriminator with it and without it.",
    hint="Let the flag choose between SpectralNormDiscriminator and Discriminator.",
    questions=("2-3",),
)
ALWAYS_NORMED = Mistake(
    "spectral-norm-always",
    "DCGAN makes the discriminator with spectral normalisation, whatever the flag spectral_norm says.",
    hint="Let the flag choose between SpectralNormDiscriminator and Discriminator.",
    questions=("2-3",),
)
NOT_IN_EVALUATION_MODE = Mistake(
    "spectral-norm-in-training-mode-only",
    "The weights are normalised in training mode only.",
    hint="Normalise the weights in every forward pass; only the power iteration may wait for training mode.",
    questions=("2-3",),
)
MISSED_BY_INITIALISATION = Mistake(
    "spectral-norm-missed-by-initialisation",
    "The initialisation misses the layers with spectral normalisation: their `weight` is computed from another parameter.",
    hint="Initialise before you add the normalisation, or initialise the parameter behind it: weight_orig, or "
    "parametrizations.weight.original. This costs no points: the normalisation hides the scale.",
    questions=("2-3",),
)
