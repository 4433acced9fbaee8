"""Hidden checks of cvae.py: question 1-8."""

from __future__ import annotations

from itertools import product
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

from autograder.checks.hidden import expected_layers as layers
from autograder.checks.hidden import expected_steps as steps
from autograder.checks.hidden import expected_training as training
from autograder.checks.hidden import expected_vae as expected
from autograder.checks.hidden import judging_vae as judging
from autograder.checks.public import given, telling
from autograder.judging import (
    Draw,
    Fault,
    Mistake,
    Observation,
    check,
    close,
    expect,
    expect_close,
    expect_equal,
)
from autograder.judging.properties import for_all
from autograder.probes.stand_ins import models
from autograder.probes.stand_ins.vae import mixed

ONEHOT = (
    "idx2onehot(idx, n): integer labels (N,) or (N, 1), 0 <= idx < n -> (N, n) float32; other labels, shapes and dtypes "
    "raise an exception."
)
ENCODER = "CVAEEncoder(nz, input_size, conditional, num_labels): the layers of Encoder on [x, onehot(c)], or on x alone."
DECODER = "CVAEDecoder(nz, output_size, conditional, num_labels): the layers of Decoder on [z, onehot(c)], or on z alone."
CVAE = (
    'CVAE(nz, beta=1.0, conditional=False, num_labels=0): forward(x, c=None) -> {"q", "rec", "c"}: encode with the labels, '
    "draw z from q(z|x, c), decode with the labels."
)
LOSS = "CVAE.loss(x, outputs): as VAE.loss."
RECONSTRUCT = "CVAE.reconstruct(x, c=None) -> (N, 28, 28) from the posterior mean, using c."
TRAIN = (
    'train_cvae(model, loader, epochs, learning_rate, device="cpu") -> as train_vae, labels passed when the model is '
    "conditional."
)


@check(
    "1-8", points=0.5, title="idx2onehot is right at every size, and refuses what is no label", asks=ONEHOT
)
def test_onehot_edges(submission, draw: Draw) -> None:
    def right(n: int, labels: list[int]) -> None:
        idx = torch.tensor(labels).clamp(max=n - 1)
        idx = torch.cat([idx, torch.tensor([n - 1])])
        inputs = [idx, idx[:, None], idx[:1], idx[:1, None]]
        seen = submission.ask("cvae.idx2onehot", labels=inputs, n=n)
        for told, value in zip(inputs, seen.list("values", len(inputs)), strict=True):
            telling.expect_onehot(value, told, n)
        expect(
            seen.flag("kept"), expected="labels that are left as they are", seen="labels that were changed"
        )

    for_all(draw, right, n=st.integers(1, 30), labels=st.lists(st.integers(0, 29), min_size=1, max_size=8))
    seen = submission.ask("cvae.idx2onehot_elsewhere", idx=draw.integers(0, 5, 4), n=5)
    given.expect_no_collision(seen, "idx2onehot")
    expect(
        not seen.flag("left"),
        expected="one-hot vectors on the device of the labels",
        seen="one-hot vectors on the CPU, for labels on another device",
        hint="Make the tensor with device=idx.device.",
        mistake=Mistake(None, "The one-hot vectors stay on the CPU while the labels are on another device."),
    )
    n = draw.integer(3, 9)
    good, beyond, below = draw.integers(0, n, 5), draw.integers(0, n, 5), draw.integers(0, n, 5)
    beyond[draw.integer(0, 5)], below[draw.integer(0, 5)] = n, -1
    bad = {
        f"a label {n} with n = {n}": beyond,
        "a negative label": below,
        "labels of shape (5, 2)": draw.integers(0, n, 5, 2),
        "labels of shape (5, 0)": good.new_zeros(5, 0),
        "labels of shape (2, 3, 1)": draw.integers(0, n, 2, 3, 1),
        "labels of shape (5, 1, 2)": draw.integers(0, n, 5, 1, 2),
        "a label without axes, shape ()": good[0],
        "floats": good.float(),
        "floats that are not whole": good + 0.5,
    }
    seen = submission.ask("cvae.idx2onehot_refused", good=good, bad=list(bad.values()), n=n)
    for name, answer in zip(bad, seen.parts("bad"), strict=True):
        expect(
            answer.text("raised") != "",
            expected=f"an exception for {name}",
            seen="an answer",
            hint="Look at idx.shape, at the dtype, and at the smallest and largest label before anything else.",
            mistake=_wrongly_taken(name, answer.get("value"), bad[name], good, n),
        )


def _wrongly_taken(name: str, value: Any, labels: Tensor, good: Tensor, n: int) -> Mistake | None:
    """What the answer to labels that should be refused says of how they were read."""
    check_first = "Raise ValueError unless every label is at least 0 and below n."
    if "(5, 2)" in name and isinstance(value, Tensor) and value.shape == (len(good), n):
        both = torch.eye(n, dtype=torch.float64)[labels].sum(1)
        two_hot = any(torch.equal(value.double(), rows) for rows in (both, both.clamp(max=1)))
        if two_hot:
            return Mistake(None, "Labels of shape (N, 2) become rows with two ones.")
    if name.startswith(("labels of shape", "a label without")):
        return Mistake(
            None, "Labels of a shape other than (N,) and (N, 1) are taken.", "Look at idx.shape first."
        )
    if not isinstance(value, Tensor) or value.shape != (len(good), n):
        return None
    if name.startswith("floats") and torch.equal(value.double(), torch.eye(n)[good].double()):
        return Mistake(None, "Labels of a float type are taken as if they were whole numbers.")
    if (
        labels.is_floating_point()
        or labels.dim() != 1
        or not torch.equal(value.double(), torch.eye(n)[labels % n].double())
    ):
        return None
    if name.startswith("a negative"):
        return Mistake(None, "Negative labels count from the end.", check_first)
    return Mistake(None, "Labels of n and more are taken modulo n.", check_first)


@check("1-8", points=0.5, title="The conditional encoder reads [x, onehot(c)], in this order", asks=ENCODER)
def test_encoder_reads_x_and_label(submission, draw: Draw) -> None:
    for conditional in (True, False):
        _expect_part(submission, draw, "CVAEEncoder", conditional)


@check("1-8", points=0.5, title="The conditional decoder reads [z, onehot(c)], in this order", asks=DECODER)
def test_decoder_reads_z_and_label(submission, draw: Draw) -> None:
    for conditional in (True, False):
        _expect_part(submission, draw, "CVAEDecoder", conditional)


def _expect_part(submission: Any, draw: Draw, name: str, conditional: bool) -> None:
    """The part's output, from its own parameters, be it built on the real layers or on the stand-in's."""
    part = "encoder" if name == "CVAEEncoder" else "decoder"
    n, count, nz, pixels = (
        draw.integer(3, 9),
        draw.integer(3, 12),
        draw.integer(13, 40),
        draw.integer(70, 250),
    )
    inside, outside = (pixels, nz) if part == "encoder" else (nz, pixels)
    x, c = draw.normal(n, 1, inside, std=2.0), draw.integers(0, count, n)
    inputs = {
        "name": name,
        "width": nz,
        "size": pixels,
        "conditional": conditional,
        "num_labels": count if conditional else draw.choice([0, count]),
        "inputs": [x, x.reshape(n, inside)] if part == "decoder" else [x],
        "c": c if conditional else None,
    }
    if conditional:
        seen = submission.ask("cvae.part", **inputs)
    else:  # the conditional one has just worked
        seen = telling.ask_naming(submission, "cvae.part", telling.NEEDS_LABELS, **inputs)
    flat = x.reshape(n, inside)
    # With the stand-in's label rows where idx2onehot is called, and with real ones where it is not.
    rows = [models.label_rows(c, count), torch.eye(count)[c]] if conditional else [torch.zeros(n, 0)]
    what = f"{name}({nz}, {pixels}, {conditional}, {count if conditional else 0})"
    # One of the two shapes in which a code may be handed on inside is enough.
    faults = []
    if conditional:
        _name_number(seen, flat, c, part, (n, 1, outside))
    for answer, labels in product(seen.parts("answers"), rows):
        try:
            out = answer.tensor("value", (n, 1, outside), what=f"the output of {what}")
            _expect_output(out.reshape(n, outside), seen, flat, labels, part, what)
            return
        except Fault as fault:
            faults.append(fault)
    raise next((fault for fault in faults if fault.diagnosis), faults[0])


def _name_number(seen: Observation, flat: Tensor, c: Tensor, part: str, shape: tuple[int, ...]) -> None:
    """Ends the check when the part's layers explain its output with the label as one number behind the input."""
    number = torch.cat([flat, c[:, None].to(flat.dtype)], -1)
    sizes = (
        (number.shape[1], 256, 64, shape[-1]) if part == "encoder" else (number.shape[1], 64, 256, shape[-1])
    )
    found = layers.find(seen, sizes)
    made = layers.dyed(seen, number.shape[1], shape[-1], number, part)
    if found is not None:
        made = found.run(number, layers.RIGHT[part])
    if made is not None:
        for answer in seen.parts("answers"):
            value = answer.get("value")
            expect(
                not isinstance(value, Tensor) or not close(value.double(), made.reshape(shape), 1e-3, 1e-5),
                expected="one more input for each label, of which one is 1",
                seen="one more input, which holds the label",
                hint="Join onehot(c) to the input, not c.",
                mistake=Mistake(None, "The label goes in as one number, not as a one-hot vector."),
            )


def _expect_output(
    out: Tensor, seen: Observation, flat: Tensor, labels: Tensor, part: str, what: str
) -> None:
    """`out` is what the part's own layers make of [input, labels]."""
    real, swapped = torch.cat([flat, labels], -1), torch.cat([labels, flat], -1)
    inside, outside = real.shape[1], out.shape[1]
    order = "The label stands before the input: asked is [input, onehot], in this order."
    dyed = layers.dyed(seen, inside, outside, real, part)
    wrong = layers.dyed(seen, inside, outside, swapped, part)
    if dyed is not None and wrong is not None:
        expect_close(
            out,
            dyed.float(),
            rtol=1e-3,
            atol=1e-5,
            what=f"the output of {what}",
            mistakes=[Mistake(wrong.float(), order)],
        )
        return
    sizes = (inside, 256, 64, outside) if part == "encoder" else (inside, 64, 256, outside)
    found = layers.need(seen, sizes, what)
    if torch.allclose(out.double(), found.run(swapped, layers.RIGHT[part]), rtol=1e-3, atol=1e-5):
        expect(
            labels.shape[1] == 0,
            expected=f"{what} on [input, onehot]",
            seen="its output for [onehot, input]",
            mistake=Mistake(None, order),
        )
    layers.expect_output(out, found, real, part, f"the output of {what}")


@check(
    "1-8", points=0.5, title="forward draws from q(z|x, c) and hands the labels to both networks", asks=CVAE
)
def test_forward_uses_labels(submission, draw: Draw) -> None:
    n, nz, count = draw.integer(240, 300), draw.integer(5, 9), draw.integer(3, 12)
    seen = submission.ask(
        "cvae.construct",
        nz=nz,
        beta=0.3,
        num_labels=count,
        x=draw.uniform(4, 1, 784),
        z=draw.normal(4, 1, nz),
        c=draw.integers(0, count, 4),
    )
    code = seen.tensor("code", what="the encoder's output")
    expect_equal(code.numel(), 4 * 2 * nz, what="numbers that the encoder returns for 4 images, 2 nz each")
    seen.tensor("image", (4, 1, 784), what="the decoder's output for 4 codes")
    for name, asked, unasked in [("beta", 0.3, 1.0), ("num_labels", float(count), 0.0)]:
        expect_equal(seen.part("asked").number(name), asked, what=f"CVAE({nz}, 0.3, True, {count}).{name}")
        expect_equal(seen.part("unasked").number(name), unasked, what=f"CVAE({nz}).{name}")
    modes = [bool(seen.part(k).get("conditional")) for k in ("asked", "unasked")]
    expect_equal(modes, [True, False], what="the attribute conditional, asked for and not")
    for labels in (count, 0):
        weights, x = given.weights(draw, nz, labels=labels), draw.uniform(n, 1, 784)
        c = draw.integers(0, labels, n) if labels else None
        seen = submission.ask("cvae.forward", weights=weights, x=x, c=c, dye=True)
        also = [] if labels else [mixed(given.encoded(weights, x), 0.9, 0.4)]
        judging.expect_posterior_sample(seen, weights, x, c, also)
    x, c, weights = draw.uniform(n, 1, 784), draw.integers(0, count, n), given.weights(draw, nz, labels=count)
    seen = submission.ask("cvae.forward", weights=weights, x=x, c=c, dye=False)
    judging.expect_posterior_sample(seen, weights, x, c)
    _expect_new_sample(seen, weights, x, c)
    x, c = x[:5], c[:5]
    seen = submission.ask("cvae.elsewhere", nz=nz, num_labels=count, x=x, c=c)
    given.expect_no_collision(seen, "forward, loss and reconstruct of CVAE")


def _expect_new_sample(seen: Observation, weights: dict[str, Tensor], x: Tensor, c: Tensor) -> None:
    """As for the VAE; a CVAE that uses the stand-in VAE's reparameterize decodes 1.1 mu + 0.6 log sigma each time."""
    mu, log_sigma = expected.halves(given.encoded(weights, x, c))
    rec = seen.part("outputs").tensor("rec", (len(x), 1, 784), what='outputs["rec"]')
    z = given.codes_in(weights, rec, c)
    if z is None or not torch.allclose(z, 1.1 * mu + 0.6 * log_sigma, atol=2e-3):
        judging.expect_new_sample(seen, weights, x, c)


@check("1-8", points=0.5, title="loss is the VAE's: rec_loss + beta * KL[q(z|x, c) || N(0, I)]", asks=LOSS)
def test_loss(submission, draw: Draw) -> None:
    for labels in (draw.integer(3, 12), 0):
        n = draw.integer(3, 9)
        case = judging.loss_case(draw, n, draw.choice([torch.float32, torch.float64]))
        c = draw.integers(0, labels, n) if labels else None
        seen = submission.ask("cvae.loss", **case, num_labels=labels, c=c)
        given.refuse_64(seen, n)
        if _is_stand_ins_loss(seen, case):
            continue
        judging.expect_kl(seen, case)
        judging.expect_total(seen, case)
        judging.expect_loss_gradients(seen, case)


def _is_stand_ins_loss(seen: Observation, case: dict[str, Any]) -> bool:
    """True when the loss came from the stand-in VAE, which a CVAE may inherit from or call."""
    total, parts = judging.given_loss(case)
    near = seen.tensor("total", (), what="the total").double()
    parts_near = [torch.isclose(expected.part(seen, k).double(), v, rtol=1e-3) for k, v in parts.items()]
    return bool(torch.isclose(near, total, rtol=1e-3)) and all(map(bool, parts_near))


@check("1-8", points=0.5, title="reconstruct decodes the posterior mean, with the labels", asks=RECONSTRUCT)
def test_reconstruct_uses_labels(submission, draw: Draw) -> None:
    for labels in (draw.integer(3, 12), 0):
        for n in (draw.integer(3, 9), 1):
            nz = draw.integer(3, 9)
            weights, x = given.weights(draw, nz, labels=labels), draw.uniform(n, 1, 784)
            c = draw.integers(0, labels, n) if labels else None
            seen = submission.ask("cvae.reconstruct", weights=weights, x=x, c=c)
            also = [] if labels else [mixed(given.encoded(weights, x), 0.8, 0.3)]
            judging.expect_reconstruction(seen, weights, x, c, also)


@check(
    "1-8", points=0.5, title="train_cvae trains as train_vae does, with labels when conditional", asks=TRAIN
)
def test_training(submission, draw: Draw) -> None:
    for labels in (draw.integer(3, 10), 0):
        beta, size = draw.number(0.5, 2.0), given.sizes(draw)
        weights = given.weights(draw, size.nz, labels=labels)
        images, classes = draw.uniform(size.images, 1, 28, 28), draw.integers(0, labels or 10, size.images)
        seen = submission.ask(
            "cvae.train_cvae",
            weights=weights,
            beta=beta,
            images=images,
            labels=classes,
            batch_size=size.batch,
            epochs=size.epochs,
            learning_rate=size.rate,
            pass_device=True,
        )

        def make(weights: dict[str, Tensor] = weights, beta: float = beta) -> models.CVAEModel:
            return models.CVAEModel(weights, beta).double()

        run = training.Run(
            seen=seen,
            size=size,
            images=images,
            labels=classes,
            make=make,
            losses=steps.vae_losses(),
            tell_labels=bool(labels),
        )
        run.expect_steps("train_cvae")
        run.expect_mode()
        judging.expect_histories(run)
    n, labels = draw.integer(7, 12), draw.integer(3, 10)
    seen = submission.ask(
        "cvae.train_elsewhere",
        weights=given.weights(draw, draw.integer(3, 6), labels=labels),
        images=draw.uniform(n, 1, 28, 28),
        labels=draw.integers(0, labels, n),
        batch_size=4,
    )
    given.expect_no_collision(seen, "train_cvae")
