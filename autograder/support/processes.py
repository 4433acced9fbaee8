"""How many processes share the work, and how each of them begins and ends with it."""

from __future__ import annotations

import atexit
import contextlib
import math
import os
import signal
import threading
from multiprocessing import parent_process
from multiprocessing.connection import wait
from pathlib import Path

# The environment of a judge that processes are forked from: it computes on the CPU, but where it sees a GPU, its first backward
# pass starts threads that its copies do not have, and their backward passes fail.
NO_GPU = {"CUDA_VISIBLE_DEVICES": ""}
CONTROL_GROUP = Path("/sys/fs/cgroup")  # in a container: its own


def default_jobs() -> int:
    """One for each core that this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, math.ceil(_share(CONTROL_GROUP) or cores)))


def _share(group: Path) -> float | None:
    """How many cores' time a container's limit allows (docker --cpus 1.5); None where there is no limit."""
    with contextlib.suppress(OSError, ValueError, ZeroDivisionError):  # the second version of control groups
        quota, period = (group / "cpu.max").read_text().split()
        return int(quota) / int(period)  # the quota may be "max"
    with contextlib.suppress(OSError, ValueError, ZeroDivisionError):  # the first
        quota, period = ((group / "cpu" / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        return int(quota) / int(period) if int(quota) > 0 else None
    return None


def begin_in_pool() -> None:
    """Prepares a process of a pool: it ends when its parent is gone (a killed parent cannot end it), and ignores Ctrl-C.

    Ctrl-C in a terminal reaches all processes; the parent ends its pool itself. Python's own cleanup is left out, since it takes
    most of a second once PyTorch is loaded: exit handlers that are registered after this call still run, earlier ones do not,
    and the exit status is 0.
    """
    atexit.register(os._exit, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    assert parent is not None

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
