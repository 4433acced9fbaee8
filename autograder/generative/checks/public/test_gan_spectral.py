"""Public checks of 2-3: the layers of SpectralNormDiscriminator, and the norm of its first convolution."""

from __future__ import annotations

from autograder.judging import Draw, Observation, Submission, check, expect, first_shown

from ...mistakes.public import gan_spectral as mistakes
from .judge_spectral import ask_matrices, is_normalised, singular_values


@check(
    "2-3",
    points=0.5,
    title="SpectralNormDiscriminator has the layers of Discriminator and can be trained",
    asks="SpectralNormDiscriminator(): as Discriminator, with spectral normalisation on its three convolutions; logits (N, 1).",
)
def test_normed_discriminator_has_the_same_layers(submission: Submission, draw: Draw) -> None:
    seen = submission.ask("gan_spectral.architecture", images=draw.uniform(5, 3, 32, 32))
    seen.tensor("logits", (5, 1), what="the logits for images (5, 3, 32, 32)")
    ours, plain = seen.parts("operations"), seen.parts("plain")
    kinds = [operation.text("kind") for operation in plain]
    expect(
        kinds.count("convolution") == 3 and kinds.count("batch norm") == 2 and kinds.count("leaky relu") == 3,
        expected="the given Discriminator: three convolutions, two batch normalisations, three leaky ReLUs",
        seen=", ".join(kinds) or "no operation at all",
        hint="Leave the given Discriminator as it is.",
    )
    expect(
        [dict(o) for o in ours] == [dict(o) for o in plain],
        expected="the same convolutions, batch normalisations and leaky ReLUs as in Discriminator, in the same order: "
        + ", ".join(description(o) for o in plain),
        seen=", ".join(description(o) for o in ours),
        hint="Only the convolutions' weights change; keep every other layer.",
        mistake=first_shown(mistakes.LAYERS, ours, plain),
    )
    gradients = seen.list("gradients")
    with_gradient = sum(isinstance(g, float) and g > 0 for g in gradients)
    expect(
        len(gradients) >= 3 and with_gradient == len(gradients),
        expected="gradients on the parameters of all three convolutions",
        seen=f"{with_gradient} convolution parameters with a gradient",
        hint="Compute the normalised weight from a parameter in every forward pass.",
    )


def description(operation: Observation) -> str:
    if operation.text("kind") != "convolution":
        return operation.text("kind")
    numbers = "shape", "stride", "padding"
    return "convolution " + " ".join(f"{name} {operation.get(name)}" for name in numbers)


@check(
    "2-3",
    points=0.5,
    title="The first convolution's largest singular value is 1",
    asks="SpectralNormDiscriminator(): the weight of each convolution, seen as a matrix with one row per output channel, "
    "has the largest singular value 1.",
)
def test_first_convolution_is_normed(submission: Submission, draw: Draw) -> None:
    factors = [draw.number(2.5, 4.0) for _ in range(3)]
    first, *_ = ask_matrices(submission, "class", draw.uniform(2, 3, 32, 32), factors)
    expect(
        is_normalised(first),
        expected="a largest singular value of 1 in the first convolution, also after training changed its parameters",
        seen=singular_values([first]),
        hint="Use torch.nn.utils.parametrizations.spectral_norm on each convolution.",
    )
