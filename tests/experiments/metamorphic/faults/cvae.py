"""Faults in cvae.py."""

from __future__ import annotations

from tests.experiments.metamorphic.faults.common import UNIFORM, WITH_GRAPH, loops
from tests.experiments.metamorphic.inserting import Fault, by_rules, first, result

FILE = "cvae.py"
JOINED = (
    ("torch.cat([A_, B_], dim=D_)", "torch.cat([B_, A_], dim=D_)"),
    ("torch.cat((A_, B_), dim=D_)", "torch.cat((B_, A_), dim=D_)"),
    ("torch.cat((A_, B_), 1)", "torch.cat((B_, A_), 1)"),
    ("torch.concat([A_, B_], D_)", "torch.concat([B_, A_], D_)"),
)

FAULTS: tuple[Fault, ...] = (
    Fault(
        "onehot-wraps-around",
        "1-8",
        "Labels are taken modulo n.",
        FILE,
        first("A1 = A1 % A2", "idx2onehot", FILE),
    ),
    Fault(
        "onehot-of-integers",
        "1-8",
        "The rows are integers.",
        FILE,
        result("RESULT.long()", "idx2onehot", FILE),
    ),
    Fault(
        "onehot-shifted",
        "1-8",
        "The ones are one place to the left.",
        FILE,
        result("RESULT.roll(-1, 1)", "idx2onehot", FILE),
    ),
    Fault(
        "encoder-label-first",
        "1-8",
        "The encoder reads the label first.",
        FILE,
        by_rules(*JOINED, within="CVAEEncoder.forward", file=FILE),
    ),
    Fault(
        "decoder-label-first",
        "1-8",
        "The decoder reads the label first.",
        FILE,
        by_rules(*JOINED, within="CVAEDecoder.forward", file=FILE),
    ),
    Fault(
        "encoder-ignores-labels",
        "1-8",
        "The encoder takes every label for 0.",
        FILE,
        first("A2 = None if A2 is None else A2 * 0", "CVAEEncoder.forward", FILE),
    ),
    Fault(
        "decoder-ignores-labels",
        "1-8",
        "The decoder takes every label for 0.",
        FILE,
        first("A2 = None if A2 is None else A2 * 0", "CVAEDecoder.forward", FILE),
    ),
    Fault(
        "cvae-sigma-from-half-log",
        "1-8",
        "log_sigma is read as a log variance.",
        FILE,
        first("A2 = 0.5 * A2", "CVAE.reparameterize", FILE),
    ),
    Fault("cvae-beta-not-kept", "1-8", "beta is ignored.", FILE, first("A2 = 1.0", "CVAE.__init__", FILE)),
    Fault(
        "cvae-total-doubled",
        "1-8",
        "The total is doubled.",
        FILE,
        result("(2 * RESULT[0], RESULT[1])", "CVAE.loss", FILE),
    ),
    Fault(
        "cvae-kl-negative",
        "1-8",
        "The KL part has the wrong sign.",
        FILE,
        result("(RESULT[0], {**RESULT[1], 'kl_loss': -RESULT[1]['kl_loss']})", "CVAE.loss", FILE),
    ),
    Fault(
        "cvae-reconstruct-of-zeros",
        "1-8",
        "reconstruct takes every label for 0.",
        FILE,
        first("A2 = None if A2 is None else A2 * 0", "CVAE.reconstruct", FILE),
    ),
    Fault(
        "cvae-reconstruct-flat",
        "1-8",
        "reconstruct returns flat images.",
        FILE,
        result("RESULT.flatten(1)", "CVAE.reconstruct", FILE),
    ),
    Fault(
        "cvae-forward-of-zeros",
        "1-8",
        "forward takes every label for 0.",
        FILE,
        first("A2 = None if A2 is None else A2 * 0", "CVAE.forward", FILE),
    ),
    *loops("train_cvae", "cvae", "1-8", "train-cvae"),
    Fault(
        "conditional-labels-flipped",
        "1-9",
        "The labels are taken in reverse order.",
        FILE,
        first("A2 = A2.flip(0)", "sample_conditional", FILE),
    ),
    Fault(
        "conditional-labels-sorted",
        "1-9",
        "The labels are sorted.",
        FILE,
        first("A2 = A2.sort().values", "sample_conditional", FILE),
    ),
    Fault(
        "conditional-uniform",
        "1-9",
        "The codes are uniform.",
        FILE,
        by_rules(*UNIFORM, within="sample_conditional", file=FILE),
    ),
    Fault(
        "conditional-with-graph",
        "1-9",
        "The images keep their graph.",
        FILE,
        by_rules(*WITH_GRAPH, within="sample_conditional", file=FILE),
    ),
    Fault(
        "conditional-with-channel",
        "1-9",
        "The images have a channel axis.",
        FILE,
        result("RESULT.unsqueeze(1)", "sample_conditional", FILE),
    ),
    Fault(
        "conditional-inverted",
        "1-9",
        "The images are inverted.",
        FILE,
        result("1 - RESULT", "sample_conditional", FILE),
    ),
    Fault(
        "conditional-seeded",
        "1-9",
        "The random generator is seeded.",
        FILE,
        first("torch.manual_seed(0)", "sample_conditional", FILE),
    ),
)
