"""Hidden checks of 2-1a: the initialisation of both networks, the optimisers, the classification loss."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from autograder.judging import Mistake, Observation, check, expect, expect_close, expect_standard_normal
from autograder.probes.gan import ENTRIES, pattern

STD = 0.02
INIT = (
    "_weight_initialization: every Conv and ConvTranspose weight ~ N(0, 0.02), every BatchNorm weight ~ N(1, 0.02) and "
    "bias 0; Linear layers keep PyTorch's default. It is applied to both networks when a DCGAN is made."
)


def named(layer: Observation) -> str:
    return f"{layer.text('network')}, {layer.text('name')}"


def default_bound(weight: Tensor) -> float:
    """PyTorch draws the weights of convolutions and linear layers from U(-b, b), b = 1 / sqrt(fan in)."""
    return 1 / math.sqrt(weight[0].numel())


def looks_default(weight: Tensor) -> bool:
    largest, bound = weight.abs().max().item(), default_bound(weight)
    return 0.95 * bound < largest <= bound * (1 + 1e-5) and abs(weight.std().item() / bound - 3**-0.5) < 0.06


@check(
    "2-1a",
    points=1,
    title="Every convolution's weights are drawn from N(0, 0.02)",
    asks=INIT,
    rubric="Initialisation of the convolutions",
)
def test_convolutions_start_normal(submission):
    layers = [
        layer
        for layer in submission.ask("gan.initial_weights").parts("layers")
        if layer.text("kind") == "convolution"
    ]
    expect(len(layers) >= 6, expected="six convolutions in both networks together", seen=str(len(layers)))
    untouched = [layer for layer in layers if looks_default(layer.tensor("weight"))]
    for layer in layers:
        weight = layer.tensor("weight")
        ratio = weight.std().item() / STD
        mistake = None
        if len(untouched) == len(layers):
            mistake = Mistake(
                None,
                "The weight initialisation is never applied, or applied to the wrong object: all convolutions still have "
                "PyTorch's default weights.",
                "Call it in __init__, and let it go through the modules of both networks.",
            )
        elif untouched:
            which = " and ".join(sorted({u.text("network") for u in untouched}))
            mistake = Mistake(
                None,
                f"Some convolutions of the {which} are not initialised: they still have PyTorch's default weights.",
                "Think of both networks, and of Conv2d as well as ConvTranspose2d.",
            )
        elif abs(ratio / (math.sqrt(STD) / STD) - 1) < 0.1:
            mistake = Mistake(
                None,
                "0.02 is taken for the variance; it is the standard deviation.",
                "torch.nn.init.normal_ takes the standard deviation.",
            )
        elif 0.95 < weight.abs().max().item() / (weight.std().item() * math.sqrt(3) + 1e-12) < 1.05:
            mistake = Mistake(
                None, "The weights are drawn from a uniform distribution.", "Draw them from N(0, 0.02)."
            )
        elif abs(weight.mean().item() - 1) < 0.1:
            mistake = Mistake(
                None,
                "The convolutions' weights are drawn around 1.",
                "Only batch normalisations start around 1.",
            )
        if mistake is not None:
            expect(
                False,
                expected=f"{named(layer)}: weights from N(0, 0.02)",
                seen=f"mean {weight.mean().item():.4f}, standard deviation {weight.std().item():.4f}",
                mistake=mistake,
            )
        expect_standard_normal(weight / STD, what=f"{named(layer)}: the weights divided by 0.02")


@check(
    "2-1a",
    points=1,
    title="Every batch normalisation's weights are drawn from N(1, 0.02), and its biases are 0",
    asks=INIT,
    rubric="Initialisation of the batch normalisations",
)
def test_batch_norms_start_normal(submission):
    seen = submission.ask("gan.initial_weights", repeats=6)
    runs = [Observation({"layers": r}).parts("layers") for r in [seen.list("layers"), *seen.list("more")]]
    rows = [[layer for layer in run if layer.text("kind") == "batch norm"] for run in runs]
    count = len(rows[0])
    expect(
        count >= 5 and all(len(row) == count for row in rows),
        expected="five batch normalisations in both networks together",
        seen=str(count),
    )
    together = []
    for layers in zip(*rows, strict=True):
        name = named(layers[0])
        pooled = torch.cat([layer.tensor("weight", (None,)) for layer in layers])
        told = f"mean {pooled.mean().item():.4f}, standard deviation {pooled.std().item():.4f}"
        expected = f"{name}: weights from N(1, 0.02)"
        if bool((pooled == 1).all()):
            expect(
                False,
                expected=expected,
                seen="every weight is exactly 1",
                mistake=Mistake(
                    None,
                    "This batch normalisation's weights are not initialised: they still are PyTorch's ones.",
                    "Go through the modules of both networks, and think of BatchNorm2d.",
                ),
            )
        if abs(pooled.mean().item()) < 0.1:
            expect(
                False,
                expected=expected,
                seen=told,
                mistake=Mistake(
                    None,
                    "The batch normalisations' weights are drawn around 0, as the convolutions' are.",
                    "Draw them from N(1, 0.02).",
                ),
            )
        if pooled.std() > 0 and abs(pooled.std().item() / math.sqrt(STD) - 1) < 0.15:
            expect(
                False,
                expected=expected,
                seen=told,
                mistake=Mistake(
                    None,
                    "0.02 is taken for the variance; it is the standard deviation.",
                    "torch.nn.init.normal_ takes the standard deviation.",
                ),
            )
        z = (pooled.double() - 1) / STD
        n = z.numel()
        # Chi-squared tails (Laurent and Massart 2000): each is passed with probability e^-18 at most.
        low, high = n - 2 * math.sqrt(18 * n), n + 2 * math.sqrt(18 * n) + 36
        expect(
            abs(z.mean().item()) < 6 / math.sqrt(n) and low < z.square().sum().item() < high,
            expected=expected,
            seen=told,
        )
        together.append(z)
        for layer in layers:
            bias = layer.tensor("bias", (None,))
            expect(
                bool((bias == 0).all()),
                expected=f"{name}: every bias is 0",
                seen=f"biases from {bias.min().item():.4g} to {bias.max().item():.4g}",
                mistake=Mistake(
                    None, "The biases of the batch normalisations are drawn too.", "Set them to 0."
                )
                if bias.std() > 0
                else None,
            )
    expect_standard_normal(
        torch.cat(together), what="the weights of all batch normalisations, less 1 and divided by 0.02"
    )


@check(
    "2-1a",
    points=0.5,
    title="Linear layers keep PyTorch's default initialisation",
    asks=INIT,
    rubric="Initialisation leaves the linear layers alone",
)
def test_linear_layers_keep_their_default(submission):
    layers = [
        layer
        for layer in submission.ask("gan.initial_weights").parts("layers")
        if layer.text("kind") == "linear"
    ]
    expect(len(layers) == 2, expected="a linear layer in each network", seen=str(len(layers)))
    for layer in layers:
        weight, bias = layer.tensor("weight", (None, None)), layer.tensor("bias", (None,))
        bound = default_bound(weight)
        told = f"mean {weight.mean().item():.4f}, standard deviation {weight.std().item():.4f}"
        # 2048 values at least: the largest is below 0.95 b with probability 0.95^2048; the second moment's relative
        # standard error is 0.9 / sqrt(n).
        ratio = weight.double().square().mean().item() / (bound**2 / 3)
        expect(
            0.95 * bound < weight.abs().max().item() <= bound * (1 + 1e-5)
            and abs(ratio - 1) < 7 * 0.9 / math.sqrt(weight.numel()),
            expected=f"{named(layer)}: the weights that PyTorch gives it, uniform within {bound:.4f}",
            seen=told,
            mistake=Mistake(
                None,
                "The linear layers are initialised with N(0, 0.02) too.",
                "Change convolutions and batch normalisations only.",
            )
            if abs(weight.std().item() / STD - 1) < 0.15 and weight.abs().max() > 2.8 * STD
            else None,
        )
        expect(
            bool((bias != 0).all()) and bias.abs().max().item() <= bound * (1 + 1e-5),
            expected=f"{named(layer)}: the biases that PyTorch gives it",
            seen=f"biases from {bias.min().item():.4g} to {bias.max().item():.4g}",
        )


# --- The optimisers --------------------------------------------------------------------------------------

OPTIMISERS = {"optimizerG": "generator", "optimizerD": "discriminator"}
RATE, BETAS = 2e-4, (0.5, 0.999)


def waves(draw) -> list[list[float]]:
    """Three gradients of different size and pattern, none near 0 at its first entry."""
    sizes = (1.0, 3.0, 0.3)
    return [[draw.number(0.3, 1.2), draw.number(0.6, 1.2), size] for size in sizes]


def after_steps(before: Tensor, size: int, sent: list[list[float]], make) -> Tensor:
    """The first entries of a parameter after an optimiser's steps with the gradients that the probe gave it."""
    value = before.clone().requires_grad_()
    optimiser = make([value])
    for angle, offset, scale in sent:
        value.grad = pattern(torch.zeros(size), angle, offset, scale)[:ENTRIES]
        optimiser.step()
    return value.detach()


def adam(rate: float = RATE, betas: tuple[float, float] = BETAS, **more):
    return lambda parameters: torch.optim.Adam(parameters, lr=rate, betas=betas, **more)


OTHER_OPTIMISERS = (
    ("Adam's learning rate and betas are both left out.", adam(1e-3, (0.9, 0.999))),
    ("Adam's learning rate is left out: it takes its default, 1e-3.", adam(1e-3)),
    ("Adam's betas are left out: it takes its default, (0.9, 0.999).", adam(RATE, (0.9, 0.999))),
    ("The learning rate is that of reconstruct and actmax.", adam(1e-2)),
    ("The optimiser's sign is turned: it makes the loss larger.", adam(maximize=True)),
    ("Plain gradient descent takes the place of Adam.", lambda p: torch.optim.SGD(p, lr=RATE)),
    ("RMSprop takes the place of Adam.", lambda p: torch.optim.RMSprop(p, lr=RATE)),
)


@check(
    "2-1a",
    points=1,
    title="Both optimisers are Adam with learning rate 2e-4 and betas (0.5, 0.999)",
    asks="optimizerG and optimizerD: Adam with `learning_rate` and betas (0.5, 0.999), nothing else.",
    rubric="The optimisers' settings",
)
def test_optimisers_are_adam_as_asked(submission, draw):
    for optimiser, network in OPTIMISERS.items():
        sent = waves(draw)
        seen = submission.ask("gan.optimiser_steps", optimiser=optimiser, waves=sent)
        own = [p for p in seen.parts("parameters") if p.text("network") == network and p.flag("moved")]
        expect(
            bool(own),
            expected=f"{optimiser} moves the parameters of the {network}",
            seen="none of them moved",
            hint="Give the optimiser the parameters of the network that the model keeps.",
        )

        def gap(make, own=own, sent=sent) -> float:
            return max(
                (after_steps(p.tensor("before"), int(p.number("size")), sent, make) - p.tensor("after"))
                .abs()
                .max()
                .item()
                for p in own
            )

        still = [pattern(torch.zeros(int(p.number("size"))), 1.0, 1.0, 1.0)[:ENTRIES] == 0 for p in own]
        drifted = any(
            not torch.equal(p.tensor("before")[where], p.tensor("after")[where])
            for p, where in zip(own, still, strict=True)
        )
        expect(
            not drifted,
            expected=f"{optimiser} leaves entries alone whose gradient has always been 0",
            seen="they moved",
            mistake=Mistake(
                None, f"{optimiser} has weight decay.", "Make a plain Adam, without weight_decay."
            ),
        )
        off = gap(adam())
        if off > 0.02 * RATE:
            expect(
                False,
                expected=f"{optimiser}: after three steps with given gradients, the parameters where Adam with learning rate "
                "2e-4 and betas (0.5, 0.999) takes them",
                seen=f"parameters up to {off:.2g} away from there",
                mistake=next(
                    (
                        Mistake(None, says, "Adam(parameters, lr=self.learning_rate, betas=(0.5, 0.999)).")
                        for says, make in OTHER_OPTIMISERS
                        if gap(make) < 0.02 * RATE
                    ),
                    None,
                ),
            )
        expect(
            not seen.flag("amsgrad"),
            expected=f"{optimiser}: a plain Adam",
            seen="the variant amsgrad",
        )


@check(
    "2-1a",
    points=0.5,
    title="Each optimiser moves all of its own network and nothing of the other",
    asks="optimizerG is over the generator's parameters only, optimizerD over the discriminator's only.",
    rubric="Each optimiser works on its own network",
)
def test_optimisers_keep_to_their_network(submission, draw):
    for optimiser, network in OPTIMISERS.items():
        parameters = submission.ask("gan.optimiser_steps", optimiser=optimiser, waves=waves(draw)).parts(
            "parameters"
        )
        own = [p for p in parameters if p.text("network") == network]
        others = [p for p in parameters if p.text("network") != network]
        still = [p.text("name") for p in own if not p.flag("moved")]
        moved = [p.text("name") for p in others if p.flag("moved")]
        mistake = None
        if others and len(moved) == len(others):
            mistake = (
                Mistake(None, "The optimisers are swapped.", "optimizerG is the generator's.")
                if len(still) == len(own)
                else Mistake(
                    None,
                    f"{optimiser} is over both networks.",
                    f"Give it the parameters of the {network} only, not those of the whole model.",
                )
            )
        elif own and len(still) == len(own):
            mistake = Mistake(
                None,
                f"{optimiser} is over other parameters than the {network} has: of another network, or of one made before.",
                "Make each network once, keep it, and give its parameters to the optimiser.",
            )
        expect(
            not still and not moved and bool(own),
            expected=f"{optimiser}.step() moves every parameter of the {network} and none of the other network",
            seen=f"{len(still)} of {len(own)} of its own did not move, {len(moved)} of {len(others)} others moved",
            mistake=mistake,
        )


# --- The classification loss -----------------------------------------------------------------------------

LOSS = "_classification_loss(logits, labels): sigmoid, then binary cross-entropy, the mean over the batch."


@check(
    "2-1a",
    points=0.5,
    title="The classification loss is the mean binary cross-entropy of the sigmoid, with its gradient",
    asks=LOSS,
    rubric="Value and gradient of the classification loss",
)
def test_classification_loss_value(submission, draw):
    logits, labels = draw.normal(9, 1, std=2, mean=0.5), (draw.permutation(9).view(9, 1) < 4).float()
    seen = submission.ask("gan.loss_value", name="_classification_loss", first=logits, second=labels)
    bce = F.binary_cross_entropy_with_logits
    right = bce(logits, labels)
    expect_close(
        seen.number("loss", what="the loss"),
        right,
        what="the loss",
        mistakes=[
            Mistake(9 * right, "The sum over the batch is taken where the mean is asked.", "Take the mean."),
            Mistake(
                bce(labels, logits),
                "Logits and labels are swapped: the labels are taken for the prediction.",
                "PyTorch's losses take the prediction first.",
            ),
            Mistake(
                bce(logits, 1 - labels), "The labels are flipped.", "A label of 1 asks for a high logit."
            ),
            Mistake(-right, "The sign is turned.", "Cross-entropy is never negative."),
            Mistake(
                bce(logits.sigmoid(), labels),
                "The sigmoid is taken twice.",
                "binary_cross_entropy_with_logits takes it itself.",
            ),
            Mistake(
                (logits - labels).square().mean(),
                "The squared error is taken, and of the logits: the sigmoid is missing too.",
                "Take the binary cross-entropy of the sigmoid.",
            ),
            Mistake(
                (logits.sigmoid() - labels).square().mean(),
                "The squared error is taken where binary cross-entropy is asked.",
                "Take the binary cross-entropy of the sigmoid.",
            ),
            Mistake(right / math.log(2), "The logarithm is to the base 2.", "Use the natural logarithm."),
        ],
    )
    seen.tensor("loss", (), what="the loss", hint="Return a scalar tensor, with its graph.")
    expect_close(
        seen.tensor("gradient", (9, 1), what="the loss's gradient with respect to the logits"),
        (logits.sigmoid() - labels) / 9,
        what="the loss's gradient with respect to the logits",
        rtol=1e-3,
        hint="The loss must keep its graph: no item(), detach() or no_grad().",
    )
    expect(
        seen.flag("unchanged"),
        expected="logits and labels left as they were",
        seen="one of them changed in place",
    )


@check(
    "2-1a",
    points=0.5,
    title="The classification loss is right for logits as large as 100, and in float64",
    asks=LOSS + " It is right at logits of +-100, which a sigmoid followed by a logarithm is not.",
    rubric="The classification loss at large logits",
)
def test_classification_loss_at_large_logits(submission, draw):
    size = torch.cat([torch.full((2, 1), 100.0), draw.uniform(4, 1, low=18, high=60)])
    logits = torch.cat([size, -size])
    right_way = (logits > 0).float()
    bce = F.binary_cross_entropy_with_logits
    for labels in (1 - right_way, right_way):
        seen = submission.ask("gan.loss_value", name="_classification_loss", first=logits, second=labels)
        right = bce(logits, labels)
        expect_close(
            seen.number("loss", what="the loss at large logits"),
            right,
            what="the loss at large logits",
            rtol=1e-3,
            atol=1e-5,
            hint="Use a function that takes the logits and does both at once.",
            mistakes=[
                Mistake(
                    F.binary_cross_entropy(logits.sigmoid(), labels),
                    "The sigmoid is rounded to 0 or 1 before the logarithm is taken.",
                    "Use a function that takes the logits and does both at once.",
                )
            ],
        )
        expect_close(
            seen.tensor("gradient", (12, 1), what="the gradient at large logits"),
            (logits.sigmoid() - labels) / 12,
            what="the gradient at large logits",
            rtol=1e-3,
            atol=1e-5,
            hint="Use a function that takes the logits and does both at once.",
        )
    fine, targets = draw.normal(7, 1, std=3).double(), (draw.uniform(7, 1) < 0.5).double()
    seen = submission.ask("gan.loss_value", name="_classification_loss", first=fine, second=targets)
    expect_close(
        seen.number("loss", what="the loss in float64"),
        bce(fine, targets),
        what="the loss in float64",
        rtol=1e-5,
    )
