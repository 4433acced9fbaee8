"""Mistakes that several questions share: fixed sizes, wrong shapes, devices, randomness, graphs."""

from __future__ import annotations

from autograder.judging import Mistake, shared_columns, shared_rows

MODELS = ("1-1", "1-4", "1-8")
SAMPLING = ("1-3", "1-9")

# Hard-coded sizes.
FIXED_BATCH_SIZE = Mistake(
    "batch-size-fixed",
    "The batch size is hard-coded as 64, so no other batch size works.",
    hint="Take sizes from the arguments: randn_like(mu), zeros_like(mu), len(x), reshape(-1, ...).",
    questions=("1-2", "1-4", "1-5", "1-8"),
    once=True,
)
FIXED_LABEL_COUNT = Mistake(
    "label-count-fixed",
    "The number of labels is hard-coded as 10, so no other number of labels works.",
    hint="Take it from the argument: len(labels).",
    questions=("1-9",),
    once=True,
)
FIXED_LATENT_SIZE = Mistake(
    "latent-size-fixed",
    "The latent size is hard-coded as 32, so no other latent size works.",
    hint="Take nz from the argument, or split q in the middle: q.chunk(2, dim=-1).",
    questions=("1-1", "1-4", "1-8", "1-9"),
    once=True,
)
FIXED_CLASS_COUNT = Mistake(
    "class-count-fixed",
    "The number of classes is hard-coded as 10, so no other number works.",
    hint="Take num_labels from the argument.",
    questions=("1-8",),
    once=True,
)
FIXED_IMAGE_SIZE = Mistake(
    "image-size-fixed",
    "The image size is hard-coded as 784, so no other size works.",
    hint="Take the size from the argument, input_size or output_size.",
    questions=("1-1", "1-8"),
    once=True,
)

# Shapes of what is returned.
MIDDLE_AXIS_MISSING = Mistake(
    "middle-axis-missing",
    "The middle axis is missing: the shape is (N, size), not (N, 1, size).",
    hint="unsqueeze(1) adds the axis; flatten(1) removes it.",
    questions=MODELS,
)
MIDDLE_AXIS_ADDED = Mistake(
    "middle-axis-added",
    "A batch without the middle axis gets one: the shape is (N, 1, size), not (N, size).",
    hint="Linear layers work on the last axis, whatever comes before it: pass the batch on as it is.",
    questions=MODELS,
)
CHANNEL_AXIS_ADDED = Mistake(
    "channel-axis-added",
    "There is a channel axis that should not be there: the shape is (N, 1, 28, 28), not (N, 28, 28).",
    hint="Use reshape(N, 28, 28).",
    questions=("1-4", "1-8", "1-9"),
)
CHANNEL_AXIS_MISSING = Mistake(
    "channel-axis-missing",
    "The channel axis is missing: the shape is (N, 28, 28), not (N, 1, 28, 28).",
    hint="Use reshape(N, 1, 28, 28).",
    questions=("1-3",),
)
IMAGES_FLAT = Mistake(
    "images-flat",
    "The images are still flat: 784 numbers instead of 28 x 28.",
    hint="Reshape the images to the required shape, which ends in 28, 28.",
    questions=("1-3", "1-4", "1-8", "1-9"),
)
BATCH_AXIS_LOST = Mistake(
    "batch-axis-lost",
    "The batch axis is lost when the batch has a single image.",
    hint="squeeze() removes every axis of length 1: use reshape.",
    questions=("1-4", "1-8", "1-9"),
    once=True,
)

# Devices.
TENSOR_ON_CPU = Mistake(
    "tensor-on-cpu",
    "A tensor stays on the CPU while the model is on another device, such as a GPU.",
    hint="Make tensors on the model's device (device=..., randn_like, zeros_like), and move every batch there.",
    questions=("1-2", "1-3", "1-4", "1-5", "1-8", "1-9", "2-1b", "2-4"),
    once=True,
)
IMAGES_ON_DEVICE = Mistake(
    "images-not-on-cpu",
    "The images are not moved back to the CPU.",
    hint="Return images.cpu().",
    questions=("2-4",),
)

# Randomness.
GENERATOR_RESEEDED = Mistake(
    "generator-reseeded",
    "The random generator is reseeded inside the function.",
    hint="Set seeds in the notebook, not in the functions: a seed inside makes every call draw the same values.",
    questions=("1-1", "1-2", "1-3", "1-4", "1-5", "1-8", "1-9", "2-1a", "2-4"),
)
NOISE_SHARED_BY_BATCH = Mistake(
    "noise-shared-by-batch",
    "One draw of noise is shared by the whole batch.",
    hint="Draw a separate number for each sample and each dimension.",
    questions=("1-3", "1-4", "1-8", "1-9"),
    shows=shared_rows,
)
NOISE_MIRRORED = Mistake(
    "noise-mirrored",
    "Each draw of noise is used twice, the second time with the opposite sign.",
    hint="Draw a separate number for each sample and each dimension.",
    questions=("1-3", "1-4", "1-8", "1-9"),
)
NOISE_SHARED_BY_DIMENSIONS = Mistake(
    "noise-shared-by-dimensions",
    "One number is drawn for each sample and shared by all its dimensions.",
    hint="Draw a separate number for each sample and each dimension.",
    questions=("1-3", "1-4", "1-8", "1-9"),
    shows=shared_columns,
)

# Graphs.
GRADIENTS_OFF_FOR_GOOD = Mistake(
    "gradients-off-for-good",
    "Gradients stay switched off after the call, so nothing can be trained afterwards.",
    hint="Use `with torch.no_grad():` or the decorator @torch.no_grad(), which end with the function.",
    questions=SAMPLING,
)
IMAGES_ROUNDED = Mistake(
    "samples-rounded",
    "The images are rounded to black and white.",
    hint="Return the decoder's output; change only its shape.",
    questions=SAMPLING,
    shows=lambda images: bool(((images == 0) | (images == 1)).all()),
)
SAMPLES_KEEP_GRAPH = Mistake(
    "samples-keep-graph",
    "The samples are still attached to an autograd graph.",
    hint="Sample under torch.no_grad().",
    questions=SAMPLING,
)
