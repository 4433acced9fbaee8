"""How checks read the history that a training loop returns: one entry per iteration, or twice as many for a known reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from autograder.judging import Candidate, Mistake, Observation, fail

from ...mistakes.public import training as mistakes

PARTS = ("rec_loss", "kl_loss")  # in the order in which loops append them


@dataclass(frozen=True)
class Entries:
    """The entries of a history.

    once: one per iteration; doubled: why there were twice as many, if there were. others: those of the other loss, where one
    list holds both and it is not known which of them comes first.
    """

    once: list[float]
    doubled: Mistake | None = None
    others: list[float] | None = None

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
    lengths: Sequence[Candidate] = (),
    hint: str = "",
) -> Entries:
    """The entries of the list `name`, of which there must be `count`; or each of them twice, or those of both parts in turn.

    lengths: known mistakes and the numbers of entries that they give.
    """
    found = seen.get(name)
    if isinstance(found, list) and len(found) == 2 * count:
        values = seen.numbers(name, 2 * count, what=what)
        if values[::2] == values[1::2]:
            return Entries(values[::2], mistakes.HISTORY_TWICE)
        if holds_both(seen, name):
            first = PARTS.index(name)
            return Entries(values[first::2], mistakes.HISTORY_ONE_LIST, values[1 - first :: 2])
    return Entries(seen.numbers(name, count, what=what, mistakes=lengths, hint=hint))


def holds_both(history: Mapping[str, Any] | Observation, name: str) -> bool:
    """Whether the list `name` is that of the other part as well."""
    return name in PARTS and all(history.get(part) == history.get(name) for part in PARTS)


def wrong_lengths(seen: Observation, epochs: int, per_epoch: int) -> list[Candidate]:
    """Known mistakes that leave another number of entries, in a run of epochs * per_epoch steps."""
    steps = len(seen.parts("batches"))
    found = [mistakes.HISTORY_ONE_ENTRY_PER_EPOCH.giving(epochs)] if epochs > 1 else []
    if steps == 1:
        return [*found, mistakes.ONE_BATCH.giving(1)]
    if epochs > 2 and steps == (epochs - 1) * per_epoch:
        return [*found, mistakes.ONE_EPOCH_TOO_FEW.giving(steps)]
    if per_epoch > 1 and steps == epochs * (per_epoch - 1) and _all_as_long(seen):
        return [*found, mistakes.LAST_BATCH_LEFT_OUT.giving(steps)]
    one_epoch = mistakes.ONE_EPOCH if steps == per_epoch else mistakes.HISTORY_LAST_EPOCH
    return [*found, one_epoch.giving(per_epoch)]


def _all_as_long(seen: Observation) -> bool:
    """Whether all batches have the same length: the last one of an epoch, which is smaller, is not among them."""
    batches = [batch.get("x") for batch in seen.parts("batches")]
    return len({len(x) for x in batches if isinstance(x, Tensor) and x.dim()}) == 1
