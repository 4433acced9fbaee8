"""Children at the level `process`: a process group each, and limits. Loaded by file path in the zygote.

No wall: it keeps honest mistakes (loops, crashes, memory, daemons) from harming anybody else. It stops no ill will.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path
from types import ModuleType

ORPHANS_SECONDS = 2.0


class Groups:
    """Makes children of the zygote, and ends them with all that they started."""

    def __init__(self, jail: ModuleType, linux: ModuleType) -> None:
        self._jail, self._linux = jail, linux
        self._children: set[int] = set()
        # What a child leaves running becomes this process's child, and is found there.
        with contextlib.suppress(OSError):
            linux.prctl(linux.PR_SET_CHILD_SUBREAPER, 1)

    def fork(self) -> int:
        pid = os.fork()
        if pid:
            self._children.add(pid)
        return pid

    def end(self, child: int) -> None:
        """Ends the child's group, and every process that has come to the zygote as an orphan."""
        self._children.discard(child)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child, signal.SIGKILL)
        deadline = time.monotonic() + ORPHANS_SECONDS
        while (orphans := self._orphans()) and time.monotonic() < deadline:
            for pid in orphans:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, 0)

    def lock(self, limits: dict[str, int]) -> str:
        """In the child: limits. Returns the working folder."""
        with contextlib.suppress(OSError):
            self._linux.prctl(self._linux.PR_SET_PDEATHSIG, signal.SIGKILL)
        folder = str(limits["folder"])
        os.chdir(folder)
        self._jail.limit(limits)
        return folder

    def exceeds(self, child: int, memory: int) -> bool:
        """Never: at this level each process is limited, not all of them together."""
        return False

    def _orphans(self) -> list[int]:
        own = os.getpid()
        listed = Path(f"/proc/self/task/{own}/children")
        try:
            return [int(pid) for pid in listed.read_text().split() if int(pid) not in self._children]
        except OSError:
            return []
