"""The file `data/trained_generator.safetensors`: a generator trained by the solutions, and real images to reconstruct with it.

    python -m autograder figures --only generator --data ROOT

The images are squares of the photograph of Grace Hopper that comes with matplotlib, which is in the public domain (United
States Navy), reduced to 32 x 32.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save
from torch import Tensor

from ..trained import FILE, IMAGES, WEIGHT, Trained, load_trained
from .reference import modules

PHOTOGRAPH = "grace_hopper.jpg"
SIZE = 32
# Top, left and side of each square, in pixels of the photograph: those with much contrast, which grey is far from.
SQUARES = ((300, 256, 256), (88, 0, 512), (280, 0, 256), (230, 20, 192))
UNTRAINED_SEEDS = (0, 1, 2, 3, 4)


def images() -> Tensor:
    """The images (n, 3, 32, 32), uint8: means over the pixels of each square of the photograph."""
    from matplotlib import cbook, image

    path: Any = cbook.get_sample_data(PHOTOGRAPH, asfileobj=False)
    photograph = torch.from_numpy(np.array(image.imread(path))).permute(2, 0, 1).float()
    squares = [photograph[:, top : top + side, left : left + side] for top, left, side in SQUARES]
    return torch.stack([F.adaptive_avg_pool2d(s, SIZE) for s in squares]).round().to(torch.uint8)


def write(generator: torch.nn.Module, notes: Mapping[str, str], folder: Path) -> Path:
    """Writes the file into a folder and returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE.name
    about_images = (
        f"squares of matplotlib's {PHOTOGRAPH} (public domain, United States Navy), reduced to 32 x 32"
    )
    path.write_bytes(packed(generator.state_dict(), images(), {**notes, "images": about_images}))
    return path


def packed(weights: Mapping[str, Tensor], pixels: Tensor, notes: Mapping[str, str]) -> bytes:
    """The bytes of the file: weights rounded to float16, which halves it, and images (n, 3, 32, 32), uint8."""
    tensors = {
        f"{WEIGHT}{name}": t.detach().cpu().to(torch.float16 if t.is_floating_point() else t.dtype)
        for name, t in weights.items()
    }
    return save({**tensors, IMAGES: pixels}, metadata=dict(notes))


def losses(path: Path = FILE, seeds: Sequence[int] = UNTRAINED_SEEDS) -> dict[str, list[float]]:
    """The mean squared errors of the images of a file, by name: after the search with the trained generator and with
    untrained ones, at code zero, and of flat images.
    """
    trained = load_trained(path)
    given = modules().gan

    def each(reconstructed: Tensor) -> list[float]:
        return (reconstructed - trained.images).square().flatten(1).mean(1).tolist()

    dcgan = _with_weights(given.DCGAN(device="cpu"), trained)
    found = {
        "trained": each(dcgan.reconstruct(trained.images)[1]),
        "trained, code zero": each(dcgan.generate(torch.zeros(len(trained.images), dcgan.code_size))),
        "grey": each(torch.full_like(trained.images, 0.5)),
        "each image's mean colour": each(trained.images.mean((2, 3), keepdim=True)),
    }
    for seed in seeds:
        torch.manual_seed(seed)
        found[f"untrained, seed {seed}"] = each(given.DCGAN(device="cpu").reconstruct(trained.images)[1])
    return found


def table(found: Mapping[str, Sequence[float]]) -> str:
    """The losses as Markdown: a row for each generator, a column for each image, and the mean."""
    count = len(next(iter(found.values())))
    heads = ["generator", *(f"image {number + 1}" for number in range(count)), "mean"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for name, values in found.items():
        cells = [name, *(f"{v:.4f}" for v in values), f"{sum(values) / count:.4f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _with_weights(dcgan: Any, trained: Trained) -> Any:
    dcgan._generator.load_state_dict(trained.weights)
    return dcgan
