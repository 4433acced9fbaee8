"""Commands that train the reference: `figures` and `sweep`."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import rich.progress
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn

from autograder.cli import UNUSABLE
from autograder.reports.files import write_atomically

if TYPE_CHECKING:
    from autograder.study.abreast import Job
    from autograder.study.runs import Progress
    from autograder.study.sources import Digits, Photographs

QUICK_DIGITS, QUICK_ACTMAX = 1400, 50
QUICK_PHOTOGRAPHS = 640, 8  # training images, test images

DATA = click.option(
    "--data",
    "root",
    type=click.Path(path_type=Path),
    metavar="ROOT",
    help="The folder with MNIST/raw and cifar-10-batches-py; what is missing there is downloaded.",
)
OFFLINE = click.option("--offline", is_flag=True, help="Train on the embedded data, which need no download.")
DEVICE = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="Where to train; auto: on a GPU where there is one.",
)
JOBS = click.option(
    "--jobs",
    type=click.IntRange(1),
    help="Trainings side by side. Default: on a CPU one for each core, at most 4; on a GPU one.",
)


@click.command("figures")
@DATA
@OFFLINE
@DEVICE
@click.option("--quick", is_flag=True, help="Few images and two epochs: to see that all of it works.")
@click.option("--only", type=click.Choice(["digits", "photographs"]), help="One of the two problems.")
@click.option("--epochs", type=click.IntRange(1), default=25, show_default=True, help="Epochs of the DCGANs.")
@click.option("--seed", type=int, default=42, show_default=True)
@JOBS
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("figures"), show_default=True, metavar="DIR"
)
def figures_command(
    root: Path | None,
    offline: bool,
    device: str,
    quick: bool,
    only: str | None,
    epochs: int,
    seed: int,
    jobs: int | None,
    out: Path,
) -> None:
    """Trains the reference as the handout says and writes every figure, and a table of final losses, into DIR.

    DIR gets a PNG for each figure, table.md and table.json (final losses beside the handout's own), and checkpoints/, from
    which an interrupted run goes on.

    \b
    Examples:
      python -m autograder figures --offline --quick
      python -m autograder figures --data ~/data --device cuda

    Exit status: 0 when all is written; 1 when a loss is neither where the handout has it nor where other
    seeds end; 2 when the data cannot be had.
    """
    from autograder.study import abreast, handout, plots, runs, sources, tables, training
    from autograder.study.reference import modules

    click.get_current_context().with_resource(training.small_numbers_as_zero())
    chosen = _device(device)
    _check(root)
    outcomes: list[runs.Outcome] = []
    count = 0
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    given: dict[str, Any] = {"device": chosen, "folder": out / "checkpoints"}

    def write(drawn: plots.Drawn) -> None:
        nonlocal count
        for name, figure in drawn:
            out.mkdir(parents=True, exist_ok=True)
            figure.savefig(out / f"{name}.png", dpi=110)
            count += 1

    try:
        if only != "photographs":
            tuned = float(modules().vae.BETA)
            load = partial(_digits, root, offline, quick)
            data = load()
            plans = [runs.shortened(p) if quick else p for p in runs.digit_plans(tuned)]
            console.print(escape(f"{data.name}: {len(data.images)} training images, on {chosen}"))
            options = {**given, "longer": 2 if quick else runs.LONGER}
            with _bars(console) as told:
                trainings = [abreast.Job(p, seed) for p in plans]
                tell = _ahead(trainings, load, partial(runs.train_digits, **options), jobs, chosen, told)
                trained = [runs.train_digits(p, data, progress=tell, seed=seed, **options) for p in plans]
                done = {o.plan.name: runs.measure_digits(o, data, chosen, seed) for o in trained}
            outcomes += done.values()
            write(plots.of_digits(data, done, chosen, tuned))
        if only != "digits":
            load_photographs = partial(_photographs, root, offline, quick)
            photographs = load_photographs()
            console.print(
                escape(f"{photographs.name}: {len(photographs.images)} training images, on {chosen}")
            )
            plans = runs.photograph_plans(2 if quick else epochs)
            with _bars(console) as told:
                trainings = [abreast.Job(p, seed) for p in plans]
                train = partial(runs.train_photographs, **given)
                tell = _ahead(trainings, load_photographs, train, jobs, chosen, told)
                done = {
                    p.name: runs.run_photographs(p, photographs, progress=tell, seed=seed, **given)
                    for p in plans
                }
            outcomes += done.values()
            write(plots.of_photographs(photographs, done, QUICK_ACTMAX if quick else 500))
    except sources.NoData as error:
        click.echo(f"autograder: {error}; --offline trains on embedded data", err=True)
        sys.exit(UNUSABLE)
    compared = [] if quick else handout.compare(outcomes, offline)
    text = tables.markdown(outcomes, compared, chosen, seed)
    write_atomically(out / "table.md", text)
    write_atomically(
        out / "table.json", json.dumps(tables.table(outcomes, compared, chosen, seed), indent=1) + "\n"
    )
    click.echo(text)
    click.echo(f"{count} figures, table.md and table.json are in {out}")
    for c in compared:
        if not c.plausible:
            click.echo(
                f"autograder: {c.target.run}, {c.target.value}: {c.value:.4g} is not in {c.target.low:g} to {c.target.high:g}",
                err=True,
            )
    sys.exit(0 if all(c.plausible for c in compared) else 1)


@click.command("sweep")
@DATA
@OFFLINE
@DEVICE
@click.option("--epochs", type=click.IntRange(1), default=10, show_default=True)
@click.option("--seeds", type=click.IntRange(1), default=3, show_default=True, help="Runs of each beta.")
@JOBS
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("figures"), show_default=True, metavar="DIR"
)
def sweep_command(
    root: Path | None, offline: bool, device: str, epochs: int, seeds: int, jobs: int | None, out: Path
) -> None:
    """Trains VAEs over a logarithmic range of beta and derives the interval that question 1-6 accepts.

    DIR gets sweep.json and sweep.md (reconstruction, KL and the bound in nats, by beta), sweep.png (the curves) and
    sweep-samples.png (reconstructions and samples of each beta). An interrupted run goes on.
    """
    from autograder.study import runs, sources, sweep, training

    click.get_current_context().with_resource(training.small_numbers_as_zero())
    chosen = _device(device)
    _check(root)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    load = partial(_digits, root, offline, False)
    try:
        data = load()
    except sources.NoData as error:
        click.echo(f"autograder: {error}; --offline trains on embedded data", err=True)
        sys.exit(UNUSABLE)
    console.print(escape(f"{data.name}: {len(data.images)} training images, on {chosen}"))
    trainings = sweep.jobs(epochs, range(42, 42 + seeds))
    folder = out / "checkpoints"
    with _bars(console) as told:

        def as_one(_: str, total: int, done: int) -> None:
            told("sweep", total * len(trainings), done)

        train = partial(runs.train_digits, device=chosen, folder=folder)
        tell = _ahead(trainings, load, train, jobs, chosen, as_one)
        swept = sweep.run(data, chosen, trainings, folder, tell)
    click.echo(sweep.write(swept, data, chosen, out))


def _digits(root: Path | None, offline: bool, quick: bool) -> Digits:
    from autograder.study import sources

    data = sources.digits(root, offline)
    return data.cut(QUICK_DIGITS) if quick else data


def _photographs(root: Path | None, offline: bool, quick: bool) -> Photographs:
    from autograder.study import sources

    data = sources.photographs(root, offline)
    return data.cut(*QUICK_PHOTOGRAPHS) if quick else data


def _ahead(
    trainings: Sequence[Job],
    load: Callable[[], Any],
    train: Callable[..., object],
    jobs: int | None,
    device: str,
    progress: Progress,
) -> Progress:
    """Trains side by side, where there is room; returns what the rest is to tell its progress to."""
    from autograder.study import abreast

    workers = abreast.jobs_by_default(device) if jobs is None else jobs
    if workers == 1:
        return progress
    abreast.train_ahead(trainings, load, train, workers, progress)
    return lambda name, total, done: None


def _device(device: str) -> str:
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        click.echo("autograder: --device cuda: PyTorch finds no GPU here; use --device cpu", err=True)
        sys.exit(UNUSABLE)
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return device


def _check(root: Path | None) -> None:
    if root is not None and not root.is_dir():
        click.echo(f"autograder: {root}: no such folder; name the one with MNIST/raw in it", err=True)
        sys.exit(UNUSABLE)


@contextlib.contextmanager
def _bars(console: Console) -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar for each training, made when it is first told of; none where nobody watches."""
    bars = rich.progress.Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )
    tasks: dict[str, TaskID] = {}

    def tell(name: str, total: int, done: int) -> None:
        if name not in tasks:
            tasks[name] = bars.add_task(escape(name), total=total)
        bars.advance(tasks[name], done)

    with bars:
        yield tell


COMMANDS = {"figures": figures_command, "sweep": sweep_command}
