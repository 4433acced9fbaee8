"""Chooses how sandboxed children are made: by fork from a fork server (Linux) or by spawn (everywhere), and at which level.

Torch is not imported here, so that a launcher can start its first process before the judge loads torch itself.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from autograder.sandbox.fork_launcher import ForkLauncher
from autograder.sandbox.levels import AS_ROOT, LEVELS, Isolation, Launcher, Limits, Unavailable
from autograder.sandbox.spawn_launcher import SpawnLauncher

__all__ = ["LEVELS", "Isolation", "Launcher", "Limits", "Unavailable", "launcher"]


def launcher(
    start: str | None = None,
    isolation: str | None = None,
    hidden: Sequence[Path] = (),
    gpu: bool = False,
    own_code: bool = False,
) -> Launcher:
    """The launcher for this machine.

    start: "fork" (Linux) or "spawn" (elsewhere), to force one; else AUTOGRADER_START.
    isolation: "full", "user" or "process" to insist on one level; else AUTOGRADER_ISOLATION; else the best available.
    hidden: folders that no child may see.
    own_code: whether the code is the caller's own, which may run as root where no other user can run Python.
    Raises ValueError for other values, and Unavailable (now, or at the first box) when the level is unavailable.
    """
    start = start or os.environ.get("AUTOGRADER_START") or ("fork" if sys.platform == "linux" else "spawn")
    isolation = isolation or os.environ.get("AUTOGRADER_ISOLATION") or "auto"
    if start not in ("fork", "spawn"):
        raise ValueError(f"AUTOGRADER_START is {start!r}; it can be fork or spawn")
    if isolation not in ("auto", *LEVELS):
        raise ValueError(f"the isolation {isolation!r} is not known; it can be auto, {', '.join(LEVELS)}")
    if start == "fork":
        return ForkLauncher(_levels(isolation), hidden, gpu, own_code)
    if isolation not in ("auto", "process"):
        raise Unavailable(f"isolation {isolation} needs Linux and fork; this machine only offers process")
    if hasattr(os, "geteuid") and os.geteuid() == 0 and not own_code:
        raise Unavailable(
            f"{AS_ROOT} (AUTOGRADER_START is spawn); unset AUTOGRADER_START, or grade as a user that is not root"
        )
    return SpawnLauncher()


def _levels(isolation: str) -> list[Isolation]:
    """The levels to try, best first."""
    wanted = [level for level in LEVELS if isolation in ("auto", level)]
    if os.geteuid() != 0 and isolation == "auto":
        wanted.remove("full")
    return wanted
