"""Probes of `reconstruct`: what it returns for a small generator, and what it changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from itertools import pairwise
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from autograder.sandbox.kit import has_graph, same, snapshot, standing_in
from autograder.sandbox.posing import DevicesMixed, mixing

from ..stand_ins.gan import Tape, stand_in_reconstruction_loss
from .gan import plain, put
from .gan_training import equip, small_model

T = TypeVar("T")


def reconstruct(
    samples: Tensor,
    generator: dict[str, Tensor] | None = None,
    training: list[bool] | None = None,
) -> dict[str, Any]:
    """Calls `reconstruct` on images (N, 3, 32, 32), with a small generator as the DCGAN's.

    training: whether the generator and the discriminator are in training mode before the call.
    """

    def run(given: Any) -> dict[str, Any]:
        return one_search(given, generator, training or [True, True])

    return in_either_form(run, samples)


def in_either_form(run: Callable[[Any], T], samples: Tensor) -> T:
    """Calls `run` with the images as a tensor and, if that raises, as an array: code may take either of them.

    Code that has called the generator twice (see `noting`) has been through a step: it takes tensors, and raises for another
    reason. `run` must make a new model, since a call that raises may leave it in any state.
    """
    try:
        return run(samples.clone())
    except DevicesMixed:
        raise
    except Exception as first:
        if noted(first).get("calls", 0) > 1:
            raise
        try:
            return run(samples.numpy().copy())
        except DevicesMixed:
            raise
        except Exception as second:
            note(first, max(noted(first), noted(second), key=lambda seen: seen.get("calls", 0)))
            raise first from None


@contextmanager
def noting(search: Callable[[], dict[str, Any]]) -> Iterator[None]:
    """If the block raises, notes on the exception what the search had done so far, such as the number of "calls"."""
    try:
        yield
    except Exception as error:
        note(error, search())
        raise


def note(error: Exception, search: dict[str, Any]) -> None:
    with suppress(AttributeError):
        error.search = search  # type: ignore[attr-defined]


def noted(error: Exception) -> dict[str, Any]:
    """What a search did before it raised; empty where nothing was noted."""
    found: dict[str, Any] = getattr(error, "search", {})
    return found


def prepared(
    generator: dict[str, Tensor] | None, device: torch.device | None = None
) -> tuple[Any, Tape, dict[str, nn.Module]]:
    """A DCGAN with small networks and, where stand-ins are active, the stand-in of its reconstruction loss."""
    model = small_model(device)
    tape, networks = equip(model, generator, device=device)
    tape.brief = True
    if "gan" in standing_in:
        put(model, _reconstruction_loss=partial(noted_loss, tape))
    return model, tape, networks


def noted_loss(tape: Tape, reconstruction: Tensor, x: Tensor) -> Tensor:
    """The stand-in of `_reconstruction_loss`; notes that it was called."""
    tape.own_loss = True
    return stand_in_reconstruction_loss(reconstruction, x)


def one_search(
    given: Any, generator: dict[str, Tensor] | None, training: list[bool], device: torch.device | None = None
) -> dict[str, Any]:
    """One call of `reconstruct` on a new model: what it returned, which codes it used, and what it changed."""
    model, tape, networks = prepared(generator, device)
    for network, mode in zip(networks.values(), training, strict=True):
        network.train(mode)
    before = {name: state(network) for name, network in networks.items()}
    kept = torch.as_tensor(given).clone()
    seed = torch.initial_seed()
    with noting(lambda: codes_on(tape, len(given))):
        returned = model.reconstruct(given)
    pair = list(returned) if isinstance(returned, (list, tuple)) else [returned]
    codes = codes_on(tape, len(given))
    steps = sum(event["event"].endswith("step") for event in tape)
    return {
        "returned": [plain(snapshot(value)) for value in pair],
        "devices": [v.device.type for v in pair if isinstance(v, Tensor) and v.dim() == 4],
        "graph": any(has_graph(value) for value in pair),
        "unchanged": same(kept, torch.as_tensor(given)),
        "seed_kept": torch.initial_seed() == seed,
        **codes,
        "steps": steps,
        **changes(before, networks),
        "first_again": first_codes(lambda: model.reconstruct(given), tape),
    }


def begin(search: Callable[[], Any], tape: Tape, events: int) -> None:
    """Lets a search run to its first events, and no further, whatever it does."""
    tape.clear()
    tape.ends = events
    with suppress(BaseException):
        search()
    tape.ends = 0


def first_codes(search: Callable[[], Any], tape: Tape) -> Any:
    """The codes with which a search calls the generator first; None where it does not get there."""
    begin(search, tape, 1)
    return next((event["noise"] for event in tape if event["event"] == "generator"), None)


def codes_on(tape: Tape, count: int) -> dict[str, Any]:
    """The codes of the generator's first and last call, and whether the stand-in of the loss was called.

    last: without calls after the search for something else, such as the images of the first codes, for comparison, or of more codes
    than the `count` that were searched.
    second: the first codes that differ from those of the call before. changes: how often codes differed so, calls with the first
    ones left out. calls: of the generator. training: whether it was in training mode where there were gradients.
    """
    calls = [event for event in tape if event["event"] == "generator"]
    codes = [event["noise"] for event in calls]
    others = [c for n, c in enumerate(codes) if n == 0 or not torch.equal(c, codes[0])]
    changed = [after for before, after in pairwise(others) if not torch.equal(before, after)]
    return {
        "second": changed[0] if changed else None,
        "changes": len(changed),
        "calls": len(codes),
        "training": any(event["training"] and event["grad"] for event in calls),
        "first": codes[0] if codes else None,
        "last": ([c for c in others if len(c) <= count] or others or [None])[-1],
        "own_loss": tape.own_loss,
    }


def state(network: nn.Module) -> dict[str, Any]:
    """Everything in a network that `reconstruct` might change."""
    return {
        "parameters": {name: snapshot(p) for name, p in network.named_parameters()},
        "buffers": {name: snapshot(b) for name, b in network.named_buffers()},
        "modes": {name: m.training for name, m in network.named_modules()},
        "trainable": {name: p.requires_grad for name, p in network.named_parameters()},
    }


def changes(before: dict[str, dict[str, Any]], networks: dict[str, nn.Module]) -> dict[str, Any]:
    """What of the networks' states is the same as before, and the largest gradient left on each."""
    left = {name: state(network) for name, network in networks.items()}
    return {
        "same": {
            name: {part: same(was, left[name][part]) for part, was in before[name].items()}
            for name in networks
        },
        "gradients": {name: largest_gradient(network) for name, network in networks.items()},
    }


def largest_gradient(network: nn.Module) -> float | None:
    """The largest magnitude in the gradients left on a network; None if there are no gradients."""
    left = [float(p.grad.abs().max()) for p in network.parameters() if p.grad is not None]
    return max(left, default=None)


def elsewhere(samples: Tensor, generator: dict[str, Tensor], training: list[bool]) -> dict[str, Any]:
    """As `reconstruct`, with the networks on a device other than the CPU.

    collision: the operation that mixed devices, if one did. devices: where the returned images are. If it raises there
    for another reason, what it does on the CPU is reported. raised: whether it raises there too; then only the codes are
    reported, or the exception is raised again if it never called the generator: this probe is about devices.
    """
    seen: dict[str, Any] = {"devices": [], "returned": [], "raised": False}

    def run(device: torch.device | None) -> None:
        try:
            seen.update(in_either_form(lambda given: one_search(given, generator, training, device), samples))
        except Exception as error:
            seen.update(noted(error))
            raise

    collision = mixing(run)
    if seen["returned"]:
        seen["unchanged"] = seen["unchanged"] and are_kept_on_cpu(samples)
    elif collision is None:
        try:
            run(None)
        except Exception:
            if not seen.get("calls"):
                raise
            seen["raised"] = True
    return {"collision": collision, **seen}


def are_kept_on_cpu(samples: Tensor) -> bool:
    """Whether the first steps of a search on the CPU, where moving images to the device is no copy, leave them as they were."""
    model, tape, _ = prepared(None)
    given = samples.clone()
    begin(lambda: model.reconstruct(given), tape, 3)
    return same(samples, given)
