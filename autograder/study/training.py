"""Training that is fast: batches from memory, no value read back while it runs, and checkpoints to go on from.

The mathematics are the solutions' own; their loops, which students read, stay plain. What is different here: images lie in
memory, on the device when they fit, and a batch is a slice of them (no work per image); losses are kept on the device until
an epoch is over (reading one back makes a GPU wait); Adam runs as one fused kernel.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

ROOM = 0.5  # the share of a GPU's free memory that the images may take


class Batches:
    """What a shuffling data loader that drops the last, incomplete batch yields, as slices of tensors.

    The order of an epoch is drawn from torch's global generator on the CPU, so it is the same on every device.

    Args:
        tensors: (n, ...) each: images, and labels perhaps.
        batch_size: examples in a batch; n at most.
        device: where the batches are to be; the tensors go there at once when they fit.
    """

    def __init__(
        self, tensors: Sequence[Tensor], batch_size: int, device: torch.device | str = "cpu"
    ) -> None:
        self._device = torch.device(device)
        self._tensors = [t.to(self._device) if fits(tensors, self._device) else t for t in tensors]
        self._batch_size = min(batch_size, len(tensors[0]))

    def __len__(self) -> int:
        return len(self._tensors[0]) // self._batch_size

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        order = torch.randperm(len(self._tensors[0])).to(self._tensors[0].device)
        for chosen in torch.split(order[: len(self) * self._batch_size], self._batch_size):
            # Rows are copied whole; indexing with t[chosen] takes twice as long.
            yield tuple(t.index_select(0, chosen).to(self._device, non_blocking=True) for t in self._tensors)


def fits(tensors: Sequence[Tensor], device: torch.device) -> bool:
    """Whether the tensors may all lie on the device."""
    if device.type != "cuda":
        return True
    free, _ = torch.cuda.mem_get_info(device)
    return sum(t.numel() * t.element_size() for t in tensors) < ROOM * free


class Steps(Protocol):
    """One way to train: what happens with a batch, and all that must be kept to go on later."""

    names: tuple[str, ...]

    def step(self, *batch: Tensor) -> Sequence[Tensor]:
        """Trains on a batch; returns a 0-dim tensor for each name, with no graph."""
        ...

    def state(self) -> dict[str, Any]: ...
    def restore(self, state: Mapping[str, Any]) -> None: ...
    def begin_epoch(self) -> None: ...


Objective = Callable[..., tuple[Tensor, tuple[Tensor, ...]]]


class Minimise:
    """Adam on one model. objective(model, *batch) -> the loss, and the values to keep, one for each name."""

    def __init__(self, model: nn.Module, objective: Objective, names: tuple[str, ...], rate: float) -> None:
        self.names, self._model, self._objective = names, model, objective
        self._optimizer = torch.optim.Adam(model.parameters(), lr=rate, fused=True)

    def begin_epoch(self) -> None:
        self._model.train()

    def step(self, *batch: Tensor) -> Sequence[Tensor]:
        loss, parts = self._objective(self._model, *batch)
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        return [part.detach() for part in parts]

    def state(self) -> dict[str, Any]:
        return {"model": self._model.state_dict(), "optimizer": self._optimizer.state_dict()}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])


class Adversarial:
    """A DCGAN's training step, as its `training_step` takes it, without reading the losses back."""

    names: tuple[str, ...] = ("dis_loss", "gen_loss")

    def __init__(self, dcgan: Any) -> None:
        self._dcgan = dcgan
        for optimizer in (dcgan.optimizerD, dcgan.optimizerG):
            for group in optimizer.param_groups:
                group["fused"], group["foreach"] = True, False

    def begin_epoch(self) -> None:
        self._dcgan.train()

    def step(self, *batch: Tensor) -> Sequence[Tensor]:
        (real,), dcgan = batch, self._dcgan
        with torch.no_grad():
            fake = dcgan._generator(self._noise(len(real)))
        real_logits, fake_logits = dcgan._discriminator(real), dcgan._discriminator(fake)
        ones, zeros = torch.ones_like(real_logits), torch.zeros_like(fake_logits)
        dis_loss = dcgan._classification_loss(real_logits, ones) + dcgan._classification_loss(
            fake_logits, zeros
        )
        dcgan.optimizerD.zero_grad()
        dis_loss.backward()
        dcgan.optimizerD.step()

        logits = dcgan._discriminator(dcgan._generator(self._noise(len(real))))
        gen_loss = dcgan._classification_loss(logits, ones)
        # Only the generator's gradients: those of the discriminator's weights would be made and thrown away.
        parameters = list(dcgan._generator.parameters())
        for parameter, gradient in zip(parameters, torch.autograd.grad(gen_loss, parameters), strict=True):
            parameter.grad = gradient
        dcgan.optimizerG.step()
        return dis_loss.detach(), gen_loss.detach()

    def _noise(self, count: int) -> Tensor:
        like = self._dcgan.tracked_noise
        return torch.randn(count, self._dcgan.code_size, device=like.device, dtype=like.dtype)

    def state(self) -> dict[str, Any]:
        parts = {"dcgan": self._dcgan, "D": self._dcgan.optimizerD, "G": self._dcgan.optimizerG}
        return {name: part.state_dict() for name, part in parts.items()}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._dcgan.load_state_dict(state["dcgan"])
        self._dcgan.optimizerD.load_state_dict(state["D"])
        self._dcgan.optimizerG.load_state_dict(state["G"])


@dataclass(frozen=True)
class Trained:
    """A training that has come to its end: losses by name, one for each iteration; seconds, those of earlier runs included."""

    curves: dict[str, list[float]]
    seconds: float


def train(
    steps: Steps,
    batches: Batches,
    epochs: int,
    *,
    checkpoint: Path | None = None,
    settings: Mapping[str, object] | None = None,
    progress: Callable[[int], None] = lambda iterations: None,
) -> Trained:
    """Trains for `epochs`, from torch's generators as they are; goes on where a checkpoint of the same settings stops.

    A training that was interrupted and goes on ends as one that was not: generators and optimisers are kept as well.

    Args:
        checkpoint: the file that is replaced after each epoch.
        settings: what the training hangs on; a checkpoint of others is not used.
        progress: told how many iterations were done since it was told last.
    """
    curves = torch.zeros(epochs * len(batches), len(steps.names))
    key = json.dumps({"epochs": epochs, "batches": len(batches), **(settings or {})}, sort_keys=True)
    done, seconds = 0, 0.0
    if checkpoint is not None and (kept := _load(checkpoint, key)) is not None:
        done, seconds, curves = kept["done"], kept["seconds"], kept["curves"]
        steps.restore(kept["steps"])
        _set_generators(kept["generators"])
        progress(done * len(batches))
    for epoch in range(done, epochs):
        began = time.monotonic()
        curves[epoch * len(batches) : (epoch + 1) * len(batches)] = _epoch(steps, batches, progress)
        seconds += time.monotonic() - began
        if checkpoint is not None:
            kept = {"key": key, "done": epoch + 1, "seconds": seconds, "curves": curves}
            _save(checkpoint, {**kept, "steps": steps.state(), "generators": _generators()})
    named = {name: curves[:, i].tolist() for i, name in enumerate(steps.names)}
    return Trained(named, seconds)


@contextlib.contextmanager
def small_numbers_as_zero() -> Iterator[None]:
    """Numbers below a CPU's fast range count as 0, in this thread, and in the threads that PyTorch first starts meanwhile.

    Where a gradient is nearly always 0 (at the border's pixels, in units that are dead), Adam's averages sink to numbers for
    which a CPU takes many times as long; up to half of them do. A thread has its mode from the one that started it, and
    PyTorch keeps its threads: to be entered before anything large is computed, therefore.
    """
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def _epoch(steps: Steps, batches: Batches, progress: Callable[[int], None]) -> Tensor:
    """One epoch; returns the losses (iterations, names), on the CPU."""
    steps.begin_epoch()
    seen: list[Sequence[Tensor]] = []
    for batch in batches:
        seen.append(steps.step(*batch))
        if len(seen) % 20 == 0:
            progress(20)
    progress(len(seen) % 20)
    return torch.stack([torch.stack(list(parts)) for parts in seen]).cpu()


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
    """Replaces the file in one step: a run that is killed leaves the checkpoint of the epoch before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    torch.save(dict(content), temporary)
    os.replace(temporary, path)


def _load(path: Path, key: str) -> dict[str, Any] | None:
    """The checkpoint, where there is a readable one of the same settings."""
    try:
        kept: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # not there, or damaged: torch raises many kinds of things
        return None
    return kept if kept.get("key") == key else None
