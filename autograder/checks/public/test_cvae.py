"""Public checks of cvae.py: questions 1-8 and 1-9."""

from __future__ import annotations

import torch

from autograder.checks.public import given, telling
from autograder.checks.public.test_vae import expect_histories
from autograder.judging import Draw, Mistake, check, expect, expect_close, expect_equal


@check(
    "1-8",
    points=0.5,
    title="idx2onehot has one 1 in each row, at the label",
    asks="idx2onehot(idx, n): integer labels (N,) or (N, 1), 0 <= idx < n -> (N, n) float32.",
)
def test_onehot_rows(submission, draw: Draw) -> None:
    for n in (draw.integer(3, 10), draw.integer(11, 16)):
        count = draw.integer(4, 20)
        labels = draw.integers(0, n, count)
        seen = submission.ask("cvae.idx2onehot", labels=[labels, labels[:, None]], n=n)
        for value, shape in zip(seen.list("values", 2), [(count,), (count, 1)], strict=True):
            telling.expect_onehot(value, labels.reshape(shape), n)


@check(
    "1-8",
    points=0.5,
    title="CVAE works with labels and without, and insists on num_labels when conditional",
    asks='CVAE(nz, beta=1.0, conditional=False, num_labels=0): forward(x, c=None) -> {"q", "rec", "c"}, reconstruct(x, '
    "c=None) -> (N, 28, 28); conditional with num_labels < 1 raises ValueError.",
)
def test_cvae_with_and_without_labels(submission, draw: Draw) -> None:
    n, nz, count = draw.integer(2, 7), draw.integer(3, 12), draw.integer(3, 12)
    x, c = draw.uniform(n, 1, 784), draw.integers(0, count, n)
    for labels in (c, None):
        how = "a conditional CVAE" if labels is not None else "an unconditional CVAE, called without labels"
        inputs = {"nz": nz, "x": x, "c": labels, "num_labels": 0 if labels is None else count}
        if labels is None:
            # The conditional model has just worked.
            seen = telling.ask_naming(submission, "cvae.whole", telling.NEEDS_LABELS, **inputs)
        else:
            seen = submission.ask("cvae.whole", **inputs)
        given.refuse_64(seen, n)
        outputs = seen.part("outputs", what=f"what forward of {how} returned")
        q = outputs.tensor("q", what='outputs["q"]')
        expect(
            q.shape in [(n, 1, 2 * nz), (n, 2 * nz)],
            expected=f'outputs["q"] of {how}: ({n}, 1, {2 * nz})',
            seen=f"shape {tuple(q.shape)}",
        )
        outputs.tensor("rec", (n, 1, 784), what=f'outputs["rec"] of {how}')
        telling.expect_gradient_flow(seen, how)
        seen = telling.ask_naming(submission, "cvae.own_reconstruct", telling.NEVER_RUN, **inputs)
        telling.expect_one_half(seen)
        asked = (n, 28, 28)
        seen.tensor("first", asked, what=f"reconstruct of {how}", mistakes=telling.misshapen(asked))
    raised = submission.ask("cvae.refused", nz=nz, counts=[1, 0, -1]).list("raised", 3)
    expect_equal(
        raised,
        ["", "ValueError", "ValueError"],
        what="what CVAE(nz, conditional=True, num_labels=1, 0 and -1) raise",
        mistakes=[
            Mistake(
                accepted,
                "A conditional model without any labels is accepted.",
                "raise ValueError in __init__ when conditional and num_labels < 1.",
            )
            for accepted in (["", "", ""], ["", "", "ValueError"], ["", "ValueError", ""])
        ]
        + [
            Mistake(
                ["ValueError"] * 3, "A conditional model with one label is refused.", "1 label is enough."
            ),
        ],
    )


@check(
    "1-8",
    points=0.5,
    title="train_cvae brings the losses down and returns both histories",
    asks='train_cvae(model, loader, epochs, learning_rate, device="cpu") -> {"rec_loss": [float], "kl_loss": [float]}, with '
    "labels passed when the model is conditional.",
)
def test_training_brings_the_losses_down(submission, draw: Draw) -> None:
    size = given.sizes(draw)
    for labels in (draw.integer(3, 10), 0):
        seen = submission.ask(
            "cvae.train_cvae",
            weights=given.weights(draw, size.nz, labels=labels),
            beta=0.001,
            images=draw.uniform(size.images, 1, 28, 28, low=0.97),
            labels=torch.arange(size.images) % max(labels, 1),
            batch_size=size.batch,
            epochs=8,
            learning_rate=5e-3,
        )
        expect_histories(seen, 8, size.iterations // size.epochs)


@check(
    "1-9",
    points=1,
    title="One image for each label, new at every call, without a graph",
    asks="sample_conditional(model, labels, nz) -> (len(labels), 28, 28), no graph attached.",
)
def test_one_image_for_each_label(submission, draw: Draw) -> None:
    for n in (1, draw.integer(2, 9)):
        nz, count = draw.integer(3, 9), draw.integer(3, 12)
        seen = submission.ask(
            "cvae.sample_conditional",
            weights=given.weights(draw, nz, labels=count),
            beta=1.0,
            labels=draw.integers(0, count, n),
            nz=nz,
        )
        first = seen.tensor(
            "first",
            (n, 28, 28),
            what=f"sample_conditional with {n} labels",
            mistakes=telling.misshapen((n, 28, 28)),
        )
        given.expect_other_images(first, seen.tensor("second", (n, 28, 28), what="the second call"))
        expect(
            not seen.flag("graph"),
            expected="images without a graph",
            seen="a tensor that requires gradients",
            hint="Sample under torch.no_grad().",
            mistake=Mistake(None, "The samples still have a graph attached."),
        )


@check(
    "1-9",
    points=1,
    title="Each image is drawn with its own label, in the order of the labels",
    asks="sample_conditional(model, labels, nz) decodes one z per label, with that label.",
)
def test_labels_are_used_in_order(submission, draw: Draw) -> None:
    nz, count, n = draw.integer(3, 9), draw.integer(4, 9), draw.integer(12, 20)
    weights = given.weights(draw, nz, labels=count)
    # Here a label alone decides what is drawn: the code weighs next to nothing.
    weights["decoder_weight"] = weights["decoder_weight"] * 1e-4
    labels = draw.integers(0, count, n)
    seen = submission.ask("cvae.sample_conditional", weights=weights, beta=1.0, labels=labels, nz=nz)
    first = seen.tensor("first", (n, 28, 28), what=f"sample_conditional with {n} labels")
    expect_close(
        first.flatten(1),
        given.decoded(weights, torch.zeros(n, nz), labels).float(),
        atol=5e-3,
        what="images of a decoder that looks at the label alone",
        hint="Pass the labels to model.decoder as they came, one for each code.",
    )
