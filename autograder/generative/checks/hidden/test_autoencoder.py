"""Hidden checks of autoencoder.py: other sizes, and the loader, of question 1-1; the loss of 1-2."""

from __future__ import annotations

from functools import partial

import torch
from hypothesis import strategies as st
from torch.nn import functional as F

from autograder.judging import (
    Draw,
    Observation,
    Submission,
    again,
    check,
    close,
    expect,
    expect_close,
    expect_equal,
    fail,
    first_shown,
)
from autograder.judging.properties import for_all

from ...mistakes.public import layers as known
from ...mistakes.public import reconstruction_loss as mistakes
from ..public import judge_calls as calls
from ..public import judge_common as common
from ..public import test_autoencoder_layers as public
from .expected_vae import expect_gradient

ENCODER = "Encoder(nz, input_size): Linear(input_size, 256), ReLU, Linear(256, 64), ReLU, Linear(64, nz)."
DECODER = "Decoder(nz, output_size): Linear(nz, 64), ReLU, Linear(64, 256), ReLU, Linear(256, output_size), Sigmoid."
LOADER = (
    "make_data_loader(dataset, batch_size=64, num_workers=0) returns a DataLoader that reshuffles every epoch and drops "
    "the last, incomplete batch."
)
LOSS = "reconstruction_loss(x_hat, x): binary cross-entropy, prediction first, mean over every element."


test_encoder_layers = again(
    public.test_encoder_layers_early, points=1, rubric="The encoder's output and gradients"
)

test_decoder_layers = again(
    public.test_decoder_layers_early, points=1, rubric="The decoder's output and gradients"
)

test_loader_reshuffles = again(
    public.test_loader_reshuffles_early, points=0.5, rubric="The order of the images in each epoch"
)


@check(
    "1-1",
    points=0.5,
    title="Every image appears at most once an epoch, with its own label",
    asks=LOADER,
    rubric="Images and labels of an epoch",
)
def test_loader_serves_each_image_once(submission: Submission, draw: Draw) -> None:
    def body(size: int, full: int, rest: int, classes: int, seed: int) -> None:
        n = size * full + rest % size
        data = common.numbered(Draw(seed), n, classes)
        seen = submission.ask("autoencoder.loader", **data.sent, epochs=2, batch_size=size)
        expect_equal(
            seen.number("length", what="len(loader)"),
            float(full),
            what=f"len(loader), {n} images by {size}",
        )
        for epoch in common.loader_epochs(seen, 2, data):
            expect_equal(len(epoch), full, what=f"number of batches of {size} from {n} images")
            _expect_own_images(epoch, size, data)

    for_all(
        draw,
        body,
        size=st.integers(3, 12),
        full=st.integers(1, 7),
        rest=st.integers(0, 11),
        classes=st.integers(3, 12),
        seed=st.integers(0, 1 << 40),
    )


def _expect_own_images(epoch: list[common.LoaderBatch], size: int, data: common.Numbered) -> None:
    """Raises a fault unless the batches hold `size` images, each at most once and with its own label."""
    for batch in epoch:
        expect_equal(batch.shape, [size, 1, 28, 28], what="shape of a batch")
    numbers = torch.cat([b.numbers for b in epoch])
    labels = torch.cat([b.labels for b in epoch])
    expect(
        len(numbers.unique()) == len(numbers),
        expected="every image at most once an epoch",
        seen="images that appear more than once",
        mistake=known.DRAWN_WITH_REPLACEMENT,
    )
    expect(
        torch.equal(data.labels[numbers], labels),
        expected="every image with its own label",
        seen="labels that belong to other images",
    )


@check(
    "1-1",
    points=0.5,
    title="Batches hold 64 images when no size is given, and num_workers is passed on",
    asks=LOADER,
    rubric="Optional arguments of make_data_loader",
)
def test_loader_settings(submission: Submission, draw: Draw) -> None:
    n = 64 * 2 + draw.integer(1, 64)
    data = common.numbered(draw, n, 5)
    epoch = common.loader_epochs(submission.ask("autoencoder.loader", **data.sent, epochs=1), 1, data)[0]
    sizes = [b.shape[0] for b in epoch]
    expect_equal(
        sizes,
        [64, 64],
        what=f"batch sizes for {n} images, batch_size not given",
        mistakes=[known.WRONG_DEFAULT_BATCH_SIZE.giving([k] * (n // k)) for k in {*sizes} - {64} if k > 0],
    )
    workers = draw.integer(1, 5)
    seen = submission.ask("autoencoder.loader_workers", n=20, batch_size=4, num_workers=workers)
    expect_equal(
        seen.number("workers", what="loader.num_workers"),
        float(workers),
        what=f"loader.num_workers with num_workers={workers}",
        mistakes=[known.WORKERS_NOT_PASSED.giving(0.0)],
    )
    expect_equal(seen.number("workers_unasked"), 0.0, what="loader.num_workers when it is not given")


@check(
    "1-1",
    points=0.5,
    title="Encoder and decoder work for other sizes and for a single image",
    asks=f"{ENCODER} {DECODER}",
    rubric="Encoder and decoder at other sizes",
)
def test_other_sizes(submission: Submission, draw: Draw) -> None:
    def body(n: int, nz: int, size: int, middle: bool, seed: int) -> None:
        n, nz = draw.or_usual("batch", n), draw.or_usual("latent", nz)
        size = draw.or_usual("image", size)
        for name, inside, outside in [("Encoder", size, nz), ("Decoder", nz, size)]:
            rows = common.repeated(Draw(seed), n)
            ends = (0, 1) if name == "Encoder" else (-3, 3)
            x = torch.linspace(*ends, n * inside).reshape((n, 1, inside) if middle else (n, inside))[rows]
            asked = (n, 1, outside) if middle or name == "Decoder" else (n, outside)
            seen = submission.ask("autoencoder.shapes", name=name, sizes=[nz, size], x=x)
            what = f"{name}({nz}, {size}) on a batch of shape {tuple(x.shape)}"
            out = seen.tensor("out", asked, what=what, mistakes=calls.misshapen(asked))
            common.expect_repeated(out, rows, what)

    for_all(
        draw,
        body,
        n=st.integers(1, 70),
        nz=st.integers(1, 70),
        size=st.integers(1, 1200),
        middle=st.booleans(),
        seed=st.integers(0, 1 << 40),
    )


@check(
    "1-2",
    points=0.5,
    title="The loss is the binary cross-entropy, averaged over every element",
    asks=LOSS,
    rubric="The value of the loss",
)
def test_loss_values(submission: Submission, draw: Draw) -> None:
    def body(n: int, form: tuple[int, ...], seed: int) -> None:
        n = draw.or_usual("batch", n)
        inputs, shape = Draw(seed), (n, *form)
        x_hat = inputs.uniform(n, 1, 784, low=0.05, high=0.95)
        # Near its own prediction, each image costs clearly less than with another's.
        x = inputs.uniform(*shape, low=0.02, high=0.98).lerp(x_hat.reshape(shape), 0.5)
        trials = calls.loss_trials(x_hat, x)
        seen = calls.ask_with_trials(submission, "autoencoder.reconstruction_loss", trials, x_hat=x_hat, x=x)
        case = mistakes.LossCase(x_hat, x.reshape(x_hat.shape))
        calls.expect_reduced(seen, case.right, f"the loss for x of shape {shape}")
        loss = seen.tensor("loss", (), what=f"the loss for x of shape {shape}")
        expect_close(
            loss,
            case.right,
            rtol=1e-3,
            what=f"the loss for x of shape {shape}",
            mistakes=mistakes.wrong_losses(case),
        )

    forms = [(1, 28, 28), (1, 784), (784,)]
    # Fewer than 3 images hide a sum over the batch.
    for_all(draw, body, n=st.integers(3, 40), form=st.sampled_from(forms), seed=st.integers(0, 1 << 40))
    for form in forms:
        body(1, form, draw.integer(0, 1 << 40))
    _expect_full_price(submission, draw)


def _expect_full_price(submission: Submission, draw: Draw) -> None:
    """Predictions that are 0.0001 to 0.0003 away from the wrong end cost what the formula says."""
    x = draw.integers(0, 2, draw.size("batch", 3, 8), 1, 784).float()
    x_hat = (1 - x).lerp(x, draw.uniform(*x.shape, low=1e-4, high=3e-4))
    (loss,) = submission.ask("autoencoder.losses", pairs=[{"x_hat": x_hat, "x": x}]).list("losses", 1)
    value = Observation({"loss": loss}).tensor(
        "loss", (), what="the loss of nearly certain, wrong predictions"
    )
    right = F.binary_cross_entropy(x_hat.double(), x.double())
    expect(
        close(value.double(), right, 0.02, 0.0),
        expected=f"the loss of predictions that are certain to 0.0001 and wrong: {right.item():.4f}",
        seen=f"{value.item():.4f}",
        mistake=first_shown([mistakes.LOSS_CUT_OFF], value, right),
    )


@check(
    "1-2",
    points=0.5,
    title="The loss has the right gradient and leaves its arguments alone",
    asks=LOSS,
    rubric="The gradient of the loss",
)
def test_loss_gradient(submission: Submission, draw: Draw) -> None:
    for dtype in (torch.float32, torch.float64):
        n = draw.size("batch", 3, 8)
        x_hat = draw.uniform(n, 1, 784, low=0.05, high=0.95).to(dtype)
        x = draw.uniform(n, 1, 28, 28).to(dtype)
        flat = x.reshape(x_hat.shape).double()
        seen = submission.ask("autoencoder.reconstruction_loss", x_hat=x_hat, x=x)
        what = f"the loss in {str(dtype).removeprefix('torch.')}"
        loss = seen.tensor("loss", (), what=what)
        right = F.binary_cross_entropy(x_hat.double(), flat)
        grad = seen.tensor("grad", x_hat.shape, what=f"the gradient of {what} with respect to x_hat")
        expect(
            seen.flag("kept"),
            expected="arguments that are left as they are",
            seen="x_hat or x was changed",
            mistake=mistakes.LOSS_CHANGES_ARGUMENTS,
        )
        if not close(loss.double(), right, 1e-3, 1e-6):
            fail(expected=f"{what}: {right.item():.6f}", seen=f"{loss.item():.6f}")
        expect_gradient(grad, partial(F.binary_cross_entropy, target=flat), x_hat, f"the gradient of {what}")


@check(
    "1-2",
    points=0.5,
    title="The loss is finite where a prediction is exactly 0 or 1",
    asks=LOSS,
    rubric="The loss of extreme predictions",
)
def test_loss_at_the_ends(submission: Submission, draw: Draw) -> None:
    x = draw.integers(0, 2, draw.or_usual("batch", 4), 1, 784).float()
    wrong = x.clone()
    wrong[:, :, :5] = 1 - x[:, :, :5]
    order = draw.permutation(6)
    pairs = [{"x_hat": x, "x": x}, {"x_hat": wrong, "x": x}]
    for rank in order.tolist():  # predictions that are from 0.05 to 0.3 off
        y = draw.integers(0, 2, *x.shape).float()
        pairs.append({"x_hat": y.lerp(1 - y, 0.05 * (1 + rank)), "x": y})
    right_loss, wrong_loss, *inside_losses = submission.ask("autoencoder.losses", pairs=pairs).list(
        "losses", 8
    )
    part = Observation({"right": right_loss, "wrong": wrong_loss, "inside": inside_losses[0]})
    _expect_no_logarithm_of_0(part)
    hint = "log(0) is minus infinity, and 0 times that is NaN: PyTorch's own function handles both."
    right = part.tensor("right", (), what="the loss of a perfect prediction of zeros and ones", hint=hint)
    at_wrong = part.tensor(
        "wrong", (), what="the loss where five pixels of each image are certain and wrong", hint=hint
    )
    expect(
        abs(right.item()) < 2e-3, expected="a loss of 0 for a perfect prediction", seen=f"{right.item():.4g}"
    )
    expect(
        at_wrong.item() > 0.02,
        expected="a large loss where a prediction is certain and wrong",
        seen=f"{at_wrong.item():.4g}",
    )
    losses = Observation({"losses": inside_losses}).numbers(
        "losses", what="the losses of predictions in (0, 1)"
    )
    expect(
        [order[i] for i in torch.tensor(losses).argsort()] == list(range(6)),
        expected="a larger loss the further the prediction is from the truth",
        seen=", ".join(f"{loss:.4g}" for loss in losses),
    )


def _expect_no_logarithm_of_0(losses: Observation) -> None:
    """Ends the check when the loss is finite where every prediction is inside (0, 1), and not at 0 or 1."""
    inside, *ends = (
        losses.tensor(k, (), what="the loss", finite=False) for k in ("inside", "right", "wrong")
    )
    expect(
        not bool(inside.isfinite()) or all(bool(end.isfinite()) for end in ends),
        expected="a finite loss where predictions are exactly 0 or 1",
        seen=" and ".join(f"{end.item():g}" for end in ends),
        mistake=mistakes.LOGARITHM_OF_ZERO,
    )
