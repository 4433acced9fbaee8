"""The judge's end of one sandboxed child: send a request, wait for the answer until the deadline, close it."""

from __future__ import annotations

import array
import contextlib
import os
import queue
import select
import signal
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from autograder.sandbox import wire
from autograder.sandbox.removal import remove

PRINTS = 20_000  # bytes of a child's output that are kept; the rest is discarded
FLOOD = 64 << 20  # bytes of output after which the pipe is closed


class BoxError(Exception):
    """The child gave no usable answer."""


class TimedOut(BoxError):
    """No answer before the deadline; the child is dead now."""


class Died(BoxError):
    """The child ended by itself; the text gives the status."""


class Lost(BoxError):
    """The fork server is gone, and the child with it: that is not the child's doing."""


class Unreadable(BoxError):
    """The answer was not valid; the child is dead now."""


class Handle(Protocol):
    """A started child, as its launcher sees it."""

    def kill(self) -> None: ...
    def wait(self, seconds: float) -> int | None:
        """Exit status (negative: killed by that signal); None when it is not known in time."""
        ...

    def lost(self) -> bool:
        """Whether what has started the child is gone, and ended it."""
        ...


class Box:
    """One child process: ask it with `request`, then close it. Every failure of the child is a BoxError."""

    def __init__(self, handle: Handle, folder: Path | None, requests: int, answers: int, prints: int) -> None:
        self._handle, self._folder, self._requests = handle, folder, requests
        self._count = 0
        self._closed = False
        self._writers: list[threading.Thread] = []
        self._answers: queue.Queue[bytes | BaseException | None] = queue.Queue()
        self._asked = threading.Semaphore(
            0
        )  # an answer is read when it is asked for: others wait in the pipe
        self._printed = bytearray()
        self._prints, self._silent = prints, False
        # Held from reading to keeping, so that `printed` never looks in between, when the pipe is empty already. On Windows, where
        # a pipe cannot be waited for, reading would hold it until the code prints again.
        self._keeping = contextlib.nullcontext() if sys.platform == "win32" else threading.Lock()
        for target, fd in ((self._collect_answers, answers), (self._collect_prints, prints)):
            threading.Thread(target=target, args=(fd,), daemon=True).start()

    def request(self, message: Mapping[str, Any], seconds: float, clock: float | None = None) -> Any:
        """Sends one request and returns its answer, a tree: {"ok": ...} or {"raised": ...}.

        seconds: how long the child may compute. clock: how long that may take; as long when None.
        """
        self._count += 1
        clock = seconds if clock is None else clock
        deadline = time.monotonic() + clock
        frame = wire.encode({"n": self._count, "seconds": seconds, "clock": clock, **message})
        # The child reads a request at once or not at all; a writer thread keeps a stuck child from stopping the judge.
        writer = threading.Thread(target=self._write, args=(frame,), daemon=True)
        self._writers = [w for w in self._writers if w.is_alive()] + [writer]
        writer.start()
        self._asked.release()
        try:
            answer = self._answers.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            self.close()
            raise TimedOut(f"no answer within {clock:g} s") from None
        if answer is None:
            status = self._handle.wait(2.0)
            lost = status is None and self._handle.lost()
            self.close()
            if lost:
                raise Lost("the sandbox that it ran in has ended, and the process with it")
            raise Died(_status_text(status))
        try:
            if isinstance(answer, BaseException):
                raise wire.WireError(str(answer))
            tree = wire.decode(answer)
            if not isinstance(tree, dict) or set(tree) not in ({"n", "ok"}, {"n", "raised"}):
                raise wire.WireError("neither a value nor an exception")
            # Check the type first: a tensor would compare to a tensor.
            if type(tree["n"]) is not int or tree["n"] != self._count:
                raise wire.WireError("an answer to another request")
        except wire.WireError as error:
            self.close()
            raise Unreadable(str(error)) from None
        return tree

    def printed(self) -> str:
        """What student code printed so far (bounded)."""
        deadline = time.monotonic() + 0.2
        while not self._silent and _waiting(self._prints) and time.monotonic() < deadline:
            time.sleep(0.002)
        with self._keeping:
            return bytes(self._printed).decode("utf-8", "replace")

    def close(self) -> None:
        """Ends the child and everything it started, and removes its folder.

        Without a folder to remove, it does not wait for the end: the kernel frees the memory meanwhile.
        """
        if self._closed:
            return
        self._closed = True
        self._handle.kill()
        self._asked.release()
        if self._folder is not None:
            self._handle.wait(5.0)
        for writer in self._writers:
            writer.join(1.0)
        # A writer that still waits would write into whatever file gets this descriptor next.
        if not any(writer.is_alive() for writer in self._writers):
            with contextlib.suppress(OSError):
                os.close(self._requests)
        if self._folder is not None:
            remove(self._folder)

    def _write(self, frame: bytes) -> None:
        view = memoryview(frame)
        with contextlib.suppress(OSError):
            while view:
                view = view[os.write(self._requests, view) :]

    def _collect_answers(self, fd: int) -> None:
        try:
            while self._asked.acquire() and not self._closed:
                frame = wire.read_frame(lambda n: os.read(fd, n))
                self._answers.put(frame)
                if frame is None:
                    return
        except (wire.WireError, OSError, MemoryError) as error:
            self._answers.put(error)
        finally:
            os.close(fd)

    def _collect_prints(self, fd: int) -> None:
        read = 0
        with contextlib.suppress(OSError):
            while read < FLOOD:
                _wait(fd)
                with self._keeping:
                    data = os.read(fd, 1 << 16)
                    self._printed += data[: max(0, PRINTS - len(self._printed))]
                if not data:
                    break
                read += len(data)
        self._silent = True
        os.close(fd)


def _wait(fd: int) -> None:
    """Waits until a pipe can be read or has ended; on Windows, reading itself waits."""
    if sys.platform != "win32":
        waiting = select.poll()
        waiting.register(fd, select.POLLIN)
        waiting.poll()


def _waiting(fd: int) -> bool:
    """True while a pipe holds unread bytes."""
    if sys.platform == "win32":
        return False
    import fcntl
    import termios

    count = array.array("i", [0])
    try:
        fcntl.ioctl(fd, termios.FIONREAD, count)
    except OSError:
        return False
    return count[0] > 0


def _status_text(status: int | None) -> str:
    if status is None:
        return "the process ended"
    if status < 0:
        try:
            name = signal.Signals(-status).name
        except ValueError:
            name = f"signal {-status}"
        return f"the interpreter was ended by {name}"
    return f"the process exited with status {status}"
