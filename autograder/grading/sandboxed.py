"""A submission while it is graded: asked through probes in sandboxes, one fresh process per question."""

from __future__ import annotations

import hashlib
import logging
import marshal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch

from autograder.grading import bounds, raised
from autograder.judging.draw import seed_from
from autograder.judging.observation import Observation, Unsupported
from autograder.judging.outcome import NoAnswer
from autograder.judging.submission import ASK_SECONDS
from autograder.model.assignment import Assignment
from autograder.model.rubric import Question
from autograder.sandbox import kit, posing, wire
from autograder.sandbox.box import Box, Died, Lost, TimedOut, Unreadable
from autograder.sandbox.environment import new_folder
from autograder.sandbox.launch import Launcher, Limits, Unavailable
from autograder.submissions.modules import text_fault
from autograder.support.text import printed as as_printed

log = logging.getLogger("autograder")

IMPORT_SECONDS = 20.0  # to import the student's module; too little for a module that trains at import
GRACE_SECONDS = 20.0  # for the rest of a question once one answer was late
ROOM_SECONDS = 1.0  # to wait for room on the disk while a process of the question itself may have filled it
PATIENCE = 3.0  # how many times as long as it may compute an answer may take, on a busy machine


@dataclass
class _Broken:
    """Why importing a module failed; it is not tried again for another question."""

    reason: NoAnswer


class SandboxedSubmission:
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
        self._faults = {n: fault for n, data in self._own_files.items() if (fault := text_fault(data))}
        self._assignment = assignment
        sources = {**_kit_sources(), **assignment.sandbox_sources()}
        self._code = {name: _compiled(name, text) for name, text in sources.items()}
        self._launcher, self._limits = launcher, limits
        self._question: Question | None = None
        self._boxes: dict[str, Box] = {}
        self._broken: dict[tuple[str, str], _Broken] = {}
        self._left = 0.0
        self._patience = PATIENCE
        self._asked = 0
        self._asked_once: dict[tuple[str, str, str], Observation | NoAnswer] = {}
        self._printed: str | None = ""
        self.mode = "stand-ins"
        self.seed = 0

    def use(self, launcher: Launcher) -> None:
        """Makes processes with another launcher from now on."""
        self._launcher = launcher

    def begin(self, question: Question) -> None:
        self.end()
        self._question, self._left, self._printed = question, question.seconds, ""
        self._patience = PATIENCE
        self._asked_once = {}

    def end(self) -> None:
        """Kills the question's processes."""
        for box in list(self._boxes.values()):
            self._forget(box)
        self._question = None

    def printed(self) -> str:
        """What student code has printed since `begin`; later output is discarded.

        Hidden checks run after this call, so that student code cannot print their inputs for its author to read.
        """
        for box in self._boxes.values():
            self._printed = (self._printed or "") + box.printed()
        text, self._printed = self._printed or "", None
        return as_printed(text, 4000)

    def start_check(self, seed: int, mode: str) -> None:
        """Sets the mode and the seed from which the child's random generators are set at each ask."""
        self.seed, self.mode, self._asked = seed, mode, 0

    def has_own_mode(self, question: Question) -> bool:
        """True when asking with the student's own modules can differ from asking with stand-ins."""
        return any(f"{name}.py" in self._own_files for name in question.stand_ins)

    def ask(self, probe: str, /, *, seconds: float = ASK_SECONDS, **inputs: Any) -> Observation:
        """What `probe` ("module.function") returns.

        Raises NoAnswer when student code raised, hung, died or is missing, or its answer is larger than any that is asked for.
        """
        with bounds.unlimited_memory():
            before = self._asked, self._left
            try:
                return self._ask_or_lose(probe, seconds, inputs)
            except Lost:
                log.error("the fork server ended unexpectedly; what it was doing is done again by a new one")
                self._asked, self._left = before
            try:
                return self._ask_or_lose(probe, seconds, inputs)
            except Lost as again:  # the code at hand seems to end it
                assert self._question is not None
                raise raised.died(Died(str(again)), self._question, importing=False) from None

    def _ask_or_lose(self, probe: str, seconds: float, inputs: Mapping[str, Any]) -> Observation:
        try:
            return self._ask(probe, seconds, inputs)
        except Lost:  # every process of that fork server has ended
            for box in list(self._boxes.values()):
                self._forget(box)
            raise

    def _ask(self, probe: str, seconds: float, inputs: Mapping[str, Any]) -> Observation:
        assert self._question is not None, "ask() is for checks, which run between begin() and end()"
        module, _, function = probe.rpartition(".")
        box = self._box()
        self._asked += 1
        message = {
            "op": "probe",
            "module": f"{self._assignment.package}.probes.{module}",
            "function": function,
            "inputs": inputs,
            "seed": seed_from(str(self.seed), str(self._asked)),
        }
        answer = self._request(box, message, seconds)
        if "ok" not in answer:
            raise raised.while_running(answer["raised"])
        tree = _readable(answer["ok"])
        bounds.require_moderate(tree)
        return Observation(tree if isinstance(tree, dict) else {"value": tree})

    def ask_once(self, probe: str, /, *, seconds: float = ASK_SECONDS, **inputs: Any) -> Observation:
        """As `ask`, but an answer that an earlier check of this question got for the same inputs is returned again.

        For long probes whose answer several checks examine; never for anything that must be new at every call.
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
                "missing", f"{name} is not in the submission", f"Put {name} next to the other modules."
            )
        if not self._own_files[name].strip():
            raise NoAnswer("missing", f"{name} is empty", "Have you saved it?")
        if name in self._faults:
            raise raised.not_text(name, self._faults[name])
        broken = self._broken.get((question.module, self.mode))
        if broken is not None:
            raise broken.reason
        if self.mode in self._boxes:
            return self._boxes[self.mode]
        if self._left <= 0:
            raise raised.time_used_up(question)
        whole = self._left >= IMPORT_SECONDS
        self._require_room()
        box = self._launcher.box(self._limits)
        self._boxes[self.mode] = box
        try:
            prepared = self._request(box, self._preparation(question), 60.0, student=False)
        except NoAnswer as reason:  # no student code has run yet
            raise RuntimeError(f"the sandbox does not work: {reason}") from None
        if "ok" not in prepared:
            raise RuntimeError(f"the probes cannot be loaded: {prepared['raised']}")
        try:
            answer = self._request(
                box, {"op": "import", "module": question.module}, IMPORT_SECONDS, importing=True
            )
            if "ok" not in answer:
                raise self._not_text(answer["raised"]) or raised.at_import(answer["raised"], question)
        except NoAnswer as reason:
            # An import that timed out because little of this question's time was left may succeed in another question.
            if whole or reason.status != "timeout":
                self._broken[(question.module, self.mode)] = _Broken(reason)
            self._forget(box)
            raise
        return box

    def _require_room(self) -> None:
        """Ends the question where a first process of it has filled the disk, so that there is no room for the second.

        Its files go with its process. Without that, every submission of the run would wait for room in vain.
        """
        if not self._boxes or self._launcher.isolation != "process":
            return
        try:
            new_folder(ROOM_SECONDS).rmdir()
        except Unavailable:
            for box in list(self._boxes.values()):
                self._forget(box)
            self._left = 0.0
            raise raised.no_room() from None

    def _not_text(self, report: Mapping[str, Any]) -> NoAnswer | None:
        """The reason when an import failed because a module that it imports is not text; None if that is not why."""
        where = raised.location(report)
        message = str(report.get("message", ""))
        for name, fault in self._faults.items():
            if (where and where.file == name) or "null bytes" in message or "codec can't decode" in message:
                return raised.not_text(name, fault)
        return None

    def _preparation(self, question: Question) -> dict[str, Any]:
        """The request that lays out the submission's files, the probes and the stand-ins in a new process."""
        own = [n.removesuffix(".py") for n in self._files]
        replaced = list(question.stand_ins) if self.mode == "stand-ins" else []
        package = self._assignment.package
        stand_ins = {n: f"{package}.stand_ins.{n}" for n in replaced if n != question.module}
        return {
            "op": "prepare",
            "files": {
                n: torch.frombuffer(bytearray(data), dtype=torch.uint8)
                for n, data in self._files.items()
                if data
            },
            "empty": [n for n, data in self._files.items() if not data],
            "code": self._code,
            "kit": kit.__name__,
            "probes": [n for n in self._code if n.startswith(f"{package}.probes.{question.module}")],
            "replaced": replaced,
            "stand_ins": {n: name for n, name in stand_ins.items() if name in self._code},
            "own": own,
            "device": self._device,
        }

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
        if self._left <= 0 and student:
            raise raised.time_used_up(self._question)
        start = time.monotonic()
        allowed = min(seconds, self._left) if student else seconds
        try:
            answer = box.request(message, allowed, min(allowed * self._patience, max(allowed, self._left)))
            report = answer.get("raised", {})
            if isinstance(report, dict) and report.get("kind") == "hang":
                raise self._stop_slow(box, allowed, start, importing, report)
        except TimedOut:
            raise self._stop_slow(box, allowed, start, importing, {}) from None
        except Died as death:
            self._forget(box)
            raise raised.died(death, self._question, importing) from None
        except Unreadable as error:
            self._forget(box)
            raise raised.unreadable(error) from None
        except wire.WireError as error:  # our own request is too large: the check's fault
            raise RuntimeError(f"the check's inputs cannot be sent: {error}") from None
        finally:
            if student:
                self._left -= time.monotonic() - start
        if not isinstance(report, dict):
            self._forget(box)
            raise raised.unreadable()
        return dict(answer)

    def _stop_slow(
        self, box: Box, allowed: float, start: float, importing: bool, hang: Mapping[str, Any]
    ) -> NoAnswer:
        """Ends the process and returns the reason. hang: the line that the code was at, if the sandbox could report it."""
        assert self._question is not None
        self._forget(box)
        # The sandbox reports a hang a little before the deadline; the whole time counts as used. Code that hangs once
        # usually hangs again, so the rest of the question gets only GRACE_SECONDS, and no answer gets more than its time.
        used = time.monotonic() - start
        self._patience = 1.0
        self._left = min(self._left - max(0.0, allowed - used), GRACE_SECONDS + used)
        return raised.too_slow(allowed, hang, self._question, importing)

    def _forget(self, box: Box) -> None:
        if self._printed is not None:
            self._printed += box.printed()
        box.close()
        self._boxes = {mode: b for mode, b in self._boxes.items() if b is not box}


def _kit_sources() -> dict[str, str]:
    """The probe kit as text, by module name: probes import it in the sandbox under the same names as here."""
    return {m.__name__: Path(m.__file__ or "").read_text(encoding="utf-8") for m in (kit, posing)}


@cache
def _compiled(name: str, text: str) -> torch.Tensor:
    """A probe's compiled code, as the bytes that children load; compiled once in this process."""
    return torch.frombuffer(bytearray(marshal.dumps(compile(text, f"<{name}>", "exec"))), dtype=torch.uint8)


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
