"""Mistakes with the posterior q and the code z, in VAE and CVAE alike."""

from __future__ import annotations

from autograder.judging import Mistake

LATENT = ("1-4", "1-8")

BOTH_HALVES_DECODED = Mistake(
    "reconstruct-decodes-both-halves",
    "reconstruct decodes both halves of q, not only the mean.",
    hint="The encoder returns [mean, log sigma]: decode only the first half.",
    questions=LATENT,
)
SLICED_ALONG_BATCH = Mistake(
    "q-sliced-along-batch",
    "q is split along the batch, its first axis: the first images are taken for the means.",
    hint="Split the last axis: q[..., :nz] and q[..., nz:], or chunk with dim=-1.",
    questions=LATENT,
)
Q_CUT_OFF = Mistake(
    "q-cut-off-from-encoder",
    'outputs["q"] is detached from the encoder, or from a part of it, so the KL term does not train it.',
    hint="Return q as the encoder computes it, with its graph.",
    questions=LATENT,
)
Z_CUT_OFF = Mistake(
    "z-cut-off-from-encoder",
    "z is detached from the encoder, or from a part of it, before it is decoded.",
    hint="Do not detach anything between the encoder and the decoder.",
    questions=LATENT,
)
