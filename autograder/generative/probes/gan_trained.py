"""The probe of `reconstruct` with a trained generator of the given architecture, on a few real images."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import torch
from torch import Tensor

import autograder.sandbox.kit as kit
from autograder.sandbox.posing import DevicesMixed

from ..stand_ins.gan import stand_in_reconstruction_loss
from ..stand_ins.gan_trained import TrainedGenerator
from .gan import blank_model, plain, put
from .gan_places import network_in_place
from .gan_reconstruct import changes, in_either_form, noting, state
from .gan_training import equip


def search(
    samples: Tensor, weights: dict[str, Tensor], training: list[bool], copies: int = 1
) -> dict[str, Any]:
    """Calls `reconstruct` on images (N, 3, 32, 32), on the grader's device; on the CPU where that fails elsewhere.

    copies: how often the images are repeated, for code that works with one number of images only. The repetitions are
    not generated again, so that they take no time.

    images: the first result that has the shape of images, if there is one; of the repetitions only the first. codes: those
    from which the generator made these images, or the most similar ones; without images, the last codes. calls: of the generator.
    training: whether the generator and the discriminator are in training mode before the call. The rest is as for `changes`.
    """
    count = len(samples)

    def run(given: Any, device: torch.device) -> dict[str, Any]:
        try:
            return run_once(given, device)
        except DevicesMixed:
            raise
        except Exception:
            if "gan" not in kit.standing_in:
                raise
            # `_reconstruction_loss` may be what raises, and another check is about that.
            return run_once(given, device, _reconstruction_loss=stand_in_reconstruction_loss)

    def run_once(given: Any, device: torch.device, **parts: Any) -> dict[str, Any]:
        model = blank_model(device)
        _, networks = equip(model, device=device)
        generator = TrainedGenerator(weights, distinct=count).to(device)
        placed = network_in_place(model, "_generator", generator)
        put(model, _generator=placed, **parts)
        networks["generator"] = placed
        for network, mode in zip(networks.values(), training, strict=True):
            network.train(mode)
        before = {name: state(network) for name, network in networks.items()}
        with noting(lambda: {"calls": generator.made.total}):
            returned = model.reconstruct(given)
        changed = changes(before, networks)
        results = returned if isinstance(returned, (list, tuple)) else [returned]
        found = [v for v in map(plain, map(kit.snapshot, results)) if _is_images(v)]
        if not found:
            return {"images": None, "codes": generator.made.last(), "calls": generator.made.total, **changed}
        images = found[0] if len(found[0]) != copies * count else found[0][:count]
        codes = generator.made.codes_of(images.float())
        return {"images": images, "codes": codes, "calls": generator.made.total, **changed}

    repeated = samples.repeat(copies, 1, 1, 1)
    if kit.device != "cpu":
        with suppress(Exception):  # the check of devices reports it
            return in_either_form(lambda given: run(given, torch.device(kit.device)), repeated)
    return in_either_form(lambda given: run(given, torch.device("cpu")), repeated)


def _is_images(value: Any) -> bool:
    return isinstance(value, Tensor) and value.shape[1:] == (3, 32, 32)
