"""What the fork server and its children can see and do at the levels `full` and `user`. Loaded by file path, before torch.

The fork server first enters its own mount namespace: a root directory in memory with the system's libraries and the Python
environment, read-only, and nothing else of the machine; no network, no other process, no shared memory. Every child then gets
private empty folders, a process namespace that ends with it, limits, and no privileges.
"""

from __future__ import annotations

import contextlib
import os
import platform
import signal
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

HOME = "/box"  # the child's working folder, in memory
SCRATCH = {HOME: "64m", "/tmp": "64m", "/dev/shm": "64m"}
INODES = 4096  # files in each of them
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/sys/devices/system/cpu")
SETTINGS = ("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives", "/etc/localtime")
DEVICES = ("null", "zero", "full", "random", "urandom")
GPU_DEVICES = "nvidia"


@dataclass(frozen=True)
class Root:
    """The root directory of the fork server: what it shows and hides.

    level: "full" (by root, children under another user) or "user" (in a user namespace).
    shown: folders outside the system's own that Python needs.
    hidden: folders that are empty where a shown folder contains them.
    users: ids for children at `full`, used in turn: processes that are about to end count against nobody else's limit.
    gpu: whether the GPU's device files are shown.
    """

    level: str
    shown: Sequence[str]
    hidden: Sequence[str]
    users: Sequence[int]
    gpu: bool = False


def enter(root: Root, linux: ModuleType) -> None:
    """Continues as the first process of new namespaces; the calling process waits outside and ends when they do.

    Raises OSError when this machine does not allow it, before anything is loaded or changed for other processes.
    """
    ids = os.getuid(), os.getgid()
    kinds = (
        linux.CLONE_NEWNS | linux.CLONE_NEWPID | linux.CLONE_NEWNET | linux.CLONE_NEWIPC | linux.CLONE_NEWUTS
    )
    if root.level == "user":
        linux.unshare(linux.CLONE_NEWUSER | kinds)
        Path("/proc/self/setgroups").write_text("deny")
        for table, own in zip(("uid_map", "gid_map"), ids, strict=True):
            Path(f"/proc/self/{table}").write_text(f"0 {own} 1")
    else:
        linux.unshare(kinds)
    trouble_read, trouble_write = os.pipe()
    inside = os.fork()
    if inside:
        os.close(trouble_write)
        wait_outside(inside, trouble_read)
    os.close(trouble_read)
    linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
    try:
        _build_root(root, linux)
    except OSError as error:
        os.write(trouble_write, (error.strerror or str(error)).encode()[:500])
        os._exit(1)
    os.close(trouble_write)
    socket.sethostname("sandbox")
    os.environ.update({"HOME": HOME, "TMPDIR": HOME})


def wait_outside(inside: int, trouble: int) -> None:
    """Raises OSError when the namespaces could not be made; otherwise exits with the status of the process inside."""
    message = b""
    while part := os.read(trouble, 500):
        message += part
    if message:
        os.waitpid(inside, 0)
        raise OSError(message.decode("utf-8", "replace"))
    for fd in range(3, 64):
        with contextlib.suppress(OSError):
            os.close(fd)
    _, status = os.waitpid(inside, 0)
    os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


def _build_root(root: Root, linux: ModuleType) -> None:
    """Builds the new root directory over /proc (nothing that is shown comes from there) and moves into it."""
    os.umask(
        0o022
    )  # children must be able to enter the folders made here, whatever the instructor's umask is
    linux.mount("none", "/", flags=linux.MS_REC | linux.MS_PRIVATE)
    new = "/proc"
    linux.mount("root", new, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, "size=16m,mode=0755")
    # From the outside in: a shown folder may be inside a hidden one, and a hidden one inside a shown one.
    shown = {*SYSTEM, *SETTINGS, *_outermost(root.shown, root.hidden)}
    masked = []
    for path in sorted({*shown, *root.hidden}, key=lambda p: (p.count("/"), p)):
        if path not in root.hidden:
            _show(path, new, linux)
        elif os.path.isdir(new + path):
            linux.mount("hidden", new + path, "tmpfs", data="size=64k,mode=0755")
            masked.append(path)
    for path in masked:
        linux.mount("", new + path, flags=linux.MS_REMOUNT | linux.MS_BIND | linux.MS_RDONLY)
    os.mkdir(f"{new}/dev")
    names = list(DEVICES)
    if root.gpu:
        names += [n for n in os.listdir("/dev") if n.startswith(GPU_DEVICES)]
    for name in names:
        _show(f"/dev/{name}", new, linux, device=True)
    for name, target in (("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")):
        os.symlink(target, f"{new}/dev/{name}")
    for folder in (*SCRATCH, "/proc", "/etc"):
        os.makedirs(new + folder, exist_ok=True)
    # Loading torch needs a writable folder; children get their own in its place.
    linux.mount("scratch", new + HOME, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, "size=1m,mode=0700")
    users = root.users if root.level == "full" else [0]
    Path(f"{new}/etc/passwd").write_text(
        "".join(f"student:x:{user}:{user}::{HOME}:/bin/sh\n" for user in users)
    )
    Path(f"{new}/etc/group").write_text("".join(f"student:x:{user}:\n" for user in users))
    mount_proc(f"{new}/proc", linux)
    os.chdir(new)
    linux.pivot_root(".", ".")
    linux.umount(".")
    os.chdir("/")
    linux.mount("none", "/", flags=linux.MS_REMOUNT | linux.MS_BIND | linux.MS_RDONLY)


def _show(path: str, new: str, linux: ModuleType, device: bool = False) -> None:
    """Makes `path` visible in the new root; a path that does not exist is left out."""
    target = new + path
    if os.path.islink(path) and not device:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.symlink(os.readlink(path), target)
        return
    if not os.path.exists(path):
        return
    if os.path.isdir(path):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        Path(target).touch()
    if device:
        linux.mount(path, target, flags=linux.MS_BIND)
    else:
        linux.bind_read_only(path, target)


def _outermost(paths: Sequence[str], hidden: Sequence[str]) -> list[str]:
    """The paths that no other path, and none of the system's folders, makes visible already."""
    kept: list[str] = []
    for path in sorted(set(paths), key=len):
        covering = [other for other in (*SYSTEM, *kept) if _within(path, other)]
        masked = any(_within(path, h) and _within(h, other) for h in hidden for other in covering)
        if not covering or masked:
            kept.append(path)
    return kept


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")


def mount_proc(target: str, linux: ModuleType) -> None:
    """Mounts a /proc of this process namespace; only its processes, if the kernel can leave out the rest."""
    flags = linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC
    for options in ("", "subset=pid"):
        with contextlib.suppress(OSError):
            linux.mount("proc", target, "proc", flags, options)
            return


@dataclass(frozen=True)
class _Child:
    """keeper: its namespace's first process. user: the id that it runs under."""

    keeper: int
    user: int


class NamespacedProcesses:
    """Makes children of the fork server, each in its own process namespace, which ends with it."""

    def __init__(self, root: Root, privileges: ModuleType, linux: ModuleType, syscalls: ModuleType) -> None:
        self._root, self._privileges = root, privileges
        self._linux, self._syscalls = linux, syscalls
        self._own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        self._children: dict[int, _Child] = {}
        self._users = list(root.users) if root.level == "full" else [0]

    def fork(self) -> int:
        """As os.fork; the child is the second process of a new namespace, whose first process keeps it alive until `end`."""
        taken = [child.user for child in self._children.values()]
        self._users.sort(key=taken.count)  # stable: the one that has been unused for longest comes first
        self._users.append(self._users.pop(0))
        self._linux.unshare(self._linux.CLONE_NEWPID)
        keeper = os.fork()
        if keeper == 0:
            self._keep()
        worker = os.fork()
        if worker:
            self._linux.setns(self._own, self._linux.CLONE_NEWPID)
            self._children[worker] = _Child(keeper, self._users[-1])
        return worker

    def end(self, worker: int) -> None:
        """Ends every process of the worker's namespace; returns when none is left.

        Wait for the worker itself first: its namespace's first process does not end before that.
        """
        child = self._children.pop(worker, None)
        if child is not None:
            os.kill(child.keeper, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(child.keeper, 0)  # a namespace's first process ends last

    def exceeds(self, worker: int, memory: int) -> bool:
        """True when the worker has too many processes, or they use more than `memory` bytes together."""
        # Orphans become children of the namespace's first process, so all of its processes descend from these two.
        members = self._privileges.descendants({worker, self._children[worker].keeper})
        if (
            len(members) > 2 * self._privileges.PROCESSES
        ):  # root's processes are not limited in a user namespace
            return True
        return bool(self._privileges.use(members, memory) > memory)

    def _mount_scratch(self, folder: str, options: str) -> None:
        """Mounts an empty private folder; what Python needs from inside it (an environment below /tmp) stays visible."""
        linux = self._linux
        flags = linux.MS_NOSUID | linux.MS_NODEV
        inside = [
            p
            for p in _outermost(self._root.shown, self._root.hidden)
            if _within(p, folder) and os.path.isdir(p)
        ]
        aside = [f"{HOME}/.aside-{number}" for number in range(len(inside))]
        for path, place in zip(inside, aside, strict=True):
            os.mkdir(place)
            linux.mount(path, place, flags=linux.MS_BIND | linux.MS_REC)
        linux.mount("scratch", folder, "tmpfs", flags, options)
        for path, place in zip(inside, aside, strict=True):
            os.makedirs(path)
            linux.mount(place, path, flags=linux.MS_BIND | linux.MS_REC)
            linux.umount(place)
            os.rmdir(place)

    def _keep(self) -> None:
        """The namespace's first process: it does nothing but reap orphans."""
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)
            os.closerange(0, 1024)
            self._linux.prctl(self._linux.PR_SET_DUMPABLE, 0)
            while True:
                signal.pause()
        finally:
            os._exit(0)

    def lock(self, limits: dict[str, int]) -> str:
        """In the child: private folders, limits, no privileges. Returns the working folder; afterwards student code may run."""
        linux, privileges = self._linux, self._privileges
        os.close(self._own)
        # A network of its own, although there is none: children of one fork server could meet in abstract Unix sockets.
        linux.unshare(linux.CLONE_NEWNS | linux.CLONE_NEWIPC | linux.CLONE_NEWNET)
        user = self._users[-1]
        for folder, size in SCRATCH.items():
            options = f"size={size},nr_inodes={INODES},mode=0700,uid={user},gid={user}"
            self._mount_scratch(folder, options)
        # Where an old kernel refuses, the fork server's /proc stays; it shows no other processes of the machine either.
        with contextlib.suppress(OSError):
            flags = linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC
            linux.mount("proc", "/proc", "proc", flags, "subset=pid")
        privileges.limit(
            {
                **limits,
                "gpu": self._root.gpu,
                "descriptors": privileges.DESCRIPTORS,
                **({"processes": privileges.PROCESSES} if user or _counts_apart() else {}),
            }
        )
        os.chdir(HOME)
        privileges.give_up_privileges(user if self._root.level == "full" else None, linux)
        self._syscalls.install()
        return HOME


def _counts_apart() -> bool:
    """True where the processes of a user namespace are counted separately from others of the same user."""
    major, minor = (int(part) for part in platform.release().split("-")[0].split(".")[:2])
    return (major, minor) >= (5, 14)
