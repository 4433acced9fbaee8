"""What checking, grading, a sandbox and training cost, as ratios measured in one run: `make bench` writes bench.json.

No time here is a pass mark: machines differ. All ways run one after the other in each round; a ratio is taken within a
round, and the median over the rounds is reported. (The part `class` runs once, and takes differences over many submissions.)

    python -m tests.experiments.bench [--only check,grading,class,host,sandbox,training] [--data ROOT] [--device D] [--rounds 3]
        [--out bench.json]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from autograder.generative.study import sources, tables, training
from autograder.grading import sandboxed
from autograder.sandbox import without_compiler
from autograder.sandbox.launch import Limits, launcher
from autograder.support.files import write_atomically
from autograder.support.processes import default_jobs
from tests.experiments import bench_class, bench_host, bench_training, big_class

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("check", "grading", "class", "host", "sandbox", "training")
PAIRED = "two side by side"
TITLES = {"ae": "AE, epoch", "vae": "VAE, epoch", "dcgan": "DCGAN, 40 iterations"}
# Images in a round; small sets are repeated to reach the number.
COUNTS = {"ae": 60_000, "vae": 60_000, "dcgan": 5_120}
GRADED = 6
CLASS = ("a class, per submission", "a class, computing per submission", "memory of a judge")

Ways = Mapping[str, Callable[[], object]]


def measure(
    ways: Ways, rounds: int, base: str, shares: Mapping[str, int] | None = None
) -> dict[str, dict[str, float]]:
    """Seconds and ratio to `base`, by way: medians over the rounds, after a round to warm up that does not count.

    shares: by way, how many equal things it does at once; its seconds are divided by that.
    """
    took: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in ways.items():
            began = time.perf_counter()
            way()
            if number:
                took[name].append((time.perf_counter() - began) / (shares or {}).get(name, 1))
    return {
        name: {
            "seconds": statistics.median(times),
            "ratio": statistics.median(t / b for t, b in zip(times, took[base], strict=True)),
        }
        for name, times in took.items()
    }


def _run(*arguments: str) -> Callable[[], object]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def run() -> None:
        subprocess.run(
            [sys.executable, *arguments], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, check=True
        )

    return run


def checks(rounds: int) -> dict[str, dict[str, float]]:
    """`check` on the solutions (the public checks of all questions), against the import of torch, its lower bound."""
    base = "python -c 'import torch'"
    ways = {base: _run("-c", "import torch"), "check": _run("-m", "autograder", "check", "solutions")}
    ways["check -q 1-4"] = _run("-m", "autograder", "check", "solutions", "-q", "1-4")
    with bench_host.watching("1-4") as save:
        ways["check -q 1-4 --watch, from a save to the verdict"] = save
        return measure(ways, rounds, base)


def grading(rounds: int) -> dict[str, dict[str, float]]:
    """A full grading of the solutions in a warm judge, against the time that it spends waiting for student code."""
    with tempfile.TemporaryDirectory() as name:
        paths = [Path(name) / f"copy-{i}" for i in range(GRADED)]
        for path in paths:
            shutil.copytree(ROOT / "solutions", path, ignore=shutil.ignore_patterns("*.ipynb", "notebooks"))
        found = [big_class.inside(paths) for _ in range(rounds)]
    whole, inside = (statistics.median(values) / GRADED for values in zip(*found, strict=True))
    ratio = statistics.median(whole / inside for whole, inside in found)
    return {
        "inside student code": {"seconds": inside, "ratio": 1.0},
        "full grading": {"seconds": whole, "ratio": ratio},
    }


def on_host(rounds: int) -> dict[str, dict[str, float]]:
    """Grading the solutions from the start of a process, here and as on the host, beside Otter and plain pytest."""
    base = "python -c 'import torch'"
    with bench_host.from_nothing() as ways:
        return measure({base: _run("-c", "import torch"), **ways}, rounds, base)


def sandboxes(rounds: int) -> dict[str, dict[str, float]]:
    """A fresh sandbox with torch loaded, until its first answer, against fresh interpreters."""
    boxes = launcher()
    code = {"kit": sandboxed._compiled("kit", "standing_in = set()\ndevice = 'cpu'\n")}
    request: dict[str, Any] = {
        "op": "prepare",
        "files": {},
        "empty": [],
        "code": code,
        "kit": "kit",
        "device": "cpu",
    }
    request |= {"probes": [], "replaced": [], "stand_ins": {}, "own": []}

    def fresh() -> None:
        box = boxes.box(Limits())
        assert "ok" in box.request(request, 30.0)
        box.close()

    base = f"fresh sandbox ({boxes.isolation})"
    ways: Ways = {
        base: fresh,
        "python -c pass": _run("-c", "pass"),
        "python -c 'import torch'": _run("-c", "import torch"),
    }
    try:
        return measure(ways, 2 * rounds, base)  # they are short
    finally:
        boxes.close()


def trainings(
    rounds: int, root: Path | None, device: str
) -> Iterator[tuple[str, dict[str, dict[str, float]]]]:
    """An epoch of the auto-encoder and of the VAE, and a pass of the DCGAN, in several ways: titles and measurements.

    On a CPU, (a) and ours are also trained in pairs, each with half of the threads, as `figures` does; the seconds are then
    half of the pair's.
    """
    for kind, title in TITLES.items():
        given = kind, root, device, COUNTS[kind]
        names = list(_ways(*given))
        with contextlib.ExitStack() as pools:
            ways = {name: _apart(pools, name, 1, *given) for name in names}
            pairs = (
                {}
                if device == "cuda"
                else {f"{n}, {PAIRED}": n for n in (bench_training.HANDOUT, bench_training.OURS)}
            )
            ways.update({pair: _apart(pools, name, 2, *given) for pair, name in pairs.items()})
            yield title, measure(ways, rounds, bench_training.BARE, dict.fromkeys(pairs, 2))


def _ways(kind: str, root: Path | None, device: str, count: int) -> bench_training.Rounds:
    offline = root is None
    if kind == "dcgan":
        return bench_training.photographs(_filled(sources.photographs(root, offline).images, count), device)
    digits = sources.digits(root, offline)
    return bench_training.digits(kind, _filled(digits.images, count), _filled(digits.labels, count), device)


def _apart(pools: contextlib.ExitStack, name: str, copies: int, *given: Any) -> Callable[[], object]:
    """Runs one way in a new process, or in several at once: threads keep the mode of denormals that they start in."""
    context = multiprocessing.get_context("spawn")
    arguments = multiprocessing.get_start_method(), max(1, default_jobs() // copies), name, *given
    own = [ProcessPoolExecutor(1, context, _prepare, arguments) for _ in range(copies)]
    for pool in own:
        pools.enter_context(pool)

    def run() -> None:
        for future in [pool.submit(_go) for pool in own]:
            future.result()

    return run


_prepared: list[Callable[[], object]] = []


def _prepare(
    start: str, threads: int, name: str, kind: str, root: Path | None, device: str, count: int
) -> None:
    # Data loaders start their workers as in a program started by hand.
    multiprocessing.set_start_method(start, force=True)
    if name == bench_training.OURS:  # as `figures` does
        training.flushing_denormals().__enter__()
    torch.set_num_threads(threads)
    without_compiler.unload()  # it takes seconds, and nothing is compiled
    _prepared.append(_ways(kind, root, device, count)[name])


def _go() -> None:
    _prepared[0]()


def _filled(values: torch.Tensor, count: int) -> torch.Tensor:
    return torch.cat([values] * -(-count // len(values)))[:count].contiguous()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default=",".join(PARTS), help="parts, separated by commas")
    parser.add_argument(
        "--data", type=Path, default=None, help="folder of the real data (default: the embedded data)"
    )
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("bench.json"))
    options = parser.parse_args(arguments)
    wanted = options.only.split(",")
    if unknown := set(wanted) - set(PARTS):
        parser.error(f"--only {', '.join(sorted(unknown))}: the parts are {', '.join(PARTS)}")
    made: dict[str, Callable[[], Iterator[tuple[str, Any]]]] = {
        "check": lambda: iter([("check", checks(options.rounds))]),
        "grading": lambda: iter([("grading, per submission", grading(options.rounds))]),
        "class": lambda: iter(zip(CLASS, bench_class.by_judges(), strict=True)),
        "host": lambda: iter([("one submission, from nothing", on_host(options.rounds))]),
        "sandbox": lambda: iter([("sandbox", sandboxes(options.rounds))]),
        "training": lambda: trainings(options.rounds, options.data, options.device),
    }
    console, found = Console(highlight=False, soft_wrap=True), {}
    for part in wanted:
        with console.status(f"measuring: {part}"):
            for title, ways in made[part]():
                found[title] = ways
                unit = next(iter(next(iter(ways.values()))))  # seconds, or MB
                table = Table("way", unit, "ratio", title=title)
                for name, numbers in ways.items():
                    table.add_row(name, f"{numbers[unit]:.3f}", f"{numbers['ratio']:.3f}")
                console.print(table)
    record = {"machine": tables.machine(options.device), "cores": os.cpu_count(), "rounds": options.rounds}
    write_atomically(options.out, json.dumps({**record, "measured": found}, indent=1) + "\n")
    console.print(f"The same is in {options.out}", markup=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
