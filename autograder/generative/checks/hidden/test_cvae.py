"""Hidden checks of cvae.py: question 1-8; those of idx2onehot and of sampling have files of their own."""

from __future__ import annotations

from functools import partial
from itertools import product

import torch
from torch import Tensor

from autograder.judging import (
    Candidate,
    Draw,
    Observation,
    Submission,
    again,
    candidates,
    check,
    expect_close,
    expect_equal,
)

from ...mistakes.hidden import cvae as mistakes
from ...stand_ins import models
from ...stand_ins.vae import mixed
from ..public import judge_common as common
from ..public import models_autoencoder as small
from ..public import test_cvae_parts as parts
from ..public import test_wrong_devices as devices
from ..public.judge_reconstruction import Decode, Posteriors, expect_reconstruction
from . import expected_vae as expected
from . import judge_forward as forward
from . import judge_loss as losses
from .expected_training import expect_long_epoch
from .judge_vae_training import expect_histories, train

CVAE = (
    'CVAE(nz, beta=1.0, conditional=False, num_labels=0): forward(x, c=None) -> {"q", "rec", "c"}: encode with the labels, '
    "sample z from q(z|x, c), decode with the labels."
)
LOSS = "CVAE.loss(x, outputs): as VAE.loss."
RECONSTRUCT = "CVAE.reconstruct(x, c=None) -> (N, 28, 28) from the posterior mean, using c."
TRAIN = (
    'train_cvae(model, loader, epochs, learning_rate, device="cpu") -> as train_vae, labels passed when the model is '
    "conditional."
)


test_encoder_reads_x_and_label = again(
    parts.test_encoder_reads_x_and_label_early, points=0.5, rubric="The layers and inputs of CVAEEncoder"
)

test_decoder_reads_z_and_label = again(
    parts.test_decoder_reads_z_and_label_early, points=0.5, rubric="The layers and inputs of CVAEDecoder"
)


@check(
    "1-8",
    points=0.5,
    title="forward samples from q(z|x, c) and passes the labels to both networks",
    asks=CVAE,
    rubric="The code and the labels that CVAE.forward uses",
)
def test_forward_uses_labels(submission: Submission, draw: Draw) -> None:
    n, nz, count = draw.size("batch", 240, 300), draw.size("latent", 5, 9), draw.size("classes", 3, 10)
    _expect_attributes(submission, draw, nz, count)
    for labels in (count, 0):
        weights, x = small.weights(draw, nz, labels=labels), draw.uniform(n, 1, 784)
        c = draw.labels(labels, n) if labels else None
        seen = submission.ask("cvae.forward", weights=weights, x=x, c=c, given_reparameterize=True)
        also = [] if labels else [mixed(small.encoded(weights, x), 0.9, 0.4)]
        forward.expect_posterior_sample(seen, weights, x, c, also)
    x, c, weights = (
        draw.uniform(n, 1, 784),
        draw.labels(count, n),
        small.weights(draw, nz, labels=count),
    )
    seen = submission.ask("cvae.forward", weights=weights, x=x, c=c, given_reparameterize=False)
    forward.expect_posterior_sample(seen, weights, x, c)
    _expect_new_sample(seen, weights, x, c)
    x, c = x[:5], c[:5]
    seen = submission.ask("cvae.elsewhere", nz=nz, num_labels=count, x=x, c=c)
    common.expect_no_collision(seen, "forward, loss and reconstruct of CVAE")


def _expect_attributes(submission: Submission, draw: Draw, nz: int, count: int) -> None:
    """The constructor keeps beta, and both parts work with labels."""
    seen = submission.ask(
        "cvae.construct",
        nz=nz,
        beta=0.3,
        num_labels=count,
        x=draw.uniform(4, 1, 784),
        z=draw.normal(4, 1, nz),
        c=draw.labels(count, 4),
    )
    code = seen.tensor("code", what="the encoder's output")
    expect_equal(code.numel(), 4 * 2 * nz, what="numbers that the encoder returns for 4 images, 2 nz each")
    image = seen.tensor("image", what="the decoder's output for 4 codes")
    expect_equal(image.numel(), 4 * 784, what="numbers that the decoder returns for 4 codes, 784 each")
    expect_close(torch.tensor(seen.number("beta")), 0.3, what=f"CVAE({nz}, 0.3, True, {count}).beta")
    expect_close(torch.tensor(seen.number("beta_unasked")), 1.0, what=f"CVAE({nz}).beta, the default")


def _expect_new_sample(seen: Observation, weights: dict[str, Tensor], x: Tensor, c: Tensor) -> None:
    """As for the VAE; a CVAE that uses the stand-in VAE's reparameterize decodes the same code each time."""
    code = expected.reparameterized(*expected.halves(small.encoded(weights, x, c)))
    rec = seen.part("outputs").tensor("rec", (len(x), 1, 784), what='outputs["rec"]')
    z = small.codes_in(weights, rec, c)
    if z is None or not torch.allclose(z, code, atol=2e-3):
        forward.expect_new_sample(seen, weights, x, c)


@check(
    "1-8",
    points=0.5,
    title="loss is the VAE's: rec_loss + beta * KL[q(z|x, c) || N(0, I)]",
    asks=LOSS,
    rubric="The value and the gradients of CVAE.loss",
)
def test_loss(submission: Submission, draw: Draw) -> None:
    for labels, dtype in product((draw.size("classes", 3, 10), 0), (torch.float32, torch.float64)):
        n = draw.size("batch", 3, 9)
        case = losses.loss_case(draw, n, dtype)
        c = draw.labels(labels, n) if labels else None
        seen = submission.ask("cvae.loss", **case.inputs, num_labels=labels, c=c)
        if losses.is_stand_ins_loss(seen, case):
            continue
        losses.expect_kl(seen, case)
        losses.expect_total(seen, case)
        losses.expect_loss_gradients(seen, case)


def wrong_labels(c: Tensor | None, posterior: Posteriors, decode: Decode) -> list[Candidate]:
    """Known mistakes in the use of the labels c, with the images that they lead to."""
    if c is None:
        return []
    case = mistakes.Labelled(c, lambda chosen: posterior(chosen).mu, decode)
    return candidates(mistakes.RECONSTRUCTIONS, case)


@check(
    "1-8",
    points=0.5,
    title="reconstruct decodes the posterior mean, with the labels",
    asks=RECONSTRUCT,
    rubric="The code and the labels that CVAE.reconstruct uses",
)
def test_reconstruct_uses_labels(submission: Submission, draw: Draw) -> None:
    for labels in (draw.size("classes", 3, 10), 0):
        for n in (draw.size("batch", 3, 9), draw.size("batch", 1, 2)):
            nz = draw.size("latent", 3, 9)
            weights, x = small.weights(draw, nz, labels=labels), draw.uniform(n, 1, 784)
            c = draw.labels(labels, n) if labels else None
            seen = submission.ask("cvae.reconstruct", weights=weights, x=x, c=c)
            also = [] if labels else [mixed(small.encoded(weights, x), 0.8, 0.3)]
            expect_reconstruction(seen, weights, x, c, also, partial(wrong_labels, c))


@check(
    "1-8",
    points=0.5,
    title="train_cvae trains as train_vae does, with labels when conditional",
    asks=TRAIN,
    rubric="The steps and the histories of train_cvae",
)
def test_training(submission: Submission, draw: Draw) -> None:
    for labels in (draw.size("classes", 3, 10), 0):
        run = train(submission, draw, "cvae.train_cvae", models.CVAE, draw.number(0.5, 2.0), labels)
        run.expect_steps("train_cvae")
        run.expect_images()
        run.expect_mode()
        expect_histories(run)
        run.expect_all_epochs()
    labels = draw.size("classes", 3, 10)
    expect_long_epoch(
        draw, lambda size: train(submission, draw, "cvae.train_cvae", models.CVAE, 1.0, labels, size)
    )
    devices.test_cvae_training_on_another_device(submission, draw)
