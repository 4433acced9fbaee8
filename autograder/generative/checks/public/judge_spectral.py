"""How the checks of the discriminator with spectral normalisation have it compute with given weights, and judge that.

Every weight is drawn with a clear gap below its largest singular value, so that power iteration finds it in a few passes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor

from autograder.judging import Draw, Observation, Submission, close, expect

from ...probes.gan_spectral import chirp

# The kernels of the given Discriminator's convolutions, and the weight of its last layer.
KERNELS = ((32, 3, 4, 4), (64, 32, 4, 4), (128, 64, 4, 4))
LAST = (1, 2048)
# Singular values of the kernels that are sent, before they are scaled.
LARGEST, SECOND, SMALLEST = 3.0, 1.4, 0.3
# By output channels. The second kernel's largest singular value is below 1, as in a new network: its norm must become larger.
SCALES = {32: 1.0, 64: 0.25, 128: 1.0}
# Passes in training mode, a step of the power iteration each. A few would do for the kernels that are sent; seen as another
# matrix, such as its transpose, a kernel has singular values that lie closer together.
FORWARDS = 40
MOST_CHANNELS, MOST_WEIGHTS = 512, 1 << 22  # of a convolution whose singular values are computed
LOW, HIGH = 0.9, 1.15  # a largest singular value of 1, as far as power iteration gets there
NEAR = 1e-3  # of the logits' size: rounding, and what power iteration leaves


@dataclass(frozen=True)
class Sent:
    """The images that a discriminator judges, and the values that its parameters are given."""

    images: Tensor
    weights: list[Tensor]  # three kernels and the last layer's
    vectors: list[Tensor]  # of all parameters with one axis, by length: 32, 64, 128 and 1
    wave: list[float]  # of all others: see probes.gan_spectral.chirp

    def behind(self, weight: Tensor) -> Tensor:
        """The value that the parameter behind a convolution's weight was given, as far as its size tells."""
        same = [kernel for kernel in self.weights if kernel.numel() == weight.numel()]
        return same[0] if same else chirp(weight.shape, *self.wave)


@dataclass(frozen=True)
class Weights:
    """The weights that the convolutions used in one pass, each with its kernel's shape.

    moved: of each, whether it is another one, not only another multiple, than before the parameters changed.
    """

    used: list[Tensor]
    sent: Sent
    moved: list[bool]

    @property
    def matrices(self) -> list[Tensor]:
        """With one row per output channel."""
        return [weight.flatten(1) for weight in self.used]

    @property
    def by_input(self) -> list[Tensor]:
        """With one row per input channel."""
        return [weight.transpose(0, 1).flatten(1) for weight in self.used]

    def follow(self) -> list[bool]:
        """Whether each is what its parameter was given, but for the scale: a weight that training changes."""
        return [is_scaled(weight, self.sent.behind(weight)) for weight in self.used]

    def are_scaled_by_rows(self) -> bool:
        return all(is_scaled_by_rows(weight, self.sent.behind(weight)) for weight in self.used)

    def are_scaled_by_kernels(self) -> bool:
        return all(is_scaled_by_kernels(weight, self.sent.behind(weight)) for weight in self.used)

    def unchanged(self) -> list[bool]:
        """Whether the largest singular value of each is that of what its parameter was given: it is not normalised."""
        used = map(largest_singular_value, self.matrices)
        given = [largest_singular_value(self.sent.behind(weight).flatten(1)) for weight in self.used]
        return [close(*pair, rtol=1e-2, atol=1e-4) for pair in zip(used, given, strict=True)]

    def first(self) -> Weights:
        """The first convolution's alone."""
        return Weights(self.used[:1], self.sent, self.moved[:1])

    def normalised(self) -> list[bool]:
        pairs = zip(self.matrices, self.follow(), strict=True)
        return [follows and is_normalised(matrix) for matrix, follows in pairs]


@dataclass(frozen=True)
class Filled:
    """A discriminator that computed with the values that were sent."""

    sent: Sent
    seen: Observation

    def weights(self, mode: str = "training") -> Weights:
        """The weights of the convolutions; raises a fault where there are fewer than three."""
        found = [o for o in self.seen.part(mode).parts("operations") if o.text("kind") == "convolution"]
        expect(len(found) >= 3, expected="three convolutions in a forward pass", seen=str(len(found)))
        return Weights(
            [used_weight(o) for o in found], self.sent, [value is True for value in self.seen.list("moved")]
        )

    def is_discriminator(self, mode: str) -> bool:
        """Whether it computes what Discriminator does with the weights sent, each normalised or not.

        Where they are normalised in another way, or made of parameters of other shapes, the weights that the convolutions
        used count: other checks judge these.
        """
        return self._computes(mode, lambda logits: logits)

    def are_probabilities(self) -> bool:
        """Whether it computes the sigmoid of what Discriminator does."""
        return self._computes("training", torch.sigmoid)

    def _computes(self, mode: str, then: Callable[[Tensor], Tensor]) -> bool:
        """Whether its outputs are a function of the logits of Discriminator, with the weights sent or used."""

        def fits(kernels: list[Tensor], used: list[Tensor], last: Tensor) -> bool:
            """kernels: in training mode. used: in this mode."""
            right = then(logits_of(self.sent, kernels, used, last, mode == "training"))
            return (
                isinstance(seen, Tensor)
                and seen.is_floating_point()
                and seen.shape == right.shape
                and bool((seen - right).norm() <= NEAR * right.norm())
            )

        seen = self.seen.part(mode).get("logits")
        *kernels, last = [(normed_weight(weight), weight) for weight in self.sent.weights]
        if any(fits(chosen, chosen, weight) for *chosen, weight in product(*kernels, last)):
            return True
        trained, used = (self.weights(each).used for each in ("training", mode))
        if any([tuple(weight.shape) for weight in found] != list(KERNELS) for found in (trained, used)):
            return False
        return any(fits(trained, used, weight) for weight in last)


def used_weight(convolution: Observation) -> Tensor:
    """The weight that a convolution used; raises a fault where its singular values cannot be computed, or not in time."""
    weight = convolution.tensor("weight", (None, None, None, None))
    expect(
        weight.numel() > 0 and max(weight.shape[:2]) <= MOST_CHANNELS and weight.numel() <= MOST_WEIGHTS,
        expected=f"convolutions with the channels of Discriminator, {max(k[0] for k in KERNELS)} at most",
        seen=f"a weight of shape {tuple(weight.shape)}",
    )
    used = weight * convolution.number("scale")
    expect(bool(used.isfinite().all()), expected="finite weights of the convolutions", seen="infinite ones")
    return used


def ask_filled(submission: Submission, draw: Draw, which: str) -> Filled:
    """A new discriminator with drawn parameters; checks with the same draw examine the same one.

    which: "class" for SpectralNormDiscriminator(), "true" or "false" for DCGAN(spectral_norm=...)'s discriminator.
    """
    weights = [kernel(draw, *shape) for shape in KERNELS] + [draw.normal(*LAST, std=0.05)]
    signs = [draw.normal(n).sign() for n in (64, 128)]
    wide = [sign * draw.uniform(len(sign), low=0.5, high=1.5) for sign in signs]
    vectors = [draw.normal(32, std=0.5), *wide, draw.normal(1)]
    wave = [draw.number(0.3, 1.2), draw.number(0.6, 1.2), draw.number(2.5, 4.0)]
    sent = Sent(draw.uniform(4, 3, 32, 32), weights, vectors, wave)
    seen = submission.ask_once(
        "gan_spectral.filled",
        which=which,
        images=sent.images,
        weights=sent.weights,
        vectors=sent.vectors,
        wave=sent.wave,
        forwards=FORWARDS,
    )
    return Filled(sent, seen)


def kernel(draw: Draw, outputs: int, *rest: int) -> Tensor:
    """A kernel whose matrix, one row per output channel, has the singular values LARGEST and then SECOND to SMALLEST, scaled."""
    rows, _ = torch.linalg.qr(draw.normal(outputs, outputs))
    inputs = torch.Size(rest).numel()
    columns, _ = torch.linalg.qr(draw.normal(inputs, outputs))
    values = torch.cat([torch.tensor([LARGEST]), torch.linspace(SECOND, SMALLEST, outputs - 1)])
    return SCALES[outputs] * ((rows * values) @ columns.t()).reshape(outputs, *rest)


def normed_weight(weight: Tensor) -> Tensor:
    """A weight divided by the largest singular value of its matrix."""
    return weight / largest_singular_value(weight.flatten(1))


def logits_of(sent: Sent, kernels: list[Tensor], used: list[Tensor], last: Tensor, training: bool) -> Tensor:
    """The logits of the given Discriminator with these weights and the vectors sent: bias, scale and shift alike.

    kernels: in training mode. used: in evaluation mode, where its running averages are those of these images in training
    mode.
    """
    x = y = sent.images  # in training mode, and in evaluation mode
    for bias, *weights in zip(sent.vectors, kernels, used, strict=False):
        x, y = (
            F.conv2d(z, weight, bias, stride=2, padding=1) for z, weight in zip((x, y), weights, strict=True)
        )
        if weights[0] is not kernels[0]:
            mean = x.mean((0, 2, 3))
            biased, unbiased = (x.var((0, 2, 3), unbiased=u) for u in (False, True))
            y = F.batch_norm(y, mean, unbiased, bias, bias)
            x = F.batch_norm(x, mean, biased, bias, bias)
        x, y = F.leaky_relu(x), F.leaky_relu(y)
    return F.linear((x if training else y).flatten(1), last, sent.vectors[3])


def is_scaled(weight: Tensor, kernel: Tensor) -> bool:
    """Whether every output channel of a weight is that of the kernel times a number.

    The parameter may hold the kernel as a matrix, or with the axes exchanged.
    """
    forms = [kernel, kernel.transpose(0, 1), kernel.flatten(1).t()]
    cosines = [
        torch.cosine_similarity(weight.double().flatten(1), form.double().reshape(weight.shape).flatten(1))
        for form in forms
    ]
    return any(bool((cosine.abs() > 0.999).all()) for cosine in cosines)


def is_scaled_by_rows(weight: Tensor, kernel: Tensor) -> bool:
    """Whether the output channels of a weight are those of the kernel, each times another number."""
    if not is_scaled(weight, kernel) or weight.shape != kernel.shape:
        return False
    factors = weight.flatten(1).norm(dim=1) / kernel.flatten(1).norm(dim=1)
    return bool(factors.max() > 1.01 * factors.min())


def is_scaled_by_kernels(weight: Tensor, kernel: Tensor) -> bool:
    """Whether the 4 x 4 kernels of a weight are those that it was given, each times another number."""
    if weight.shape != kernel.shape or is_scaled(weight, kernel):
        return False
    pairs = (weight.flatten(2).double(), kernel.flatten(2).double())
    factors = pairs[0].norm(dim=2) / pairs[1].norm(dim=2)
    by_input = bool((factors.amax(0) < 1.01 * factors.amin(0)).all())  # one factor for each input channel
    return not by_input and bool((torch.cosine_similarity(*pairs, dim=2).abs() > 0.999).all())


def largest_singular_value(matrix: Tensor) -> float:
    """By the eigenvalues of the smaller of its two products with itself, which takes a third of an SVD's time."""
    wide = (matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T).double()
    return torch.linalg.eigvalsh(wide @ wide.T)[-1].clamp_min(0).sqrt().item()


def is_normalised(matrix: Tensor) -> bool:
    """Whether the largest singular value is 1, as far as power iteration gets there."""
    return LOW <= largest_singular_value(matrix) <= HIGH


def is_overnormed(weights: Weights) -> bool:
    """Whether every weight follows its parameter, but is scaled so far down that its largest singular value is below 1."""
    pairs = zip(weights.matrices, weights.follow(), strict=True)
    return all(follows and 1e-3 < largest_singular_value(matrix) < LOW for matrix, follows in pairs)


def singular_values(weights: Weights) -> str:
    """The largest singular value of each weight's matrix, and which weights no parameter changes, for a message."""
    values = ", ".join(f"{largest_singular_value(matrix):.3f}" for matrix in weights.matrices)
    pairs = enumerate(zip(weights.follow(), weights.moved, strict=False), 1)
    still = [str(number) for number, (follows, moved) in pairs if not follows and not moved]
    return values + (f"; no parameter changes the weight of convolution {', '.join(still)}" if still else "")
