"""Mistakes in `DCGAN._reconstruction_loss` and `DCGAN.reconstruct`, the search for latent codes."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from autograder.judging import Mistake


@dataclass(frozen=True)
class LossCase:
    """One call of `_reconstruction_loss`.

    reconstruction, x: its arguments, (N, 3, 32, 32). right: what it must return. absolute: the mean absolute difference.
    """

    reconstruction: Tensor
    x: Tensor
    right: float
    absolute: float


ERROR_SUMMED = Mistake(
    "squared-error-summed",
    "The squared error is summed over all elements instead of averaged.",
    hint="Take the mean over every element.",
    questions=("2-4",),
    gives=lambda case: case.right * case.x.numel(),
    once=True,
)
ERROR_SUMMED_PER_IMAGE = Mistake(
    "squared-error-summed-per-image",
    "The squared error is summed over the pixels of each image instead of averaged over all elements.",
    hint="Take the mean over batch, channels and pixels.",
    questions=("2-4",),
    gives=lambda case: case.right * case.x[0].numel(),
    once=True,
)
ERROR_SUMMED_OVER_BATCH = Mistake(
    "squared-error-summed-over-batch",
    "The squared error is summed over the batch instead of averaged.",
    hint="Take the mean over every element.",
    questions=("2-4",),
    gives=lambda case: case.right * len(case.x),
    once=True,
)
ERROR_NOT_SQUARED = Mistake(
    "squared-error-not-squared",
    "The differences are not squared, or the square root of their mean is taken.",
    hint="Take the mean of the squared differences, without a root.",
    questions=("2-4",),
    gives=lambda case: case.absolute,
    once=True,
)
ERROR_HALVED = Mistake(
    "squared-error-halved",
    "The squared error is halved.",
    hint="Leave out the factor 1/2.",
    questions=("2-4",),
    gives=lambda case: case.right / 2,
    once=True,
)

RETURNS_FIRST_LOSS = Mistake(
    "search-returns-first-loss",
    "The loss of the first step is returned.",
    hint="Return the loss after the last step.",
    questions=("2-4",),
    once=True,
)
RESULTS_SWAPPED = Mistake(
    "search-results-swapped",
    "The two results are returned in the wrong order.",
    hint="Return the loss first, then the images.",
    questions=("2-4",),
)
RETURNS_CODES = Mistake(
    "search-returns-codes",
    "The codes are returned instead of their images.",
    hint="Return self._generator(codes), without a graph.",
    questions=("2-4",),
)

NETWORKS_MOVED = Mistake(
    "search-moves-networks",
    "The optimiser changes the parameters of a network, not only the codes.",
    hint="Give the optimiser only the codes.",
    questions=("2-4",),
    once=True,
)
IN_TRAINING_MODE = Mistake(
    "search-in-training-mode",
    "A network is in training mode during the search: batch normalisation uses the batch's statistics and updates its "
    "running averages.",
    hint="Search inside `with evaluation_mode(self._generator):`, which also restores the modes at the end.",
    questions=("2-4",),
    once=True,
)
MODES_CHANGED = Mistake(
    "search-leaves-other-modes",
    "The networks are not returned to the mode (training or evaluation) that they were in before the call.",
    hint="Search inside `with evaluation_mode(self._generator):`, which restores the modes at the end.",
    questions=("2-4",),
    once=True,
)
NETWORKS_FROZEN = Mistake(
    "search-leaves-networks-frozen",
    "A network is left frozen: its parameters no longer require gradients, so it can no longer be trained.",
    hint="Restore requires_grad at the end.",
    questions=("2-4",),
    once=True,
)
GRADIENTS_LEFT = Mistake(
    "search-leaves-gradients",
    "backward() on the loss also fills the networks' gradients, which stay there after the search.",
    hint="Use torch.autograd.grad for the codes only, or clear the networks' gradients at the end.",
    questions=("2-4",),
    once=True,
)
# The parts of a network that must not change, by the probe's key: the name in messages, and the mistake that changes it.
UNTOUCHED = {
    "parameters": ("the parameters of the {}", NETWORKS_MOVED),
    "buffers": ("the running averages of batch normalisation in the {}", IN_TRAINING_MODE),
    "modes": ("the mode (training or evaluation) of the {}", MODES_CHANGED),
    "trainable": ("requires_grad of the parameters of the {}", NETWORKS_FROZEN),
}

# The search. `shows` is for the case of a hidden check, which compares it with its own.
GRAPH_KEPT = Mistake(
    "search-keeps-graph",
    "The results are still attached to their autograd graph, which keeps the computation in memory.",
    hint="Return loss.item(), and generate the images under torch.no_grad() or detach them.",
    questions=("2-4",),
)
SAMPLES_CHANGED = Mistake(
    "search-changes-samples",
    "The samples are changed in place.",
    hint="Work on a copy of the samples, or leave them as they are.",
    questions=("2-4",),
    shows=lambda case: case.samples_changed(),
)
CODES_KEPT = Mistake(
    "search-codes-kept",
    "The codes of an earlier call are used again: the search starts where that one ended.",
    hint="Make new codes of zeros in every call, in a local variable.",
    questions=("2-4",),
    once=True,
)
RANDOM_START = Mistake(
    "search-starts-at-random",
    "The codes start at random values.",
    hint="Start at torch.zeros, so that the result is the same every time.",
    questions=("2-4",),
    shows=lambda case: case.first is not None and bool(case.first.abs().max() > 0.05),
)
STEPS_NOT_500 = Mistake(
    "search-steps-not-500",
    "The number of steps is not exactly 500.",
    hint="Take 500 steps, whatever the loss is.",
    questions=("2-4",),
    shows=lambda case: case.steps not in (None, 499, 500),
)
NUMBER_FIXED = Mistake(
    "search-number-of-images-fixed",
    "The number of images is hard-coded: reconstruct works for that number only.",
    hint="Make one code for each image: len(samples) codes.",
    questions=("2-4",),
)
CODES_NEVER_MOVE = Mistake(
    "search-codes-never-move",
    "The images are those of the zero codes: the codes never move, or the first images are returned.",
    hint="Give the codes to Adam once, before the first step, and generate the images from the codes after the last one.",
    questions=("2-4",),
    shows=lambda case: case.steps == 0 and case.calls > 2,
)


def moves_first_alone(codes: Tensor | None) -> bool:
    """Whether of several codes (N, 64) only the first is not zero."""
    return (
        codes is not None
        and len(codes) > 1
        and bool(codes[0].any())
        and not bool(codes[1:].abs().max() > 1e-6)
    )


FIRST_IMAGE_ONLY = Mistake(
    "search-first-image-only",
    "Only the first image is searched for: the other codes stay at zero.",
    hint="Compare all generated images with all samples.",
    questions=("2-4",),
    shows=lambda case: moves_first_alone(case.last),
)
GRADIENT_DESCENT = Mistake(
    "search-by-gradient-descent",
    "Plain gradient descent is used instead of Adam: the codes hardly move.",
    hint="Make a torch.optim.Adam for the codes.",
    questions=("2-4",),
    shows=lambda case: case.hardly_moved(),
)
RATE_OF_TRAINING = Mistake(
    "search-rate-of-training",
    "The codes are optimised with the learning rate of the training.",
    hint="Use self.vis_learning_rate.",
    questions=("2-4",),
    shows=lambda case: case.fits_rate(2e-4),
)
RATE_LEFT_OUT = Mistake(
    "search-rate-left-out",
    "Adam's learning rate is left out, so it is the default, 1e-3.",
    hint="Use self.vis_learning_rate.",
    questions=("2-4",),
    shows=lambda case: case.fits_rate(1e-3),
)
STEP_SIZES = (RATE_OF_TRAINING, RATE_LEFT_OUT, GRADIENT_DESCENT)
