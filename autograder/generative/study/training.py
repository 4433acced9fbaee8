"""Runs the solutions' own training functions one epoch at a time, with a checkpoint after each.

The loops are those that students are shown (`train_autoencoder`, `train_vae`, `train_cvae` and `DCGAN.fit`). Only what
surrounds them is different here: batches are slices of tensors in memory, and numbers below the CPU's fast range count as 0.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

REPORT_EVERY = 20  # iterations

Losses = Mapping[str, Sequence[float]]  # by name, one for each iteration


class Batches:
    """Takes the place of a data loader that shuffles and drops the last, incomplete batch, for tensors in memory.

    The order of an epoch is drawn from torch's global generator on the CPU, so it is the same on every device.

    Args:
        tensors: (n, ...) each, for instance images and labels.
        batch_size: examples in a batch; where there are fewer examples, all of them are one batch.
        device: where the tensors are kept, and so the batches.
    """

    def __init__(
        self, tensors: Sequence[Tensor], batch_size: int, device: torch.device | str = "cpu"
    ) -> None:
        self._tensors = [tensor.to(device) for tensor in tensors]
        self._batch_size = min(batch_size, len(tensors[0]))

    def __len__(self) -> int:
        return len(self._tensors[0]) // self._batch_size

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        order = torch.randperm(len(self._tensors[0])).to(self._tensors[0].device)
        for chosen in order[: len(self) * self._batch_size].split(self._batch_size):
            # index_select copies whole rows; tensor[chosen] takes twice as long.
            yield tuple(tensor.index_select(0, chosen) for tensor in self._tensors)


class Optimizers:
    """The optimizers that take steps while `watched`: counts iterations, and carries their states to the next epoch.

    The solutions' functions make a new optimizer at every call. It gets the state of its predecessor, the one that came at
    the same place in the previous epoch, before its first step: epochs trained one call at a time equal those of one call.

    Args:
        progress: called with the number of iterations since its last call. An iteration is a step of the first optimizer.
    """

    def __init__(self, progress: Callable[[int], None]) -> None:
        self.states: list[dict[str, Any]] = []
        self._progress = progress

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        seen: list[torch.optim.Optimizer] = []
        iterations = 0

        def before_step(optimizer: torch.optim.Optimizer, *_: Any) -> None:
            nonlocal iterations
            if not any(optimizer is other for other in seen):
                seen.append(optimizer)
                if len(seen) <= len(self.states):
                    optimizer.load_state_dict(self.states[len(seen) - 1])
            if optimizer is seen[0]:
                iterations += 1
                if iterations % REPORT_EVERY == 0:
                    self._progress(REPORT_EVERY)

        handle = register_optimizer_step_pre_hook(before_step)
        try:
            yield
        finally:
            handle.remove()
        self.states = [optimizer.state_dict() for optimizer in seen]
        self._progress(iterations % REPORT_EVERY)


@dataclass(frozen=True)
class Trained:
    """A finished training: losses by name, one for each iteration; seconds, including those of interrupted runs."""

    curves: dict[str, list[float]]
    seconds: float


def train(
    model: nn.Module,
    epoch: Callable[[], Losses],
    epochs: int,
    *,
    checkpoint: Path | None = None,
    settings: Mapping[str, object] | None = None,
    progress: Callable[[int], None] = lambda iterations: None,
) -> Trained:
    """Trains for `epochs`, from torch's generators as they are, or resumes from a checkpoint of the same settings.

    A training that is interrupted and resumed ends exactly as one that is not: the checkpoint holds the model, the
    optimizers' states and the states of torch's generators.

    Args:
        model: what is trained, in place.
        epoch: trains the model for one epoch; returns the losses.
        checkpoint: the file to write after each epoch.
        settings: everything the training depends on; a checkpoint of other settings is ignored.
        progress: called with the number of iterations since its last call.
    """
    curves: dict[str, list[float]] = {}
    key = json.dumps({"epochs": epochs, **(settings or {})}, sort_keys=True)
    optimizers = Optimizers(progress)
    done, seconds = 0, 0.0
    if checkpoint is not None and (kept := _load(checkpoint, key)) is not None:
        done, seconds, curves = kept["done"], kept["seconds"], kept["curves"]
        model.load_state_dict(kept["model"])
        optimizers.states = kept["optimizers"]
        _set_generators(kept["generators"])
        progress(len(next(iter(curves.values()))))
    while done < epochs:
        began = time.monotonic()
        with optimizers.watched():
            losses = epoch()
        for name, values in losses.items():
            curves.setdefault(name, []).extend(values)
        done, seconds = done + 1, seconds + time.monotonic() - began
        if checkpoint is not None:
            kept = {"key": key, "done": done, "seconds": seconds, "curves": curves}
            kept |= {"model": model.state_dict(), "optimizers": optimizers.states}
            _save(checkpoint, {**kept, "generators": _generators()})
    return Trained(curves, seconds)


@contextlib.contextmanager
def flushing_denormals() -> Iterator[None]:
    """Numbers below a CPU's fast range (denormals) count as 0, in this thread and in those that PyTorch starts meanwhile.

    Where a gradient is nearly always 0 (pixels at the border, dead units), Adam's averages decay to denormals, with which a
    CPU computes many times more slowly; up to half of the averages do. A thread inherits the mode from the one that
    starts it, and PyTorch keeps its threads, so enter this context before anything large is computed.
    """
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def _generators() -> dict[str, Any]:
    found: dict[str, Any] = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        found["cuda"] = torch.cuda.get_rng_state_all()
    return found


def _set_generators(kept: Mapping[str, Any]) -> None:
    torch.set_rng_state(kept["cpu"])
    if "cuda" in kept and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(kept["cuda"])


def _save(path: Path, content: Mapping[str, Any]) -> None:
    """Replaces the file in one step: a run that is killed while it writes leaves the checkpoint of the epoch before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    torch.save(dict(content), temporary)
    os.replace(temporary, path)


def _load(path: Path, key: str) -> dict[str, Any] | None:
    """The checkpoint; None when there is no readable one of the same settings."""
    try:
        kept: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # missing or damaged: torch raises many kinds of exceptions
        return None
    return kept if kept.get("key") == key else None
