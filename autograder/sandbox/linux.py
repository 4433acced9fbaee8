"""Linux system calls that isolation needs and Python lacks (before 3.12), through ctypes.

Loaded by file path in the fork server.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct

# From linux/sched.h, sys/mount.h, linux/prctl.h, linux/capability.h.
CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 32, 4096, 16384, 1 << 18
MNT_DETACH = 2
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_CAPBSET_DROP = 1, 4, 24
PR_SET_SECUREBITS, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 28, 36, 38
# NOROOT and NO_SETUID_FIXUP, each with its lock: user 0 of a user namespace gains nothing by executing a program.
SECUREBITS = 0b1111
CAPABILITY_VERSION_3 = 0x20080522
# Numbers of calls for which older C libraries have no function.
NUMBERS = {"x86_64": {"pivot_root": 155, "capset": 126}, "aarch64": {"pivot_root": 41, "capset": 91}}
MOUNT_SETATTR = 442  # the same on all architectures
AT_FDCWD, AT_RECURSIVE = -100, 0x8000

_libc = ctypes.CDLL(None, use_errno=True)


def _done(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def unshare(flags: int) -> None:
    """Puts this process (for CLONE_NEWPID: its next children) into new namespaces. Raises OSError when not allowed."""
    _done(_libc.unshare(flags), "unshare")


def setns(fd: int, kind: int) -> None:
    _done(_libc.setns(fd, kind), "setns")


def prctl(option: int, value: int = 0) -> None:
    nothing = ctypes.c_ulong(0)
    _done(_libc.prctl(option, ctypes.c_ulong(value), nothing, nothing, nothing), f"prctl {option}")


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    _done(
        _libc.mount(
            source.encode(),
            target.encode(),
            kind.encode() or None,
            ctypes.c_ulong(flags),
            data.encode() or None,
        ),
        f"mount {target}",
    )


def bind_read_only(source: str, target: str) -> None:
    """Mounts `source` at `target`, with everything mounted below it, read-only, without devices or setuid programs."""
    mount(source, target, flags=MS_BIND | MS_REC)
    attributes = struct.pack("QQQQ", MS_RDONLY | MS_NOSUID | MS_NODEV, 0, 0, 0)
    done = _libc.syscall(MOUNT_SETATTR, AT_FDCWD, target.encode(), AT_RECURSIVE, attributes, len(attributes))
    if done < 0:
        if ctypes.get_errno() != errno.ENOSYS:
            _done(done, f"mount_setattr {target}")
        # Before Linux 5.12: only the topmost mount, with the flags that it already has.
        kept = os.statvfs(target).f_flag & (MS_NOSUID | MS_NODEV | MS_NOEXEC)
        flags = MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | kept
        mount("", target, flags=flags)


def umount(target: str) -> None:
    _done(_libc.umount2(target.encode(), MNT_DETACH), f"umount {target}")


def pivot_root(new: str, old: str) -> None:
    _done(_libc.syscall(_number("pivot_root"), new.encode(), old.encode()), "pivot_root")


def bound_capabilities() -> None:
    """Keeps this process and its children from gaining a capability by executing a program. Needs CAP_SETPCAP."""
    for capability in range(64):
        try:
            prctl(PR_CAPBSET_DROP, capability)
        except OSError as error:
            if error.errno == errno.EINVAL:  # past the last one that this kernel knows
                break
            raise
    prctl(PR_SET_SECUREBITS, SECUREBITS)


def drop_capabilities() -> None:
    """Gives up every capability that this process has."""
    header = struct.pack("Ii", CAPABILITY_VERSION_3, 0)
    _done(_libc.syscall(_number("capset"), header, bytes(24)), "capset")


def _number(name: str) -> int:
    table = NUMBERS.get(platform.machine())
    if table is None:
        raise OSError(errno.ENOSYS, f"{name} is not known for {platform.machine()}")
    return table[name]
