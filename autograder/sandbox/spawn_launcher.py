"""Children that are fresh interpreters, for systems without fork."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from autograder.sandbox.environment import SANDBOX, clean_environment, import_paths, new_folder
from autograder.sandbox.levels import Isolation, Limits

if TYPE_CHECKING:
    from autograder.sandbox.box import Box


class SpawnLauncher:
    """Starts a fresh interpreter per child, and one spare ahead, so that torch loads while the current one works."""

    isolation: Isolation = "process"
    same_user = True
    unable: Sequence[str] = ("full and user: they need Linux and fork",)

    def __init__(self) -> None:
        self._spare: tuple[subprocess.Popen[bytes], Path] | None = self._start()

    def box(self, limits: Limits) -> Box:
        process, folder = self._spare or self._start()
        self._spare = self._start()
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        ends = [os.dup(pipe.fileno()) for pipe in (process.stdin, process.stdout, process.stderr)]
        for pipe in (process.stdin, process.stdout, process.stderr):
            pipe.close()
        from autograder.sandbox.box import Box

        return Box(_Spawned(process), folder, *ends)

    def close(self) -> None:
        if self._spare is not None:
            process, folder = self._spare
            process.kill()
            process.communicate()
            shutil.rmtree(folder, ignore_errors=True)
            self._spare = None

    @staticmethod
    def _start() -> tuple[subprocess.Popen[bytes], Path]:
        folder = new_folder()
        process = subprocess.Popen(
            [sys.executable, "-I", str(SANDBOX / "spawned.py"), str(folder), json.dumps(import_paths())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=clean_environment(str(folder)),
            start_new_session=os.name != "nt",
        )
        return process, folder


class _Spawned:
    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def kill(self) -> None:
        if os.name != "nt":
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        with contextlib.suppress(OSError):
            self._process.kill()

    def lost(self) -> bool:
        return False

    def wait(self, seconds: float) -> int | None:
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
