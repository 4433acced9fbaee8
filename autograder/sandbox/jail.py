"""What the zygote and its children can see and do at the levels `full` and `user`. Loaded by file path, before torch.

The zygote walks into a room of its own first: a root directory in memory that shows the system's libraries and the Python
environment, read-only, and nothing else of the machine; no network, no other process, no shared memory. Every child then gets
private, empty folders, a process namespace that dies with it, limits, and no privilege at all.
"""

from __future__ import annotations

import contextlib
import os
import platform
import resource
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
PROCESSES = 48  # processes and threads of a submission at one time
DESCRIPTORS = 256


@dataclass(frozen=True)
class Room:
    """What the room shows and hides.

    level: "full" (by root, children under another user) or "user" (in a user namespace).
    shown: folders outside the system's own that Python needs.
    hidden: folders that are to be empty where a shown folder contains them.
    user: the id that children run under at `full`.
    gpu: whether the GPU's device files are there.
    """

    level: str
    shown: Sequence[str]
    hidden: Sequence[str]
    user: int
    gpu: bool = False


def enter(room: Room, linux: ModuleType) -> None:
    """Goes on as the first process of a new room; this process's caller waits outside and ends when the room does.

    Raises OSError where this machine does not allow it, before anything has been loaded or changed for others.
    """
    ids = os.getuid(), os.getgid()
    kinds = (
        linux.CLONE_NEWNS | linux.CLONE_NEWPID | linux.CLONE_NEWNET | linux.CLONE_NEWIPC | linux.CLONE_NEWUTS
    )
    if room.level == "user":
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
        _wait_outside(inside, trouble_read)
    os.close(trouble_read)
    linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
    try:
        _furnish(room, linux)
    except OSError as error:
        os.write(trouble_write, (error.strerror or str(error)).encode()[:500])
        os._exit(1)
    os.close(trouble_write)
    socket.sethostname("sandbox")
    os.environ.update({"HOME": HOME, "TMPDIR": HOME})


def _wait_outside(inside: int, trouble: int) -> None:
    """Returns only by raising OSError, when the room could not be made; otherwise ends as the process inside does."""
    said = b""
    while part := os.read(trouble, 500):
        said += part
    if said:
        os.waitpid(inside, 0)
        raise OSError(said.decode("utf-8", "replace"))
    for fd in range(3, 64):
        with contextlib.suppress(OSError):
            os.close(fd)
    _, status = os.waitpid(inside, 0)
    os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


def _furnish(room: Room, linux: ModuleType) -> None:
    """Builds the room's root directory over /proc (where nothing that is shown comes from) and moves into it."""
    os.umask(
        0o022
    )  # whatever the instructor's is: children must be able to walk through the folders that are made here
    linux.mount("none", "/", flags=linux.MS_REC | linux.MS_PRIVATE)
    new = "/proc"
    linux.mount("room", new, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, "size=16m,mode=0755")
    # From the outside in: a folder may be shown inside a hidden one, and hidden inside a shown one.
    shown = {*SYSTEM, *SETTINGS, *_outermost(room.shown, room.hidden)}
    masked = []
    for path in sorted({*shown, *room.hidden}, key=lambda p: (p.count("/"), p)):
        if path not in room.hidden:
            _show(path, new, linux)
        elif os.path.isdir(new + path):
            linux.mount("hidden", new + path, "tmpfs", data="size=64k,mode=0755")
            masked.append(path)
    for path in masked:
        linux.mount("", new + path, flags=linux.MS_REMOUNT | linux.MS_BIND | linux.MS_RDONLY)
    os.mkdir(f"{new}/dev")
    names = list(DEVICES)
    if room.gpu:
        names += [n for n in os.listdir("/dev") if n.startswith(GPU_DEVICES)]
    for name in names:
        _show(f"/dev/{name}", new, linux, device=True)
    for name, target in (("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")):
        os.symlink(target, f"{new}/dev/{name}")
    for folder in (*SCRATCH, "/proc", "/etc"):
        os.makedirs(new + folder, exist_ok=True)
    # Loading torch asks for a folder to write to; children get their own in its place.
    linux.mount("scratch", new + HOME, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, "size=1m,mode=0700")
    user = room.user if room.level == "full" else 0
    Path(f"{new}/etc/passwd").write_text(f"student:x:{user}:{user}::{HOME}:/bin/sh\n")
    Path(f"{new}/etc/group").write_text(f"student:x:{user}:\n")
    _mount_proc(f"{new}/proc", linux)
    os.chdir(new)
    linux.pivot_root(".", ".")
    linux.umount(".")
    os.chdir("/")
    linux.mount("none", "/", flags=linux.MS_REMOUNT | linux.MS_BIND | linux.MS_RDONLY)


def _show(path: str, new: str, linux: ModuleType, device: bool = False) -> None:
    """Makes `path` of the machine visible in the new root; what the machine lacks is left out."""
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
    """The paths that are not visible with another one, or with the system's own, already."""
    kept: list[str] = []
    for path in sorted(set(paths), key=len):
        covering = [other for other in (*SYSTEM, *kept) if _within(path, other)]
        masked = any(_within(path, h) and _within(h, other) for h in hidden for other in covering)
        if not covering or masked:
            kept.append(path)
    return kept


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")


def _mount_proc(target: str, linux: ModuleType) -> None:
    """A /proc of this process namespace; where the kernel shows only the processes, without the machine's settings."""
    flags = linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC
    for options in ("", "subset=pid"):
        with contextlib.suppress(OSError):
            linux.mount("proc", target, "proc", flags, options)
            return


class Cell:
    """Makes children of the zygote: each in a process namespace of its own, which ends with it."""

    def __init__(self, room: Room, linux: ModuleType, syscalls: ModuleType) -> None:
        self._room, self._linux, self._syscalls = room, linux, syscalls
        self._own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        self._keepers: dict[int, int] = {}

    def fork(self) -> int:
        """As os.fork; the child is the second process of a new namespace, whose first one keeps it until `end`."""
        self._linux.unshare(self._linux.CLONE_NEWPID)
        keeper = os.fork()
        if keeper == 0:
            self._keep()
        worker = os.fork()
        if worker:
            self._linux.setns(self._own, self._linux.CLONE_NEWPID)
            self._keepers[worker] = keeper
        return worker

    def try_out(self) -> str:
        """Makes and locks up one child that does nothing; says what keeps that from working, if anything does."""
        said, says = os.pipe()
        worker = self.fork()
        if worker == 0:
            try:
                self.lock({"memory": 1 << 30, "file_size": 1 << 20})
            except Exception as error:
                os.write(says, f"{type(error).__name__}: {error}".encode()[:500])
            finally:
                os._exit(0)
        os.close(says)
        trouble = os.read(said, 500).decode("utf-8", "replace")
        os.close(said)
        os.waitpid(worker, 0)
        self.end(worker)
        return trouble

    def end(self, worker: int) -> None:
        """Ends every process of the worker's namespace; returns when none of them is left.

        The worker itself must have been waited for: its namespace's first process waits for that too.
        """
        keeper = self._keepers.pop(worker, None)
        if keeper is not None:
            os.kill(keeper, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(keeper, 0)  # a namespace's first process is not gone before all others are

    def exceeds(self, worker: int, memory: int) -> bool:
        """True when the worker's processes are too many, or keep more than `memory` bytes in memory together."""
        space = _namespace(str(worker))
        members = [p for p in os.listdir("/proc") if p.isdigit() and space and _namespace(p) == space]
        if len(members) > 2 * PROCESSES:  # root's processes are not limited in a user namespace
            return True
        return use(members, memory) > memory

    def _mount_scratch(self, folder: str, options: str) -> None:
        """An empty folder of the child's own. What Python needs and lies in there (an environment below /tmp) stays there."""
        linux = self._linux
        flags = linux.MS_NOSUID | linux.MS_NODEV
        inside = [
            p
            for p in _outermost(self._room.shown, self._room.hidden)
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
        """The namespace's first process: holds nothing, does nothing, and lets orphans be forgotten."""
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
        """In the child: private folders, limits, no privilege. Returns the working folder; from here student code may run."""
        linux = self._linux
        os.close(self._own)
        linux.unshare(linux.CLONE_NEWNS | linux.CLONE_NEWIPC)
        user = self._room.user if self._room.level == "full" else 0
        for folder, size in SCRATCH.items():
            options = f"size={size},nr_inodes={INODES},mode=0700,uid={user},gid={user}"
            self._mount_scratch(folder, options)
        # Where an old kernel refuses, the zygote's /proc stays, which shows no other processes of the machine either.
        with contextlib.suppress(OSError):
            flags = linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC
            linux.mount("proc", "/proc", "proc", flags, "subset=pid")
        limit(
            {
                **limits,
                "descriptors": DESCRIPTORS,
                **({"processes": PROCESSES} if user or _counts_apart() else {}),
            }
        )
        os.chdir(HOME)
        give_up_privileges(user if self._room.level == "full" else None, linux)
        self._syscalls.install()
        return HOME


def _namespace(pid: str) -> str:
    try:
        return os.readlink(f"/proc/{pid}/ns/pid")
    except OSError:
        return ""


def use(members: Sequence[str], interesting: int) -> int:
    """Bytes that processes keep in memory together; not more exact than it takes to tell whether it is over `interesting`."""
    # What they share with the zygote is not to be counted once for each; exact counting is slow, so only when it matters.
    pages = sum(_pages(p) for p in members) * resource.getpagesize()
    return sum(_share(p) for p in members) if pages > interesting else pages


def _pages(pid: str) -> int:
    """Resident pages, shared ones included; cheap to read."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0


def _share(pid: str) -> int:
    """Bytes that a process keeps in memory, each page divided by the number of processes that share it."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith("Pss:"))


def _counts_apart() -> bool:
    """True where a user namespace's processes are counted for themselves, not with all others of the same user."""
    major, minor = (int(part) for part in platform.release().split("-")[0].split(".")[:2])
    return (major, minor) >= (5, 14)


def give_up_privileges(user: int | None, linux: ModuleType) -> None:
    """Becomes `user` (None: stays who it is) without groups, capabilities or a way to gain any."""
    if user is not None:
        os.setgroups([])
        os.setresgid(user, user, user)
    linux.bound_capabilities()
    if user is not None:
        os.setresuid(user, user, user)
    linux.drop_capabilities()
    linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)


def limit(amounts: dict[str, int]) -> None:
    """Sets this process's limits; memory is counted beyond what torch has mapped already."""
    # Address space, not resident memory, is what can be limited.
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    wanted = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: amounts["file_size"],
        resource.RLIMIT_AS: used + amounts["memory"],
    }
    # Where memory runs out, it is this process that goes, and not the judge.
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    if "processes" in amounts:
        wanted[resource.RLIMIT_NPROC] = amounts["processes"]
    if "descriptors" in amounts:
        wanted[resource.RLIMIT_NOFILE] = amounts["descriptors"]
    for what, amount in wanted.items():
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(what, (amount, amount))
