"""Launchers: how sandboxed children are made, by fork from a zygote (Linux) or by spawn (everywhere).

Torch is not imported here, so that a launcher can start its first process before the judge loads torch itself.
"""

from __future__ import annotations

import array
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from autograder.sandbox.box import Box

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Limits:
    """What one child may use, beyond what torch has mapped already."""

    memory: int = 4 << 30  # bytes of address space
    file_size: int = 64 << 20  # bytes in one file


class Launcher(Protocol):
    """Makes boxes; close it at the end."""

    def box(self, files: Mapping[str, bytes], limits: Limits) -> Box:
        """A fresh child in a fresh folder that holds `files`."""
        ...

    def close(self) -> None: ...


def launcher(start: str | None = None) -> Launcher:
    """The launcher for this machine: "fork" on Linux, "spawn" elsewhere; `start` or AUTOGRADER_START forces one."""
    start = start or os.environ.get("AUTOGRADER_START") or ("fork" if sys.platform == "linux" else "spawn")
    if start not in ("fork", "spawn"):
        raise ValueError(f"AUTOGRADER_START is {start!r}; it can be fork or spawn")
    return ForkLauncher() if start == "fork" else SpawnLauncher()


def _folder(files: Mapping[str, bytes]) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="box-")).resolve()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def _clean_environment(folder: str) -> dict[str, str]:
    kept = {
        k: v
        for k, v in os.environ.items()
        if k.upper() in ("PATH", "SYSTEMROOT", "TEMP", "TMP", "LD_LIBRARY_PATH")
    }
    return {**kept, "HOME": folder, "MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def _import_paths() -> str:
    """The entries of sys.path that hold installed packages: not the grader's own folder, nor the working directory."""
    own = HERE.parent.parent.resolve()
    paths = [p for p in sys.path if p and not (Path(p).is_dir() and Path(p).resolve() == own)]
    cwd = Path.cwd().resolve()
    return json.dumps([p for p in paths if Path(p).resolve() != cwd])


class ForkLauncher:
    """Forks children from one zygote (see zygote.py), started at once so that torch loads while the judge gets ready."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control = ours
        self._process = subprocess.Popen(
            [sys.executable, "-I", str(HERE / "zygote.py"), str(theirs.fileno()), _import_paths()],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env=_clean_environment(tempfile.gettempdir()),
            start_new_session=True,
        )
        theirs.close()
        self._ready = False
        self._exited: dict[int, int] = {}

    def box(self, files: Mapping[str, bytes], limits: Limits) -> Box:
        if not self._ready:
            self._receive("ready", 120.0)
            self._ready = True
        folder = _folder(files)
        requests_read, requests_write = os.pipe()
        answers_read, answers_write = os.pipe()
        prints_read, prints_write = os.pipe()
        order = {"fork": {"folder": str(folder), "memory": limits.memory, "file_size": limits.file_size}}
        theirs = [requests_read, answers_write, prints_write]
        self._control.sendmsg(
            [json.dumps(order).encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", theirs))]
        )
        pid = self._receive("pid", 30.0)
        for fd in theirs:
            os.close(fd)
        from autograder.sandbox.box import Box

        return Box(_Forked(self, pid), folder, requests_write, answers_read, prints_read)

    def close(self) -> None:
        self._control.close()
        try:
            self._process.wait(5.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _receive(self, key: str, seconds: float) -> int:
        """The next message with `key`; notices of ended children that come before it are kept."""
        deadline = time.monotonic() + seconds
        while True:
            message = self._message(deadline - time.monotonic())
            if message is None:
                raise RuntimeError("the sandbox's zygote does not answer; is torch installed and importable?")
            if key in message:
                return int(message[key])

    def _message(self, seconds: float) -> dict[str, int] | None:
        self._control.settimeout(max(0.001, seconds))
        try:
            data = self._control.recv(1 << 16)
        except (TimeoutError, OSError):
            return None
        if not data:
            return None
        message: dict[str, int] = json.loads(data)
        if "exited" in message:
            self._exited[message["exited"]] = message["status"]
        return message

    def status_of(self, pid: int, seconds: float) -> int | None:
        deadline = time.monotonic() + seconds
        while pid not in self._exited and (left := deadline - time.monotonic()) > 0:
            if self._message(left) is None:
                break
        status = self._exited.get(pid)
        return None if status is None else os.waitstatus_to_exitcode(status)


class _Forked:
    def __init__(self, owner: ForkLauncher, pid: int) -> None:
        self._owner, self._pid = owner, pid
        self._status: int | None = None

    def kill(self) -> None:
        # The group can hold grandchildren after its leader has been reaped; its number stays taken while they live.
        # The leader's own pid is signalled only while it is not known to be reaped (it may be another's by then).
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._pid, signal.SIGKILL)
        if self.wait(0.0) is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self._pid, signal.SIGKILL)

    def wait(self, seconds: float) -> int | None:
        if self._status is None:
            self._status = self._owner.status_of(self._pid, seconds)
        return self._status


class SpawnLauncher:
    """Starts a fresh interpreter per child, with one spare waiting so that torch loads while its elder works."""

    def __init__(self) -> None:
        self._spare: tuple[subprocess.Popen[bytes], Path] | None = self._start()

    def box(self, files: Mapping[str, bytes], limits: Limits) -> Box:
        process, folder = self._spare or self._start()
        self._spare = self._start()
        for name, data in files.items():
            (folder / name).write_bytes(data)
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
        folder = _folder({})
        process = subprocess.Popen(
            [sys.executable, "-I", str(HERE / "spawned.py"), str(folder), _import_paths()],
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
