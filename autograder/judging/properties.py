"""Checks over many inputs: hypothesis looks for a case that fails, and the smallest one that it finds is reported.

Not imported by the package itself: hypothesis takes a while to import, and public checks work without it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import hypothesis
from hypothesis.errors import HypothesisException
from hypothesis.strategies import SearchStrategy

from autograder.judging.draw import Draw
from autograder.judging.outcome import Fault, NoAnswer

EXAMPLES = 10
SHRINKS = 60  # calls after the first failure, in search of a smaller one
SHRINK_SECONDS = 3.0


class _Enough(BaseException):
    """Ends a search from inside. Not an Exception, since hypothesis treats those as failing cases."""


def for_all(
    draw: Draw, body: Callable[..., None], /, *, examples: int = EXAMPLES, **strategies: SearchStrategy[Any]
) -> None:
    """Calls `body(**values)` with values of the strategies; raises the Fault or NoAnswer of the smallest case that fails.

    The same draw gives the same cases, whatever the process did before. A smaller case counts as the same failure when
    it shows the same mistake, so a recognised mistake stays named. Student code may be random: a failure that does not
    happen again is still reported. A timeout, a crash or a missing name ends the search at once.
    """
    search = _Search(body)
    settings = hypothesis.settings(
        database=None,
        deadline=None,
        derandomize=False,
        max_examples=examples,
        phases=[hypothesis.Phase.generate, hypothesis.Phase.shrink],
        print_blob=False,
        report_multiple_bugs=False,
        suppress_health_check=list(hypothesis.HealthCheck),
        verbosity=hypothesis.Verbosity.quiet,
    )
    test = hypothesis.seed(draw.integer(0, 1 << 60))(settings(hypothesis.given(**strategies)(search.attempt)))
    try:
        with _no_constants_of_modules():
            test()
    except (Exception, _Enough):
        # hypothesis raises its own error for a case that fails once and not again.
        if search.bug is None and search.failure is None:
            raise
    if search.bug is not None:
        raise search.bug
    if search.failure is not None:
        raise search.failure


class _Search:
    """Runs cases for hypothesis and keeps the last failure: the smallest, since only smaller cases follow a failure."""

    def __init__(self, body: Callable[..., None]) -> None:
        self._body = body
        self._calls_left, self._end = SHRINKS, 0.0
        self.failure: Fault | NoAnswer | None = None
        self.bug: Exception | None = None

    def attempt(self, **values: Any) -> None:
        if self.failure is not None:
            self._calls_left -= 1
            if self._calls_left < 0 or time.monotonic() > self._end:
                raise _Enough
        try:
            self._body(**values)
        except (Fault, NoAnswer) as failure:
            self._note(failure)
        except HypothesisException:
            raise
        except Exception as bug:  # a bug in the check, not a failing case
            self.bug = bug
            raise _Enough from None

    def _note(self, failure: Fault | NoAnswer) -> None:
        before = self.failure
        if before is None:
            self._end = time.monotonic() + SHRINK_SECONDS
        elif before.mistake not in (None, failure.mistake):
            return
        self.failure = failure
        if isinstance(failure, NoAnswer) and failure.status != "failed":
            raise _Enough from None
        raise failure


@contextmanager
def _no_constants_of_modules() -> Iterator[None]:
    """Keeps hypothesis from trying numbers that it finds in the source of loaded modules: which are loaded varies."""
    name = "_get_local_constants"
    try:
        from hypothesis.internal.conjecture import providers

        own = getattr(providers, name)
    except (ImportError, AttributeError):  # versions without it
        yield
        return
    nothing = vars(providers)["Constants"]()
    setattr(providers, name, lambda: nothing)
    try:
        yield
    finally:
        setattr(providers, name, own)
