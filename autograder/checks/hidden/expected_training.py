"""What a training loop should do to a small model, worked out step by step, and what known mistakes would do."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from autograder.checks.hidden.expected_steps import Batch, Loss, Losses, Parameters, simulate
from autograder.checks.public.given import Sizes, expect_no_seed
from autograder.checks.public.telling import expect_flattened
from autograder.judging import Mistake, Observation, expect, expect_equal, fail

# Share of the parameters that may be elsewhere: where a gradient is nearly 0, Adam follows its rounding. Right loops
# stay below 0.003 (of some 3000 tried); the known mistakes are above 0.35.
PARAMETERS_OFF = 0.08
STEP_OFF = 0.004  # how far the others may be off, in units of the learning rate


@dataclass(frozen=True)
class Run:
    """A training run that was asked for, and what was seen of it."""

    seen: Observation
    size: Sizes
    images: Tensor
    labels: Tensor
    make: Callable[[], Any]  # the model as it was handed over, in float64
    losses: Mapping[str, Loss]  # every loss that a right loop may minimise; only one can fit
    tell_labels: bool = False
    known: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        expect_flattened(self.seen)

    def batches(self) -> list[Batch]:
        """The batches that the model was given, after checking that they are the loader's, epoch by epoch."""
        if "batches" in self.known:
            return list(self.known["batches"])
        given = self.seen.parts("batches")
        per_epoch = math.ceil(self.size.images / self.size.batch)
        expect_equal(
            len(given),
            self.size.iterations,
            what=f"number of training iterations ({self.size.epochs} epochs of {per_epoch} batches)",
            hint="One optimiser step for every batch of every epoch.",
            mistakes=[
                Mistake(per_epoch, "The loader is gone through only once, whatever `epochs` says."),
                Mistake(self.size.epochs, "There is one step per epoch, not one per batch."),
            ],
        )
        found = [self._batch(b, i) for i, b in enumerate(given)]
        for epoch in range(self.size.epochs):
            rows = torch.cat([self._rows(x) for x, _ in found[epoch * per_epoch : (epoch + 1) * per_epoch]])
            expect(
                torch.equal(rows.sort().values, torch.arange(self.size.images)),
                expected=f"every image of the loader once in epoch {epoch + 1}",
                seen="other images, or some of them changed",
                hint="Use each batch of the loader as it comes; flatten it, and change nothing else.",
            )
        if self.tell_labels:
            self._check_labels(found)
        self.known["batches"] = found
        return found

    def _batch(self, batch: Observation, number: int) -> Batch:
        x = batch.tensor("x", what=f"the images that the model was given at iteration {number}")
        expect(
            x.dim() in (2, 3) and x.shape[-1] == 784 and x.numel() == len(x) * 784,
            expected=f"images flattened to ({len(x)}, 1, 784) at iteration {number}",
            seen=f"shape {tuple(x.shape)}",
            hint="x.reshape(len(x), 1, 784), or view(-1, 1, 784).",
        )
        c = batch.get("c")
        return x.double().reshape(len(x), 1, 784), c if isinstance(c, Tensor) else None

    def _rows(self, x: Tensor) -> Tensor:
        """The number of the image that each row of x is; -1 where it is none of them."""
        distance = torch.cdist(x.flatten(1), self.images.double().flatten(1), p=1)
        nearest = distance.min(1)
        return torch.where(nearest.values < 1e-3, nearest.indices, -1)

    def _check_labels(self, batches: Sequence[Batch]) -> None:
        for number, (x, c) in enumerate(batches):
            if c is None:
                fail(
                    expected="a conditional model called with the images and their labels",
                    seen=f"no labels at iteration {number}",
                    hint="model(x, labels) when model.conditional.",
                    diagnosis="The labels are not passed: the CVAE is trained as if it were the plain VAE.",
                )
                return
            own = self.labels[self._rows(x)]
            told = c.flatten().long()
            torn = Mistake(None, "The labels are torn from their images: they come in another order.")
            expect(
                torch.equal(told, own),
                expected=f"each image's own label at iteration {number}",
                seen=f"labels {told.tolist()[:8]}",
                hint="Pass the labels of the batch as the loader gives them.",
                mistake=torn if torch.equal(told.sort().values, own.sort().values) else None,
            )

    def expect_mode(self) -> None:
        """Training mode at every step, and no reseeding."""
        expect(
            self.seen.flag("training"),
            expected="encoder and decoder in training mode at every step (the model comes in evaluation mode)",
            seen="evaluation mode",
            hint="Call model.train() before the first step.",
            mistake=Mistake(None, "The model is not switched to training mode."),
        )
        expect_no_seed(self.seen.flag("seed_kept"), "training")

    def fitting(self) -> str | None:
        """The name of the loss under which a right loop gives the parameters that were seen; None when none does."""
        if "fitting" not in self.known:
            right = (n for n in self.losses if self._fits(self._simulated(n)[0]))
            self.known["fitting"] = next(right, None)
        return self.known["fitting"]

    def expect_steps(self, what: str) -> None:
        """Raises a fault unless the parameters are where one right Adam takes them."""
        self.batches()
        if self.fitting() is not None:
            return
        told = self._unlike()
        mistakes = [(says, try_) for says, try_, how in WRONG_LOOPS if self._looks_like(how) is not None]
        mistakes += [
            (says, "Minimise the total that model.loss returns.")
            for name, says in self._wrong_totals.items()
            if self._fits(self._simulated(name)[0])
        ]
        rates = self.seen.get("rates")
        if not mistakes and isinstance(rates, list) and len(set(rates)) > 1:
            mistakes = [("The learning rate changes on the way.", "Train with one rate from first to last.")]
        fail(
            expected=f"{what}: the parameters that one Adam with learning rate {self.size.rate:g} reaches "
            f"in {self.size.iterations} steps",
            seen=told,
            hint=mistakes[0][1]
            if len(mistakes) == 1
            else "Compare the loop with the steps that the question names.",
            diagnosis=mistakes[0][0] if len(mistakes) == 1 else None,
        )

    def expect_history(self, name: str, seen: Sequence[float], what: str) -> None:
        """Raises a fault unless the entries are the losses at each step, before it was taken.

        Where the steps themselves show a known mistake (another check's matter), the losses along those are right.
        """
        history = self._history()
        right = [losses[name] for losses in history]
        if _near(seen, right):
            return
        counts = [len(x) for x, _ in self.batches()]
        mistakes = [
            (
                f"The {name.replace('_', ' ')} is summed over the batch.",
                [r * n for r, n in zip(right, counts, strict=True)],
            ),
            ("The loss is summed over pixels.", [r * 784 for r in right]),
            ("The entries are running means.", [sum(right[: i + 1]) / (i + 1) for i in range(len(right))]),
        ]
        mistakes += [
            (f"{other} stands where {name} is asked.", [losses[other] for losses in history])
            for other in history[0]
            if other != name
        ]
        fits = [says for says, values in mistakes if _near(seen, values)]
        fail(
            expected=f"{what}: {', '.join(f'{v:.5f}' for v in right[:4])}, ...",
            seen=", ".join(f"{v:.5f}" for v in seen[:4]) + ", ...",
            hint="Note the loss of the batch that the step is taken on.",
            diagnosis=fits[0] if len(fits) == 1 else None,
        )

    @property
    def _wrong_totals(self) -> Mapping[str, str]:
        """Known wrong totals; an auto-encoder's loss has one term only, so there is none."""
        return WRONG_TOTALS if "given" in self.losses else {}

    def _history(self) -> list[dict[str, float]]:
        fitting = self.fitting()
        if fitting is not None:
            return self._simulated(fitting)[1]
        for _, _, how in WRONG_LOOPS:
            name = self._looks_like(how)
            if name is not None:
                return self._simulated(name, **how)[1]
        for name in self._wrong_totals:
            if self._fits(self._simulated(name)[0]):
                return self._simulated(name)[1]
        return self._simulated(next(iter(self.losses)))[1]

    def _simulated(self, loss: str, **how: Any) -> tuple[Parameters, list[dict[str, float]]]:
        key = f"{loss} {sorted(how.items())}"
        if key not in self.known:
            per_epoch = math.ceil(self.size.images / self.size.batch)
            function = {**self.losses, **_wrong_totals(self.losses)}[loss]
            settings = {"rate": self.size.rate, **how}
            self.known[key] = simulate(self.make(), self.batches(), per_epoch, function, **settings)
        return self.known[key]

    def _fits(self, parameters: Parameters) -> bool:
        share = [self._off(name, value) for name, value in parameters.items()]
        return sum(off * n for off, n in share) <= PARAMETERS_OFF * sum(n for _, n in share)

    def _off(self, name: str, value: Tensor) -> tuple[float, int]:
        """The share of a parameter's entries that are elsewhere, and their number."""
        seen = self.seen.part("parameters").tensor(
            name, list(value.shape), what=f"the parameter {name} after training"
        )
        off = (seen.double() - value).abs() > STEP_OFF * self.size.rate
        return off.double().mean().item(), value.numel()

    def _looks_like(self, how: Mapping[str, Any]) -> str | None:
        """The loss under which a wrong loop gives the parameters that were seen."""
        return next((n for n in self.losses if self._fits(self._simulated(n, **how)[0])), None)

    def _unlike(self) -> str:
        name = next(iter(self.losses))
        start = {n: p.detach() for n, p in self.make().named_parameters()}
        shares = [self._off(n, v) for n, v in self._simulated(name)[0].items()]
        share = sum(off * n for off, n in shares) / sum(n for _, n in shares)
        if self._fits(start):
            return "the parameters have not changed"
        return f"{share:.0%} of the parameters are elsewhere"


WRONG_LOOPS: list[tuple[str, str, dict[str, Any]]] = [
    (
        "Adam's learning rate is left out: it trains with the default, 1e-3.",
        "Adam(..., lr=learning_rate).",
        {"rate": 1e-3},
    ),
    (
        "The gradients are not cleared: those of earlier batches are added on.",
        "Call optimizer.zero_grad() once in every iteration.",
        {"clear": False},
    ),
    (
        "A new Adam is made every epoch, so its state is lost.",
        "Make the optimiser once, before the loops.",
        {"renew": "epoch"},
    ),
    (
        "A new Adam is made for every batch, so its state is lost.",
        "Make the optimiser once, before the loops.",
        {"renew": "step"},
    ),
    ("The optimiser is plain gradient descent (SGD), not Adam.", "Use torch.optim.Adam.", {"kind": "SGD"}),
    ("The optimiser is AdamW, which lets the weights decay.", "Use torch.optim.Adam.", {"kind": "AdamW"}),
    (
        "No step is taken, or the gradients are cleared between backward and step.",
        "The order is zero_grad, backward, step.",
        {"kind": "none"},
    ),
    (
        "Only the decoder is trained.",
        "Hand model.parameters() to the optimiser.",
        {"only": "decoder"},
    ),
    (
        "Only the encoder is trained.",
        "Hand model.parameters() to the optimiser.",
        {"only": "encoder"},
    ),
]

WRONG_TOTALS = {
    "rec alone": "Only rec_loss is minimised; the KL term is left out.",
    "unweighted": "rec_loss + kl_loss is minimised, without beta.",
}


def _wrong_totals(losses: Mapping[str, Loss]) -> dict[str, Loss]:
    """Losses that a loop might minimise in place of the total that the model returns."""
    first = losses[next(iter(losses))]

    def alone(model: Any, x: Tensor, c: Tensor | None) -> Losses:
        values = first(model, x, c)
        return {**values, "total": values["rec_loss"]}

    def unweighted(model: Any, x: Tensor, c: Tensor | None) -> Losses:
        values = first(model, x, c)
        return {**values, "total": values["rec_loss"] + values.get("kl_loss", 0)}

    return {"rec alone": alone, "unweighted": unweighted}


def _near(seen: Sequence[float], values: Sequence[float]) -> bool:
    return len(seen) == len(values) and all(
        abs(s - v) <= 2e-3 * abs(v) + 1e-5 for s, v in zip(seen, values, strict=True)
    )
