"""A submission while it is graded: asked through probes in sandboxes, one fresh process per question."""

from __future__ import annotations

import hashlib
import marshal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

from autograder.judging.draw import seed_from
from autograder.judging.observation import Observation, Unsupported
from autograder.rubric import Assignment, Question
from autograder.sandbox import wire
from autograder.sandbox.box import Box, Died, TimedOut, Unreadable
from autograder.sandbox.launch import Launcher, Limits
from autograder.verdicts import Status

IMPORT_SECONDS = 20.0  # to import the student's module; a module that trains at import will not do
ASK_SECONDS = 15.0  # for one probe, unless the check says otherwise
GRACE_SECONDS = 20.0  # for the rest of a question once one answer did not come in time


class NoAnswer(Exception):
    """The submission gave no answer to judge. Carries the verdict's status and its text in the student's words."""

    def __init__(
        self, status: Status, seen: str, hint: str, *, own_words: bool = False, diagnosis: str | None = None
    ) -> None:
        super().__init__(seen)
        self.status: Status = status
        self.seen = seen
        self.hint = hint
        self.own_words = own_words
        self.diagnosis = diagnosis


@dataclass
class _Broken:
    """How importing a module failed; it is not tried again for another question."""

    reason: NoAnswer


class Examinee:
    """Asks one submission. Between `begin` and `end` of a question all its checks share a process per mode.

    Modes: "stand-ins" (earlier answers replaced by given modules) and "own" (the student's own modules throughout).
    """

    def __init__(
        self,
        files: Mapping[str, bytes],
        assignment: Assignment,
        launcher: Launcher,
        limits: Limits,
        device: str = "cpu",
    ) -> None:
        self._device = device
        self._own_files = dict(files)
        given = {f"{n}.py": assignment.given / f"{n}.py" for n in assignment.rubric.given}
        self._files = {**self._own_files, **{n: p.read_bytes() for n, p in given.items() if p.is_file()}}
        self._assignment = assignment
        self._code = {n: _compiled(n, text) for n, text in assignment.probe_sources().items()}
        self._probes = [n.removeprefix("probes.") for n in self._code if n.count(".") == 1]
        self._launcher, self._limits = launcher, limits
        self._question: Question | None = None
        self._boxes: dict[str, Box] = {}
        self._broken: dict[tuple[str, str], _Broken] = {}
        self._left = 0.0
        self._asked = 0
        self._asked_once: dict[tuple[str, str, str], Observation | NoAnswer] = {}
        self._printed: str | None = ""
        self.mode = "stand-ins"
        self.seed = 0

    def begin(self, question: Question) -> None:
        self.end()
        self._question, self._left, self._printed = question, question.seconds, ""
        self._asked_once = {}

    def end(self) -> None:
        """Kills the question's processes."""
        for box in list(self._boxes.values()):
            self._forget(box)
        self._question = None

    def printed(self) -> str:
        """What student code has printed since `begin`. What it prints after this call is nobody's to see.

        Hidden checks come after it, so that their inputs cannot be printed for a student to read.
        """
        for box in self._boxes.values():
            self._printed = (self._printed or "") + box.printed()
        told, self._printed = self._printed or "", None
        return plain(told, 4000)

    def start_check(self, seed: int, mode: str) -> None:
        """Sets the mode and the seed from which the child's random generators are set at each ask."""
        self.seed, self.mode, self._asked = seed, mode, 0

    def has_own_mode(self, question: Question) -> bool:
        """True when asking with the student's own modules can differ from asking with stand-ins."""
        return any(f"{name}.py" in self._own_files for name in question.stand_ins)

    def ask(self, probe: str, /, *, seconds: float = ASK_SECONDS, **inputs: Any) -> Observation:
        """What `probe` ("vae.reparameterize") saw. Raises NoAnswer when student code raised, hung, died or is not there."""
        assert self._question is not None, "ask() is for checks, which run between begin() and end()"
        module, _, function = probe.rpartition(".")
        box = self._box()
        self._asked += 1
        message = {
            "op": "probe",
            "module": module,
            "function": function,
            "inputs": inputs,
            "seed": seed_from(str(self.seed), str(self._asked)),
        }
        answer = self._request(box, message, seconds)
        if "ok" not in answer:
            raise _raised(answer["raised"], self._question)
        tree = _readable(answer["ok"])
        return Observation(tree if isinstance(tree, dict) else {"value": tree})

    def ask_once(self, probe: str, /, *, seconds: float = ASK_SECONDS, **inputs: Any) -> Observation:
        """As `ask`, but when a check of this question has asked the same before, the answer of then is given again.

        For long probes that several checks look at from several sides; never for what must be new at every call.
        """
        key = (self.mode, probe, _digest(inputs))
        if key not in self._asked_once:
            try:
                self._asked_once[key] = self.ask(probe, seconds=seconds, **inputs)
            except NoAnswer as reason:
                self._asked_once[key] = reason
        answer = self._asked_once[key]
        if isinstance(answer, NoAnswer):
            raise answer
        return answer

    def _box(self) -> Box:
        """The process for the current question and mode, started and with the module imported."""
        question = self._question
        assert question is not None
        name = f"{question.module}.py"
        if name not in self._own_files:
            raise NoAnswer(
                "missing", f"{name} is not in the submission", f"Put {name} beside the other modules."
            )
        broken = self._broken.get((question.module, self.mode))
        if broken is not None:
            raise broken.reason
        if self.mode in self._boxes:
            return self._boxes[self.mode]
        if self._left <= 0:
            raise self._used_up()
        whole = self._left >= IMPORT_SECONDS
        box = self._launcher.box(self._limits)
        self._boxes[self.mode] = box
        own = [n.removesuffix(".py") for n in self._files]
        prepare = {
            "op": "prepare",
            "files": {
                n: torch.frombuffer(bytearray(data), dtype=torch.uint8)
                for n, data in self._files.items()
                if data
            },
            "empty": [n for n, data in self._files.items() if not data],
            "code": self._code,
            "probes": [n for n in self._probes if n.startswith(question.module)],
            "stand_ins": list(question.stand_ins) if self.mode == "stand-ins" else [],
            "module": question.module,
            "own": own,
            "device": self._device,
        }
        try:
            prepared = self._request(box, prepare, 60.0, student=False)
        except NoAnswer as trouble:  # no student code has run yet
            raise RuntimeError(f"the sandbox does not work: {trouble}") from None
        if "ok" not in prepared:
            raise RuntimeError(f"the probes cannot be loaded: {prepared['raised']}")
        try:
            answer = self._request(
                box, {"op": "import", "module": question.module}, IMPORT_SECONDS, importing=True
            )
            if "ok" not in answer:
                raise _not_importable(answer["raised"], question)
        except NoAnswer as reason:
            # An import that this question had little time left for may still go well in another one.
            if whole or reason.status != "timeout":
                self._broken[(question.module, self.mode)] = _Broken(reason)
            self._forget(box)
            raise
        return box

    def _request(
        self,
        box: Box,
        message: Mapping[str, Any],
        seconds: float,
        *,
        student: bool = True,
        importing: bool = False,
    ) -> dict[str, Any]:
        assert self._question is not None
        doing = f"importing {self._question.module}.py" if importing else "your code"
        if self._left <= 0 and student:
            raise self._used_up()
        start = time.monotonic()
        allowed = min(seconds, self._left) if student else seconds
        try:
            answer = box.request(message, allowed)
            raised = answer.get("raised")
            if isinstance(raised, dict) and raised.get("kind") == "hang":
                raise self._too_slow(box, doing, allowed, start, importing, raised)
        except TimedOut:
            raise self._too_slow(box, doing, allowed, start, importing, {}) from None
        except Died as death:
            self._forget(box)
            raise NoAnswer(
                "error",
                f"{doing} ended the Python process: {death}",
                "Look for exit(), os._exit(), sys.exit() or code that crashes the interpreter or needs very much memory.",
            ) from None
        except Unreadable as error:
            self._forget(box)
            raise NoAnswer(
                "error",
                f"the answer could not be read: {error}",
                "Return plain tensors and numbers of moderate size.",
            ) from None
        except wire.WireError as error:  # our own request is too large: the check's fault
            raise RuntimeError(f"the check's inputs cannot be sent: {error}") from None
        finally:
            if student:
                self._left -= time.monotonic() - start
        if not isinstance(answer.get("raised", {}), dict):
            self._forget(box)
            raise NoAnswer("error", "the answer could not be read", "Return plain tensors and numbers.")
        return dict(answer)

    def _too_slow(
        self, box: Box, doing: str, allowed: float, start: float, importing: bool, told: Mapping[str, Any]
    ) -> NoAnswer:
        """Ends the process; what to say of it. told: where the code was, when it could still be asked."""
        self._forget(box)
        # The whole of its time counts as used, though the code was asked where it was a little before the end. And
        # code that hangs once mostly hangs again, and others are waiting.
        used = time.monotonic() - start
        self._left = min(self._left - max(0.0, allowed - used), GRACE_SECONDS + used)
        at = f"; it was at {where}" if (where := _where(told)) else ""
        return NoAnswer(
            "timeout",
            f"{doing} did not finish within {allowed:.0f} s{at}",
            "Look for a loop that does not end"
            + (
                ", or training that runs when the module is imported: put it under `if __name__ == '__main__':`."
                if importing
                else "; tiny inputs are used here, so it should take well under a second."
            ),
        )

    def _used_up(self) -> NoAnswer:
        assert self._question is not None
        return NoAnswer(
            "timeout",
            f"the question's time ({self._question.seconds:g} s for all its checks) is used up",
            "Look for loops that do not end, and for work that grows with the data.",
        )

    def _forget(self, box: Box) -> None:
        if self._printed is not None:
            self._printed += box.printed()
        box.close()
        self._boxes = {mode: b for mode, b in self._boxes.items() if b is not box}


@cache
def _compiled(name: str, text: str) -> torch.Tensor:
    """A probe's compiled code, as the bytes that children load; compiled once in this process."""
    return torch.frombuffer(bytearray(marshal.dumps(compile(text, f"<{name}>", "exec"))), dtype=torch.uint8)


class Reference:
    """The reference solutions, asked through the same probes in processes of their own. For hidden checks only."""

    def __init__(self, assignment: Assignment, launcher: Launcher, limits: Limits) -> None:
        if assignment.reference is None:
            raise ValueError("this tree has no reference solutions")
        files = {
            f"{m}.py": (assignment.reference / f"{m}.py").read_bytes() for m in assignment.rubric.modules
        }
        self._examinee = Examinee(files, assignment, launcher, limits)
        self._known: dict[tuple[str, str, str], Observation] = {}

    def begin(self, question: Question) -> None:
        self._examinee.begin(question)

    def end(self) -> None:
        self._examinee.end()

    def start_check(self, seed: int, mode: str) -> None:
        self._examinee.start_check(seed, mode)

    def ask(self, probe: str, /, *, seconds: float = 60.0, **inputs: Any) -> Observation:
        """As Examinee.ask; the same question about the same inputs is asked once."""
        key = (probe, self._examinee.mode, _digest(inputs))
        if key not in self._known:
            try:
                self._known[key] = self._examinee.ask(probe, seconds=seconds, **inputs)
            except NoAnswer as reason:
                raise RuntimeError(f"the reference gave no answer to {probe}: {reason}") from None
        return self._known[key]


def _digest(inputs: Mapping[str, Any]) -> str:
    return hashlib.sha256(wire.encode(dict(inputs))).hexdigest()


def _readable(tree: Any) -> Any:
    if isinstance(tree, wire.Other):
        return Unsupported(tree.kind)
    if isinstance(tree, dict):
        return {k: _readable(v) for k, v in tree.items()}
    if isinstance(tree, list):
        return [_readable(v) for v in tree]
    return tree


def plain(text: str, limit: int = 2000) -> str:
    """Text from student code without control characters, so that it cannot move a terminal's cursor or hide lines."""
    kept = (c if c.isprintable() or c in "\n\t" else "?" for c in text[:limit])
    return "".join(kept)


def _where(raised: Mapping[str, Any]) -> str:
    """The student's innermost line, as a message shows it."""
    lines = raised.get("lines")
    if not isinstance(lines, list) or not lines or not isinstance(lines[-1], dict):
        return ""
    line = lines[-1]
    code = str(line.get("code", "")).strip()
    return plain(
        f"{line.get('file', '?')}, line {line.get('line', '?')}" + (f": {code}" if code else ""), 400
    )


def _raised(raised: Mapping[str, Any], question: Question) -> NoAnswer:
    kind, type_ = raised.get("kind"), plain(str(raised.get("type", "an exception")), 80)
    message, where = plain(str(raised.get("message", "")).strip()), _where(raised)
    if kind == "todo":
        return NoAnswer(
            "missing", f"not written yet ({message})" if message else "not written yet", "", own_words=True
        )
    if kind == "missing":
        return NoAnswer("missing", message, "Keep the names that the assignment gives.")
    if kind == "too large":
        return NoAnswer(
            "failed", f"what came back is too large to be looked at: {message}", "Look at the shapes."
        )
    said = f"{type_}: {message}" if message else type_
    if type_ in ("SystemExit", "KeyboardInterrupt"):
        return NoAnswer(
            "error",
            f"the code asked the interpreter to stop ({said}) at {where or 'import'}",
            "Remove exit().",
        )
    if kind == "unexpected":
        return NoAnswer(
            "failed", f"what the code made could not be used as asked: {said}", "", own_words=True
        )
    return NoAnswer("failed", f"the code raised {said}\n  at {where}", "", own_words=True)


def _not_importable(raised: Mapping[str, Any], question: Question) -> NoAnswer:
    name = f"{question.module}.py"
    type_, message = plain(str(raised.get("type", "")), 80), plain(str(raised.get("message", "")).strip())
    where = _where(raised)
    if type_ in ("SyntaxError", "IndentationError", "TabError"):
        return NoAnswer(
            "error", f"{name} is not valid Python: {message}\n  at {where}", "Mend that line first."
        )
    if type_ == "ModuleNotFoundError":
        return NoAnswer(
            "error",
            f"{name} could not be imported: {message}",
            "Import only the standard library, torch, numpy and the assignment's modules.",
        )
    at = f"\n  at {where}" if where else ""
    return NoAnswer(
        "error",
        f"{name} could not be imported: {type_}: {message}{at}",
        f"Run `python -c 'import {question.module}'` in your folder and mend what it says.",
        own_words=True,
    )
