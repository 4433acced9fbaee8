"""Public checks of vae.py: questions 1-4 to 1-7."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from autograder.checks.public import given, telling
from autograder.judging import (
    Draw,
    Mistake,
    Observation,
    check,
    expect,
    expect_close,
    expect_fresh,
    fail,
    shared_columns,
    shared_rows,
)
from autograder.judging.observation import kind


@check(
    "1-4",
    points=0.5,
    title="The VAE has beta, an encoder with 2 nz outputs and a decoder",
    asks="VAE(nz, beta=1.0): .beta, .encoder (2 nz outputs), .decoder (nz numbers to 784 pixels).",
)
def test_parts(submission, draw: Draw) -> None:
    for nz in (draw.integer(3, 12), draw.integer(12, 40)):
        n, beta = draw.integer(2, 7), draw.number(0.1, 0.9)
        seen = submission.ask(
            "vae.construct", nz=nz, beta=beta, x=draw.uniform(n, 1, 784), z=draw.normal(n, 1, nz)
        )
        expect_close(torch.tensor(seen.number("beta")), beta, what=f"VAE({nz}, {beta:.3f}).beta")
        expect_close(torch.tensor(seen.number("beta_unasked")), 1.0, what=f"VAE({nz}).beta, beta not given")
        code = seen.tensor("code", what="the encoder's output")
        expect(
            code.shape in [(n, 1, 2 * nz), (n, 2 * nz)],
            expected=f"the encoder's output for {n} images: shape ({n}, 1, {2 * nz}), mean and log sigma",
            seen=f"shape {tuple(code.shape)}",
            hint="One number for each mean and one for each log sigma: 2 nz outputs.",
            mistake=Mistake(None, "The encoder has nz outputs where 2 nz are asked.")
            if code.shape in [(n, 1, nz), (n, nz)]
            else None,
        )
        seen.tensor("image", (n, 1, 784), what=f"the decoder's output for {n} codes")


@check(
    "1-4",
    points=0.5,
    title="forward returns q and rec in their shapes, with a new sample at every call",
    asks='VAE.forward(x) -> {"q": (..., 2 nz), "rec": (N, 1, 784)}, for any batch size.',
)
def test_forward_shapes(submission, draw: Draw) -> None:
    for n in (1, draw.integer(2, 9)):
        nz = draw.integer(3, 12)
        seen = submission.ask("vae.own_forward", nz=nz, x=draw.uniform(n, 1, 784))
        given.refuse_64(seen, n)
        outputs = seen.part("outputs", what="what forward returned")
        q = outputs.tensor("q", what='outputs["q"]')
        expect(
            q.shape in [(n, 1, 2 * nz), (n, 2 * nz)],
            expected=f'outputs["q"]: what the encoder returned, ({n}, 1, {2 * nz})',
            seen=f"shape {tuple(q.shape)}",
            hint="q is the posterior (means and log sigmas), not the code that was drawn from it.",
            mistake=Mistake(None, "q is overwritten by z: it holds the drawn code, not the posterior.")
            if q.shape in [(n, 1, nz), (n, nz)]
            else None,
        )
        rec = outputs.tensor("rec", (n, 1, 784), what='outputs["rec"]')
        again = seen.part("again").tensor("rec", (n, 1, 784), what='outputs["rec"] of a second call')
        expect(
            not torch.equal(rec, again),
            expected="another drawing at every call, since a new code is drawn",
            seen="the same drawing twice",
            hint="forward decodes a sample of q(z|x), not its mean.",
        )


@check(
    "1-4",
    points=0.5,
    title="reparameterize draws with the mean and the standard deviation it is told",
    asks="VAE.reparameterize(mu, log_sigma) draws z from N(mu, sigma), anew at every call.",
)
def test_reparameterize_mean_and_spread(submission, draw: Draw) -> None:
    n, nz = 300, 12
    # 2.5 is a spread at which the known mistakes differ by more than the draws do.
    for mu, sigma in [(0.0, 2.5), (draw.number(-5, 5), 0.5)]:
        shape = (n, 1, nz)
        filled = torch.full(shape, mu), torch.full(shape, math.log(sigma))
        seen = submission.ask("vae.reparameterize", mu=filled[0], log_sigma=filled[1], pull=torch.ones(shape))
        given.refuse_64(seen, n)
        z = seen.tensor("z", shape, what="z")
        expect_fresh(z, seen.tensor("again", shape, what="z of a second call"), what="the noise")
        mean, std = z.mean().item(), z.std().item()
        # 3600 draws: the bounds are more than 6 standard errors wide (1 / 60 for the mean, 1 / 85 for the spread).
        expect(
            abs(mean - mu) < 0.11 * sigma and abs(std / sigma - 1) < 0.08,
            expected=f"{n * nz} draws with mean {mu:.3f} and standard deviation {sigma:g} (log sigma {math.log(sigma):.3f})",
            seen=f"mean {mean:.3f}, standard deviation {std:.3f}",
            hint="z is mu plus noise, and the noise has the standard deviation sigma = exp(log_sigma).",
            mistake=_shared(z.reshape(n, nz)) or _wrong_draws(mean - mu, std, sigma),
        )


def _shared(z: Tensor) -> Mistake | None:
    """The mistake of one draw for all samples or for all dimensions, if z (n, nz) shows it."""
    own = "Draw a number for each element: torch.randn_like(mu)."
    if shared_rows(z):
        return Mistake(None, "One draw of noise is shared by the whole batch.", own)
    if shared_columns(z):
        return Mistake(None, "One number is drawn for each sample and shared by all dimensions.", own)
    return None


def _wrong_draws(shift: float, std: float, sigma: float) -> Mistake | None:
    """The known mistake that gives noise of this mean and standard deviation, if there is one."""
    read_as = "log_sigma is the logarithm of the standard deviation: sigma = exp(log_sigma)."
    known = [
        (
            0.5 * sigma,
            sigma / math.sqrt(12),
            "The noise is uniform (torch.rand), not normal.",
            "Use torch.randn_like.",
        ),
        (0, sigma / math.sqrt(3), "The noise is uniform on [-1, 1], not normal.", "Use torch.randn_like."),
        (0, math.sqrt(sigma), "log_sigma is read as the log of the variance: exp(0.5 log_sigma).", read_as),
        (0, sigma**2, "The noise is scaled by the variance: exp(2 log_sigma).", read_as),
        (0, abs(math.log(sigma)), "log_sigma is not exponentiated.", read_as),
        (0, 1, "The noise is not scaled by sigma.", "Multiply it by exp(log_sigma)."),
    ]
    fitting = [
        Mistake(None, says, try_)
        for mean, spread, says, try_ in known
        if abs(shift - mean) < 0.1 * spread and abs(std / spread - 1) < 0.06
    ]
    return fitting[0] if len(fitting) == 1 else None


@check(
    "1-4",
    points=0.5,
    title="kl_loss agrees with torch.distributions, and the total adds it to rec_loss",
    asks='VAE.loss(x, outputs) -> (total, {"rec_loss", "kl_loss"}): kl_loss is KL[q(z|x) || N(0, I)], the mean over batch '
    "and latent dimensions.",
)
def test_kl_agrees_with_torch(submission, draw: Draw) -> None:
    n, nz = draw.integer(3, 7), draw.integer(3, 12)
    mu, log_sigma = draw.normal(n, 1, nz), draw.normal(n, 1, nz, std=0.5)
    seen = submission.ask(
        "vae.loss",
        nz=nz,
        beta=1.0,
        x=draw.uniform(n, 1, 784),
        q=torch.cat([mu, log_sigma], -1),
        rec=draw.uniform(n, 1, 784, low=0.05, high=0.95),
    )
    given.refuse_64(seen, n)
    parts = seen.part("parts", what="the second value that loss returned")
    kl = parts.tensor("kl_loss", (), what='parts["kl_loss"]')
    posterior, prior = Normal(mu, log_sigma.exp()), Normal(0.0, 1.0)
    right = kl_divergence(posterior, prior).mean()
    summed = "Take the mean over the batch and over the latent dimensions."
    expect_close(
        kl,
        right,
        rtol=1e-3,
        what="kl_loss, as torch.distributions.kl_divergence gives it",
        mistakes=[
            Mistake(
                right * n * nz,
                "The KL divergence is summed over the batch and the latent dimensions.",
                summed,
            ),
            Mistake(right * nz, "The KL divergence is summed over the latent dimensions.", summed),
            Mistake(right * n, "The KL divergence is summed over the batch.", summed),
            Mistake(
                kl_divergence(prior, posterior).mean(),
                "The KL divergence's arguments are swapped.",
                "KL[q || p]: the posterior comes first, the prior second.",
            ),
            Mistake(
                kl_divergence(posterior, Normal(0.0, math.e)).mean(),
                "The prior's log sigma is set to one.",
                "N(0, I) has the standard deviation 1, whose logarithm is 0.",
            ),
        ],
        hint="Which distribution comes first in KL[q || p]? What is log sigma of N(0, I)? Is it a mean over everything?",
    )
    rec = parts.tensor("rec_loss", (), what='parts["rec_loss"]')
    expect_close(
        seen.tensor("total", (), what="the total"),
        rec + kl,
        rtol=1e-3,
        what="the total with beta = 1: rec_loss + kl_loss",
    )


@check(
    "1-4",
    points=0.5,
    title="reconstruct returns (N, 28, 28) and does not depend on chance",
    asks="VAE.reconstruct(x) -> (N, 28, 28): decode the posterior mean, no sampling, deterministic.",
)
def test_reconstruct_is_deterministic(submission, draw: Draw) -> None:
    for n in (1, draw.integer(2, 9)):
        seen = submission.ask("vae.own_reconstruct", nz=draw.integer(3, 12), x=draw.uniform(n, 1, 784))
        telling.expect_one_half(seen)
        first = seen.tensor(
            "first", (n, 28, 28), what=f"reconstruct of {n} images", mistakes=telling.misshapen((n, 28, 28))
        )
        second = seen.tensor("second", (n, 28, 28), what=f"reconstruct of {n} images, called again")
        expect(
            torch.allclose(first, second, atol=1e-6),
            expected="the same images at every call",
            seen=f"images that differ by up to {float((first - second).abs().max()):.3g}",
            hint="Decode the first half of the encoder's output as it is.",
            mistake=Mistake(
                None, "reconstruct samples: it decodes a drawn code instead of the posterior mean."
            ),
        )


@check(
    "1-5",
    points=1,
    title="Training brings the losses down and returns both histories",
    asks='train_vae(model, loader, epochs, learning_rate, device="cpu") -> {"rec_loss": [float], "kl_loss": [float]}, one '
    "entry per iteration.",
)
def test_training_brings_the_losses_down(submission, draw: Draw) -> None:
    size = given.sizes(draw)
    seen = submission.ask(
        "vae.train_vae",
        weights=given.weights(draw, size.nz),
        beta=0.001,
        images=draw.uniform(size.images, 1, 28, 28, low=0.97),
        labels=torch.arange(size.images) % 10,
        batch_size=size.batch,
        epochs=8,
        learning_rate=5e-3,
    )
    expect_histories(seen, 8, size.iterations // size.epochs)


def expect_histories(seen: Observation, epochs: int, per_epoch: int) -> None:
    """Two lists of plain floats, one entry per iteration, and a reconstruction loss that falls."""
    telling.expect_flattened(seen)
    history = seen.part("history", what="what the training returned")
    losses, _ = (
        history.numbers(
            name,
            epochs * per_epoch,
            what=f'history["{name}"] of {epochs} epochs of {per_epoch} batches',
            hint="Note both losses inside the inner loop, at every batch.",
            mistakes=[Mistake(epochs, telling.ONE_PER_EPOCH)],
        )
        for name in ("rec_loss", "kl_loss")
    )
    expect(
        not seen.flag("graph"),
        expected="plain floats",
        seen="tensors that still hold the graph they came from",
        hint="Use .item(): a loss tensor keeps its whole graph in memory.",
        mistake=Mistake(None, "The lists of losses keep every graph alive."),
    )
    expect(
        losses[-1] < 0.98 * losses[0],
        expected="a reconstruction loss that falls by several per cent in 8 epochs",
        seen=f"{losses[0]:.4f} at the first iteration, {losses[-1]:.4f} at the last",
        hint="Every iteration: forward, loss, clear the gradients, backward on the total, optimiser step.",
    )


@check(
    "1-6",
    points=0.5,
    title="BETA is a positive number",
    asks="BETA: the tuned weight of the KL term, a plain number.",
)
def test_beta_is_a_number(submission) -> None:
    seen = submission.ask("vae.beta")
    expect(
        not isinstance(seen.get("beta"), str),
        expected="BETA: a plain number",
        seen=kind(seen.get("beta")),
        mistake=Mistake(None, "BETA is a text that holds a number.", "Write the number without quotes."),
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
def test_interpolations(submission) -> None:
    seen = submission.ask("vae.interpolations")
    found = seen.list("pairs", what="INTERPOLATIONS")
    expect(
        not found or not all(isinstance(label, int) for label in found),
        expected="INTERPOLATIONS: two pairs of labels",
        seen=f"{len(found)} single labels",
        mistake=Mistake(
            None, "The labels stand in one flat list, not in pairs.", "Write each pair as (a, b)."
        ),
    )
    says = f"INTERPOLATIONS holds {len(found)} pairs, not two."
    pairs = seen.list("pairs", 2, what="INTERPOLATIONS", mistakes=_if_pairs(found, says))
    for number, pair in enumerate(pairs, 1):
        what = f"pair {number} of INTERPOLATIONS"
        if not isinstance(pair, list) or len(pair) != 2:
            fail(expected=f"{what}: two labels", seen=kind(pair))
        for label in pair:
            if not isinstance(label, int) or isinstance(label, bool):
                fail(expected=f"{what}: whole numbers", seen=kind(label))
            expect(
                0 <= label <= 9,
                expected=f"{what}: labels from 0 to 9",
                seen=str(label),
                mistake=Mistake(None, "A label is no digit.", "MNIST's labels are the digits 0 to 9."),
            )
        expect(
            pair[0] != pair[1],
            expected=f"{what}: two different digits",
            seen=f"{pair[0]} twice",
            mistake=Mistake(None, "A pair holds the same digit twice.", "There is no way to look at."),
        )
    expect(
        set(pairs[0]) != set(pairs[1]),
        expected="a second pair that is neither the first nor its reverse",
        seen=f"{tuple(pairs[0])} and {tuple(pairs[1])}",
        mistake=Mistake(None, "The second pair is the first one again.", "Choose another way to look at."),
    )


def _if_pairs(found: list[object], says: str) -> list[Mistake]:
    """The mistake of a wrong number of pairs, when it is pairs that were found."""
    return [Mistake(len(found), says)] if all(isinstance(p, list) and len(p) == 2 for p in found) else []
