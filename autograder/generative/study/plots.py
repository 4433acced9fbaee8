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

# Which test images of a pair of digits are interpolated, as in the notebook.
PICTURES = [(0, 0), (1, 2), (3, 5)]


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
            x,
            ae.model.reconstruct(flat(x, device)).cpu(),
            f"Auto-encoder, {name}, {ae.epochs} epochs",
            "test",
        ),
    )
    yield (
        "ae-samples",
        figures.image_grid(samples(ae, 20), f"Auto-encoder, {name}, {ae.epochs} epochs: samples", columns=10),
    )
    studied = {o.plan.beta: o for o in outcomes.values() if o.plan.kind == "vae" and o.plan.beta in STUDIED}
    rows = {}
    for outcome in sorted(studied.values(), key=lambda outcome: outcome.plan.beta or 0.0):
        rows[_losses(outcome)] = (outcome.model.reconstruct(flat(x[:7], device)).cpu(), samples(outcome, 7))
    title = f"VAE on {name}, {studied[0.0].epochs} epochs, by beta (losses: test set; rec of mean codes)"
    yield "vae-beta-study", figures.beta_study(x[:7], rows, title)
    for beta in (0.0, 10.0):
        curves = studied[beta].trained.curves
        yield (
            f"vae-losses-beta-{beta:g}",
            figures.loss_curves(curves, f"VAE on {name}, beta {beta:g}", model="VAE"),
        )
    title = f"VAE, beta {tuned:g}, {name}, {vae.epochs} epochs"
    yield "vae-losses", figures.loss_curves(vae.trained.curves, f"VAE on {name}, beta {tuned:g}", model="VAE")
    rebuilt = vae.model.reconstruct(flat(x, device)).cpu()
    yield "vae-reconstructions", figures.reconstructions(x, rebuilt, title, "test")
    yield "vae-samples", figures.image_grid(samples(vae, 40), f"{title}: samples", columns=10)
    yield "interpolations", _interpolations(data, ae, vae, device)
    title = f"CVAE, beta {tuned:g}, {name}, {cvae.epochs} epochs"
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


def _losses(outcome: Outcome) -> str:
    """A VAE's name in the study of beta: its beta and the losses of its reconstructions, in three lines."""
    rec, kl = outcome.measured["test rec, mean decoded"], outcome.measured["test kl"]
    shown = "below 0.001" if kl < 0.001 else f"{kl:.3g}"
    return f"beta {outcome.plan.beta:g}\nrec {rec:.3f} nats/pixel\nKL {shown} nats/dimension"


def _interpolations(data: Digits, ae: Outcome, vae: Outcome, device: str) -> Figure:
    """The interpolations of both models between several test images of each pair of digits."""
    given = modules()
    strips, ends = {}, {}
    for start, end in given.vae.INTERPOLATIONS:
        starts, stops = (data.test_images[data.test_labels == label] for label in (start, end))
        for count, (i, j) in enumerate(PICTURES, start=1):
            pair = starts[i], stops[j]
            for name, outcome in (("auto-encoder", ae), ("VAE", vae)):
                row = f"{name}\n{start} to {end} ({count})"
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
        yield (
            f"{file}-losses",
            figures.gan_losses(curves["dis_loss"], curves["gen_loss"], title=f"{title}: training losses"),
        )
        yield (
            f"{file}-samples",
            figures.gan_samples(_tracked(outcome), epoch=outcome.epochs, title=f"{title}: samples"),
        )
        loss, rebuilt = dcgan.reconstruct(data.targets)
        shown = {"original": data.targets[:10], "rebuilt": rebuilt[:10]}
        count, total = len(shown["original"]), len(rebuilt)
        words = f"{count} of {total} test images; mean squared error over all {total}: {loss:.4f}"
        yield f"{file}-reconstructions", figures.image_rows(shown, f"{title}: {words}")
    both = {"without spectral norm": plain, "with spectral norm": spectral}
    losses = {
        f"DCGAN on {name}\n{title}": (o.trained.curves["dis_loss"], o.trained.curves["gen_loss"])
        for title, o in both.items()
    }
    yield "dcgan-losses-compared", figures.compared_gan_losses(losses)
    rows = {t.replace(" ", "\n", 1): _tracked(o)[:10] for t, o in both.items()}
    title = f"DCGAN on {name}: samples from the same codes, after epoch {plain.epochs}"
    yield "dcgan-samples-compared", figures.image_rows(rows, title)
    codes = plain.model.tracked_noise[:10]
    loss_before, before = plain.model.actmax(codes, steps=0)
    loss_after, after = plain.model.actmax(codes, steps=actmax_steps)
    rows = {
        f"before\nmean -log D(G(z)):\n{loss_before:.3g} nats": before,
        f"after {actmax_steps} steps\nmean -log D(G(z)):\n{loss_after:.3g} nats": after,
    }
    yield (
        "dcgan-activation-maximisation",
        figures.image_rows(rows, f"DCGAN on {name}: activation maximisation"),
    )


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
