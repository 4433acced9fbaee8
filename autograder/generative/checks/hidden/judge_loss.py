"""Judges loss, of VAE and CVAE: its parts, its total and the gradients of the total."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from autograder.judging import Candidate, Draw, Observation, candidates, close, expect, expect_close, fail

from ...mistakes.hidden import vae as mistakes
from ...mistakes.public import vae_loss as known
from ...mistakes.public.vae import Posterior
from ..public.judge_vae import expect_tensors, part
from . import expected_vae as expected


@dataclass(frozen=True)
class LossCase:
    """Arguments of a loss: x and rec (N, 1, 784), q (N, 1, 2 nz)."""

    nz: int
    beta: float
    x: Tensor
    q: Tensor
    rec: Tensor

    @property
    def inputs(self) -> dict[str, Any]:
        """As the probes take them."""
        return dict(vars(self))

    @property
    def kl(self) -> Tensor:
        """The right kl_loss."""
        return expected.kl_to_prior(self.q.double()).mean()


def loss_case(draw: Draw, n: int, dtype: torch.dtype = torch.float32, beta: float | None = None) -> LossCase:
    """Arguments with mu != 0 and sigma != 1; beta is drawn where it is not given."""
    nz = draw.size("latent", 3, 12, unlike=n)
    mu, log_sigma = draw.normal(n, 1, nz, mean=0.6, std=1.2), draw.normal(n, 1, nz, mean=-0.5, std=0.6)
    drawn = draw.number(0.1, 0.7)
    return LossCase(
        nz=nz,
        beta=drawn if beta is None else beta,
        x=draw.uniform(n, 1, 784).to(dtype),
        q=torch.cat([mu, log_sigma], -1).to(dtype),
        rec=draw.uniform(n, 1, 784, low=0.05, high=0.95).to(dtype),
    )


def expect_kl(seen: Observation, case: LossCase) -> None:
    """kl_loss is KL[q || N(0, I)], averaged over everything, and not yet multiplied by beta."""
    expect_close(
        part(seen, "kl_loss").double(),
        case.kl,
        rtol=1e-3,
        atol=1e-5,
        what="kl_loss",
        mistakes=known.kl_losses(Posterior(*expected.halves(case.q)), case.beta),
        hint="KL[q(z|x) || N(0, I)] of each element from kl_divergence, then the mean over everything.",
    )
    expect_tensors(seen)


def expect_total(seen: Observation, case: LossCase) -> None:
    """rec_loss is a right one, and total = rec_loss + beta * kl_loss; a wrong kl_loss is left to another check."""
    rec_loss, kl_loss = (part(seen, k).double() for k in ("rec_loss", "kl_loss"))
    right = expected.rec_losses(case.rec, case.x)
    if not any(torch.allclose(rec_loss, value, rtol=1e-3, atol=1e-6) for value in right.values()):
        expect_close(
            rec_loss,
            right["real"],
            rtol=1e-3,
            what="rec_loss, the reconstruction loss of the outputs",
            mistakes=mistakes.rec_losses(case.rec.double(), case.x.double()),
            hint='reconstruction_loss(outputs["rec"], x).',
        )
    total = seen.tensor("total", (), what="the total").double()
    if not torch.isclose(total, rec_loss + case.beta * case.kl, rtol=1e-3):
        terms = known.Terms(rec_loss, kl_loss, case.beta)
        totals = (
            candidates(known.TOTALS, terms)
            if case.beta
            else [mistakes.BETA_ZERO_REPLACED.giving(rec_loss + kl_loss)]
        )
        expect_close(
            total,
            rec_loss + case.beta * kl_loss,
            rtol=1e-3,
            what=f"the total with beta = {case.beta:.3f}: rec_loss + beta * kl_loss",
            mistakes=totals if torch.isclose(kl_loss, case.kl, rtol=1e-3) else (),
        )
    expect_tensors(seen)


def expect_loss_gradients(seen: Observation, case: LossCase) -> None:
    """The total has the right gradients with respect to q and rec; rec_loss and kl_loss may be detached."""
    beta = case.beta
    expect(
        seen.flag("kept"),
        expected="unchanged arguments",
        seen="outputs or x was changed",
        mistake=known.LOSS_CHANGES_ARGUMENTS,
    )
    total = seen.tensor("total", (), what="the total").double()
    right = expected.rec_losses(case.rec, case.x)
    if seen.get("grad_q") is None and any(torch.isclose(total, v, rtol=1e-3) for v in right.values()):
        fail(expected="a total with both terms", seen="rec_loss alone", mistake=known.KL_LEFT_OUT)
    for key in ("grad_q", "grad_rec"):
        if seen.get(key) is None:
            fail(
                expected="a total that gradients flow through",
                seen="no gradient",
                mistake=known.TOTAL_CUT_OFF,
            )
    name = min(right, key=lambda k: abs(right[k] + beta * case.kl - total).item())
    dtype = str(case.x.dtype).removeprefix("torch.")
    expect_close(
        total,
        right[name] + beta * case.kl,
        rtol=1e-3,
        what=f"the total in {dtype}",
        mistakes=list(_wrong_totals(case, right, seen)),
    )
    _expect_gradient(seen, "q", lambda q: beta * expected.kl_to_prior(q).mean(), case.q)
    _expect_gradient(seen, "rec", lambda rec: expected.rec_losses(rec, case.x)[name], case.rec)


def _wrong_totals(case: LossCase, right: Mapping[str, Tensor], seen: Observation) -> Iterator[Candidate]:
    """The totals of known mistakes in kl_loss, in rec_loss or in their sum; other checks are about these mistakes.

    A mistake in one of the parts counts only where the part that came back has it too. A wrong kl_loss must also be away from
    the right one: small errors of any kind come near such a value by chance.
    """
    posterior = Posterior(*expected.halves(case.q))
    parts = Observation(given) if isinstance(given := seen.get("parts"), Mapping) else Observation({})
    kl, rec = parts.get("kl_loss"), parts.get("rec_loss")
    for rec_loss in right.values():
        for wrong in known.kl_losses(posterior, case.beta):
            told = not isinstance(kl, Tensor) or close(kl, wrong.value, 1e-3, 1e-6)
            if told and not close(wrong.value, case.kl, 0.03, 1e-6):
                yield wrong.mistake.giving(rec_loss + case.beta * wrong.value)
        yield from candidates(known.TOTALS, known.Terms(rec_loss, case.kl, case.beta))
    for wrong in mistakes.rec_losses(case.rec.double(), case.x.double()):
        if not isinstance(rec, Tensor) or close(rec, wrong.value, 1e-3, 1e-6):
            yield wrong.mistake.giving(wrong.value + case.beta * case.kl)


def _expect_gradient(seen: Observation, name: str, term: Callable[[Tensor], Tensor], at: Tensor) -> None:
    """Raises a fault unless the total's gradient with respect to `name` is that of `term` at `at`."""
    what = f"the gradient of the total with respect to {name}"
    asked = (len(at), at.numel() // len(at)) if name == "q" else tuple(at.shape)
    grad = seen.tensor(f"grad_{name}", asked, what=what)
    expected.expect_gradient(grad, term, at, what)


def is_stand_ins_loss(seen: Observation, case: LossCase) -> bool:
    """True when the loss came from the stand-in VAE, which a CVAE may inherit from or call."""
    total, parts = expected.stand_in_loss(case.beta, case.x, case.q, case.rec)
    near = torch.isclose(seen.tensor("total", (), what="the total").double(), total, rtol=1e-3)
    parts_near = [torch.isclose(part(seen, k).double(), v, rtol=1e-3) for k, v in parts.items()]
    return bool(near) and all(map(bool, parts_near))
