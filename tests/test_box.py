"""The judge's end of a sandboxed process: anything but an answer raises one of the judge's own exceptions."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from autograder.sandbox import wire
from autograder.sandbox.box import Box, Unreadable
from autograder.sandbox.environment import new_folder
from autograder.sandbox.levels import Unavailable


class Ended:
    """The handle of a process that has already ended."""

    def __init__(self) -> None:
        self.killed = False

    def kill(self) -> None:
        self.killed = True

    def lost(self) -> bool:
        return False

    def wait(self, seconds: float) -> int | None:
        return 0


def box_and_ends(kind: type[Box] = Box) -> tuple[Box, Ended, tuple[int, int]]:
    """A box, its handle, and the child's ends of its pipes: requests to read, answers to write."""
    requests_read, requests_write = os.pipe()
    answers_read, answers_write = os.pipe()
    prints_read, prints_write = os.pipe()
    os.close(prints_write)
    handle = Ended()
    return (
        kind(handle, None, requests_write, answers_read, prints_read),
        handle,
        (requests_read, answers_write),
    )


@pytest.mark.parametrize(
    "answer",
    [
        {"n": 2, "ok": 1},
        {"n": True, "ok": 1},
        {"n": 1.0, "ok": 1},
        {"n": torch.tensor([1, 1]), "ok": 1},
        {"n": torch.tensor(1), "ok": 1},
        {"n": 1, "well": 1},
        {"n": 1, "ok": 1, "raised": {}},
        {"ok": 1},
        [1, "ok"],
        None,
    ],
)
def test_a_malformed_answer_is_unreadable_and_ends_the_process(answer: Any) -> None:
    box, handle, ends = box_and_ends()
    os.write(ends[1], wire.encode(answer))
    with pytest.raises(Unreadable):
        box.request({"op": "probe"}, 5.0)
    assert handle.killed
    for fd in ends:
        os.close(fd)


def test_an_answer_is_returned_as_it_was_sent() -> None:
    box, _, ends = box_and_ends()
    os.write(ends[1], wire.encode({"n": 1, "ok": [1, "a"]}))
    assert box.request({"op": "probe"}, 5.0) == {"n": 1, "ok": [1, "a"]}
    box.close()
    for fd in ends:
        os.close(fd)


def test_answers_that_nobody_has_asked_for_are_not_held() -> None:
    """Each could be of 128 MiB: they wait in the pipe until the process that sends them ends."""
    box, _, (requests, answers) = box_and_ends()
    frame = wire.encode({"n": 1, "ok": torch.zeros(1 << 18)})
    sender = threading.Thread(target=_send, args=(answers, frame * 3), daemon=True)
    sender.start()
    assert box.request({"op": "probe"}, 5.0)["n"] == 1
    sender.join(0.5)
    assert sender.is_alive()
    assert box._answers.empty()
    box.close()
    os.close(requests)


def _send(fd: int, data: bytes) -> None:
    view = memoryview(data)
    with contextlib.suppress(OSError):
        while view:
            view = view[os.write(fd, view) :]


class Late(Box):
    """A box that writes its requests with a delay."""

    def _write(self, frame: bytes) -> None:
        time.sleep(0.3)
        super()._write(frame)


def test_a_delayed_request_is_not_written_elsewhere_after_its_box_is_closed() -> None:
    """An answer that comes too early closes the box; the delayed request must not reach a pipe that reuses the descriptor."""
    read, write = os.pipe()
    box, _, ends = box_and_ends(Late)
    os.write(ends[1], wire.encode({"n": 9, "ok": 1}))
    with pytest.raises(Unreadable):
        box.request({"op": "probe"}, 5.0)
    os.dup2(write, box._requests)  # the descriptor now belongs to another pipe
    time.sleep(0.5)
    os.set_blocking(read, False)
    with pytest.raises(BlockingIOError):
        os.read(read, 1)
    for fd in (*ends, read, write, box._requests):
        os.close(fd)


def test_where_no_folder_can_be_made_a_box_waits_and_then_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "later"
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    with pytest.raises(Unavailable, match=f"{place}: No such file or directory"):
        new_folder(seconds=0.1)
    threading.Timer(0.2, place.mkdir).start()
    assert new_folder(seconds=10).parent == place.resolve()


@pytest.mark.skipif(sys.platform == "win32", reason="on Windows, a pipe cannot be waited for")
def test_prints_that_have_just_been_read_are_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread that reads prints may be interrupted before it keeps them."""
    requests_read, requests_write = os.pipe()
    answers_read, answers_write = os.pipe()
    prints_read, prints_write = os.pipe()
    read, has_read = os.read, threading.Event()

    def interrupted(fd: int, size: int) -> bytes:
        data = read(fd, size)
        if fd == prints_read:
            has_read.set()
            time.sleep(0.3)
        return data

    monkeypatch.setattr(os, "read", interrupted)
    box = Box(Ended(), None, requests_write, answers_read, prints_read)
    os.write(prints_write, b"hello\n")
    assert has_read.wait(5)
    assert box.printed() == "hello\n"
    box.close()
    for fd in (prints_write, answers_write, requests_read):
        os.close(fd)
