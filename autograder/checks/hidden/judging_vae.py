"""How VAE and CVAE are judged, for the hidden checks of both: one function for each thing that a check asks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from autograder.checks.hidden import expected_vae as expected
from autograder.checks.hidden.expected_sampling import expect_own_draws
from autograder.checks.hidden.expected_training import Run
from autograder.checks.hidden.judging_noise import name_wrong_spread
from autograder.checks.public import given, telling
from autograder.judging import (
    Draw,
    Mistake,
    Observation,
    expect,
    expect_close,
    expect_fresh,
    expect_standard_normal,
    fail,
)
from autograder.probes.stand_ins.vae import VAE as StandIn


def _posterior(
    seen: Observation, key: str, weights: dict[str, Tensor], x: Tensor, c: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """mu, log sigma and the code z that was decoded, (N, nz) each; faults when q or rec are not what they should be."""
    n, nz = len(x), weights["decoder_weight"].shape[1]
    outputs = seen.part(key, what="what forward returned")
    q = outputs.tensor("q", what='outputs["q"]')
    expect(
        q.shape in [(n, 1, 2 * nz), (n, 2 * nz)],
        expected=f'outputs["q"]: what the encoder returned, ({n}, 1, {2 * nz})',
        seen=f"shape {tuple(q.shape)}",
        mistake=Mistake(None, "q is overwritten by z: it holds the drawn code, not the posterior.")
        if q.shape in [(n, 1, nz), (n, nz)]
        else None,
    )
    right = given.encoded(weights, x, c)
    mistakes = []
    if c is not None:
        mistakes += [
            Mistake(given.encoded(weights, x), "The labels are not handed to the encoder."),
            Mistake(
                given.encoded(weights, x, 0 * c), "Every image is encoded with label 0, not with its own."
            ),
        ]
    expect_close(
        q.double().reshape(n, -1),
        right,
        rtol=1e-3,
        atol=1e-4,
        what='outputs["q"], which is what the encoder returns',
        mistakes=mistakes,
    )
    rec = outputs.tensor("rec", (n, 1, 784), what='outputs["rec"]')
    z = given.codes_in(weights, rec, c)
    if z is None:
        fail(
            expected='outputs["rec"]: what the decoder makes of a code'
            + (" and the labels" if c is not None else ""),
            seen="an image that the decoder makes of no code",
            diagnosis="The labels are not handed to the decoder."
            if c is not None and given.codes_in(weights, rec) is not None
            else None,
        )
        raise AssertionError
    mu, log_sigma = expected.halves(right)
    return mu, log_sigma, z


def expect_posterior_sample(
    seen: Observation, weights: dict[str, Tensor], x: Tensor, c: Tensor | None, also: Sequence[Tensor] = ()
) -> None:
    """rec is decoded from what reparameterize gives, be it the dye, the student's own draw, or one of `also`."""
    given.refuse_64(seen, len(x))
    mu, log_sigma, z = _posterior(seen, "outputs", weights, x, c)
    dyes = [1.1 * mu + 0.6 * log_sigma, *also]
    if any(torch.allclose(z, dye, atol=2e-3) for dye in dyes):
        return
    _name_wrong_code(z, mu, log_sigma)
    eps = (z - mu) / log_sigma.exp()
    expect_own_draws(eps, "the noise")
    name_wrong_spread(z - mu, log_sigma)
    expect_standard_normal(eps, what="(z - mu) / sigma of the codes that forward decoded")


def _name_wrong_code(z: Tensor, mu: Tensor, log_sigma: Tensor) -> None:
    for code, says in [
        (mu, "The posterior mean is decoded; nothing is sampled."),
        (log_sigma, "log sigma is decoded in place of a sample."),
        (
            1.1 * log_sigma + 0.6 * mu,
            "The two halves of q are swapped: the mean comes first, log sigma second.",
        ),
    ]:
        expect(
            not torch.allclose(z, code, atol=2e-3),
            expected="a sample z of the posterior, decoded",
            seen="another code, decoded",
            hint="mu, log_sigma = q.chunk(2, dim=-1), then z from reparameterize.",
            mistake=Mistake(None, says),
        )


def expect_new_sample(seen: Observation, weights: dict[str, Tensor], x: Tensor, c: Tensor | None) -> None:
    """Two calls decode two different codes, and neither is the mean."""
    given.refuse_64(seen, len(x))
    mu, log_sigma, z = _posterior(seen, "outputs", weights, x, c)
    _name_wrong_code(z, mu, log_sigma)
    expect_fresh(z, _posterior(seen, "again", weights, x, c)[2], what="the code that forward decodes")
    expect(seen.flag("x_kept"), expected="an input that is left as it is", seen="x was changed")


def expect_own_parts(seen: Observation, x: Tensor) -> None:
    """The model as constructed uses its own encoder, and the loss reaches all parameters of both parts."""
    code = seen.tensor("code", what="the encoder's output")
    q = seen.part("outputs").tensor("q", what='outputs["q"]')
    expect_close(
        q.reshape(len(x), -1),
        code.reshape(len(x), -1),
        what='outputs["q"], which is what the encoder returns',
    )
    telling.expect_gradient_flow(seen, "the model as constructed")


def loss_case(draw: Draw, n: int, dtype: torch.dtype = torch.float32) -> dict[str, Any]:
    """Arguments for the loss, with mu != 0 and sigma != 1."""
    nz = draw.integer(3, 12)
    mu, log_sigma = draw.normal(n, 1, nz, mean=0.6, std=1.2), draw.normal(n, 1, nz, mean=-0.5, std=0.6)
    return {
        "nz": nz,
        "beta": draw.number(0.1, 0.7),
        "x": draw.uniform(n, 1, 784).to(dtype),
        "q": torch.cat([mu, log_sigma], -1).to(dtype),
        "rec": draw.uniform(n, 1, 784, low=0.05, high=0.95).to(dtype),
    }


def given_loss(case: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
    """What the loss of the stand-in VAE gives, for a CVAE that inherits it."""
    stand_in = StandIn.__new__(StandIn)
    torch.nn.Module.__init__(stand_in)
    stand_in.beta = case["beta"]
    return stand_in.loss(case["x"].double(), {k: case[k].double() for k in ("q", "rec")})


def expect_kl(seen: Observation, case: dict[str, Any]) -> None:
    """kl_loss is KL[q || N(0, I)], averaged over everything, and not yet weighed by beta."""
    q = case["q"]
    right = expected.kl_to_prior(q.double()).mean()
    weighed = Mistake(
        case["beta"] * right, "kl_loss is multiplied by beta before it is returned.", "beta is for the total."
    )
    expect_close(
        expected.part(seen, "kl_loss").double(),
        right,
        rtol=1e-3,
        atol=1e-5,
        what="kl_loss",
        mistakes=[*expected.kl_mistakes(q), weighed],
        hint="KL[q(z|x) || N(0, I)] of each element from kl_divergence, then the mean over everything.",
    )


def expect_total(seen: Observation, case: dict[str, Any]) -> None:
    """rec_loss is a right one, and total = rec_loss + beta * kl_loss; a wrong kl_loss is another check's matter."""
    x, rec, beta = case["x"], case["rec"], case["beta"]
    rec_loss, kl_loss = (expected.part(seen, k).double() for k in ("rec_loss", "kl_loss"))
    right = expected.rec_losses(rec, x)
    if not any(torch.allclose(rec_loss, value, rtol=1e-3, atol=1e-6) for value in right.values()):
        expect_close(
            rec_loss,
            right["real"],
            rtol=1e-3,
            what="rec_loss, the reconstruction loss of the outputs",
            mistakes=expected.rec_mistakes(rec, x),
            hint='reconstruction_loss(outputs["rec"], x).',
        )
    total = seen.tensor("total", (), what="the total").double()
    kl_right = expected.kl_to_prior(case["q"].double()).mean()
    if torch.isclose(total, rec_loss + beta * kl_right, rtol=1e-3):
        return
    mistakes = [
        Mistake(rec_loss + kl_loss, "beta is left out of the total, or is not kept by __init__."),
        Mistake(beta * rec_loss + kl_loss, "beta stands at the reconstruction loss, not at the KL term."),
        Mistake(beta * (rec_loss + kl_loss), "beta multiplies both terms, not the KL term alone."),
        Mistake(rec_loss - beta * kl_loss, "The KL term is subtracted."),
        Mistake(-(rec_loss + beta * kl_loss), "The total has the wrong sign: it is to be minimised."),
        Mistake(rec_loss, "The KL term is left out of the total."),
        Mistake(rec_loss + beta**2 * kl_loss, "beta is applied twice."),
    ]
    expect_close(
        total,
        rec_loss + beta * kl_loss,
        rtol=1e-3,
        what=f"the total with beta = {beta:.3f}: rec_loss + beta * kl_loss",
        mistakes=mistakes if torch.isclose(kl_loss, kl_right, rtol=1e-3) else (),
    )


def expect_loss_gradients(seen: Observation, case: dict[str, Any]) -> None:
    """The total's gradients with respect to q and rec, whatever the parts that are returned beside it hang on."""
    x, q, rec, beta = case["x"], case["q"], case["rec"], case["beta"]
    expect(
        seen.flag("kept"),
        expected="outputs and x as they came",
        seen="loss changed what it was given",
        hint="Work on new names: outputs is the caller's.",
        mistake=Mistake(None, "loss mutates its arguments: outputs or x is changed inside."),
    )
    total = seen.tensor("total", (), what="the total").double()
    cut = "The total is cut off from what it is made of (detach, item or no_grad), so nothing can be learned."
    for key in ("grad_q", "grad_rec"):
        if seen.get(key) is None:
            fail(expected="a total that gradients flow through", seen="no gradient", diagnosis=cut)
    right = expected.rec_losses(rec, x)
    kl = expected.kl_to_prior(q.double()).mean()
    name = min(right, key=lambda k: abs(right[k] + beta * kl - total).item())
    expect_close(
        total, right[name] + beta * kl, rtol=1e-3, what=f"the total in {str(x.dtype).removeprefix('torch.')}"
    )
    expected.expect_gradient(
        seen.tensor("grad_q", what="the gradient of the total with respect to q"),
        lambda v: beta * expected.kl_to_prior(v).mean(),
        q,
        "the gradient of the total with respect to q",
    )
    expected.expect_gradient(
        seen.tensor("grad_rec", what="the gradient of the total with respect to rec"),
        lambda v: expected.rec_losses(v, x)[name],
        rec,
        "the gradient of the total with respect to rec",
    )


def expect_reconstruction(
    seen: Observation, weights: dict[str, Tensor], x: Tensor, c: Tensor | None, also: Sequence[Tensor] = ()
) -> None:
    """The decoder's image of the posterior mean (or of one of the codes in `also`), the same at every call."""
    n = len(x)
    telling.expect_one_half(seen)
    first, second = (
        seen.tensor(
            k, (n, 28, 28), what=f"reconstruct of {n} images", mistakes=telling.misshapen((n, 28, 28))
        )
        for k in ("first", "second")
    )
    expect(
        torch.allclose(first, second, atol=1e-6),
        expected="the same images at every call",
        seen=f"images that differ by up to {float((first - second).abs().max()):.3g}",
        mistake=Mistake(
            None,
            "reconstruct samples: it decodes a drawn code instead of the posterior mean.",
            "Decode the first half of the encoder's output as it is.",
        ),
    )
    mu, log_sigma = expected.halves(given.encoded(weights, x, c))
    for code in also:
        if torch.allclose(first.double().flatten(1), given.decoded(weights, code, c), atol=1e-4):
            return
    mistakes = [
        Mistake(
            given.decoded(weights, log_sigma, c), "The second half of q, log sigma, is decoded, not the mean."
        ),
        Mistake(given.decoded(weights, log_sigma.exp(), c), "sigma is decoded, not the mean."),
        Mistake(given.decoded(weights, mu + log_sigma.exp(), c), "mean + sigma is decoded, not the mean."),
    ]
    if c is not None:
        no_label = expected.halves(given.encoded(weights, x))[0]
        mistakes += [
            Mistake(given.decoded(weights, mu), "reconstruct does not hand the labels to the decoder."),
            Mistake(
                given.decoded(weights, no_label, c), "reconstruct does not hand the labels to the encoder."
            ),
            Mistake(given.decoded(weights, no_label), "reconstruct does not use the labels."),
            Mistake(
                given.decoded(weights, mu, 0 * c),
                "reconstruct decodes every image with label 0, not with its own.",
            ),
        ]
    expect_close(
        first.double().flatten(1),
        given.decoded(weights, mu, c),
        rtol=1e-3,
        atol=1e-4,
        what="reconstruct: the decoder's images of the posterior means",
        mistakes=mistakes,
        hint="The mean is the first half of the encoder's output.",
    )
    expect(seen.flag("x_kept"), expected="an input that is left as it is", seen="x was changed")


def expect_histories(run: Run) -> None:
    """Both lists hold the losses at each step."""
    history = run.seen.part("history", what="what the training returned")
    expect(
        not run.seen.flag("graph"),
        expected="plain floats",
        seen="tensors that hold their graph",
        hint="Use .item().",
    )
    for name in ("rec_loss", "kl_loss"):
        one_per_epoch = Mistake(run.size.epochs, telling.ONE_PER_EPOCH)
        values = history.numbers(
            name, run.size.iterations, what=f'history["{name}"]', mistakes=[one_per_epoch]
        )
        run.expect_history(name, values, f'history["{name}"]')
