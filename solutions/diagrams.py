"""Pictures of the networks and of how they work together (given).

Every function returns a matplotlib Figure, like those of `figures`. The diagrams do not rely on colour, and the
background is always white, so they can be read in a dark theme and in print.
"""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch
from matplotlib.path import Path

from figures import DescribedFigure

INK = "#202020"
DATA, NETWORK, RANDOM, LOSS = "#e8eef7", "#dcebdc", "#fbe9c6", "#f3dcdc"
FONT_SIZE = 10  # points, in figures at most 10 inches wide


def autoencoder() -> Figure:
    """The auto-encoder: image, encoder, code, decoder, reconstruction, and the loss that compares it with the image."""
    words = (
        "The encoder maps an image x of 784 pixels to a code z of 32 numbers, through layers of 256 and 64; the decoder maps the "
        "code back to a reconstruction of 784 pixels. The loss measures how far the reconstruction is from x."
    )
    figure, axes = _canvas("The auto-encoder: an image goes through a bottleneck", words, 10.9, -1.75, 0.9)
    _box(axes, 0.0, 0.0, "image $x$\n784 pixels", DATA)
    _arrow(axes, (1.4, 0.0), (1.8, 0.0))
    _funnel(axes, 1.8, 0.0, 1.3, 0.45, "encoder\n784 $\\to$ 256 $\\to$ 64 $\\to$ 32", width=2.4)
    _arrow(axes, (4.2, 0.0), (4.6, 0.0))
    _box(axes, 4.6, 0.0, "code $z$\n32 numbers", DATA)
    _arrow(axes, (6.0, 0.0), (6.4, 0.0))
    _funnel(axes, 6.4, 0.0, 0.45, 1.3, "decoder\n32 $\\to$ 64 $\\to$ 256 $\\to$ 784", width=2.4)
    _arrow(axes, (8.8, 0.0), (9.2, 0.0))
    _box(axes, 9.2, 0.0, "reconstruction $\\hat{x}$\n784 pixels", DATA, width=1.6)
    _box(axes, 4.2, -1.35, "loss:\nhow far is $\\hat{x}$ from $x$?", LOSS, width=2.2)
    _arrow(axes, (0.7, -0.35), (0.7, -1.35), (4.2, -1.35))
    _arrow(axes, (10.0, -0.35), (10.0, -1.35), (6.4, -1.35))
    return figure


def vae(conditional: bool = False) -> Figure:
    """The VAE with its sampling step; `conditional` adds the label, which both networks receive."""
    name = (
        "The conditional VAE: the label goes into both networks"
        if conditional
        else "The VAE: the code is drawn at random"
    )
    words = (
        "The encoder maps an image x to a mean mu and a log sigma of 32 numbers each. The code z is mu + sigma * eps, with new "
        "noise eps from N(0, I) each time. The decoder maps z to a reconstruction. The loss is the reconstruction error plus "
        "beta times the KL divergence of q from N(0, I)."
    )
    if conditional:
        words += " A label c, one-hot, of 10 numbers goes into the encoder and the decoder."
    figure, axes = _canvas(name, words, 11.55, -1.95, 2.8 if conditional else 1.8)
    _box(axes, 0.0, 0.0, "image $x$\n784 pixels", DATA)
    _arrow(axes, (1.4, 0.0), (1.75, 0.0))
    _funnel(axes, 1.75, 0.0, 1.3, 0.6, "encoder\n$q(z|x, c)$" if conditional else "encoder\n$q(z|x)$")
    _arrow(axes, (3.45, 0.0), (3.75, 0.0))
    _box(axes, 3.75, 0.0, "mean $\\mu$, log $\\sigma$\n32 numbers each", DATA, width=1.7)
    _arrow(axes, (5.45, 0.0), (5.75, 0.0))
    _box(axes, 5.75, 1.4, "noise $\\epsilon \\sim N(0, I)$,\nnew each time", RANDOM, width=1.7)
    _arrow(axes, (6.6, 1.05), (6.6, 0.35))
    _box(axes, 5.75, 0.0, "code $z = \\mu + \\sigma\\,\\epsilon$\n32 numbers", RANDOM, width=1.7)
    _arrow(axes, (7.45, 0.0), (7.8, 0.0))
    _funnel(axes, 7.8, 0.0, 0.6, 1.3, "decoder\n$p(x|z, c)$" if conditional else "decoder\n$p(x|z)$")
    _arrow(axes, (9.5, 0.0), (9.85, 0.0))
    _box(axes, 9.85, 0.0, "reconstruction $\\hat{x}$\n784 pixels", DATA, width=1.6)
    loss = "loss = reconstruction error\n$+\\; \\beta\\;$KL$[\\,q\\;\\Vert\\;N(0, I)\\,]$"
    _box(axes, 3.3, -1.55, loss, LOSS, width=2.6)
    _arrow(axes, (0.7, -0.35), (0.7, -1.55), (3.3, -1.55))
    _arrow(axes, (4.6, -0.35), (4.6, -1.2))
    _arrow(axes, (10.65, -0.35), (10.65, -1.55), (5.9, -1.55))
    if conditional:
        _box(axes, 5.75, 2.4, "label $c$, one-hot\n10 numbers", DATA, width=1.7)
        # 0.625 is half the height of either network at its centre.
        _arrow(axes, (5.75, 2.4), (2.6, 2.4), (2.6, 0.625))
        _arrow(axes, (7.45, 2.4), (8.65, 2.4), (8.65, 0.625))
    return figure


def gan() -> Figure:
    """The two players of a GAN, a forger and a police officer, and how the gradient of each loss reaches its network."""
    words = (
        "The generator, the forger, maps noise z of 64 numbers to fake images of 3 x 32 x 32. The discriminator, the police, sees "
        "real and fake images and returns a logit: real or fake? In the discriminator's loss, real images have the label 1 and "
        "fakes the label 0; its gradient goes back to the discriminator only. In the generator's loss, fakes have the label 1; "
        "its gradient goes back through the discriminator to the generator."
    )
    figure, axes = _canvas("The GAN: two players, two losses", words, 11.75, 0.15, 3.25)
    _box(axes, 0.0, 1.4, "noise $z \\sim N(0, I)$\n64 numbers", RANDOM, width=1.7)
    _arrow(axes, (1.7, 1.4), (2.0, 1.4))
    _funnel(axes, 2.0, 1.4, 0.5, 1.4, "generator\n(the forger)")
    _arrow(axes, (3.7, 1.4), (4.0, 1.4))
    _box(axes, 4.0, 1.4, "fake images\n3 x 32 x 32", DATA)
    _box(axes, 4.0, 2.4, "real images\n3 x 32 x 32", DATA)
    _arrow(axes, (5.4, 1.4), (5.9, 1.4))
    _arrow(axes, (5.4, 2.4), (5.9, 2.4))
    _funnel(axes, 5.9, 1.7, 2.6, 0.6, "discriminator\n(the police)")
    _arrow(axes, (7.6, 1.7), (7.9, 1.7))
    _box(axes, 7.9, 1.7, "logit:\nreal or fake?", DATA)
    _arrow(axes, (9.3, 1.85), (9.6, 2.4))
    _arrow(axes, (9.3, 1.55), (9.6, 1.0))
    _box(axes, 9.6, 2.65, "discriminator's loss\nlabels: real 1, fake 0", LOSS, width=2.1)
    _box(axes, 9.6, 0.75, "generator's loss\nlabel: fake 1", LOSS, width=2.1)
    _arrow(axes, (9.6, 2.65), (6.75, 2.65), dashed=True)
    _arrow(axes, (9.6, 0.75), (3.7, 0.75), dashed=True)
    _text(axes, 7.95, 2.85, "gradient to the discriminator")
    _text(axes, 7.95, 0.55, "gradient to the generator")
    return figure


def _canvas(title: str, words: str, width: float, bottom: float, top: float) -> tuple[DescribedFigure, Axes]:
    figure = DescribedFigure(
        figsize=(0.85 * width, 0.85 * (top - bottom) + 0.4), layout="constrained", facecolor="white"
    )
    figure.description = f"{title}. {words}"
    axes = figure.subplots()
    axes.set_axis_off()
    axes.set_xlim(-0.1, width)
    axes.set_ylim(bottom, top)
    axes.set_title(title, color=INK)
    return figure, axes


def _box(axes: Axes, left: float, middle: float, text: str, color: str, width: float = 1.4) -> None:
    axes.fill(
        [left, left + width, left + width, left],
        [middle - 0.35, middle - 0.35, middle + 0.35, middle + 0.35],
        facecolor=color,
        edgecolor=INK,
    )
    _text(axes, left + width / 2, middle, text)


def _funnel(
    axes: Axes, left: float, middle: float, height_in: float, height_out: float, text: str, width: float = 1.7
) -> None:
    """A network as a trapezoid: as high as its input is wide on the left, and its output on the right."""
    axes.fill(
        [left, left, left + width, left + width],
        [
            middle - height_in / 2 - 0.15,
            middle + height_in / 2 + 0.15,
            middle + height_out / 2 + 0.15,
            middle - height_out / 2 - 0.15,
        ],
        facecolor=NETWORK,
        edgecolor=INK,
        linewidth=2,
    )
    _text(axes, left + width / 2, middle, text)


def _text(axes: Axes, x: float, y: float, text: str) -> None:
    axes.text(x, y, text, ha="center", va="center", fontsize=FONT_SIZE, color=INK)


def _arrow(axes: Axes, *points: tuple[float, float], dashed: bool = False) -> None:
    """An arrow through `points`, along straight lines."""
    style = "--" if dashed else "-"
    axes.add_patch(
        FancyArrowPatch(path=Path(points), arrowstyle="-|>", mutation_scale=12, color=INK, linestyle=style)
    )
