"""Public checks of question 1-8: what the CVAE's two parts read. They give no points: hidden checks of the same do."""

from __future__ import annotations

from autograder.judging import Draw, Submission, check

from .judge_conditional_layers import expect_part

ENCODER = "CVAEEncoder(nz, input_size, conditional, num_labels): the layers of Encoder on [x, onehot(c)], or on x alone."
DECODER = "CVAEDecoder(nz, output_size, conditional, num_labels): the layers of Decoder on [z, onehot(c)], or on z alone."


@check(
    "1-8",
    points=0,
    title="The conditional encoder reads [x, onehot(c)], in this order (for information)",
    asks=ENCODER,
)
def test_encoder_reads_x_and_label_early(submission: Submission, draw: Draw) -> None:
    expect_part(submission, draw, "CVAEEncoder")


@check(
    "1-8",
    points=0,
    title="The conditional decoder reads [z, onehot(c)], in this order (for information)",
    asks=DECODER,
)
def test_decoder_reads_z_and_label_early(submission: Submission, draw: Draw) -> None:
    expect_part(submission, draw, "CVAEDecoder")
