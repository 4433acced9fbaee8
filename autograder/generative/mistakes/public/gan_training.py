"""Mistakes in `DCGAN.training_step` that public checks recognise: the optimisers' order, the noise, the batch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from autograder.judging import Mistake

# --- The optimisers' steps of one call, in order: "generator" and "discriminator" ---------------------------

NO_DISCRIMINATOR_STEP = Mistake(
    "step-discriminator-not-stepped",
    "optimizerD takes no step: the discriminator does not learn.",
    hint="Call self.optimizerD.step() after the backward pass of the discriminator's loss.",
    questions=("2-1b",),
    shows=lambda order: "discriminator" not in order,
)
NO_GENERATOR_STEP = Mistake(
    "step-generator-not-stepped",
    "optimizerG takes no step: the generator does not learn.",
    hint="Call self.optimizerG.step() after the backward pass of the generator's loss.",
    questions=("2-1b",),
    shows=lambda order: "generator" not in order,
)
OTHER_OPTIMISER = Mistake(
    "step-by-another-optimiser",
    "A network is updated by an optimiser other than self.optimizerD and self.optimizerG, such as a new one made in every step.",
    hint="Use the two optimisers that __init__ makes: a new one forgets what Adam has learned about the gradients.",
    questions=("2-1b",),
)
OPTIMISERS_EXCHANGED = Mistake(
    "step-optimisers-exchanged",
    "The two optimisers are swapped: optimizerG takes its step after the backward pass of the discriminator's loss.",
    hint="After the discriminator's backward pass call self.optimizerD.step(), after the generator's self.optimizerG.step().",
    questions=("2-1b",),
)
DISCRIMINATOR_STEPS_IN_BOTH = Mistake(
    "step-discriminator-stepped-in-both-phases",
    "optimizerD takes a second step, after the generator's.",
    hint="In the generator's phase only optimizerG takes a step.",
    questions=("2-1b",),
    shows=lambda order: list(order) == ["discriminator", "generator", "discriminator"],
)
DISCRIMINATOR_STEPS_APART = Mistake(
    "step-discriminator-stepped-for-each-batch",
    "optimizerD takes two steps before the generator's; it should take one, for the sum of both losses.",
    hint="Add the losses of the real and the fake batch, and call self.optimizerD.step() once.",
    questions=("2-1b",),
    shows=lambda order: list(order) == ["discriminator", "discriminator", "generator"],
)
DISCRIMINATOR_STEPS_AGAIN = Mistake(
    "step-discriminator-stepped-again",
    "optimizerD takes more than one step in one call.",
    hint="Call self.optimizerD.step() once.",
    questions=("2-1b",),
    shows=lambda order: list(order).count("discriminator") > 1,
)
GENERATOR_STEPS_AGAIN = Mistake(
    "step-generator-stepped-again",
    "optimizerG takes more than one step in one call.",
    hint="Call self.optimizerG.step() once.",
    questions=("2-1b",),
    shows=lambda order: list(order).count("generator") > 1,
)
GENERATOR_FIRST = Mistake(
    "step-generator-first",
    "The generator is trained before the discriminator.",
    hint="Train the discriminator first; the generator then learns from the better one.",
    questions=("2-1b",),
    shows=lambda order: list(order) == ["generator", "discriminator"],
)
WRONG_ORDERS = (
    NO_DISCRIMINATOR_STEP,
    NO_GENERATOR_STEP,
    DISCRIMINATOR_STEPS_IN_BOTH,
    DISCRIMINATOR_STEPS_APART,
    DISCRIMINATOR_STEPS_AGAIN,
    GENERATOR_STEPS_AGAIN,
    GENERATOR_FIRST,
)


# --- Other effects of one call ----------------------------------------------------------------------------


def clipped(pairs: Sequence[tuple[Tensor, Tensor]]) -> bool:
    """Whether the second tensor of every pair is the first one, clipped at one bound for all pairs."""
    bound = max(after.abs().max().item() for _, after in pairs)
    return all(torch.equal(after, stepped.clamp(-bound, bound)) for stepped, after in pairs)


WEIGHTS_CLIPPED = Mistake(
    "step-weights-clipped",
    "The weights of a network are clipped after its optimiser's step.",
    hint="Leave the weights to the optimisers; clipping belongs to the Wasserstein GAN.",
    questions=("2-1b",),
    shows=clipped,
)
LOSSES_KEEP_GRAPH = Mistake(
    "step-losses-keep-graph",
    "The returned losses keep the whole graph alive: memory grows with every iteration.",
    hint="Return loss.item().",
    questions=("2-1b",),
)
REAL_CHANGED_IN_PLACE = Mistake(
    "step-real-changed-in-place",
    "The real images are changed in place, which changes the caller's batch.",
    hint="Make a new tensor, or leave the images as they are: they are in [0, 1], like the fakes.",
    questions=("2-1b",),
)
FAKES_NOT_DETACHED = Mistake(
    "step-fakes-not-detached",
    "The fakes are not detached: the discriminator's loss sends gradients into the generator.",
    hint="Detach the fakes in the discriminator's phase, or make them under torch.no_grad().",
    questions=("2-1b",),
    once=True,
)
BATCH_SIZE_FIXED = Mistake(
    "step-batch-size-fixed",
    "The number of fakes or of labels is hard-coded instead of taken from the batch.",
    hint="Take it from the batch: len(real) codes, and ones_like(logits) for the labels.",
    questions=("2-1b",),
)
LABELS_LACK_AXIS = Mistake(
    "step-labels-lack-axis",
    "The labels lack an axis: they have shape (N,), but the logits have shape (N, 1).",
    hint="Give the labels the shape of the logits: ones_like(logits), zeros_like(logits).",
    questions=("2-1b",),
)
NOISE_SHARED = Mistake(
    "step-noise-shared",
    "One code is shared by the whole batch.",
    hint="Draw (N, code_size) numbers.",
    questions=("2-1b",),
)
