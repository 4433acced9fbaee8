"""Probes of cvae.py: questions 1-8 and 1-9."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from torch import Tensor

from autograder.sandbox.kit import attempt, attribute, need, observed, parameters, same, snapshot, watching
from autograder.sandbox.posing import mixing

from ..stand_ins import models
from . import own, training, variational


def with_label_rows(probe: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """Replaces idx2onehot by a stand-in while the probe runs."""

    @wraps(probe)
    def run(*args: Any, **kwargs: Any) -> dict[str, Any]:
        with training.replaced("cvae", "idx2onehot", models.label_rows):
            return probe(*args, **kwargs)

    return run


def idx2onehot(labels: list[Tensor], n: int) -> dict[str, Any]:
    """idx2onehot(idx, n) of several label tensors, and whether they are unchanged."""
    function = need("cvae", "idx2onehot")
    before = snapshot(labels)
    return {"values": [snapshot(function(idx, n)) for idx in labels], "kept": same(before, labels)}


def idx2onehot_elsewhere(idx: Tensor, n: int) -> dict[str, Any]:
    """idx2onehot of labels on a device other than the CPU: do devices mix, and is the result on the CPU?"""
    function = need("cvae", "idx2onehot")
    function(idx, n)  # raises here if it does not work on the CPU either
    found: list[str] = []

    def run(device: torch.device) -> None:
        found.append(function(idx.to(device), n).device.type)

    return {"collision": mixing(run), "left": found == ["cpu"]}


def idx2onehot_refused(good: Tensor, bad: list[Tensor], n: int) -> dict[str, Any]:
    """idx2onehot of good labels, then of each of `bad`: its value, or the type of the exception."""
    function = need("cvae", "idx2onehot")
    return {"good": snapshot(function(good, n)), "bad": [attempt(function, idx, n) for idx in bad]}


@with_label_rows
def part(
    name: str,
    width: int,
    size: int,
    conditional: bool,
    num_labels: int,
    choices: list[list[Tensor]],
    inputs: list[Tensor],
    c: Tensor | None,
) -> dict[str, Any]:
    """`CVAEEncoder` or `CVAEDecoder` (name): its output for each of `inputs` with the labels c.

    choices: several weights and biases; the parameters are set to the first of them that fit, if any do.
    """
    model = need("cvae", name)(width, size, conditional, num_labels)
    labels = [] if c is None else [c]
    answers = [attempt(model, *snapshot([x, *labels])) for x in inputs]  # lazy layers get their shapes
    if all("raised" in answer for answer in answers):
        model(inputs[0], *labels)  # raises again, so that the message shows the student's own line
    filled, _ = own.first_fitting(model, choices)
    answers = [attempt(model, x, *labels) for x in inputs]
    return {"filled": filled, "shapes": own.shapes(model), "answers": answers}


@with_label_rows
def construct(nz: int, beta: float, num_labels: int, x: Tensor, z: Tensor, c: Tensor) -> dict[str, Any]:
    """CVAE(nz, beta, True, num_labels) and CVAE(nz): beta, and the outputs of the conditional one's parts."""
    cls = need("cvae", "CVAE")
    model, plain = cls(nz, beta, True, num_labels), cls(nz)
    return {
        "beta": snapshot(attribute(model, "beta", "CVAE(nz, beta, conditional, num_labels)")),
        "beta_unasked": snapshot(attribute(plain, "beta", "CVAE(nz)")),
        "code": variational.encoded(model, x, c),
        "image": variational.decoded(model, z, c),
    }


@with_label_rows
def label_effects(nz: int, num_labels: int, x: Tensor, z: Tensor, c: Tensor, other: Tensor) -> dict[str, Any]:
    """The outputs of a conditional CVAE's encoder for x and of its decoder for z, with the labels c and with others."""
    model = need("cvae", "CVAE")(nz, 1.0, True, num_labels).eval()
    return {
        "encoder c": variational.encoded(model, x, c),
        "encoder other": variational.encoded(model, x, other),
        "decoder c": variational.decoded(model, z, c),
        "decoder other": variational.decoded(model, z, other),
    }


def unconditional(nz: int) -> dict[str, Any]:
    """CVAE(nz, 1.0, False, 0), made and nothing else."""
    need("cvae", "CVAE")(nz, 1.0, False, 0)
    return {"made": True}


def refused(nz: int, counts: list[int]) -> dict[str, Any]:
    """CVAE(nz, conditional=True, num_labels=n) for each n, after a valid one: the types of the exceptions."""
    cls = need("cvae", "CVAE")
    cls(nz, conditional=True, num_labels=3)
    raised: list[str] = []
    for n in counts:
        try:
            cls(nz, conditional=True, num_labels=n)
        except Exception as error:
            raised.append(type(error).__name__)
        else:
            raised.append("")
    return {"raised": raised}


@with_label_rows
def whole(nz: int, x: Tensor, c: Tensor | None, num_labels: int) -> dict[str, Any]:
    """A CVAE as constructed (conditional when there are labels): forward, and backward passes."""
    model = need("cvae", "CVAE")(nz, 0.7, c is not None, num_labels)
    labels = () if c is None else (c,)
    return variational.forward_twice(model, x, *labels) | variational.backward_pass(model, x, *labels)


@with_label_rows
def own_reconstruct(nz: int, x: Tensor, c: Tensor | None, num_labels: int) -> dict[str, Any]:
    """A CVAE as constructed (conditional when there are labels): reconstruct, twice."""
    model = need("cvae", "CVAE")(nz, 0.7, c is not None, num_labels)
    return variational.reconstruct_twice(model, nz, x, *([] if c is None else [c]))


def forward(
    weights: dict[str, Tensor], x: Tensor, c: Tensor | None, given_reparameterize: bool
) -> dict[str, Any]:
    """CVAE.forward, twice, between given one-layer networks; with `given_reparameterize`, reparameterize is replaced too."""
    return variational.forward_twice(_overlaid(weights, given_reparameterize), x, *([] if c is None else [c]))


def reconstruct(weights: dict[str, Tensor], x: Tensor, c: Tensor | None) -> dict[str, Any]:
    """CVAE.reconstruct, twice, between given one-layer networks."""
    nz = weights["decoder_weight"].shape[1]
    return variational.reconstruct_twice(_overlaid(weights, False), nz, x, *([] if c is None else [c]))


def reparameterize(mu: Tensor, log_sigma: Tensor, pull: Tensor) -> dict[str, Any]:
    """CVAE.reparameterize, twice, and the gradients of sum(z * pull) at the first."""
    model = variational.made(need("cvae", "CVAE"), mu.shape[-1], conditional=False, num_labels=0)
    return variational.draw_twice(model, mu, log_sigma, pull)


def loss(
    nz: int, beta: float, num_labels: int, x: Tensor, c: Tensor | None, q: Tensor, rec: Tensor
) -> dict[str, Any]:
    """CVAE.loss(x, {"q": q, "rec": rec})."""
    settings = {"conditional": c is not None, "num_labels": num_labels}
    model = variational.made(need("cvae", "CVAE"), nz, beta, **settings)
    return variational.lose(model, x, q, rec, *([] if c is None else [c]))


def _overlaid(weights: dict[str, Tensor], given_reparameterize: bool) -> Any:
    if own.parts():
        return own.cvae(weights, 1.0)
    table = weights.get("encoder_labels")
    settings = {"conditional": table is not None, "num_labels": 0 if table is None else len(table)}
    nz = weights["decoder_weight"].shape[1]
    return variational.overlaid(
        variational.made(need("cvae", "CVAE"), nz, **settings), weights, given_reparameterize
    )


@with_label_rows
def elsewhere(nz: int, num_labels: int, x: Tensor, c: Tensor) -> dict[str, Any]:
    """A conditional CVAE as constructed, on a device other than the CPU: do devices mix?"""
    model = need("cvae", "CVAE")(nz, 1.0, True, num_labels)
    return variational.collision(model, x, c)


def train_elsewhere(
    weights: dict[str, Tensor], images: Tensor, labels: Tensor, batch_size: int
) -> dict[str, Any]:
    """train_cvae with the model on a device other than the CPU: do devices mix?"""
    function = need("cvae", "train_cvae")
    return training.collision(function, own.cvae(weights, 0.5), images, labels, batch_size)


def sample_elsewhere(weights: dict[str, Tensor], labels: Tensor, nz: int) -> dict[str, Any]:
    """sample_conditional with the model on a device other than the CPU, and the labels there or on the CPU: do devices mix?

    worked: the decoder's output for the codes, on the CPU.
    """
    function = need("cvae", "sample_conditional")
    model = own.cvae(weights, 0.5)
    with watching(model.decoder) as calls:
        training.on_cpu(lambda: function(model, labels, nz), calls)
    collision = mixing(lambda device: function(model.to(device), labels.to(device), nz)) or mixing(
        lambda device: function(model.to(device), labels, nz)
    )
    return {"collision": collision, "worked": calls[0]["output"] if calls else None}


def train_cvae(
    weights: dict[str, Tensor],
    beta: float,
    images: Tensor,
    labels: Tensor,
    batch_size: int,
    epochs: int,
    learning_rate: float,
    pass_device: bool = False,
    own_rate: float | None = None,
) -> dict[str, Any]:
    """train_cvae on a given model of one layer each way, which is conditional when the weights hold label tables."""
    function = need("cvae", "train_cvae")
    model = own.cvae(weights, beta, quiet=True)
    return training.watch(
        function, model, images, labels, batch_size, epochs, learning_rate, pass_device, own_rate
    )


def sample_conditional(weights: dict[str, Tensor], beta: float, labels: Tensor, nz: int) -> dict[str, Any]:
    """sample_conditional, twice, on a given conditional model of one layer each way."""
    function = need("cvae", "sample_conditional")
    model = own.cvae(weights, beta)
    before, kept = parameters(model), snapshot(labels)
    seed = torch.initial_seed()
    with torch.enable_grad():
        first, second = (observed(function(model, labels, nz)) for _ in range(2))
        grad_kept = torch.is_grad_enabled()
    return {
        "grad_kept": grad_kept,
        "first": first["value"],
        "second": second["value"],
        "graph": first["graph"] or second["graph"],
        "seed_kept": torch.initial_seed() == seed,
        "labels_kept": same(kept, labels),
        "model_kept": same(before, parameters(model)),
    }
