"""What judging one answer may cost this process: its own computing time and memory, and the size of what it is handed.

Waiting for the sandbox is free; `sandboxed` limits that. Checks bound what single calls of PyTorch work on: no limit of time
can interrupt one of these.
"""

from __future__ import annotations

import contextlib
import ctypes
import re
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor

from autograder.grading import raised

CHECK_SECONDS = 10.0  # for one check, in one mode; right answers need less than one second
QUESTION_SECONDS = 60.0  # for all checks of a question
MEMORY = 1 << 30  # bytes beyond what this process has when a check begins
# Right answers hold at most 5.4 million numbers in tensors, and 300 other values.
MOST_NUMBERS = 16_000_000
MOST_VALUES = 100_000
POLL = 0.1  # seconds

_OUT_OF_MEMORY = re.compile(r"can't allocate memory|not enough memory|Cannot allocate memory")


class _TooSlow(BaseException):
    """Raised in the thread that judges; no exception of a check, so that no check catches it."""


@contextmanager
def bounded(seconds: float, memory: int = MEMORY) -> Iterator[None]:
    """Runs a check. Raises NoAnswer once this process has computed for `seconds`, or asks for more than `memory` bytes.

    Memory is limited on Linux alone.
    """
    watch = _Watch(seconds)
    with _memory_limit(memory):
        watch.start()
        try:
            try:
                yield
            finally:
                watch.stop()
        except _TooSlow:
            pass
        except (MemoryError, RuntimeError) as error:
            if isinstance(error, MemoryError) or _OUT_OF_MEMORY.search(str(error)[:1000]):
                raise raised.too_large_to_judge() from None
            raise
        finally:
            watch.stop()  # again, where the exception came while it was stopped
    if watch.fired:
        raise raised.too_slow_to_judge()


class _Watch(threading.Thread):
    """Interrupts the thread that made it, again and again, once this process has computed for `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(daemon=True)
        self.fired = False
        self._judge, self._until = threading.get_ident(), time.process_time() + seconds
        self._done = threading.Event()

    def run(self) -> None:
        while not self._done.wait(POLL):
            if time.process_time() >= self._until:
                self.fired = True
                _raise_in(self._judge, _TooSlow)

    def stop(self) -> None:
        self._done.set()
        self.join()
        if self.fired:
            _drain()


def _raise_in(thread: int, error: type[BaseException]) -> None:
    """Raises an exception in another thread, at its next step in Python."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(error))


def _drain() -> None:
    """Takes the exception that this thread may still be about to get.

    It is replaced by one that is caught here. Taking it back, which Python allows, leaves the interpreter looking for it: in a
    thread that is traced, by a debugger for instance, without end.
    """
    with contextlib.suppress(_TooSlow):
        _raise_in(threading.get_ident(), _TooSlow)
        while True:
            pass


@contextmanager
def _memory_limit(more: int) -> Iterator[None]:
    if sys.platform != "linux":
        yield
        return
    import resource

    status = Path("/proc/self/status").read_text(encoding="utf-8")
    used = 1024 * int(status.partition("VmData:")[2].split()[0])
    before, most = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = used + more if most == resource.RLIM_INFINITY else min(used + more, most)
    resource.setrlimit(resource.RLIMIT_DATA, (wanted, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (before, most))


@contextmanager
def unlimited_memory() -> Iterator[None]:
    """Lifts the limit while a sandbox is started, which would inherit it, and while a bounded answer is read."""
    if sys.platform != "linux":
        yield
        return
    import resource

    before, most = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (before, most))


def require_moderate(tree: Any) -> None:
    """Raises NoAnswer for an answer with more numbers or values than any check asks for."""
    numbers = values = 0
    left = [tree]
    while left:
        value = left.pop()
        values += 1
        if isinstance(value, Tensor):
            numbers += value.numel()
        elif isinstance(value, dict):
            left += value.values()
        elif isinstance(value, list):
            left += value
        if numbers > MOST_NUMBERS or values + len(left) > MOST_VALUES:
            raise raised.too_large_to_judge()
