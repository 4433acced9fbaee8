"""How checks read the history that a training loop returns: one entry per iteration, or each of them twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from autograder.judging import Candidate, Observation, fail

from ...mistakes.public.training import HISTORY_TWICE


@dataclass(frozen=True)
class Entries:
    """The entries of a history. once: one per iteration; twice: whether each was there twice in a row."""

    once: list[float]
    twice: bool

    def expect_once(self, what: str) -> None:
        """Ends the check when each entry was there twice; for the end of a check, when all else is right."""
        if self.twice:
            fail(
                expected=f"{what}: {len(self.once)} entries, one per iteration",
                seen=f"{2 * len(self.once)} entries, each of them twice",
                mistake=HISTORY_TWICE,
            )


def expect_entries(
    seen: Observation,
    name: str,
    count: int,
    what: str,
    mistakes: Sequence[Candidate] = (),
    hint: str = "",
) -> Entries:
    """The entries of the list `name`, of which there must be `count`, or each of them twice."""
    found = seen.get(name)
    if isinstance(found, list) and len(found) == 2 * count:
        values = seen.numbers(name, 2 * count, what=what)
        if values[::2] == values[1::2]:
            return Entries(values[::2], twice=True)
    return Entries(seen.numbers(name, count, what=what, mistakes=mistakes, hint=hint), twice=False)
