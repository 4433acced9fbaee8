"""Mutated answers, judged (`make fuzz`): whatever an answer holds, every check ends in a verdict, soon and in little memory.

The solutions are graded once, and every answer that the judge gets is kept. Then each check judges these answers again, each
time with one value in one of them replaced: another type, shape or length, missing or extra keys, NaN, infinities, huge numbers,
deep nesting, other values. No sandbox is needed for that. Exits 1 when a check fails itself, or needs more than 5 s or 1 GB;
mutations that pass are listed with --passes: each must be of something that the check does not judge.
"""

from __future__ import annotations

import argparse
import logging
import random
import sys
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from autograder.grading import bounds
from autograder.grading.collecting import Check
from autograder.grading.grader import Grader, JudgeOptions
from autograder.judging import Fault, NoAnswer, Observation
from autograder.judging.observation import Unsupported
from autograder.judging.submission import ASK_SECONDS
from autograder.model.assignment import assignment
from autograder.model.verdicts import GRADER_FAULT, Verdict
from autograder.sandbox.launch import Launcher, launcher
from autograder.submissions import intake
from tests.experiments.forgeries import Answers, Forger, graded, recorded

SECONDS, MEMORY = 5.0, 1 << 30  # for each verdict, of this process's computing time and beyond what it has
LONGER = 1000

Path_ = tuple[str | int, ...]
Mutation = Callable[[Any, random.Random], Any]  # a new value for an old one


# --- What replaces a value ----------------------------------------------------------------------------------


def nested(depth: int) -> Any:
    value: Any = 1.0
    for level in range(depth):
        value = [value] if level % 2 else {"events": value}
    return value


ANYTHING: dict[str, Mutation] = {
    "none": lambda value, chance: None,
    "true": lambda value, chance: True,
    "zero": lambda value, chance: 0,
    "minus one": lambda value, chance: -1,
    "a half": lambda value, chance: 0.5,
    "64 bits": lambda value, chance: chance.choice([2**63 - 1, -(2**63)]),
    "huge": lambda value, chance: chance.choice([1e308, -1e308, 1e30]),
    "nan": lambda value, chance: float("nan"),
    "infinite": lambda value, chance: chance.choice([float("inf"), float("-inf")]),
    "text": lambda value, chance: chance.choice(["7", "generator step", "nan", ""]),
    "long text": lambda value, chance: chance.choice(["(*[a" * 250_000, "\x00" * 100_000]),
    "no list": lambda value, chance: [],
    "no mapping": lambda value, chance: {},
    "long list": lambda value, chance: [chance.choice([0, 1.5, None, "x"])] * 90_000,
    "list of itself": lambda value, chance: [value],
    "mapping of itself": lambda value, chance: {"value": value},
    "nested": lambda value, chance: nested(24),
    "object": lambda value, chance: Unsupported("Evil" * 20),
    "scalar tensor": lambda value, chance: torch.tensor(chance.choice([0.0, 1.0, float("nan")])),
    "whole tensor": lambda value, chance: torch.arange(6).reshape(2, 3),
    "flags": lambda value, chance: torch.ones(chance.choice([(1,), (4, 1), (3, 3, 32, 32)]), dtype=torch.bool),
    "empty tensor": lambda value, chance: torch.zeros(chance.choice([(0,), (0, 64), (4, 0, 3, 3), (0, 1, 784)])),
    "eight axes": lambda value, chance: torch.rand(2, 1, 2, 1, 2, 1, 2, 1),
    "large vector": lambda value, chance: torch.rand(10_000_000),
    "large square": lambda value, chance: torch.rand(3000, 3000),
    "large kernel": lambda value, chance: torch.rand(1536, 96, 4, 4),
    "many codes": lambda value, chance: torch.rand(40_000, 64),
    "many images": lambda value, chance: torch.rand(4000, 3, 32, 32),
}  # fmt: skip


def longer(value: Tensor, chance: random.Random) -> Tensor:
    """The tensor many times over along one of its axes, as often as it may travel."""
    value = value.reshape(1) if value.dim() == 0 else value
    times = min(LONGER, bounds.MOST_NUMBERS // max(1, value.numel()))
    return torch.cat([value] * max(1, times), chance.randrange(value.dim()))


def one_entry(new: float) -> Mutation:
    def change(value: Tensor, chance: random.Random) -> Tensor:
        changed = value.clone().flatten()
        if not changed.is_floating_point():
            changed = changed.float()
        if changed.numel():
            changed[chance.randrange(changed.numel())] = new
        return changed.reshape(value.shape)

    return change


def narrower(value: Tensor, chance: random.Random) -> Tensor:
    return value.narrow(chance.randrange(value.dim()), 0, 1) if value.numel() and value.dim() else value[None]


TENSORS: dict[str, Mutation] = {
    "longer": longer,
    "an axis more": lambda value, chance: value.unsqueeze(chance.randint(0, value.dim())),
    "flat": lambda value, chance: value.flatten(),
    "turned": lambda value, chance: value.permute(tuple(reversed(range(value.dim())))).contiguous(),
    "narrower": narrower,
    "numbers as a list": lambda value, chance: value.flatten()[:20_000].tolist(),
    "doubles": lambda value, chance: value.double(),
    "halves": lambda value, chance: value.half(),
    "whole numbers": lambda value, chance: value.float().nan_to_num().clamp(-1e6, 1e6).long(),
    "bytes": lambda value, chance: (value != 0).to(torch.uint8),
    "one nan": one_entry(float("nan")),
    "one infinite": one_entry(float("inf")),
    "one huge": one_entry(3e38),
    "all nan": lambda value, chance: torch.full(value.shape, torch.nan),
    "all huge": lambda value, chance: torch.full(value.shape, 3e38),
    "all tiny": lambda value, chance: torch.full(value.shape, 1e-38),
    "all zero": lambda value, chance: torch.zeros_like(value),
    "all one": lambda value, chance: torch.ones_like(value),
    "random": lambda value, chance: torch.rand(value.shape),
    "shuffled": lambda value, chance: value.flatten()[torch.randperm(value.numel())].reshape(value.shape),
    "scaled": lambda value, chance: value.float() * 1.5,
    "shifted": lambda value, chance: value.float() + 0.25,
}
NUMBERS: dict[str, Mutation] = {
    "plus one": lambda value, chance: value + 1,
    "times a thousand": lambda value, chance: value * 1000 if abs(value) < 2**50 else 7,
    "negative": lambda value, chance: -value - 1 if value > -(2**62) else 0,
    "as text": lambda value, chance: str(value),
    "as tensor": lambda value, chance: torch.tensor([value]),
}
LISTS: dict[str, Mutation] = {
    "longer": lambda value, chance: (value * LONGER)[:90_000],
    "twice": lambda value, chance: value * 2,
    "shorter": lambda value, chance: value[:-1],
    "first only": lambda value, chance: value[:1],
    "reversed": lambda value, chance: value[::-1],
    "with strangers": lambda value, chance: [*value, None, "x", 7],
}
MAPPINGS: dict[str, Mutation] = {
    "lacks a key": lambda value, chance: without(value, chance),
    "other keys": lambda value, chance: {f"_{key}": inner for key, inner in value.items()},
    "more keys": lambda value, chance: {**value, **{f"k{n}": n for n in range(20_000)}},
    "exchanged": lambda value, chance: dict(zip(value, reversed(value.values()), strict=True)),
}


def without(value: Mapping[str, Any], chance: random.Random) -> dict[str, Any]:
    lost = chance.choice(list(value)) if value else None
    return {key: inner for key, inner in value.items() if key != lost}


def mutations(value: Any) -> dict[str, Mutation]:
    """All mutations of one value, by name."""
    own: dict[str, Mutation] = {}
    if isinstance(value, Tensor):
        own = TENSORS
    elif isinstance(value, Mapping):
        own = MAPPINGS
    elif isinstance(value, list):
        own = LISTS
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        own = NUMBERS
    elif value is True:
        own = {"false": lambda value, chance: False}
    return {**own, **ANYTHING}


# --- Where ----------------------------------------------------------------------------------------------------


def places(value: Any, path: Path_ = ()) -> Iterator[Path_]:
    """Every place in an answer: its own, and those of everything in it."""
    yield path
    inner = (
        value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, part in inner:
        yield from places(part, (*path, key))


def at(value: Any, path: Path_) -> Any:
    for key in path:
        value = value[key]
    return value


def replaced(value: Any, path: Path_, new: Any) -> Any:
    """A copy of an answer with another value at one place."""
    if not path:
        return new
    copy: Any = dict(value) if isinstance(value, Mapping) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


def kind(path: Path_) -> str:
    return ".".join("*" if isinstance(key, int) else key for key in path) or "the answer"


@dataclass(frozen=True)
class Change:
    """One value replaced in one of the answers that a check asks for."""

    number: int  # of the answer
    probe: str
    path: Path_
    name: str
    mutation: Mutation

    def __str__(self) -> str:
        return f"{self.probe}: {kind(self.path)}: {self.name}"


def plan(asked: list[tuple[str, Any]], count: int, chance: random.Random) -> list[Change]:
    """Changes of a check's answers: each kind of place as often as any other, each mutation as often as any other of its kind."""
    by_kind: dict[tuple[str, str], list[tuple[int, Path_]]] = defaultdict(list)
    for number, (probe, answer) in enumerate(asked):
        for path in places(answer):
            by_kind[probe, kind(path)].append((number, path))
    every: list[Change] = []
    for (probe, _), found in sorted(by_kind.items()):
        number, path = chance.choice(found)
        for name, mutation in mutations(at(asked[number][1], path)).items():
            number, path = chance.choice(found)
            if name in mutations(at(asked[number][1], path)):
                every.append(Change(number, probe, path, name, mutation))
    chance.shuffle(every)
    if len(every) >= count or not every:
        return every[:count]
    return [every[i % len(every)] for i in range(count)]


class Mutated(Forger):
    """Stands in for a submission that gives right answers, with one value replaced in one of them."""

    def __init__(self, answers: Answers) -> None:
        super().__init__(lambda form, other, inputs: form, answers, {})
        self.change: Change | None = None
        self.chance = random.Random(0)

    def ask(self, probe: str, /, *, seconds: float = ASK_SECONDS, **inputs: Any) -> Observation:
        known = self.today.get((self.check, self.mode), [])
        n, self.asked = self.asked, self.asked + 1
        if n >= len(known) or known[n][0] != probe:  # a change made the check ask for something else
            n = next((i for i, (name, _) in enumerate(known) if name == probe), -1)
        if n < 0:
            raise NoAnswer("failed", "there is no such answer", "")
        answer, change = known[n][1], self.change
        if change is not None and change.number == n:
            answer = replaced(answer, change.path, change.mutation(at(answer, change.path), self.chance))
            bounds.require_moderate(answer)
        return Observation(answer if isinstance(answer, dict) else {"value": answer})

    ask_once = ask


# --- What is found ------------------------------------------------------------------------------------------


@dataclass
class Findings:
    """What became of the mutations. faults and slow hold lines; passed: how often a change passed, by check."""

    verdicts: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    faults: dict[str, str] = field(default_factory=dict)
    slow: list[str] = field(default_factory=list)
    passed: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    longest: float = 0.0
    largest: int = 0


class Fuzzer(Grader):
    """Has every check judge `count` mutations of the right answers to it."""

    def prepare(self, answers: Answers, count: int, seed: int) -> Findings:
        self._mutated, self._count, self._fuzz_seed = Mutated(answers), count, seed
        self._sandboxed = self._mutated  # type: ignore[assignment]
        self.findings = Findings()
        return self.findings

    def _judge(self, check: Check, function: Callable[..., None], arguments: dict[str, Any]) -> Verdict:
        trace = ""

        def watched(**given: Any) -> None:
            nonlocal trace
            try:
                function(**given)
            except (Fault, NoAnswer, MemoryError):
                raise
            except Exception:
                trace = traceback.format_exc()
                raise

        arguments = {**arguments, "submission": self._mutated} if "submission" in arguments else arguments
        chance = random.Random(f"{self._fuzz_seed} {check.id}")
        self._mutated.check, self._mutated.mode, self._mutated.change = check.id, "stand-ins", None
        right = self._try(check, watched, arguments, "stand-ins")
        if right.status != "passed":
            raise RuntimeError(f"{check.id} does not pass the recorded answers: {right.feedback.text()}")
        changes = plan(self._mutated.today.get((check.id, "stand-ins"), []), self._count, chance)
        if len(changes) < self._count:
            self.findings.faults[f"{check.id}: {len(changes)} mutated answers, not {self._count}"] = ""
        for change in changes:
            self._mutated.change, self._mutated.chance = change, random.Random(chance.random())
            self._left, began = bounds.QUESTION_SECONDS, time.process_time()
            before = peak(reset=True)
            verdict = self._try(check, watched, arguments, "stand-ins")
            self._note(change, verdict, time.process_time() - began, peak() - before, trace)
        return check.verdict(status="error", score=0, feedback=GRADER_FAULT)

    def _note(self, change: Change, verdict: Verdict, seconds: float, memory: int, trace: str) -> None:
        found, line = self.findings, f"{verdict.id}: {change}"
        found.verdicts += 1
        found.statuses[verdict.status] += 1
        found.longest, found.largest = max(found.longest, seconds), max(found.largest, memory)
        if verdict.grader_fault:
            found.faults[line] = trace
        if seconds > SECONDS or memory > MEMORY:
            found.slow.append(f"{line}: {seconds:.1f} s, {memory >> 20} MiB")
        if verdict.status == "passed":
            found.passed[verdict.id].append(str(change))


def peak(reset: bool = False) -> int:
    """The most memory in bytes that this process has had (Linux; elsewhere 0) since it was last reset."""
    try:
        if reset:
            Path("/proc/self/clear_refs").write_text("5")
        status = Path("/proc/self/status").read_text(encoding="utf-8")
    except OSError:
        return 0
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


def fuzz(
    answers: Answers, boxes: Launcher, count: int, questions: tuple[str, ...] | None = None, seed: int = 1
) -> Findings:
    """Has the checks of some questions judge `count` mutations each."""
    solutions = assignment().solutions
    assert solutions is not None
    submission = intake.read(solutions, assignment().rubric, "right")
    grader = Fuzzer(
        submission, assignment(), boxes, JudgeOptions("today", questions=questions), lambda result: None
    )
    findings = grader.prepare(answers, count, seed)
    logging.disable(logging.ERROR)  # a fault in a check is reported with its mutation
    try:
        graded(grader)
    finally:
        logging.disable(logging.NOTSET)
    return findings


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-q", "--question", action="append", help="these questions only (1-4)")
    parser.add_argument("-n", "--count", type=int, default=200, help="mutations for each check (200)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--passes", action="store_true", help="list the mutations that pass")
    options = parser.parse_args()
    solutions = assignment().solutions
    assert solutions is not None, "this needs the solutions"
    questions = tuple(options.question) if options.question else None
    boxes = launcher(None, None, [], gpu=False)
    try:
        answers, _ = recorded(solutions, boxes, "today", questions)
        found = fuzz(answers, boxes, options.count, questions, options.seed)
    finally:
        boxes.close()
    for line, trace in found.faults.items():
        print(f"fault in the check: {line}\n{trace}")
    for line in found.slow:
        print(f"too slow or too large: {line}")
    if options.passes:
        for check, changes in found.passed.items():
            print(f"{check} passes {len(changes)}:")
            for change, times in sorted(Counter(changes).items()):
                print(f"    {change}" + (f" ({times})" if times > 1 else ""))
    print(
        f"{found.verdicts} mutated answers: {dict(found.statuses)}; {len(found.faults)} faults in checks; the longest verdict "
        f"{found.longest:.1f} s, the largest {found.largest >> 20} MiB"
    )
    sys.exit(1 if found.faults or found.slow else 0)


if __name__ == "__main__":
    main()
