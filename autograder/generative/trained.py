"""The trained generator that everybody has: its weights, and a few real images to reconstruct with it.

    from autograder.generative.trained import load_trained

    trained = load_trained()
    dcgan._generator.load_state_dict(trained.weights)
    loss, images = dcgan.reconstruct(trained.images)

`data/README.md` says where the file comes from and how it is made.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from safetensors import safe_open
from torch import Tensor

FILE = Path(__file__).parent / "data" / "trained_generator.safetensors"
WEIGHT = "generator."  # the names of weights in the file begin with this
IMAGES = "images"


@dataclass(frozen=True)
class Trained:
    """What the file holds.

    weights: the state of a `Generator(64)`, float32.
    images: real images (n, 3, 32, 32), float32 in [0, 1], that the generator was not trained on.
    notes: where both come from, in words, by subject.
    """

    weights: dict[str, Tensor]
    images: Tensor
    notes: dict[str, str]


def load_trained(path: Path = FILE) -> Trained:
    """Reads the file."""
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no dictionary)
        notes = file.metadata() or {}
    weights = {name.removeprefix(WEIGHT): t for name, t in tensors.items() if name.startswith(WEIGHT)}
    return Trained(
        {name: t.float() if t.is_floating_point() else t for name, t in weights.items()},
        tensors[IMAGES].float().div(255),
        notes,
    )
