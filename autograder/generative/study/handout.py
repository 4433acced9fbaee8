"""The values that the handout states, and the ranges in which final losses of the trained reference must lie.

A final loss depends on the seed. Where some of five seeds (42 to 46) end outside the handout's range, or next to its end,
the target holds their values too: a loss within `SPREAD` standard deviations of their mean is reported as outside, but is
not a fault of the training. The embedded data have ranges of our own, around the values of seed 42 (in brackets).
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean, stdev

from .runs import Outcome

# A further normal value lies beyond this many standard deviations of five others once in 46 times (Student's t).
SPREAD = 4


@dataclass(frozen=True)
class Target:
    """A value of a run, named as in `Outcome.measured`, and its range.

    stated: the value in the handout's words.
    seeds: the values of five seeds, where they do not all lie well within the range.
    """

    run: str
    value: str
    low: float
    high: float
    stated: str
    seeds: tuple[float, ...] = ()


VAE_REC, VAE_KL = (0.1380, 0.1379, 0.1352, 0.1349, 0.1394), (0.3156, 0.3160, 0.3353, 0.3383, 0.3091)
CVAE_REC, CVAE_KL = (0.1384, 0.1403, 0.1394, 0.1423, 0.1396), (0.2436, 0.2235, 0.2313, 0.2194, 0.2293)
REAL = (
    Target("AE", "first", 0.684, 0.704, "0.694 at the first iteration"),
    Target("AE", "train rec_loss", 0.084, 0.091, "0.084 to 0.091"),
    Target("VAE, beta 0", "train rec_loss", 0.085, 0.100, "about 0.09"),
    Target("VAE, beta 0", "train kl_loss", 22, 33, "about 27"),
    Target("VAE, beta 10", "train rec_loss", 0.25, 0.28, "0.25 to 0.28"),
    Target("VAE, beta 10", "train kl_loss", 0, 1e-6, "below 1e-6"),
    Target("VAE, beta 0.105", "train rec_loss", 0.125, 0.138, "0.125 to 0.138", VAE_REC),
    Target("VAE, beta 0.105", "train kl_loss", 0.29, 0.32, "0.29 to 0.32", VAE_KL),
    Target("CVAE, beta 0.105", "train rec_loss", 0.138, 0.152, "0.138 to 0.152", CVAE_REC),
    Target("CVAE, beta 0.105", "train kl_loss", 0.20, 0.23, "0.20 to 0.23", CVAE_KL),
    Target("DCGAN", "dis_loss", 0.4, 1.1, "about 0.4 to 1.1"),
    Target("DCGAN", "gen_loss", 0.6, 3.0, "about 0.6 to 3"),
    Target("DCGAN", "reconstruction", 0, 0.03, "0.0146; 0.03 is the bar"),
    Target("DCGAN", "below code zero", 0.4, 1, "at least 40 %"),
    Target("DCGAN, spectral norm", "reconstruction", 0, 0.03, "(0.03 is the bar)"),
    Target("DCGAN, spectral norm", "below code zero", 0.4, 1, "(at least 40 %)"),
)
EMBEDDED = (
    Target("AE", "train rec_loss", 0.32, 0.345, "(0.331)"),
    Target("VAE, beta 0", "train rec_loss", 0.32, 0.35, "(0.334)"),
    Target("VAE, beta 0", "train kl_loss", 10, 20, "(14)"),
    Target("VAE, beta 10", "train rec_loss", 0.44, 0.46, "(0.452)"),
    Target("VAE, beta 10", "train kl_loss", 0, 1e-5, "(1e-6)"),
    Target("VAE, beta 0.105", "train rec_loss", 0.345, 0.37, "(0.357)"),
    Target("VAE, beta 0.105", "train kl_loss", 0.18, 0.24, "(0.21)"),
    Target("CVAE, beta 0.105", "train rec_loss", 0.345, 0.37, "(0.358)"),
    Target("CVAE, beta 0.105", "train kl_loss", 0.09, 0.15, "(0.12)"),
    Target("DCGAN", "below code zero", 0.4, 1, "(at least 40 %)"),
    Target("DCGAN, spectral norm", "below code zero", 0.4, 1, "(at least 40 %)"),
)


@dataclass(frozen=True)
class Compared:
    """A target, the value measured, and whether it is in range."""

    target: Target
    value: float

    @property
    def inside(self) -> bool:
        return self.target.low <= self.value <= self.target.high

    @property
    def plausible(self) -> bool:
        """Whether the value is inside, or where another seed might end."""
        seeds = self.target.seeds
        return self.inside or (bool(seeds) and abs(self.value - fmean(seeds)) <= SPREAD * stdev(seeds))

    @property
    def complaint(self) -> str:
        """One line for a value outside the range."""
        t = self.target
        return f"{t.run}, {t.value}: {self.value:.4g} is not in {t.low:g} to {t.high:g}"

    @property
    def where(self) -> str:
        """In words, for tables."""
        if self.inside:
            return "inside"
        return "outside, as some seeds are" if self.plausible else "OUTSIDE"


def compare(outcomes: list[Outcome], embedded: bool) -> list[Compared]:
    """Compares the outcomes with the targets of their runs."""
    found = {outcome.plan.name: outcome.measured for outcome in outcomes}
    targets = EMBEDDED if embedded else REAL
    return [Compared(t, found[t.run][t.value]) for t in targets if t.run in found]
