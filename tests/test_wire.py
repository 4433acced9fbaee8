"""Frames: values are decoded as they were encoded, and everything malformed is refused."""

from __future__ import annotations

import contextlib
import io
import json
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from autograder.sandbox import wire

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)
DTYPES = st.sampled_from(sorted(wire.DTYPES, key=str))


def frame(body: Any, blob: bytes = b"") -> bytes:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return wire.HEADER.pack(wire.MAGIC, len(text), len(blob)) + text + blob


@settings(deadline=None)
@given(PLAIN)
def test_plain_values_travel_unchanged(value: Any) -> None:
    assert wire.decode(wire.encode(value)) == value


@settings(deadline=None)
@given(DTYPES, st.lists(st.integers(0, 4), max_size=4))
def test_tensors_travel_unchanged(dtype: torch.dtype, shape: list[int]) -> None:
    tensor = (torch.rand(shape) * 5).to(dtype)
    (back,) = wire.decode(wire.encode({"x": tensor})).values()
    assert back.dtype == dtype
    assert torch.equal(back, tensor)


def test_views_travel_as_the_values_that_they_show() -> None:
    tensor = torch.arange(12.0).reshape(3, 4).t()[1:]
    assert torch.equal(wire.decode(wire.encode([tensor, tensor]))[1], tensor)


def test_nan_and_infinity_travel() -> None:
    back = wire.decode(wire.encode([float("nan"), float("-inf"), torch.tensor([float("nan")])]))
    assert str(back[:2]) == "[nan, -inf]"
    assert back[2].isnan().all()


def test_a_value_that_is_not_plain_data_becomes_the_name_of_its_type() -> None:
    back = wire.decode(
        wire.encode({"f": print, "s": torch.eye(2).to_sparse(), "m": torch.empty(2, device="meta")})
    )
    assert [type(v) for v in back.values()] == [wire.Other] * 3
    assert back["f"].kind == "builtin_function_or_method"


@pytest.mark.parametrize(
    "value",
    [
        torch.zeros(1).expand(1 << 40),
        ["x" * (wire.MAX_JSON + 1)],
        [torch.zeros(1)] * (wire.MAX_COUNT + 1),
        torch.zeros([1] * 9),
    ],
    ids=["a view that poses as terabytes", "too much text", "too many tensors", "too many dimensions"],
)
def test_data_beyond_the_limits_is_refused_by_the_sender(value: Any) -> None:
    with pytest.raises(wire.WireError):
        wire.encode(value)


def test_an_integer_beyond_64_bits_is_not_accepted_as_a_number() -> None:
    assert [type(v) for v in wire.decode(wire.encode([10**400, -(2**63)]))] == [wire.Other, int]


def test_a_cycle_is_refused() -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    with pytest.raises(wire.WireError, match="nested"):
        wire.encode(cycle)


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"GMA1",
        b"XXXX" + frame({"d": {}})[4:],
        frame({"d": {}})[:-1],
        frame({"d": {}}) + b"x",
        frame(b"{"),
        frame(b"\xff\xfe"),
        frame(b"[" * 100_000),
        frame(b"1" * 100_000),
        frame(1 << 63),
        frame({"d": {}, "t": 0}),
        frame({"z": 1}),
        frame({"d": [1]}),
        frame({"t": 0}),
        frame({"t": "0"}),
        frame({"t": True}),
        frame({"o": 3}),
        frame({"d": {}}, b"not safetensors"),
        frame({"d": {}}, wire.encode(torch.zeros(2))[wire.HEADER.size + len(b'{"t": 0}') :]),
        frame([{"t": 0}, {"t": 0}], wire.encode(torch.zeros(2))[wire.HEADER.size + len(b'{"t": 0}') :]),
    ],
)
def test_a_malformed_frame_is_refused(bad: bytes) -> None:
    with pytest.raises(wire.WireError):
        wire.decode(bad)


def blob(count: int, axes: int = 1, dtype: str = "F32", empty: bool = True) -> bytes:
    """A safetensors blob of `count` tensors, by hand: the sender would refuse some of them."""
    size = 0 if empty else {"F32": 4, "C64": 8}[dtype]
    shape = [0 if empty else 1] * axes
    table = {
        str(i): {"dtype": dtype, "shape": shape, "data_offsets": [i * size, (i + 1) * size]}
        for i in range(count)
    }
    text = json.dumps(table).encode()
    return len(text).to_bytes(8, "little") + text + bytes(size * count)


def test_tensors_that_the_sender_would_refuse_are_refused_before_they_are_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def references(count: int) -> list[dict[str, int]]:
        return [{"t": i} for i in range(count)]

    assert len(wire.decode(frame(references(3), blob(3)))) == 3
    for bad in (blob(1, axes=9, empty=False), blob(1, dtype="C64", empty=False)):
        with pytest.raises(wire.WireError, match="may not travel"):
            wire.decode(frame(references(1), bad))
    monkeypatch.setattr(wire, "load_tensors", lambda data: pytest.fail("they were made"))
    for count in (wire.MAX_COUNT + 1, 80_000):
        with pytest.raises(wire.WireError, match="more than 4096 tensors"):
            wire.decode(frame(references(count)[:1], blob(count)))


def test_plain_data_without_end_is_refused_before_it_is_read() -> None:
    assert len(wire.decode(frame([0.5] * 100_000))) == 100_000
    for text in (b"[" + b"[[]]," * 400_000 + b"1]", b"[" + b"1," * 300_001 + b"1]"):
        with pytest.raises(wire.WireError, match="too many values"):
            wire.decode(frame(text))


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=200), st.binary(max_size=100), st.integers(0, 400), st.integers(0, 255))
def test_no_bytes_break_the_decoder(body: bytes, blob: bytes, place: int, byte: int) -> None:
    good = bytearray(wire.encode({"a": [torch.zeros(3), 1.5, None]}))
    good[place % len(good)] = byte
    for data in (bytes(good), frame(body, blob), body):
        with contextlib.suppress(wire.WireError):
            wire.decode(data)


def test_frames_are_read_one_by_one() -> None:
    stream = io.BytesIO(wire.encode(1) + wire.encode([2]))
    frames = [wire.read_frame(stream.read) for _ in range(3)]
    assert [wire.decode(f) for f in frames if f is not None] == [1, [2]]
    assert frames[2] is None


def test_a_header_that_announces_too_much_is_refused_before_anything_is_buffered() -> None:
    taken = 0
    header = wire.HEADER.pack(wire.MAGIC, 10, 1 << 60)

    def read(n: int) -> bytes:
        nonlocal taken
        taken += n
        return header if taken <= len(header) else b"x" * n

    with pytest.raises(wire.WireError):
        wire.read_frame(read)
    assert taken == len(header)
