"""Pictures of the networks and of how they work together (given).

Every function returns a matplotlib Figure, like those of `figures`. Shapes and words carry the meaning, colours
only repeat it, and the background is always white: the pictures can be read in a dark theme and in print.
"""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures import DescribedFigure

INK = "#202020"
DATA, NETWORK, RANDOM, LOSS = "#e8eef7", "#dcebdc", "#fbe9c6", "#f3dcdc"


def autoencoder() -> Figure:
    """The auto-encoder: image, encoder, code, decoder, reconstruction."""
    words = (
        "The encoder maps an image x of 784 pixels to a code z of 32 numbers, through layers of 256 and 64; the decoder maps the "
        "code back to a reconstruction of 784 pixels. The loss measures how far the reconstruction is from x."
    )
    figure, axes = _canvas("The auto-encoder: a picture goes through a bottleneck", words, 10.6, -0.3, 2.1)
    _box(axes, 0.0, 1.2, "image x\n784 pixels", DATA)
    _arrow(axes, 1.5, 1.2, 1.9)
    _funnel(axes, 1.9, 1.2, 1.3, 0.45, "encoder\n784 > 256 > 64 > 32")
    _arrow(axes, 4.1, 1.2, 4.5)
    _box(axes, 4.5, 1.2, "code z\n32 numbers", DATA)
    _arrow(axes, 6.0, 1.2, 6.4)
    _funnel(axes, 6.4, 1.2, 0.45, 1.3, "decoder\n32 > 64 > 256 > 784")
    _arrow(axes, 8.6, 1.2, 9.0)
    _box(axes, 9.0, 1.2, "reconstruction\n784 pixels", DATA)
    axes.text(5.25, -0.1, "loss: how far is the reconstruction from x?", ha="center", fontsize=9, color=INK)
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
    figure, axes = _canvas(name, words, 12.9, -1.1, 3.6 if conditional else 2.3)
    y = 1.3
    _box(axes, 0.0, y, "image x\n784 pixels", DATA)
    _arrow(axes, 1.5, y, 1.9)
    _funnel(axes, 1.9, y, 1.3, 0.6, "encoder q(z|x)" if not conditional else "encoder q(z|x, c)")
    _arrow(axes, 4.1, y + 0.25, 4.5, y + 0.45)
    _arrow(axes, 4.1, y - 0.25, 4.5, y - 0.45)
    _box(axes, 4.5, y + 0.5, "mean mu\n32 numbers", DATA)
    _box(axes, 4.5, y - 0.5, "log sigma\n32 numbers", DATA)
    _box(axes, 6.5, y - 1.5, "noise eps\n~ N(0, I), new each time", RANDOM, width=2.1)
    _arrow(axes, 6.0, y + 0.5, 6.5, y + 0.15)
    _arrow(axes, 6.0, y - 0.5, 6.5, y - 0.15)
    _arrow(axes, 7.5, y - 1.15, 7.5, y - 0.35)
    _box(axes, 6.5, y, "code z =\nmu + sigma * eps", RANDOM, width=2.0)
    _arrow(axes, 8.5, y, 8.8)
    _funnel(axes, 8.8, y, 0.6, 1.3, "decoder p(x|z)" if not conditional else "decoder p(x|z, c)")
    _arrow(axes, 11.0, y, 11.3)
    _box(axes, 11.3, y, "reconstruction\n784 pixels", DATA)
    axes.text(
        3.0,
        -0.75,
        "loss = reconstruction error\n+ beta * KL[q || N(0, I)]",
        ha="center",
        fontsize=9,
        color=INK,
    )
    if conditional:
        _box(axes, 5.6, y + 1.85, "label c, one-hot\n10 numbers", DATA, width=1.8)
        _arrow(axes, 5.6, y + 1.85, 3.0, y + 0.95)
        _arrow(axes, 7.4, y + 1.85, 9.9, y + 0.95)
    return figure


def gan() -> Figure:
    """The two players of a GAN: a forger and a police officer, and which loss teaches which of them."""
    described = (
        "The generator, the forger, maps noise z of 64 numbers to fake images of 3 x 32 x 32. The discriminator, the police, sees "
        "real and fake images and returns a logit: real or fake? In the discriminator's loss, real is 1 and fake is 0. In the "
        "generator's loss, fake should be 1; its gradient goes back through the discriminator."
    )
    figure, axes = _canvas("The GAN: two players, two losses", described, 12.3, -0.7, 3.4)
    _box(axes, 0.0, 0.9, "noise z ~ N(0, I)\n64 numbers", RANDOM, width=1.7)
    _arrow(axes, 1.7, 0.9, 2.1)
    _funnel(axes, 2.1, 0.9, 0.5, 1.2, "generator\n(the forger)")
    _arrow(axes, 4.3, 0.9, 4.7)
    _box(axes, 4.7, 0.9, "fake images\n3 x 32 x 32", DATA)
    _box(axes, 4.7, 2.5, "real images\n3 x 32 x 32", DATA)
    _arrow(axes, 6.2, 0.9, 6.8, 1.5)
    _arrow(axes, 6.2, 2.5, 6.8, 1.9)
    _funnel(axes, 6.8, 1.7, 1.4, 0.5, "discriminator\n(the police)")
    _arrow(axes, 9.0, 1.7, 9.4)
    _box(axes, 9.4, 1.7, "logit:\nreal or fake?", DATA)
    _arrow(axes, 10.9, 1.9, 11.1, 2.5)
    _arrow(axes, 10.9, 1.5, 11.1, 0.9)
    _box(axes, 9.9, 2.9, "discriminator's loss:\nreal is 1, fake is 0", LOSS, width=2.3)
    _box(axes, 9.9, 0.5, "generator's loss:\nfake should be 1", LOSS, width=2.3)
    words = "the gradient of its loss goes back through the discriminator"
    axes.text(3.7, -0.4, words, va="center", fontsize=9, color=INK)
    _arrow(axes, 3.6, -0.4, 3.2, 0.3)
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


def _box(axes: Axes, left: float, middle: float, text: str, color: str, width: float = 1.5) -> None:
    axes.fill(
        [left, left + width, left + width, left],
        [middle - 0.35, middle - 0.35, middle + 0.35, middle + 0.35],
        facecolor=color,
        edgecolor=INK,
    )
    axes.text(left + width / 2, middle, text, ha="center", va="center", fontsize=9, color=INK)


def _funnel(axes: Axes, left: float, middle: float, height_in: float, height_out: float, text: str) -> None:
    """A network as a trapezoid: as high as its input is wide on the left, and its output on the right."""
    width = 2.2
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
    axes.text(left + width / 2, middle, text, ha="center", va="center", fontsize=9, color=INK)


def _arrow(axes: Axes, x: float, y: float, to_x: float, to_y: float | None = None) -> None:
    axes.annotate(
        "",
        xy=(to_x, y if to_y is None else to_y),
        xytext=(x, y),
        arrowprops={"arrowstyle": "->", "color": INK},
    )
