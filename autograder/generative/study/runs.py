"""The models of the assignment: trained as the handout says, with the solutions' own loops, and measured."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .reference import modules
from .sources import Digits, Photographs
from .training import Batches, Losses, Trained, train

NZ = 32
PIXELS = 784
RATE = 1e-3
BATCH = 64
SEED = 42
LABELS = 10
LONGER = 20  # times as many epochs on the embedded digits, which are few
STUDIED = (0.0, 0.01, 0.1, 1.0, 10.0)  # the betas of the study's figure
LAST = 100  # iterations whose mean is a final loss

# Called with the run's name, its number of iterations, and the iterations done since the last call.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Plan:
    """One training: name, kind ("ae", "vae", "cvae", "dcgan", "dcgan-spectral"), epochs on the whole set, and beta."""

    name: str
    kind: str
    epochs: int
    beta: float | None = None


@dataclass(frozen=True)
class Outcome:
    """A trained model, its losses by name, and what was measured on it."""

    plan: Plan
    model: Any
    trained: Trained
    epochs: int
    measured: dict[str, float] = field(default_factory=dict)


def digit_plans(tuned: float) -> list[Plan]:
    """Problem 1: the handout's headline runs, the study of beta in the notebook, and the models with the tuned beta."""
    plans = [
        Plan("AE", "ae", 10),
        *(Plan(f"VAE, beta {beta:g}", "vae", 5, beta) for beta in STUDIED),
        Plan("VAE, beta 0.105", "vae", 10, 0.105),
        Plan("CVAE, beta 0.105", "cvae", 5, 0.105),
    ]
    if tuned != 0.105:
        plans += [
            Plan(f"VAE, beta {tuned:g}", "vae", 10, tuned),
            Plan(f"CVAE, beta {tuned:g}", "cvae", 5, tuned),
        ]
    return plans


def photograph_plans(epochs: int) -> list[Plan]:
    """Problem 2: the DCGAN with and without spectral norm."""
    return [Plan("DCGAN", "dcgan", epochs), Plan("DCGAN, spectral norm", "dcgan-spectral", epochs)]


def shortened(plan: Plan) -> Plan:
    """The plan with one epoch, for a quick look."""
    return replace(plan, epochs=1)


def flat(images: Tensor, device: torch.device | str = "cpu") -> Tensor:
    """Images as the models of Problem 1 take them: (n, 1, 28, 28) -> (n, 1, 784)."""
    return images.flatten(1).unsqueeze(1).to(device)


def build(plan: Plan, device: str, seed: int = SEED) -> Any:
    """The untrained model, from the seed."""
    torch.manual_seed(seed)
    given = modules()
    if plan.kind == "ae":
        return given.autoencoder.AutoEncoder(NZ).to(device)
    if plan.kind == "vae":
        return given.vae.VAE(NZ, beta=plan.beta).to(device)
    if plan.kind == "cvae":
        return given.cvae.CVAE(NZ, beta=plan.beta, conditional=True, num_labels=LABELS).to(device)
    return given.gan.DCGAN(spectral_norm=plan.kind == "dcgan-spectral", device=device)


def train_digits(
    plan: Plan,
    data: Digits,
    device: str,
    folder: Path | None,
    progress: Progress,
    seed: int = SEED,
    longer: int = LONGER,
) -> Outcome:
    """Trains one model of Problem 1 with the solutions' loop.

    Args:
        folder: where to keep its checkpoint.
        longer: how many times as many epochs to train on the embedded digits.
    """
    epochs = plan.epochs * (longer if data.embedded else 1)
    model = build(plan, device, seed)
    batches = Batches((data.images, data.labels), BATCH, device)
    trained = train(
        model,
        lambda: train_epoch(plan.kind, model, batches, device),
        epochs,
        checkpoint=_file(folder, plan, seed),
        settings=_settings(plan, data.name, len(data.images), device, seed),
        progress=lambda done: progress(plan.name, epochs * len(batches), done),
    )
    return Outcome(plan, model, trained, epochs)


def train_epoch(kind: str, model: Any, batches: Batches, device: str) -> Losses:
    """Trains a model of Problem 1 for one epoch with the solutions' loop; returns the losses of every iteration, by name."""
    given = modules()
    if kind == "ae":
        return {"rec_loss": given.autoencoder.train_autoencoder(model, batches, 1, RATE, device)}
    train_model = given.vae.train_vae if kind == "vae" else given.cvae.train_cvae
    losses: Losses = train_model(model, batches, 1, RATE, device)
    return losses


def measure_digits(outcome: Outcome, data: Digits, device: str, seed: int = SEED) -> Outcome:
    """Adds the final losses to the outcome: in training (means of the last 100 iterations), and on the test set."""
    torch.manual_seed(
        seed
    )  # the noise drawn for measuring is the same whether or not the training was resumed
    measured = _measure_digits(outcome.plan, outcome.model, data, outcome.trained, device)
    return replace(outcome, measured=measured)


def train_photographs(
    plan: Plan, data: Photographs, device: str, folder: Path | None, progress: Progress, seed: int = SEED
) -> Outcome:
    """Trains one DCGAN with its own `fit`."""
    dcgan = build(plan, device, seed)
    torch.manual_seed(seed)
    batches = len(data.images) // min(dcgan.batch_size, len(data.images))
    trained = train(
        dcgan,
        lambda: fit_epoch(dcgan, data.images),
        plan.epochs,
        checkpoint=_file(folder, plan, seed),
        settings=_settings(plan, data.name, len(data.images), device, seed),
        progress=lambda done: progress(plan.name, plan.epochs * batches, done),
    )
    return Outcome(plan, dcgan, trained, plan.epochs)


def fit_epoch(dcgan: Any, images: Tensor) -> Losses:
    """Trains a DCGAN for one epoch with its `fit`; returns the losses of every iteration, by name."""
    with contextlib.redirect_stderr(io.StringIO()):  # no progress bar of its own, which would break ours
        history = dcgan.fit(images, epochs=1)
    return {"dis_loss": history.dis_loss, "gen_loss": history.gen_loss}


def run_photographs(
    plan: Plan, data: Photographs, device: str, folder: Path | None, progress: Progress, seed: int = SEED
) -> Outcome:
    """Trains one DCGAN and measures how well it reconstructs, before and after."""
    targets = data.targets
    untrained, _ = build(plan, device, seed).reconstruct(targets)
    outcome = train_photographs(plan, data, device, folder, progress, seed)
    dcgan, trained = outcome.model, outcome.trained
    epoch = len(trained.curves["dis_loss"]) // plan.epochs
    loss, _ = dcgan.reconstruct(targets)
    at_zero = F.mse_loss(dcgan.generate(torch.zeros(len(targets), dcgan.code_size)), targets).item()
    measured = {
        "dis_loss": fmean(trained.curves["dis_loss"][-epoch:]),
        "gen_loss": fmean(trained.curves["gen_loss"][-epoch:]),
        "reconstruction": loss,
        "at code zero": at_zero,
        "below code zero": 1 - loss / at_zero,
        "untrained": untrained,
        "grey": F.mse_loss(torch.full_like(targets, 0.5), targets).item(),
    }
    return replace(outcome, measured=measured)


@torch.no_grad()
def _measure_digits(plan: Plan, model: Any, data: Digits, trained: Trained, device: str) -> dict[str, float]:
    x, labels = flat(data.test_images, device), data.test_labels.to(device)
    loss_of = modules().autoencoder.reconstruction_loss
    measured = {"first": trained.curves["rec_loss"][0]}
    measured.update({f"train {name}": fmean(values[-LAST:]) for name, values in trained.curves.items()})
    if plan.kind == "ae":
        return {**measured, "test rec": loss_of(model(x), x).item()}
    conditional = (labels,) if plan.kind == "cvae" else ()
    _, parts = model.loss(x, model(x, *conditional))
    sampled, kl = parts["rec_loss"].item(), parts["kl_loss"].item()
    rebuilt = model.reconstruct(x, *conditional).reshape(x.shape)
    return {
        **measured,
        "test rec": sampled,
        "test rec, mean decoded": loss_of(rebuilt, x).item(),
        "test kl": kl,
        "nats": bound(sampled, kl),
    }


def bound(rec: float, kl: float) -> float:
    """The negative evidence lower bound of one image, in nats, from losses that are means over pixels and dimensions.

    (Kingma and Welling 2014, equation 3; both terms are summed there.)
    """
    return PIXELS * rec + NZ * kl


def _file(folder: Path | None, plan: Plan, seed: int) -> Path | None:
    name = plan.name.replace(", ", "-").replace(" ", "-").lower()
    return None if folder is None else folder / f"{name}-{plan.epochs}-{seed}.pt"


def _settings(plan: Plan, data: str, count: int, device: str, seed: int) -> Mapping[str, object]:
    return {
        "plan": [plan.name, plan.kind, plan.beta],
        "data": [data, count],
        "device": device,
        "seed": seed,
    }
