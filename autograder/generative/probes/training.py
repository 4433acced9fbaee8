"""Shared by the probes of Problem 1: runs a student's training loop on a small given model and records what it does."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.optimizer import Optimizer, register_optimizer_step_pre_hook
from torch.utils.data import DataLoader, TensorDataset

from autograder.sandbox.kit import has_graph, parameters, snapshot, watching
from autograder.sandbox.posing import mixing

MOST = 400  # calls and history entries that are reported; enough to notice a runaway loop


@contextmanager
def replaced(module: str, name: str, stand_in: Any) -> Iterator[None]:
    """Replaces one of the student's functions by a stand-in inside the block."""
    loaded = importlib.import_module(module)
    own = getattr(loaded, name, stand_in)
    setattr(loaded, name, stand_in)
    try:
        yield
    finally:
        setattr(loaded, name, own)


def watch(
    function: Callable[..., Any],
    model: Any,
    images: Tensor,
    labels: Tensor,
    batch_size: int,
    epochs: int,
    learning_rate: float,
    pass_device: bool = False,
) -> dict[str, Any]:
    """Calls `function(model, loader, epochs, learning_rate)`; reports the model's inputs and its parameters afterwards.

    The model is passed in evaluation mode and without gradients. The loader shuffles and keeps its last, smaller
    batch. images: (n, 1, 28, 28); labels: (n,).
    """
    loader = DataLoader(TensorDataset(images.clone(), labels.clone()), batch_size=batch_size, shuffle=True)
    model.eval()
    decoder_modes: list[bool] = []

    def note(decoder: nn.Module, *_: object) -> None:
        if torch.is_grad_enabled():  # a loss that is only printed may be computed in any mode
            decoder_modes.append(decoder.training)

    widths: list[list[int]] = []

    def note_width(_: nn.Module, args: tuple[Any, ...]) -> None:
        widths[:] = [list(args[0].shape)] if args and isinstance(args[0], Tensor) else []

    handles = [
        model.decoder.register_forward_hook(note),
        model.encoder.register_forward_pre_hook(note_width),
    ]
    seed = torch.initial_seed()
    more = {"device": "cpu"} if pass_device else {}
    try:
        with watching(model.encoder) as calls, watching_rates() as rates:
            returned = function(model, loader, epochs, learning_rate, **more)
        after = {p["name"]: p["value"] for p in parameters(model)}
        history = _history(returned)
    except RuntimeError as error:
        # Square images explain the exception; any other exception is reported as it is.
        if not widths or widths[0][1:] != list(images.shape[1:]):
            raise
        return {"squares": str(tuple(widths[0])), "error": str(error)[:300]}
    finally:
        for handle in handles:
            handle.remove()
    graded = [call for call in calls if call["grad_enabled"]][:MOST]
    return {
        "batches": [_batch(call["inputs"]) for call in graded],
        "training": all(call["training"] for call in graded) and all(decoder_modes) and bool(graded),
        "parameters": after,
        "rates": rates[:MOST],
        "seed_kept": torch.initial_seed() == seed,
        **history,
    }


@contextmanager
def watching_rates() -> Iterator[list[float]]:
    """Records the learning rate of every step, as long as one optimiser with one rate takes them all."""
    rates: list[float] = []
    steppers: set[int] = set()

    def record(optimizer: Optimizer, *_: object) -> None:
        steppers.add(id(optimizer))
        if len(steppers) > 1 or len(optimizer.param_groups) > 1:
            rates.clear()
        else:
            rates.append(float(optimizer.param_groups[0].get("lr", 0.0)))

    handle = register_optimizer_step_pre_hook(record)
    try:
        yield rates
    finally:
        handle.remove()


def collision(
    function: Callable[..., Any], model: Any, images: Tensor, labels: Tensor, batch_size: int
) -> dict[str, Any]:
    """Trains `model` for an epoch on a device other than the CPU, while the loader's batches are on the CPU.

    Returns where tensors of two devices meet ("collision"), and the encoder's output for the first batch, on the CPU.
    """
    loader = DataLoader(TensorDataset(images, labels), batch_size=batch_size)
    with watching(model.encoder) as calls:
        function(model, loader, 1, 1e-3)  # code that fails on the CPU as well raises here
    model.zero_grad()
    collision = mixing(lambda device: function(model.to(device), loader, 1, 1e-3, device=device))
    return {"collision": collision, "worked": calls[0]["output"] if calls else None}


def _batch(inputs: list[Any]) -> dict[str, Any]:
    """The inputs of the encoder: x, and the labels c if there are any."""
    x, c, *_ = [*inputs, None, None]
    return {"x": x, "c": c}


def _history(returned: Any) -> dict[str, Any]:
    """What the loop returned (a list, or a dictionary of lists), and whether any entry is attached to an autograd graph."""
    if isinstance(returned, Mapping):
        lists = {str(k): v for k, v in list(returned.items())[:20]}
        kept = {k: v[:MOST] if isinstance(v, (list, tuple)) else v for k, v in lists.items()}
        graph = any(has_graph(e) for v in kept.values() if isinstance(v, list | tuple) for e in v)
        return {"history": {k: snapshot(v) for k, v in kept.items()}, "graph": graph}
    if isinstance(returned, list | tuple):
        return {"history": snapshot(returned[:MOST]), "graph": any(has_graph(e) for e in returned[:MOST])}
    return {"history": snapshot(returned), "graph": has_graph(returned)}
