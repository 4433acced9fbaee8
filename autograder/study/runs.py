"""The models of the assignment, trained as the handout says, and what is measured on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autograder.study.losses import cross_entropy
from autograder.study.reference import modules
from autograder.study.sources import Digits, Photographs
from autograder.study.training import Adversarial, Batches, Minimise, Trained, train

NZ = 32
PIXELS = 784
RATE = 1e-3
BATCH = 64
SEED = 42
LABELS = 10
LONGER = 20  # the embedded digits are few: an epoch is short, and there are so many more of them
STUDIED = (0.0, 0.01, 0.1, 1.0, 10.0)  # the betas of the notebook's study
LAST = 100  # iterations whose mean is a final loss

Progress = Callable[
    [str, int, int], None
]  # the run's name, its iterations, iterations done since the last call


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
    """The same for a quick look."""
    return replace(plan, epochs=1)


def flat(images: Tensor, device: torch.device | str = "cpu") -> Tensor:
    """Images as the models of Problem 1 take them: (n, 1, 28, 28) -> (n, 1, 784)."""
    return images.flatten(1).unsqueeze(1).to(device)


def objective(kind: str, model: Any) -> tuple[Callable[..., Any], tuple[str, ...]]:
    """What is minimised, and the names of the values to keep. Images come flattened.

    It is the model's own loss, but for one thing: the cross-entropy is taken of the decoder's logits, which are caught before
    its sigmoid. That is the same function, and on a CPU several times as fast as the one of probabilities (see `losses`).
    """
    caught: list[Tensor] = []
    sigmoid = [module for module in model.decoder.modules() if isinstance(module, nn.Sigmoid)][-1]

    def catch(module: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        if torch.is_grad_enabled():
            caught[:] = arguments

    sigmoid.register_forward_pre_hook(catch)
    divergence = modules().vae.kl_divergence

    def rec_loss(x: Tensor) -> Tensor:
        logits = caught.pop()
        return cross_entropy(logits, x.reshape(logits.shape))

    def plain(model: nn.Module, x: Tensor, labels: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        model(x)
        loss = rec_loss(x)
        return loss, (loss,)

    def variational(model: Any, x: Tensor, labels: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        outputs = model(x, labels) if kind == "cvae" else model(x)
        mu, log_sigma = outputs["q"].chunk(2, dim=-1)
        zeros = torch.zeros_like(mu)
        rec, kl = rec_loss(x), divergence(mu, log_sigma, zeros, zeros).mean()
        return rec + model.beta * kl, (rec, kl)

    return (plain, ("rec_loss",)) if kind == "ae" else (variational, ("rec_loss", "kl_loss"))


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
    """Trains one model of Problem 1. folder: where its checkpoint is kept; longer: see `LONGER`."""
    epochs = plan.epochs * (longer if data.embedded else 1)
    model = build(plan, device, seed)
    step, names = objective(plan.kind, model)
    batches = Batches((flat(data.images), data.labels), BATCH, device)
    trained = train(
        Minimise(model, step, names, RATE),
        batches,
        epochs,
        checkpoint=_file(folder, plan, seed),
        settings=_settings(plan, data.name, len(data.images), device, seed),
        progress=lambda done: progress(plan.name, epochs * len(batches), done),
    )
    return Outcome(plan, model, trained, epochs)


def measure_digits(outcome: Outcome, data: Digits, device: str, seed: int = SEED) -> Outcome:
    """The outcome with its final losses: in training (means of the last 100 iterations), and on the test set."""
    torch.manual_seed(seed)  # what is drawn to measure does not hang on where the training left off
    measured = _measure_digits(outcome.plan, outcome.model, data, outcome.trained, device)
    return replace(outcome, measured=measured)


def train_photographs(
    plan: Plan, data: Photographs, device: str, folder: Path | None, progress: Progress, seed: int = SEED
) -> Outcome:
    """Trains one DCGAN."""
    dcgan = build(plan, device, seed)
    torch.manual_seed(seed)
    batches = Batches((data.images,), dcgan.batch_size, device)
    trained = train(
        Adversarial(dcgan),
        batches,
        plan.epochs,
        checkpoint=_file(folder, plan, seed),
        settings=_settings(plan, data.name, len(data.images), device, seed),
        progress=lambda done: progress(plan.name, plan.epochs * len(batches), done),
    )
    return Outcome(plan, dcgan, trained, plan.epochs)


def run_photographs(
    plan: Plan, data: Photographs, device: str, folder: Path | None, progress: Progress, seed: int = SEED
) -> Outcome:
    """Trains one DCGAN and measures it, before and after."""
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
    """The negative evidence lower bound of one image, in nats: 784 rec + 32 KL, of the two means.

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
