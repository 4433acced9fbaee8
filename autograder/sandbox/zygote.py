"""The zygote: a process that has torch loaded and holds no secret, forked for every question (Linux).

Run by file path: python -I zygote.py FD PATHS, where FD is one end of a socket pair and PATHS a JSON list for sys.path.
The judge sends one JSON datagram a request, with three descriptors: requests to read, answers to write, prints.
    {"fork": {"folder": str, "memory": bytes, "file_size": bytes}}  ->  {"pid": 12}
and, whenever a child ends, {"exited": 12, "status": wait status} comes unasked. The end of the socket ends everything.
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import importlib.util
import json
import os
import select
import signal
import socket
import sys
from pathlib import Path
from types import ModuleType
from typing import Any


def load(name: str) -> ModuleType:
    """A sibling of this file, loaded by path: the grader's package is not importable here."""
    spec = importlib.util.spec_from_file_location(f"_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def serve(control: socket.socket) -> None:
    wire, child = load("wire"), load("child")
    import torch

    torch.set_num_threads(1)
    warm_up(torch)
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake_write)
    alive: set[int] = set()
    send(control, {"ready": os.getpid()})
    while True:
        ready = select.select([control.fileno(), wake_read], [], [])[0]
        if wake_read in ready:
            os.read(wake_read, 4096)
            for pid, status in reap():
                alive.discard(pid)
                send(control, {"exited": pid, "status": status})
        if control.fileno() not in ready:
            continue
        try:
            room = socket.CMSG_LEN(3 * array.array("i").itemsize)
            message, ancillary, _, _ = control.recvmsg(1 << 16, room)
        except OSError:  # the judge is gone, with words of ours unread
            break
        if not message:
            break
        descriptors = array.array("i")
        for _level, _kind, data in ancillary:
            descriptors.frombytes(data[: len(data) - len(data) % descriptors.itemsize])
        order: dict[str, Any] = json.loads(message)["fork"]
        pid = os.fork()
        if pid == 0:
            # Whatever happens in the child, it must never return into this loop.
            try:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                for fd in (control.fileno(), wake_read, wake_write):
                    os.close(fd)
                become_child(order, list(descriptors), wire, child)
            finally:
                os._exit(0)
        alive.add(pid)
        for fd in descriptors:
            os.close(fd)
        send(control, {"pid": pid})
    for pid in alive:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)


def become_child(order: dict[str, Any], descriptors: list[int], wire: ModuleType, child: ModuleType) -> None:
    requests, answers, prints = descriptors
    os.setsid()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: no child outlives the zygote
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(prints, 1)
    os.dup2(prints, 2)
    for fd in (null, prints):
        os.close(fd)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 (they stay open)
    sys.stdout = open(1, "w", closefd=False, buffering=1, errors="replace")  # noqa: SIM115
    sys.stderr = open(2, "w", closefd=False, buffering=1, errors="replace")  # noqa: SIM115
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(
        {"HOME": order["folder"], "TMPDIR": order["folder"], "PATH": os.defpath, "MPLBACKEND": "Agg"}
    )
    limit(order)
    child.run(
        lambda n: os.read(requests, n), lambda data: write_all(answers, data), wire, Path(order["folder"])
    )


def limit(order: dict[str, Any]) -> None:
    import resource

    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    for what, amount in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, order["file_size"]),
        # Address space, not resident memory, is what can be limited: so beyond what torch has mapped already.
        (resource.RLIMIT_AS, used + order["memory"]),
    ):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(what, (amount, amount))


def write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def reap() -> list[tuple[int, int]]:
    ended = []
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            ended.append((pid, status))
    return ended


def send(control: socket.socket, message: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):
        control.send(json.dumps(message).encode())


def warm_up(torch: Any) -> None:
    """Imports what every child would otherwise load for itself (Adam, data loaders, safetensors).

    No backward pass here: autograd's threads do not survive a fork.
    """
    import safetensors.torch
    import torch.utils.data

    weight = torch.nn.Parameter(torch.zeros(2, 2))
    optimizer = torch.optim.Adam([weight])
    optimizer.zero_grad()
    torch.manual_seed(0)
    safetensors.torch.save({"0": torch.zeros(1)})


if __name__ == "__main__":
    sys.path[:] = json.loads(sys.argv[2])
    serve(socket.socket(fileno=int(sys.argv[1])))
