"""Ctrl-C that is not lost.

Python raises KeyboardInterrupt wherever the program happens to be. In a callback of the garbage collector (Hypothesis has
one) and in a destructor it can go no further: the program would go on as if nothing had been asked of it.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import threading
from collections.abc import Iterator
from typing import Any

_came = False


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """Remembers a Ctrl-C besides raising it, for `raise_if_came`; does nothing where Ctrl-C is not Python's own to handle."""
    global _came
    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    _came = False
    signal.signal(signal.SIGINT, _remember)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _remember(number: int, frame: Any) -> None:
    global _came
    _came = True
    raise KeyboardInterrupt


def raise_if_came() -> None:
    """Raises the KeyboardInterrupt that came inside `kept`, lost or not."""
    global _came
    if _came:
        _came = False
        raise KeyboardInterrupt


@contextlib.contextmanager
def ending_children() -> Iterator[None]:
    """Ends the processes of a pool that is begun inside when something breaks off what runs here, as Ctrl-C does.

    A pool would go on with all that it was given first. To be entered before the pool gets its first work.
    """
    before = set(multiprocessing.active_children())
    try:
        yield
    except BaseException:
        for process in set(multiprocessing.active_children()) - before:
            process.terminate()
        raise
