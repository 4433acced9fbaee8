"""The fork server: a process that has loaded torch and holds no secret, forked for every question (Linux).

Run by file path: python -I fork_server.py FD SETTINGS, where FD is one end of a socket pair and SETTINGS a JSON object:
    {"paths": [for sys.path], "level": "full"|"user"|"process", "shown": [...], "hidden": [...], "users": [id, ...],
     "scratch": folder of the boxes, "gpu": bool}
The judge sends one JSON datagram per order; a fork comes with three descriptors: requests to read, answers to write, prints.
    {"fork": {"memory": bytes, "file_size": bytes, "folder": str or null}}  ->  {"pid": 12}
    {"kill": 12}
    {"join": true}, with a descriptor: one end of a socket pair, on which another judge orders; it may kill its own children only
The fork server itself sends {"ready": pid} (with "same user": reason, where children run under the judge's account) or
{"unable": reason} when the level is unavailable, and {"exited": 12, "status": wait status} when a child and everything it
started have ended. Closing a socket ends the children that were ordered on it; closing the first ends everything.
"""

from __future__ import annotations

import array
import contextlib
import gc
import importlib.util
import json
import os
import select
import signal
import socket
import sys
import tempfile
import time
from pathlib import Path
from types import ModuleType
from typing import Any

WATCH = 0.5  # seconds between looks at what the children use


def load(name: str) -> ModuleType:
    """A sibling of this file, loaded by path: the grader's package cannot be imported here."""
    spec = importlib.util.spec_from_file_location(f"_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


class ForkServer:
    """The loop that forks, kills and reaps."""

    def __init__(
        self, control: socket.socket, process_factory: Any, wire: ModuleType, child: ModuleType
    ) -> None:
        self._control, self._process_factory, self._wire, self._child = control, process_factory, wire, child
        self._controls = [control]
        # Children: how much memory each may use, and where it was ordered.
        self._alive: dict[int, tuple[int, socket.socket]] = {}
        self._wake, wake_write = os.pipe()
        os.set_blocking(wake_write, False)
        self._fds = [self._wake, wake_write]
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake_write)

    def serve(self, details: dict[str, Any]) -> None:
        send(self._control, {"ready": os.getpid(), **details})
        watched = time.monotonic()
        while True:
            timeout = WATCH if self._alive else None
            watched_fds: list[Any] = [*self._controls, self._wake]
            ready = select.select(watched_fds, [], [], timeout)[0]
            if self._wake in ready:
                os.read(self._wake, 4096)
                self._reap()
            # By the clock: children that keep the fork server busy are watched as well.
            if time.monotonic() - watched >= WATCH:
                self._watch()
                watched = time.monotonic()
            gone = [control for control in self._controls if control in ready and not self._obey(control)]
            if self._control in gone:
                break
            for control in gone:
                self._leave(control)
        for pid in list(self._alive):
            self._end(pid, None)
        os._exit(0)  # without torch's own cleanup, which takes seconds

    def _leave(self, control: socket.socket) -> None:
        """Ends the children of a judge that is gone."""
        for pid, (_, theirs) in list(self._alive.items()):
            if theirs is control:
                self._end(pid, None)
        self._controls.remove(control)
        control.close()

    def _obey(self, control: socket.socket) -> bool:
        """Carries out the next order of a judge; False at the end of its socket."""
        try:
            size = socket.CMSG_LEN(3 * array.array("i").itemsize)
            message, ancillary, _, _ = control.recvmsg(1 << 16, size)
        except OSError:  # the judge is gone, with messages unread
            return False
        if not message:
            return False
        descriptors = array.array("i")
        for _level, _kind, data in ancillary:
            descriptors.frombytes(data[: len(data) - len(data) % descriptors.itemsize])
        order: dict[str, Any] = json.loads(message)
        if "kill" in order:
            if self._alive.get(order["kill"], (0, None))[1] is control:
                self._end(order["kill"], None)
            return True
        if "join" in order:
            self._controls.append(socket.socket(fileno=descriptors[0]))
            return True
        pid = self._process_factory.fork()
        if pid == 0:
            # Whatever happens in the child, it must never return into this loop.
            try:
                self._become_child(order["fork"], list(descriptors))
            finally:
                os._exit(0)
        self._alive[pid] = order["fork"]["memory"], control
        for fd in descriptors:
            os.close(fd)
        send(control, {"pid": pid})
        return True

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    break
                if pid in self._alive:
                    self._end(pid, status)

    def _end(self, pid: int, status: int | None) -> None:
        """Ends what is left of a child. status: from waitpid; None while the child is alive."""
        if status is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                _, status = os.waitpid(pid, 0)
        self._process_factory.end(pid)
        _, control = self._alive.pop(pid)
        send(control, {"exited": pid, "status": int(status or 0)})

    def _watch(self) -> None:
        """Ends children that use too much memory, together with everything they started."""
        for pid, (memory, _) in list(self._alive.items()):
            if self._process_factory.exceeds(pid, memory):
                self._end(pid, None)

    def _become_child(self, order: dict[str, Any], descriptors: list[int]) -> None:
        requests, answers, prints = descriptors
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for fd in (*self._fds, *(control.fileno() for control in self._controls)):
            os.close(fd)
        os.setsid()
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.dup2(prints, 1)
        os.dup2(prints, 2)
        for fd in (null, prints):
            os.close(fd)
        sys.stdin = open(0, closefd=False)  # noqa: SIM115 (they stay open)
        home = self._process_factory.lock(order)
        os.environ.clear()
        os.environ.update(
            {
                "HOME": home,
                "TMPDIR": home,
                "PATH": os.defpath,
                "MPLBACKEND": "Agg",
                "TORCHDYNAMO_DISABLE": "1",
                "USER": "student",
            }
        )
        self._child.run(
            lambda n: os.read(requests, n), lambda data: write_all(answers, data), self._wire, Path(home)
        )


def write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def send(control: socket.socket, message: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):
        control.send(json.dumps(message).encode())


def warm_up() -> None:
    """Imports what every child would otherwise load for itself (Adam, data loaders, safetensors).

    No backward pass here: autograd's threads do not survive a fork.
    """
    import safetensors.torch
    import torch
    import torch.utils.data

    torch.set_num_threads(1)
    weight = torch.nn.Parameter(torch.zeros(2, 2))
    optimizer = torch.optim.Adam([weight])
    optimizer.zero_grad()
    torch.manual_seed(0)
    safetensors.torch.save({"0": torch.zeros(1)})
    # Libraries that inspect the processor at their first use do so here, where /proc still shows it.
    layers = torch.nn.Sequential(
        torch.nn.Conv2d(1, 2, 3),
        torch.nn.BatchNorm2d(2),
        torch.nn.ReLU(),
        torch.nn.Flatten(),
        torch.nn.Linear(8, 2),
    )
    with torch.no_grad():
        layers(torch.randn(3, 1, 4, 4)).sigmoid().mul(2).sum()


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    # Not in the command line, which every child can read: it names the folders that are hidden from them.
    settings = json.loads(control.recv(1 << 20))
    linux, syscalls, privileges, namespaces, process_namespace, process_groups, removal = (
        load(name)
        for name in (
            "linux",
            "syscalls",
            "privileges",
            "namespaces",
            "process_namespace",
            "process_groups",
            "removal",
        )
    )
    # Read before entering the new root, where this folder is not visible.
    sources = {
        name: Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8")
        for name in ("wire", "child", "without_compiler")
    }
    level = settings["level"]
    root = namespaces.Root(level, settings["shown"], settings["hidden"], settings["users"], settings["gpu"])
    try:
        if level != "process":
            namespaces.enter(root, linux)
        elif os.geteuid() == 0:
            with contextlib.suppress(OSError):  # as in most containers
                process_namespace.enter(settings["shown"], namespaces, linux)
    except OSError as error:
        send(control, {"unable": error.strerror or str(error)})
        return
    sys.path[:] = settings["paths"]
    try:
        wire, child, without_compiler = (from_source(name, text) for name, text in sources.items())
        without_compiler.unload()
        warm_up()
    except Exception as error:
        send(control, {"unable": f"PyTorch cannot be loaded there ({type(error).__name__}: {error})"[:500]})
        return
    details: dict[str, Any] = {}
    if level == "process":
        import torch

        needed = [torch.__file__, os.__file__, sys.executable]
        trouble = process_groups.another_user(
            settings["users"], needed, settings["scratch"], privileges, linux
        )
        process_factory = process_groups.ProcessGroups(
            privileges, linux, syscalls, removal, [] if trouble else settings["users"], settings["gpu"]
        )
        details = {"same user": trouble} if trouble else {}
    else:
        process_factory = namespaces.NamespacedProcesses(root, privileges, linux, syscalls)
    if level != "process" or settings["gpu"]:
        # In the namespaces, the instructor's folder for temporary files is not visible.
        scratch = settings["scratch"] if level == "process" else None
        with tempfile.TemporaryDirectory(prefix="box-", dir=scratch, ignore_cleanup_errors=True) as folder:
            trouble = try_out(process_factory, folder, settings["gpu"])
        if trouble:
            send(control, {"unable": trouble})
            return
    # Children leave what is loaded out of their garbage collections, which would copy all of its pages.
    gc.collect()
    gc.freeze()
    ForkServer(control, process_factory, wire, child).serve(details)


def try_out(process_factory: Any, folder: str, gpu: bool) -> str:
    """Makes and confines one child, which uses the GPU if there is one to be used; returns what prevents that, or "".

    Without this, code that cannot reach the GPU would look like code without a mistake about devices.
    """
    read_end, write_end = os.pipe()
    worker = process_factory.fork()
    if worker == 0:
        what = ""
        try:
            process_factory.lock({"memory": 16 << 30, "file_size": 1 << 20, "folder": folder})
            if gpu:
                what = "the GPU cannot be used there; leave out --device cuda: "
                use_gpu()
        except BaseException as error:
            first = (str(error).splitlines() or [""])[0]
            os.write(write_end, f"{what}{type(error).__name__}: {first}".encode()[:500])
        finally:
            os._exit(0)
    os.close(write_end)
    trouble = os.read(read_end, 500).decode("utf-8", "replace")
    os.close(read_end)
    _, status = os.waitpid(worker, 0)
    process_factory.end(worker)
    return trouble or (f"a process ended with status {status}" if status else "")


def use_gpu() -> None:
    """Computes with layers of the networks' kinds on the GPU."""
    import torch

    layers = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.Flatten(), torch.nn.Linear(8, 2)).cuda()
    layers(torch.zeros(3, 1, 4, 4, device="cuda")).sum().backward()
    torch.cuda.synchronize()


def from_source(name: str, text: str) -> ModuleType:
    module = ModuleType(f"_{name}")
    sys.modules[module.__name__] = module
    exec(compile(text, f"<{name}>", "exec"), module.__dict__)
    return module


if __name__ == "__main__":
    main()
