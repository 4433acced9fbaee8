"""Runs a notebook of the assignment from top to bottom, in quick mode and on the embedded data."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
# The environment of a notebook's kernel: small, offline, and with this checkout's grader.
QUICK = {
    "GENERATIVE_QUICK": "1",
    "GENERATIVE_OFFLINE": "1",
    "PYTHONPATH": str(ROOT),
    "OMP_NUM_THREADS": "1",
}


def execute(
    folder: Path,
    name: str,
    target: Path,
    allow_errors: bool,
    timeout: float = 280,
    environment: dict[str, str] | None = None,
) -> list[Any]:
    """The code cells of a notebook after running it in a copy of its folder.

    timeout: seconds for one cell. environment: further variables of the kernel's environment.
    """
    import nbformat
    from nbclient import NotebookClient

    target.mkdir()
    for path in [*folder.glob("*.py"), *folder.glob("*.ipynb")]:
        shutil.copy(path, target)
    notebook = nbformat.read(target / name, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=timeout,
        kernel_name="python3",
        allow_errors=allow_errors,
        resources={"metadata": {"path": str(target)}},
    )
    client.execute(env={**os.environ, **QUICK, **(environment or {})})
    return [cell for cell in notebook.cells if cell.cell_type == "code"]
