"""How checks read the history that a training loop returns: one entry per iteration, or twice as many for a known reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from autograder.judging import Candidate, Mistake, Observation, fail

from ...mistakes.public.training import HISTORY_ONE_LIST, HISTORY_TWICE

PARTS = ("rec_loss", "kl_loss")  # in the order in which loops append them


@dataclass(frozen=True)
class Entries:
    """The entries of a history. once: one per iteration; doubled: why there were twice as many, if there were."""

    once: list[float]
    doubled: Mistake | None = None

    def expect_once(self, what: str) -> None:
        """Ends the check where there were twice as many entries; for the end of a check, when all else is right."""
        if self.doubled is not None:
            fail(
                expected=f"{what}: {len(self.once)} entries, one per iteration",
                seen=f"{2 * len(self.once)} entries",
                mistake=self.doubled,
            )


def expect_entries(
    seen: Observation,
    name: str,
    count: int,
    what: str,
    mistakes: Sequence[Candidate] = (),
    hint: str = "",
) -> Entries:
    """The entries of the list `name`, of which there must be `count`; or each of them twice, or those of both parts in turn."""
    found = seen.get(name)
    if isinstance(found, list) and len(found) == 2 * count:
        values = seen.numbers(name, 2 * count, what=what)
        if values[::2] == values[1::2]:
            return Entries(values[::2], HISTORY_TWICE)
        if name in PARTS and all(seen.get(part) == found for part in PARTS):
            return Entries(values[PARTS.index(name) :: 2], HISTORY_ONE_LIST)
    return Entries(seen.numbers(name, count, what=what, mistakes=mistakes, hint=hint))
