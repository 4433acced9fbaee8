"""Every figure of the assignment, drawn from trained models with the solutions' own `figures.py`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .. import styles
from .reference import modules
from .runs import NZ, SEED, STUDIED, Outcome, flat
from .sources import Digits, Photographs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Drawn = Iterator[tuple[str, "Figure"]]


def of_digits(data: Digits, outcomes: Mapping[str, Outcome], device: str, tuned: float) -> Drawn:
    """Yields the names and figures of Problem 1. outcomes: by the names of their plans; tuned: the beta chosen in question 1-6."""
    given = modules()
    figures, name = given.figures, data.name
    ae, vae, cvae = outcomes["AE"], outcomes[f"VAE, beta {tuned:g}"], outcomes[f"CVAE, beta {tuned:g}"]
    x, labels = data.test_images[:10], data.test_labels[:10]
    torch.manual_seed(SEED)

    def samples(outcome: Outcome, count: int) -> Tensor:
        drawn: Tensor = given.autoencoder.sample_images(outcome.model, count, NZ, device=device)
        return drawn.cpu()

    yield "digits-test-images", figures.image_grid(data.test_images[:20], f"{name}: test images", columns=10)
    yield "ae-losses", figures.loss_curves(ae.trained.curves, f"Auto-encoder on {name}")
    yield (
        "ae-reconstructions",
        figures.reconstructions(
            x, ae.model.reconstruct(flat(x, device)).cpu(), f"Auto-encoder, {name}", "test"
        ),
    )
    yield (
        "ae-samples",
        figures.image_grid(samples(ae, 20), f"Auto-encoder, {name}: samples", columns=10),
    )
    studied = {o.plan.beta: o for o in outcomes.values() if o.plan.kind == "vae" and o.plan.beta in STUDIED}
    rows = {}
    for beta, outcome in sorted(studied.items(), key=lambda pair: pair[0] or 0.0):
        measured = outcome.measured
        title = f"beta {beta:g}\nrec {measured['test rec, mean decoded']:.3f}, kl {measured['test kl']:.3g}"
        rows[title] = (outcome.model.reconstruct(flat(x[:7], device)).cpu(), samples(outcome, 7))
    yield "vae-beta-study", figures.beta_study(x[:7], rows, f"VAE on {name}, by beta")
    for beta in (0.0, 10.0):
        curves = studied[beta].trained.curves
        yield (
            f"vae-losses-beta-{beta:g}",
            figures.loss_curves(curves, f"VAE on {name}, beta {beta:g}", model="VAE"),
        )
    title = f"VAE, beta {tuned:g}, {name}"
    yield "vae-losses", figures.loss_curves(vae.trained.curves, f"VAE on {name}, beta {tuned:g}", model="VAE")
    rebuilt = vae.model.reconstruct(flat(x, device)).cpu()
    yield "vae-reconstructions", figures.reconstructions(x, rebuilt, title, "test")
    yield "vae-samples", figures.image_grid(samples(vae, 40), f"{title}: samples", columns=10)
    yield "interpolations", _interpolations(data, ae, vae, device)
    title = f"CVAE, beta {tuned:g}, {name}"
    yield (
        "cvae-losses",
        figures.loss_curves(cvae.trained.curves, f"CVAE on {name}, beta {tuned:g}", model="CVAE"),
    )
    rebuilt = cvae.model.reconstruct(flat(x, device), labels.to(device)).cpu()
    yield "cvae-reconstructions", figures.reconstructions(x, rebuilt, title, "test")
    many = torch.arange(10).repeat(4)
    drawn = given.cvae.sample_conditional(cvae.model, many.to(device), NZ).cpu()
    yield "cvae-samples", figures.conditional_samples(drawn, many, f"{title}: samples, by label")
    yield "cvae-styles", _styles(data, cvae, device)


def _interpolations(data: Digits, ae: Outcome, vae: Outcome, device: str) -> Figure:
    given = modules()
    strips, ends = {}, {}
    for start, end in given.vae.INTERPOLATIONS:
        pair = tuple(data.test_images[data.test_labels == label][0] for label in (start, end))
        for name, outcome in (("AE", ae), ("VAE", vae)):
            row = f"{name}, {start} to {end}"
            strip = given.vae.interpolate(outcome.model, *(p.to(device) for p in pair), NZ, steps=10)
            strips[row], ends[row] = strip.cpu(), pair
    title = f"{data.name}: interpolations between test images"
    drawn: Figure = given.figures.interpolations(strips, title, ends)
    return drawn


@torch.no_grad()
def _styles(data: Digits, cvae: Outcome, device: str) -> Figure:
    """Ten digits in the handwriting of each of five test images: its mean code, decoded with every label."""
    x, c, digits = data.test_images[:5], data.test_labels[:5], torch.arange(10, device=device)
    codes = styles.of_images(cvae.model, flat(x, device), c.to(device))
    rows = {
        f"test image {i}": torch.cat([x[i].reshape(1, 28, 28), written])
        for i, written in enumerate(styles.with_every_label(cvae.model, codes, digits))
    }
    title = f"CVAE, {data.name}: one handwriting, ten digits (the original is on the left)"
    drawn: Figure = modules().figures.image_rows(rows, title)
    return drawn


def of_photographs(data: Photographs, outcomes: Mapping[str, Outcome], actmax_steps: int = 500) -> Drawn:
    """Yields the names and figures of Problem 2. outcomes: by the names of their plans."""
    figures, name = modules().figures, data.name
    plain, spectral = outcomes["DCGAN"], outcomes["DCGAN, spectral norm"]
    yield (
        "photographs-training-images",
        figures.image_grid(data.images[:20], f"{name}: training images", columns=10),
    )
    yield "gan-what-a-fake-teaches", _lessons()
    for outcome, file in ((plain, "dcgan"), (spectral, "dcgan-spectral")):
        dcgan, curves = outcome.model, outcome.trained.curves
        title = f"{outcome.plan.name}, {name}"
        yield f"{file}-losses", figures.gan_losses(curves["dis_loss"], curves["gen_loss"], title=title)
        yield (
            f"{file}-samples",
            figures.gan_samples(dcgan.generate(dcgan.tracked_noise), epoch=outcome.epochs, title=title),
        )
        loss, rebuilt = dcgan.reconstruct(data.targets)
        yield (
            f"{file}-reconstructions",
            figures.reconstructions(data.targets, rebuilt, f"{title}, loss {loss:.4f}", "test"),
        )
    both = {"without spectral norm": plain, "with spectral norm": spectral}
    yield (
        "dcgan-losses-compared",
        figures.compared_gan_losses(
            {title: (o.trained.curves["dis_loss"], o.trained.curves["gen_loss"]) for title, o in both.items()}
        ),
    )
    rows = {t.replace(" ", "\n", 1): _tracked(o)[:10] for t, o in both.items()}
    yield "dcgan-samples-compared", figures.image_rows(rows, f"DCGAN on {name}: the same codes")
    codes = plain.model.tracked_noise[:10]
    loss_before, before = plain.model.actmax(codes, steps=0)
    loss_after, after = plain.model.actmax(codes, steps=actmax_steps)
    title = f"DCGAN on {name}: activation maximisation, loss {loss_before:.3g} before, {loss_after:.3g} after"
    yield "dcgan-activation-maximisation", figures.image_rows({"before": before, "after": after}, title)


def _tracked(outcome: Outcome) -> Tensor:
    drawn: Tensor = outcome.model.generate(outcome.model.tracked_noise)
    return drawn


def _lessons() -> Any:
    """The gradient that a fake gives the generator, by its logit, with both losses (Goodfellow et al. 2014, section 3)."""
    logits = torch.linspace(-8, 8, 200)
    belief = torch.sigmoid(logits)
    return modules().figures.functions(
        logits,
        {"saturating: log(1 - D)": -belief, "non-saturating: -log D": belief - 1},
        "What one fake teaches the generator",
        x_label="logit of the fake (left: recognised as fake)",
        y_label="gradient (nats per unit of the logit)",
    )
