"""Public checks of cvae.py: questions 1-8 and 1-9."""

from __future__ import annotations

from typing import Any

import torch

from autograder.judging import Draw, Submission, check, expect, expect_close, expect_equal

from ...mistakes.public import cvae as mistakes
from ...mistakes.public.common import SAMPLES_KEEP_GRAPH
from ...mistakes.public.labels import (
    NEEDS_LABELS,
    NEVER_RUN,
    RECONSTRUCT_NEEDS_LABELS,
    REFUSED_UNCONDITIONAL,
)
from ...mistakes.public.sampling import LABELS_NOT_PASSED, LABELS_REORDERED
from ...mistakes.public.vae import Q_OVERWRITTEN
from . import judge_calls as calls
from . import judge_common as common
from . import judge_vae as judge
from . import models_autoencoder as small
from .judge_first_step import expect_first_step


@check(
    "1-8",
    points=0.5,
    title="idx2onehot has one 1 in each row, at the label",
    asks="idx2onehot(idx, n): integer labels (N,) or (N, 1), 0 <= idx < n -> (N, n) float32.",
)
def test_onehot_rows(submission: Submission, draw: Draw) -> None:
    for n in (draw.integer(4, 10), draw.integer(11, 16)):
        count = draw.integer(4, 20)
        # Labels with both ends, and labels without the largest: the width is n for all.
        ends, fewer = draw.integers(0, n, count), draw.integers(0, n - 2, count)
        ends[0], ends[-1] = 0, n - 1
        inputs = [fewer, fewer[:, None], ends, ends[:, None]]
        seen = submission.ask("cvae.idx2onehot", labels=inputs, n=n)
        for value, labels in zip(seen.list("values", 4), inputs, strict=True):
            calls.expect_onehot(value, labels, n)


@check(
    "1-8",
    points=0.5,
    title="CVAE works with labels and without, and requires num_labels when conditional",
    asks='CVAE(nz, beta=1.0, conditional=False, num_labels=0): forward(x, c=None) -> {"q", "rec", "c"}, reconstruct(x, '
    "c=None) -> (N, 28, 28); conditional with num_labels < 1 raises ValueError.",
)
def test_cvae_with_and_without_labels(submission: Submission, draw: Draw) -> None:
    n, nz, count = draw.size("batch", 8, 12), draw.size("latent", 3, 6), draw.size("classes", 3, 10)
    rows = common.repeated(draw, n)
    x, c = draw.uniform(n, 1, 784)[rows], draw.labels(count, (n + 1) // 2)[rows]
    for labels in (c, None):
        how = "a conditional CVAE" if labels is not None else "an unconditional CVAE, called without labels"
        inputs: dict[str, Any] = {"nz": nz, "x": x, "c": labels, "num_labels": 0 if labels is None else count}
        if labels is None:
            # The conditional model has just worked.
            calls.ask_naming(submission, "cvae.unconditional", REFUSED_UNCONDITIONAL, nz=nz)
            seen = calls.ask_naming(submission, "cvae.whole", NEEDS_LABELS, **inputs)
        else:
            seen = submission.ask("cvae.whole", **inputs)
        outputs = seen.part("outputs", what=f"the value that forward of {how} returned")
        q = outputs.tensor("q", what='outputs["q"]')
        judge.expect_posterior_shape(q, n, nz, what=f'outputs["q"] of {how}', mistake=Q_OVERWRITTEN)
        common.expect_repeated(q, rows, f'outputs["q"] of {how}')
        rec = outputs.tensor("rec", (n, 1, 784), what=f'outputs["rec"] of {how}')
        judge.expect_one_tensor(seen)
        again = seen.part("again").tensor("rec", (n, 1, 784), what='outputs["rec"] of a second call')
        expect(
            not torch.equal(rec, again),
            expected=f"{how}: different images at every call of forward, since a new code is sampled",
            seen="the same images twice",
            hint="forward decodes a sample of q(z|x, c), not its mean.",
        )
        calls.expect_gradient_flow(seen, how)
        crash = NEVER_RUN if labels is not None else RECONSTRUCT_NEEDS_LABELS
        seen = calls.ask_naming(submission, "cvae.own_reconstruct", crash, **inputs)
        judge.expect_deterministic(seen, n)
        judge.expect_no_graph(seen, f"reconstruct of {how}")
    _expect_labels_to_matter(submission, draw, nz, count)
    raised = submission.ask("cvae.refused", nz=nz, counts=[1, 0, -1]).list("raised", 3)
    expect_equal(
        ["" if name == "" else "an exception" for name in raised],
        ["", "an exception", "an exception"],
        what="what CVAE(nz, conditional=True, num_labels=1, 0 and -1) raises",
        mistakes=mistakes.refusals(),
    )


def _expect_labels_to_matter(submission: Submission, draw: Draw, nz: int, count: int) -> None:
    """Encoder and decoder return something else for other labels."""
    c = draw.labels(count, 5)
    inputs: dict[str, Any] = {
        "x": draw.uniform(5, 1, 784),
        "z": draw.normal(5, 1, nz),
        "c": c,
        "other": (c + 1) % count,
    }
    seen = submission.ask("cvae.label_effects", nz=nz, num_labels=count, **inputs)
    for part, mistake in mistakes.IGNORED_LABELS.items():
        before, after = (seen.tensor(f"{part} {k}", what=f"the output of the {part}") for k in ("c", "other"))
        expect(
            before.shape != after.shape or bool((before != after).any()),
            expected=f"a conditional {part} whose output depends on the label",
            seen="the same output for other labels",
            mistake=mistake,
        )


@check(
    "1-8",
    points=0.5,
    title="train_cvae brings the losses down and returns both histories",
    asks='train_cvae(model, loader, epochs, learning_rate, device="cpu") -> {"rec_loss": [float], "kl_loss": [float]}, with '
    "labels passed when the model is conditional.",
)
def test_training_brings_the_losses_down(submission: Submission, draw: Draw) -> None:
    size = small.sizes(draw)
    for labels in (draw.size("classes", 3, 10), 0):
        seen = submission.ask(
            "cvae.train_cvae",
            weights=small.weights(draw, size.nz, labels=labels),
            beta=0.001,
            images=draw.uniform(size.images, 1, 28, 28, low=0.97),
            labels=torch.arange(size.images) % max(labels, 1),
            batch_size=size.batch,
            epochs=8,
            learning_rate=5e-3,
            own_rate=5e-4,
        )
        expect_first_step(submission, draw, "cvae.train_cvae", labels)
        judge.expect_histories(seen, 8, size.iterations // size.epochs)


@check(
    "1-9",
    points=1,
    title="One image for each label, new at every call, without a graph",
    asks="sample_conditional(model, labels, nz) -> (len(labels), 28, 28), no graph attached.",
)
def test_one_image_for_each_label(submission: Submission, draw: Draw) -> None:
    for n in (draw.size("labels", 1, 2), draw.size("labels", 2, 9)):
        nz, count = draw.size("latent", 3, 9), draw.size("classes", 3, 10)
        weights, labels = small.weights(draw, nz, labels=count), draw.labels(count, n)
        seen = submission.ask("cvae.sample_conditional", weights=weights, beta=1.0, labels=labels, nz=nz)
        first = seen.tensor(
            "first",
            (n, 28, 28),
            what=f"sample_conditional with labels of shape ({n},)",
            mistakes=calls.misshapen((n, 28, 28)),
        )
        second = seen.tensor("second", (n, 28, 28), what="the second call")
        common.expect_other_images(first, second)
        for images in (first, second):
            common.expect_decoded(weights, images, labels, "sample_conditional")
        expect(
            not seen.flag("graph"),
            expected="images without a graph",
            seen="a tensor that requires gradients",
            mistake=SAMPLES_KEEP_GRAPH,
        )


@check(
    "1-9",
    points=1,
    title="Each image is decoded with its own label, in the order of the labels",
    asks="sample_conditional(model, labels, nz) decodes one z per label, with that label.",
)
def test_labels_are_used_in_order(submission: Submission, draw: Draw) -> None:
    nz, count, n = draw.size("latent", 3, 9), draw.size("classes", 4, 9), draw.size("labels", 12, 20)
    weights = small.weights(draw, nz, labels=count)
    # The label alone decides the image: the code has next to no influence.
    weights["decoder_weight"] = weights["decoder_weight"] * 1e-4
    labels = draw.labels(count, n)
    seen = submission.ask("cvae.sample_conditional", weights=weights, beta=1.0, labels=labels, nz=nz)
    first = seen.tensor("first", what=f"sample_conditional with labels of shape ({n},)")
    # The shape is the other check's matter.
    expect_equal(first.numel(), n * 784, what=f"pixels of {n} images of 28 x 28")
    expect_close(
        first.reshape(n, 784),
        small.decoded(weights, torch.zeros(n, nz), labels).float(),
        atol=5e-3,
        what="images of a decoder that depends on the label alone",
        mistakes=[
            mistake.giving(small.decoded(weights, torch.zeros(n, nz), given).float())
            for mistake, given in (
                (LABELS_NOT_PASSED, None),
                (LABELS_REORDERED, labels.flip(0)),
                (LABELS_REORDERED, labels.sort().values),
            )
        ],
        hint="Pass the labels to model.decoder in their given order, one for each code.",
    )
