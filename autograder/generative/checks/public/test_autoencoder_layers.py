"""Public checks of autoencoder.py: what the layers of question 1-1 compute, and the order of the loader."""

from __future__ import annotations

import torch
from torch import Tensor

from autograder.judging import Draw, Observation, Submission, check, expect, expect_close

from ...mistakes.public import layers as mistakes
from . import expected_layers as layers
from . import judge_calls as calls
from . import judge_common as common

ENCODER = "Encoder(nz, input_size): Linear(input_size, 256), ReLU, Linear(256, 64), ReLU, Linear(64, nz)."
DECODER = "Decoder(nz, output_size): Linear(nz, 64), ReLU, Linear(64, 256), ReLU, Linear(256, output_size), Sigmoid."
LOADER = (
    "make_data_loader(dataset, batch_size=64, num_workers=0) returns a DataLoader that reshuffles every epoch and drops "
    "the last, incomplete batch."
)


@check(
    "1-1",
    points=0,
    title="The encoder's output and gradients are those of its layers (for information)",
    asks=ENCODER,
)
def test_encoder_layers_early(submission: Submission, draw: Draw) -> None:
    for leading in [(draw.size("batch", 3, 8), 1), (draw.size("batch", 3, 8),)]:
        nz, size = draw.size("latent", 3, 32), draw.size("image", 70, 250)
        x, pull = draw.uniform(*leading, size), draw.normal(*leading, nz)
        sent = layers.drawn(draw, (size, 256, 64, nz))
        seen = submission.ask(
            "autoencoder.encoder", nz=nz, input_size=size, values=sent.values, x=x, pull=pull
        )
        _expect_layers(seen, sent, x, pull, "encoder", f"Encoder({nz}, {size})", (*leading, nz))


@check(
    "1-1",
    points=0,
    title="The decoder's output and gradients are those of its layers (for information)",
    asks=DECODER,
)
def test_decoder_layers_early(submission: Submission, draw: Draw) -> None:
    n = draw.size("batch", 3, 8)
    for leading in [(n, 1), (n,)]:
        nz, size = draw.size("latent", 3, 32), draw.size("image", 70, 250)
        z, pull = draw.normal(*leading, nz, std=3.0), draw.normal(n, 1, size)
        sent = layers.drawn(draw, (nz, 64, 256, size))
        seen = submission.ask(
            "autoencoder.decoder", nz=nz, output_size=size, values=sent.values, z=z, pull=pull
        )
        _expect_layers(seen, sent, z, pull, "decoder", f"Decoder({nz}, {size})", (n, 1, size))


def _expect_layers(
    seen: Observation,
    sent: layers.Layers,
    x: Tensor,
    pull: Tensor,
    part: str,
    what: str,
    shape: tuple[int, ...],
) -> None:
    out = seen.tensor(
        "out",
        shape,
        what=f"the output of {what} for an input of shape {tuple(x.shape)}",
        mistakes=calls.fixed_size(shape) if part == "decoder" else calls.misshapen(shape),
    )
    if layers.filled(seen) != 0:
        layers.fail_widths(seen, sent.sizes, what)
    layers.expect_output(out, sent, x, part, f"the output of {what}")
    layers.expect_gradients(seen, sent, x, pull, part, what)
    again = seen.tensor("again", shape, what=f"the output of {what} in evaluation mode")
    expect_close(again, out, rtol=1e-4, atol=1e-6, what=f"the output of {what} in evaluation mode")
    expect(seen.flag("x_kept"), expected="an input that is left as it is", seen="an input that was changed")


@check(
    "1-1",
    points=0,
    title="The loader draws a new order every epoch (for information)",
    asks=LOADER,
)
def test_loader_reshuffles_early(submission: Submission, draw: Draw) -> None:
    size = draw.integer(5, 12)
    n = size * draw.integer(26, 30) + draw.integer(1, size)  # two batches even of 64
    data = common.numbered(draw, n, 5)
    seen = submission.ask("autoencoder.loader", **data.sent, epochs=2, batch_size=size)
    first, second = (torch.cat([b.numbers for b in epoch]) for epoch in common.loader_epochs(seen, 2, data))
    expect(
        not torch.equal(first, first.sort().values),
        expected="the images in a random order",
        seen="the images in the order of the data set",
        mistake=mistakes.NOT_SHUFFLED,
    )
    expect(
        not torch.equal(first, second),
        expected="a new order every epoch",
        seen="the same order in both epochs",
        mistake=mistakes.SHUFFLED_ONCE,
    )
    common.expect_no_seed(seen.flag("seed_kept"), "make_data_loader")
