"""Public checks of vae.py: questions 1-4 to 1-7."""

from __future__ import annotations

import math

import torch

from autograder.judging import (
    Draw,
    NoAnswer,
    Submission,
    candidates,
    check,
    expect,
    expect_close,
    expect_equal,
    expect_fresh,
    fail,
    first_shown,
)
from autograder.judging.observation import kind

from ...mistakes.public import vae as mistakes
from ...mistakes.public import vae_loss as known
from ...mistakes.public.common import NOISE_SHARED_BY_BATCH, NOISE_SHARED_BY_DIMENSIONS
from ...mistakes.public.vae_loss import Z_CUT_OFF
from . import judge_calls as calls
from . import judge_common as common
from . import judge_vae as judge
from . import models_autoencoder as small
from .judge_first_step import expect_first_step
from .judge_reconstruction import expect_reconstruction


@check(
    "1-4",
    points=0.5,
    title="The VAE has beta, an encoder with 2 nz outputs and a decoder",
    asks="VAE(nz, beta=1.0): .beta, .encoder (2 nz outputs), .decoder (nz numbers to 784 pixels).",
)
def test_parts(submission: Submission, draw: Draw) -> None:
    for nz in (draw.size("latent", 3, 12), draw.size("latent", 12, 32)):
        n, beta = draw.size("batch", 2, 7), draw.number(0.1, 0.9)
        seen = submission.ask(
            "vae.construct", nz=nz, beta=beta, x=draw.uniform(n, 1, 784), z=draw.normal(n, 1, nz)
        )
        expect_close(torch.tensor(seen.number("beta")), beta, what=f"VAE({nz}, {beta:.3f}).beta")
        expect_close(torch.tensor(seen.number("beta_unasked")), 1.0, what=f"VAE({nz}).beta, the default")
        expect(
            not seen.flag("beta_trained"),
            expected="beta: a constant",
            seen="a parameter with gradients",
            mistake=mistakes.BETA_TRAINED,
        )
        judge.expect_posterior_shape(
            seen.tensor("code", what="the encoder's output"),
            n,
            nz,
            what=f"the encoder's output for {n} images",
            mistake=mistakes.ENCODER_HALF_AS_WIDE,
        )
        image = seen.tensor("image", what=f"the decoder's output for {n} codes")
        expect_equal(image.numel(), n * 784, what=f"numbers that the decoder returns for {n} codes, 784 each")


@check(
    "1-4",
    points=0.5,
    title="forward returns q and rec in their shapes, with a new sample at every call",
    asks='VAE.forward(x) -> {"q": (..., 2 nz), "rec": (N, 1, 784)}, for any batch size.',
)
def test_forward_shapes(submission: Submission, draw: Draw) -> None:
    for n in (draw.size("batch", 1, 2), draw.size("batch", 2, 9)):
        nz = draw.size("latent", 3, 12, unlike=n)
        rows = common.repeated(draw, n)
        try:
            seen = submission.ask("vae.own_forward", nz=nz, x=draw.uniform(n, 1, 784)[rows])
        except NoAnswer as none:
            calls.name_sliced_batch(submission, "vae.handed_on", none, x=draw.uniform(8, 1, 784))
            raise
        outputs = seen.part("outputs", what="the value that forward returned")
        q = outputs.tensor("q", what='outputs["q"]')
        judge.expect_posterior_shape(q, n, nz, what='outputs["q"]', mistake=mistakes.Q_OVERWRITTEN)
        common.expect_repeated(q, rows, 'outputs["q"]')
        rec = outputs.tensor("rec", (n, 1, 784), what='outputs["rec"]')
        again = seen.part("again").tensor("rec", (n, 1, 784), what='outputs["rec"] of a second call')
        expect(
            not torch.equal(rec, again),
            expected="different images at every call, since a new code is sampled",
            seen="the same images twice",
            hint="forward decodes a sample of q(z|x), not its mean.",
        )
        judge.expect_one_tensor(seen)


@check(
    "1-4",
    points=0.5,
    title="reparameterize draws with the given mean and standard deviation",
    asks="VAE.reparameterize(mu, log_sigma) draws z from N(mu, sigma), anew at every call.",
)
def test_reparameterize_mean_and_spread(submission: Submission, draw: Draw) -> None:
    n, nz = draw.or_usual("batch", 300), draw.or_usual("latent", 12)
    # 2.5 is a spread at which the known mistakes differ by more than the draws do.
    for mu, sigma in [(0.0, 2.5), (draw.number(-5, 5), 0.5)]:
        shape = (n, 1, nz)
        filled = torch.full(shape, mu), torch.full(shape, math.log(sigma))
        seen = submission.ask("vae.reparameterize", mu=filled[0], log_sigma=filled[1], pull=torch.ones(shape))
        z = seen.tensor("z", shape, what="z")
        zero = first_shown([mistakes.WITHOUT_NOISE], z - filled[0])
        expect(zero is None, expected="mu plus noise", seen="mu, without noise", mistake=zero)
        expect_fresh(z, seen.tensor("again", shape, what="z of a second call"), what="the noise")
        columns = first_shown([NOISE_SHARED_BY_DIMENSIONS], z.reshape(n, nz) - mu)
        expect(
            columns is None,
            expected="noise of its own for every dimension",
            seen="shared noise",
            mistake=columns,
        )
        mean, std = z.mean().item(), z.std().item()
        # 3600 draws: the bounds are more than 6 standard errors wide (1 / 60 for the mean, 1 / 85 for the spread).
        expect(
            abs(mean - mu) < 0.11 * sigma and abs(std / sigma - 1) < 0.08,
            expected=f"{n * nz} draws with mean {mu:.3f} and standard deviation {sigma:g} (log sigma {math.log(sigma):.3f})",
            seen=f"mean {mean:.3f}, standard deviation {std:.3f}",
            hint="z is mu plus noise, and the noise has the standard deviation sigma = exp(log_sigma).",
            mistake=first_shown([NOISE_SHARED_BY_BATCH, NOISE_SHARED_BY_DIMENSIONS], z.reshape(n, nz))
            or mistakes.scale_mistake(mean - mu, std, sigma),
        )
        expect(
            seen.get("grad_mu") is not None and seen.get("grad_log_sigma") is not None,
            expected="gradients of z with respect to mu and to log_sigma",
            seen="no gradient with respect to at least one of them",
            mistake=Z_CUT_OFF,
        )


@check(
    "1-4",
    points=0.5,
    title="kl_loss agrees with torch.distributions, and the total is rec_loss + beta * kl_loss",
    asks='VAE.loss(x, outputs) -> (total, {"rec_loss", "kl_loss"}): kl_loss is KL[q(z|x) || N(0, I)], the mean over batch '
    "and latent dimensions; total = rec_loss + beta * kl_loss.",
)
def test_kl_agrees_with_torch(submission: Submission, draw: Draw) -> None:
    n = draw.size("batch", 3, 7)
    nz = draw.size("latent", 3, 12, unlike=n)
    mu, log_sigma = draw.normal(n, 1, nz), draw.normal(n, 1, nz, std=0.5)
    beta, x, grey = draw.number(0.1, 0.7), draw.uniform(n, 1, 784, low=0.02), torch.full((n, 1, 784), 0.5)
    q = torch.cat([mu, log_sigma], -1)
    seen = submission.ask("vae.loss", nz=nz, beta=beta, x=x, q=q, rec=grey)
    kl = judge.part(seen, "kl_loss")
    posterior = mistakes.Posterior(mu, log_sigma)
    expect_close(
        kl,
        posterior.kl.mean(),
        rtol=1e-3,
        what="kl_loss, computed with torch.distributions.kl_divergence",
        mistakes=known.kl_losses(posterior, beta),
        hint="Which distribution comes first in KL[q || p]? What is log sigma of N(0, I)? Is it a mean over everything?",
    )
    rec_loss = judge.expect_loss_of_grey(seen, x, grey)
    terms = known.Terms(rec_loss, kl, beta)
    expect_close(
        seen.tensor("total", (), what="the total"),
        rec_loss + beta * kl,
        rtol=1e-3,
        what=f"the total with beta = {beta:.3f}: rec_loss + beta * kl_loss",
        mistakes=candidates(known.TOTALS, terms),
    )
    judge.expect_loss_to_teach(seen)
    judge.expect_tensors(seen)


@check(
    "1-4",
    points=0.5,
    title="reconstruct returns (N, 28, 28) and is deterministic",
    asks="VAE.reconstruct(x) -> (N, 28, 28): decode the posterior mean, no sampling, deterministic.",
)
def test_reconstruct_is_deterministic(submission: Submission, draw: Draw) -> None:
    # More images than latent dimensions at first, so that slices of the batch and of the code differ.
    for n, most in ((draw.size("batch", 8, 12), 6), (draw.size("batch", 1, 2), 12)):
        rows, nz = common.repeated(draw, n), draw.size("latent", 3, most, unlike=n)
        seen = submission.ask("vae.own_reconstruct", nz=nz, x=draw.uniform(n, 1, 784)[rows])
        images = judge.expect_deterministic(seen, n)
        common.expect_repeated(images, rows, f"reconstruct of {n} images")
        judge.expect_no_graph(seen, "reconstruct")


@check(
    "1-4",
    points=0,
    title="reconstruct decodes the posterior mean (for information)",
    asks="VAE.reconstruct(x) -> (N, 28, 28): decode the posterior mean, no sampling, deterministic.",
)
def test_reconstruct_decodes_the_mean_early(submission: Submission, draw: Draw) -> None:
    for n in (draw.size("batch", 8, 12), draw.size("batch", 1, 2)):
        nz = draw.size("latent", 3, 6)
        weights, x = small.weights(draw, nz), draw.uniform(n, 1, 784)
        seen = submission.ask("vae.reconstruct", weights=weights, x=x)
        expect_reconstruction(seen, weights, x, None)


@check(
    "1-5",
    points=1,
    title="Training brings the losses down and returns both histories",
    asks='train_vae(model, loader, epochs, learning_rate, device="cpu") -> {"rec_loss": [float], "kl_loss": [float]}, one '
    "entry per iteration.",
)
def test_training_brings_the_losses_down(submission: Submission, draw: Draw) -> None:
    size = small.sizes(draw)
    seen = submission.ask(
        "vae.train_vae",
        weights=small.weights(draw, size.nz),
        beta=0.001,
        images=draw.uniform(size.images, 1, 28, 28, low=0.97),
        labels=torch.arange(size.images) % 10,
        batch_size=size.batch,
        epochs=8,
        learning_rate=5e-3,
        own_rate=5e-4,
    )
    expect_first_step(submission, draw, "vae.train_vae")
    judge.expect_histories(seen, 8, size.iterations // size.epochs)


@check(
    "1-6",
    points=0.5,
    title="BETA is a positive number",
    asks="BETA: the tuned weight of the KL term, a plain number.",
)
def test_beta_is_a_number(submission: Submission) -> None:
    seen = submission.ask("vae.beta")
    expect(
        not isinstance(seen.get("beta"), str),
        expected="BETA: a plain number",
        seen=kind(seen.get("beta")),
        mistake=mistakes.BETA_IS_TEXT,
    )
    expect(
        first_shown([mistakes.BETA_IS_TUPLE], seen.get("beta")) is None,
        expected="BETA: a plain number",
        seen="a tuple of one number",
        mistake=mistakes.BETA_IS_TUPLE,
    )
    value = seen.number("beta", what="BETA")
    expect(value > 0, expected="BETA: a positive number", seen=f"{value:g}")


@check(
    "1-7",
    points=1,
    title="INTERPOLATIONS holds two different pairs of different digits",
    asks="INTERPOLATIONS: [(a, b), (c, d)], two pairs of labels 0 to 9, a != b, c != d, the second pair not the first nor "
    "its reverse.",
)
def test_interpolations(submission: Submission) -> None:
    seen = submission.ask("vae.interpolations")
    found = seen.list("pairs", what="INTERPOLATIONS")
    flat = first_shown([mistakes.FLAT_LIST_OF_LABELS], found)
    expect(
        flat is None,
        expected="INTERPOLATIONS: two pairs of labels",
        seen=f"{len(found)} single labels",
        mistake=flat,
    )
    pairs = seen.list("pairs", 2, what="INTERPOLATIONS", mistakes=mistakes.wrong_count(found))
    for number, pair in enumerate(pairs, 1):
        what = f"pair {number} of INTERPOLATIONS"
        if not isinstance(pair, list) or len(pair) != 2:
            fail(expected=f"{what}: two labels", seen=kind(pair))
        for label in pair:
            if not isinstance(label, int) or isinstance(label, bool):
                mistake = first_shown([mistakes.LABELS_ARE_FLOATS], label)
                fail(expected=f"{what}: whole numbers", seen=kind(label), mistake=mistake)
            expect(
                0 <= label <= 9,
                expected=f"{what}: labels from 0 to 9",
                seen=str(label),
                mistake=mistakes.LABEL_NOT_A_DIGIT,
            )
        expect(
            pair[0] != pair[1],
            expected=f"{what}: two different digits",
            seen=f"{pair[0]} twice",
            mistake=mistakes.SAME_DIGIT_TWICE,
        )
    expect(
        set(pairs[0]) != set(pairs[1]),
        expected="a second pair that is neither the first nor its reverse",
        seen=f"{tuple(pairs[0])} and {tuple(pairs[1])}",
        mistake=mistakes.SAME_PAIR_TWICE,
    )
