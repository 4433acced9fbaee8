"""Canaries for attacks to touch: they are made, watched, and removed with everything that an attack leaves.

Attacks find them by themselves: files under /tmp/*/attack-canary-*, a process with attack-canary in its command line, an
abstract socket of that name, and a listener on the loopback whose port is in a canary file.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

MARK = "attack-canary"
SHARED_FOLDERS = ("/tmp", "/dev/shm", "/var/tmp", "/run")
SHM_KEY = 0x0A77AC4  # System V shared memory in which attacks leave notes
QUEUE = f"/{MARK}-queue"  # a POSIX message queue for the same
SETTLING = 5.0  # seconds until ended processes and removed folders must be gone
OTHERS = 240.0  # seconds to wait for another batch of attacks on this machine
IPC_RMID = 0


class Playground:
    """A context that makes the canaries and sets the environment for the batch, and restores everything at its end."""

    def __init__(self) -> None:
        self.secret = f"canary-{secrets.token_hex(12)}"
        self.root = Path(tempfile.mkdtemp(prefix="attack-", dir="/tmp"))
        self.root.chmod(0o755)
        self.uploads, self.results, self.temporary = (
            self.root / n for n in ("uploads", "results", "temporary")
        )
        self.closed, self.open = self.root / f"{MARK}-closed", self.root / f"{MARK}-open"
        self.connections: list[str] = []
        self._listeners: list[socket.socket] = []

    def __enter__(self) -> Playground:
        for path, mode in (
            (self.uploads, 0o755),
            (self.results, 0o755),
            (self.temporary, 0o755),
            (self.closed, 0o700),
            (self.open, 0o755),
        ):
            path.mkdir(mode=mode)
            path.chmod(mode)
        for folder in (self.closed, self.open):
            (folder / "canary.txt").write_text(self.secret)
        self._listen(socket.AF_INET, ("127.0.0.1", 0))
        self._listen(socket.AF_UNIX, f"\0{MARK}-socket")
        (self.open / "port").write_text(str(self._listeners[0].getsockname()[1]))
        self.process = subprocess.Popen(
            [sys.executable, "-c", "import time; time.sleep(7200)", MARK], env={"CANARY": self.secret}
        )
        self._before = self._state()
        self._environment = {name: os.environ.get(name) for name in ("AUTOGRADER_SECRET", "TMPDIR")}
        os.environ.update({"AUTOGRADER_SECRET": self.secret, "TMPDIR": str(self.temporary)})
        return self

    def __exit__(self, *_: object) -> None:
        for name, value in self._environment.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        for listener in self._listeners:
            listener.close()
        self.process.kill()
        self.process.wait()
        for left in self._processes():
            with contextlib.suppress(psutil.Error):
                left.kill()
        for path in self._marked():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        _forget_notes()
        # Renamed first, so that the thread of an upload that changes ends instead of adding files meanwhile.
        shutil.rmtree(self.root.rename(self.root.with_name(f"{self.root.name}-ended")), ignore_errors=True)

    def problems(self) -> list[str]:
        """Changes of the canaries and what was left behind, one line each; call it after the batch."""
        deadline = time.monotonic() + SETTLING
        while (self._processes() or self._left()) and time.monotonic() < deadline:
            time.sleep(0.2)
        found = [f"a canary was touched: {was} became {now}" for was, now in self._changes()]
        found += [f"the listener got a connection: {what}" for what in self.connections]
        found += [f"a process was left behind: {_description(p)}" for p in self._processes()]
        found += [f"a file was left behind: {path}" for path in [*self._marked(), *self._left()]]
        known = (".json", ".csv")
        found += [
            f"an unexpected file among the results: {p.name}"
            for p in self.results.iterdir()
            if p.suffix not in known
        ]
        return found

    def _changes(self) -> Iterator[tuple[str, str]]:
        now = self._state()
        for key in sorted({*self._before, *now}):
            was, is_now = self._before.get(key, "absent"), now.get(key, "absent")
            if was != is_now:
                yield f"{key} ({was})", is_now

    def _state(self) -> dict[str, str]:
        state = {}
        for folder in (self.closed, self.open):
            for path in [folder, *folder.rglob("*")]:
                about = path.lstat()
                text = path.read_text(errors="replace")[:99] if path.is_file() else ""
                state[str(path.relative_to(self.root))] = f"{about.st_mode:o} {about.st_uid} {text}"
        try:
            process = psutil.Process(self.process.pid)
            state["process"] = f"nice {process.nice()}, {process.cpu_affinity()}"
            if process.status() in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE):
                state["process"] = process.status()
        except psutil.Error:
            state["process"] = "gone"
        return state

    def _processes(self) -> list[psutil.Process]:
        """Sandboxed processes of this batch that still run: their HOME is its temporary folder."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if (
                    process.environ().get("HOME") == str(self.temporary)
                    and process.status() != psutil.STATUS_ZOMBIE
                ):
                    found.append(process)
        return found

    def _left(self) -> list[Path]:
        """The files in the batch's temporary folder, except for the cache that torch makes in the judge."""
        return [path for path in self.temporary.iterdir() if not path.name.startswith("torchinductor_")]

    @staticmethod
    def _marked() -> list[Path]:
        return [path for folder in SHARED_FOLDERS for path in Path(folder).glob(f"{MARK}*")]

    def _listen(self, family: int, address: object) -> None:
        listener = socket.socket(family, socket.SOCK_STREAM)
        deadline = time.monotonic() + OTHERS
        while True:
            try:
                listener.bind(address)  # type: ignore[arg-type]
                break
            except OSError:  # attacks know only this name, so batches run one at a time
                if time.monotonic() > deadline:
                    raise
                time.sleep(1.0)
        listener.listen()
        self._listeners.append(listener)

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection, contextlib.suppress(OSError):
                        connection.settimeout(2.0)
                        self.connections.append(connection.recv(80).decode("utf-8", "replace"))
                        connection.sendall(self.secret.encode())

        threading.Thread(target=serve, daemon=True).start()


def _forget_notes() -> None:
    """Removes the shared memory and the message queue that attacks leave if nothing stops them."""
    libc = ctypes.CDLL(None)
    if (segment := libc.shmget(SHM_KEY, 0, 0)) >= 0:
        libc.shmctl(segment, IPC_RMID, None)
    with contextlib.suppress(
        AttributeError
    ):  # an old C library has it elsewhere, and attacks do not find it either
        libc.mq_unlink(QUEUE.encode())


def _description(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.Error):
        return f"{process.pid}, child of {process.ppid()}, {process.status()}, {' '.join(process.cmdline())[:60]}"
    return str(process.pid)
