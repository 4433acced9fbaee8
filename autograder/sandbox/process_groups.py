"""Children at the level `process`: a process group each, and limits. Loaded by file path in the fork server.

Every child gives up its capabilities and passes the system call filter. Where the grader is root, children also run as
another user, so they cannot reach what only root may read or write. Elsewhere this does not stop hostile code; it keeps
honest mistakes (loops, crashes, memory, daemons) from harming others.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType

ORPHANS_SECONDS = 2.0
# Folders that every user may write to.
PUBLIC = ("/tmp", "/var/tmp", "/dev/shm", "/dev/mqueue", "/run/lock")


class ProcessGroups:
    """Makes children of the fork server, and ends them with everything they started.

    users: the ids that children use in turn, so that one cannot reach the next, and last the id of the helper that ends
        them; empty where children run under the fork server's own.
    """

    def __init__(
        self,
        privileges: ModuleType,
        linux: ModuleType,
        syscalls: ModuleType,
        removal: ModuleType,
        users: Sequence[int],
        gpu: bool = False,
    ) -> None:
        self._removal = removal
        self._privileges, self._linux, self._syscalls, self._gpu = privileges, linux, syscalls, gpu
        self._children: dict[int, int | None] = {}
        self._users, self._guardian = list(users[:-1]), users[-1] if users else -1
        self._user: int | None = None  # of the newest child
        # What a child leaves running becomes this process's child and can be found there.
        with contextlib.suppress(OSError):
            linux.prctl(linux.PR_SET_CHILD_SUBREAPER, 1)

    def fork(self) -> int:
        self._user = self._next_user()
        pid = os.fork()
        if pid:
            self._children[pid] = self._user
        return pid

    def _next_user(self) -> int | None:
        """The id that has been unused for longest; None where children have no user of their own."""
        if not self._users:
            return None
        taken = self._children.values()
        user = next((user for user in self._users if user not in taken), None)
        if user is None:
            raise RuntimeError("more children are alive than there are user ids")
        self._users.remove(user)
        self._users.append(user)
        return user

    def end(self, child: int) -> None:
        """Ends the child's group, every process of its user, and every orphan that the fork server inherited."""
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
            _sweep(user, self._removal.remove)

    def lock(self, limits: dict[str, int]) -> str:
        """In the child: sets limits, and changes to another user if there is one. Returns the working folder."""
        privileges, linux, user = self._privileges, self._linux, self._user
        with contextlib.suppress(OSError):
            linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
        folder = str(limits["folder"])
        os.chdir(folder)
        limits = {**limits, "gpu": self._gpu}
        if user is None:
            privileges.limit(limits)
            privileges.give_up_privileges(None, linux)
            self._syscalls.install()
            return folder
        os.chown(folder, user, user)
        privileges.limit({**limits, "descriptors": privileges.DESCRIPTORS, "processes": privileges.PROCESSES})
        privileges.give_up_privileges(user, linux)
        linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)  # changing the user clears it
        linux.prctl(linux.PR_SET_DUMPABLE, 0)  # no process may read its memory, not even one of that user
        self._syscalls.install()
        return folder

    def exceeds(self, child: int, memory: int) -> bool:
        """True when all processes of the child's user use more than `memory` bytes; False where it has no user of its own."""
        user = self._children.get(child)
        if user is None:
            return False
        members = list(_processes_of(user))
        return self._privileges.use(members, memory) > memory

    def _end_user(self, user: int) -> None:
        """Ends every process of a user."""
        helper = os.fork()
        if helper == 0:
            with contextlib.suppress(BaseException):
                become_guardian(user, self._guardian, self._linux)
                os.kill(-1, signal.SIGKILL)
            os._exit(0)
        # Its targets cannot stop it, but they may share a processor with it.
        deadline = time.monotonic() + ORPHANS_SECONDS
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(helper, os.WNOHANG)[0] == 0:
                if time.monotonic() > deadline:
                    os.kill(helper, signal.SIGKILL)
                time.sleep(0.001)
        time.sleep(0.005)

    def _orphans(self) -> list[int]:
        own = os.getpid()
        listed = Path(f"/proc/self/task/{own}/children")
        try:
            return [int(pid) for pid in listed.read_text().split() if int(pid) not in self._children]
        except OSError:
            return []


def become_guardian(user: int, guardian: int, linux: ModuleType) -> None:
    """Becomes a process that can signal all processes of `user` and no other, and that they cannot signal or stop.

    guardian: an id that no other process has.
    """
    # The kernel compares the sender's effective and real ids with the real and saved ids of the other process.
    os.setresuid(guardian, user, guardian)
    linux.drop_capabilities()  # with them, a signal to all would reach every process of the machine


def another_user(
    users: Sequence[int], needed: list[str], scratch: str, privileges: ModuleType, linux: ModuleType
) -> str:
    """Tests whether a child can work as another user: read the files `needed`, and write into its own folder,
    made in `scratch`.

    Returns what prevents that, or "".
    """
    if os.geteuid() != 0:
        return "only root can change to another user"
    if len(users) < 2:  # `nobody` may own processes and files of others, which must not be ended or removed
        return "there are too few user ids here"
    first = users[0]
    try:
        folder = tempfile.mkdtemp(prefix="box-", dir=scratch)
    except OSError as error:
        return f"another user cannot work in {scratch} ({error.strerror})"
    read_end, write_end = os.pipe()
    helper = os.fork()
    if helper == 0:
        trouble = "the attempt failed"
        try:
            os.chown(folder, first, first)
            privileges.give_up_privileges(first, linux)
            unreadable = [path for path in needed if not os.access(path, os.R_OK)]
            trouble = f"another user cannot read {unreadable[0]}" if unreadable else ""
            if not trouble:
                trouble = f"another user cannot work in {scratch}"
                Path(folder, "file").write_text("")
                trouble = ""
        except OSError as error:
            trouble += f" ({error.strerror})"
        finally:
            os.write(write_end, trouble.encode()[:500])
            os._exit(0)
    os.close(write_end)
    trouble = os.read(read_end, 500).decode("utf-8", "replace")
    os.close(read_end)
    os.waitpid(helper, 0)
    shutil.rmtree(folder, ignore_errors=True)
    return trouble


def _processes_of(user: int) -> Iterator[str]:
    """The running processes of a user."""
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):
                lines = Path(f"/proc/{name}/status").read_text().splitlines()
                fields = dict(line.split(":", 1) for line in lines if ":" in line)
                if int(fields["Uid"].split()[0]) == user and fields["State"].split()[0] not in ("Z", "X"):
                    yield name


def _sweep(user: int, remove: Callable[[str], None]) -> None:
    """Removes the files of a user from the folders that every user may write to."""
    for folder in PUBLIC:
        with contextlib.suppress(OSError):
            for entry in list(os.scandir(folder)):
                with contextlib.suppress(OSError):
                    if entry.stat(follow_symlinks=False).st_uid != user:
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        remove(entry.path)
                    else:
                        os.unlink(entry.path)
