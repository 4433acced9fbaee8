"""Probes of the discriminator with spectral normalisation: the linear maps that its convolutions compute.

The weights are read when a convolution is executed, so it does not matter which layer calls it and how its parameters
are named.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from autograder.sandbox.kit import need, same, snapshot
from autograder.sandbox.posing import mixing

from .gan import CONVOLUTIONS, attribute

NONLINEAR = ("leaky_relu", "batch_norm")


class Operations(TorchDispatchMode):
    """Records every convolution's weight and settings, and the factor between its output and the next layer's input."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[dict[str, Any]] = []
        self.pending: list[tuple[dict[str, Any], Tensor]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = str(func)
        if any(part in name for part in NONLINEAR) and "backward" not in name:
            # Compare before the operation runs, since it may work in place.
            for entry, output in self.pending:
                entry["scale"] = scale_between(output, args[0].detach())
            self.pending = []
            leaky = "leaky_relu" in name
            slope = float(args[1]) if leaky and len(args) > 1 else 0.01
            self.found.append({"kind": "leaky relu", "slope": slope} if leaky else {"kind": "batch norm"})
        result = func(*args, **(kwargs or {}))
        if "aten.convolution." in name:
            entry = {
                "kind": "convolution",
                "weight": snapshot(args[1]),
                "shape": list(args[1].shape),
                "stride": list(args[3]),
                "padding": list(args[4]),
                "input": list(args[0].shape[1:]),
                "scale": 1.0,
            }
            self.found.append(entry)
            self.pending = [(entry, result.detach().clone())]
        return result


def scale_between(output: Tensor, following: Tensor) -> float:
    """The factor between a convolution's output and the next layer's input, whatever is added to each channel."""
    if output.shape != following.shape or torch.equal(output, following):
        return 1.0
    axes = (0, 2, 3)
    a = (output - output.mean(axes, keepdim=True)).double()
    b = (following - following.mean(axes, keepdim=True)).double()
    return float((a * b).sum() / a.square().sum().clamp_min(1e-30))


def operations(network: nn.Module, images: Tensor) -> tuple[list[dict[str, Any]], Tensor]:
    """The operations of one forward pass, in order, and its logits."""
    recorder = Operations()
    with torch.no_grad(), recorder:
        logits = network(images)
    return recorder.found, logits


def make(which: str) -> nn.Module:
    """The class itself ("class"), or the discriminator of a DCGAN made with ("true") or without ("false") the flag."""
    if which == "class":
        made = need("gan", "SpectralNormDiscriminator")()
    else:
        cls = need("gan", "DCGAN")
        model = cls.__new__(cls)
        try:
            cls.__init__(model, spectral_norm=which == "true", device="cpu")
        except Exception:
            # A constructor that fails later, in the initialisation for example, has already chosen its discriminator.
            if not isinstance(getattr(model, "_discriminator", None), nn.Module):
                raise
        made = attribute(model, "_discriminator", "DCGAN()")
    network: nn.Module = made
    return network.train()


def kernels(network: nn.Module) -> list[nn.Parameter]:
    """The parameters from which the convolutions' weights are computed, in whatever form: those of their size."""
    sizes = [p.numel() for p in need("gan", "Discriminator")().parameters() if p.dim() == 4]
    return [p for p in network.parameters() if p.dim() > 1 and p.numel() in sizes]


def filled(
    which: str,
    images: Tensor,
    weights: list[Tensor],
    vectors: list[Tensor],
    wave: list[float],
    forwards: int,
) -> dict[str, Any]:
    """What a discriminator computes with given parameters, a change as training makes them.

    weights: the values of the parameters that have their shapes. vectors: those of all parameters with one axis, by
    length. wave: for the values of all others, see `chirp`. forwards: passes in training mode before those
    that are observed, one in training mode and one in evaluation mode (see `settle`).

    random: whether the logits differ from call to call. random_weights: whether the weights do, by a random factor. moved: of each
    convolution, whether its weight is another one, not only another multiple, since the parameters changed.
    """
    network = make(which)
    with torch.no_grad():
        # What happens at the first pass alone is no normalisation. Buffers are as before it.
        kept = {name: buffer.clone() for name, buffer in network.named_buffers()}
        begun, _ = operations(network, images)
        for name, buffer in network.named_buffers():
            if name in kept and buffer.shape == kept[name].shape:
                buffer.copy_(kept[name])
    place(network, weights, vectors, wave)
    settle(network, images, forwards)
    seen: dict[str, Any] = {}
    for mode in ("training", "evaluation"):
        found, logits = operations(network.train(mode == "training"), images)
        seen[mode] = {"operations": found, "logits": snapshot(logits)}
    passes = [operations(network.train(), images) for _ in range(4)]
    *_, (_, logits), (_, again) = passes
    random_weights = are_estimated_anew([used_weights(found) for found, _ in passes])
    # Power iteration changes the last digits from call to call.
    return {
        **seen,
        "random": not random_weights and bool((logits - again).norm() > 0.01 * again.norm()),
        "random_weights": random_weights,
        "moved": [
            a.shape != b.shape or not same_direction(a, b)
            for a, b in zip(used_weights(begun), used_weights(seen["training"]["operations"]), strict=False)
        ],
    }


@torch.no_grad()
def settle(network: nn.Module, images: Tensor, forwards: int) -> None:
    """Has a network compute until power iteration has found the norms, and running averages are those of these images.

    From now on the running averages of PyTorch's layers are those of the last pass alone: power iteration that is slow to
    converge still moves the weights. Those of other layers need four times as many passes: 0.9^160 is left of the old
    ones then.
    """
    layers = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    for layer in layers:
        layer.momentum = 1.0
    for _ in range(forwards if layers else 4 * forwards):
        network(images)


def used_weights(found: list[dict[str, Any]]) -> list[Tensor]:
    """The weights that the convolutions of a pass used."""
    return [entry["weight"] * entry["scale"] for entry in found if entry["kind"] == "convolution"]


def same_direction(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors of one shape are the same but for a factor."""
    return bool(torch.cosine_similarity(a.flatten(), b.flatten(), dim=0).abs() > 0.999)


def are_estimated_anew(passes: list[list[Tensor]]) -> bool:
    """Whether the weights of several passes are the same but for factors that go up and down, as random ones do."""
    for weights in zip(*passes, strict=False):
        if any(w.shape != weights[0].shape or not same_direction(w, weights[0]) for w in weights):
            return False
    norms = torch.tensor([[float(w.norm()) for w in weights] for weights in passes])
    steps = norms.diff(dim=0) / norms[:-1]
    up, down = (steps > 0.01).any(dim=0), (steps < -0.01).any(dim=0)
    return bool((up & down).any())


def chirp(shape: torch.Size, angle: float, offset: float, scale: float) -> Tensor:
    """Values that look random and can be computed again anywhere: a sine whose frequency rises along the entries."""
    index = torch.arange(shape.numel(), dtype=torch.float64)
    return (torch.sin(index.square() * angle + offset) * scale).float().reshape(shape)


@torch.no_grad()
def place(network: nn.Module, weights: list[Tensor], vectors: list[Tensor], wave: list[float]) -> None:
    """Gives the parameters of a network the values that have their shape."""
    by_shape = {value.shape: value for value in (*weights, *vectors)}
    by_size = {value.numel(): value for value in weights}  # for weights that are kept as matrices
    for parameter in network.parameters():
        if parameter.shape in by_shape:
            parameter.copy_(by_shape[parameter.shape])
        elif parameter.dim() > 1 and parameter.numel() in by_size:
            parameter.copy_(by_size[parameter.numel()].reshape(parameter.shape))
        elif parameter.dim() > 1:
            parameter.copy_(chirp(parameter.shape, *wave))


def classes() -> dict[str, Any]:
    """Whether the discriminator of a DCGAN with the flag, and of one without it, is a SpectralNormDiscriminator."""
    normed = need("gan", "SpectralNormDiscriminator")
    return {which: isinstance(make(which), normed) for which in ("true", "false")}


def flag_alone() -> dict[str, Any]:
    """A DCGAN with the flag spectral_norm ("true") beside one without it ("false").

    parts: the names of the generator's parameters and buffers. spreads: the standard deviations of its convolutions' weights.
    parameters: how many the discriminator has. moved: how many of them a step of optimizerD moves; None where it takes no step.
    left: how many stay on the CPU where the DCGAN is made on another device.
    """
    cls = need("gan", "DCGAN")
    found: dict[str, dict[str, Any]] = {"parts": {}, "spreads": {}, "parameters": {}, "moved": {}, "left": {}}
    for which in ("true", "false"):
        model = cls(spectral_norm=which == "true", device="cpu")
        generator = attribute(model, "_generator", "DCGAN()")
        found["parts"][which] = [n for n, _ in (*generator.named_parameters(), *generator.named_buffers())]
        found["spreads"][which] = [float(p.std()) for p in generator.parameters() if p.dim() == 4]
        trained = [p for p in attribute(model, "_discriminator", "DCGAN()").parameters() if p.requires_grad]
        before = [snapshot(p) for p in trained]
        for p in trained:
            p.grad = torch.ones_like(p)
        step = getattr(getattr(model, "optimizerD", None), "step", None)
        if callable(step):
            step()
        moved = sum(not same(was, p) for was, p in zip(before, trained, strict=True))
        found["parameters"][which] = len(trained)
        found["moved"][which] = moved if callable(step) else None
        found["left"][which] = left_on_cpu(which == "true")
    return found


def left_on_cpu(spectral_norm: bool) -> int:
    """How many parameters of the discriminator stay on the CPU when a DCGAN is made on another device; 0 where that fails."""
    left: list[nn.Parameter] = []

    def run(device: torch.device) -> None:
        model = need("gan", "DCGAN")(spectral_norm=spectral_norm, device=device)
        made = attribute(model, "_discriminator", "DCGAN()").parameters()
        left.extend(p for p in made if p.device.type != device.type)

    with suppress(Exception):
        mixing(run)
    return len(left)


def initial_kernels(which: str) -> dict[str, Any]:
    """The parameters behind the convolutions' weights, and the batch normalisations' weights, in a new network."""
    network = make(which)
    layers = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    return {"kernels": [snapshot(p) for p in kernels(network)], "norms": [snapshot(m.weight) for m in layers]}


def architecture(images: Tensor) -> dict[str, Any]:
    """Operations of both discriminators; logits of the one with spectral normalisation, and gradients of their sum."""
    plain_found, plain_logits = operations(need("gan", "Discriminator")().train(), images)
    network = make("class")
    found, _ = operations(network, images)
    logits = network(images)
    if isinstance(logits, Tensor) and logits.requires_grad:
        logits.sum().backward()
    bare = [{k: v for k, v in entry.items() if k not in ("weight", "scale")} for entry in found]
    plain = [{k: v for k, v in entry.items() if k not in ("weight", "scale")} for entry in plain_found]
    trainable = [p for p in network.parameters() if p.requires_grad]
    return {
        "operations": bare,
        "plain": plain,
        "logits": snapshot(logits),
        "shape": list(plain_logits.shape),
        "convolutions": sum(isinstance(m, CONVOLUTIONS) for m in network.modules()),
        "gradients": [
            None if p.grad is None else float(p.grad.abs().max()) for p in trainable if p.dim() > 1
        ],
        "trainable": len(trainable),
    }
