"""Faults in gan.py."""

from __future__ import annotations

from tests.experiments.metamorphic.faults.common import UNIFORM
from tests.experiments.metamorphic.inserting import Fault, by_rules, either, first, last, result

FILE = "gan.py"
STEP, DIS, GEN = "DCGAN.training_step", "DCGAN._discriminator_step", "DCGAN._generator_step"
LOSS, CONSTRUCTOR, RECONSTRUCT = "DCGAN._classification_loss", "DCGAN.__init__", "DCGAN.reconstruct"


def _in_steps(*rules: tuple[str, str], places: tuple[str, ...] = (STEP, DIS, GEN)):  # type: ignore[no-untyped-def]
    return either(*[by_rules(*rules, within=place, file=FILE) for place in places])


FAULTS: tuple[Fault, ...] = (
    Fault(
        "rate-of-the-discriminator",
        "2-1a",
        "The discriminator's learning rate is ten times as high.",
        FILE,
        last("self.optimizerD.param_groups[0]['lr'] = 0.002", CONSTRUCTOR, FILE),
    ),
    Fault(
        "betas-of-the-generator",
        "2-1a",
        "The generator's Adam has its default betas.",
        FILE,
        last("self.optimizerG.param_groups[0]['betas'] = (0.9, 0.999)", CONSTRUCTOR, FILE),
    ),
    Fault(
        "decay-of-the-discriminator",
        "2-1a",
        "The discriminator's Adam decays the weights.",
        FILE,
        last("self.optimizerD.param_groups[0]['weight_decay'] = 0.01", CONSTRUCTOR, FILE),
    ),
    Fault(
        "initialisation-not-called",
        "2-1a",
        "The initialisation is never called.",
        FILE,
        by_rules(("self._weight_initialization();", "pass"), within=CONSTRUCTOR, file=FILE),
    ),
    Fault(
        "initialisation-too-wide",
        "2-1a",
        "The convolutions' weights are too wide.",
        FILE,
        last(
            "for layer in self.modules():\n    if isinstance(layer, nn.ConvTranspose2d):\n        layer.weight.data *= 2",
            "DCGAN._weight_initialization",
            FILE,
        ),
    ),
    Fault(
        "initialisation-of-biases",
        "2-1a",
        "The norms' biases are ones.",
        FILE,
        last(
            "for layer in self.modules():\n    if isinstance(layer, nn.BatchNorm2d):\n        nn.init.ones_(layer.bias)",
            "DCGAN._weight_initialization",
            FILE,
        ),
    ),
    Fault("logits-flipped", "2-1a", "The labels are flipped.", FILE, first("A2 = 1 - A2", LOSS, FILE)),
    Fault("logits-summed", "2-1a", "The loss is a sum.", FILE, result("RESULT * A1.numel()", LOSS, FILE)),
    Fault(
        "logits-squashed-twice",
        "2-1a",
        "The logits go through a sigmoid first.",
        FILE,
        first("A1 = torch.sigmoid(A1)", LOSS, FILE),
    ),
    Fault(
        "discriminator-not-cleared",
        "2-1b",
        "The discriminator's gradients are never cleared.",
        FILE,
        _in_steps(("self.optimizerD.zero_grad();", "pass"), ("self._discriminator.zero_grad();", "pass")),
    ),
    Fault(
        "generator-not-stepped",
        "2-1b",
        "The generator is not trained.",
        FILE,
        _in_steps(("self.optimizerG.step();", "pass")),
    ),
    Fault(
        "discriminator-not-stepped",
        "2-1b",
        "The discriminator is not trained.",
        FILE,
        _in_steps(("self.optimizerD.step();", "pass")),
    ),
    Fault(
        "losses-swapped",
        "2-1b",
        "The losses are returned in the wrong order.",
        FILE,
        result("tuple(reversed(RESULT))", STEP, FILE),
    ),
    Fault(
        "loss-halved",
        "2-1b",
        "The discriminator's loss is returned by half.",
        FILE,
        result("(RESULT[0] / 2, RESULT[1])", STEP, FILE),
    ),
    Fault(
        "half-of-the-batch",
        "2-1b",
        "Only half of the batch is used.",
        FILE,
        first("A1 = A1[: len(A1) // 2]", STEP, FILE),
    ),
    Fault("batch-inverted", "2-1b", "The images are inverted.", FILE, first("A1 = 1 - A1", STEP, FILE)),
    Fault(
        "gan-noise-uniform",
        "2-1b",
        "The noise is uniform.",
        FILE,
        either(
            _in_steps(*UNIFORM),
            *[by_rules(*UNIFORM, within=f"DCGAN.{name}", file=FILE) for name in ("_noise", "sample_noise")],
        ),
    ),
    Fault(
        "generator-wants-fakes",
        "2-1b",
        "The generator's label is 0.",
        FILE,
        either(
            by_rules(
                ("torch.ones_like(L_)", "torch.zeros_like(L_)"),
                ("torch.full_like(L_, 1.0)", "torch.full_like(L_, 0.0)"),
                ("L_.new_ones(L_.shape)", "L_.new_zeros(L_.shape)"),
                within=GEN,
                file=FILE,
            ),
            by_rules(
                ("return self._adversarial(F_, True)", "return self._adversarial(F_, False)"),
                within="DCGAN._shared_step",
                file=FILE,
            ),
            by_rules(
                ("generator.update(believe(L_, 1.0))", "generator.update(believe(L_, 0.0))"),
                within=STEP,
                file=FILE,
            ),
        ),
    ),
    Fault(
        "fakes-attached",
        "2-1b",
        "The generator gets gradients in the discriminator's phase.",
        FILE,
        _in_steps(
            ("self._generator(N_).detach()", "self._generator(N_)"),
            ("with torch.no_grad():\n    F_ = G_", "F_ = G_"),
            places=(DIS,),
        ),
    ),
    Fault(
        "first-convolution-only",
        "2-3",
        "Only the first convolution is normalised.",
        FILE,
        either(
            by_rules(
                ("isinstance(layer, nn.Conv2d)", "isinstance(layer, nn.Conv2d) and layer.in_channels == 3"),
                ("sn(nn.Conv2d(64, 128, 4, 2, 1))", "nn.Conv2d(64, 128, 4, 2, 1)"),
                within="SpectralNormDiscriminator.__init__",
                file=FILE,
            ),
            by_rules(
                ("isinstance(layer, nn.Conv2d)", "isinstance(layer, nn.Conv2d) and layer.in_channels == 3"),
                within="SpectralNormDiscriminator._normalise",
                file=FILE,
            ),
        ),
    ),
    Fault(
        "second-convolution-left-out",
        "2-3",
        "The second convolution is not normalised.",
        FILE,
        either(
            by_rules(
                ("isinstance(layer, nn.Conv2d)", "isinstance(layer, nn.Conv2d) and layer.in_channels != 32"),
                ("sn(nn.Conv2d(32, 64, 4, 2, 1))", "nn.Conv2d(32, 64, 4, 2, 1)"),
                within="SpectralNormDiscriminator.__init__",
                file=FILE,
            ),
            by_rules(
                ("isinstance(layer, nn.Conv2d)", "isinstance(layer, nn.Conv2d) and layer.in_channels != 32"),
                within="SpectralNormDiscriminator._normalise",
                file=FILE,
            ),
        ),
    ),
    Fault(
        "normed-weights-halved",
        "2-3",
        "The normalised convolutions' outputs are halved.",
        FILE,
        last(
            "for layer in self.downsample:\n    if isinstance(layer, nn.Conv2d):\n"
            "        layer.register_forward_hook(lambda layer, inputs, output: output / 2)",
            "SpectralNormDiscriminator.__init__",
            FILE,
        ),
    ),
    Fault(
        "search-of-480-steps",
        "2-4",
        "The search takes 480 steps.",
        FILE,
        by_rules(
            ("range(500)", "range(480)"),
            ("range(1, 501)", "range(1, 481)"),
            ("range(5 * 100)", "range(5 * 96)"),
            ("steps < 500", "steps < 480"),
            ("step < 500", "step < 480"),
            ("self._search(*ARGS_, steps=500)", "self._search(*ARGS_, steps=480)"),
            ("self._search(A_, B_, 500)", "self._search(A_, B_, 480)"),
            within=RECONSTRUCT,
            file=FILE,
        ),
    ),
    Fault(
        "search-from-noise",
        "2-4",
        "The codes start at random.",
        FILE,
        by_rules(
            ("torch.zeros(*ARGS_, **KW_)", "torch.randn(*ARGS_, **KW_)"),
            ("X_.new_zeros(*ARGS_)", "torch.randn(*ARGS_).to(X_)"),
            within=RECONSTRUCT,
            file=FILE,
        ),
    ),
    Fault(
        "search-at-another-rate",
        "2-4",
        "The search's learning rate is the training's.",
        FILE,
        by_rules(("self.vis_learning_rate", "self.learning_rate"), within=RECONSTRUCT, file=FILE),
    ),
    Fault(
        "search-loss-doubled",
        "2-4",
        "The search's loss is returned doubled.",
        FILE,
        result("(2 * RESULT[0], RESULT[1])", RECONSTRUCT, FILE),
    ),
    Fault(
        "search-images-inverted",
        "2-4",
        "The search's images are inverted.",
        FILE,
        result("(RESULT[0], 1 - RESULT[1])", RECONSTRUCT, FILE),
    ),
    Fault(
        "search-target-inverted",
        "2-4",
        "The images searched for are inverted.",
        FILE,
        first("A1 = 1 - A1", RECONSTRUCT, FILE),
    ),
    Fault(
        "search-leaves-evaluation-mode",
        "2-4",
        "The generator is left in evaluation mode.",
        FILE,
        result("(self._generator.eval(), RESULT)[1]", RECONSTRUCT, FILE),
    ),
    Fault(
        "squares-summed",
        "2-4",
        "The squared error is summed.",
        FILE,
        result("RESULT * A1.numel()", "DCGAN._reconstruction_loss", FILE),
    ),
    Fault(
        "squares-halved",
        "2-4",
        "The squared error is halved.",
        FILE,
        result("RESULT / 2", "DCGAN._reconstruction_loss", FILE),
    ),
    Fault(
        "squares-rooted",
        "2-4",
        "The loss is the root of the squared error.",
        FILE,
        result("RESULT.sqrt()", "DCGAN._reconstruction_loss", FILE),
    ),
)
