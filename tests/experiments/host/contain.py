"""Runs a program as root of a container that has no right to make namespaces: python contain.py SANDBOX_FOLDER PROGRAM ...

Rights and refused system calls are like Docker's defaults, as far as they matter here. Runs inside the image, without the tests.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

# CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID, SETPCAP, NET_BIND_SERVICE, NET_RAW, SYS_CHROOT, MKNOD,
# AUDIT_WRITE and SETFCAP
KEPT = {0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31}
PR_CAPBSET_READ, PR_CAPBSET_DROP = 23, 24


def load(folder: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"_{name}", folder / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if not load(Path(sys.argv[1]), "syscalls").install(network=True):
        sys.exit("contain: system calls cannot be filtered on this machine")
    for number in range(64):
        if number not in KEPT and libc.prctl(PR_CAPBSET_READ, number, 0, 0, 0) == 1:
            libc.prctl(PR_CAPBSET_DROP, number, 0, 0, 0)
    os.execv(sys.argv[2], sys.argv[2:])


if __name__ == "__main__":
    main()
