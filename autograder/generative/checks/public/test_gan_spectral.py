"""Public checks of 2-3: the layers of SpectralNormDiscriminator, the norms of its convolutions, and the flag that chooses it."""

from __future__ import annotations

from autograder.judging import Draw, Mistake, NoAnswer, Observation, Submission, check, expect, first_shown

from ...mistakes.public import gan_spectral as mistakes
from .judge_spectral import Filled, ask_filled, is_normalised, is_overnormed, singular_values

MODES = ("training", "evaluation")
ASKS = (
    "SpectralNormDiscriminator(): spectral normalisation on all three convolutions: the weight, seen as a matrix with one row "
    "per output channel, has the largest singular value 1."
)

FLAG = (
    "DCGAN(spectral_norm=True) makes its _discriminator a SpectralNormDiscriminator; DCGAN() a Discriminator. Everything else "
    "stays the same."
)


@check(
    "2-3",
    points=0.5,
    title="SpectralNormDiscriminator has the layers of Discriminator and can be trained",
    asks="SpectralNormDiscriminator(): as Discriminator, with spectral normalisation on its three convolutions; logits (N, 1).",
)
def test_normed_discriminator_has_the_same_layers(submission: Submission, shared_draw: Draw) -> None:
    seen = submission.ask("gan_spectral.architecture", images=Draw(shared_draw.seed).uniform(5, 3, 32, 32))
    seen.tensor("logits", (5, 1), what="the logits for images (5, 3, 32, 32)")
    gradients = seen.list("gradients")
    with_gradient = sum(isinstance(g, float) and g > 0 for g in gradients)
    expect(
        len(gradients) >= 4 and with_gradient == len(gradients),
        expected="gradients on the parameters behind all three convolutions and the last layer",
        seen=f"{with_gradient} such parameters with a gradient",
        hint="Compute the normalised weight from a parameter in every forward pass.",
        mistake=mistakes.WEIGHTS_ARE_BUFFERS if not gradients[1:] else None,
    )
    ours, plain = seen.parts("operations"), seen.parts("plain")
    found = ask_filled(submission, shared_draw, "class")
    for mode in MODES:
        expect(
            found.is_discriminator(mode),
            expected=f"the logits of Discriminator with the normalised weights, in {mode} mode; its layers: "
            + ", ".join(description(o) for o in plain),
            seen="other logits; the layers: " + ", ".join(description(o) for o in ours),
            hint="Only the convolutions' weights change; keep every other layer.",
            mistake=lambda: (
                first_shown(mistakes.LAYERS, ours, plain)
                or first_shown(mistakes.OUTPUTS, found.are_probabilities(), found.seen.flag("random"))
                or (mistakes.ESTIMATED_ANEW if found.seen.flag("random_weights") else None)
            ),
        )


def description(operation: Observation) -> str:
    kind = operation.text("kind")
    if kind == "leaky relu":
        return f"{kind} {operation.get('slope')}"
    if kind != "convolution":
        return kind
    numbers = "shape", "stride", "padding"
    return "convolution " + " ".join(f"{name} {operation.get(name)}" for name in numbers)


def why_not_normalised(found: Filled) -> Mistake | None:
    """The mistake that shows in how the weights of all convolutions come about; None where none does."""
    if found.seen.flag("random_weights"):
        return mistakes.ESTIMATED_ANEW
    if found.weights().are_scaled_by_kernels():
        return mistakes.BY_KERNELS
    return first_shown([mistakes.WEIGHTS_ARE_BUFFERS], found.weights().follow(), found.weights().moved)


def how_not_normalised(found: Filled) -> Mistake | None:
    """The mistake that shows in the weights of all convolutions; None where none does."""
    used = found.weights()
    by_input = [is_normalised(matrix) for matrix in used.by_input]
    return (
        why_not_normalised(found)
        or (mistakes.BY_ROWS if used.are_scaled_by_rows() else None)
        or (mistakes.OTHER_NORM if is_overnormed(used) and not all(by_input) else None)
        or first_shown(mistakes.NORMALISATION, used.normalised(), by_input, used.unchanged())
    )


@check(
    "2-3",
    points=0.5,
    title="The first convolution's largest singular value is 1",
    asks="SpectralNormDiscriminator(): the weight of each convolution, seen as a matrix with one row per output channel, "
    "has the largest singular value 1.",
)
def test_first_convolution_is_normed(submission: Submission, shared_draw: Draw) -> None:
    found = ask_filled(submission, shared_draw, "class")
    used = found.weights()
    expect(
        used.normalised()[0],
        expected="a largest singular value of 1 in the first convolution, also after training changed its parameters",
        seen=lambda: singular_values(used.first()),
        mistake=lambda: why_not_normalised(found),
        hint="Normalise each layer of self.downsample that is a convolution, at every forward pass.",
    )


@check(
    "2-3",
    points=0,
    title="All three convolutions have spectral normalisation (for information)",
    asks=ASKS,
)
def test_all_convolutions_are_normed_early(submission: Submission, shared_draw: Draw) -> None:
    found = ask_filled(submission, shared_draw, "class")
    used = found.weights()
    expect(
        all(used.normalised()),
        expected="the largest singular value of all three convolutions is 1, also after training changed their parameters",
        seen=lambda: singular_values(used),
        mistake=lambda: how_not_normalised(found),
    )


@check(
    "2-3",
    points=0,
    title="DCGAN(spectral_norm=True) makes the discriminator with spectral normalisation, DCGAN() the plain one (for information)",
    asks=FLAG,
)
def test_the_flag_chooses_the_discriminator_early(submission: Submission, shared_draw: Draw) -> None:
    asked = {}
    for which in ("class", "true", "false"):
        shared_draw.restart()
        asked[which] = ask_filled(submission, shared_draw, which)
    normed = {which: found.weights().normalised() for which, found in asked.items()}
    classes = submission.ask("gan_spectral.classes")
    # Where no convolution of the class is normalised, which another check judges, only the class shows what was chosen.
    by_class = classes.flag("true") and not classes.flag("false")
    with_flag = normed["true"] == normed["class"] if any(normed["class"]) else by_class
    expect(
        with_flag,
        expected="DCGAN(spectral_norm=True): the convolutions normalised as in SpectralNormDiscriminator",
        seen=lambda: "largest singular values of " + singular_values(asked["true"].weights()),
        hint="Look at how __init__ uses the flag, and whether the weight initialisation undoes the normalisation.",
        mistake=None
        if any(normed["true"]) or classes.flag("true")
        else mistakes.FLAG_INVERTED
        if classes.flag("false")
        else mistakes.FLAG_IGNORED,
    )
    expect(
        all(asked["false"].weights().follow()),
        expected="DCGAN(): convolutions that use their parameters",
        seen="weights that no parameter changes",
    )
    expect(
        not any(normed["false"]),
        expected="DCGAN(): convolutions without spectral normalisation",
        seen="largest singular values of 1, whatever the parameters",
        mistake=mistakes.ALWAYS_NORMED if normed["false"] == normed["true"] else None,
        hint="Let the flag choose between SpectralNormDiscriminator and Discriminator.",
    )
    try:
        seen = submission.ask("gan_spectral.flag_alone")
    except NoAnswer as none:
        if none.status not in ("failed", "missing"):
            raise
    else:  # a constructor that raises is another check's matter
        expect_all_else_the_same(seen)


def expect_all_else_the_same(seen: Observation) -> None:
    """Raises a fault unless the flag leaves the generator as it is, and optimizerD trains the discriminator that it chooses."""
    parts, spreads = (
        {which: seen.part(what).list(which) for which in ("true", "false")} for what in ("parts", "spreads")
    )
    expect(
        len(parts["true"]) == len(parts["false"]),
        expected=f"DCGAN(spectral_norm=True): a generator with {len(parts['false'])} parameters and buffers, as without the flag",
        seen=f"{len(parts['true'])}",
        mistake=mistakes.GENERATOR_NORMED if len(parts["true"]) > len(parts["false"]) else None,
        hint="The flag is about the discriminator alone.",
    )
    pairs = [
        (a, b)
        for a, b in zip(spreads["true"], spreads["false"], strict=False)
        if isinstance(a, float) and isinstance(b, float)
    ]
    expect(
        # PyTorch's own initialisation of the last layer is four times as wide.
        all(abs(a - b) <= 0.5 * b for a, b in pairs),
        expected="DCGAN(spectral_norm=True): a generator whose convolutions begin as without the flag",
        seen="standard deviations of " + ", ".join(f"{a:.4f}" for a, _ in pairs),
        mistake=mistakes.NOT_INITIALISED_WITH_FLAG,
    )
    left = seen.part("left")
    expect(
        left.get("false") != 0
        or left.get("true") == 0,  # one that is left without the flag too is 2-1a's matter
        expected="DCGAN(spectral_norm=True, device=...): the discriminator on that device",
        seen=f"{left.get('true')} parameters on the CPU",
        mistake=mistakes.NOT_MOVED,
    )
    moved, count = seen.part("moved"), seen.part("parameters")
    if moved.get("false") != count.get("false"):  # an optimiser that is wrong without the flag, too
        return
    expect(
        moved.get("true") == count.get("true"),
        expected="DCGAN(spectral_norm=True): an optimizerD that moves every parameter of the discriminator",
        seen=f"{moved.get('true')} of {count.get('true')} parameters moved",
        mistake=mistakes.OPTIMISER_OF_ANOTHER if moved.get("true") == 0 else None,
        hint="Make optimizerD last, over the parameters of self._discriminator.",
    )
