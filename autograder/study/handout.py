"""The handout's own figures, and where the final losses of a trained reference must be.

A final loss hangs on the seed. Where some of five seeds (42 to 46) end beyond the handout's range, a target holds their own
range too: such a value is told as outside, and is no fault of the training. The embedded data have ranges of our own, around
what seed 42 gave (in brackets).
"""

from __future__ import annotations

from dataclasses import dataclass

from autograder.study.runs import Outcome


@dataclass(frozen=True)
class Target:
    """A value of a run, named as in `Outcome.measured`, and its range; `says` as the handout has it.

    seeds: the range of five seeds, where it goes beyond the other.
    """

    run: str
    value: str
    low: float
    high: float
    says: str
    seeds: tuple[float, float] | None = None


REAL = (
    Target("AE", "first", 0.684, 0.704, "0.694 at the first iteration"),
    Target("AE", "train rec_loss", 0.084, 0.091, "0.084 to 0.091"),
    Target("VAE, beta 0", "train rec_loss", 0.085, 0.100, "about 0.09"),
    Target("VAE, beta 0", "train kl_loss", 22, 33, "about 27"),
    Target("VAE, beta 10", "train rec_loss", 0.25, 0.28, "0.25 to 0.28"),
    Target("VAE, beta 10", "train kl_loss", 0, 1e-6, "below 1e-6"),
    Target("VAE, beta 0.105", "train rec_loss", 0.125, 0.138, "0.125 to 0.138", (0.134, 0.140)),
    Target("VAE, beta 0.105", "train kl_loss", 0.29, 0.32, "0.29 to 0.32", (0.309, 0.339)),
    Target("CVAE, beta 0.105", "train rec_loss", 0.138, 0.152, "0.138 to 0.152"),
    Target("CVAE, beta 0.105", "train kl_loss", 0.20, 0.23, "0.20 to 0.23", (0.219, 0.244)),
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
    """A target, the value that was measured, and whether it is where it must be."""

    target: Target
    value: float

    @property
    def inside(self) -> bool:
        return self.target.low <= self.value <= self.target.high

    @property
    def plausible(self) -> bool:
        """Inside, or where one of the five seeds ended."""
        seeds = self.target.seeds
        return self.inside or (seeds is not None and seeds[0] <= self.value <= seeds[1])

    @property
    def where(self) -> str:
        """In words, for tables."""
        if self.inside:
            return "inside"
        return "outside, as some seeds are" if self.plausible else "OUTSIDE"


def compare(outcomes: list[Outcome], embedded: bool) -> list[Compared]:
    """The targets of the runs that there are."""
    found = {outcome.plan.name: outcome.measured for outcome in outcomes}
    targets = EMBEDDED if embedded else REAL
    return [Compared(t, found[t.run][t.value]) for t in targets if t.run in found]
