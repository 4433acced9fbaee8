"""The figures of both notebooks (given).

Every function takes tensors or lists of numbers, and returns a matplotlib Figure. None of them opens a window
or touches matplotlib's global state, so they work in scripts and on machines without a screen: save with
`figure.savefig("x.png")`. In a notebook, run `%matplotlib inline` once; a figure that is the last line of a
cell is then shown.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor


def _picture(image: Tensor) -> np.ndarray:
    """An image (28, 28), (784,), (1, 28, 28) or (3, 32, 32) as matplotlib wants it: channels last."""
    image = image.detach().cpu().float()
    if image.numel() == 784:
        return image.reshape(28, 28).numpy()
    if image.ndim == 3 and image.shape[0] in (1, 3):
        image = image.permute(1, 2, 0)
    return image.squeeze(-1).numpy()


def _show(axes: Axes, image: Tensor) -> None:
    axes.imshow(_picture(image), cmap="gray", vmin=0, vmax=1)
    axes.set_xticks([])
    axes.set_yticks([])


def image_grid(
    images: Tensor, title: str, columns: int = 8, captions: Sequence[str] | None = None, size: float = 0.9
) -> Figure:
    """Images side by side, row after row.

    Args:
        images: (n, 28, 28), (n, 1, 28, 28), (n, 1, 784) or (n, 3, 32, 32), in [0, 1].
        title: stands above the grid.
        columns: images in a row.
        captions: a text above each image.
        size: width of one image in inches.
    """
    columns = max(1, min(columns, len(images)))
    rows = max(1, -(-len(images) // columns))
    figure = Figure(
        figsize=(size * columns, (size + (0.2 if captions else 0)) * rows + 0.5), layout="constrained"
    )
    figure.suptitle(title)
    grid = figure.subplots(rows, columns, squeeze=False).flatten()
    for axes in grid[len(images) :]:
        axes.set_axis_off()
    for i, image in enumerate(images):
        _show(grid[i], image)
        if captions is not None:
            grid[i].set_title(captions[i], fontsize=9)
    return figure


def loss_curves(curves: Mapping[str, Sequence[float]], title: str, smoothing: int = 50) -> Figure:
    """Losses by iteration, one panel for each name.

    Args:
        curves: for instance what `train_vae` returns, or {"reconstruction": train_autoencoder(...)}.
        title: stands above the panels.
        smoothing: the strong line is the mean over so many iterations; the pale one is every iteration.
    """
    figure = Figure(figsize=(4.5 * max(1, len(curves)), 3.2), layout="constrained")
    figure.suptitle(title)
    panels = figure.subplots(1, max(1, len(curves)), squeeze=False)[0]
    for axes, (name, values) in zip(panels, curves.items(), strict=False):
        _curve(axes, values, smoothing, color="C0")
        axes.set_title(name)
        axes.set_xlabel("iteration")
        axes.set_ylabel("nats per element")
    return figure


def _curve(axes: Axes, values: Sequence[float], smoothing: int, color: str, label: str | None = None) -> None:
    axes.plot(values, color=color, alpha=0.3, linewidth=0.8)
    width = max(1, min(smoothing, len(values) // 5))  # short runs are smoothed less
    if len(values):
        smooth = np.convolve(values, np.ones(width) / width, mode="valid")
        axes.plot(np.arange(len(smooth)) + width - 1, smooth, color=color, label=label)


def reconstructions(originals: Tensor, rebuilt: Tensor, model: str, split: str, count: int = 10) -> Figure:
    """Originals above, what a model made of them below.

    Args:
        originals: images (n, ...), from the set that `split` names.
        rebuilt: their reconstructions, in the same order.
        model: the model's name, for the title.
        split: "train" or "test": the set that the originals really come from.
        count: how many to show, at most.
    """
    if split not in ("train", "test"):
        raise ValueError(f'split must be "train" or "test", got {split!r}')
    count = min(count, len(originals))
    figure = Figure(figsize=(0.9 * count + 0.8, 2.5), layout="constrained")
    figure.suptitle(f"{model}: {split} images and their reconstructions")
    grid = figure.subplots(2, count, squeeze=False)
    for column in range(count):
        _show(grid[0, column], originals[column])
        _show(grid[1, column], rebuilt[column])
    grid[0, 0].set_ylabel("original", fontsize=9)
    grid[1, 0].set_ylabel("rebuilt", fontsize=9)
    return figure


def interpolations(strips: Mapping[str, Tensor], title: str) -> Figure:
    """One strip of images for each interpolation, from its start on the left to its end on the right.

    Args:
        strips: a name (for instance "AE, 4 to 9") and images (steps, 28, 28) from `vae.interpolate`.
        title: stands above the strips.
    """
    steps = max(len(images) for images in strips.values())
    figure = Figure(figsize=(0.8 * steps + 1.2, 0.9 * len(strips) + 0.5), layout="constrained")
    figure.suptitle(title)
    grid = figure.subplots(len(strips), steps, squeeze=False)
    for row, (name, images) in zip(grid, strips.items(), strict=True):
        for axes in row[len(images) :]:
            axes.set_axis_off()
        for axes, image in zip(row, images, strict=False):
            _show(axes, image)
        row[0].set_ylabel(
            name, rotation=0, horizontalalignment="right", verticalalignment="center", fontsize=9
        )
    return figure


def conditional_samples(
    images: Tensor, labels: Tensor, title: str = "CVAE: samples, by label", columns: int = 10
) -> Figure:
    """Samples of a conditional model, each under the label that was asked for.

    Args:
        images: (n, 28, 28), from `cvae.sample_conditional`.
        labels: the labels (n,) that they were drawn for.
    """
    captions = [str(int(label)) for label in torch.as_tensor(labels).flatten()]
    return image_grid(images, title, columns=columns, captions=captions)


def gan_samples(
    images: Tensor, epoch: int | None = None, title: str = "DCGAN: samples from the tracked noise"
) -> Figure:
    """What the generator draws, for instance one entry of `History.samples`: `gan_samples(images, epoch)`."""
    return image_grid(images, title if epoch is None else f"{title}, after epoch {epoch}", columns=8)


def gan_losses(dis_loss: Sequence[float], gen_loss: Sequence[float], smoothing: int = 100) -> Figure:
    """The losses of both networks by iteration, in one panel.

    The dashed lines are where a discriminator that only guesses would be: 2 log 2 for its own loss, which is
    a sum of two terms, and log 2 for the generator's.
    """
    figure = Figure(figsize=(7, 3.4), layout="constrained")
    axes = figure.subplots()
    _curve(axes, dis_loss, smoothing, color="C0", label="discriminator")
    _curve(axes, gen_loss, smoothing, color="C1", label="generator")
    axes.axhline(2 * np.log(2), color="C0", linestyle="--", linewidth=0.8)
    axes.axhline(np.log(2), color="C1", linestyle="--", linewidth=0.8)
    axes.set_title("DCGAN: training losses")
    axes.set_xlabel("iteration")
    axes.set_ylabel("nats")
    axes.legend()
    return figure
