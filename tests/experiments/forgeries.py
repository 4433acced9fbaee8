"""What made-up answers earn (`make forgeries`): every check that pays, judging liars that do none of the work.

Two kinds. The stubs filled with plain Python that returns constants, random numbers or its inputs, in the shapes that are
asked for (tests/liars). And liars that replace every probe: they know the form of a right answer (names, shapes, types, texts,
flags and whole numbers, by check and call), as somebody does who has seen one, and fill it with constants, random numbers,
the inputs, or right answers to other inputs. Prints the points of each check by liar, and what the best liar for each check
would earn. Exits 1 when that is more than may be.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from autograder.grading import judge
from autograder.grading.collecting import Check, run_pytest
from autograder.grading.grader import Grader, JudgeOptions
from autograder.grading.sandboxed import SandboxedSubmission
from autograder.judging import NoAnswer, Observation
from autograder.judging.submission import ASK_SECONDS
from autograder.model.assignment import assignment
from autograder.model.verdicts import Result, Verdict
from autograder.sandbox.launch import Launcher, Limits, launcher
from autograder.submissions import intake
from tests.attacks.entries import stubs

LIES = Path(__file__).resolve().parents[1] / "liars"
PLAIN = ("zeros", "ones", "normal", "uniform", "echo")
HONEST = ("1-6", "1-7")  # two constants that are the answer: nothing can be made up here
MODES = ("stand-ins", "own")

Answers = dict[
    tuple[str, str], list[tuple[str, Any]]
]  # by check and mode: the probes that were asked, with their answers
# Makes an answer of a right one, a right one to other inputs, and the inputs' tensors; Fill does so for one tensor.
Answer = Callable[[Any, Any, Sequence[Tensor]], Any]
Fill = Callable[[Tensor, Tensor, Sequence[Tensor]], Tensor]


@dataclass(frozen=True)
class Liar:
    """A way to make up answers."""

    name: str
    says: str
    answer: Answer


def fitted(value: Tensor, form: Tensor) -> Tensor:
    """The values of one tensor in the form of another, repeated or cut as needed."""
    flat = value.flatten()
    if flat.numel() == 0:
        return torch.zeros_like(form)
    times = -(-form.numel() // flat.numel())
    return flat.repeat(times)[: form.numel()].reshape(form.shape).to(form.dtype)


def echoed(form: Tensor, inputs: Sequence[Tensor]) -> Tensor:
    """The input that has the form asked for; else the first that has as many elements, or else the first."""
    same = [t for t in inputs if t.shape == form.shape]
    as_many = [t for t in inputs if t.numel() == form.numel()]
    for found in (*same, *as_many, *inputs):
        return fitted(found.to(form.dtype), form)
    return torch.zeros_like(form)


def filling(fill: Fill) -> Answer:
    """Answers in the form of a right one: tensors of floats and floats are filled; texts, flags and whole numbers stay."""

    def answer(form: Any, other: Any, inputs: Sequence[Tensor]) -> Any:
        if isinstance(form, Tensor):
            known = other if isinstance(other, Tensor) else form.new_zeros(1)
            if not form.is_floating_point():
                return known if known.shape == form.shape else torch.zeros_like(form)
            return fill(form, known, inputs)
        if isinstance(form, float):
            value = torch.tensor(other if isinstance(other, float) else 0.0, dtype=torch.float64)
            return float(fill(torch.tensor(form, dtype=torch.float64), value, inputs))
        if isinstance(form, Mapping):
            parts = other if isinstance(other, Mapping) else {}
            return {key: answer(value, parts.get(key), inputs) for key, value in form.items()}
        if isinstance(form, (list, tuple)):
            items = other if isinstance(other, (list, tuple)) else []
            return [answer(v, items[i] if i < len(items) else None, inputs) for i, v in enumerate(form)]
        return form

    return answer


LIARS = (
    Liar("zeros", "0 everywhere", filling(lambda form, other, inputs: torch.zeros_like(form))),
    Liar("ones", "1 everywhere", filling(lambda form, other, inputs: torch.ones_like(form))),
    Liar("small", "one small constant", filling(lambda form, other, inputs: torch.full_like(form, 1e-4))),
    Liar(
        "huge",
        "so large that a step is lost in it",
        filling(lambda form, other, inputs: torch.full_like(form, 1e6)),
    ),
    Liar(
        "normal",
        "standard normal",
        filling(lambda form, other, inputs: torch.randn(form.shape).to(form.dtype)),
    ),
    Liar(
        "uniform",
        "uniform in [0, 1)",
        filling(lambda form, other, inputs: torch.rand(form.shape).to(form.dtype)),
    ),
    Liar("echo", "the inputs", filling(lambda form, other, inputs: echoed(form, inputs))),
    Liar("yesterday", "right for other inputs", filling(lambda form, other, inputs: fitted(other, form))),
)


def changing(change: Callable[[Any], Any]) -> Answer:
    """Right answers in a wrong form: every tensor, number and list is changed."""

    def answer(form: Any, other: Any, inputs: Sequence[Tensor]) -> Any:
        if isinstance(form, Mapping):
            return {key: answer(value, None, inputs) for key, value in form.items()}
        if isinstance(form, (list, tuple)):
            return change([answer(value, None, inputs) for value in form])
        return form if isinstance(form, (bool, str)) or form is None else change(form)

    return answer


def of_tensors(change: Callable[[Tensor], Any]) -> Answer:
    return changing(lambda value: change(value) if isinstance(value, Tensor) else value)


# Answers that no check may fall over.
ODD = (
    Liar("float64", "tensors in float64", of_tensors(lambda t: t.double())),
    Liar("float16", "tensors in float16", of_tensors(lambda t: t.half())),
    Liar("whole", "tensors of whole numbers", of_tensors(lambda t: t.nan_to_num().clamp(-1e6, 1e6).long())),
    Liar("flags", "tensors of truth values", of_tensors(lambda t: t != 0)),
    Liar("complex", "tensors of complex numbers", of_tensors(lambda t: t.to(torch.complex64))),
    Liar("nan", "tensors of NaN", of_tensors(lambda t: torch.full(t.shape, torch.nan))),
    Liar("infinite", "infinite tensors", of_tensors(lambda t: torch.full(t.shape, torch.inf))),
    Liar("flat", "tensors with one axis", of_tensors(lambda t: t.flatten())),
    Liar("deeper", "tensors with an axis more", of_tensors(lambda t: t.unsqueeze(0))),
    Liar(
        "turned",
        "tensors with their axes reversed",
        of_tensors(lambda t: t.permute(tuple(range(t.dim() - 1, -1, -1)))),
    ),
    Liar(
        "empty",
        "tensors and lists without entries",
        changing(lambda v: v[:0] if isinstance(v, list) else torch.zeros(0) if isinstance(v, Tensor) else v),
    ),
    Liar(
        "shorter",
        "tensors and lists that lack the last entry",
        changing(lambda v: v[:-1] if isinstance(v, list) or (isinstance(v, Tensor) and v.dim()) else v),
    ),
    Liar(
        "longer",
        "tensors and lists twice as long",
        changing(
            lambda v: (
                v + v
                if isinstance(v, list)
                else torch.cat([v, v])
                if isinstance(v, Tensor) and v.dim()
                else v
            )
        ),
    ),
    Liar("none", "None for tensors and numbers", changing(lambda v: v if isinstance(v, list) else None)),
    Liar("texts", "texts for tensors, numbers and lists", changing(lambda v: "7")),
    Liar(
        "wide",
        "whole numbers of a thousand digits",
        changing(lambda v: v if isinstance(v, (list, Tensor)) else 10**1000),
    ),
    Liar("nothing", "an empty answer", lambda form, other, inputs: {}),
)


def tensors(tree: Any) -> Iterator[Tensor]:
    """Every tensor of floats in a tree."""
    if isinstance(tree, Tensor) and tree.is_floating_point():
        yield tree
    elif isinstance(tree, Mapping):
        for value in tree.values():
            yield from tensors(value)
    elif isinstance(tree, (list, tuple)):
        for value in tree:
            yield from tensors(value)


class Recorder(SandboxedSubmission):
    """Keeps every answer, by check and mode."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.check, self.answers = "", defaultdict[tuple[str, str], list[tuple[str, Any]]](list)

    def ask(self, probe: str, /, *, seconds: float = ASK_SECONDS, **inputs: Any) -> Observation:
        seen = super().ask(probe, seconds=seconds, **inputs)
        self.answers[self.check, self.mode].append((probe, dict(seen)))
        return seen

    def ask_once(self, probe: str, /, *, seconds: float = ASK_SECONDS, **inputs: Any) -> Observation:
        return self.ask(probe, seconds=seconds, **inputs)


@dataclass
class Forger:
    """Stands in for a submission whose probes are replaced: answers as a liar does."""

    answer: Answer
    today: Answers
    yesterday: Answers
    check: str = ""
    mode: str = "stand-ins"
    asked: int = field(default=0)

    def begin(self, question: Any) -> None:
        pass

    def end(self) -> None:
        pass

    def printed(self) -> str:
        return ""

    def has_own_mode(self, question: Any) -> bool:
        return True

    def start_check(self, seed: int, mode: str) -> None:
        self.mode, self.asked = mode, 0
        torch.manual_seed(seed % 2**32)

    def ask(self, probe: str, /, *, seconds: float = ASK_SECONDS, **inputs: Any) -> Observation:
        known = self.today.get((self.check, self.mode), [])
        earlier = self.yesterday.get((self.check, self.mode), [])
        n, self.asked = self.asked, self.asked + 1
        if n >= len(known) or known[n][0] != probe:
            raise NoAnswer("failed", "made-up answers have no answer to this question", "")
        other = earlier[n][1] if n < len(earlier) else None
        return Observation(self.answer(known[n][1], other, list(tensors(inputs))))

    ask_once = ask


class BothModes(Grader):
    """Judges every check in both modes, whatever the first one gives; the better result counts."""

    def _try(self, check: Check, *rest: Any, **more: Any) -> Verdict:
        self._sandboxed.check = check.id  # type: ignore[attr-defined]
        return super()._try(check, *rest, **more)

    def _judge(self, check: Check, function: Callable[..., None], arguments: dict[str, Any]) -> Verdict:
        tried = [self._judged(self._try(check, function, arguments, mode), self._way) for mode in MODES]
        return max(tried, key=lambda verdict: verdict.score)


def graded(grader: Grader) -> Result:
    torch.set_num_threads(1)
    subject = assignment()
    subject.make_importable()
    run_pytest(grader, subject)
    return grader.result()


def recorded(
    path: Path, launcher: Launcher, secret: str, questions: tuple[str, ...] | None
) -> tuple[Answers, Result]:
    """Every right answer that the submission at `path` gives under a secret."""
    options = JudgeOptions(secret, questions=questions)
    submission = intake.read(path, assignment().rubric, "right")
    grader = BothModes(submission, assignment(), launcher, options, lambda result: None)
    recorder = Recorder(submission.files, assignment(), launcher, Limits(), "cpu")
    grader._sandboxed = recorder
    result = graded(grader)
    return dict(recorder.answers), result


def earned(
    path: Path, launcher: Launcher, liar: Liar, today: Answers, yesterday: Answers, secret: str,
    questions: tuple[str, ...] | None,
) -> Result:  # fmt: skip
    """What a liar earns under a secret."""
    submission = intake.read(path, assignment().rubric, "right")
    grader = BothModes(
        submission, assignment(), launcher, JudgeOptions(secret, questions=questions), lambda result: None
    )
    grader._sandboxed = Forger(liar.answer, today, yesterday)  # type: ignore[assignment]
    return graded(grader)


def matrix(
    path: Path, liars: Sequence[Liar], questions: tuple[str, ...] | None
) -> tuple[dict[str, dict[str, float]], list[str]]:
    """The points of each check that pays, by liar, without those of questions whose answer is a constant.

    And the faults in checks that these liars, or answers of an odd form, brought to light.
    """
    faults: list[str] = []
    boxes = launcher(None, None, [], gpu=False)
    try:
        today, right = recorded(path, boxes, "today", questions)
        yesterday, _ = recorded(path, boxes, "yesterday", questions)
        for verdict in right.checks:
            if verdict.status != "passed":
                raise RuntimeError(f"the reference fails {verdict.id}: {verdict.feedback.text()}")
        points: dict[str, dict[str, float]] = {
            v.id: {} for v in right.checks if v.max_score and v.question not in HONEST
        }
        for liar in (*liars, *ODD):
            for verdict in earned(path, boxes, liar, today, yesterday, "today", questions).checks:
                if verdict.grader_fault:
                    faults.append(f"{verdict.id} fails itself on {liar.says}")
                if liar in liars and verdict.id in points:
                    points[verdict.id][liar.name] = verdict.score
    finally:
        boxes.close()
    return points, faults


def plain_matrix(fills: Sequence[str], questions: tuple[str, ...] | None) -> dict[str, dict[str, float]]:
    """The same for the stubs filled with plain Python; see tests/liars."""
    points: dict[str, dict[str, float]] = defaultdict(dict)
    with tempfile.TemporaryDirectory(prefix="liars-") as folder:
        for fill in fills:
            path = Path(folder) / fill
            path.mkdir()
            for file, text in stubs().items():
                (path / file).write_text(text + (LIES / file).read_text(encoding="utf-8"), encoding="utf-8")
            common = (LIES / "made_up.py").read_text(encoding="utf-8")
            (path / "made_up.py").write_text(common.replace('"zeros"', f'"{fill}"', 1), encoding="utf-8")
            for verdict in judge.grade_one(path, secret="today", questions=questions).checks:
                if verdict.grader_fault:
                    raise RuntimeError(f"{verdict.id} fails itself on the liar {fill}")
                if verdict.max_score and verdict.question not in HONEST:
                    points[verdict.id][fill] = verdict.score
    return dict(points)


def table(points: Mapping[str, Mapping[str, float]]) -> str:
    """The matrix as text: the checks for which some liar earns, then the sums."""
    names = list(next(iter(points.values())))
    width = max(len(check) for check in points) + 2
    lines = ["".ljust(width) + "".join(name.rjust(11) for name in names)]
    for check, by_liar in points.items():
        if any(by_liar.values()):
            lines.append(check.ljust(width) + "".join(f"{by_liar[name]:11g}" for name in names))
    sums = {name: sum(by_liar[name] for by_liar in points.values()) for name in names}
    lines.append("all".ljust(width) + "".join(f"{sums[name]:11g}" for name in names))
    return "\n".join(lines)


def best(points: Mapping[str, Mapping[str, float]]) -> float:
    """What the best liar for each check earns."""
    return sum(max(by_liar.values()) for by_liar in points.values())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-q", "--question", action="append", help="these questions only (1-4)")
    parser.add_argument(
        "--most", type=float, default=10.0, help="points that liars with replaced probes may earn (10)"
    )
    parser.add_argument("--most-plain", type=float, default=5.0, help="points that plain Python may earn (5)")
    options = parser.parse_args()
    solutions = assignment().solutions
    assert solutions is not None, "this needs the solutions"
    questions = tuple(options.question) if options.question else None
    replaced, faults = matrix(solutions, LIARS, questions)
    failed = bool(faults)
    for title, points, most in (
        ("The stubs filled with plain Python", plain_matrix(PLAIN, questions), options.most_plain),
        ("With every probe replaced", replaced, options.most),
    ):
        print(
            f"{title}\n{table(points)}\nThe best liar for each check: {best(points):g} points\n", flush=True
        )
        failed = failed or best(points) > most
    for fault in faults:
        print(fault)
    print(f"{len(ODD)} odd forms of right answers: {len(faults)} faults in checks")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
