"""Children forked from one fork server (Linux)."""

from __future__ import annotations

import array
import contextlib
import copy
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from autograder.sandbox.environment import (
    SANDBOX,
    clean_environment,
    import_paths,
    new_folder,
    python_prefixes,
)
from autograder.sandbox.levels import AS_ROOT, AS_ROOT_FIX, Isolation, Limits, Unavailable

if TYPE_CHECKING:
    from autograder.sandbox.box import Box

# User ids that no account has, from which each fork server's children get their own; the second range is for containers
# that have only 65,536 ids.
FIRST_USER, USERS = 210_000, 50_000
FEW_FIRST, FEW_USERS = 20_000, 5_000
# Ids of a fork server: those that its children use in turn at `process`, and the one of who ends them. Each judge that shares
# it may have two children at a time.
TURNS = 9
NOBODY = 65_534


class _NoFork(Unavailable):
    """The fork server does not answer."""


class ForkLauncher:
    """Forks children from one fork server (see fork_server.py), started at once, so that torch loads while the judge gets ready."""

    def __init__(
        self, levels: Sequence[Isolation], hidden: Sequence[Path], gpu: bool, own_code: bool
    ) -> None:
        self._own_code = own_code
        self._levels = list(levels)
        self._hidden = sorted({str(path.resolve()) for path in (SANDBOX.parent, Path.cwd(), *hidden)})
        self._gpu = gpu
        self._exited: dict[int, int] = {}
        self._pids: deque[int] = deque()  # of children that were ordered, as the fork server announced them
        self._spare: _Ordered | None = None
        self.unable: list[str] = []
        self.same_user = False
        self._ready = False
        self._generation = 0
        self._joined = False
        self._start()

    @property
    def isolation(self) -> Isolation:
        self._wait_until_ready()
        return self._levels[0]

    def join(self) -> ForkLauncher:
        """A launcher with the same fork server, for a process that is forked from this one."""
        self._wait_until_ready()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self._send({"join": True}, [theirs.fileno()])
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        other = copy.copy(self)
        other._control, other._joined = ours, True
        other._exited, other._pids, other._spare = {}, deque(), None
        return other

    def _start(self) -> None:
        self._generation += 1
        self._ready = False
        self._exited, self._pids = {}, deque()
        self._drop_spare()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control = ours
        libraries = [p for p in os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep) if p.startswith("/")]
        settings = {
            "paths": import_paths(),
            "level": self._levels[0],
            "shown": [*python_prefixes(), *libraries],
            "hidden": self._hidden,
            "users": self._users(),
            "gpu": self._gpu,
            "scratch": tempfile.gettempdir(),
        }
        self._process = subprocess.Popen(
            [sys.executable, "-I", str(SANDBOX / "fork_server.py"), str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env=clean_environment(tempfile.gettempdir()),
            start_new_session=True,
        )
        theirs.close()
        with contextlib.suppress(OSError):  # it has ended at once, which `_wait_until_ready` reports
            self._control.send(json.dumps(settings).encode())

    @staticmethod
    def _users() -> list[int]:
        """Ids that no account and no other fork_server of this machine has; `nobody` alone where such ids do not exist."""
        # Random: containers on one kernel share the process count of each id, and have the same process numbers.
        drawn = int.from_bytes(os.urandom(4), "little")
        with contextlib.suppress(OSError, ValueError):
            lines = Path("/proc/self/uid_map").read_text().splitlines()
            mapped = [(int(line.split()[0]), int(line.split()[2])) for line in lines]
            for first, apart in ((FIRST_USER, USERS), (FEW_FIRST, FEW_USERS)):
                wanted = [first + drawn % apart + turn * apart for turn in range(TURNS)]
                if all(any(i <= user < i + count for i, count in mapped) for user in wanted):
                    return wanted
        return [NOBODY]

    def _wait_until_ready(self) -> None:
        lost = False
        while not self._ready:
            if not self._levels:
                raise Unavailable(f"this isolation is unavailable on this machine ({'; '.join(self.unable)})")
            try:
                message = self._receive(("ready", "unable"), 120.0)
            except _NoFork:  # it has ended while it loaded torch (out of memory, for instance): try a new one
                self._shut()
                if lost:
                    raise
                lost = True
                self._start()
                continue
            if "ready" in message:
                if reason := message.get("same user"):
                    if os.geteuid() == 0 and not self._own_code:
                        self._shut()
                        raise Unavailable(f"{AS_ROOT} ({reason}); {AS_ROOT_FIX}")
                    self.same_user = True
                    self.unable.append(f"process, as another user: {reason}")
                self._ready = True
                return
            self.unable.append(f"{self._levels.pop(0)}: {message['unable']}")
            self._shut()
            if self._levels:
                self._start()

    def box(self, limits: Limits) -> Box:
        self._wait_until_ready()
        try:
            ordered, pid = self._child(limits)
        except (OSError, _NoFork):  # the fork server is gone (out of memory, for instance): try a new one
            self._shut()
            self._start()
            self._wait_until_ready()
            ordered, pid = self._child(limits)
        from autograder.sandbox.box import Box

        return Box(_Forked(self, pid, self._generation), ordered.folder, *ordered.ends)

    def _child(self, limits: Limits) -> tuple[_Ordered, int]:
        """A fresh child; at the levels that isolate children from each other, the next one is ordered ahead.

        At `process` none is ordered ahead: code of one submission could reach the child of the next.
        """
        if self._spare is not None and self._spare.limits != limits:
            self.kill(self._pid(), self._generation)
            self._drop_spare()
        ordered, self._spare = self._spare or self._order(limits), None
        try:
            pid = self._pid()
            while self._message(0.0) is not None:  # notices of children that have ended
                pass
            if pid in self._exited:  # the spare child was ended, by the kernel for instance
                again = self._order(limits)
                ordered.drop()
                ordered = again
                pid = self._pid()
            if self.isolation != "process":
                self._spare = self._order(limits)
        except (OSError, RuntimeError):
            ordered.drop()
            raise
        return ordered, pid

    def _order(self, limits: Limits) -> _Ordered:
        """Asks the fork server for a child; `_pid` reads its answer."""
        # At the other levels the child's folder is in memory and only the child sees it.
        folder = new_folder() if self.isolation == "process" else None
        requests_read, requests_write = os.pipe()
        answers_read, answers_write = os.pipe()
        prints_read, prints_write = os.pipe()
        theirs = (requests_read, answers_write, prints_write)
        ordered = _Ordered(limits, folder, (requests_write, answers_read, prints_read))
        order = {"memory": limits.memory, "file_size": limits.file_size, "folder": str(folder)}
        try:
            self._send({"fork": order}, theirs)
        except OSError:
            ordered.drop()
            raise
        finally:
            for fd in theirs:
                os.close(fd)
        return ordered

    def _pid(self) -> int:
        """The process id of the first child that was ordered and not collected yet."""
        if not self._pids:
            self._receive(("pid",), 30.0)
        return self._pids.popleft()

    def _drop_spare(self) -> None:
        if self._spare is not None:
            self._spare.drop()
            self._spare = None

    def close(self) -> None:
        self._shut()

    def _shut(self) -> None:
        self._drop_spare()
        self._control.close()
        if self._joined:  # the fork server is another's; if it is lost, this launcher starts its own
            self._joined = False
            return
        try:
            self._process.wait(5.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def kill(self, pid: int, generation: int) -> None:
        """Asks the fork server to end a child and everything it started: only the fork server knows which process has this id."""
        if (
            generation != self._generation
        ):  # it ended with its fork server, and the id may belong to another process now
            return
        with contextlib.suppress(OSError):
            self._send({"kill": pid})

    def _send(self, order: dict[str, object], descriptors: Sequence[int] = ()) -> None:
        passed = (
            [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
        )
        self._control.settimeout(30.0)
        self._control.sendmsg([json.dumps(order).encode()], passed)

    def _receive(self, keys: Sequence[str], seconds: float) -> dict[str, object]:
        """The next message with one of `keys`. What others say, of children that began or ended, is kept."""
        deadline = time.monotonic() + seconds
        while True:
            message = self._message(deadline - time.monotonic())
            if message is None:
                raise _NoFork("the sandbox's fork server does not answer; is torch installed and importable?")
            if any(key in message for key in keys):
                return message

    def _message(self, seconds: float) -> dict[str, object] | None:
        try:
            self._control.settimeout(max(0.001, seconds))
            data = self._control.recv(1 << 16)
        except (TimeoutError, OSError):  # closed, too
            return None
        if not data:
            return None
        message: dict[str, object] = json.loads(data)
        if "exited" in message:
            self._exited[int(str(message["exited"]))] = int(str(message["status"]))
        if "pid" in message:
            pid = int(str(message["pid"]))
            self._exited.pop(pid, None)  # of an earlier child: numbers of processes are used again
            self._pids.append(pid)
        return message

    def status_of(self, pid: int, generation: int, seconds: float) -> int | None:
        """The exit status of a child that ended with everything it started; None when it has not ended in time."""
        if generation != self._generation:
            return None
        deadline = time.monotonic() + seconds
        while pid not in self._exited and (left := deadline - time.monotonic()) > 0:
            if self._message(left) is None:
                break
        status = self._exited.get(pid)
        return None if status is None else os.waitstatus_to_exitcode(status)

    def lost(self, generation: int) -> bool:
        """Whether the fork server of that generation has ended."""
        if generation != self._generation:
            return True
        try:
            return not self._control.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True


@dataclass(frozen=True)
class _Ordered:
    """A child that was ordered from the fork server: its limits, its folder, and our ends of its pipes."""

    limits: Limits
    folder: Path | None
    ends: tuple[int, int, int]

    def drop(self) -> None:
        """Releases a child that has not become a box."""
        for fd in self.ends:
            os.close(fd)
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


class _Forked:
    def __init__(self, owner: ForkLauncher, pid: int, generation: int) -> None:
        self._owner, self._pid, self._generation = owner, pid, generation
        self._status: int | None = None

    def kill(self) -> None:
        if self.wait(0.0) is None:
            self._owner.kill(self._pid, self._generation)

    def wait(self, seconds: float) -> int | None:
        if self._status is None:
            self._status = self._owner.status_of(self._pid, self._generation, seconds)
        return self._status

    def lost(self) -> bool:
        return self._owner.lost(self._generation)
