"""Public checks of autoencoder.py: questions 1-1, 1-2 and 1-3."""

from __future__ import annotations

import math

import torch

from autograder.judging import Draw, Submission, check, expect, expect_close, expect_equal

from ...mistakes.public import autoencoder as mistakes
from ...mistakes.public.common import SAMPLES_KEEP_GRAPH
from ...mistakes.public.reconstruction_loss import LOSS_CHANGES_ARGUMENTS
from ...mistakes.public.training import HISTORY_KEEPS_GRAPHS
from . import judge_calls as calls
from . import judge_common as common
from . import models_autoencoder as small
from .judge_first_step import expect_first_step
from .judge_history import expect_entries, wrong_lengths


@check(
    "1-1",
    points=0.5,
    title="The encoder takes any image size and code length, and keeps the leading shape",
    asks="Encoder(nz, input_size): (N, 1, input_size) or (N, input_size) -> the same leading shape with nz last.",
)
def test_encoder_shapes(submission: Submission, draw: Draw) -> None:
    for _ in range(2):
        n, nz, size = draw.size("batch", 3, 8), draw.size("latent", 3, 32), draw.size("image", 100, 780)
        for shape in [(n, 1, size), (n, size)]:
            rows = common.repeated(draw, n)
            x = draw.uniform(*shape)[rows]
            seen = submission.ask("autoencoder.shapes", name="Encoder", sizes=[nz, size], x=x)
            what = f"Encoder({nz}, {size}) on x of shape {shape}"
            asked = (*shape[:-1], nz)
            out = seen.tensor("out", asked, what=what, mistakes=calls.misshapen(asked))
            common.expect_repeated(out, rows, what)


@check(
    "1-1",
    points=0.5,
    title="The decoder returns (N, 1, output_size) with values in [0, 1]",
    asks="Decoder(nz, output_size): z of shape (N, nz) or (N, 1, nz) -> (N, 1, output_size), values in [0, 1].",
)
def test_decoder_shapes_and_range(submission: Submission, draw: Draw) -> None:
    for _ in range(2):
        n, nz, size = draw.size("batch", 3, 8), draw.size("latent", 3, 32), draw.size("image", 100, 780)
        for shape in [(n, 1, nz), (n, nz)]:
            rows = common.repeated(draw, n)
            # Codes this large push a layer that does not end in a sigmoid out of [0, 1].
            z = draw.normal(*shape, std=40.0)[rows]
            seen = submission.ask("autoencoder.shapes", name="Decoder", sizes=[nz, size], x=z)
            what = f"Decoder({nz}, {size}) on z of shape {shape}"
            out = seen.tensor(
                "out",
                (n, 1, size),
                what=what,
                hint="unsqueeze(1) or reshape adds the middle axis.",
                mistakes=calls.fixed_size((n, 1, size)),
            )
            low, high = float(out.min()), float(out.max())
            expect(
                low >= 0 and high <= 1,
                expected=f"{what}: values in [0, 1]",
                seen=f"values from {low:.3g} to {high:.3g}",
                hint="End with a sigmoid.",
            )
            common.expect_repeated(out, rows, what)


@check(
    "1-1",
    points=1,
    title="The loader serves full batches, every image with its own label",
    asks="make_data_loader(dataset, batch_size=64, num_workers=0) returns a DataLoader that reshuffles every epoch and "
    "drops the last, incomplete batch.",
)
def test_loader_serves_full_batches(submission: Submission, draw: Draw) -> None:
    size = draw.integer(5, 12)
    n = size * draw.integer(13, 16) + draw.integer(1, size)  # more than 64, so that a fixed size shows
    data = common.numbered(draw, n, 7)
    seen = submission.ask("autoencoder.loader", **data.sent, epochs=1, batch_size=size)
    expect(
        seen.flag("is_loader"),
        expected="a torch.utils.data.DataLoader",
        seen="an object of another class",
        hint="Import DataLoader from torch.utils.data and return one.",
    )
    batches = common.loader_epochs(seen, 1, data)[0]
    expect(
        any(batch.shape[0] != 64 for batch in batches),
        expected=f"batches of {size} images",
        seen="batches of 64",
        mistake=mistakes.FIXED_LOADER_BATCH_SIZE,
    )
    expect_equal(
        len(batches),
        n // size,
        what=f"number of batches of {size} from {n} images",
        hint="Ask the DataLoader to drop the last batch when it is not full.",
        mistakes=[mistakes.LAST_BATCH_KEPT.giving(n // size + 1)],
    )
    for number, batch in enumerate(batches):
        expect_equal(batch.shape, [size, 1, 28, 28], what=f"shape of the images of batch {number}")
        expect(
            torch.equal(data.labels[batch.numbers], batch.labels),
            expected="every image with its own label",
            seen=f"images and labels of batch {number} do not belong together",
            hint="Let the DataLoader shuffle; images and labels that are shuffled apart lose their pairs.",
        )


@check(
    "1-2",
    points=0.5,
    title="The loss of a prediction of 0.5 is ln 2, whatever the truth",
    asks="reconstruction_loss(x_hat, x): binary cross-entropy, mean over every element; x has shape (N, 1, 28, 28), "
    "(N, 1, 784) or (N, 784).",
)
def test_grey_costs_ln_2(submission: Submission, draw: Draw) -> None:
    n = draw.size("batch", 3, 7)
    x_hat = torch.full((n, 1, 784), 0.5)
    for shape in [(n, 1, 28, 28), (n, 1, 784), (n, 784)]:
        x = draw.uniform(*shape, low=0.02, high=0.98)
        seen = calls.ask_with_trials(
            submission, "autoencoder.reconstruction_loss", calls.loss_trials(x_hat, x), x_hat=x_hat, x=x
        )
        calls.expect_reduced(seen, math.log(2), f"the loss for x of shape {shape}")
        loss = seen.tensor("loss", (), what=f"the loss for x of shape {shape}")
        expect_close(
            loss,
            math.log(2),
            rtol=1e-4,
            what=f"the loss of a prediction that is 0.5 everywhere, for x of shape {shape}",
            mistakes=calls.mistakes_in_loss(submission, draw, loss, math.log(2))
            or [
                mistakes.LOSS_ARGUMENTS_SWAPPED.giving(-0.5 * (x.log() + (1 - x).log()).mean()),
                mistakes.LOSS_SUMMED_OVER_PIXELS.giving(784 * math.log(2)),
                mistakes.LOSS_SUMMED.giving(784 * n * math.log(2)),
                mistakes.LOSS_OF_LOGITS.giving(math.log1p(math.exp(0.5)) - 0.25),
            ],
            hint="Bring x to the shape of x_hat; then -[x log(x_hat) + (1 - x) log(1 - x_hat)], averaged.",
        )
    sure = draw.number(0.55, 0.95)
    seen = submission.ask(
        "autoencoder.reconstruction_loss", x_hat=torch.full((n, 1, 784), sure), x=torch.ones(n, 1, 784)
    )
    expect(
        seen.flag("kept"),
        expected="both arguments left as they were",
        seen="one of them was changed in place",
        mistake=LOSS_CHANGES_ARGUMENTS,
    )
    expect_close(
        seen.tensor("loss", (), what="the loss of white images"),
        -math.log(sure),
        rtol=1e-3,
        what=f"the loss of a prediction that is {sure:.3f} everywhere, for white images",
    )


@check(
    "1-2",
    points=0.5,
    title="The loss is smallest when the prediction is the truth",
    asks="reconstruction_loss(x_hat, x): binary cross-entropy with the prediction first and the truth second.",
)
def test_truth_costs_least(submission: Submission, draw: Draw) -> None:
    n = draw.or_usual("batch", 5)
    x = draw.uniform(n, 1, 784, low=0.1, high=draw.number(0.2, 0.9))
    entropy = torch.special.entr(x).add(torch.special.entr(1 - x)).mean().item()
    step = draw.normal(n, 1, 784, std=0.03).clamp(-0.08, 0.08)
    pairs = [{"x_hat": x + amount * step, "x": x} for amount in (0.0, 1.0, -1.0)]
    seen = submission.ask("autoencoder.losses", pairs=pairs)
    at_truth, above, below = seen.numbers("losses", 3, what="the losses")
    expect(
        at_truth < min(above, below) and abs(at_truth - entropy) < 0.002,
        expected=f"the smallest loss, near {entropy:.2f} (the mean entropy of these grey pixels), when x_hat is x",
        seen=f"{at_truth:.4f} at x_hat = x; {above:.4f} and {below:.4f} slightly away from it",
        hint="The prediction is the first argument, and the loss is a cross-entropy: not 0 for grey pixels.",
        mistake=next((c.mistake for c in calls.mistakes_in_loss(submission, draw, at_truth, entropy)), None),
    )


@check(
    "1-2",
    points=1,
    title="Training brings the loss down and returns one float per iteration",
    asks="train_autoencoder(model, loader, epochs, learning_rate, device='cpu') trains with Adam and returns a list of "
    "one float per iteration.",
)
def test_training_brings_the_loss_down(submission: Submission, draw: Draw) -> None:
    size = small.sizes(draw)
    images, labels = draw.uniform(size.images, 1, 28, 28, low=0.97), torch.arange(size.images) % 10
    seen = submission.ask(
        "autoencoder.train_autoencoder",
        weights=small.weights(draw, size.nz, outputs=size.nz),
        images=images,
        labels=labels,
        batch_size=size.batch,
        epochs=8,
        learning_rate=5e-3,
        own_rate=5e-4,
    )
    iterations = 8 * size.iterations // size.epochs
    what = f"the losses of 8 epochs of {iterations // 8} batches"
    lengths = wrong_lengths(seen, 8, iterations // 8)
    hint = "Append the loss inside the inner loop, at every batch."
    entries = expect_entries(seen, "history", iterations, what, lengths, hint)
    losses = entries.once
    expect(
        not seen.flag("graph"),
        expected="plain floats",
        seen="tensors that are still attached to their graphs",
        mistake=HISTORY_KEEPS_GRAPHS,
    )
    expect(
        losses[-1] < 0.98 * losses[0],
        expected="a loss that falls by several per cent in 8 epochs",
        seen=f"{losses[0]:.4f} at the first iteration, {losses[-1]:.4f} at the last",
        hint="In every iteration: forward, loss, clear the gradients, backward, optimiser step.",
    )
    expect_first_step(submission, draw, "autoencoder.train_autoencoder")
    entries.expect_once(what)
    calls.expect_flattened(seen)


@check(
    "1-3",
    points=0.5,
    title="Samples have the right shape, are in [0, 1] and are new at every call",
    asks="sample_images(model, num_samples, nz, device='cpu'): fresh z ~ N(0, I), decoded by model.decoder, returned as "
    "(num_samples, 1, 28, 28).",
)
def test_samples_are_images(submission: Submission, draw: Draw) -> None:
    counts = (draw.integer(2, 9), 1)
    answers = []
    for count, nz in zip(counts, (draw.size("latent", 3, 6), draw.size("latent", 6, 10)), strict=True):
        weights = small.weights(draw, nz, outputs=nz)
        seen = submission.ask("autoencoder.sample_images", weights=weights, num_samples=count, nz=nz)
        answers.append((seen, weights))
    numbers = [
        len(v) for seen, _ in answers if isinstance(v := seen.get("first"), torch.Tensor) and v.dim() == 4
    ]
    expect(
        len(numbers) < 2 or numbers[0] != numbers[1],
        expected=f"{counts[0]} images for num_samples={counts[0]}, and {counts[1]} for num_samples={counts[1]}",
        seen=f"{numbers[0]} images both times" if numbers else "",
        mistake=mistakes.SAMPLE_COUNT_FIXED,
    )
    for count, (seen, weights) in zip(counts, answers, strict=True):
        asked = (count, 1, 28, 28)
        what = f"sample_images(model, {count}, nz)"
        first = seen.tensor("first", asked, what=what, mistakes=calls.misshapen(asked))
        second = seen.tensor("second", asked, what=f"{what}, called again")
        expect(
            float(first.min()) >= 0 and float(first.max()) <= 1,
            expected="values in [0, 1], as the decoder returns them",
            seen=f"values from {float(first.min()):.3g} to {float(first.max()):.3g}",
            mistake=common.why_not_decoded(weights, first, None),
        )
        common.expect_other_images(first, second)
        expect(
            not seen.flag("graph"),
            expected="samples without a graph",
            seen="a tensor that requires gradients",
            mistake=SAMPLES_KEEP_GRAPH,
        )
        for images in (first, second):
            common.expect_decoded(weights, images, None, what)
