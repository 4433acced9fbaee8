"""The inside of the sandbox: imports the student's modules, calls probes, sends back what they saw.

Loaded by file path, alone, in a process that holds no secret. Requests and answers are frames of `wire`:
    {"n": 1, "op": "prepare", "files": {name: bytes}, "code": {module: bytes}, "kit": module, "probes": [module, ...],
     "replaced": [module, ...], "stand_ins": {student's module: module}, "own": [module, ...], "device": "cpu"}
    {"n": 2, "op": "import", "module": "first"}
    {"n": 3, "op": "probe", "module": "tiny.probes.first", "function": "double", "inputs": {...}, "seed": 7}
Each has "seconds", the time that it may compute, and "clock", the time that may pass. Answers: {"n": n, "ok": tree} or
{"n": n, "raised": {...}}.
"""

from __future__ import annotations

import builtins
import contextlib
import difflib
import hashlib
import importlib.abc
import importlib.util
import io
import logging
import marshal
import os
import random
import sys
import threading
import time
import traceback
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

TEXT = 2000  # characters of an exception's message that are passed on
# Bound before any student code runs, which may replace functions of these modules.
THREADS, GRADIENTS = torch.set_num_threads, torch.set_grad_enabled
SEEDERS: tuple[Callable[[int], object], ...] = (random.seed, np.random.seed, torch.manual_seed)
CLOCK, COMPUTED, OWN = time.monotonic, time.process_time, time.thread_time
SAMPLE = 0.1  # seconds of computing that show whether another thread computes too
HASH, BLOCK = hashlib.sha256, bytes(1 << 20)
HANGING = 0.9  # share of a request's time after which the current line is reported
NO_CODE = marshal.dumps(compile("", "<empty>", "exec"))
MOST_ARGUMENTS = 8  # of a call that are described
FRAMES = 4  # of the student's own frames, innermost last
PRINTS = 1 << 20  # bytes of standard output, and of standard error, that are passed on


class Finder(importlib.abc.MetaPathFinder):
    """Finds exactly the submission's modules (in `folder`) and the probes (sent as compiled code), nothing else."""

    def __init__(self, folder: Path, own: Sequence[str], code: dict[str, bytes]) -> None:
        self.folder, self.own, self.code = folder, set(own), code
        self.stand_ins: dict[str, str] = {}  # by the student's module name, that of the stand-in

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> Any:
        if fullname in self.stand_ins:
            return importlib.util.spec_from_loader(
                fullname, StandIn(self, fullname, self.stand_ins[fullname])
            )
        package = any(name.startswith(f"{fullname}.") for name in self.code)
        if fullname in self.code or package:  # a package without code of its own is empty
            return importlib.util.spec_from_loader(
                fullname, Compiled(self.code.get(fullname, NO_CODE)), is_package=package
            )
        if fullname in self.own:
            return importlib.util.spec_from_file_location(fullname, self.folder / f"{fullname}.py")
        return None


class Compiled(importlib.abc.Loader):
    """Loads a module from its compiled code: compiling all probes takes 25 ms, and it would be done for every child."""

    def __init__(self, code: bytes) -> None:
        self.code = code

    def exec_module(self, module: types.ModuleType) -> None:
        exec(marshal.loads(self.code), module.__dict__)


class StandIn(importlib.abc.Loader):
    """Gives a stand-in under the student's module name; what it does not define is looked up in the student's own file."""

    def __init__(self, finder: Finder, name: str, stand_in: str) -> None:
        self.finder, self.name, self.stand_in = finder, name, stand_in

    def exec_module(self, module: types.ModuleType) -> None:
        given = importlib.import_module(self.stand_in)
        module.__dict__.update({k: v for k, v in vars(given).items() if not k.startswith("__")})
        finder, name = self.finder, self.name
        own: list[types.ModuleType] = []

        def fall_through(attribute: str) -> Any:
            if attribute.startswith("__") or name not in finder.own:
                raise AttributeError(f"module {name!r} has no attribute {attribute!r}")
            if not own:
                spec = importlib.util.spec_from_file_location(f"_own_{name}", finder.folder / f"{name}.py")
                assert spec is not None and spec.loader is not None
                loaded = importlib.util.module_from_spec(spec)
                sys.modules[spec.name] = loaded  # where dataclasses, for one, look their module up
                try:
                    spec.loader.exec_module(loaded)
                except BaseException:
                    sys.modules.pop(spec.name, None)
                    raise
                own.append(loaded)
            return getattr(own[0], attribute)

        module.__dict__["__getattr__"] = fall_through


class Prints(io.RawIOBase):
    """Standard output or error: what exceeds PRINTS bytes is dropped, so that no amount of printing blocks or fails."""

    def __init__(self, fd: int) -> None:
        self.fd, self.left = fd, PRINTS

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self.fd

    def write(self, data: Any) -> int:
        text = bytes(data)
        kept = memoryview(text)[: self.left]
        self.left -= len(kept)
        with contextlib.suppress(OSError):  # the judge's end is closed
            while kept:
                kept = kept[os.write(self.fd, kept) :]
        return len(text)


STREAMS: list[io.TextIOWrapper] = []


def flush_prints() -> None:
    """Passes on lines that have no end yet, such as those of print(..., end="")."""
    for stream in STREAMS:
        with contextlib.suppress(Exception):  # student code may have closed it
            stream.flush()


def bound_prints() -> None:
    """Puts `Prints` in place of standard output and error, without the notices of libraries that are no student's prints."""
    for name, fd in (("stdout", 1), ("stderr", 2)):
        stream = io.TextIOWrapper(
            io.BufferedWriter(Prints(fd)),
            encoding="utf-8",
            errors="replace",
            newline="\n",
            line_buffering=True,
        )
        setattr(sys, name, stream)
        STREAMS.append(stream)
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)


def run(read: Callable[[int], bytes], write: Callable[[bytes], object], wire: Any, folder: Path) -> None:
    """Answers requests until the pipe ends."""
    sys.dont_write_bytecode = True
    torch.set_num_threads(1)
    bound_prints()
    finder = Finder(folder, [], {})
    sys.meta_path.insert(0, finder)
    while (frame := wire.read_frame(read)) is not None:
        request = wire.decode(frame)
        answering = Answering(request["n"], write, wire)
        limits = request["seconds"] * HANGING, request["clock"] * HANGING
        watch = threading.Thread(
            target=answering.watch, args=(*limits, threading.get_ident(), folder), daemon=True
        )
        with contextlib.suppress(
            RuntimeError
        ):  # student code has used up its threads; the line of a hang is then not reported
            watch.start()
        try:
            reply = wire.encode({"n": request["n"], "ok": _do(request, finder)})
        except BaseException as error:
            reply = wire.encode({"n": request["n"], "raised": _describe(error, folder)})
        flush_prints()
        answering.give(reply)


class Answering:
    """Gives one answer to a request: the result or, shortly before its time is over, the line where it hangs."""

    def __init__(self, number: int, write: Callable[[bytes], object], wire: Any) -> None:
        self.number, self.write, self.wire = number, write, wire
        self.lock = threading.Lock()
        self.given = threading.Event()

    def give(self, reply: bytes) -> None:
        with self.lock:
            if not self.given.is_set():
                self.given.set()
                self.write(reply)

    def watch(self, seconds: float, clock: float, thread: int, folder: Path) -> None:
        """Reports a hang once the request has computed for `seconds`, or does not compute at all, or `clock` seconds have passed.

        On a busy machine, code computes for less time than passes.
        """
        began, computed, own = CLOCK(), COMPUTED(), OWN()
        left = seconds
        while not self.given.wait(max(left, 0.01)):
            used = COMPUTED() - computed - (OWN() - own)
            left = min(seconds - used, clock - (CLOCK() - began))
            if left <= 0 or all(self.sleeps() for _ in range(2)):
                self.hangs(thread, folder)
                return

    def sleeps(self) -> bool:
        """Whether no other thread of this process computes: code that waits for something else gets no more time.

        Hashes for a moment, which does not stop other threads: if they have work, they get as much of the processor meanwhile.
        """
        computed, own = COMPUTED(), OWN()
        while (mine := OWN() - own) < SAMPLE:
            if self.given.is_set():
                return False
            HASH(BLOCK)
        return COMPUTED() - computed - mine < 0.2 * mine

    def hangs(self, thread: int, folder: Path) -> None:
        frame = sys._current_frames().get(thread)
        lines = _own_lines(traceback.extract_stack(frame), folder) if frame is not None else []
        raised = {"kind": "hang", "type": "", "message": "", "lines": lines[-FRAMES:]}
        flush_prints()
        self.give(self.wire.encode({"n": self.number, "raised": raised}))


def _do(request: dict[str, Any], finder: Finder) -> Any:
    if request["op"] == "prepare":
        for name, data in request["files"].items():
            (finder.folder / name).write_bytes(data.numpy().tobytes())
        for name in request["empty"]:
            (finder.folder / name).touch()
        finder.code = {name: code.numpy().tobytes() for name, code in request["code"].items()}
        finder.own = set(request["own"])
        kit: Any = importlib.import_module(request["kit"])
        kit.standing_in.update(request["replaced"])
        kit.device = request["device"]
        _compile_nothing()
        # Probes bind torch's functions before any student code has run.
        for name in request["probes"]:
            importlib.import_module(name)
        finder.stand_ins = dict(request["stand_ins"])
        return None
    seed = int(request.get("seed", 0))
    SEEDERS[0](seed)
    SEEDERS[1](seed % 2**32)
    SEEDERS[2](seed)
    # What an earlier answer has switched is nothing to the next one; one thread is the sandbox's limit.
    THREADS(1)
    GRADIENTS(True)
    if request["op"] == "import":
        importlib.import_module(request["module"])
        return None
    probe = getattr(importlib.import_module(request["module"]), request["function"])
    return probe(**request["inputs"])


def _compile_nothing() -> None:
    """Makes torch.compile return what it is given: compiling takes longer than any check may, and computes the same."""

    def as_it_is(model: Any = None, **_: Any) -> Any:
        return (lambda function: function) if model is None else model

    torch.compile = as_it_is
    torch.nn.Module.compile = lambda self, *_, **__: None  # type: ignore[method-assign]


def _describe(error: BaseException, folder: Path) -> dict[str, Any]:
    """An exception's type, message and the student's own lines; `str(error)` of student code may misbehave."""
    try:
        message = str(error)[:TEXT]
    except BaseException:
        message = "(its message could not be read)"
    own: list[dict[str, Any]] = []
    in_own_code = own_raise = False
    called, near = "", ""
    try:
        frames = traceback.extract_tb(error.__traceback__)
        own = _own_lines(frames, folder)
        in_own_code, own_raise = (
            bool(own),
            bool(_own_lines(traceback.StackSummary.from_list(frames[-1:]), folder)),
        )
        message = message.replace(f"{folder}{os.sep}", "")
        called, near = _call(error, folder), _near_name(error)
        if (
            isinstance(error, SyntaxError)
            and error.filename
            and os.path.dirname(error.filename) == str(folder)
        ):
            text = (error.text or "").strip()[:200]
            own.append(
                {
                    "file": os.path.basename(error.filename),
                    "line": error.lineno or 0,
                    "code": text,
                    "function": "",
                }
            )
            message = str(error.msg)[:TEXT]
    except Exception:
        own = []
    kind = "raised"
    if type(error).__name__ == "MissingName":
        kind = "missing"
    elif type(error).__name__ == "NotWritten" or (isinstance(error, NotImplementedError) and own_raise):
        kind = "todo"
    elif type(error).__name__ in ("WireError", "TooLarge"):
        kind = "too large"
    elif not in_own_code:
        kind = "unexpected"
    return {
        "kind": kind,
        "type": type(error).__name__[:80],
        "message": message,
        "lines": own[-FRAMES:],
        "first": own[0] if own else None,
        "called": called,
        "near": near,
    }


def _call(error: BaseException, folder: Path) -> str:
    """The call of the student's outermost function in words: its name, and its arguments as they are now."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        code = frame.f_code
        if os.path.dirname(code.co_filename) == str(folder) and code.co_name != "<module>":
            count = code.co_argcount + code.co_kwonlyargcount
            names = [name for name in code.co_varnames[:count] if name != "self"]
            shown = [f"{name} {_kind(frame.f_locals[name])}" for name in names if name in frame.f_locals]
            return f"{code.co_name}({', '.join(shown[:MOST_ARGUMENTS])})"[:TEXT]
    return ""


def _kind(value: Any) -> str:
    """A value in a few words. Only of types whose words no student's code can make up."""
    if type(value) in (torch.Tensor, torch.nn.Parameter):
        return f"of shape {tuple(value.shape)}"
    if type(value) in (bool, int, float, type(None)):
        return f"= {value}"[:40]
    if type(value) is dict:
        return "= {" + ", ".join(f"{key!r}: ..." for key in list(value)[:6] if type(key) is str) + "}"
    if type(value) is str:
        return f"= {value[:40]!r}"
    name = type(value).__name__[:40]
    return f"({'an' if name[:1] in 'AEIOUaeiou' else 'a'} {name})"


def _near_name(error: BaseException) -> str:
    """A known name that is spelt like the one that was not found; "" if there is none."""
    wanted = getattr(error, "name", None)
    if type(error) not in (NameError, AttributeError) or type(wanted) is not str:
        return ""
    if type(error) is NameError:
        frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
        known = [*frames[-1].f_locals, *frames[-1].f_globals, *vars(builtins)] if frames else []
    else:
        known = dir(getattr(error, "obj", None))
    public = [name for name in known if not name.startswith("__")]
    return next(iter(difflib.get_close_matches(wanted, public, 1, 0.75)), "")[:80]


def _own_lines(frames: traceback.StackSummary, folder: Path) -> list[dict[str, Any]]:
    """The student's own lines of a stack, innermost last."""
    return [
        {
            "file": os.path.basename(frame.filename)[:80],
            "line": frame.lineno or 0,
            "code": (frame.line or "")[:200],
            "function": frame.name[:80],
        }
        for frame in frames
        if os.path.dirname(frame.filename) == str(folder)
    ]
