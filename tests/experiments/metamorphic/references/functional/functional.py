"""Small pure functions that the models are composed of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

T = TypeVar("T")
Params = dict[str, Tensor]
Activation = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Posterior:
    """A diagonal normal distribution over codes."""

    mean: Tensor
    log_sigma: Tensor

    @classmethod
    def of(cls, q: Tensor) -> Posterior:
        mean, log_sigma = q.unflatten(-1, (2, -1)).unbind(-2)
        return cls(mean, log_sigma)


@dataclass(frozen=True)
class TrainConfig:
    epochs: int
    learning_rate: float
    device: Any = "cpu"


def compose(*functions: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: reduce(lambda result, function: function(result), functions, value)


def chain(layers: Sequence[nn.Linear], last: Activation) -> Activation:
    """The layers with ReLUs between them, and `last` at the end."""
    *hidden, output = layers
    return compose(*(compose(layer, F.relu) for layer in hidden), output, last)


def identity(value: T) -> T:
    return value


def flatten(images: Tensor) -> Tensor:
    return images.flatten(1).unsqueeze(1)


def draw(posterior: Posterior, eps: Tensor | None = None) -> Tensor:
    noise = torch.empty_like(posterior.mean).normal_() if eps is None else eps
    return torch.addcmul(posterior.mean, posterior.log_sigma.exp(), noise)


def batches(loader: Iterable[Any], config: TrainConfig) -> Iterator[list[Tensor]]:
    """All batches of all epochs, on the device."""
    for _ in range(config.epochs):
        for images, labels in loader:
            yield [flatten(images.to(config.device)), labels.to(config.device)]


def stepper(
    model: nn.Module, objective: Callable[..., tuple[Tensor, Any]], config: TrainConfig
) -> Callable[..., Any]:
    """A function that takes one batch and updates the model. `objective(call, *batch)` gives (loss, aux)."""
    optimizer = torch.optim.Adam(model.parameters(), lr=config.learning_rate)
    names, leaves = zip(*model.named_parameters())

    def step(*batch: Tensor) -> Any:
        params: Params = dict(zip(names, leaves))

        def call(*inputs: Tensor) -> Any:
            return functional_call(model, params, inputs)

        loss, aux = objective(call, *batch)
        for leaf, grad in zip(leaves, torch.autograd.grad(loss, leaves)):
            leaf.grad = grad
        optimizer.step()
        optimizer.zero_grad()
        return aux

    return step
