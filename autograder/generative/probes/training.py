"""Shared by the probes of Problem 1: runs a student's training loop on a small given model and records what it does."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.optimizer import Optimizer, register_optimizer_step_pre_hook
from torch.utils.data import DataLoader, TensorDataset

from autograder.sandbox.kit import around, has_graph, parameters, snapshot, watching
from autograder.sandbox.posing import mixing

from . import own

MOST = 400  # calls and history entries that are reported; enough to notice a runaway loop


@contextmanager
def replaced(module: str, name: str, stand_in: Any) -> Iterator[None]:
    """Replaces one of the student's functions by a stand-in inside the block; not where the student's own parts are used."""
    loaded = importlib.import_module(module)
    kept = getattr(loaded, name, stand_in)
    setattr(loaded, name, kept if own.parts() else stand_in)
    try:
        yield
    finally:
        setattr(loaded, name, kept)


def watch(
    function: Callable[..., Any],
    model: Any,
    images: Tensor,
    labels: Tensor,
    batch_size: int,
    epochs: int,
    learning_rate: float,
    pass_device: bool = False,
    own_rate: float | None = None,
) -> dict[str, Any]:
    """Calls `function(model, loader, epochs, learning_rate)`; reports the model's inputs and its parameters afterwards.

    The model is passed in evaluation mode and without gradients. The loader shuffles and keeps its last, smaller
    batch. images: (n, 1, 28, 28); labels: (n,). own_rate: the learning rate for the student's own model, which has more layers.
    """
    loader = DataLoader(TensorDataset(images.clone(), labels.clone()), batch_size=batch_size, shuffle=True)
    model.eval()
    seed = torch.initial_seed()
    more = {"device": "cpu"} if pass_device else {}
    with ExitStack() as stack:
        squares = stack.enter_context(flattening(model))
        steps = stack.enter_context(watching_rates())
        codes, decoded = (stack.enter_context(entering(p, steps)) for p in (model.encoder, model.decoder))
        # The student's own model may flatten the images itself, so its own inputs count.
        whole = stack.enter_context(entering(model, steps)) if own.parts() else []
        if own.parts():
            stack.enter_context(own.NoNoise())
        rate = own_rate if own_rate and own.parts() else learning_rate
        returned = function(model, loader, epochs, rate, **more)
    if not any(call["backward"] for call in whole) and any(call["backward"] for call in codes):
        whole = []  # the parts are trained, and the model as a whole is called for show
    entered, codes, decoded = map(trained_on, (whole, codes, decoded))
    graded = of_one_step(entered or codes, batch_size)[:MOST]
    modes = [call["training"] for call in (*codes, *decoded)]
    return {
        "own": own.parts(),
        "squares": squares[0] if squares else None,
        "batches": [{"x": call["x"], "c": call["c"]} for call in graded],
        "training": all(modes) and bool(graded),
        "training_first": bool(graded) and all(c["training"] for c in (*codes[:1], *decoded[:1])),
        "parameters": own.values(model) if own.parts() else weights(model),
        "rates": [] if steps.mixed else steps.rates[:MOST],
        "seed_kept": torch.initial_seed() == seed,
        **_history(returned),
    }


def weights(model: nn.Module) -> dict[str, Tensor]:
    return {p["name"]: p["value"] for p in parameters(model)}


@contextmanager
def flattening(model: nn.Module) -> Iterator[list[str]]:
    """Lets a given model take square images as well, so that a loop that passes these is judged by all else; notes their shape."""
    squares: list[str] = []

    def flat(value: Any) -> Any:
        if not isinstance(value, Tensor) or value.dim() != 4:
            return value
        squares.append(str(tuple(value.shape)))
        return value.flatten(1).unsqueeze(1)

    def flatten(_: nn.Module, call: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return call(*map(flat, args), **{name: flat(value) for name, value in kwargs.items()})

    with nullcontext() if own.parts() else around(model, flatten):
        yield squares


def trained_on(calls: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The calls whose results were differentiated: a loss that is only printed may be computed in any mode, and at any time.

    Where nothing was, those that could have been.
    """
    with_graph = [call for call in calls if call["grad"]]
    return [call for call in with_graph if call["backward"] is not False] or with_graph


def of_one_step(calls: list[dict[str, Any]], batch_size: int) -> list[dict[str, Any]]:
    """The calls with those joined that are parts of one batch: they come before the same step, and are no more than a batch."""
    joined: list[dict[str, Any]] = []
    for _, group in groupby(calls, lambda call: call["step"]):
        parts = list(group)
        images = [call["x"] for call in parts]
        whole = all(isinstance(x, Tensor) and x.dim() > 1 for x in images)
        same = whole and len({x.shape[1:] for x in images}) == 1 and sum(map(len, images)) <= batch_size
        if len(parts) > 1 and same:
            labels = [call["c"] for call in parts]
            together = all(isinstance(c, Tensor) and c.dim() == 1 for c in labels)
            joined.append(
                {**parts[0], "x": torch.cat(images), "c": torch.cat(labels) if together else labels[0]}
            )
        else:
            joined += parts
    return joined


@contextmanager
def entering(model: nn.Module, steps: Steps) -> Iterator[list[dict[str, Any]]]:
    """Records the calls of a model's forward, called directly or not.

    Of each: x, the labels c if any, the model's mode, how many steps came before, and whether its result was differentiated (None
    if that cannot be seen).
    """
    calls: list[dict[str, Any]] = []

    def record(called: nn.Module, forward: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        x, c, *_ = [*args, *kwargs.values(), None, None]
        call = {
            "x": snapshot(x),
            "c": snapshot(c),
            "training": called.training,
            "grad": torch.is_grad_enabled(),
            "step": steps.taken,
            "backward": None,
        }
        calls.append(call)
        result = forward(*args, **kwargs)
        for tensor in tensors(result):
            # What is differentiated inside torch.func.grad has no hooks.
            if tensor.requires_grad and not torch._C._functorch.is_functorch_wrapped_tensor(tensor):
                call["backward"] = call["backward"] or False
                tensor.register_hook(lambda _: call.update(backward=True))
        return result

    with around(model, record):
        yield calls


def tensors(value: Any) -> list[Tensor]:
    """The tensors in what a network returns: one, several, or the attributes of an object."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, Mapping):
        value = list(value.values())
    if not isinstance(value, (list, tuple)):
        value = list(getattr(value, "__dict__", {}).values())
    return [v for v in value[:MOST] if isinstance(v, Tensor)]


@dataclass
class Steps:
    """The optimisers' steps: how many, and their learning rates. mixed: whether there are several optimisers or rates."""

    taken: int = 0
    rates: list[float] = field(default_factory=list)
    mixed: bool = False


@contextmanager
def watching_rates() -> Iterator[Steps]:
    """Records every step of any optimiser."""
    steps = Steps()
    steppers: set[int] = set()

    def record(optimizer: Optimizer, *_: object) -> None:
        steppers.add(id(optimizer))
        steps.taken += 1
        steps.mixed |= len(steppers) > 1 or len(optimizer.param_groups) > 1
        steps.rates.append(float(optimizer.param_groups[0].get("lr", 0.0)))

    handle = register_optimizer_step_pre_hook(record)
    try:
        yield steps
    finally:
        handle.remove()


def collision(
    function: Callable[..., Any], model: Any, images: Tensor, labels: Tensor, batch_size: int
) -> dict[str, Any]:
    """Trains `model` for two epochs on a device other than the CPU, while the loader's batches are on the CPU.

    Returns where tensors of two devices meet ("collision"), and the encoder's output for the first batch, on the CPU.
    """
    loader = DataLoader(TensorDataset(images, labels), batch_size=batch_size)
    with watching(model.encoder) as calls, flattening(model):
        on_cpu(lambda: function(model, loader, 2, 1e-3), calls)
    model.zero_grad()
    with flattening(model):
        collision = mixing(lambda device: function(model.to(device), loader, 2, 1e-3, device=device))
    return {"collision": collision, "worked": calls[0]["output"] if calls else None}


def on_cpu(run: Callable[[], Any], calls: list[dict[str, Any]]) -> None:
    """Runs code on the CPU before it runs on another device.

    Code that is not written yet, or raises before it has done anything (`calls` of a given module), raises here. Otherwise an
    exception is another check's matter: this one is about devices alone.
    """
    try:
        run()
    except NotImplementedError:
        raise
    except Exception:
        if not calls:
            raise


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
