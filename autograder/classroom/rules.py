"""The settings and adjustments of a run: as given now, or as its folder keeps them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from autograder.classroom import adjustments, settings
from autograder.classroom.entries import Entry
from autograder.classroom.policy import Policy, unclear
from autograder.model.assignment import Assignment


@dataclass(frozen=True)
class Rules:
    """What decides a class's points besides verdicts and marks."""

    settings: settings.Chosen
    adjustments: adjustments.Chosen

    def keep(self, out: Path) -> None:
        """Keeps them in the folder of the run. Raises OSError."""
        self.settings.keep(out)
        self.adjustments.keep(out)

    def policy(self, entries: Sequence[Entry]) -> tuple[Policy, list[str]]:
        """The policy for these rows, and one line for everything that needs a look."""
        matched, unmatched = adjustments.match(self.adjustments.rows, entries)
        made = Policy(self.settings.settings, matched)
        return made, [*self.settings.remarks, *self.adjustments.remarks, *unmatched, *unclear(made, entries)]


def of_run(out: Path, subject: Assignment, given: Path | None = None, adjusted: Path | None = None) -> Rules:
    """The rules of a run in `out`. given, adjusted: the files given now, None for those of earlier runs. Raises ClassroomError."""
    return Rules(settings.of_run(out, given, subject), adjustments.of_run(out, adjusted, subject.rubric))
