"""What every sandboxed child gives up, and how much it may use. Loaded by file path in the fork server."""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Collection, Sequence
from pathlib import Path
from types import ModuleType

PROCESSES = 48  # processes and threads of a submission at one time
DESCRIPTORS = 256


def give_up_privileges(user: int | None, linux: ModuleType) -> None:
    """Becomes `user` (None: keeps its user) without groups, capabilities or a way to gain any."""
    if user is not None:
        os.setgroups([])
        os.setresgid(user, user, user)
    try:
        linux.bound_capabilities()
    except OSError:
        # Only who has capabilities may bound them. Without new privileges, a program cannot gain one either way.
        if user is not None:
            raise
    if user is not None:
        os.setresuid(user, user, user)
    linux.drop_capabilities()
    linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)


def limit(amounts: dict[str, int]) -> None:
    """Sets this process's limits; memory is counted beyond what torch has mapped already."""
    # The kernel limits address space, not resident memory.
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    memory = {resource.RLIMIT_AS: used + amounts["memory"]}
    if amounts.get("gpu"):
        # A GPU's driver reserves as much address space as there is memory in the whole machine: what may be written counts.
        memory = {resource.RLIMIT_DATA: used + amounts["memory"]}
    wanted = {resource.RLIMIT_CORE: 0, resource.RLIMIT_FSIZE: amounts["file_size"], **memory}
    # When memory runs out, the kernel should end this process and not the judge.
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    if "processes" in amounts:
        wanted[resource.RLIMIT_NPROC] = amounts["processes"]
    if "descriptors" in amounts:
        wanted[resource.RLIMIT_NOFILE] = amounts["descriptors"]
    for what, amount in wanted.items():
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(what, (amount, amount))


def use(members: Sequence[str], interesting: int) -> int:
    """Bytes of memory that processes use together; exact only where the rough count exceeds `interesting`.

    Without the right to look into another user's processes, what they share counts once for each: never too little.
    """
    # Pages shared with the fork server must not count once per process; exact counting is slow, so only when it matters.
    pages = sum(_pages(p) for p in members) * resource.getpagesize()
    return sum(_share(p) for p in members) if pages > interesting else pages


def _pages(pid: str) -> int:
    """Resident pages, shared ones included; cheap to read."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0


def _share(pid: str) -> int:
    """Bytes of memory of a process, each page divided by the number of processes that share it."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return sum(int(line.split()[1]) << 10 for line in lines if line.startswith("Pss:"))
    except OSError:
        # The status is open to everyone.
        found = status(pid)
        return sum(int(found.get(name, "0").split()[0]) << 10 for name in ("RssAnon", "RssShmem"))


def status(pid: str) -> dict[str, str]:
    """The fields of a process's status, which every user may read; empty when it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return {}
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def descendants(roots: Collection[int]) -> list[str]:
    """The processes of this /proc that are, or descend from, one of `roots`."""
    above = {pid: int(status(pid).get("PPid", "0")) for pid in os.listdir("/proc") if pid.isdigit()}
    found = {pid for pid in above if int(pid) in roots}
    while more := {pid for pid, parent in above.items() if str(parent) in found} - found:
        found |= more
    return sorted(found)
