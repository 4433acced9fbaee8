"""What `autograder/generative/expected.py` tells students: final losses of several seeds, and reconstructions.

    python -m autograder.generative.study.seeds --data ROOT [--offline] [--out seeds.json]
    python -m autograder.generative.study.seeds --data ROOT --pictures FOLDER

Trains the models of Problem 1 as the notebook does, one after the other in one thread, and writes the losses after each one, so
that an interrupted run continues. `docs/results/seeds.json` holds our run. With --pictures it writes the reconstructions of the
first seed in place of losses.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from statistics import fmean, stdev

import torch
from safetensors.torch import save
from torch import Tensor

from autograder.support.files import write_atomically

from ..expected import PICTURES
from .runs import Plan, flat, measure_digits, train_digits
from .sources import Digits, digits
from .training import flushing_denormals

SEEDS = (42, 43, 44, 45, 46)
# The notebook's trainings whose beta is fixed and whose pictures are shown; the sweep has the losses by beta.
SHOWN = {"auto-encoder": Plan("AE", "ae", 10), "VAE, beta 0": Plan("VAE, beta 0", "vae", 5, 0.0)}
# All whose losses are kept. The conditional one with the solutions' beta.
TRAINED = {
    **SHOWN,
    "VAE, beta 10": Plan("VAE, beta 10", "vae", 5, 10.0),
    "CVAE": Plan("CVAE, beta 0.04", "cvae", 5, 0.04),
}
COUNT = 10  # test images
KEPT = ("first", "train rec_loss", "train kl_loss", "test rec", "test kl", "nats")

PLANS = [(plan, seed) for plan in TRAINED.values() for seed in SEEDS]


def band(values: list[float]) -> tuple[float, float]:
    """The mean, four standard deviations to either side: which one more seed than five leaves once in 46 times."""
    return fmean(values) - 4 * stdev(values), fmean(values) + 4 * stdev(values)


def final_losses(data: Digits, out: Path) -> None:
    """Trains what is not in the file yet, and adds it."""
    found: dict[str, dict[str, dict[str, float]]] = (
        json.loads(out.read_text(encoding="utf-8")) if out.is_file() else {}
    )
    values = found.setdefault(data.name, {})
    for plan, seed in PLANS:
        name = f"{plan.name}, {plan.epochs} epochs, seed {seed}"
        if name in values:
            continue
        trained = train_digits(plan, data, "cpu", None, lambda *_: None, seed)
        measured = measure_digits(trained, data, "cpu").measured
        values[name] = {key: measured[key] for key in KEPT if key in measured}
        write_atomically(out, json.dumps(found, indent=1) + "\n")
        print(name, values[name], flush=True)


def pictures(sets: list[Digits]) -> bytes:
    """The file of reconstructions: uint8 (10, 28, 28) for each training and data set."""
    rebuilt: dict[str, Tensor] = {}
    for data in sets:
        for training, plan in SHOWN.items():
            model = train_digits(plan, data, "cpu", None, lambda *_: None).model
            images = model.reconstruct(flat(data.test_images[:COUNT]))
            rebuilt[f"{training} | {data.name}"] = images.mul(255).round().to(torch.uint8)
    return save(rebuilt, metadata={"made with": "python -m autograder.generative.study.seeds --pictures"})


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, metavar="ROOT", help="the folder that holds MNIST")
    parser.add_argument("--offline", action="store_true", help="use the digits that come with scikit-learn")
    parser.add_argument("--out", type=Path, default=Path("seeds.json"), metavar="FILE")
    parser.add_argument("--pictures", type=Path, metavar="FOLDER", help="write reconstructions there")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with flushing_denormals():
        if arguments.pictures is None:
            final_losses(digits(arguments.data, arguments.offline), arguments.out)
        else:
            sets = [digits(arguments.data, offline=False), digits(None, offline=True)]
            (arguments.pictures / PICTURES.name).write_bytes(pictures(sets))


if __name__ == "__main__":
    main()
