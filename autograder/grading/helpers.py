"""Several judges for one submission: processes forked from this one, which take its questions in turn with it (Linux)."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection

from autograder.model.verdicts import Verdict
from autograder.support.processes import begin_in_pool

MOST = 256  # questions that processes can share: each is one byte in a pipe


@dataclass(frozen=True)
class Found:
    """What a helper found out about one question: verdicts by check, and what the code printed."""

    verdicts: Mapping[str, Verdict]
    printed: Mapping[str, str]


class Turns:
    """The ids of questions. Each is taken by one of the processes that iterate, the last ones first: they are the longest."""

    def __init__(self, ids: Sequence[str]) -> None:
        self._ids = list(reversed(ids))
        self._left, end = os.pipe()
        os.write(end, bytes(range(len(ids))))
        os.close(end)

    def __iter__(self) -> Iterator[str]:
        while taken := os.read(self._left, 1):
            yield self._ids[taken[0]]

    def close(self) -> None:
        os.close(self._left)


class Helper:
    """A copy of this process that does `work`, which passes on what it finds, and ends."""

    def __init__(self, work: Callable[[Callable[[Found], None]], None]) -> None:
        context = get_context("fork")
        self._receiver, sender = context.Pipe(duplex=False)
        self._process = context.Process(target=_run, args=(work, sender), daemon=True)
        self._process.start()
        sender.close()

    def found(self, all_of_it: bool = False) -> Iterator[Found]:
        """What it has passed on since the last call; `all_of_it`: until it has ended."""
        try:
            while all_of_it or self._receiver.poll():
                yield self._receiver.recv()
        except (
            EOFError,
            OSError,
            pickle.UnpicklingError,
        ):  # it has ended, perhaps in the middle of a message
            pass

    def end(self) -> None:
        self._process.kill()
        self._process.join()
        self._receiver.close()


def _run(work: Callable[[Callable[[Found], None]], None], sender: Connection) -> None:
    # Never returns: what this process inherited, such as a progress bar, is not its own to end.
    try:
        begin_in_pool()
        work(sender.send)
    finally:
        os._exit(0)
