"""How many processes share the work, and how each of them begins and ends with it."""

from __future__ import annotations

import os
import signal
import threading
from multiprocessing import parent_process
from multiprocessing.connection import wait


def default_jobs() -> int:
    """One for each core that this process may use."""
    return max(1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def begin_in_pool() -> None:
    """Prepares a process of a pool: it ends when its parent is gone (a killed parent cannot end it), and ignores Ctrl-C.

    Ctrl-C in a terminal reaches all processes; the parent ends its pool itself.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    assert parent is not None

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
