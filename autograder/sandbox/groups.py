"""Children at the level `process`: a process group each, and limits. Loaded by file path in the zygote.

No wall: it keeps honest mistakes (loops, crashes, memory, daemons) from harming anybody else. Where the grader is root but may
not make namespaces (in most containers), children run as another user besides, without privilege, network or a way to
reach other processes: what only root may read or write is then out of their reach.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType

ORPHANS_SECONDS = 2.0
PUBLIC = ("/tmp", "/var/tmp", "/dev/shm")  # where anybody may leave files


class Groups:
    """Makes children of the zygote, and ends them with all that they started.

    users: the ids that children take turns under, so that one cannot reach the one beside it; none where they run under the
        zygote's own.
    """

    def __init__(
        self, jail: ModuleType, linux: ModuleType, syscalls: ModuleType, users: Sequence[int]
    ) -> None:
        self._jail, self._linux, self._syscalls = jail, linux, syscalls
        self._children: dict[int, int | None] = {}
        self._users, self._count = users, 0
        # What a child leaves running becomes this process's child, and is found there.
        with contextlib.suppress(OSError):
            linux.prctl(linux.PR_SET_CHILD_SUBREAPER, 1)

    def fork(self) -> int:
        self._count += 1
        pid = os.fork()
        if pid:
            self._children[pid] = self._user()
        return pid

    def _user(self) -> int | None:
        return self._users[self._count % len(self._users)] if self._users else None

    def end(self, child: int) -> None:
        """Ends the child's group, all that runs under its user, and every process that has come to the zygote as an orphan."""
        user = self._children.pop(child, None)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child, signal.SIGKILL)
        deadline = time.monotonic() + ORPHANS_SECONDS
        if user is not None:
            while any(_processes_of(user)) and time.monotonic() < deadline:
                self._end_user(user)
        while (orphans := self._orphans()) and time.monotonic() < deadline:
            for pid in orphans:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, 0)
        if user is not None:
            _sweep(user)

    def lock(self, limits: dict[str, int]) -> str:
        """In the child: limits, and another user where there is one. Returns the working folder."""
        jail, linux, user = self._jail, self._linux, self._user()
        with contextlib.suppress(OSError):
            linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
        folder = str(limits["folder"])
        os.chdir(folder)
        if user is None:
            jail.limit(limits)
            return folder
        os.chown(folder, user, user)
        jail.limit({**limits, "descriptors": jail.DESCRIPTORS, "processes": jail.PROCESSES})
        jail.give_up_privileges(user, linux)
        linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)  # forgotten with the change of user
        linux.prctl(linux.PR_SET_DUMPABLE, 0)  # its memory is nobody's to read, not even that user's
        self._syscalls.install()
        return folder

    def exceeds(self, child: int, memory: int) -> bool:
        """True when all processes of the child's user keep more than `memory` bytes; never where it has no user of its own."""
        user = self._children.get(child)
        if user is None:
            return False
        members = list(_processes_of(user))
        return self._jail.use(members, memory) > memory

    def _end_user(self, user: int) -> None:
        """Ends every process of a user: one of them can reach all the others, and no one else."""
        helper = os.fork()
        if helper == 0:
            with contextlib.suppress(BaseException):
                os.setresuid(user, user, user)
                os.kill(-1, signal.SIGKILL)
            os._exit(0)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(helper, 0)
        time.sleep(0.005)

    def _orphans(self) -> list[int]:
        own = os.getpid()
        listed = Path(f"/proc/self/task/{own}/children")
        try:
            return [int(pid) for pid in listed.read_text().split() if int(pid) not in self._children]
        except OSError:
            return []


def another_user(users: Sequence[int], needed: list[str], jail: ModuleType, linux: ModuleType) -> str:
    """Tries out whether a child can work as another user: read the files `needed`, and write into a folder of its own.

    Returns what keeps it from that, or "".
    """
    if os.geteuid() != 0:
        return "only root can change to another user"
    if len(users) < 2:  # nobody's processes and files are not ours alone to end and to remove
        return "there are too few user ids here"
    first = users[0]
    folder = tempfile.mkdtemp(prefix="box-")
    said, says = os.pipe()
    helper = os.fork()
    if helper == 0:
        trouble = "it could not be tried out"
        try:
            os.chown(folder, first, first)
            jail.give_up_privileges(first, linux)
            unreadable = [path for path in needed if not os.access(path, os.R_OK)]
            trouble = f"another user cannot read {unreadable[0]}" if unreadable else ""
            if not trouble:
                Path(folder, "file").write_text("")
        except OSError as error:
            trouble = f"another user cannot work here ({error.strerror})"
        finally:
            os.write(says, trouble.encode()[:500])
            os._exit(0)
    os.close(says)
    trouble = os.read(said, 500).decode("utf-8", "replace")
    os.close(said)
    os.waitpid(helper, 0)
    shutil.rmtree(folder, ignore_errors=True)
    return trouble


def _processes_of(user: int) -> Iterator[str]:
    """The processes of a user, those that have ended and wait to be told apart."""
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):
                lines = Path(f"/proc/{name}/status").read_text().splitlines()
                told = dict(line.split(":", 1) for line in lines if ":" in line)
                if int(told["Uid"].split()[0]) == user and told["State"].split()[0] not in ("Z", "X"):
                    yield name


def _sweep(user: int) -> None:
    """Removes what a user has left in the folders that are open to all."""
    for folder in PUBLIC:
        with contextlib.suppress(OSError):
            for entry in list(os.scandir(folder)):
                with contextlib.suppress(OSError):
                    if entry.stat(follow_symlinks=False).st_uid != user:
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        shutil.rmtree(entry.path, ignore_errors=True)
                    else:
                        os.unlink(entry.path)
