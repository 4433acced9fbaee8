"""Public checks of the DCGAN's construction and its classification loss.

They ask for shapes, ranges and facts that any right answer has.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from autograder.examinee import Examinee
from autograder.judging import Fault, Mistake, Observation, check, close, expect, expect_close


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
    logits = seen.tensor("logits", (5, 1), what="what _discriminator makes of images (5, 3, 32, 32)")
    expect(
        bool((images != images[:1]).any() and (logits != logits[:1]).any()),
        expected="other images for other codes, and other logits for other images",
        seen="the same for all",
        hint="Use the given Generator and Discriminator.",
    )
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
        seen_value = constants.number(name, what=f"DCGAN.{name}")
        expect(
            close(seen_value, value, rtol=1e-6, atol=0),
            expected=f"DCGAN.{name}: {value:g}",
            seen=f"{seen_value:g}",
            mistake=Mistake(
                None,
                f"The constant {name} is changed; the class's constants are given.",
                "Leave the constants as they are.",
            ),
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
    mistake = not_initialised(layers)
    for layer in layers:
        name = f"{layer.text('network')}, {layer.text('name')}"
        if layer.text("kind") == "convolution":
            spread = layer.tensor("weight").std().item()
            expect(
                0.01 < spread < 0.04,
                expected=f"{name}: weights with a standard deviation of 0.02",
                seen=f"{spread:.4f}",
                hint="A method that nobody calls initialises nothing; and both networks have convolutions.",
                mistake=mistake,
            )
        if layer.text("kind") == "batch norm":
            weight = layer.tensor("weight")
            expect(
                abs(weight.mean().item() - 1) < 0.03 and 0.005 < weight.std().item() < 0.06,
                expected=f"{name}: weights around 1 with a standard deviation of 0.02",
                seen=f"mean {weight.mean().item():.4f}, standard deviation {weight.std().item():.4f}",
                hint="Batch normalisations start at exactly 1 in PyTorch; here they are drawn.",
                mistake=Mistake(
                    None,
                    f"A batch normalisation of the {layer.text('network')} is not initialised: its weights still are "
                    "PyTorch's ones.",
                    "Go through the modules of both networks, and think of BatchNorm2d.",
                )
                if bool((weight == 1).all())
                else None,
            )
    kinds = [layer.text("kind") for layer in layers]
    expect(
        kinds.count("convolution") >= 6 and kinds.count("batch norm") >= 5,
        expected="the given generator and discriminator: six convolutions and five batch normalisations together",
        seen=f"{kinds.count('convolution')} convolutions and {kinds.count('batch norm')} batch normalisations",
        hint="Use the given Generator and Discriminator as they are.",
    )


def default_bound(weight: Tensor) -> float:
    """PyTorch draws the weights of convolutions and linear layers from U(-b, b), b = 1 / sqrt(fan in)."""
    return 1 / math.sqrt(weight[0].numel())


def looks_default(weight: Tensor) -> bool:
    largest, bound = weight.abs().max().item(), default_bound(weight)
    return 0.95 * bound < largest <= bound * (1 + 1e-5) and abs(weight.std().item() / bound - 3**-0.5) < 0.06


def not_initialised(layers: list[Observation]) -> Mistake | None:
    """The mistake of convolutions that still have the weights that PyTorch gave them; None where there are none."""
    convolutions = [layer for layer in layers if layer.text("kind") == "convolution"]
    untouched = [layer for layer in convolutions if looks_default(layer.tensor("weight"))]
    if not untouched:
        return None
    if len(untouched) == len(convolutions):
        return Mistake(
            None,
            "The weight initialisation is never applied, or applied to the wrong object: all convolutions still have "
            "PyTorch's default weights.",
            "Call it in __init__, and let it go through the modules of both networks.",
        )
    which = " and ".join(sorted({layer.text("network") for layer in untouched}))
    return Mistake(
        None,
        f"Some convolutions of the {which} are not initialised: they still have PyTorch's default weights.",
        "Think of both networks, and of Conv2d as well as ConvTranspose2d.",
    )


def loss_number(seen: Observation, right: float, what: str, finite: bool = True) -> float:
    """The loss that came back, as a number; `right` is what its mean must be if it came back without being reduced."""
    value = seen.get("loss")
    if (
        isinstance(value, Tensor)
        and value.numel() > 1
        and value.is_floating_point()
        and close(value.mean().item(), right, rtol=1e-3, atol=1e-6)
    ):
        raise Fault(
            expected=f"{what}: a number",
            seen=f"{value.numel()} values, of shape {tuple(value.shape)}",
            hint="Take the mean over every element.",
            diagnosis="The loss is not reduced: a value for every element is returned where their mean is asked.",
        )
    return seen.number("loss", what=what, finite=finite)


def rounding(submission: Examinee) -> Mistake | None:
    """What happens to a loss that is right for small logits and wrong for large ones: seen from its values at label 0."""
    zero = torch.zeros(1, 1)
    at = {
        size: submission.ask(
            "gan.loss_value", name="_classification_loss", first=torch.full((1, 1), size), second=zero
        ).number("loss", finite=False)
        for size in (40.0, 60.0, 100.0)
    }
    whole = "Use a function that takes the logits and does both at once."
    if not math.isfinite(at[40.0]) or at[40.0] == at[60.0] == 100.0:
        return Mistake(None, "The sigmoid is rounded to 0 or 1 before the logarithm is taken.", whole)
    if not math.isfinite(at[100.0]):
        return Mistake(None, "The exponential of a large logit overflows: it is infinite in float32.", whole)
    if 0 < at[40.0] == at[60.0] == at[100.0] < 40:
        return Mistake(
            None,
            "The beliefs are clamped before the logarithm (or a small number is added to them): the loss does not grow "
            f"beyond {at[100.0]:.3g}.",
            whole,
        )
    return None


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
        loss_number(seen, math.log(2), "the loss at logits of 0"),
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
    at_right = right.number("loss", what="the loss when the discriminator is sure and right", finite=False)
    at_wrong = wrong.number("loss", what="the loss when the discriminator is sure and wrong", finite=False)
    finite = math.isfinite(at_right) and math.isfinite(at_wrong)
    expect(
        finite and 0 <= at_right < 1e-3 and at_wrong > 5,
        expected="next to 0 at logits of 100 and labels 1, and large (but finite) at logits of 100 and labels 0",
        seen=f"{at_right:.4g} and {at_wrong:.4g}",
        hint="The logits come first and the labels second.",
        mistake=None if finite else rounding(submission),
    )
