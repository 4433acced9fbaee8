"""Shared by the probes of vae.py and cvae.py: calls one method of a VAE or CVAE and reports its results."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from copy import copy
from typing import Any

import torch
from torch import Tensor, nn

from autograder.sandbox.kit import around, attribute, has_graph, same, snapshot, watching
from autograder.sandbox.posing import mixing

from ..stand_ins import models
from .own import learned
from .training import on_cpu


def made(cls: Any, nz: int, beta: float = 1.0, **rest: Any) -> Any:
    """cls(nz, beta, ...); if that fails, an object with only the attributes, so that its other methods can be judged."""
    try:
        return cls(nz, beta, **rest)
    except Exception:
        if not isinstance(cls, type) or not issubclass(cls, nn.Module):
            raise
        model: Any = cls.__new__(cls)
        nn.Module.__init__(model)
        for name, value in {"beta": beta, **rest}.items():
            setattr(model, name, value)
        return model


def overlaid(model: Any, weights: Mapping[str, Tensor], given_reparameterize: bool = False) -> Any:
    """The model, with its encoder and decoder replaced by one-layer networks of the given weights.

    given_reparameterize: reparameterize is replaced by 1.1 mu + 0.6 log_sigma, which is no right answer and can be recognised.
    """
    model.encoder = models.encoder(weights)
    model.decoder = models.decoder(weights)
    if given_reparameterize:
        order = inspect.signature(attribute(model, "reparameterize", type(model).__name__))

        def given(*args: Tensor, **kwargs: Tensor) -> Tensor:
            bound = order.bind(*args, **kwargs)  # in the order of the student's own parameters
            mu, log_sigma = [*bound.args, *bound.kwargs.values()][:2]
            return 1.1 * mu + 0.6 * log_sigma

        # Not by assignment, which a module of that name would refuse.
        vars(model)["reparameterize"] = given
    return model


def encoded(model: Any, x: Tensor, *labels: Tensor) -> Any:
    """model.encoder of images (N, 1, 784), or (N, 784) if it does not accept these: a model may use either shape inside."""
    return _in_either_shape(attribute(model, "encoder", type(model).__name__), x, *labels)


def decoded(model: Any, z: Tensor, *labels: Tensor) -> Any:
    """The same for model.decoder of codes (N, 1, nz) or (N, nz)."""
    return _in_either_shape(attribute(model, "decoder", type(model).__name__), z, *labels)


@torch.no_grad()
def _in_either_shape(part: Any, x: Tensor, *labels: Tensor) -> Any:
    try:
        return snapshot(part(x, *labels))
    except (RuntimeError, ValueError, IndexError):
        return snapshot(part(x.flatten(1), *labels))


def draw_twice(model: Any, mu: Tensor, log_sigma: Tensor, pull: Tensor) -> dict[str, Any]:
    """model.reparameterize(mu, log_sigma), twice, and the gradients of sum(z * pull) at the first; once in evaluation mode."""
    mu, log_sigma = mu.clone().requires_grad_(), log_sigma.clone().requires_grad_()
    before = snapshot([mu, log_sigma])
    seed = torch.initial_seed()
    function = attribute(model, "reparameterize", type(model).__name__)
    z = function(mu, log_sigma)
    again = function(mu, log_sigma)
    kept = same(before, [mu, log_sigma])
    trains = model.training
    with torch.no_grad():
        model.eval()
        in_evaluation = function(mu, log_sigma)
        model.train(trains)
    if isinstance(z, Tensor) and z.shape == pull.shape and z.requires_grad:
        (z * pull).sum().backward()
    return {
        "z": snapshot(z),
        "again": snapshot(again),
        "in_evaluation": snapshot(in_evaluation),
        "kept": kept,
        "seed_kept": torch.initial_seed() == seed,
        "grad_mu": snapshot(mu.grad),
        "grad_log_sigma": snapshot(log_sigma.grad),
    }


def forward_twice(model: Any, x: Tensor, *labels: Tensor) -> dict[str, Any]:
    """model(x, *labels), twice; once in evaluation mode."""
    before = snapshot(x)
    outputs = model(x, *labels)
    again = model(x, *labels)
    trains = model.training
    with torch.no_grad():
        model.eval()
        in_evaluation = model(x, *labels)
        model.train(trains)
    pair = isinstance(outputs, Mapping) and is_pair(outputs.get("q"))
    return {
        "outputs": _tensors(outputs),
        "again": _tensors(again),
        "in_evaluation": _tensors(in_evaluation),
        "x_kept": same(before, x),
        "q_is_a_pair": pair,
    }


def is_pair(q: Any) -> bool:
    """True for mean and log sigma side by side, in place of one tensor (..., 2 nz)."""
    return (
        isinstance(q, list | tuple)
        and len(q) == 2
        and all(isinstance(half, Tensor) for half in q)
        and q[0].shape == q[1].shape
    )


def backward_pass(model: Any, x: Tensor, *labels: Tensor) -> dict[str, Any]:
    """Backward passes from the reconstructions and from the loss: which of the model's own networks do they reach?"""
    outputs = model(x, *labels)
    own = {id(p) for p in model.parameters()}
    rec = outputs["rec"]
    if rec.requires_grad:
        rec.square().sum().backward(retain_graph=True)
    rec_reaches_encoder = _reached(model.encoder, own)
    model.zero_grad()
    q_reaches_encoder = True
    with suppress(Exception):  # a loss that takes only what forward returns
        alone = copy(outputs)
        alone["rec"] = rec.detach()
        kl_alone, _ = total_and_parts(model.loss(x, alone))
        # Without a graph, either the loss has no KL term, which is another check's matter, or q is detached.
        if has_graph(kl_alone):
            kl_alone.backward(retain_graph=True)
            q_reaches_encoder = _reached(model.encoder, own)
        else:
            q = outputs["q"]
            q_reaches_encoder = any(map(has_graph, q if is_pair(q) else [q]))
    model.zero_grad()
    total, _ = total_and_parts(model.loss(x, outputs))
    total.backward()
    return {
        "drawings_reach_encoder": rec_reaches_encoder,
        "q_reaches_encoder": q_reaches_encoder,
        "encoder_reached": _reached(model.encoder, own),
        "decoder_reached": _reached(model.decoder, own),
    }


def collision(model: Any, x: Tensor, *labels: Tensor) -> dict[str, Any]:
    """Forward, loss, backward and reconstruct with the model on a device other than the CPU: do devices mix?

    worked: its encoder's output for x, on the CPU.
    """

    def run(device: torch.device) -> None:
        moved = model.to(device)
        there, *c = (value.to(device) for value in (x, *labels))
        total, _ = total_and_parts(moved.loss(there, moved(there, *c)))
        total.backward()
        moved.reconstruct(there, *c)

    with watching(model.encoder) as calls:
        on_cpu(lambda: run(torch.device("cpu")), calls)
    model.zero_grad()
    return {"collision": mixing(run), "worked": calls[0]["output"] if calls else None}


def lose(model: Any, x: Tensor, q: Tensor, rec: Tensor, *labels: Tensor) -> dict[str, Any]:
    """model.loss(x, {"q": q, "rec": rec}): the scalars, their gradients, and whether the arguments are unchanged.

    q (N, 1, 2 nz) is passed with as many axes as in the output of the model's own forward, and as a pair where that is one.
    """
    shape, pair = _form_of_q(model, x, q, labels)
    halves = [
        h.clone().requires_grad_() for h in (q.reshape(shape).chunk(2, -1) if pair else [q.reshape(shape)])
    ]
    rec = rec.clone().requires_grad_()
    outputs: dict[str, Any] = {"q": tuple(halves) if pair else halves[0], "rec": rec}
    before = snapshot([x, outputs["q"], rec])
    returned = values_of(model.loss(x, outputs))
    total, parts = total_and_parts(returned)
    kept = set(outputs) == {"q", "rec"} and same(before, [x, outputs["q"], outputs["rec"]])
    kept = kept and same(before, [x, tuple(halves) if pair else halves[0], rec])
    if isinstance(total, Tensor) and total.dim() == 0 and total.requires_grad:
        total.backward()
    grads = [half.grad for half in halves if half.grad is not None]
    return {
        "total": snapshot(total),
        "parts": snapshot(parts),
        "values": len(returned),
        "kept": kept,
        "grad_q": snapshot(torch.cat(grads, -1)).reshape(len(q), -1) if len(grads) == len(halves) else None,
        "grad_rec": snapshot(rec.grad),
    }


def total_and_parts(returned: Any) -> tuple[Any, Any]:
    """What loss returned as the total, and as its parts: None where these are missing or not side by side."""
    values = values_of(returned)
    return (values[0] if values else None), (values[1] if len(values) == 2 else None)


def values_of(returned: Any) -> list[Any]:
    """The values that a call returned: those that the result can be unpacked into, or the result itself."""
    if isinstance(returned, (Tensor, Mapping)):
        return [returned]
    try:
        return list(returned)
    except TypeError:
        return [returned]


def handed_on(model: Any, x: Tensor, *labels: Tensor) -> dict[str, Any]:
    """The shapes of the first arguments with which forward and reconstruct call reparameterize and the decoder.

    Both are called whether they run or not.
    """
    shapes: list[list[int]] = []

    def note(_: Any, call: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        first = next(iter([*args, *kwargs.values()]), None)
        if isinstance(first, Tensor):
            shapes.append(list(first.shape))
        return call(*args, **kwargs)

    own_draw = attribute(model, "reparameterize", type(model).__name__)
    model.reparameterize = lambda *args, **kwargs: note(model, own_draw, args, kwargs)
    with around(attribute(model, "decoder", type(model).__name__), note):
        for call in (model, model.reconstruct):
            with suppress(Exception):
                call(x, *labels)
    return {"shapes": shapes}


def reconstruct_twice(model: Any, nz: int, x: Tensor, *labels: Tensor) -> dict[str, Any]:
    """model.reconstruct(x, *labels), twice, with a decoder that takes nz numbers."""
    before = snapshot(x)
    given: list[Tensor] = []

    def note(_: Any, call: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        given.extend(a for a in [*args, *kwargs.values()][:1] if isinstance(a, Tensor) and a.dim())
        return call(*args, **kwargs)

    decoder = attribute(model, "decoder", type(model).__name__)
    try:
        with around(decoder, note) if isinstance(decoder, nn.Module) else nullcontext():
            first = model.reconstruct(x, *labels)
            second = model.reconstruct(x, *labels)
    except RuntimeError as error:
        # A decoder that was called with all of q shows a known mistake; any other exception is reported as it is.
        if not given or given[-1].shape[-1] != 2 * nz:
            raise
        return {"both_halves": True, "rows": len(given[-1]), "error": str(error)[:300]}
    return {
        "first": snapshot(first),
        "second": snapshot(second),
        "graph": has_graph(first) or has_graph(second),
        "x_kept": same(before, x),
    }


def _tensors(outputs: Any) -> Any:
    """The entries q and rec of the value that forward returned; q as one tensor where it is a pair."""
    if not isinstance(outputs, Mapping):
        return snapshot(outputs)
    # Of other entries only the names, which messages quote where one of these is missing.
    found: dict[Any, Any] = {k: outputs[k] if k in ("q", "rec") else None for k in list(outputs)[:8]}
    if is_pair(found.get("q")):
        found["q"] = torch.cat(list(found["q"]), -1)
    return snapshot(found)


def _reached(part: Any, own: set[int]) -> bool:
    """True when `part` has parameters, all are the model's own, all have a gradient, and one is not zero."""
    if not isinstance(part, nn.Module):
        return False
    found = learned(part)
    grads = [p.grad for p in found if id(p) in own and p.grad is not None]
    return bool(found) and len(grads) == len(found) and any(bool(g.any()) for g in grads)


def _form_of_q(model: Any, x: Tensor, q: Tensor, labels: tuple[Tensor, ...]) -> tuple[list[int], bool]:
    """The shape in which the model's own forward returns q, and whether as a pair; that of `q` where it is no expected one."""
    try:
        with torch.no_grad():
            own = model(x.float(), *labels)["q"]
        pair = is_pair(own)
        shape = list(torch.cat(list(own), -1).shape if pair else own.shape)
    except Exception:
        return list(q.shape), False
    return (shape if shape == [len(q), q.shape[-1]] else list(q.shape)), pair
