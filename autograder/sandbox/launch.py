"""Launchers: how sandboxed children are made, by fork from a zygote (Linux) or by spawn (everywhere), at which level.

Torch is not imported here, so that a launcher can start its first process before the judge loads torch itself.
"""

from __future__ import annotations

import array
import contextlib
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, get_args

if TYPE_CHECKING:
    from autograder.sandbox.box import Box

HERE = Path(__file__).parent
NEEDED = ("torch", "torchvision", "numpy", "safetensors")  # what children import, wherever it is installed
# Ids that no account has, from which each zygote's children get their own; the second where a container has but 65,536 of them.
FIRST_USER, USERS = 210_000, 50_000
FEW_FIRST, FEW_USERS = 20_000, 10_000
TURNS = 4  # ids that a zygote's children take turns under at `process`
NOBODY = 65_534

Isolation = Literal["full", "user", "process"]
LEVELS: tuple[Isolation, ...] = get_args(Isolation)


class Unavailable(RuntimeError):
    """The isolation that was asked for is not to be had here; the text says why."""


@dataclass(frozen=True)
class Limits:
    """What one child may use, beyond what torch has mapped already."""

    memory: int = (
        4 << 30
    )  # bytes of address space; at `full` and `user` also of memory, all its processes together
    file_size: int = 64 << 20  # bytes in one file


class Launcher(Protocol):
    """Makes boxes; close it at the end."""

    @property
    def isolation(self) -> Isolation:
        """The level under which its children run. Known once the first one is needed."""
        ...

    @property
    def unable(self) -> Sequence[str]:
        """Why better levels are not to be had, a line each."""
        ...

    @property
    def same_user(self) -> bool:
        """Whether children run under the judge's own account. Known with the level."""
        ...

    def box(self, limits: Limits) -> Box:
        """A fresh child in a fresh, empty folder."""
        ...

    def close(self) -> None: ...


def launcher(
    start: str | None = None,
    isolation: str | None = None,
    hidden: Sequence[Path] = (),
    gpu: bool = False,
) -> Launcher:
    """The launcher for this machine.

    start: "fork" (Linux) or "spawn" (elsewhere), to force one; else AUTOGRADER_START.
    isolation: "full", "user" or "process", when nothing less or else will do; else AUTOGRADER_ISOLATION; else the best there is.
    hidden: folders that no child may see, wherever they lie.
    Raises ValueError for other words, and Unavailable (then, or at the first box) where the level is not to be had.
    """
    start = start or os.environ.get("AUTOGRADER_START") or ("fork" if sys.platform == "linux" else "spawn")
    isolation = isolation or os.environ.get("AUTOGRADER_ISOLATION") or "auto"
    if start not in ("fork", "spawn"):
        raise ValueError(f"AUTOGRADER_START is {start!r}; it can be fork or spawn")
    if isolation not in ("auto", *LEVELS):
        raise ValueError(f"the isolation {isolation!r} is not known; it can be auto, {', '.join(LEVELS)}")
    if start == "fork":
        return ForkLauncher(_levels(isolation), hidden, gpu)
    if isolation not in ("auto", "process"):
        raise Unavailable(
            f"isolation {isolation} needs Linux and fork; on this machine there is only process"
        )
    return SpawnLauncher()


def _levels(isolation: str) -> list[Isolation]:
    """The levels to try, best first."""
    wanted = [level for level in LEVELS if isolation in ("auto", level)]
    if os.geteuid() != 0 and isolation == "auto":
        wanted.remove("full")
    return wanted


def _clean_environment(folder: str) -> dict[str, str]:
    kept = {
        k: v
        for k, v in os.environ.items()
        if k.upper() in ("PATH", "SYSTEMROOT", "TEMP", "TMP", "LD_LIBRARY_PATH")
    }
    return {**kept, "HOME": folder, "MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def _prefixes() -> list[str]:
    """The folders that hold Python and its installed packages."""
    found = {sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix}
    for name in NEEDED:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.origin:
            found.add(str(Path(spec.origin).parent.parent))
    return sorted({path for folder in found for path in (os.path.abspath(folder), os.path.realpath(folder))})


def _import_paths() -> list[str]:
    """The entries of sys.path that hold installed packages: not the grader's own folder, nor the working directory."""
    prefixes = [Path(p) for p in _prefixes()]
    own = {HERE.parent.parent.resolve(), Path.cwd().resolve()}
    paths = [Path(p).absolute() for p in sys.path if p]
    return [
        str(p)
        for p in paths
        if p.resolve() not in own and any(p.is_relative_to(prefix) for prefix in prefixes)
    ]


class ForkLauncher:
    """Forks children from one zygote (see zygote.py), started at once so that torch loads while the judge gets ready."""

    def __init__(self, levels: Sequence[Isolation], hidden: Sequence[Path], gpu: bool) -> None:
        self._levels = list(levels)
        self._hidden = sorted({str(path.resolve()) for path in (HERE.parent, Path.cwd(), *hidden)})
        self._gpu = gpu
        self._exited: dict[int, int] = {}
        self._spare: _Ordered | None = None
        self.unable: list[str] = []
        self.same_user = False
        self._ready = False
        self._generation = 0
        self._start()

    @property
    def isolation(self) -> Isolation:
        self._wait_until_ready()
        return self._levels[0]

    def _start(self) -> None:
        self._generation += 1
        self._ready = False
        self._exited = {}
        self._drop_spare()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control = ours
        libraries = [p for p in os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep) if p.startswith("/")]
        settings = {
            "paths": _import_paths(),
            "level": self._levels[0],
            "shown": [*_prefixes(), *libraries],
            "hidden": self._hidden,
            "users": self._users(),
            "gpu": self._gpu,
        }
        self._process = subprocess.Popen(
            [sys.executable, "-I", str(HERE / "zygote.py"), str(theirs.fileno()), json.dumps(settings)],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env=_clean_environment(tempfile.gettempdir()),
            start_new_session=True,
        )
        theirs.close()

    @staticmethod
    def _users() -> list[int]:
        """Ids that no account and no other zygote of this machine has; `nobody` alone where such ids do not exist."""
        # Drawn anew: containers that share a kernel share the count of each id's processes, and have the same process numbers.
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
        while not self._ready:
            message = self._receive(("ready", "unable"), 120.0)
            if "ready" in message:
                self._ready = True
                if reason := message.get("same user"):
                    self.same_user = True
                    self.unable.append(f"process, as another user: {reason}")
                return
            self.unable.append(f"{self._levels.pop(0)}: {message['unable']}")
            self._shut()
            if not self._levels:
                raise Unavailable(f"this isolation is not to be had here ({'; '.join(self.unable)})")
            self._start()

    def box(self, limits: Limits) -> Box:
        self._wait_until_ready()
        try:
            ordered, pid = self._child(limits)
        except (OSError, RuntimeError):  # the zygote is gone (out of memory, say): once more with a new one
            self._shut()
            self._start()
            self._wait_until_ready()
            ordered, pid = self._child(limits)
        from autograder.sandbox.box import Box

        return Box(_Forked(self, pid, self._generation), ordered.folder, *ordered.ends)

    def _child(self, limits: Limits) -> tuple[_Ordered, int]:
        """A child that nobody has asked anything; at the levels that keep children apart, the next one is ordered ahead.

        At `process` there is none ahead: code of one submission could reach the child that is to hold another's.
        """
        if self._spare is not None and self._spare.limits != limits:
            self.kill(self._pid(), self._generation)
            self._drop_spare()
        ordered, self._spare = self._spare or self._order(limits), None
        try:
            pid = self._pid()
            while self._message(0.0) is not None:  # notices of children that have ended
                pass
            if pid in self._exited:  # the spare one was ended, by the kernel say
                ordered.drop()
                ordered = self._order(limits)
                pid = self._pid()
            if self.isolation != "process":
                self._spare = self._order(limits)
        except (OSError, RuntimeError):
            ordered.drop()
            raise
        return ordered, pid

    def _order(self, limits: Limits) -> _Ordered:
        """Asks the zygote for a child; its answer, in its turn, is for `_pid`."""
        # At the other levels the child's folder is in memory, and only the child sees it.
        folder = Path(tempfile.mkdtemp(prefix="box-")).resolve() if self.isolation == "process" else None
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
        """The number of the child that was ordered first and not asked for yet."""
        return int(str(self._receive(("pid",), 30.0)["pid"]))

    def _drop_spare(self) -> None:
        if self._spare is not None:
            self._spare.drop()
            self._spare = None

    def close(self) -> None:
        self._shut()

    def _shut(self) -> None:
        self._drop_spare()
        self._control.close()
        try:
            self._process.wait(5.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def kill(self, pid: int, generation: int) -> None:
        """Asks the zygote, which alone knows whose number this is, to end a child and all that it started."""
        if generation != self._generation:  # it ended with its zygote, and the number may be another's
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
        """The next message with one of `keys`; notices of ended children that come before it are kept."""
        deadline = time.monotonic() + seconds
        while True:
            message = self._message(deadline - time.monotonic())
            if message is None:
                raise RuntimeError("the sandbox's zygote does not answer; is torch installed and importable?")
            if any(key in message for key in keys):
                return message

    def _message(self, seconds: float) -> dict[str, object] | None:
        self._control.settimeout(max(0.001, seconds))
        try:
            data = self._control.recv(1 << 16)
        except (TimeoutError, OSError):
            return None
        if not data:
            return None
        message: dict[str, object] = json.loads(data)
        if "exited" in message:
            self._exited[int(str(message["exited"]))] = int(str(message["status"]))
        return message

    def status_of(self, pid: int, generation: int, seconds: float) -> int | None:
        """The wait status of a child that ended, with all that it started; None when it has not by then."""
        if generation != self._generation:
            return None
        deadline = time.monotonic() + seconds
        while pid not in self._exited and (left := deadline - time.monotonic()) > 0:
            if self._message(left) is None:
                break
        status = self._exited.get(pid)
        return None if status is None else os.waitstatus_to_exitcode(status)


@dataclass(frozen=True)
class _Ordered:
    """A child that the zygote was asked for: its limits, its folder, and our ends of its pipes."""

    limits: Limits
    folder: Path | None
    ends: tuple[int, int, int]

    def drop(self) -> None:
        """Lets go of it before a box was made of it."""
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


class SpawnLauncher:
    """Starts a fresh interpreter per child, with one spare waiting so that torch loads while its elder works."""

    isolation: Isolation = "process"
    same_user = True
    unable: Sequence[str] = ("full and user: they need Linux and fork",)

    def __init__(self) -> None:
        self._spare: tuple[subprocess.Popen[bytes], Path] | None = self._start()

    def box(self, limits: Limits) -> Box:
        process, folder = self._spare or self._start()
        self._spare = self._start()
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        ends = [os.dup(pipe.fileno()) for pipe in (process.stdin, process.stdout, process.stderr)]
        for pipe in (process.stdin, process.stdout, process.stderr):
            pipe.close()
        from autograder.sandbox.box import Box

        return Box(_Spawned(process), folder, *ends)

    def close(self) -> None:
        if self._spare is not None:
            process, folder = self._spare
            process.kill()
            process.communicate()
            shutil.rmtree(folder, ignore_errors=True)
            self._spare = None

    @staticmethod
    def _start() -> tuple[subprocess.Popen[bytes], Path]:
        folder = Path(tempfile.mkdtemp(prefix="box-")).resolve()
        process = subprocess.Popen(
            [sys.executable, "-I", str(HERE / "spawned.py"), str(folder), json.dumps(_import_paths())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_clean_environment(str(folder)),
            start_new_session=os.name != "nt",
        )
        return process, folder


class _Spawned:
    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def kill(self) -> None:
        if os.name != "nt":
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        with contextlib.suppress(OSError):
            self._process.kill()

    def wait(self, seconds: float) -> int | None:
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
