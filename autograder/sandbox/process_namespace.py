"""What root's fork server enters at the level `process`, where the machine allows it. Loaded by file path, before torch.

A process namespace: code in it reaches no process of the machine, and cannot stop the namespace's first process, the fork
server. And a mount namespace in which other users can enter the folders of a Python that only root may enter, such as one
in root's home: each closed folder is replaced by an empty one that holds nothing but Python's own folders, read-only.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType


def enter(python: Sequence[str], namespaces: ModuleType, linux: ModuleType) -> None:
    """Continues as the first process of new namespaces; the calling process waits outside and ends when they do.

    python: the folders that Python needs. Raises OSError when this machine does not allow it; then nothing has changed.
    """
    own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    try:
        linux.unshare(linux.CLONE_NEWNS | linux.CLONE_NEWPID)
        trouble_read, trouble_write = os.pipe()
        inside = os.fork()
        if inside:
            os.close(trouble_write)
            try:
                namespaces.wait_outside(inside, trouble_read)
            except OSError:
                linux.setns(
                    own, linux.CLONE_NEWPID
                )  # the new namespace has ended, and takes no more children
                os.close(trouble_read)
                raise
    finally:
        os.close(own)
    os.close(trouble_read)
    linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
    try:
        linux.mount("none", "/", flags=linux.MS_REC | linux.MS_PRIVATE)
        namespaces.mount_proc("/proc", linux)
        if not os.path.exists("/proc/self/status"):
            raise OSError(0, "/proc cannot be mounted")
        _open_folders(python, linux)
    except OSError as error:
        os.write(trouble_write, (error.strerror or str(error)).encode()[:500])
        os._exit(1)
    os.close(trouble_write)
    os.chdir("/")


def _open_folders(python: Sequence[str], linux: ModuleType) -> None:
    """Makes folders of `python` that are inside a closed folder visible to every user, at the same path."""
    # Shortest first: a folder inside another one of them is visible with it.
    needed = [path for path in sorted(python, key=len) if closed_above(path) and os.path.isdir(path)]
    # Held open, because the empty folders cover them.
    held = {path: os.open(path, os.O_PATH | os.O_CLOEXEC) for path in needed}
    for folder in sorted({closed_above(path) for path in needed}):
        linux.mount("python", folder, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, "size=1m,mode=0755")
    for path, fd in held.items():
        if not os.path.isdir(path):
            os.makedirs(path, mode=0o755)
            linux.bind_read_only(f"/proc/self/fd/{fd}", path)
        os.close(fd)


def closed_above(path: str) -> str:
    """The outermost folder above `path` that users other than its owner and group may not enter; "" if there is none."""
    above = [str(folder) for folder in reversed(Path(path).parents)]
    return next((folder for folder in above if not os.stat(folder).st_mode & 0o001), "")
