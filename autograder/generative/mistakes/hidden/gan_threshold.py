"""A mistake in `DCGAN.reconstruct` that shows in a search with a trained generator."""

from __future__ import annotations

from autograder.judging import Mistake

HANDOUT = 0.145  # the loss that an earlier version of the assignment asked for

STOPS_AT_HANDOUTS_BAR = Mistake(
    "search-stops-at-handouts-bar",
    "The search ends as soon as the loss is below 0.145, the threshold of an earlier version of the assignment.",
    hint="Take all 500 steps: flat grey reaches that threshold too.",
    questions=("2-4",),
    # One step lowers the loss there by 3 % or less.
    shows=lambda loss, calls: 0.9 * HANDOUT < loss < HANDOUT and calls < 500,
)
