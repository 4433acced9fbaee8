"""The probe kit watches modules without changing what they are."""

from __future__ import annotations

import copy
import io
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from autograder.sandbox.kit import watching


class Doubling(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((1,), 2.0))

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * x


class Own(Doubling):
    def __call__(self, x: Tensor) -> Any:
        return super().__call__(x)


MODULES = [Doubling, Own, lambda: nn.Sequential(Doubling(), nn.Sequential(nn.ReLU()))]


@pytest.mark.parametrize("make", MODULES)
def test_calls_are_seen_however_they_are_made(make: Any) -> None:
    module, x = make(), torch.ones(3)
    with watching(module) as calls:
        module(x)
        module.forward(x)
        make()(x)  # another of the same class
    module(x)
    assert len(calls) == 2
    assert calls[0]["inputs"][0].equal(x) and calls[1]["output"].equal(2 * x)


@pytest.mark.parametrize("make", MODULES)
def test_a_watched_module_keeps_its_class_and_so_do_its_copies(make: Any) -> None:
    module, x = make(), torch.ones(3)
    kind = type(module)
    before = dict(vars(kind))
    with watching(module) as calls:
        saved = io.BytesIO()
        torch.save(module, saved)
        saved.seek(0)
        twins = [copy.deepcopy(module), copy.copy(module), torch.load(saved, weights_only=False)]
        assert {type(twin) for twin in (module, *twins)} == {kind}
        for twin in twins:
            twin(x)
    assert len(calls) == 3
    assert dict(vars(kind)) == before
