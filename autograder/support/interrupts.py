"""Keeps Ctrl-C from being lost.

Python raises KeyboardInterrupt at whatever line is running. In a callback of the garbage collector (Hypothesis has one) and
in a destructor the exception does not propagate: the program would continue as if Ctrl-C had not been pressed.
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
    """Remembers each Ctrl-C for `raise_if_came`, and raises it as usual; does nothing unless Python's own handler is installed."""
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
    """Raises KeyboardInterrupt if Ctrl-C was pressed inside `kept`, even if that exception was lost."""
    global _came
    if _came:
        _came = False
        raise KeyboardInterrupt


@contextlib.contextmanager
def ending_children() -> Iterator[None]:
    """When the block ends with an exception, such as Ctrl-C, ends the processes of a pool that was started inside it.

    Otherwise the pool would first finish all the work it was given. Enter the block before the pool gets its first work.
    """
    before = set(multiprocessing.active_children())
    try:
        yield
    except BaseException:
        for process in set(multiprocessing.active_children()) - before:
            process.terminate()
        raise
