"""Public checks of the DCGAN's construction, its classification loss and the spectral-normed discriminator.

They ask for shapes, ranges and facts that any right answer has.
"""

from __future__ import annotations

import math

import torch

from autograder.judging import Mistake, Observation, check, expect, expect_close

# --- 2-1a ------------------------------------------------------------------------------------------------


@check(
    "2-1a",
    points=0.5,
    title="A DCGAN has two networks, two optimisers and its constants",
    asks="DCGAN(spectral_norm=False, device=None) makes _generator, _discriminator, optimizerG and optimizerD on the "
    "device; its constants keep the values given.",
)
def test_networks_and_optimisers_are_made(submission, draw):
    seen = submission.ask("gan.construct", codes=draw.normal(3, 64), images=draw.uniform(5, 3, 32, 32))
    images = seen.tensor("generated", (3, 3, 32, 32), what="what _generator makes of codes (3, 64)")
    expect(
        bool(images.min() >= 0 and images.max() <= 1),
        expected="images with values in [0, 1]",
        seen=f"values from {images.min():.3g} to {images.max():.3g}",
    )
    seen.tensor("logits", (5, 1), what="what _discriminator makes of images (5, 3, 32, 32)")
    can_step = seen.part("can_step")
    for name in ("optimizerG", "optimizerD"):
        expect(
            can_step.flag(name),
            expected=f"{name}: an optimiser, with a method step()",
            seen="an object without one",
        )
    devices = seen.list("devices")
    expect(
        devices == ["cpu"],
        expected="DCGAN(device='cpu'): both networks on the CPU",
        seen=f"parameters on {', '.join(str(d) for d in devices)}",
    )
    elsewhere = submission.ask("gan.construct_elsewhere")
    left = [str(name) for name in elsewhere.list("elsewhere")]
    expect(
        elsewhere.get("collision") is None and not left,
        expected="DCGAN(device=...): networks and buffers on that device",
        seen=f"on the CPU: {', '.join(left)}" if left else elsewhere.text("collision"),
        mistake=Mistake(None, "The networks are not moved to the device.", "Use .to(device).")
        if "_generator" in left or "_discriminator" in left
        else None,
    )
    constants = submission.ask("gan.constants")
    for name, value in {
        "num_epoch": 25,
        "batch_size": 128,
        "log_step": 100,
        "visualize_step": 2,
        "code_size": 64,
        "learning_rate": 2e-4,
        "vis_learning_rate": 1e-2,
    }.items():
        expect_close(
            constants.number(name, what=f"DCGAN.{name}"),
            value,
            what=f"DCGAN.{name}",
            rtol=1e-6,
            atol=0,
            hint="The constants are given: leave them as they are.",
        )


@check(
    "2-1a",
    points=0.5,
    title="Convolutions start with small weights around 0, batch normalisations around 1",
    asks="_weight_initialization: every Conv and ConvTranspose weight ~ N(0, 0.02), every BatchNorm weight ~ N(1, 0.02) "
    "and bias 0, applied to both networks.",
)
def test_initial_weights_are_roughly_right(submission):
    layers = submission.ask("gan.initial_weights").parts("layers")
    for layer in layers:
        name = f"{layer.text('network')}, {layer.text('name')}"
        if layer.text("kind") == "convolution":
            spread = layer.tensor("weight").std().item()
            expect(
                0.01 < spread < 0.04,
                expected=f"{name}: weights with a standard deviation of 0.02",
                seen=f"{spread:.4f}",
                hint="A method that nobody calls initialises nothing; and both networks have convolutions.",
            )
        if layer.text("kind") == "batch norm":
            weight = layer.tensor("weight")
            expect(
                abs(weight.mean().item() - 1) < 0.03 and 0.005 < weight.std().item() < 0.06,
                expected=f"{name}: weights around 1 with a standard deviation of 0.02",
                seen=f"mean {weight.mean().item():.4f}, standard deviation {weight.std().item():.4f}",
                hint="Batch normalisations start at exactly 1 in PyTorch; here they are drawn.",
            )
    kinds = [layer.text("kind") for layer in layers]
    expect(
        kinds.count("convolution") >= 6 and kinds.count("batch norm") >= 5,
        expected="the given generator and discriminator: six convolutions and five batch normalisations together",
        seen=f"{kinds.count('convolution')} convolutions and {kinds.count('batch norm')} batch normalisations",
        hint="Use the given Generator and Discriminator as they are.",
    )


@check(
    "2-1a",
    points=1,
    title="The classification loss is ln 2 for an undecided discriminator, and finite for a very sure one",
    asks="_classification_loss(logits, labels): sigmoid, then binary cross-entropy, the mean over the batch.",
)
def test_classification_loss_has_known_values(submission, draw):
    labels = (draw.uniform(6, 1) < 0.5).float()
    ask = "gan.loss_value"
    seen = submission.ask(ask, name="_classification_loss", first=torch.zeros(6, 1), second=labels)
    expect_close(
        seen.number("loss", what="the loss at logits of 0"),
        math.log(2),
        what="the loss at logits of 0, where the belief is one half: ln 2",
        mistakes=[
            Mistake(
                6 * math.log(2), "The sum over the batch is taken where the mean is asked.", "Take the mean."
            ),
            Mistake(
                labels.mean().item() * 100,
                "The logits are taken for probabilities: the sigmoid is missing.",
                "The discriminator returns logits, so the sigmoid is still to be taken.",
            ),
        ],
    )
    sure = torch.full((6, 1), 100.0)
    right = submission.ask(ask, name="_classification_loss", first=sure, second=torch.ones(6, 1))
    wrong = submission.ask(ask, name="_classification_loss", first=sure, second=torch.zeros(6, 1))
    at_right = right.number("loss", what="the loss when the discriminator is sure and right")
    at_wrong = wrong.number("loss", what="the loss when the discriminator is sure and wrong")
    expect(
        0 <= at_right < 1e-3 and at_wrong > 5,
        expected="next to 0 at logits of 100 and labels 1, and large at logits of 100 and labels 0",
        seen=f"{at_right:.4g} and {at_wrong:.4g}",
        hint="The logits come first and the labels second.",
    )


# --- 2-3 -------------------------------------------------------------------------------------------------


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
    expect(
        [dict(o) for o in ours] == [dict(o) for o in plain],
        expected="the same convolutions, batch normalisations and leaky ReLUs as in Discriminator, in the same order: "
        + ", ".join(describe(o) for o in plain),
        seen=", ".join(describe(o) for o in ours),
        hint="Only the convolutions' weights change; keep every other layer.",
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
