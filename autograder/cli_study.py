"""Commands that train the reference: `figures` and `sweep`."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from autograder.cli import UNUSABLE
from autograder.reports.files import write_atomically

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


@click.command("figures")
@DATA
@OFFLINE
@DEVICE
@click.option("--quick", is_flag=True, help="Few images and two epochs: to see that all of it works.")
@click.option("--only", type=click.Choice(["digits", "photographs"]), help="One of the two problems.")
@click.option("--epochs", type=click.IntRange(1), default=25, show_default=True, help="Epochs of the DCGANs.")
@click.option("--seed", type=int, default=42, show_default=True)
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
    from autograder.study import handout, plots, runs, sources, tables
    from autograder.study.reference import modules

    chosen = _device(device)
    _check(root)
    outcomes: list[runs.Outcome] = []
    count = 0
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    checkpoints = out / "checkpoints"

    def write(drawn: plots.Drawn) -> None:
        nonlocal count
        for name, figure in drawn:
            out.mkdir(parents=True, exist_ok=True)
            figure.savefig(out / f"{name}.png", dpi=110)
            count += 1

    try:
        if only != "photographs":
            tuned = float(modules().vae.BETA)
            data = sources.digits(root, offline)
            plans = runs.digit_plans(tuned)
            if quick:
                data, plans = data.cut(QUICK_DIGITS), [runs.shortened(p) for p in plans]
            console.print(escape(f"{data.name}: {len(data.images)} training images, on {chosen}"))
            with _bars(console) as progress:
                longer = 2 if quick else runs.LONGER
                done = {
                    p.name: runs.run_digits(p, data, chosen, checkpoints, progress, seed, longer)
                    for p in plans
                }
            outcomes += done.values()
            write(plots.of_digits(data, done, chosen, tuned))
        if only != "digits":
            photographs = sources.photographs(root, offline)
            if quick:
                photographs, epochs = photographs.cut(*QUICK_PHOTOGRAPHS), 2
            console.print(
                escape(f"{photographs.name}: {len(photographs.images)} training images, on {chosen}")
            )
            plans = runs.photograph_plans(epochs)
            with _bars(console) as progress:
                done = {
                    p.name: runs.run_photographs(p, photographs, chosen, checkpoints, progress, seed)
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
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("figures"), show_default=True, metavar="DIR"
)
def sweep_command(root: Path | None, offline: bool, device: str, epochs: int, seeds: int, out: Path) -> None:
    """Trains VAEs over a logarithmic range of beta and derives the interval that question 1-6 accepts.

    DIR gets sweep.json and sweep.md (reconstruction, KL and the bound in nats, by beta), sweep.png (the curves) and
    sweep-samples.png (reconstructions and samples of each beta). An interrupted run goes on.
    """
    from autograder.study import sources, sweep

    chosen = _device(device)
    _check(root)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        data = sources.digits(root, offline)
    except sources.NoData as error:
        click.echo(f"autograder: {error}; --offline trains on embedded data", err=True)
        sys.exit(UNUSABLE)
    console.print(escape(f"{data.name}: {len(data.images)} training images, on {chosen}"))
    with _bars(console) as progress:
        swept = sweep.run(data, chosen, epochs, range(42, 42 + seeds), out, progress)
    click.echo(sweep.write(swept, data, chosen, out))


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
    bars = Progress(
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
