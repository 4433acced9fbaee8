"""Puts small networks and recording optimisers in the place of a DCGAN's own: under every name that its code has for them."""

from __future__ import annotations

import copy
import importlib
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import torch
from torch import nn

# The names of a DCGAN's networks, and the classes in gan.py that its code may check for or make more networks of.
CLASSES = {"_generator": "Generator", "_discriminator": "Discriminator"}

_own: dict[str, Any] = {}  # the submission's classes, while others take their place


def restore_classes() -> None:
    """Gives the submission its own classes back."""
    module = importlib.import_module("gan")
    while _own:
        setattr(module, *_own.popitem())


def replace_classes(networks: Mapping[str, nn.Module]) -> None:
    """Lets a DCGAN's constructor make networks like these, by name.

    What it derives from them (lists of parameters, hooks, averages of the weights) then belongs to networks of their kind.
    """
    for name, network in networks.items():
        with suppress(TypeError):
            _replace_class(name, network)


def _replace_class(name: str, network: nn.Module) -> type[nn.Module]:
    """Puts the class of networks like this one in the place of the submission's, and returns it."""
    module, kind = importlib.import_module("gan"), CLASSES[name]
    own = _own.get(kind, getattr(module, kind, None))
    combined = _combined_class(network, own)
    _own[kind] = own
    setattr(module, kind, combined)
    return combined


def network_in_place(model: Any, name: str, network: nn.Module) -> nn.Module:
    """A DCGAN's network, turned into another one.

    The object stays, so other attributes, lists and functions that hold it hold the new network. It is still an instance of the
    submission's class, and what the submission makes of that class is a network like it, with other weights.
    """
    made, kind = getattr(model, name, None), type(network)
    with suppress(TypeError):  # a class that cannot be inherited from
        object.__setattr__(network, "__class__", _replace_class(name, network))
    if isinstance(made, kind):
        with suppress(RuntimeError):  # its constructor changed its layers
            return _refilled(made, network)
    return transplanted(model, made, network)


def _combined_class(network: nn.Module, own: Any) -> type[nn.Module]:
    """A class of networks like this one that are instances of `own`, too."""

    def initialise_like(self: nn.Module, *args: Any, **kwargs: Any) -> None:
        like = copy.deepcopy(network).train().to(torch.empty(0).device)  # as `with torch.device(...)` asks
        with torch.no_grad():
            for parameter in like.parameters():
                parameter.normal_(0, 0.1)
        vars(self).update(vars(like))

    if not isinstance(own, type) or not issubclass(own, nn.Module):
        raise TypeError(own)
    names = {"__module__": own.__module__, "__qualname__": own.__qualname__}
    return type(own.__name__, (type(network), own), {"__init__": initialise_like, **names})


def _refilled(made: nn.Module, network: nn.Module) -> nn.Module:
    """A network of the same kind with the other's values: its parameters and hooks stay, with all references to them."""
    made.load_state_dict(network.state_dict())
    object.__setattr__(made, "__class__", type(network))
    vars(made).update({k: v for k, v in vars(network).items() if not k.startswith("_")})
    # A constructor that leaves its networks on the CPU is another question's matter.
    return made.to(next(network.parameters()).device).train(network.training)


def optimiser_in_place(model: Any, old: Any, new: torch.optim.Adam) -> Any:
    """A DCGAN's optimiser, turned into another one, as `network_in_place` does: of the submission's class, if it has one."""
    kind = type(old)
    if isinstance(old, torch.optim.Optimizer):
        # Its hooks are part of its steps, so what is recorded comes after those before the step, and before those after it.
        before, after = (f"_optimizer_step_{when}_hooks" for when in ("pre", "post"))
        vars(new)[before] = OrderedDict({**vars(old).get(before, {}), **vars(new)[before]})
        vars(new)[after] = OrderedDict({**vars(new)[after], **vars(old).get(after, {})})
    if isinstance(old, torch.optim.Optimizer) and kind.__module__.partition(".")[0] != "torch":
        names = {"__module__": kind.__module__, "__qualname__": kind.__qualname__}
        with suppress(TypeError):
            object.__setattr__(new, "__class__", type(kind.__name__, (type(new), kind), names))
            vars(new).update({k: v for k, v in vars(old).items() if k not in vars(new)})
    return transplanted(model, old, new)


def transplanted(model: Any, old: Any, new: Any) -> Any:
    """Makes the object `old` become `new`, so that every reference to it sees the new one; returns it.

    Numbers, texts and the like that only the old one had are kept. Lists of the old network's parameters among the model's
    attributes become lists of the new one's. Returns `new` itself where `old` is no network or optimiser.
    """
    if not isinstance(old, (nn.Module, torch.optim.Optimizer)):
        return new
    try:
        replaced = {id(p) for p in old.parameters()} if isinstance(old, nn.Module) else set()
        object.__setattr__(old, "__class__", type(new))
    except (AttributeError, TypeError):  # a network that was never made, or another layout in memory
        return new
    kept = {
        k: v for k, v in vars(old).items() if isinstance(v, (bool, int, float, str)) and k not in vars(new)
    }
    vars(old).clear()
    vars(old).update({**kept, **vars(new)})
    for name, value in vars(model).items():
        if replaced and isinstance(value, (list, tuple)) and {id(p) for p in value} == replaced:
            vars(model)[name] = type(value)(new.parameters())
    return old
