"""The study of beta: a sweep over a logarithmic range, and the interval of BETA that question 1-6 accepts.

The question asks for good reconstructions and good samples at once. The rule has two conditions, on means over the seeds:

- The bound: the negative evidence lower bound of the test images, in nats, is at most a fraction `TOLERANCE` above that of
  the sweep's best beta. It holds reconstruction and KL in one number, whatever beta the model was trained with. Large betas
  fail here, because reconstructions lose detail.
- Clear samples: the share of samples that a small classifier, trained on the same images, is at least 90 % sure of is at
  least `SHARE` of the largest share in the sweep. Small betas fail here: the posteriors do not cover the prior, and samples
  from the gaps are no digits.

Between two betas of the sweep, both are interpolated linearly in log beta. The accepted interval is the one around the best
beta in which both conditions hold; its ends are rounded to one digit, the precision that a few seeds allow.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autograder.support.files import write_atomically

from . import tables
from .parallel import Job
from .reference import modules
from .runs import (
    BATCH,
    LABELS,
    LONGER,
    NZ,
    PIXELS,
    RATE,
    SEED,
    Plan,
    Progress,
    flat,
    measure_digits,
    train_digits,
)
from .sources import Digits
from .training import Batches

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STEPS_PER_DECADE = 4
FIRST, LAST = 1e-3, 1.0
TOLERANCE = 0.2
SHARE = 2 / 3
SURE = 0.9  # the least probability of a clear sample's digit
DRAWN = 5000  # samples that are classified
SHOWN = 7  # images in a row of the picture


@dataclass(frozen=True)
class Point:
    """One model of the sweep.

    rec, rec_mean, kl, nats: on the test set, reconstruction from drawn codes and from the mean code, KL per dimension, and
    -ELBO in nats. clear: the share of samples that the classifier is sure of.
    """

    beta: float
    seed: int
    rec: float
    rec_mean: float
    kl: float
    nats: float
    clear: float


@dataclass(frozen=True)
class Swept:
    """The sweep's points; for the first seed of each beta, reconstructions of the first test images and samples."""

    points: list[Point]
    pictures: dict[float, tuple[Tensor, Tensor]]
    epochs: int


def betas() -> list[float]:
    """The betas of the sweep, evenly spaced in log beta, rounded to three digits."""
    count = round(math.log10(LAST / FIRST) * STEPS_PER_DECADE)
    return [float(f"{FIRST * 10 ** (i / STEPS_PER_DECADE):.3g}") for i in range(count + 1)]


def jobs(epochs: int, seeds: Sequence[int]) -> list[Job]:
    """The trainings of the sweep: a VAE for each beta and seed."""
    return [Job(Plan(f"VAE, beta {b:g}", "vae", epochs, b), seed) for b in betas() for seed in seeds]


def run(data: Digits, device: str, jobs: Sequence[Job], folder: Path, progress: Progress) -> Swept:
    """Trains and measures the sweep's models, or resumes from the checkpoints in `folder`."""
    share_of_clear = _classifier(data, device)
    points: list[Point] = []
    pictures: dict[float, tuple[Tensor, Tensor]] = {}
    for plan, seed in jobs:
        assert plan.beta is not None
        trained = train_digits(plan, data, device, folder, progress, seed)
        outcome = measure_digits(trained, data, device, seed)
        m = outcome.measured
        nats, clear = m["nats"], share_of_clear(outcome.model)
        points.append(
            Point(plan.beta, seed, m["test rec"], m["test rec, mean decoded"], m["test kl"], nats, clear)
        )
        if plan.beta not in pictures:
            rebuilt = outcome.model.reconstruct(flat(data.test_images[:SHOWN], device)).cpu()
            drawn = modules().autoencoder.sample_images(outcome.model, SHOWN, NZ, device=device).cpu()
            pictures[plan.beta] = rebuilt, drawn
    return Swept(points, pictures, jobs[0].plan.epochs)


def _classifier(data: Digits, device: str) -> Callable[[Any], float]:
    """Trains a classifier of digits (98 % right on MNIST); returns the function from a model to its share of clear samples."""
    torch.manual_seed(SEED)
    classifier = nn.Sequential(nn.Linear(PIXELS, 256), nn.ReLU(), nn.Linear(256, LABELS)).to(device)
    optimizer = torch.optim.Adam(classifier.parameters(), lr=RATE, fused=True)
    batches = Batches((flat(data.images), data.labels), BATCH, device)
    for _ in range(3 * (LONGER if data.embedded else 1)):
        for x, labels in batches:
            loss = F.cross_entropy(classifier(x.flatten(1)), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    @torch.no_grad()
    def share_of_clear(model: Any) -> float:
        torch.manual_seed(SEED)
        drawn = modules().autoencoder.sample_images(model, DRAWN, NZ, device=device)
        sure = classifier(drawn.flatten(1)).softmax(dim=1).amax(dim=1)
        return float((sure >= SURE).float().mean())

    return share_of_clear


def by_beta(points: Sequence[Point], value: str) -> dict[float, list[float]]:
    """The values of all seeds, by beta, in rising order."""
    found: dict[float, list[float]] = {}
    for point in points:
        found.setdefault(point.beta, []).append(getattr(point, value))
    return dict(sorted(found.items()))


def means(points: Sequence[Point], value: str) -> dict[float, float]:
    """The mean of a value over the seeds, by beta, in rising order."""
    return {beta: fmean(values) for beta, values in by_beta(points, value).items()}


def interval(nats: Mapping[float, float], clear: Mapping[float, float]) -> tuple[float, float]:
    """The accepted betas, by the rule at the top of this module, from the bound and the share of clear samples by beta.

    Raises ValueError when an end lies outside the sweep, or the best beta itself fails.
    """
    best = min(nats, key=lambda beta: nats[beta])
    if clear[best] < SHARE * max(clear.values()):
        raise ValueError(
            f"too few samples are clear at the best beta, {best:g}: train longer, and look at the samples"
        )
    unclear = {beta: -share for beta, share in clear.items()}
    sides = [
        _around(best, nats, nats[best] * (1 + TOLERANCE)),
        _around(best, unclear, -SHARE * max(clear.values())),
    ]
    low, high = max(low for low, _ in sides), min(high for _, high in sides)
    if low == 0 or high == math.inf:
        raise ValueError("an end of the interval lies outside the sweep: use a wider range of beta")
    return float(f"{low:.1g}"), float(f"{high:.1g}")


def _around(best: float, values: Mapping[float, float], bar: float) -> tuple[float, float]:
    """Where the values, outwards from `best`, rise above the bar; 0 or infinity when they never do."""
    order = sorted(values)
    at = order.index(best)

    def crossing(outwards: Sequence[float], never: float) -> float:
        for near, far in itertools.pairwise(outwards):
            if values[far] > bar:
                share = (bar - values[near]) / (values[far] - values[near])
                return math.exp(math.log(near) + share * (math.log(far) - math.log(near)))
        return never

    return crossing(order[at::-1], 0.0), crossing(order[at:], math.inf)


def write(swept: Swept, data: Digits, device: str, out: Path) -> str:
    """Writes sweep.md, sweep.json and the pictures into `out`; returns the table of sweep.md."""
    nats, clear = means(swept.points, "nats"), means(swept.points, "clear")
    lines = [f"Made on: {tables.machine(device)}; {data.name}, {swept.epochs} epochs.", ""]
    lines += ["| beta | seeds | rec | rec, mean decoded | KL per dimension | -ELBO, nats | clear samples |"]
    lines += ["|---|---|---|---|---|---|---|"]
    for beta in nats:
        here = [p for p in swept.points if p.beta == beta]
        kl = _spread([p.kl for p in here], 3)
        cells = [f"{beta:g}", str(len(here)), _spread([p.rec for p in here], 4)]
        cells += [_spread([p.rec_mean for p in here], 4), kl, _spread([p.nats for p in here], 1)]
        cells += [f"{clear[beta]:.0%}"]
        lines.append("| " + " | ".join(cells) + " |")
    best = min(nats, key=lambda beta: nats[beta])
    lines += [
        "",
        f"The bound itself is beta = {NZ}/{PIXELS} = {NZ / PIXELS:.3f}. Best of the sweep: {best:g}.",
    ]
    found: dict[str, Any] = {}
    try:
        low, high = interval(nats, clear)
        found = {"low": low, "high": high}
        lines += [
            f"At most {TOLERANCE:.0%} more nats than that, and at least two thirds of the largest share of clear samples:"
            f" beta from {low:g} to {high:g}."
        ]
    except ValueError as error:
        lines += [f"No interval: {error}."]
    text = "\n".join(lines) + "\n"
    record = {
        "machine": tables.machine(device),
        "data": data.name,
        "epochs": swept.epochs,
        "interval": found,
        "points": [asdict(p) for p in swept.points],
    }
    write_atomically(out / "sweep.json", json.dumps(record, indent=1) + "\n")
    write_atomically(out / "sweep.md", text)
    curves(swept, found, data).savefig(out / "sweep.png", dpi=110)
    rows = {f"beta {beta:g}\n-ELBO {nats[beta]:.0f} nats": pair for beta, pair in swept.pictures.items()}
    title = f"VAE on {data.name}, {swept.epochs} epochs, by beta (-ELBO: test set, mean over the seeds)"
    modules().figures.beta_study(data.test_images[:SHOWN], rows, title).savefig(
        out / "sweep-samples.png", dpi=110
    )
    return text


def _spread(values: Sequence[float], digits: int) -> str:
    """The mean, and the range over the seeds."""
    return f"{fmean(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def curves(swept: Swept, accepted: Mapping[str, float], data: Digits) -> Figure:
    """-ELBO and its two terms by beta, the share of clear samples, and the accepted interval."""
    from matplotlib.figure import Figure

    colour = modules().figures.COLOURS["VAE"]
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    count = len({point.seed for point in swept.points})
    seeds = "1 seed" if count == 1 else f"{count} seeds"
    figure.suptitle(f"VAE on {data.name}, {swept.epochs} epochs, by beta: mean and range over {seeds}")
    bound, samples = figure.subplots(1, 2)

    def draw(axes: Axes, value: str, scale: float, line: str, label: str) -> None:
        found = by_beta(swept.points, value)
        order, scaled = list(found), [[scale * v for v in values] for values in found.values()]
        ends = [min(values) for values in scaled], [max(values) for values in scaled]
        axes.fill_between(order, *ends, color=colour, alpha=0.3, linewidth=0, label="range over the seeds")
        axes.plot(order, [fmean(values) for values in scaled], line, color=colour, markersize=4, label=label)

    draw(bound, "nats", 1, "o-", "-ELBO, the sum of both terms")
    draw(bound, "rec", PIXELS, "s--", f"reconstruction term, {PIXELS} x rec")
    draw(bound, "kl", NZ, "^:", f"KL term, {NZ} x KL")
    bound.set_ylabel("nats per image, test set")
    draw(samples, "clear", 1, "o-", "share of clear samples")
    samples.set_ylabel(f"share of clear samples\n(a classifier is at least {SURE:.0%} sure)")
    for axes in (bound, samples):
        if accepted:
            axes.axvspan(accepted["low"], accepted["high"], color="0.9", zorder=0, label="accepted beta")
        axes.set_xscale("log")
        axes.set_xlabel("beta")
        axes.set_ylim(bottom=0)
    # The curves, the range of one of them, and the accepted interval.
    handles = [*bound.lines, bound.collections[0], *bound.patches]
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure
