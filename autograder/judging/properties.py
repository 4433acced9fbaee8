"""Checks over many inputs: hypothesis looks for a case that fails, and the smallest one it finds is reported.

Apart from the package's own imports, since hypothesis takes a while to import and public checks do without it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import hypothesis
from hypothesis.errors import HypothesisException
from hypothesis.strategies import SearchStrategy

from autograder.examinee import NoAnswer
from autograder.judging.draw import Draw
from autograder.judging.observation import Fault

EXAMPLES = 10
SHRINKS = 60  # calls after the first failure, in search of a smaller one
SHRINK_SECONDS = 3.0


class _Enough(BaseException):
    """Ends a search from inside. No Exception, since hypothesis takes those for failures of the case."""


def for_all(
    draw: Draw, body: Callable[..., None], /, *, examples: int = EXAMPLES, **strategies: SearchStrategy[Any]
) -> None:
    """Calls `body(**values)` with values of the strategies; raises the Fault or NoAnswer of the smallest case that fails.

    The same draw gives the same cases, whatever else the process has done. A smaller case counts as the same failure when
    its diagnosis is the same, so that a mistake that has been recognised stays named. Student code may be random: a failure
    that does not come again is still reported. A timeout, a crash or a missing name ends the search at once.
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
        # hypothesis complains in its own words of a case that fails at one time and not at another.
        if search.bug is None and search.failure is None:
            raise
    if search.bug is not None:
        raise search.bug
    if search.failure is not None:
        raise search.failure


class _Search:
    """Runs cases for hypothesis and keeps the last failure, which is the smallest: it only tries smaller ones after one."""

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
        except Exception as bug:  # of the check; it must not pass for a failing case
            self.bug = bug
            raise _Enough from None

    def _note(self, failure: Fault | NoAnswer) -> None:
        before = self.failure
        if before is None:
            self._end = time.monotonic() + SHRINK_SECONDS
        elif before.diagnosis not in (None, failure.diagnosis):
            return
        self.failure = failure
        if isinstance(failure, NoAnswer) and failure.status != "failed":
            raise _Enough from None
        raise failure


@contextmanager
def _no_constants_of_modules() -> Iterator[None]:
    """Keeps hypothesis from trying numbers that it reads in the source of loaded modules: which are loaded varies."""
    name = "_get_local_constants"
    try:
        from hypothesis.internal.conjecture import providers

        own = getattr(providers, name)
    except (ImportError, AttributeError):  # versions that have no such thing
        yield
        return
    nothing = vars(providers)["Constants"]()
    setattr(providers, name, lambda: nothing)
    try:
        yield
    finally:
        setattr(providers, name, own)
