"""The commands that train the reference: `figures` and `sweep`."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar

import click
import rich.progress
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn

from autograder.support.files import write_atomically

if TYPE_CHECKING:
    from .parallel import Job
    from .plots import Drawn
    from .runs import Outcome, Progress
    from .sources import Digits, Photographs

# What --quick trains on.
QUICK_DIGITS, QUICK_ACTMAX = 1400, 50
QUICK_PHOTOGRAPHS = 640, 8  # training images, test images

DATA = click.option(
    "--data",
    "root",
    type=click.Path(path_type=Path),
    metavar="ROOT",
    help="The folder with MNIST/raw and cifar-10-batches-py; what is missing there is downloaded.",
)
OFFLINE = click.option("--offline", is_flag=True, help="Train on the embedded data, without a download.")
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
OUT = click.option(
    "--out", type=click.Path(path_type=Path), default=Path("figures"), show_default=True, metavar="DIR"
)


class Failure(click.ClickException):
    """Ends a command with exit status 1 and one line that says why."""

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(f"autograder: {self.message}", file=file, err=file is None)


class Unusable(Failure):
    """An option or the data cannot be used."""

    exit_code = 2


@click.command
@DATA
@OFFLINE
@DEVICE
@click.option("--quick", is_flag=True, help="Few images and one or two epochs, to see that everything works.")
@click.option(
    "--only",
    type=click.Choice(["digits", "photographs", "generator"]),
    help="One of the two problems; or the trained generator that every copy of the assignment holds.",
)
@click.option("--epochs", type=click.IntRange(1), default=25, show_default=True, help="Epochs of the DCGANs.")
@click.option("--seed", type=int, default=42, show_default=True)
@JOBS
@OUT
def figures(
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
    """Trains the reference as the handout says; writes every figure and a table of final losses into DIR.

    DIR gets a PNG for each figure, table.md and table.json (final losses beside the handout's), and checkpoints/, from
    which an interrupted run resumes. With --only generator it gets trained_generator.safetensors instead of figures.

    \b
    Examples:
      python -m autograder figures --offline --quick
      python -m autograder figures --data ~/data --device cuda

    Exit status: 0 when everything is written; 1 when a loss is neither in the handout's range nor where other
    seeds end; 2 when the data are unavailable.
    """
    from . import handout, tables, training

    click.get_current_context().with_resource(training.flushing_denormals())
    how = Options(_existing(root), offline, quick, _usable(device), seed, jobs, out)
    outcomes: list[Outcome] = []
    if only in (None, "digits"):
        outcomes += _figures_of_digits(how)
    if only in (None, "photographs"):
        outcomes += _figures_of_photographs(how, epochs)
    if only == "generator":
        outcomes += _trained_generator(how, epochs)
    compared = [] if quick else handout.compare(outcomes, offline)
    text = tables.markdown(outcomes, compared, how.device, seed)
    record = tables.table(outcomes, compared, how.device, seed)
    write_atomically(out / "table.md", text)
    write_atomically(out / "table.json", json.dumps(record, indent=1) + "\n")
    click.echo(text)
    made = "The trained generator" if only == "generator" else "The figures"
    click.echo(f"{made}, table.md and table.json are in {out}")
    outside = [c for c in compared if not c.plausible]
    if outside:
        raise Failure("; ".join(c.complaint for c in outside))


@click.command
@DATA
@OFFLINE
@DEVICE
@click.option("--epochs", type=click.IntRange(1), default=10, show_default=True)
@click.option("--seeds", type=click.IntRange(1), default=3, show_default=True, help="Runs of each beta.")
@JOBS
@OUT
def sweep(
    root: Path | None, offline: bool, device: str, epochs: int, seeds: int, jobs: int | None, out: Path
) -> None:
    """Trains VAEs over a logarithmic range of beta and derives the interval that question 1-6 accepts.

    DIR gets sweep.json and sweep.md (reconstruction, KL and the bound in nats, by beta), sweep.png (the curves) and
    sweep-samples.png (reconstructions and samples of each beta). An interrupted run resumes.
    """
    from . import runs, training
    from . import sweep as study

    click.get_current_context().with_resource(training.flushing_denormals())
    how = Options(_existing(root), offline, False, _usable(device), runs.SEED, jobs, out)
    data = _loaded(how.load_digits, how)
    trainings = study.jobs(epochs, range(runs.SEED, runs.SEED + seeds))
    train = partial(runs.train_digits, device=how.device, folder=how.checkpoints)
    with _bars(how.console) as bars:

        def one_bar(_: str, total: int, done: int) -> None:
            bars("sweep", total * len(trainings), done)

        progress = _train_ahead(trainings, how.load_digits, train, how, one_bar)
        swept = study.run(data, how.device, trainings, how.checkpoints, progress)
    click.echo(study.write(swept, data, how.device, out))


@dataclass(frozen=True)
class Options:
    """The options of a command, and what follows from them."""

    root: Path | None
    offline: bool
    quick: bool
    device: str
    seed: int
    jobs: int | None
    out: Path

    @property
    def checkpoints(self) -> Path:
        return self.out / "checkpoints"

    @property
    def load_digits(self) -> Callable[[], Digits]:
        """Returns a function that other processes can run too."""
        return partial(_digits, self.root, self.offline, self.quick)

    @property
    def load_photographs(self) -> Callable[[], Photographs]:
        return partial(_photographs, self.root, self.offline, self.quick)

    @cached_property
    def console(self) -> Console:
        """Writes to the standard error stream of now: `runs.fit_epoch` diverts it for a while."""
        return Console(file=sys.stderr, highlight=False, soft_wrap=True)


def _figures_of_digits(how: Options) -> list[Outcome]:
    """Trains and measures the models of Problem 1, and writes their figures."""
    from . import plots, runs
    from .parallel import Job
    from .reference import modules

    tuned = float(modules().vae.BETA)
    data = _loaded(how.load_digits, how)
    plans = [runs.shortened(p) if how.quick else p for p in runs.digit_plans(tuned)]
    longer = 2 if how.quick else runs.LONGER
    train = partial(runs.train_digits, device=how.device, folder=how.checkpoints, longer=longer)
    with _bars(how.console) as bars:
        progress = _train_ahead([Job(p, how.seed) for p in plans], how.load_digits, train, how, bars)
        trained = [train(p, data, progress=progress, seed=how.seed) for p in plans]
        outcomes = [runs.measure_digits(outcome, data, how.device, how.seed) for outcome in trained]
    _write(plots.of_digits(data, {o.plan.name: o for o in outcomes}, how.device, tuned), how.out)
    return outcomes


def _figures_of_photographs(how: Options, epochs: int) -> list[Outcome]:
    """Trains and measures the DCGANs of Problem 2, and writes their figures."""
    from . import plots, runs
    from .parallel import Job

    data = _loaded(how.load_photographs, how)
    plans = runs.photograph_plans(2 if how.quick else epochs)
    given: dict[str, Any] = {"device": how.device, "folder": how.checkpoints}
    train = partial(runs.train_photographs, **given)
    with _bars(how.console) as bars:
        progress = _train_ahead([Job(p, how.seed) for p in plans], how.load_photographs, train, how, bars)
        outcomes = [runs.run_photographs(p, data, progress=progress, seed=how.seed, **given) for p in plans]
    named = {o.plan.name: o for o in outcomes}
    _write(plots.of_photographs(data, named, QUICK_ACTMAX if how.quick else 500), how.out)
    return outcomes


def _trained_generator(how: Options, epochs: int) -> list[Outcome]:
    """Trains the DCGAN and writes the file with its generator, whose losses are printed beside those of untrained ones."""
    from . import runs, shipped

    data = _loaded(how.load_photographs, how)
    plan = runs.photograph_plans(2 if how.quick else epochs)[0]
    with _bars(how.console) as bars:
        outcome = runs.run_photographs(plan, data, how.device, how.checkpoints, bars, how.seed)
    notes = {
        "generator": f"Generator(64), trained by DCGAN.fit on {data.name}",
        "training": f"{len(data.images)} images, {plan.epochs} epochs, seed {how.seed}",
        "made with": f"python -m autograder figures --only generator --epochs {plan.epochs} --seed {how.seed}",
    }
    path = shipped.write(outcome.model._generator, notes, how.out)
    seeds = shipped.UNTRAINED_SEEDS[:1] if how.quick else shipped.UNTRAINED_SEEDS
    click.echo(shipped.table(shipped.losses(path, seeds)))
    return [outcome]


def _write(drawn: Drawn, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for name, figure in drawn:
        figure.savefig(out / f"{name}.png", dpi=110)


Data = TypeVar("Data", "Digits", "Photographs")


def _loaded(load: Callable[[], Data], how: Options) -> Data:
    """The data, announced on the console. Raises Unusable when they are unavailable."""
    from .sources import NoData

    try:
        data = load()
    except NoData as error:
        raise Unusable(f"{error}; --offline trains on embedded data") from None
    how.console.print(escape(f"{data.name}: {len(data.images)} training images, on {how.device}"))
    return data


def _digits(root: Path | None, offline: bool, quick: bool) -> Digits:
    from . import sources

    data = sources.digits(root, offline)
    return data.cut(QUICK_DIGITS) if quick else data


def _photographs(root: Path | None, offline: bool, quick: bool) -> Photographs:
    from . import sources

    data = sources.photographs(root, offline)
    return data.cut(*QUICK_PHOTOGRAPHS) if quick else data


def _train_ahead(
    trainings: Sequence[Job],
    load: Callable[[], Any],
    train: Callable[..., object],
    how: Options,
    progress: Progress,
) -> Progress:
    """Trains side by side, with more than one job; returns the progress function for whatever is left to train."""
    from . import parallel

    workers = parallel.default_workers(how.device) if how.jobs is None else how.jobs
    if workers == 1:
        return progress
    parallel.train_ahead(trainings, load, train, workers, progress)
    return lambda name, total, done: None


def _usable(device: str) -> str:
    """The device to train on. Raises Unusable when there is no GPU to use."""
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise Unusable("--device cuda: PyTorch finds no GPU on this machine; use --device cpu")
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return device


def _existing(root: Path | None) -> Path | None:
    if root is not None and not root.is_dir():
        raise Unusable(f"{root}: no such folder; give --data the folder that holds MNIST/raw")
    return root


@contextlib.contextmanager
def _bars(console: Console) -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar for each training, from its first report on; hidden when the output is not a terminal."""
    bars = rich.progress.Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )
    tasks: dict[str, TaskID] = {}

    def report(name: str, total: int, done: int) -> None:
        if name not in tasks:
            tasks[name] = bars.add_task(escape(name), total=total)
        bars.advance(tasks[name], done)

    with bars:
        yield report
