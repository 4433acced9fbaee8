"""Public checks of Problem 2: shapes, ranges and facts that any right answer has. They need no solution to compare with."""

from __future__ import annotations

import math

import torch

from autograder.checks.public.small_gan import generator_state, reachable_images
from autograder.judging import (
    Mistake,
    Observation,
    check,
    expect,
    expect_close,
    expect_fresh,
    expect_standard_normal,
)
from autograder.judging.statistics import shared_rows

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


# --- 2-1b ------------------------------------------------------------------------------------------------


def events(call: Observation, kind: str) -> list[Observation]:
    return [event for event in call.parts("events") if event.text("event") == kind]


@check(
    "2-1b",
    points=1.5,
    title="One training step changes both networks, the discriminator first, each once",
    asks="training_step(real) -> (dis_loss, gen_loss): one optimizerD step, then one optimizerG step; two floats.",
)
def test_each_network_takes_one_step(submission, draw):
    call = submission.ask("gan_training.steps", batches=[draw.uniform(128, 3, 32, 32)]).parts("calls")[0]
    order = [event.text("event") for event in call.parts("events") if event.text("event").endswith(" step")]
    expect(
        order == ["discriminator step", "generator step"],
        expected="one optimizerD step, then one optimizerG step",
        seen=", then ".join(order) if order else "no optimiser step at all",
        mistake=Mistake(
            None,
            "The generator is trained before the discriminator.",
            "Train the discriminator first; the generator then learns from the better one.",
        )
        if order == ["generator step", "discriminator step"]
        else None,
        hint="Call step() once on each of self.optimizerD and self.optimizerG.",
    )
    for network in ("generator", "discriminator"):
        before, after = call.part("before").part(network), call.part("after").part(network)
        still = [
            name for name in before if torch.equal(before.tensor(name), after.tensor(name, finite=False))
        ]
        expect(
            not still,
            expected=f"every parameter of the {network} moved",
            seen=f"{len(still)} of {len(before)} did not move: {', '.join(still[:4])}",
            hint="A parameter that gets no gradient is not moved: look for a detach() or no_grad() too many.",
        )
        stepped = events(call, f"{network} step")[0].part("after").part(network)
        expect(
            all(torch.equal(after.tensor(name), stepped.tensor(name)) for name in after),
            expected=f"nothing but its optimiser's step changes the {network}",
            seen=f"a {network} that was changed afterwards",
            hint="Leave the weights to the optimisers: no clipping, no scaling.",
        )
    returned = call.list("returned", 2, what="what training_step returned")
    told = Observation({"dis_loss": returned[0], "gen_loss": returned[1]})
    for name in ("dis_loss", "gen_loss"):
        told.number(name, what=f"the returned {name}", hint="Return loss.item().")
    expect(
        not call.flag("graph"),
        expected="floats, or tensors without a graph",
        seen="a tensor that still hangs on its graph",
        mistake=Mistake(
            None,
            "The returned losses keep the whole graph alive: memory grows with every iteration.",
            "Return loss.item().",
        ),
    )
    expect(
        call.flag("unchanged"),
        expected="the batch of real images left as it was",
        seen="a batch that was changed in place",
    )


@check(
    "2-1b",
    points=1,
    title="The generator gets no gradient while the discriminator is trained",
    asks="training_step: the fakes are detached in the discriminator's phase.",
)
def test_fakes_are_detached(submission, draw):
    call = submission.ask("gan_training.steps", batches=[draw.uniform(128, 3, 32, 32)]).parts("calls")[0]
    found = events(call, "discriminator step")
    expect(bool(found), expected="an optimizerD step", seen="none")
    gradients = found[0].part("generator gradients")
    pulled = [
        name for name in gradients if gradients[name] is not None and gradients.tensor(name).abs().max() > 0
    ]
    first = [event.text("event") for event in call.parts("events") if event.text("event").endswith(" step")]
    expect(
        not pulled,
        expected="no gradient on the generator's parameters when optimizerD takes its step",
        seen=f"gradients on {len(pulled)} of {len(gradients)} parameters",
        mistake=Mistake(
            None,
            "The fakes are not detached: the discriminator's loss sends gradients into the generator.",
            "Detach the fakes, or make them under torch.no_grad().",
        )
        if first[:1] == ["discriminator step"] and len(events(before_step(call), "discriminator")) <= 2
        else None,
        hint="Detach the fakes in the discriminator's phase, and do the generator's backward pass after it.",
    )


def before_step(call: Observation) -> Observation:
    """The events up to the discriminator's first step."""
    found = call.list("events")
    kinds = [event.text("event") for event in call.parts("events")]
    end = kinds.index("discriminator step") if "discriminator step" in kinds else len(found)
    return Observation({"events": found[:end]})


@check(
    "2-1b",
    points=1,
    title="Training steps work for batches of any size, with as many fakes as reals",
    asks="training_step(real): any batch of two or more images; as many codes are drawn as there are images.",
)
def test_any_batch_size(submission, draw):
    sizes = [7, draw.integer(20, 60), 2]
    answer = submission.ask("gan_training.steps", batches=[draw.uniform(n, 3, 32, 32) for n in sizes])
    for n, call in zip(sizes, answer.parts("calls"), strict=False):
        made = [event.tensor("noise", (None, 64)).shape[0] for event in events(call, "generator")]
        expect(
            bool(made) and all(m == n for m in made),
            expected=f"{n} codes for a batch of {n} images",
            seen=f"{', '.join(map(str, made)) or 'none'}",
            mistake=Mistake(
                None,
                "The number of fakes is fixed where it should follow the batch.",
                "Take it from the batch: real.shape[0].",
            )
            if made and all(m in (64, 128) for m in made)
            else None,
        )
        expect(
            all(n == event.number("images") for event in events(call, "discriminator")),
            expected=f"the discriminator judges {n} images at a time when the batch has {n}",
            seen=", ".join(f"{event.number('images'):.0f}" for event in events(call, "discriminator")),
            hint="The real and the fake batch go through the discriminator one after the other, each on its own.",
        )


@check(
    "2-1b",
    points=1,
    title="The noise is standard normal, and new at every call",
    asks="training_step: noise z ~ N(0, I) of shape (N, code_size), drawn anew at every call.",
)
def test_noise_is_standard_normal_and_fresh(submission, draw):
    batches = [draw.uniform(48, 3, 32, 32), draw.uniform(48, 3, 32, 32)]
    calls = submission.ask("gan_training.steps", batches=batches).parts("calls")
    noises = [[event.tensor("noise", (None, 64)) for event in events(call, "generator")] for call in calls]
    expect(
        len(noises) == 2 and all(noises),
        expected="noise sent through self._generator at every call",
        seen="a call of training_step that made no fakes",
    )
    for noise in (*noises[0], *noises[1]):
        expect(
            not shared_rows(noise),
            expected="a code of its own for every image of the batch",
            seen="the same code in every row",
            mistake=Mistake(None, "One code is shared by the whole batch.", "Draw (N, code_size) numbers."),
        )
        expect_standard_normal(noise, what="the generator's noise", hint="Use torch.randn.")
    for first in noises[0]:
        for second in noises[1]:
            expect_fresh(first, second, what="the noise of two calls of training_step")


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


# --- 2-4 -------------------------------------------------------------------------------------------------


@check(
    "2-4",
    points=1,
    title="The reconstruction loss is 0 for equal images and known for plain ones",
    asks="_reconstruction_loss(reconstruction, x): mean squared error, the mean over every element.",
)
def test_reconstruction_loss_has_known_values(submission, draw):
    images, shift = draw.uniform(5, 3, 32, 32), draw.number(0.2, 0.4)
    ask = "gan.loss_value"
    equal = submission.ask(ask, name="_reconstruction_loss", first=images, second=images)
    expect_close(
        equal.number("loss", what="the loss of equal images"), 0.0, what="the loss of equal images", atol=1e-7
    )
    moved = submission.ask(ask, name="_reconstruction_loss", first=images + shift, second=images)
    expect_close(
        moved.number("loss", what="the loss of shifted images"),
        shift**2,
        what=f"the loss when every value is off by {shift:.3f}",
        mistakes=[
            Mistake(shift**2 * 5 * 3072, "The sum is taken where the mean is asked.", "Take the mean."),
            Mistake(
                shift**2 * 3072,
                "The sum over the pixels is taken where the mean over every element is asked.",
                "Take the mean over batch, channels and pixels.",
            ),
            Mistake(
                shift,
                "The error is not squared, or the root is taken of the mean.",
                "Take the mean of the squared differences.",
            ),
            Mistake(shift**2 / 2, "The squared error is halved.", "Leave the factor 1/2 out."),
        ],
    )


@check(
    "2-4",
    points=1.5,
    title="Reconstruction lowers the loss by 40 % at least",
    asks="reconstruct(samples) -> (loss, images): codes from zero, 500 Adam steps; a float and images (N, 3, 32, 32).",
)
def test_reconstruction_comes_nearer(submission, draw):
    generator = generator_state(draw)
    samples = reachable_images(generator, draw, 4)
    seen = submission.ask("gan_reconstruct.reconstruct", samples=samples, generator=generator)
    returned = seen.list("returned", 2, what="what reconstruct returned")
    told = Observation({"loss": returned[0], "images": returned[1]})
    loss = told.number("loss", what="the returned loss", hint="Return loss.item().")
    images = told.tensor("images", (4, 3, 32, 32), what="the returned images")
    at_zero = (seen.tensor("start", (4, 3, 32, 32)) - samples).square().mean().item()
    expect(
        (images - samples).square().mean().item() < 0.6 * at_zero,
        expected=f"a mean squared error at least 40 % below that of the zero codes' images ({at_zero:.4f})",
        seen=f"{(images - samples).square().mean().item():.4f}",
        hint="Let Adam change the codes so that _reconstruction_loss falls.",
    )
    expect_close(
        loss,
        (images - samples).square().mean().item(),
        what="the returned loss: that of the returned images, or from just before the last step",
        rtol=0.02,
        atol=1e-5,
        hint="Return the loss after the last step, not the first or the mean of all.",
    )


@check(
    "2-4",
    points=1.5,
    title="Reconstruction leaves the networks as they were",
    asks="reconstruct: only the codes change. Parameters, running averages and modes of both networks stay as they were, "
    "and no gradient is left on them.",
)
def test_networks_are_left_alone(submission, draw):
    generator = generator_state(draw)
    samples = reachable_images(generator, draw, 3)
    seen = submission.ask("gan_reconstruct.reconstruct", samples=samples, generator=generator)
    expect_untouched(seen)


def expect_untouched(seen: Observation) -> None:
    """Raises a fault when reconstruct changed a network, or left gradients on it."""
    hints = {
        "parameters": ("the parameters", "Give the optimiser the codes alone."),
        "buffers": ("batch normalisation's running averages", "Put the generator in evaluation mode."),
        "modes": ("the mode (training or evaluation)", "Set the modes back when you are done."),
        "trainable": ("which parameters ask for gradients", "Set requires_grad back when you are done."),
    }
    for network in ("generator", "discriminator"):
        same = seen.part("same").part(network)
        for part, (words, hint) in hints.items():
            expect(
                same.flag(part),
                expected=f"{words} of the {network} as before the call",
                seen="changed",
                hint=hint,
                mistake=Mistake(None, MODES_LEFT, hint) if part == "modes" else None,
            )
        largest = seen.part("gradients").get(network)
        expect(
            largest is None or largest == 0.0,
            expected=f"no gradient left on the {network}",
            seen="gradients on its parameters",
            mistake=Mistake(
                None,
                "backward() on the loss also fills the networks' gradients, which the next training step would use.",
                "Use torch.autograd.grad for the codes alone, or clear the networks' gradients at the end.",
            ),
        )


MODES_LEFT = "The networks are left in another mode than they were handed over in."
