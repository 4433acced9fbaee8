"""The simulated device: what may be mixed with it, and what may not, with gradients, without them and in inference mode."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
import torch

from autograder.sandbox import posing

Mode = Callable[[], AbstractContextManager[object]]
modes = pytest.mark.parametrize("mode", [torch.enable_grad, torch.no_grad, torch.inference_mode])


def poses(value: object) -> bool:
    return isinstance(value, posing.Posing)


@modes
def test_tensors_move_between_the_devices(mode: Mode) -> None:
    with posing.other_device() as device, mode():
        there, here = torch.zeros(3, device=device), torch.zeros(3)
        assert (
            poses(there) and poses(here.to(device)) and poses(here.to(there)) and poses(here.type_as(there))
        )
        back = [there.cpu(), there.to("cpu"), there.to(torch.device("cpu"), torch.float64), there.to(here)]
        assert not any(poses(value) for value in back)
        assert there.cpu().numpy().shape == (3,)


@modes
def test_a_copy_on_the_cpu_shares_nothing_with_the_tensor(mode: Mode) -> None:
    with posing.other_device() as device, mode():
        there = torch.zeros(3, device=device)
        there.cpu().add_(1)
        assert there.tolist() == [0, 0, 0]


@modes
def test_what_is_computed_there_stays_there(mode: Mode) -> None:
    with posing.other_device() as device, mode():
        there, here = torch.ones(3, device=device), torch.ones(2, 3)
        results = [
            there.double(),
            there.flatten(),
            there.expand_as(here),
            there.to(device),
            torch.rand_like(there),
        ]
        assert all(poses(value) for value in results)
        assert there.add_(1) is there and not poses(here.view_as(here))
        assert there.sum().item() == 6


@modes
def test_mixed_devices_are_found(mode: Mode) -> None:
    with posing.other_device() as device, mode():
        there, here = torch.ones(3, device=device), torch.ones(3)
        for mix in (torch.add, torch.nn.functional.mse_loss, torch.dot):
            with pytest.raises(posing.DevicesMixed):
                mix(there, here)
