"""A process that checks for a notebook. It stays between checks, so that a notebook waits for PyTorch once only.

`python -m autograder.notebook.checking` reads requests from stdin, a JSON object in each line, and answers on stdout:
    {"path": "...", "questions": ["1-4"]}  ->  {"result": {...}} or {"error": "one line"}
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from autograder.model.verdicts import Result
from autograder.support.processes import NO_GPU

ROOT = Path(__file__).resolve().parents[2]  # the folder that holds the package
IDLE = 300.0  # seconds without a check after which the process ends: it holds about a gigabyte of memory


class Checker:
    """The checking process of this kernel: started at the first check, and again when it has ended."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # of a notebook's threads, one checks at a time
        self._process: subprocess.Popen[str] | None = None
        self._errors: IO[bytes] | None = None
        self._timer: threading.Timer | None = None

    def check(self, folder: Path, questions: Sequence[str]) -> Result | str:
        """The result of the public checks of these questions (none: all), or one line that says why there is none."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            try:
                answer = self._ask({"path": str(folder.resolve()), "questions": list(questions)})
            except (
                BaseException
            ):  # a cell that is interrupted too: the answer would be taken for the next one's
                self._end()
                raise
            self._timer = threading.Timer(IDLE, self.close)
            self._timer.daemon = True
            self._timer.start()
        try:
            return str(answer["error"]) if "error" in answer else Result.from_json(answer["result"])
        except (KeyError, ValueError):
            return "the check gave no result; check again"

    def close(self) -> None:
        """Ends the process; the next check starts a new one."""
        with self._lock:
            self._end()

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        if self._process is None or self._process.poll() is not None:
            self._end()
            self._start()
        process = self._process
        assert process is not None and process.stdin is not None and process.stdout is not None
        with contextlib.suppress(OSError):  # it has ended
            process.stdin.write(f"{json.dumps(request)}\n")
            process.stdin.flush()
        line = process.stdout.readline()
        if line.endswith("\n"):
            answer: dict[str, Any] = json.loads(line)
            return answer
        status, said = process.wait(), self._last_line()
        self._end()
        return {"error": said or f"the check ended with status {status} and no result"}

    def _start(self) -> None:
        # From the package's own folder: a student's random.py in the working directory must not shadow a module.
        paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (it is read when the process has ended)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "autograder.notebook.checking"],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUTF8": "1", **NO_GPU},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,  # what interrupts the notebook does not reach it
        )

    def _last_line(self) -> str:
        """The last line that the process wrote to stderr."""
        if self._errors is None:
            return ""
        self._errors.seek(0)
        lines = self._errors.read().decode("utf-8", "replace").strip().splitlines()
        return lines[-1].removeprefix("autograder: ") if lines else ""

    def _end(self) -> None:
        process, errors, self._process, self._errors = self._process, self._errors, None, None
        if process is not None:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                with contextlib.suppress(OSError):  # of what was never sent
                    assert stream is not None
                    stream.close()
        if errors is not None:
            errors.close()


def serve() -> None:
    """Answers requests until stdin is closed."""
    # Nothing that is started here, and no library, may read requests or write between answers.
    requests = os.fdopen(os.dup(0), encoding="utf-8")
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    for line in requests:
        answers.write(f"{json.dumps(_answer(json.loads(line)))}\n")
        answers.flush()


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    from autograder.grading import judge
    from autograder.submissions.intake import UnusableSubmission

    try:
        result = judge.check(Path(request["path"]), tuple(request["questions"]) or None)
    except (UnusableSubmission, RuntimeError, ValueError) as error:
        return {"error": str(error)}
    return {"result": result.to_json()}


if __name__ == "__main__":
    try:
        serve()
    except ModuleNotFoundError as error:
        sys.exit(f"autograder: the package {error.name} is not installed")
