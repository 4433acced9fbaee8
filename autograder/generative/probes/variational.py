"""Shared by the probes of vae.py and cvae.py: calls one method of a VAE or CVAE and reports its results."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from autograder.sandbox.kit import attribute, same, snapshot, watching
from autograder.sandbox.posing import mixing

from ..stand_ins import models

# A batch size that students hard-code; tried after another size has failed, to find out why.
USUAL_BATCH = 64


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
        model.reparameterize = _given_reparameterize
    return model


def _given_reparameterize(*args: Tensor, **kwargs: Tensor) -> Tensor:
    mu, log_sigma = [*args, *kwargs.values()][:2]
    return 1.1 * mu + 0.6 * log_sigma


def decoded(model: Any, z: Tensor, *labels: Tensor) -> Any:
    """model.decoder of codes (N, 1, nz), or (N, nz) if it does not accept these: a model may use either shape inside."""
    decoder = attribute(model, "decoder", type(model).__name__)
    try:
        return snapshot(decoder(z, *labels))
    except (RuntimeError, ValueError, IndexError):
        return snapshot(decoder(z.flatten(1), *labels))


def draw_twice(model: Any, mu: Tensor, log_sigma: Tensor, pull: Tensor) -> dict[str, Any]:
    """model.reparameterize(mu, log_sigma), twice, and the gradients of sum(z * pull) at the first."""
    mu, log_sigma = mu.clone().requires_grad_(), log_sigma.clone().requires_grad_()
    before = snapshot([mu, log_sigma])
    seed = torch.initial_seed()
    function = attribute(model, "reparameterize", type(model).__name__)
    try:
        z = function(mu, log_sigma)
    except (RuntimeError, ValueError, IndexError) as error:
        return _only_64(error, lambda: function(_usual(mu.detach()), _usual(log_sigma.detach())))
    again = function(mu, log_sigma)
    kept = same(before, [mu, log_sigma])
    if isinstance(z, Tensor) and z.shape == pull.shape and z.requires_grad:
        (z * pull).sum().backward()
    return {
        "z": snapshot(z),
        "again": snapshot(again),
        "kept": kept,
        "seed_kept": torch.initial_seed() == seed,
        "grad_mu": snapshot(mu.grad),
        "grad_log_sigma": snapshot(log_sigma.grad),
    }


def forward_twice(model: Any, x: Tensor, *labels: Tensor) -> dict[str, Any]:
    """model(x, *labels), twice."""
    before = snapshot(x)
    try:
        outputs = model(x, *labels)
    except (RuntimeError, ValueError, IndexError) as error:
        return _only_64(error, lambda: model(_usual(x), *[_usual(c) for c in labels]))
    again = model(x, *labels)
    return {"outputs": _tensors(outputs), "again": _tensors(again), "x_kept": same(before, x)}


def backward_pass(model: Any, x: Tensor, *labels: Tensor) -> dict[str, Any]:
    """Backward passes from the reconstructions and from the loss: which of the model's own networks do they reach?"""
    outputs = model(x, *labels)
    own = {id(p) for p in model.parameters()}
    rec = outputs["rec"]
    if rec.requires_grad:
        rec.square().sum().backward(retain_graph=True)
    rec_reaches_encoder = _reached(model.encoder, own)
    model.zero_grad()
    total, _ = model.loss(x, outputs)
    total.backward()
    return {
        "drawings_reach_encoder": rec_reaches_encoder,
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
        total, _ = moved.loss(there, moved(there, *c))
        total.backward()
        moved.reconstruct(there, *c)

    with watching(model.encoder) as calls:
        run(torch.device("cpu"))  # raises here if it does not work on the CPU either
    model.zero_grad()
    return {"collision": mixing(run), "worked": calls[0]["output"] if calls else None}


def lose(model: Any, x: Tensor, q: Tensor, rec: Tensor, *labels: Tensor) -> dict[str, Any]:
    """model.loss(x, {"q": q, "rec": rec}): the scalars, their gradients, and whether the arguments are unchanged.

    q (N, 1, 2 nz) is passed with as many axes as in the output of the model's own forward.
    """
    q = q.reshape(_q_shape(model, x, q, labels)).clone().requires_grad_()
    rec = rec.clone().requires_grad_()
    outputs = {"q": q, "rec": rec}
    before = snapshot([x, q, rec])
    try:
        total, parts = model.loss(x, outputs)
    except (RuntimeError, ValueError, IndexError) as error:
        return _only_64(error, lambda: model.loss(_usual(x), {"q": _usual(q), "rec": _usual(rec)}))
    kept = set(outputs) == {"q", "rec"} and same(before, [x, outputs["q"], outputs["rec"]])
    kept = kept and same(before, [x, q, rec])
    if isinstance(total, Tensor) and total.dim() == 0 and total.requires_grad:
        total.backward()
    return {
        "total": snapshot(total),
        "parts": snapshot(parts),
        "kept": kept,
        "grad_q": None if q.grad is None else snapshot(q.grad).reshape(len(q), -1),
        "grad_rec": snapshot(rec.grad),
    }


def reconstruct_twice(model: Any, nz: int, x: Tensor, *labels: Tensor) -> dict[str, Any]:
    """model.reconstruct(x, *labels), twice, with a decoder that takes nz numbers."""
    before = snapshot(x)
    widths: list[int] = []

    def note(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        widths.extend(a.shape[-1] for a in [*args, *kwargs.values()][:1] if isinstance(a, Tensor) and a.dim())

    decoder = attribute(model, "decoder", type(model).__name__)
    handle = (
        decoder.register_forward_pre_hook(note, with_kwargs=True) if isinstance(decoder, nn.Module) else None
    )
    try:
        first = model.reconstruct(x, *labels)
        second = model.reconstruct(x, *labels)
    except RuntimeError as error:
        # A decoder that was called with all of q shows a known mistake; any other exception is reported as it is.
        if not widths or widths[-1] != 2 * nz:
            raise
        return {"both_halves": True, "error": str(error)[:300]}
    finally:
        if handle is not None:
            handle.remove()
    return {"first": snapshot(first), "second": snapshot(second), "x_kept": same(before, x)}


def _only_64(error: Exception, call: Callable[[], Any]) -> dict[str, Any]:
    """Reports the failure if the same call works with the usual batch size; raises it again otherwise."""
    try:
        call()
    except Exception:
        raise error from None
    return {"only_64": True, "error": str(error)[:300]}


def _usual(x: Tensor) -> Tensor:
    """The first sample, repeated to a batch of 64."""
    return x[:1].repeat(USUAL_BATCH, *[1] * (x.dim() - 1))


def _tensors(outputs: Any) -> Any:
    """The entries q and rec of the value that forward returned."""
    if not isinstance(outputs, Mapping):
        return snapshot(outputs)
    return {k: snapshot(outputs[k]) for k in ("q", "rec") if k in outputs}


def _reached(part: Any, own: set[int]) -> bool:
    """True when `part` has parameters, all are the model's own, all have a gradient, and one is not zero."""
    if not isinstance(part, nn.Module):
        return False
    found = list(part.parameters())
    grads = [p.grad for p in found if id(p) in own and p.grad is not None]
    return bool(found) and len(grads) == len(found) and any(bool(g.any()) for g in grads)


def _q_shape(model: Any, x: Tensor, q: Tensor, labels: tuple[Tensor, ...]) -> list[int]:
    """The shape in which the model's own forward returns q; that of `q` when it is neither of the two expected ones."""
    try:
        with torch.no_grad():
            shape = list(model(x.float(), *labels)["q"].shape)
    except Exception:
        return list(q.shape)
    return shape if shape == [len(q), q.shape[-1]] else list(q.shape)
