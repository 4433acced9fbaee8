"""Everything that has to work on a GPU, in one command of at most eight minutes (`make gpu`): prints one table.

    python -m tests.experiments.gpu [--data ROOT] [--minutes 8] [--jobs N] [--part chaffs]... [--device cuda]

Parts: `check` and `grade` on the solutions; five wheats; every chaff about devices; both notebooks in quick mode; an epoch
of each training, next to the CPU's time. Each runs in a process of its own, which is stopped when the time is up.

Exit status: 0 when everything is as it must be, 1 when something is not, 2 without a GPU.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from autograder.support.processes import default_jobs
from tests.experiments import gpu_parts
from tests.experiments.gpu_parts import Row, Settings

ROOT = Path(__file__).resolve().parents[2]
# Seconds that a part may take at most, in the order in which they run.
LIMITS = {"check": 60, "grade": 60, "wheats": 120, "chaffs": 150, "notebooks": 150, "training": 150}
AS_ROWS = "--as-rows"  # how a part's own process is told to print rows for this one


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parsed(arguments)
    if options.device == "cuda" and not torch.cuda.is_available():
        print(f"No GPU that PyTorch {torch.__version__} can use on this machine: nothing was run.")
        return 2
    chosen = [part for part in LIMITS if part in options.part] or list(LIMITS)
    if options.as_rows:
        settings = Settings(options.device, options.data, options.jobs)
        for part in chosen:
            for row in gpu_parts.PARTS[part](settings):
                print(json.dumps(asdict(row)), flush=True)
        return 0
    end = time.monotonic() + 60 * options.minutes
    rows: list[Row] = []
    progress = Console(stderr=True)
    for part in chosen:
        if progress.is_terminal:
            progress.print(f"{part} ...")
        rows += _in_a_process(part, options, min(LIMITS[part], end - time.monotonic()))
    print(shown(rows, options.device))
    return 0 if rows and all(row.right for row in rows) else 1


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda", help="cpu: to try the command")
    parser.add_argument("--data", type=Path, help="folder with MNIST/raw and cifar-10-batches-py")
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--jobs", type=int, default=min(8, default_jobs()), help="gradings at the same time")
    parser.add_argument("--part", action="append", choices=list(LIMITS), default=[])
    parser.add_argument(AS_ROWS, action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def _in_a_process(part: str, options: argparse.Namespace, seconds: float) -> Iterator[Row]:
    """The rows of a part, and one more that says what is missing when its process fails or takes too long."""
    command = [sys.executable, "-m", "tests.experiments.gpu", AS_ROWS, "--part", part]
    command += ["--device", options.device, "--jobs", str(options.jobs)]
    if options.data is not None:
        command += ["--data", str(options.data.resolve())]
    if seconds <= 0:
        yield Row(part, "all", "runs", "no time left", False)
        return
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        output, errors = process.communicate(timeout=seconds)
        failed = _last_line(errors) if process.returncode else ""
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        failed = f"stopped after {seconds:.0f} s"
    for line in output.splitlines():
        if line.startswith("{"):
            yield Row(**json.loads(line))
    if failed:
        yield Row(part, "the rest", "runs", failed, False)


def _last_line(text: str) -> str:
    return next((line for line in reversed(text.splitlines()) if line.strip()), "no message")


def shown(rows: Sequence[Row], device: str) -> str:
    """The rows as one table."""
    name = torch.cuda.get_device_name() if device == "cuda" else "the CPU"
    table = Table(title=f"On {name}, PyTorch {torch.__version__}", title_justify="left")
    for column in ("part", "what", "must be", "is", "", "seconds", "on the CPU"):
        table.add_column(column, overflow="fold", justify="right" if "seconds" in column else "left")
    for row in rows:
        table.add_row(
            row.part,
            row.what,
            row.wanted,
            row.seen,
            "right" if row.right else "WRONG",
            _seconds(row.seconds),
            _seconds(row.cpu_seconds),
        )
    console = Console(width=132, highlight=False, markup=False)
    with console.capture() as capture:
        console.print(table)
    wrong = sum(not row.right for row in rows)
    return f"{capture.get()}{len(rows) - wrong} right, {wrong} wrong"


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


if __name__ == "__main__":
    sys.exit(main())
