"""The table of final losses beside the handout's values, for people (Markdown) and for programs (JSON)."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from typing import Any

import torch

from autograder.support.processes import default_jobs

from .handout import Compared
from .runs import Outcome

COLUMNS = {
    "train rec_loss": "rec, training",
    "train kl_loss": "KL, training",
    "test rec": "rec, test",
    "test rec, mean decoded": "rec, test, mean decoded",
    "test kl": "KL, test",
    "nats": "-ELBO, nats",
}


def machine(device: str) -> str:
    """The machine and the versions that a number was measured with, in one line."""
    name = torch.cuda.get_device_name() if device == "cuda" else f"CPU, {default_jobs()} core(s)"
    return f"{name}; Python {platform.python_version()}, PyTorch {torch.__version__.split('+')[0]}"


def markdown(outcomes: Sequence[Outcome], compared: Sequence[Compared], device: str, seed: int) -> str:
    """The tables as Markdown."""
    lines = [f"Made on: {machine(device)}; seed {seed}.", ""]
    digits = [o for o in outcomes if "dis_loss" not in o.measured]
    if digits:
        lines += _row(["run", "epochs", "seconds", *COLUMNS.values()], head=True)
        for o in digits:
            cells = [_number(o.measured.get(key)) for key in COLUMNS]
            lines += _row([o.plan.name, str(o.epochs), f"{o.trained.seconds:.0f}", *cells])
        lines.append("")
    gans = [o for o in outcomes if "dis_loss" in o.measured]
    if gans:
        lines += _row(["run", "epochs", "seconds", *gans[0].measured], head=True)
        for o in gans:
            cells = [_number(value) for value in o.measured.values()]
            lines += _row([o.plan.name, str(o.epochs), f"{o.trained.seconds:.0f}", *cells])
        lines.append("")
    if compared:
        lines += _row(["run", "value", "the handout", "range", "here", ""], head=True)
        for c in compared:
            t = c.target
            lines += _row([t.run, t.value, t.stated, f"{t.low:g} to {t.high:g}", _number(c.value), c.where])
    return "\n".join(lines).rstrip() + "\n"


def table(
    outcomes: Sequence[Outcome], compared: Sequence[Compared], device: str, seed: int
) -> dict[str, Any]:
    """The tables as JSON values."""
    return {
        "machine": machine(device),
        "device": device,
        "seed": seed,
        "runs": [
            {
                "name": o.plan.name,
                "beta": o.plan.beta,
                "epochs": o.epochs,
                "seconds": round(o.trained.seconds, 1),
                **o.measured,
            }
            for o in outcomes
        ],
        "compared": [
            {
                "run": c.target.run,
                "value": c.target.value,
                "handout": c.target.stated,
                "low": c.target.low,
                "high": c.target.high,
                "measured": c.value,
                "inside": c.inside,
                "seeds": c.target.seeds,
            }
            for c in compared
        ],
    }


def _row(cells: Sequence[str], head: bool = False) -> list[str]:
    line = "| " + " | ".join(cells) + " |"
    return [line, "|" + "---|" * len(cells)] if head else [line]


def _number(value: float | None) -> str:
    if value is None:
        return ""
    if value != 0 and abs(value) < 1e-3:
        return f"{value:.1e}"
    return f"{value:.1f}" if abs(value) >= 20 else f"{value:.4f}"
