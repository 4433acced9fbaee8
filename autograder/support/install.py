"""Installs packages, with the PyTorch that fits this machine: for the CPU where there is no GPU.

    python autograder/support/install.py -c constraints.txt -e ".[dev]"

It is run by its path before anything is installed, so it needs the standard library alone. The arguments are those of
`pip install`. PyTorch's builds lie on an index of their own, which uv chooses (`--torch-backend auto`); where that index cannot
be reached, the default one is used, whose build for Linux brings the CUDA libraries. TORCH_BACKEND chooses by hand: cpu, cu128
(and so on), or pypi for the default index.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

DEFAULT_INDEX = "pypi"


def main(packages: Sequence[str]) -> int:
    """Installs `packages` for this Python; returns an exit status."""
    began = time.monotonic()
    python = [sys.executable, "-m"]
    pip = [*python, "pip", "install", "--disable-pip-version-check"]
    uv = [*python, "uv", "pip", "install", "--python", sys.executable]
    if importlib.util.find_spec("uv") is None:
        _run([*pip, "--quiet", *_constraints(packages), "uv"])
        importlib.invalidate_caches()
    chosen = os.environ.get("TORCH_BACKEND", "").strip().lower()
    if chosen and chosen != DEFAULT_INDEX:
        done = _run([*uv, "--torch-backend", chosen, *packages])
        if not done:
            print(
                f"With TORCH_BACKEND={chosen} the packages could not be installed. TORCH_BACKEND={DEFAULT_INDEX} takes the default "
                "PyTorch."
            )
    else:
        done = not chosen and _run([*uv, "--torch-backend", "auto", *packages], UV_HTTP_RETRIES="1")
        if not done and not chosen:
            print(
                "That did not work; perhaps PyTorch's own index cannot be reached. Installing the default PyTorch, which on Linux "
                "is large (about 5 GB) ..."
            )
        if not done:
            done = _run([*uv, *packages])
        if not done:
            print("uv could not install the packages; continuing with pip ...")
            done = _run([*pip, *packages])
    if done:
        print(f"Installed in {time.monotonic() - began:.0f} s{_size()}.")
    return 0 if done else 1


def _run(command: list[str], **defaults: str) -> bool:
    """Whether a command succeeds. defaults: variables of its environment where they are not set."""
    sys.stdout.flush()
    return subprocess.run(command, env={**defaults, **os.environ}, check=False).returncode == 0


def _constraints(packages: Sequence[str]) -> list[str]:
    """The constraints among arguments for pip."""
    return [part for at, part in enumerate(packages) if part == "-c" or packages[max(at - 1, 0)] == "-c"]


def _size() -> str:
    """How large the environment is, in words; nothing outside of a virtual environment, where other things lie too."""
    if sys.prefix == sys.base_prefix:
        return ""
    try:
        size = sum(path.lstat().st_size for path in Path(sys.prefix).rglob("*") if path.is_file())
    except OSError:
        return ""
    return f"; {Path(sys.prefix).name} takes {size / 1e9:.1f} GB"


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit("Stopped. Run the command again to continue.")
