"""Asks of a training loop that its first step goes down the loss.

A history that falls is no work by itself. The judge knows the weights that it handed over and the only batch, so it knows the
gradient: whatever the optimiser, its first step goes against that.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from autograder.judging import (
    Candidate,
    Draw,
    Fault,
    Mistake,
    NoAnswer,
    Observation,
    Submission,
    close,
    expect,
    fail,
)

from ...mistakes.public import training as mistakes
from ...stand_ins import autoencoder as stand_in
from ...stand_ins import layers, models
from . import models_autoencoder as small
from .judge_common import expect_training_mode
from .judge_history import holds_both

Parameters = Mapping[str, Tensor]
# Share of the gradient, by size, that a step goes against: nearly all of it in a right loop, half of it by guessing.
AGREEMENT = 0.95
STEPS = 4  # on one batch, to see the size of a step
NEAR = 0.012  # relative; gradients that pile up fall behind by 0.03
PILED_UP_NEAR = 0.0025  # relative; loops that let gradients pile up come within 0.001 of what _piled_up says
PARTS = ("encoder", "decoder")
LARGE_BETA = 0.5
LARGE_RATES = (0.3, 0.1)
MOSTLY = (
    0.65  # of the weights: right loops come to 0.5 at most, a new optimiser in each epoch to 0.8 and more
)


@dataclass(frozen=True)
class Run:
    """A training run as it was asked for.

    weights: those of the given model. images: (n, 1, 28, 28). labels: (n,), for a conditional model.
    own: whether the student's own model took the given one's place, with the weights of stand_ins.layers.
    """

    weights: Mapping[str, Tensor]
    images: Tensor
    labels: Tensor | None
    own: bool

    @property
    def x(self) -> Tensor:
        """The images as models take them: (n, 1, 784)."""
        return self.images.double().flatten(1).unsqueeze(1)

    @property
    def variational(self) -> bool:
        return len(self.weights["encoder_bias"]) > self.weights["decoder_weight"].shape[1]

    @property
    def given(self) -> nn.Module:
        """The given model; what it adds to the reconstruction loss does not matter here."""
        if not self.variational:
            return models.AutoEncoder(self.weights)
        return models.CVAE(self.weights, beta=0.0)

    @property
    def start(self) -> dict[str, Tensor]:
        """The parameters that were handed over, by the names under which the probe reports them."""
        if not self.own:
            return {name: p.detach() for name, p in self.given.named_parameters()}
        parts = {
            "encoder": layers.encoder(self.weights, quiet=self.variational),
            "decoder": layers.decoder(self.weights),
        }
        return {
            f"{part}.{i // 2}.{('weight', 'bias')[i % 2]}": value
            for part, values in parts.items()
            for i, value in enumerate(values)
        }

    @property
    def losses(self) -> list[Callable[[Tensor], Tensor]]:
        """The losses of reconstructions that a right loop may minimise: those of the stand-ins, or a cross-entropy."""
        x = self.x

        def cross_entropy(rec: Tensor) -> Tensor:
            return -(x * rec.log() + (1 - x) * (1 - rec).log()).mean()

        def squared(rec: Tensor) -> Tensor:
            return (rec - x).square().mean()

        def stand_ins(rec: Tensor) -> Tensor:
            return stand_in.reconstruction_loss(rec, x)

        return [cross_entropy] if self.own else [stand_ins, squared, cross_entropy]

    def reconstructed(self, parameters: Parameters) -> Tensor:
        """What the model with these parameters makes of the images: (n, 1, 784)."""
        if not self.own:
            given, c = self.given.double(), () if self.labels is None else (self.labels,)
            outputs = functional_call(given, dict(parameters), (self.x, *c))
            rec: Tensor = outputs["rec"] if isinstance(outputs, Mapping) else outputs
            return rec
        rows = []
        if self.labels is not None:
            classes = len(self.weights["encoder_labels"])
            rows = [torch.eye(classes, dtype=torch.float64)[self.labels]]
        code = _chain(parameters, "encoder", torch.cat([self.x.flatten(1), *rows], -1))
        if self.variational:  # its noise is too small to matter
            code = code.unflatten(-1, (2, -1))[:, 0]
        return _chain(parameters, "decoder", torch.cat([code, *rows], -1)).sigmoid().unsqueeze(1)


def expect_first_step(submission: Submission, draw: Draw, probe: str, labels: int = 0) -> None:
    """Trains a given model on a single batch, and raises a fault unless the step that is taken goes down a right loss.

    labels: the number of classes of a conditional model; 0 for one without.
    """
    run, seen, _ = _train(submission, draw, probe, labels, epochs=1, rate=5e-3)
    if not seen.parts("batches"):
        _, again, _ = _train(submission, draw, probe, labels, epochs=2, rate=5e-3)
        _, divided, _ = _train(submission, draw, probe, labels, epochs=1, rate=5e-3, batches=2)
        steps = len(again.parts("batches")), len(divided.parts("batches"))
        known = {(1, 0): mistakes.ONE_EPOCH_TOO_FEW, (0, 1): mistakes.LAST_BATCH_LEFT_OUT}
        expect(
            steps not in known,
            expected="one step in one epoch of one batch",
            seen="no step",
            mistake=known.get(steps),
        )
    start, ways = run.start, _ways(run, seen)
    hint = "In every iteration: forward, loss, clear the gradients, backward, optimiser step."
    expect(
        any(way.dim() == 2 and bool(way.any()) for way in ways.values()),
        expected="weights that training on one batch changes",
        seen="the weights as they were before",
        hint=hint,
    )
    expect(
        any(_goes_down(run, loss, start, ways) for loss in run.losses),
        expected="one step on one batch: parameters that have changed against the gradient of the loss",
        seen="parameters that have changed in another way",
        hint=hint,
    )


def _train(
    submission: Submission,
    draw: Draw,
    probe: str,
    labels: int,
    epochs: int,
    rate: float,
    beta: float = 1e-6,
    batches: int = 1,
) -> tuple[Run, Observation, float]:
    """Trains a given model, on a single batch. Returns the run, what was seen of it, and the learning rate.

    beta: of a variational model; so small that only the reconstructions matter, unless another one is given.
    batches: into how many the images are divided.
    """
    n, nz = draw.size("batch", 4, 8), draw.size("latent", 3, 6)
    auto_encoder = probe == "autoencoder.train_autoencoder"
    weights = small.weights(draw, nz, outputs=nz if auto_encoder else None, labels=labels)
    images, classes = draw.uniform(n, 1, 28, 28), draw.labels(labels or 10, n)
    seen = submission.ask(
        probe,
        weights=weights,
        **({} if auto_encoder else {"beta": beta}),
        images=images,
        labels=classes,
        batch_size=math.ceil(n / batches),
        epochs=epochs,
        learning_rate=rate,
    )
    return Run(weights, images, classes if labels else None, own=seen.get("own") is True), seen, rate


def _ways(run: Run, seen: Observation) -> dict[str, Tensor]:
    """How each parameter has changed."""
    reported = seen.part("parameters", what="the model's parameters after training")
    return {
        name: reported.tensor(name, list(value.shape), what=f"the parameter {name} after training") - value
        for name, value in run.start.items()
    }


def _goes_down(run: Run, loss: Callable[[Tensor], Tensor], start: Parameters, ways: Parameters) -> bool:
    """Whether each parameter that has moved has gone against its gradient of this loss."""
    free = {name: value.double().requires_grad_() for name, value in start.items()}
    loss(run.reconstructed(free)).backward()
    return all(_agreement(free[name].grad, way.double()) >= AGREEMENT for name, way in ways.items())


def _agreement(gradient: Tensor | None, way: Tensor) -> float:
    """The share of the gradient of what has moved, by size, whose sign is opposite to the way; 1 where it is all zero."""
    size = torch.zeros_like(way) if gradient is None else gradient.abs() * (way != 0)
    if gradient is None or not bool(size.any()):
        return 1.0
    return float((size * (gradient * way < 0)).sum() / size.sum())


def _chain(parameters: Parameters, part: str, x: Tensor) -> Tensor:
    """Three layers with the parameters of an encoder or decoder (part), for x (n, inputs)."""
    for i in range(3):
        x = x @ parameters[f"{part}.{i}.weight"].T + parameters[f"{part}.{i}.bias"]
        x = x.clamp(min=0) if i < 2 else x
    return x


def expect_adams_steps(submission: Submission, draw: Draw, probe: str, labels: int = 0) -> None:
    """Trains a given model on a single batch with a tiny rate, and raises a fault unless its parameters move as Adam moves them.

    With next to no change, every step sees the same gradient; Adam then moves each parameter by the rate, whatever the gradient's
    size.
    """
    run, seen, rate = _train(submission, draw, probe, labels, epochs=STEPS, rate=draw.number(1e-5, 3e-5))
    expect_training_mode(seen)
    taken = len(seen.parts("batches"))
    if (
        taken == STEPS - 1
        and min(_moves(run, loss, seen, rate).distance(taken) for loss in run.losses) < NEAR
    ):
        fail(
            expected=f"{STEPS} steps in {STEPS} epochs of one batch",
            seen=f"{taken} steps",
            mistake=replace(mistakes.ONE_EPOCH_TOO_FEW, once=True),
        )
    found = min((_moves(run, loss, seen, rate) for loss in run.losses), key=lambda moves: moves.off)
    expect(
        found.off < NEAR,
        expected=f"weights that {STEPS} steps of Adam move by {STEPS} times the learning rate",
        seen=f"weights that moved by {found.words} times the learning rate",
        hint="One Adam over all of the model's parameters with this learning rate; one step per batch, the gradients cleared.",
        mistake=lambda: (
            found.mistake() or (mistakes.SGD if _goes_along(submission, draw, probe, labels) else None)
        ),
    )
    _expect_first_entry(run, seen)
    if run.variational:
        # With this beta the total is another number than its parts.
        run, seen, _ = _train(submission, draw, probe, labels, epochs=1, rate=rate, beta=LARGE_BETA)
        _expect_first_entry(run, seen)
    _expect_one_adam(submission, draw, probe, labels)


def _expect_one_adam(submission: Submission, draw: Draw, probe: str, labels: int) -> None:
    """Raises a fault where each of two epochs moves every weight by the learning rate, as the first step of an Adam does.

    The rate is so large that the gradients of the second epoch are others. An Adam that has taken a step moves by less then.
    """
    steps = torch.zeros(1)
    for rate in LARGE_RATES:
        # Losses that are written out, and variational models of the student's own, may not bear the largest.
        with suppress(Fault, NoAnswer):
            run, seen, _ = _train(submission, draw, probe, labels, epochs=2, rate=rate)
            steps = torch.cat([way.flatten() for way in _ways(run, seen).values()]).abs() / rate
            break
    # By the rate twice, there and back, or once, where no gradient is left.
    first_steps = ((steps - steps.round()).abs() < 0.01) & (steps.round() <= 2)
    expect(
        not bool(steps.any()) or float(first_steps.double().mean()) < MOSTLY,
        expected="one Adam for all epochs, whose second step depends on its first",
        seen="an Adam that begins anew in the second epoch",
        hint="Make the optimiser once, before the loops: a new one forgets what it has learned about the gradients.",
    )


def _goes_along(submission: Submission, draw: Draw, probe: str, labels: int) -> bool:
    """Whether one step with a large rate moves the weights by the rate times the gradient."""
    with suppress(Fault, NoAnswer):  # code that goes on with such weights may fail
        run, seen, rate = _train(submission, draw, probe, labels, epochs=1, rate=1.0)
        return any(_moves(run, loss, seen, rate, 1).plain for loss in run.losses)
    return False


def _expect_first_entry(run: Run, seen: Observation) -> None:
    """Raises a fault unless the first entry of the history is the loss of the first batch.

    A history of another form is another check's matter.
    """
    history = seen.get("history")
    entries = history.get("rec_loss") if isinstance(history, Mapping) else history
    if not isinstance(entries, list) or not entries or isinstance(entries[0], list):
        return
    if isinstance(history, Mapping) and holds_both(history, "rec_loss"):
        return
    part = Observation({"first": entries[0]})
    first = part.number("first", what="the first entry of the history")
    parts_for_part: list[Candidate] = []
    with torch.no_grad():
        start = {name: value.double() for name, value in run.start.items()}
        right = [float(loss(run.reconstructed(start))) for loss in run.losses]
        if run.variational and not run.own:  # the given model's own loss is another one
            given: Any = run.given.double()
            c = () if run.labels is None else (run.labels,)
            _, parts = given.loss(run.x, given(run.x, *c))
            right.insert(0, float(parts["rec_loss"]))
            kl = float(parts["kl_loss"])
            parts_for_part = [
                mistakes.HISTORY_PARTS_SWAPPED.giving(kl),
                mistakes.HISTORY_TOTAL_FOR_PART.giving(right[0] + 1.2 * LARGE_BETA * kl),
            ]
    if any(close(first, value, rtol=1e-2, atol=1e-6) for value in right):
        return
    wrong = [
        *parts_for_part,
        *(mistakes.HISTORY_SUMMED_OVER_BATCH.giving(len(run.images) * value) for value in right),
        *(mistakes.HISTORY_SUMMED_OVER_PIXELS.giving(small.PIXELS * value) for value in right),
    ]
    fitting = {w.mistake.id: w.mistake for w in wrong if close(first, w.value, rtol=2e-3, atol=1e-6)}
    fail(
        expected=f"the first entry of the history: the loss of the first batch, {right[0]:.4f}",
        seen=f"{first:.4f}",
        mistake=next(iter(fitting.values())) if len(fitting) == 1 else None,
        hint="Record the loss of the batch that the step is taken on.",
    )


@dataclass(frozen=True)
class Moves:
    """How far the weights moved against their gradients, in learning rates: the median of each layer.

    rate: the learning rate. plain: whether they moved along the gradients themselves.
    """

    medians: Mapping[str, float]
    rate: float
    plain: bool

    @property
    def off(self) -> float:
        """The largest relative distance from what Adam does."""
        return self.distance(STEPS)

    def distance(self, times: float) -> float:
        return max(abs(median - times) / times for median in self.medians.values())

    @property
    def words(self) -> str:
        low, high = min(self.medians.values()), max(self.medians.values())
        return f"{low:.3g}" if high - low < 0.01 * abs(high) else f"{low:.3g} to {high:.3g}"

    def mistake(self) -> Mistake | None:
        moved = {part: [m for name, m in self.medians.items() if name.startswith(part)] for part in PARTS}
        still = [part for part, medians in moved.items() if not any(medians)]
        if len(still) == 1 and max(self.medians.values()) > 0.5:
            return mistakes.DECODER_ALONE if still == ["encoder"] else mistakes.ENCODER_ALONE
        # Steps this large change the gradient, so they fall behind.
        if self.distance(STEPS * 1e-3 / self.rate) < 0.5:
            return mistakes.RATE_LEFT_OUT
        return mistakes.NOT_CLEARED if self.distance(_piled_up(STEPS)) < PILED_UP_NEAR else None


def _piled_up(steps: int) -> float:
    """How far Adam goes, in learning rates, when equal gradients pile up: 1, 2, 3, ... times one gradient."""
    first = second = gone = 0.0
    for n in range(1, steps + 1):
        first, second = 0.9 * first + 0.1 * n, 0.999 * second + 0.001 * n * n
        gone += first / (1 - 0.9**n) / math.sqrt(second / (1 - 0.999**n))
    return gone


def _moves(
    run: Run, loss: Callable[[Tensor], Tensor], seen: Observation, rate: float, steps: int = STEPS
) -> Moves:
    start, ways = run.start, _ways(run, seen)
    free = {name: value.double().requires_grad_() for name, value in start.items()}
    loss(run.reconstructed(free)).backward()
    medians, along = {}, []
    for name, way in ways.items():
        gradient = free[name].grad
        if way.dim() != 2 or gradient is None:
            continue
        large = gradient.abs() >= gradient.abs().flatten().quantile(0.8).clamp(min=1e-7)
        medians[name] = float((-way * gradient.sign())[large].median()) / rate
        along.append(float((way + steps * rate * gradient).norm() / (steps * rate * gradient.norm() + 1e-30)))
    return Moves(medians, rate, plain=max(along) < 0.1)
