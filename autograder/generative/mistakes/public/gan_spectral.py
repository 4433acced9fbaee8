"""Mistakes in the layers of `SpectralNormDiscriminator`."""

from __future__ import annotations

from collections.abc import Sequence

from autograder.judging import Mistake, Observation

Operations = Sequence[Observation]


def kinds(operations: Operations) -> list[str]:
    return [operation.text("kind") for operation in operations]


def slopes(operations: Operations) -> list[str]:
    return [str(operation.get("slope")) for operation in operations]


def lacks_batch_norm(ours: Operations, plain: Operations) -> bool:
    return kinds(ours) == [kind for kind in kinds(plain) if kind != "batch norm"]


def has_other_convolutions(ours: Operations, plain: Operations) -> bool:
    # As texts, since invented operations may hold tensors, which do not compare to one truth value.
    differing = [b for a, b in zip(ours, plain, strict=False) if str(dict(a)) != str(dict(b))]
    return kinds(ours) == kinds(plain) and "convolution" in kinds(differing)


def has_other_slopes(ours: Operations, plain: Operations) -> bool:
    return kinds(ours) == kinds(plain) and slopes(ours) != slopes(plain)


REPLACES_BATCH_NORM = Mistake(
    "spectral-norm-replaces-batch-norm",
    "The batch normalisations are replaced by spectral normalisation.",
    hint="Keep both batch normalisations; only the convolutions' weights change.",
    questions=("2-3",),
    shows=lacks_batch_norm,
)
OTHER_CONVOLUTIONS = Mistake(
    "spectral-norm-other-convolutions",
    "A convolution has different settings (channels, kernel, stride or padding) from the one in Discriminator.",
    hint="Normalise the convolutions of Discriminator without changing their settings.",
    questions=("2-3",),
    shows=has_other_convolutions,
)
OTHER_SLOPE = Mistake(
    "spectral-norm-other-slope",
    "A leaky ReLU has a different slope from the one in Discriminator.",
    hint="Keep nn.LeakyReLU() with its default slope, 0.01.",
    questions=("2-3",),
    shows=has_other_slopes,
)
OTHER_LAYERS = Mistake(
    "spectral-norm-other-layers",
    "There is a layer too many or too few, compared with Discriminator.",
    hint="Keep the layers of Discriminator: super().__init__() makes them.",
    questions=("2-3",),
    shows=lambda ours, plain: len(ours) != len(plain),
)
# Recognised by the operations of the student's discriminator and those of Discriminator.
LAYERS = (REPLACES_BATCH_NORM, OTHER_CONVOLUTIONS, OTHER_SLOPE, OTHER_LAYERS)

WEIGHTS_ARE_BUFFERS = Mistake(
    "spectral-norm-of-buffers",
    "The convolutions' weights are normalised once and kept as they are: no parameter stands behind them, so training cannot "
    "change them.",
    hint="Keep the weights as parameters, and normalise them in every forward pass.",
    questions=("2-3",),
    shows=lambda follow, moved: not any(follow) and not any(moved),
)
ESTIMATED_ANEW = Mistake(
    "spectral-norm-estimated-anew",
    "The largest singular value is estimated anew from a random vector in every pass, with too few iterations.",
    hint="Keep the vector from one pass to the next, as spectral_norm of PyTorch does.",
    questions=("2-3",),
)
BY_KERNELS = Mistake(
    "spectral-norm-by-kernels",
    "Each 4 x 4 kernel is normalised by itself, instead of the weight as one matrix.",
    hint="See the weight as one matrix with a row for each output channel: weight.flatten(1).",
    questions=("2-3",),
)

SIGMOID_ADDED = Mistake(
    "spectral-norm-returns-probabilities",
    "The discriminator returns probabilities: there is a sigmoid after its last layer.",
    hint="Return logits, as Discriminator does; the classification loss applies the sigmoid.",
    questions=("2-3",),
    shows=lambda probabilities, random: probabilities,
)
DROPOUT_ADDED = Mistake(
    "spectral-norm-adds-dropout",
    "The logits of the same images differ from call to call in training mode: there is a dropout layer.",
    hint="Leave dropout out: Discriminator has none.",
    questions=("2-3",),
    shows=lambda probabilities, random: random,
)
# Recognised by whether the outputs are the sigmoid of the right logits, and whether they are random.
OUTPUTS = (SIGMOID_ADDED, DROPOUT_ADDED)

PER_INPUT_CHANNEL = Mistake(
    "spectral-norm-per-input-channel",
    "The weights are normalised as matrices with one row per input channel, not one row per output channel.",
    hint="For Conv2d the dimension of output channels is dim=0, the default.",
    questions=("2-3",),
    shows=lambda by_output, by_input, unchanged: all(by_input),
)
FIRST_ONLY = Mistake(
    "spectral-norm-first-only",
    "Only the first convolution has spectral normalisation.",
    hint="Normalise all three convolutions.",
    questions=("2-3",),
    shows=lambda by_output, by_input, unchanged: by_output[0] and not any(by_output[1:]),
)
NONE_NORMALISED = Mistake(
    "spectral-norm-none",
    "No convolution has spectral normalisation when it is used: nothing is normalised, only fc, other objects than the "
    "layers in downsample, or the weights once at the start.",
    hint="Normalise the three convolutions in downsample, at every forward pass. If the initialisation then misses them, see "
    "normal_weight_.",
    questions=("2-3",),
    shows=lambda by_output, by_input, unchanged: all(unchanged),
)
OTHER_NORM = Mistake(
    "spectral-norm-other-norm",
    "The weights are divided by more than their largest singular value, such as the Frobenius norm.",
    hint="Divide each weight by its largest singular value: that of the normalised weight is 1.",
    questions=("2-3",),
)
LARGE_ONLY = Mistake(
    "spectral-norm-of-large-weights-only",
    "The second convolution's weight, whose largest singular value is below 1, is left as it is: weights are only made smaller, "
    "never larger, or this layer is left out.",
    hint="Divide every convolution's weight by its largest singular value, whatever that is.",
    questions=("2-3",),
    shows=lambda by_output, by_input, unchanged: by_output == [True, False, True] and unchanged[1],
)
SOME_ONLY = Mistake(
    "spectral-norm-some-only",
    "Only some of the convolutions have spectral normalisation.",
    hint="Normalise all three convolutions.",
    questions=("2-3",),
    shows=lambda by_output, by_input, unchanged: any(by_output) and not all(by_output),
)
BY_ROWS = Mistake(
    "spectral-norm-by-rows",
    "Each output channel is scaled by itself, as weight_norm does, instead of the matrix as a whole.",
    hint="Divide each weight by one number: the largest singular value of its matrix.",
    questions=("2-3",),
)
OTHER_FACTOR = Mistake(
    "spectral-norm-other-factor",
    "The weights are divided by a number other than their largest singular value.",
    hint="Divide each weight by its largest singular value: that of the normalised weight is 1.",
    questions=("2-3",),
    shows=lambda by_output, by_input, unchanged: not any(by_output) and not any(unchanged),
)
# Recognised by three lists that state for each convolution whether its largest singular value is 1 as a matrix with one row
# per output channel, whether it is with one row per input channel, and whether it is as large as that of the parameter. The
# first mistake that shows is named.
NORMALISATION = (PER_INPUT_CHANNEL, FIRST_ONLY, NONE_NORMALISED, LARGE_ONLY, SOME_ONLY, OTHER_FACTOR)

FLAG_IGNORED = Mistake(
    "spectral-norm-flag-ignored",
    "The flag spectral_norm is ignored: DCGAN makes the same discriminator with it and without it.",
    hint="Let the flag choose between SpectralNormDiscriminator and Discriminator.",
    questions=("2-3",),
)
FLAG_INVERTED = Mistake(
    "spectral-norm-flag-inverted",
    "The flag spectral_norm is inverted: DCGAN() makes the discriminator with spectral normalisation, DCGAN(spectral_norm=True) "
    "the plain one.",
    hint="Use SpectralNormDiscriminator when spectral_norm is true, Discriminator otherwise.",
    questions=("2-3",),
)
GENERATOR_NORMED = Mistake(
    "spectral-norm-of-generator-too",
    "With the flag, the generator has more parameters and buffers: it gets spectral normalisation too.",
    hint="Only the discriminator gets it.",
    questions=("2-3",),
)
NOT_INITIALISED_WITH_FLAG = Mistake(
    "spectral-norm-flag-skips-initialisation",
    "The generator is initialised differently when spectral_norm is true.",
    hint="Call _weight_initialization whatever the flag says.",
    questions=("2-3",),
)
NOT_MOVED = Mistake(
    "spectral-norm-not-moved",
    "The discriminator with spectral normalisation is not moved to the device.",
    hint="`a if flag else b.to(device)` moves b alone: put parentheses around the choice.",
    questions=("2-3",),
)
OPTIMISER_OF_ANOTHER = Mistake(
    "spectral-norm-after-the-optimiser",
    "optimizerD does not train the discriminator with spectral normalisation: it was made before, over another one.",
    hint="Make optimizerD after the discriminator, over its parameters.",
    questions=("2-3",),
)
ALWAYS_NORMED = Mistake(
    "spectral-norm-always",
    "DCGAN makes the discriminator with spectral normalisation, whatever the flag spectral_norm says.",
    hint="Let the flag choose between SpectralNormDiscriminator and Discriminator.",
    questions=("2-3",),
)
