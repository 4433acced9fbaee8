"""The figures of both notebooks (given).

Every function takes tensors or lists of numbers and returns a matplotlib Figure. None of them opens a window
or changes matplotlib's global state, so they work in scripts and on machines without a display: save a figure
with `figure.savefig("x.png")`. In a notebook, run `%matplotlib inline` once; a figure on the last line of a
cell is then displayed, and its `description` becomes the image's alternative text, for readers who cannot see it.

A model has the same colour in every figure (`COLOURS`).
"""

import base64
import html
import io
import itertools
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

# Okabe and Ito's palette, which people with colour-vision deficiency can tell apart.
COLOURS = {
    "auto-encoder": "#0072B2",
    "VAE": "#D55E00",
    "CVAE": "#009E73",
    "discriminator": "#CC79A7",
    "generator": "#E69F00",
}
# Line styles keep the two apart in black and white.
LINES = {"discriminator": "-", "generator": "--"}
# The losses while the discriminator only guesses: whose, its value in nats, and the words for the legend.
GUESSING = (
    ("discriminator", 2 * np.log(2), "discriminator's loss when it only guesses (2 log 2)"),
    ("generator", np.log(2), "generator's loss against a guessing discriminator (log 2)"),
)
ORIGINAL = "#56B4E9"  # the frame of an original image
SMALL = 10  # points: names of rows, captions and notes


class DescribedFigure(Figure):
    """A figure with a `description` in words."""

    description = ""

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        """What a notebook shows: the image with its description, and the image alone for programs without HTML."""
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", bbox_inches="tight")
        png = base64.b64encode(buffer.getvalue()).decode()
        image = f'<img src="data:image/png;base64,{png}" alt="{html.escape(self.description)}">'
        return {"image/png": png, "text/html": image}


def _figure(width: float, height: float, title: str, description: str) -> DescribedFigure:
    """An empty figure, in inches. description: what follows the title in the figure's description; "" for nothing."""
    figure = DescribedFigure(figsize=(width, height), layout="constrained")
    if title:
        figure.suptitle(title)
    figure.description = ". ".join(text for text in (title, description) if text)
    return figure


def _picture(image: Tensor) -> np.ndarray:
    """An image (28, 28), (784,), (1, 28, 28) or (3, 32, 32) in matplotlib's format: channels last."""
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
    """A grid of images.

    Args:
        images: (n, 28, 28), (n, 1, 28, 28), (n, 1, 784) or (n, 3, 32, 32), in [0, 1].
        title: text above the grid.
        columns: number of images per row.
        captions: one text per image, shown above it.
        size: width of one image in inches.
    """
    columns = max(1, min(columns, len(images)))
    rows = max(1, -(-len(images) // columns))
    words = f"{len(images)} images, {columns} per row"
    if captions is not None:
        words += f", with the captions {', '.join(captions)}"
    height = (size + (0.2 if captions else 0)) * rows + 0.5
    figure = _figure(size * columns, height, title, words)
    grid = figure.subplots(rows, columns, squeeze=False).flatten()
    for axes in grid[len(images) :]:
        axes.set_axis_off()
    for i, image in enumerate(images):
        _show(grid[i], image)
        if captions is not None:
            grid[i].set_title(captions[i], fontsize=SMALL)
    return figure


def loss_curves(
    curves: Mapping[str, Sequence[float]], title: str, smoothing: int = 50, model: str = "auto-encoder"
) -> Figure:
    """Losses by iteration, one panel per name.

    Args:
        curves: losses by name: what `train_vae` returns, or {"reconstruction": train_autoencoder(...)}. "kl_loss"
            is in nats per latent dimension, every other loss in nats per pixel.
        title: text above the panels.
        smoothing: the dark line is the mean over this many iterations (fewer in short runs), centred.
        model: whose losses these are, a name in `COLOURS`.
    """
    words = "; ".join(_course(name, values) for name, values in curves.items())
    figure = _figure(4.5 * max(1, len(curves)), 3.4, title, words)
    panels = figure.subplots(1, max(1, len(curves)), squeeze=False)[0]
    width = _width(smoothing, curves.values())
    for axes, (name, values) in zip(panels, curves.items(), strict=False):
        _curve(axes, values, width, COLOURS[model])
        axes.set_title(name)
        axes.set_xlabel("iteration")
        axes.set_ylabel(f"nats per {'latent dimension' if name == 'kl_loss' else 'pixel'}")
    figure.supxlabel(_note(width), fontsize=SMALL)
    return figure


def _width(smoothing: int, curves: Iterable[Sequence[float]]) -> int:
    """How many iterations a mean is over: `smoothing`, but at most a fifth of the shortest curve."""
    return max(1, min([smoothing, *(len(values) // 5 for values in curves)]))


def _note(width: int) -> str:
    return f"pale: each iteration; dark: centred moving mean over {width}"


def _curve(
    axes: Axes, values: Sequence[float], width: int, colour: str, label: str | None = None, line: str = "-"
) -> None:
    """Draw the values pale and their mean over `width` iterations dark."""
    axes.plot(values, color=colour, alpha=0.3, linewidth=0.8)
    axes.locator_params(axis="x", nbins=5)  # five digits each: more would touch
    if len(values) >= width:
        smooth = np.convolve(values, np.ones(width) / width, mode="valid")
        # Each mean stands in the middle of its iterations, so that the dark line does not lag behind the pale one.
        axes.plot(np.arange(len(smooth)) + (width - 1) / 2, smooth, line, color=colour, label=label)


def _course(name: str, values: Sequence[float]) -> str:
    """A curve in words. Single iterations vary, so its end is a mean."""
    if not len(values):
        return name
    end = values[-100:]
    return (
        f"{name}: from {values[0]:.3g} to {sum(end) / len(end):.3g} in {len(values)} iterations"
        f" (the mean of the last {len(end)})"
    )


def reconstructions(originals: Tensor, rebuilt: Tensor, model: str, split: str, count: int = 10) -> Figure:
    """Original images above, their reconstructions below.

    Args:
        originals: images (n, ...), from the set that `split` names.
        rebuilt: their reconstructions, in the same order.
        model: the model's name, for the title.
        split: "train" or "test", the set that the originals come from.
        count: maximum number of images to show.
    """
    if split not in ("train", "test"):
        raise ValueError(f'split must be "train" or "test", got {split!r}')
    rows = {"original": originals[:count], "rebuilt": rebuilt[:count]}
    return image_rows(rows, f"{model}: {split} images and their reconstructions")


def image_rows(rows: Mapping[str, Tensor], title: str) -> Figure:
    """Rows of images, one below the other, each with its name on the left.

    Args:
        rows: a name and images (n, ...) for each row; images in the same column belong together.
        title: text above the rows.
    """
    columns = max(1, *(len(images) for images in rows.values()))
    figure = _figure(0.9 * columns + 1.3, 0.95 * len(rows) + 0.5, title, f"Rows of images: {_listed(rows)}")
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for row, (name, images) in zip(grid, rows.items(), strict=True):
        for axes in row[len(images) :]:
            axes.set_axis_off()
        for axes, image in zip(row, images, strict=False):
            _show(axes, image)
        _name(row[0], name)
    return figure


def _listed(names: Iterable[str]) -> str:
    return "; ".join(" ".join(name.split()) for name in names)


def _name(axes: Axes, name: str) -> None:
    """Write a row's name to the left of its first image."""
    axes.set_ylabel(name, rotation=0, horizontalalignment="right", verticalalignment="center", fontsize=SMALL)


def beta_study(originals: Tensor, models: Mapping[str, tuple[Tensor, Tensor]], title: str) -> Figure:
    """The effect of the KL term's weight: reconstructions on the left, samples on the right.

    Args:
        originals: the test images (n, ...) that were reconstructed; they are shown in the first row.
        models: for each model, its name, its reconstructions of `originals`, and its samples.
        title: text above the rows.
    """
    rebuilt, samples = len(originals), max(len(drawn) for _, drawn in models.values())
    words = f"{rebuilt} test images, then a row for each model, its reconstructions on the left and samples on the right"
    figure = _figure(
        0.65 * (rebuilt + samples) + 2.6,
        0.7 * (len(models) + 1) + 0.7,
        title,
        f"{words}: {_listed(models)}",
    )
    widths = [1.0] * rebuilt + [0.4] + [1.0] * samples  # the narrow column separates the two halves
    grid = figure.subplots(len(models) + 1, len(widths), squeeze=False, width_ratios=widths)
    for axes in grid.flatten():
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_frame_on(False)
        axes.set_box_aspect(1)  # also without an image, so that both headings have the same height
    for axes, image in zip(grid[0], originals, strict=False):
        _show(axes, image)
    _name(grid[0, 0], "original")
    for row, (name, (images, drawn)) in zip(grid[1:], models.items(), strict=True):
        for axes, image in zip(row[:rebuilt], images, strict=False):
            _show(axes, image)
        for axes, image in zip(row[rebuilt + 1 :], drawn, strict=False):
            _show(axes, image)
        _name(row[0], name)
    grid[0, rebuilt // 2].set_title("test images and reconstructions", fontsize=SMALL)
    grid[0, rebuilt + 1 + samples // 2].set_title("samples", fontsize=SMALL)
    return figure


def interpolations(
    strips: Mapping[str, Tensor], title: str, ends: Mapping[str, tuple[Tensor, Tensor]] | None = None
) -> Figure:
    """One strip of images per interpolation, from its start on the left to its end on the right.

    Args:
        strips: a name (for instance "AE, 4 to 9") and images (steps, 28, 28) from `vae.interpolate`.
        title: text above the strips.
        ends: for each name, the two original images, shown to the left and right of the strip.
    """
    steps = max(len(images) for images in strips.values())
    extra = 1 if ends else 0
    words = f"Strips of images from one end to the other{', between the two originals' if ends else ''}"
    figure = _figure(
        0.8 * (steps + 2 * extra) + 1.2, 0.9 * len(strips) + 0.6, title, f"{words}: {_listed(strips)}"
    )
    grid = figure.subplots(len(strips), steps + 2 * extra, squeeze=False)
    for row, (name, images) in zip(grid, strips.items(), strict=True):
        for axes in row[extra + len(images) :]:
            axes.set_axis_off()
        for axes, image in zip(row[extra:], images, strict=False):
            _show(axes, image)
        if ends:
            for axes, image in zip((row[0], row[extra + len(images)]), ends[name], strict=True):
                axes.set_axis_on()
                _show(axes, image)
                for side in axes.spines.values():  # a coloured frame marks an original image
                    side.set(color=ORIGINAL, linewidth=2)
        _name(row[0], name)
    if ends:
        grid[0, 0].set_title("original", fontsize=SMALL)
        grid[0, len(next(iter(strips.values()))) + 1].set_title("original", fontsize=SMALL)
    return figure


def conditional_samples(
    images: Tensor, labels: Tensor, title: str = "CVAE: samples, by label", columns: int = 10
) -> Figure:
    """Samples of a conditional model, each with its requested label above it.

    Args:
        images: (n, 28, 28), from `cvae.sample_conditional`.
        labels: the labels (n,) that the images were generated for.
    """
    captions = [str(int(label)) for label in torch.as_tensor(labels).flatten()]
    return image_grid(images, title, columns=columns, captions=captions)


def gan_samples(
    images: Tensor, epoch: int | None = None, title: str = "DCGAN: samples from the tracked noise"
) -> Figure:
    """Generated images, for instance one entry of `History.samples`: `gan_samples(images, epoch)`."""
    return image_grid(images, title if epoch is None else f"{title}, after epoch {epoch}", columns=8)


def gan_losses(
    dis_loss: Sequence[float],
    gen_loss: Sequence[float],
    smoothing: int = 100,
    title: str = "DCGAN: training losses",
) -> Figure:
    """The losses of both networks by iteration, in one panel.

    The dotted lines show the losses for a discriminator that only guesses: 2 log 2 for its own loss, which is
    a sum of two terms, and log 2 for the generator's.
    """
    return compared_gan_losses({title: (dis_loss, gen_loss)}, smoothing)


def compared_gan_losses(
    runs: Mapping[str, tuple[Sequence[float], Sequence[float]]], smoothing: int = 100
) -> Figure:
    """The losses of several runs side by side, on the same scale; see `gan_losses`.

    Args:
        runs: for each run, a name, the discriminator's losses and the generator's losses.
        smoothing: the dark line is the mean over this many iterations (fewer in short runs), centred.
    """
    names = ("discriminator", "generator")
    words = [
        _course(f"{run}, {name}", values)
        for run, both in runs.items()
        for name, values in zip(names, both, strict=True)
    ]
    words += [f"{label}: {level:.3f}" for _, level, label in GUESSING]
    figure = _figure(7 if len(runs) == 1 else 5.5 * len(runs), 4, "", "; ".join(words))
    panels = figure.subplots(1, len(runs), squeeze=False, sharey=True)[0]
    width = _width(smoothing, (values for both in runs.values() for values in both))
    for axes, (run, both) in zip(panels, runs.items(), strict=True):
        for name, values in zip(names, both, strict=True):
            _curve(axes, values, width, COLOURS[name], name, LINES[name])
        for name, level, label in GUESSING:
            axes.axhline(level, color=COLOURS[name], linestyle=":", linewidth=1.4, label=label)
        axes.set_title(run)
        axes.set_xlabel("iteration")
    panels[0].set_ylabel("nats, mean over the batch")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, title=_note(width))
    return figure


def functions(
    x: Tensor,
    curves: Mapping[str, Tensor],
    title: str,
    x_label: str = "",
    y_label: str = "",
    model: str = "generator",
) -> Figure:
    """Functions of one variable in one panel: `x` (n,), and values (n,) for each name, in the colour of `model`."""
    ends = (f"{name} from {values[0]:.3g} to {values[-1]:.3g}" for name, values in curves.items())
    words = f"{y_label} by {x_label}, from {x[0]:.3g} to {x[-1]:.3g}: {'; '.join(ends)}"
    figure = _figure(6, 3.2, "", f"{title}. {words}")
    axes = figure.subplots()
    for line, (name, values) in zip(itertools.cycle(("-", "--", ":")), curves.items(), strict=False):
        y = values.detach().cpu().numpy()
        axes.plot(x.detach().cpu().numpy(), y, line, color=COLOURS[model], label=name)
    axes.set_title(title)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.legend()
    return figure
