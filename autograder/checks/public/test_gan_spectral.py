"""Public checks of the spectral-normed discriminator: its layers, and the norm of its first convolution."""

from __future__ import annotations

import torch

from autograder.judging import Mistake, Observation, check, expect


@check(
    "2-3",
    points=0.5,
    title="The spectral-normed discriminator has the same layers and can be trained",
    asks="SpectralNormDiscriminator(): as Discriminator, with spectral normalisation on its three convolutions; logits (N, 1).",
)
def test_normed_discriminator_has_the_same_layers(submission, draw):
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
        + ", ".join(describe(o) for o in plain),
        seen=", ".join(describe(o) for o in ours),
        hint="Only the convolutions' weights change; keep every other layer.",
        mistake=other_layers(ours, plain),
    )
    gradients = seen.list("gradients")
    expect(
        len(gradients) >= 3 and all(isinstance(g, float) and g > 0 for g in gradients),
        expected="gradients on the parameters of all three convolutions",
        seen=f"{sum(isinstance(g, float) and g > 0 for g in gradients)} convolution parameters with a gradient",
        hint="A normalised weight is computed from a parameter, anew at every forward pass.",
    )


def describe(operation: Observation) -> str:
    if operation.text("kind") != "convolution":
        return operation.text("kind")
    return f"convolution {operation.get('shape')} stride {operation.get('stride')}"


def other_layers(ours: list[Observation], plain: list[Observation]) -> Mistake | None:
    """What was done to the layers besides norming them, where that can be told."""
    kinds, asked = [[o.text("kind") for o in operations] for operations in (ours, plain)]
    without = [kind for kind in asked if kind != "batch norm"]
    if kinds == without:
        return Mistake(
            None,
            "The batch normalisations are left out: spectral normalisation takes their place.",
            "Keep both batch normalisations; only the convolutions' weights change.",
        )
    for number, (a, b) in enumerate(zip(ours, plain, strict=False), start=1):
        if kinds == asked and dict(a) != dict(b) and b.text("kind") == "convolution":
            place = kinds[:number].count("convolution")
            return Mistake(
                None,
                f"Convolution {place} of 3 has other settings than in Discriminator: channels, kernel, stride or padding.",
                "Norm the convolutions that are there in place of making others.",
            )
    return None


def effective_matrices(seen: Observation) -> list[torch.Tensor]:
    """The weights of the convolutions that were carried out, as matrices with one row per output channel."""
    found = [o for o in seen.parts("operations") if o.text("kind") == "convolution"]
    expect(len(found) == 3, expected="three convolutions in a forward pass", seen=str(len(found)))
    return [o.tensor("weight", (None, None, 4, 4)).flatten(1) * o.number("scale") for o in found]


@check(
    "2-3",
    points=0.5,
    title="The first convolution's largest singular value is 1",
    asks="SpectralNormDiscriminator(): the weight of each convolution, seen as a matrix with one row per output channel, "
    "has the largest singular value 1.",
)
def test_first_convolution_is_normed(submission, draw):
    factors = [draw.number(2.5, 4.0) for _ in range(3)]
    seen = submission.ask(
        "gan_spectral.effective_weights",
        which="class",
        images=draw.uniform(2, 3, 32, 32),
        factors=factors,
        forwards=60,
    )
    largest = torch.linalg.matrix_norm(effective_matrices(seen)[0], ord=2).item()
    expect(
        0.9 <= largest <= 1.15,
        expected="a largest singular value of 1 in the first convolution, also after training changed its parameters",
        seen=f"{largest:.3f}",
        hint="Use torch.nn.utils.parametrizations.spectral_norm on each convolution.",
    )
