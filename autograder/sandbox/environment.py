"""What a sandboxed interpreter is started with: environment variables, and where Python's packages are."""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
import time
from pathlib import Path

from autograder.sandbox.levels import Unavailable

SANDBOX = Path(__file__).parent
NEEDED = ("torch", "torchvision", "numpy", "safetensors")  # what children import, wherever it is installed


def clean_environment(folder: str) -> dict[str, str]:
    kept = {
        k: v
        for k, v in os.environ.items()
        if k.upper() in ("PATH", "SYSTEMROOT", "TEMP", "TMP", "LD_LIBRARY_PATH", "KMP_DUPLICATE_LIB_OK")
    }
    ours = {"MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "TORCHDYNAMO_DISABLE": "1"}
    return {**kept, "HOME": folder, "USERPROFILE": folder, **ours}


def new_folder(seconds: float = 90.0) -> Path:
    """A folder of its own for one child.

    Waits where none can be made: at `process` code can fill the disk, until its question ends and its files are removed.
    Raises Unavailable when that takes longer than any question may.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            return Path(tempfile.mkdtemp(prefix="box-")).resolve()
        except OSError as error:
            if time.monotonic() > deadline:
                raise Unavailable(
                    f"{tempfile.gettempdir()}: {error.strerror or error}; free some space there, or set"
                    " TMPDIR to another folder: student code runs in it"
                ) from None
        time.sleep(0.05)


def python_prefixes() -> list[str]:
    """The folders that hold Python and its installed packages."""
    found = {sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix}
    for name in NEEDED:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.origin:
            found.add(str(Path(spec.origin).parent.parent))
    return sorted({path for folder in found for path in (os.path.abspath(folder), os.path.realpath(folder))})


def import_paths() -> list[str]:
    """The entries of sys.path that hold installed packages: not the grader's own folder, nor the working directory."""
    prefixes = [Path(p) for p in python_prefixes()]
    own = {SANDBOX.parent.parent.resolve(), Path.cwd().resolve()}
    paths = [Path(p).absolute() for p in sys.path if p]
    return [
        str(p)
        for p in paths
        if p.resolve() not in own and any(p.is_relative_to(prefix) for prefix in prefixes)
    ]
