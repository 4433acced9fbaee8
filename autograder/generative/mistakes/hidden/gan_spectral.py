"""Mistakes in spectral normalisation in evaluation mode and at the start."""

from __future__ import annotations

from autograder.judging import Mistake

NOT_IN_EVALUATION_MODE = Mistake(
    "spectral-norm-in-training-mode-only",
    "The weights are normalised in training mode only.",
    hint="Normalise the weights in every forward pass; only the power iteration may wait for training mode.",
    questions=("2-3",),
)
MISSED_BY_INITIALISATION = Mistake(
    "spectral-norm-missed-by-initialisation",
    "The initialisation misses the layers with spectral normalisation: their `weight` is computed from another parameter.",
    hint="Use `normal_weight_`, which fills the parameter behind the weight. This costs no points: the normalisation hides "
    "the scale.",
    questions=("2-3",),
)
