"""A device other than the CPU: a GPU where the grader uses one, else a simulated one.

The simulated device consists of tensors that keep their values on the CPU and pose as tensors of another device. While
`other_device()` is active, every tensor made on, or moved to, the device "meta" is one of them, and mixing one with a plain
CPU tensor raises `DevicesMixed`, as on a GPU. What a GPU allows stays allowed: 0-dim CPU tensors, copies between devices,
CPU indices.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from autograder.sandbox import kit

DEVICE = torch.device("meta")


# The folder of the submission's modules: the working directory before any of them has run.
FOLDER = os.getcwd()

# Operations whose second tensor gives only its device, type or shape. Inference mode hands them over whole; elsewhere they
# arrive taken apart, without that tensor.
ONLY_LIKE = ("aten::to.other", "aten::type_as", "aten::expand_as", "aten::view_as", "aten::reshape_as")
# Those of them whose result is on the device of that tensor.
ON_ITS_DEVICE = ONLY_LIKE[:2]

SET_DATA = Tensor.data.__set__  # type: ignore[attr-defined]
NO_TENSORS = {int, float, bool, str, type(None), torch.dtype}
MAKERS = {torch.tensor, torch.as_tensor, torch.asarray, torch.scalar_tensor}

# Parts of PyTorch's messages on a real GPU when devices are mixed, or a GPU tensor is used as an array.
GPU_MESSAGES = ("on the same device", "device type tensor to numpy", "should be the same", "device-side")


class DevicesMixed(RuntimeError):
    """One operation mixed tensors of two devices."""


class Posing(Tensor):
    """A tensor that poses as one on `DEVICE`; its values are in `held`."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> Posing:
        made = Tensor._make_wrapper_subclass(
            cls,
            held.shape,
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=DEVICE,
            requires_grad=False,
        )
        made.held = held
        return made

    def __init__(self, held: Tensor) -> None:
        pass

    @property
    def is_cuda(self) -> bool:  # type: ignore[override]
        return True

    def tolist(self) -> Any:
        return self.held.tolist()

    def numpy(self, *args: Any, **kwargs: Any) -> Any:
        raise DevicesMixed(
            "can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host memory first."
        )

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        return self.numpy()

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        return f"tensor({self.held.tolist() if self.held.numel() < 10 else '...'}, device='other')"

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return carry_out(func, args, kwargs or {})


def tensors_in(values: Any) -> list[Tensor]:
    found: list[Tensor] = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, (list, tuple)):
            found += tensors_in(value)
    return found


def unwrap(value: Any) -> Any:
    """The values with posing tensors replaced by the tensors they hold."""
    if isinstance(value, Posing):
        return value.held
    if isinstance(value, (list, tuple)):
        return type(value)(map(unwrap, value))
    return value


@cache
def name_of(func: Any) -> str:
    return str(func.name())


def carry_out(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Runs an operation on the values that posing tensors hold; the result poses too if it belongs on `DEVICE`."""
    if not kwargs and (simple := _held_alone(args)):
        posing, values = simple
        return _placed(func(*values), posing, poses=True)
    inputs = tensors_in((*args, *kwargs.values()) if kwargs else args)
    posing = [value for value in inputs if isinstance(value, Posing)]
    name = name_of(func)
    asked = kwargs.get("device") or next((value for value in args if isinstance(value, torch.device)), None)
    if asked is not None:
        cpu = torch.device("cpu")
        args = [cpu if isinstance(value, torch.device) else value for value in args]
        kwargs = {**kwargs, "device": cpu} if kwargs.get("device") is not None else kwargs
        poses = torch.device(asked).type == DEVICE.type
    elif name in ONLY_LIKE:
        poses = isinstance(args[1 if name in ON_ITS_DEVICE else 0], Posing)
    else:
        poses = bool(posing)
    if not posing and not poses:
        return _signed(func(*args, **kwargs), inputs)
    if asked is None and len(inputs) > len(posing) > 0:
        _refuse_mixing(name, inputs)
    result = func(*map(unwrap, args), **{key: unwrap(value) for key, value in kwargs.items()})
    if "_local_scalar_dense" in name:
        return result
    return _placed(result, inputs, poses)


def _held_alone(args: Any) -> tuple[list[Posing], list[Any]] | None:
    """The posing tensors, and all arguments with what they hold, if there is no other tensor and no device, as in most calls."""
    posing, values = [], []
    for value in args:
        kind = type(value)
        if kind is Posing:
            posing.append(value)
            values.append(value.held)
        elif kind in NO_TENSORS or (kind is list and all(type(part) in (int, bool) for part in value)):
            values.append(value)
        else:
            return None
    return (posing, values) if posing else None


def _refuse_mixing(name: str, inputs: list[Tensor]) -> None:
    """Raises DevicesMixed where an operation on these tensors raises on a GPU."""
    if "copy" in name or name.startswith("aten::index") or name in ONLY_LIKE:
        return
    plain = [v for v in inputs if not isinstance(v, Posing) and v.dim() > 0 and v.device.type == "cpu"]
    if plain:
        made = getattr(plain[0], "_made_at", "")
        raise DevicesMixed(
            "Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu! "
            f"(in {name.removeprefix('aten::')}"
            + (f"; the one on the CPU was made at {made})" if made else ")")
        )


def _placed(value: Any, inputs: Sequence[Tensor], poses: bool) -> Any:
    """An operation's result on the device where it belongs.

    An in-place operation returns the tensor that it was given; a move to another device makes a copy.
    """
    if isinstance(value, Tensor):
        for given in inputs:
            if isinstance(given, Posing):
                if given.held is value:
                    return given if poses else value.clone()
            elif given is value:
                return Posing(value.clone()) if poses else value
        return Posing(value) if poses else value
    if isinstance(value, (list, tuple)):
        return type(value)(_placed(v, inputs, poses) for v in value)
    return value


class Watch(TorchDispatchMode):
    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # PyTorch's default wraps every call, which costs time

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return carry_out(func, args, kwargs or {})


class Makers(TorchFunctionMode):
    """Makes on the CPU, then moves, tensors that PyTorch builds from Python values without any operation."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in MAKERS:
            kwargs = dict(kwargs or {})
            device = kwargs.pop("device", None)
            if device is None and not (args and isinstance(args[0], Posing)):
                return func(*args, **kwargs)
            if args and isinstance(args[0], Tensor):
                return args[0].to(device=device, dtype=kwargs.get("dtype"))
            return func(*args, **kwargs).to(DEVICE if device is None else device)
        if func == SET_DATA and isinstance(args[0], Posing) != isinstance(args[1], Posing):
            # A GPU allows it: the tensor then is where the new values are.
            value = args[1].detach()
            torch.utils.swap_tensors(
                args[0],
                torch.nn.Parameter(value, args[0].requires_grad)
                if isinstance(args[0], torch.nn.Parameter)
                else value.clone(),
            )
            return None
        if func is Tensor.new_tensor and isinstance(args[0], Posing):
            kwargs = dict(kwargs or {})
            device = kwargs.pop("device", DEVICE)
            return torch.tensor(*args[1:], **{"dtype": args[0].dtype, **kwargs}).to(device)
        return func(*args, **(kwargs or {}))


def _signed(result: Any, inputs: list[Tensor]) -> Any:
    """A tensor made on the CPU, labelled with the submission's line that made it or its inputs."""
    if isinstance(result, Tensor):
        for value in inputs:
            if made := getattr(value, "_made_at", ""):
                result._made_at = made  # type: ignore[attr-defined]
                return result
        frame = sys._getframe(1)
        while frame is not None:
            path = frame.f_code.co_filename
            if os.path.dirname(path) == FOLDER:
                result._made_at = f"{os.path.basename(path)}, line {frame.f_lineno}"  # type: ignore[attr-defined]
                break
            frame = frame.f_back  # type: ignore[assignment]
    return result


def line_of(error: BaseException) -> str:
    """The submission's line at which an exception was raised, with its code; "" if there is none."""
    own = [f for f in traceback.extract_tb(error.__traceback__) if os.path.dirname(f.filename) == FOLDER]
    return (
        f"\n  at {os.path.basename(own[-1].filename)}, line {own[-1].lineno}: {own[-1].line}" if own else ""
    )


@contextmanager
def other_device() -> Iterator[torch.device]:
    """A device other than the CPU, for the length of the block: the GPU if the grader uses one, else `DEVICE`."""
    if kit.device != "cpu":
        yield torch.device(kit.device)
        return
    swapping = torch.__future__.get_swap_module_params_on_conversion()
    torch.__future__.set_swap_module_params_on_conversion(True)
    try:
        with Makers(), Watch():
            yield DEVICE
    finally:
        torch.__future__.set_swap_module_params_on_conversion(swapping)


def mixing(run: Callable[[torch.device], Any]) -> str | None:
    """The message and line of a device mix-up when `run(device)` is called with a device other than the CPU; else None.

    Other exceptions do not count: an operation may be unknown to posing tensors, which is not the student's fault.
    """
    try:
        with other_device() as device:
            run(device)
    except DevicesMixed as error:
        return f"{error}{line_of(error)}"
    except Exception as error:
        if kit.device != "cpu" and any(words in str(error) for words in GPU_MESSAGES):
            return f"{error}{line_of(error)}"
    return None
