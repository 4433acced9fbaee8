"""Mistakes in the auto-encoder's networks, with the outputs that they lead to, and in the data loader."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from autograder.judging import Candidate, Mistake, candidates

Curve = Callable[[Tensor], Tensor]
NETWORKS = ("1-1", "1-8")
LOADER = ("1-1",)


def identity(x: Tensor) -> Tensor:
    return x


# The networks: `gives` is the output, as a function of an Activations.


@dataclass(frozen=True)
class Activations:
    """A network of three linear layers whose output can be computed for any activations.

    run: the output with three activations. right: the required activations.
    """

    run: Callable[[Sequence[Curve]], Tensor]
    right: Sequence[Curve]

    def output(
        self, first: Curve | None = None, second: Curve | None = None, last: Curve | None = None
    ) -> Tensor:
        """The output with some activations replaced."""
        changed = (first, second, last)
        return self.run([new or old for new, old in zip(changed, self.right, strict=True)])


WRONG_WIDTHS = Mistake(
    "hidden-layers-wrong-widths",
    "The hidden layers have the wrong widths.",
    hint="Compare the sizes of the layers, one by one, with those in the question.",
    questions=NETWORKS,
)
COMPARE = "Compare the layers and the activations between them with those in the question."


def _activations(id: str, sentence: str, gives: Callable[[Activations], Tensor]) -> Mistake:
    return Mistake(id, sentence, hint=COMPARE, questions=NETWORKS, gives=gives, once=True)


FIRST_RELU_MISSING = _activations(
    "first-relu-missing",
    "The ReLU after the first layer is missing.",
    lambda layers: layers.output(first=identity),
)
SECOND_RELU_MISSING = _activations(
    "second-relu-missing",
    "The ReLU after the second layer is missing.",
    lambda layers: layers.output(second=identity),
)
BOTH_RELUS_MISSING = _activations(
    "both-relus-missing",
    "Both ReLUs are missing: the layers together are a single linear map.",
    lambda layers: layers.output(first=identity, second=identity),
)


def _in_place_of_relu(id: str, name: str, curve: Curve) -> Mistake:
    sentence = f"The activation is {name} instead of ReLU."
    return _activations(id, sentence, lambda layers: layers.output(first=curve, second=curve))


HIDDEN_LAYERS = (
    FIRST_RELU_MISSING,
    SECOND_RELU_MISSING,
    BOTH_RELUS_MISSING,
    _in_place_of_relu("leaky-relu-not-relu", "LeakyReLU", F.leaky_relu),
    _in_place_of_relu("tanh-not-relu", "tanh", torch.tanh),
    _in_place_of_relu("sigmoid-not-relu", "a sigmoid", torch.sigmoid),
    _in_place_of_relu("gelu-not-relu", "GELU", F.gelu),
    _in_place_of_relu("elu-not-relu", "ELU", F.elu),
    _in_place_of_relu("silu-not-relu", "SiLU", F.silu),
)
END_OF_ENCODER = (
    _activations(
        "encoder-ends-in-relu",
        "There is a ReLU after the last layer, so a code can never be negative.",
        lambda layers: layers.output(last=F.relu),
    ),
    _activations(
        "encoder-ends-in-sigmoid",
        "There is a sigmoid after the encoder's last layer.",
        lambda layers: layers.output(last=torch.sigmoid),
    ),
    _activations(
        "encoder-ends-in-tanh",
        "There is a tanh after the encoder's last layer.",
        lambda layers: layers.output(last=torch.tanh),
    ),
)
DECODER_CUT_OFF = _activations(
    "decoder-output-cut-off",
    "The last layer's output is clipped (by a ReLU or a clamp) instead of passed through a sigmoid.",
    lambda layers: layers.output(last=F.relu),
)
END_OF_DECODER = (
    DECODER_CUT_OFF,
    _activations(
        "decoder-sigmoid-missing",
        "The sigmoid at the end is missing.",
        lambda layers: layers.output(last=identity),
    ),
    _activations(
        "decoder-ends-in-tanh",
        "There is a tanh at the end instead of a sigmoid.",
        lambda layers: layers.output(last=torch.tanh),
    ),
    _activations(
        "decoder-relu-before-sigmoid",
        "There is a ReLU between the last layer and the sigmoid.",
        lambda layers: layers.output(last=lambda v: F.relu(v).sigmoid()),
    ),
    _activations(
        "decoder-sigmoid-twice",
        "The sigmoid is applied twice.",
        lambda layers: layers.output(last=lambda v: v.sigmoid().sigmoid()),
    ),
)


def wrong_activations(layers: Activations, part: str) -> list[Candidate]:
    """Known wrong activations of the encoder or the decoder (part), each with its output."""
    if part == "encoder":
        return candidates((*HIDDEN_LAYERS, *END_OF_ENCODER), layers)
    clamped = DECODER_CUT_OFF.giving(layers.output(last=lambda v: v.clamp(0, 1)))
    return [*candidates((*HIDDEN_LAYERS, *END_OF_DECODER), layers), clamped]


# The loader.

NOT_SHUFFLED = Mistake(
    "loader-not-shuffled",
    "The loader does not shuffle.",
    hint="DataLoader has an argument for this.",
    questions=LOADER,
)
SHUFFLED_ONCE = Mistake(
    "loader-shuffled-once",
    "The order is drawn once and kept for all epochs.",
    hint="Let the DataLoader shuffle; do not shuffle the data set once beforehand.",
    questions=LOADER,
)
DRAWN_WITH_REPLACEMENT = Mistake(
    "loader-draws-with-replacement",
    "Images are drawn with replacement: some appear several times in an epoch.",
    hint="Let the DataLoader shuffle.",
    questions=LOADER,
)
WRONG_DEFAULT_BATCH_SIZE = Mistake(
    "loader-wrong-default-batch-size",
    "The default of batch_size is not 64.",
    hint="Write batch_size=64 in the function's signature.",
    questions=LOADER,
)
WORKERS_NOT_PASSED = Mistake(
    "loader-workers-not-passed",
    "num_workers is not passed to the DataLoader.",
    hint="Pass num_workers to the DataLoader.",
    questions=LOADER,
)
