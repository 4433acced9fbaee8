"""Tiny networks and optimisers that take the place of a DCGAN's own while its training step and `reconstruct` are graded.

They have the right shapes and a batch normalisation each, which shows whether a network is in training or evaluation
mode and whether real and generated batches are kept apart; they answer no question. Each records what happens to it on a
shared `Tape`, if it was given one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autograder.sandbox.kit import snapshot

CODE_SIZE = 64


class Ended(BaseException):
    """Ends a call; no exception of a kind that code catches."""


class Tape(list[dict[str, Any]]):
    """The events of one call, in order. A copy of a network records on the same tape as the network itself.

    brief: whether the running averages are left out, as for the hundreds of passes of a search.
    own_loss: whether the stand-in of `_reconstruction_loss` was called.
    ends: the number of events after which the call is ended; 0 for never. steps: of optimisers, so far.
    """

    brief = False
    own_loss = False
    ends = 0
    steps = 0

    def append(self, event: dict[str, Any]) -> None:
        super().append(event)
        self.steps += event["event"].endswith(" step")
        if self.ends and len(self) >= self.ends:
            raise Ended

    def __deepcopy__(self, memo: dict[int, Any]) -> Tape:
        return self


class SmallGenerator(nn.Module):
    """Codes (N, 64) -> images (N, 3, 32, 32) in [0, 1]."""

    def __init__(self, tape: Tape | None = None) -> None:
        super().__init__()
        self.tape = tape
        # Few weights, which travel with every step, and few layers: a search calls them 500 times.
        self.fc = nn.Linear(CODE_SIZE, 48)
        self.upsample_and_generate = nn.Sequential(
            nn.BatchNorm2d(3), nn.Sigmoid(), nn.Upsample(scale_factor=8)
        )

    def forward(self, codes: Tensor) -> Tensor:
        rows, averages = codes.reshape(-1, CODE_SIZE), buffers(self, self.tape)
        images: Tensor = self.upsample_and_generate(self.fc(rows).reshape(-1, 3, 4, 4))
        if self.tape is not None:
            event = {
                "event": "generator",
                "noise": snapshot(rows),
                "training": self.training,
                "averages": averages,
                "grad": torch.is_grad_enabled(),
                "backward": False,
            }
            record(self.tape, event, images)
        return images


class SmallDiscriminator(nn.Module):
    """Images (N, 3, 32, 32) -> logits (N, 1)."""

    def __init__(self, tape: Tape | None = None) -> None:
        super().__init__()
        self.tape = tape
        self.downsample = nn.Sequential(
            # A non-linear layer before the batch normalisation, which would otherwise undo any change of scale.
            nn.Conv2d(3, 5, kernel_size=8, stride=8),
            nn.Tanh(),
            nn.BatchNorm2d(5),
            nn.LeakyReLU(0.2),
        )
        self.fc = nn.Linear(80, 1)

    def forward(self, images: Tensor) -> Tensor:
        averages = buffers(self, self.tape)
        logits: Tensor = self.fc(self.downsample(images).flatten(1))
        if self.tape is not None:
            event = {
                "event": "discriminator",
                "images": images.shape[0],
                "attached": images.requires_grad,
                "logits": snapshot(logits),
                "training": self.training,
                "averages": averages,
                "grad": torch.is_grad_enabled(),
                "backward": False,
            }
            record(self.tape, event, logits)
        return logits


class RecordingAdam(torch.optim.Adam):
    """Adam that records every step on the tape: both networks' weights and gradients just before it, and the weights after it.

    By hooks, so that a method `step` that code has kept is recorded too.
    """

    def __init__(self, name: str, own: nn.Module, networks: dict[str, nn.Module], tape: Tape) -> None:
        super().__init__(own.parameters(), lr=2e-3, betas=(0.5, 0.999))
        self.name = name
        self.networks = networks
        self.tape = tape
        self.register_step_pre_hook(note_step)
        self.register_step_post_hook(note_end_of_step)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        torch.optim.Adam.step(self)  # not that of a submission's class; it calls the hooks
        return loss

    step.hooked = True  # type: ignore[attr-defined]


# The optimiser that steps, not the one that the hooks were registered on: another may have taken its place.


def note_step(optimizer: Any, *_: Any) -> None:
    event: dict[str, Any] = {"event": optimizer.name}
    for name, network in optimizer.networks.items():
        event[name] = weights(network)
        event[f"{name} gradients"] = gradients(network)
    optimizer.tape.append(event)


def note_end_of_step(optimizer: Any, *_: Any) -> None:
    event = next(event for event in reversed(optimizer.tape) if event["event"] == optimizer.name)
    event["after"] = {name: weights(network) for name, network in optimizer.networks.items()}


def record(tape: Tape, event: dict[str, Any], output: Tensor) -> None:
    """Keeps a network's event; notes in it when a backward pass goes through what it returned, before any optimiser's next step."""
    tape.append(event)
    steps = tape.steps

    def note(_: Tensor) -> None:
        event["backward"] = event["backward"] or tape.steps == steps

    # What is differentiated inside torch.func.grad has no hooks.
    if output.requires_grad and not torch._C._functorch.is_functorch_wrapped_tensor(output):
        output.register_hook(note)


def weights(network: nn.Module) -> dict[str, Tensor]:
    """Copies of the parameters, by name."""
    return {name: snapshot(p) for name, p in network.named_parameters()}


def buffers(network: nn.Module, tape: Tape | None) -> dict[str, Tensor]:
    """Copies of the running averages, by name, where a tape that is not brief keeps them."""
    return {} if tape is None or tape.brief else {name: snapshot(b) for name, b in network.named_buffers()}


def gradients(network: nn.Module) -> dict[str, Tensor | None]:
    """Copies of the gradients, by the parameter's name; None for a parameter without one."""
    return {name: None if p.grad is None else snapshot(p.grad) for name, p in network.named_parameters()}


def stand_in_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Stands in for `_classification_loss`: a smooth function of both arguments that differs from any real loss.

    As strict about shapes and types as PyTorch's own losses are.
    """
    if logits.shape != labels.shape or not labels.is_floating_point():
        raise ValueError(
            f"logits of shape {tuple(logits.shape)} need float labels of the same shape; these labels have shape "
            f"{tuple(labels.shape)} and type {labels.dtype}"
        )
    return (0.25 * (logits - 3 * labels + 1) ** 2).mean()


def stand_in_reconstruction_loss(reconstruction: Tensor, x: Tensor) -> Tensor:
    """Stands in for `_reconstruction_loss`: 0 for equal images, and of a similar size, but no answer: it grows too slowly."""
    return 2 * F.huber_loss(reconstruction, x, delta=0.1)


# Messages of exceptions name what a student knows. Under these names pickle finds them, when a whole DCGAN is saved.
for _thing, _name in (
    (SmallGenerator, "Generator"),
    (SmallDiscriminator, "Discriminator"),
    (RecordingAdam, "Adam"),
    (stand_in_loss, "_classification_loss"),
    (stand_in_reconstruction_loss, "_reconstruction_loss"),
):
    _thing.__name__ = _thing.__qualname__ = _name
    globals()[_name] = _thing
