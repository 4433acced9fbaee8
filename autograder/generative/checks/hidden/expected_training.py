"""What a training loop should do to a small model, worked out step by step, and which known mistake explains another result."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from autograder.judging import Draw, Mistake, Observation, expect, expect_equal, fail

from ...mistakes.hidden import training as mistakes
from ...mistakes.public import training as known
from ..public.judge_common import expect_no_seed, expect_training_mode
from ..public.models_autoencoder import Sizes, long_epoch
from .expected_steps import Batch, Loss, Losses, Parameters, simulate

# Share of the parameters that may differ: where a gradient is nearly 0, Adam follows its rounding. Right loops
# stay below 0.003 (of some 3000 tried); the known mistakes are above 0.35.
PARAMETERS_OFF = 0.08
STEP_OFF = 0.004  # how much the other parameters may differ, in units of the learning rate
# The same, where no known mistake is nearer. In a model of three layers one gradient near 0 whose sign depends on rounding
# moves everything behind it a little, once in many runs.
STEP_OFF_NEAREST = 0.05
KL_STEP = 10**0.25  # between the weights of kl_loss that are tried first
KL_WEIGHTS = tuple(KL_STEP**i for i in range(-12, 7))  # 0.001 to 32
KL_ROUNDS = 25  # each leaves out a third of the way between two of them: to 4 digits
OWN_RATE = 5e-4  # the learning rate for a student's own model: at higher ones rounding decides where three layers end

Simulated = tuple[Parameters, list[dict[str, float]]]  # where a loop ends, and the losses at every step


@dataclass(frozen=True)
class Run:
    """A training run that was asked for, and what was observed of it.

    make: makes the model as it was handed over, in float64.
    losses: every loss that a right loop may minimise, by name; only one can fit.
    needs_labels: whether the model must be given labels.
    own: whether the model is the student's own, which may take images and labels in its own way.
    known: results that are computed once.
    """

    seen: Observation
    size: Sizes
    images: Tensor
    labels: Tensor
    make: Callable[[], Any]
    losses: Mapping[str, Loss]
    needs_labels: bool = False
    own: bool = False
    known: dict[str, Any] = field(default_factory=dict)

    @property
    def per_epoch(self) -> int:
        """The number of batches in an epoch."""
        return math.ceil(self.size.images / self.size.batch)

    @property
    def iterations(self) -> int:
        """The number of steps that are judged.

        One, those of one epoch or of all but one, or those without the last batches, where the loop took so many; else all.
        """
        taken = len(self.seen.parts("batches"))
        ends = (1, self.per_epoch, (self.size.epochs - 1) * self.per_epoch, self.without_last_batches)
        return taken if taken in ends else self.size.epochs * self.per_epoch

    @property
    def without_last_batches(self) -> int:
        """The number of steps of a loop that leaves out the last batch of every epoch."""
        return self.size.epochs * (self.per_epoch - 1)

    def expect_all_epochs(self) -> None:
        """Ends the check where the loop took fewer steps than it should; for the end of a check, when all else is right."""
        if self.iterations == self.size.epochs * self.per_epoch:
            return
        mistake: Mistake | None
        seen, mistake = f"{self.size.epochs - 1} epochs", known.ONE_EPOCH_TOO_FEW
        if self.iterations == self.without_last_batches:
            seen = f"{self.per_epoch - 1} batches in each epoch"
            full = all(len(x) == self.size.batch for x, _ in self.batches())  # the last one is smaller
            mistake = known.LAST_BATCH_LEFT_OUT if full else None
        elif self.iterations <= self.per_epoch:
            one_batch = self.iterations == 1
            seen, mistake = ("one batch", known.ONE_BATCH) if one_batch else ("one epoch", known.ONE_EPOCH)
        fail(
            expected=f"{self.size.epochs} epochs of {self.per_epoch} batches",
            seen=seen,
            mistake=replace(mistake, once=True) if mistake else None,
            hint="Take one optimiser step for every batch of every epoch.",
        )

    def batches(self) -> list[Batch]:
        """The batches that the model was given; raises a fault unless they are as many as the loader's, with their labels."""
        if "batches" in self.known:
            return list(self.known["batches"])
        given = self.seen.parts("batches")
        expect_equal(
            len(given),
            self.iterations,
            what=f"number of training iterations ({self.size.epochs} epochs of {self.per_epoch} batches)",
            hint="Take one optimiser step for every batch of every epoch.",
            mistakes=[mistakes.ONE_STEP_PER_EPOCH.giving(self.size.epochs)],
        )
        found = [self._batch(b, i) for i, b in enumerate(given)]
        if self.needs_labels:
            found = [(x, self._labels_of(x, c, number)) for number, (x, c) in enumerate(found)]
        self.known["batches"] = found
        return found

    def expect_whole_epoch(self) -> None:
        """Raises a fault unless the loop goes through a long epoch to its end."""
        taken = len(self.seen.parts("batches"))
        expect(
            taken == self.per_epoch,
            expected=f"{self.per_epoch} steps in an epoch of {self.per_epoch} batches",
            seen=f"{taken} steps",
            hint="Take a step on every batch that the loader yields.",
            mistake=mistakes.ENDS_EARLY if 0 < taken < self.per_epoch else None,
        )

    def expect_images(self) -> None:
        """Raises a fault unless the batches hold the loader's images, each once in an epoch, in a new order in every epoch.

        The steps and the losses are judged on whatever images the model was given.
        """
        found = self.batches()
        if self.iterations == self.without_last_batches:
            return
        orders = []
        for first in range(0, self.iterations, self.per_epoch):
            in_epoch = found[first : first + self.per_epoch]
            rows = torch.cat([self._rows(x) for x, _ in in_epoch])
            images = torch.arange(self.size.images)
            if self.iterations == 1:
                images = rows.unique()[rows.unique() >= 0]
            expect(
                torch.equal(rows.sort().values, images),
                expected=f"every image of the loader once in epoch {first // self.per_epoch + 1}",
                seen="other images, or some of them changed",
                mistake=mistakes.IMAGES_ROUNDED if self._are_rounded(in_epoch) else None,
                hint="Use each batch of the loader as it is; flatten it, and change nothing else.",
            )
            orders.append(rows)
        expect_no_seed(self.seen.flag("seed_kept"), "training")
        expect(
            not any(torch.equal(*pair) for pair in pairwise(orders)),
            expected="batches that the loader shuffles anew in every epoch",
            seen="the same batches in the same order as in the epoch before",
            mistake=mistakes.BATCHES_KEPT,
        )

    def _batch(self, batch: Observation, number: int) -> Batch:
        x = batch.tensor("x", what=f"the images that the model was given at iteration {number}")
        if self.own and x.dim() > 1 and x.numel() == len(x) * 784:
            self._expect_pixels(x, number)
            flat = x.double().reshape(len(x), 1, 784)
            return flat, self.labels[self._rows(flat)]
        expect(
            x.dim() in (2, 3) and x.shape[-1] == 784 and x.numel() == len(x) * 784,
            expected=f"images flattened to ({len(x)}, 1, 784) at iteration {number}",
            seen=f"shape {tuple(x.shape)}",
            hint="x.reshape(len(x), 1, 784), or view(-1, 1, 784).",
        )
        self._expect_pixels(x, number)
        c = batch.get("c")
        return x.double().reshape(len(x), 1, 784), c if isinstance(c, Tensor) else None

    def _expect_pixels(self, x: Tensor, number: int) -> None:
        """Raises a fault unless these are images, one batch at most: the steps are computed with them."""
        expect(
            1 <= len(x) <= self.size.batch and bool(((x >= 0) & (x <= 1)).all()),
            expected=f"up to {self.size.batch} images with values in [0, 1], as the loader yields them, at iteration {number}",
            seen=f"{len(x)} images with values from {float(x.min()):.3g} to {float(x.max()):.3g}"
            if x.numel()
            else "no images",
            hint="Use each batch of the loader as it is; flatten it, and change nothing else.",
        )

    def _are_rounded(self, batches: Sequence[Batch]) -> bool:
        """Whether the batches hold the loader's images, rounded to 0 and 1."""
        seen = torch.cat([x.flatten(1) for x, _ in batches])
        distance = torch.cdist(seen, self.images.double().flatten(1).round(), p=1)
        return bool((distance.min(1).values < 1e-3).all())

    def _rows(self, x: Tensor) -> Tensor:
        """The number of the image that each row of x is; -1 where it is none of them."""
        distance = torch.cdist(x.flatten(1), self.images.double().flatten(1), p=1)
        nearest = distance.min(1)
        return torch.where(nearest.values < 1e-3, nearest.indices, -1)

    def _labels_of(self, x: Tensor, c: Tensor | None, number: int) -> Tensor:
        """The labels (N,) that were passed; raises a fault unless they are the images' own. Those of other images are not known."""
        if c is None:
            fail(
                expected="a conditional model called with the images and their labels",
                seen=f"no labels at iteration {number}",
                mistake=mistakes.LABELS_NOT_PASSED,
            )
        rows, passed = self._rows(x), c.flatten().long()
        own, found = self.labels[rows], rows >= 0
        right = len(passed) == len(rows) and bool(torch.isin(passed, self.labels).all())
        expect(
            right and torch.equal(passed[found], own[found]),
            expected=f"each image's own label at iteration {number}",
            seen=f"labels {passed.tolist()[:8]}",
            hint="Pass the labels of the batch as the loader gives them.",
            mistake=mistakes.LABELS_SHUFFLED
            if torch.equal(passed.sort().values, own.sort().values)
            else None,
        )
        return passed

    def expect_mode(self) -> None:
        """Raises a fault unless every step is in training mode, and the random generator is never reseeded."""
        expect_training_mode(self.seen)
        expect_no_seed(self.seen.flag("seed_kept"), "training")

    def fitting(self) -> str | None:
        """The name of the loss under which a right loop gives the observed parameters; None when there is none."""
        if "fitting" not in self.known:
            right = (n for n in self.losses if self._fits(self._simulated(n)[0]))
            still = not self.own and self._fits(self._start)
            self.known["fitting"] = None if still else next(right, self._nearest() if self.own else None)
        return self.known["fitting"]

    def _nearest(self) -> str | None:
        """The loss under which a right loop nearly gives the observed parameters, unless a known mistake is twice as near."""
        for name in self.losses:
            right, history = self._simulated(name)
            if self._fits(right, STEP_OFF_NEAREST):
                totals = mistakes.WRONG_TOTALS if "kl_loss" in history[0] else ()
                wrong = [self._simulated(name, **how)[0] for _, how in mistakes.WRONG_LOOPS]
                wrong += [self._simulated(total.id)[0] for total in totals]
                if all(self._distance(right) < 2 * self._distance(parameters) for parameters in wrong):
                    return name
        return None

    def expect_steps(self, what: str) -> None:
        """Raises a fault unless the parameters are where one right Adam takes them."""
        self.batches()
        if self.fitting() is not None:
            return
        seen = self._difference()
        found = self._wrong_steps()
        fail(
            expected=f"{what}: the parameters that one Adam with learning rate {self.size.rate:g} reaches "
            f"in {self.iterations} steps",
            seen=seen,
            hint="Compare the loop with the steps in the question.",
            mistake=found[0] if len(found) == 1 else None,
        )

    def _wrong_steps(self) -> list[Mistake]:
        """The known mistakes that explain the observed parameters."""
        fitting = (m for m, how in mistakes.WRONG_LOOPS if self._looks_like(how) is not None)
        found = list({m.id: m for m in fitting}.values())
        found += [m for m in self._wrong_totals if self._fits(self._simulated(m.id)[0])]
        if not found and self._weighed() is not None:
            found = [mistakes.OTHER_WEIGHT]
        rates = self.seen.get("rates")
        if (
            not found
            and isinstance(rates, list)
            and len({r for r in rates if isinstance(r, (int, float))}) > 1
        ):
            found = [known.RATE_CHANGES]
        return found

    def expect_history(
        self, name: str, seen: Sequence[float], what: str, others: Sequence[float] | None = None
    ) -> None:
        """Raises a fault unless the entries, or the others, are the losses called `name` at each step, before it is taken.

        Where the steps themselves show a known mistake (another check's matter), the losses along those are right.
        """
        history = self._history()
        right = [losses[name] for losses in history]
        if _near(seen, right) or (others is not None and _near(others, right)):
            return
        lengths = [len(x) for x, _ in self.batches()]
        beta = getattr(self.make(), "beta", 1.0)
        wrong = mistakes.wrong_histories(name, history, lengths, self.per_epoch, beta)
        fits = [candidate for candidate in wrong if _near(seen, candidate.value)]
        fail(
            expected=f"{what}: {', '.join(f'{v:.5f}' for v in right[:4])}, ...",
            seen=", ".join(f"{v:.5f}" for v in seen[:4]) + ", ...",
            hint=mistakes.RIGHT_ENTRY,
            mistake=fits[0].mistake if len({f.mistake.id for f in fits}) == 1 else None,
        )

    @property
    def _wrong_totals(self) -> Sequence[Mistake]:
        """Known wrong totals; none for an auto-encoder, whose loss has one term only."""
        return mistakes.WRONG_TOTALS if "given" in self.losses else ()

    def _history(self) -> list[dict[str, float]]:
        """The losses at each step, along the steps that fit best what was observed."""
        fitting = self.fitting()
        if fitting is not None:
            return self._simulated(fitting)[1]
        for _, how in mistakes.WRONG_LOOPS:
            name = self._looks_like(how)
            if name is not None:
                return self._simulated(name, **how)[1]
        for mistake in self._wrong_totals:
            if self._fits(self._simulated(mistake.id)[0]):
                return self._simulated(mistake.id)[1]
        weighed = self._weighed()
        return weighed[1] if weighed is not None else self._simulated(next(iter(self.losses)))[1]

    def _weighed(self) -> Simulated | None:
        """The result of a loop that weighs kl_loss by a number of its own, where one gives the observed parameters."""
        if "weighed" not in self.known:
            found = self._with_weight(self._nearest_weight()) if self._wrong_totals else None
            self.known["weighed"] = found if found is not None and self._fits(found[0]) else None
        weighed: Simulated | None = self.known["weighed"]
        return weighed

    def _nearest_weight(self) -> float:
        """The weight of kl_loss whose loop ends nearest to the observed parameters."""

        def off(weight: float) -> float:
            return self._distance(self._with_weight(weight)[0])

        near = min(KL_WEIGHTS, key=off)
        low, high = near / KL_STEP, near * KL_STEP
        for _ in range(KL_ROUNDS):
            third = (high / low) ** (1 / 3)
            low, high = (low, high / third) if off(low * third) < off(high / third) else (low * third, high)
        return math.sqrt(low * high)

    def _with_weight(self, weight: float) -> Simulated:
        """A loop that minimises rec_loss + weight * kl_loss."""
        first = next(iter(self.losses.values()))

        def loss(model: Any, x: Tensor, c: Tensor | None) -> Losses:
            values = first(model, x, c)
            return {**values, "total": values["rec_loss"] + weight * values["kl_loss"]}

        return simulate(self.make(), self.batches(), self.per_epoch, loss, rate=self.size.rate)

    def _simulated(self, loss: str, **how: Any) -> Simulated:
        """The parameters and the losses of a loop that minimises a right loss (by name) or a wrong total (by id)."""
        key = f"{loss} {sorted(how.items())}"
        if key not in self.known:
            function = self.losses[loss] if loss in self.losses else self._wrong_total(loss)
            settings = {"rate": self.size.rate, **how}
            self.known[key] = simulate(self.make(), self.batches(), self.per_epoch, function, **settings)
        return self.known[key]

    def _wrong_total(self, id: str) -> Loss:
        """The loss that a loop with this mistake minimises in place of the model's total."""
        (total,) = (m.gives for m in mistakes.WRONG_TOTALS if m.id == id and m.gives is not None)
        first = next(iter(self.losses.values()))

        def loss(model: Any, x: Tensor, c: Tensor | None) -> Losses:
            values = first(model, x, c)
            return {**values, "total": total(values)}

        return loss

    def _distance(self, parameters: Parameters) -> float:
        """How far the observed parameters are from these, all in all."""
        seen = self.seen.part("parameters")
        return sum(float((seen.tensor(n).double() - value).abs().sum()) for n, value in parameters.items())

    def _fits(self, parameters: Parameters, most: float = STEP_OFF) -> bool:
        """True when (nearly all) observed parameters are these. most: how much they may differ, in learning rates."""
        share = [self._off(name, value, most) for name, value in parameters.items()]
        compared = sum(n for _, n in share)
        return compared > 0 and sum(off * n for off, n in share) <= PARAMETERS_OFF * compared

    def _off(self, name: str, value: Tensor, most: float = STEP_OFF) -> tuple[float, int]:
        """The share of a parameter's entries that differ from `value`, and the number of entries."""
        seen = self.seen.part("parameters").tensor(
            name, list(value.shape), what=f"the parameter {name} after training"
        )
        off = ~((seen.double() - value).abs() <= most * self.size.rate)
        if self.own:  # some of its units never matter, so what they are says nothing
            moved = (value - self._start[name]).abs() > STEP_OFF * self.size.rate
            off = off[moved]
        return (off.double().mean().item() if len(off) else 0.0), off.numel()

    @property
    def _start(self) -> dict[str, Tensor]:
        """The parameters before training."""
        if "start" not in self.known:
            self.known["start"] = {n: p.detach() for n, p in self.make().named_parameters()}
        return dict(self.known["start"])

    def _looks_like(self, how: Mapping[str, Any]) -> str | None:
        """The loss under which a wrong loop gives the observed parameters; None when there is none."""
        return next((n for n in self.losses if self._fits(self._simulated(n, **how)[0])), None)

    def _difference(self) -> str:
        """How the observed parameters differ from the right ones."""
        name = next(iter(self.losses))
        shares = [self._off(n, v) for n, v in self._simulated(name)[0].items()]
        share = sum(off * n for off, n in shares) / sum(n for _, n in shares)
        if not self.own and self._fits(self._start):
            return "the parameters have not changed"
        return f"{share:.0%} of the parameters have other values"


def expect_long_epoch(draw: Draw, train: Callable[[Sizes], Run]) -> None:
    """Raises a fault unless a loop goes through a long epoch to its end; `train` makes a run of the sizes that it is given.

    Not at the sizes of the handout, whose batches are large.
    """
    if "batch" not in draw.usual:
        train(long_epoch(draw)).expect_whole_epoch()


def uses_own_parts(seen: Observation) -> bool:
    """Whether a training run used the student's own model in place of a given one."""
    return seen.get("own") is True


def _near(seen: Sequence[float], values: Sequence[float]) -> bool:
    return len(seen) == len(values) and all(
        abs(s - v) <= 2e-3 * abs(v) + 1e-5 for s, v in zip(seen, values, strict=True)
    )
