"""The sandbox on systems without fork: one fresh interpreter per question, requests on stdin, answers on stdout.

Run by file path: python -I spawned.py FOLDER PATHS.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path
from types import ModuleType


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def main() -> None:
    folder = Path(sys.argv[1])
    sys.path[:] = json.loads(sys.argv[2])
    # Prints of student code must not mix with answers: descriptors 0 and 1 are moved away before any of it runs.
    requests, answers = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(2, 1)
    if os.name == "nt":
        import msvcrt

        for fd in (requests, answers):
            msvcrt.setmode(fd, os.O_BINARY)  # type: ignore[attr-defined]
    os.chdir(folder)
    wire, child = load("wire"), load("child")
    load("without_compiler").unload()

    def write(data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(answers, view) :]

    child.run(lambda n: os.read(requests, n), write, wire, folder)


if __name__ == "__main__":
    main()
