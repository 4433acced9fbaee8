"""Messages between the judge and the sandbox: length-bounded frames of JSON plus raw tensors, never pickles.

A frame is `MAGIC`, two lengths (JSON, tensors; 4 and 8 bytes, big-endian), the JSON text and a safetensors blob. In the
JSON, every object has exactly one key: {"d": mapping}, {"t": index of a tensor}, {"o": type name of a value that cannot be sent}.
This file is also loaded alone inside the sandbox, so it imports nothing of the grader.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from typing import Any

import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

MAGIC = b"GMA1"
HEADER = struct.Struct(">4sIQ")
MAX_JSON = 8 << 20  # bytes
MAX_TENSORS = 128 << 20  # bytes
MAX_COUNT = 4096  # tensors in a frame
MAX_TABLE = 1 << 20  # bytes of a safetensors blob's table of contents
MAX_VALUES = 300_000  # commas and opening brackets in the JSON: three times as many as any answer may need
MAX_DIMS = 8
MAX_DEPTH = 32
BITS_64 = 1 << 63
DTYPES = {
    torch.float16,
    torch.bfloat16,
    torch.float32,
    torch.float64,
    torch.uint8,
    torch.int8,
    torch.int16,
    torch.int32,
    torch.int64,
    torch.bool,
}


class WireError(ValueError):
    """A frame that is too large or malformed, or holds a value that cannot be sent."""


class Other:
    """Stands for a value that cannot be sent; only the name of its type is."""

    def __init__(self, kind: str) -> None:
        self.kind = kind[:80]


def encode(tree: Any) -> bytes:
    """One frame. Values that are not plain data become `Other`; raises WireError when the frame would be too large."""
    tensors: dict[str, torch.Tensor] = {}
    size = 0

    def walk(value: Any, depth: int) -> Any:
        nonlocal size
        if depth > MAX_DEPTH:
            raise WireError(f"values nested deeper than {MAX_DEPTH}")
        if isinstance(value, int) and not isinstance(value, bool) and not -BITS_64 <= int(value) < BITS_64:
            return {"o": "int of more than 64 bits"}
        for plain in (
            bool,
            int,
            float,
            str,
        ):  # numpy's float64 is a float; subclasses are sent as the plain type
            if isinstance(value, plain):
                return plain(value)
        if value is None:
            return None
        if isinstance(value, torch.Tensor):
            return tensor(value)
        if isinstance(value, dict):
            return {"d": {str(k): walk(v, depth + 1) for k, v in value.items()}}
        if isinstance(value, (list, tuple)):
            return [walk(v, depth + 1) for v in value]
        kind = value.kind if isinstance(value, Other) else type(value).__name__
        return {"o": str(kind)[:80]}

    def tensor(value: torch.Tensor) -> Any:
        nonlocal size
        if (
            value.layout != torch.strided
            or value.is_quantized
            or value.device.type == "meta"
            or value.dtype not in DTYPES
        ):
            return {"o": f"{value.dtype!s} tensor"}
        # A view can have far more elements than its storage: its size is counted before it is made contiguous.
        size += value.numel() * value.element_size()
        if size > MAX_TENSORS or len(tensors) >= MAX_COUNT or value.dim() > MAX_DIMS:
            raise WireError(
                f"tensors of more than {MAX_TENSORS >> 20} MiB, {MAX_COUNT} pieces or {MAX_DIMS} dimensions"
            )
        index = len(tensors)
        tensors[str(index)] = value.detach().cpu().clone(memory_format=torch.contiguous_format)
        return {"t": index}

    body = json.dumps(walk(tree, 0)).encode()
    if len(body) > MAX_JSON:
        raise WireError(f"more than {MAX_JSON >> 20} MiB of plain data")
    blob = save_tensors(tensors) if tensors else b""
    return HEADER.pack(MAGIC, len(body), len(blob)) + body + blob


def read_frame(read: Callable[[int], bytes]) -> bytes | None:
    """The next frame's bytes, from `read(n)` (which returns at most n bytes, none at the end); None at the end.

    Raises WireError as soon as a header is wrong or announces too much: nothing is buffered for it.
    """
    header = _exactly(read, HEADER.size)
    if not header:
        return None
    magic, body, blob = HEADER.unpack(header)
    if magic != MAGIC or body > MAX_JSON or blob > MAX_TENSORS + (1 << 20):
        raise WireError("not a frame of ours, or one that is too large")
    rest = _exactly(read, body + blob)
    if len(rest) != body + blob:
        raise WireError("the frame ends early")
    return header + rest


def _exactly(read: Callable[[int], bytes], n: int) -> bytes:
    parts = bytearray()
    while len(parts) < n:
        part = read(min(n - len(parts), 1 << 20))
        if not part:
            break
        parts += part
    if 0 < len(parts) < n <= HEADER.size:
        raise WireError("the frame's header ends early")
    return bytes(parts)


def _require_few(blob: bytes) -> None:
    """Raises WireError for a blob with more tensors than may travel, before any of them is made."""
    size = int.from_bytes(blob[:8], "little")
    if size > MAX_TABLE or blob[8 : 8 + size].count(b'"dtype"') > MAX_COUNT:
        raise WireError(f"more than {MAX_COUNT} tensors")


def decode(frame: bytes) -> Any:
    """The tree in a frame: dictionaries, lists, plain values, tensors and `Other`. Raises WireError for anything else."""
    if len(frame) < HEADER.size:
        raise WireError("the frame's header ends early")
    magic, body, blob = HEADER.unpack_from(frame)
    if magic != MAGIC or len(frame) != HEADER.size + body + blob:
        raise WireError("not a frame of ours")
    text = frame[HEADER.size : HEADER.size + body]
    if sum(map(text.count, (b",", b"[", b"{"))) > MAX_VALUES:
        raise WireError("too many values")
    data = bytes(frame[HEADER.size + body :])
    _require_few(data)
    try:
        tree = json.loads(text.decode())
        tensors = load_tensors(data) if blob else {}
    except Exception as error:  # safetensors raises its own types; json RecursionError, ValueError
        raise WireError(f"unreadable frame ({type(error).__name__})") from None
    if len(tensors) > MAX_COUNT or any(t.dtype not in DTYPES or t.dim() > MAX_DIMS for t in tensors.values()):
        raise WireError("a tensor of a kind that may not travel")
    used: set[str] = set()

    def walk(value: Any, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise WireError(f"values nested deeper than {MAX_DEPTH}")
        if isinstance(value, list):
            return [walk(v, depth + 1) for v in value]
        if not isinstance(value, dict):
            if type(value) is int and not -BITS_64 <= value < BITS_64:
                raise WireError("a whole number of more than 64 bits")
            return value
        if len(value) != 1:
            raise WireError("an object with unknown fields")
        ((key, inner),) = value.items()
        if key == "d" and isinstance(inner, dict):
            return {k: walk(v, depth + 1) for k, v in inner.items()}
        if key == "t" and type(inner) is int and str(inner) in tensors and str(inner) not in used:
            used.add(str(inner))
            return tensors[str(inner)]
        if key == "o" and isinstance(inner, str):
            return Other(inner)
        raise WireError("an object with unknown fields")

    result = walk(tree, 0)
    if len(used) != len(tensors):
        raise WireError("tensors that nothing refers to")
    return result
