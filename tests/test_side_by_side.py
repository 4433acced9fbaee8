"""Several judges share one submission's questions: the result is that of one judge, whatever happens to the others."""

from __future__ import annotations

import copy
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from autograder.grading.grader import Grader, JudgeOptions, grade
from autograder.model.assignment import Assignment
from autograder.model.verdicts import Result
from autograder.reports.terminal import as_line
from autograder.sandbox.box import Died, Lost
from autograder.sandbox.fork_launcher import ForkLauncher
from autograder.sandbox.launch import Launcher, Limits, launcher
from tests.conftest import ROOT
from tests.tiny import make_assignment, submit

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="judges are forked on Linux only")

PRINTS = "def double(x):\n    print('hello')\n    return x + 2\n"


@pytest.fixture
def boxes() -> Iterator[Launcher]:
    made = launcher(isolation="process", own_code=True)
    yield made
    made.close()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Assignment:
    return make_assignment(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def judged(tiny: Assignment, boxes: Launcher, tmp_path: Path) -> Judged:
    return Judged(tiny, boxes, tmp_path)


class Judged:
    """Judges a submission whose first question fails and prints."""

    def __init__(self, assignment: Assignment, boxes: Launcher, folder: Path) -> None:
        self.assignment, self.boxes, self.folder = assignment, boxes, folder
        self.so_far: list[Result] = []

    def __call__(self, judges: int) -> Result:
        submission = submit(self.folder / "submission", self.assignment, first=PRINTS)
        options = JudgeOptions("s", judges=judges)
        return grade(submission, self.assignment, self.boxes, options, self.so_far.append)


def in_processes(monkeypatch: pytest.MonkeyPatch, folder: Path, helper: str = "") -> None:
    """Notes which process judges which question; each waits until both have begun, and a helper does what is asked."""
    judge, own = Grader._grade_question, os.getpid()

    def noting(self: Grader, id: str, session: pytest.Session) -> None:
        (folder / f"{id}-{os.getpid()}").touch()
        until = time.monotonic() + 20
        while len(list(folder.glob("*-*"))) < 2 and time.monotonic() < until:
            time.sleep(0.01)
        if helper == "ends" and os.getpid() != own:
            os.kill(os.getpid(), signal.SIGKILL)
        judge(self, id, session)

    monkeypatch.setattr(Grader, "_grade_question", noting)


def same(one: Result, other: Result) -> bool:
    return replace(one, seconds=0) == replace(other, seconds=0)


def test_two_judges_find_what_one_finds(
    judged: Judged, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    alone = judged(1)
    assert alone.printed["1"].strip() == "hello" and alone.score == 2
    in_processes(monkeypatch, tmp_path)
    assert same(judged(2), alone)
    assert len({path.name.partition("-")[2] for path in tmp_path.glob("*-*")}) == 2


def test_more_judges_than_questions_are_no_trouble(judged: Judged) -> None:
    alone = judged(1)
    assert same(judged(9), alone)


def test_what_a_lost_judge_had_begun_is_judged_again(
    judged: Judged, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    alone = judged(1)
    in_processes(monkeypatch, tmp_path, "ends")
    assert same(judged(2), alone)
    assert len(list(tmp_path.glob("*-*"))) == 3


def test_where_the_fork_server_is_gone_one_judge_starts_another(judged: Judged) -> None:
    """In a notebook it waits between checks, and may be ended meanwhile: by the kernel, when memory is short."""
    alone = judged(1)
    assert isinstance(judged.boxes, ForkLauncher)
    judged.boxes._process.kill()
    judged.boxes._process.wait()
    assert same(judged(2), alone)


def test_a_number_of_a_process_that_is_used_again_has_no_old_status(boxes: Launcher) -> None:
    assert isinstance(boxes, ForkLauncher) and boxes.isolation == "process"
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        other = copy.copy(boxes)
        other._control, other._joined, other._exited, other._pids = ours, True, {}, deque()
        for message in ({"pid": 7}, {"exited": 7, "status": 9}, {"pid": 7}):
            theirs.send(json.dumps(message).encode())
        assert other._pid() == 7
        assert other.status_of(7, other._generation, 5.0) == -9
        assert other._pid() == 7
        assert other.status_of(7, other._generation, 0.1) is None
        other.close()


def test_verdicts_are_passed_on_as_they_come(judged: Judged) -> None:
    judged(2)
    lines = [as_line(result).plain for result in judged.so_far]
    assert lines[0] == "Checking ... 0 of 2 questions"
    assert any(line.startswith("Checking ... 1 of 2 questions") for line in lines)
    assert lines[-1] == "Checking ... 2 of 2 questions  pass: 2  to do: 1"


def test_no_judge_or_child_is_left(judged: Judged) -> None:
    before = threading.active_count()
    judged(2)
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    assert isinstance(judged.boxes, ForkLauncher)
    assert children.count(str(judged.boxes._process.pid)) == 1
    for _ in range(50):
        if threading.active_count() <= before:
            break
        time.sleep(0.1)
    assert threading.active_count() <= before


def test_a_judge_that_leaves_takes_only_its_own_children_with_it(boxes: Launcher) -> None:
    assert isinstance(boxes, ForkLauncher)
    other = boxes.join()
    mine, theirs = boxes.box(Limits()), other.box(Limits())
    other.close()
    with pytest.raises((Died, Lost)):
        theirs.request({"op": "import", "module": "math"}, 20.0)
    request = {"op": "import", "module": "math"}
    assert mine.request(request, 20.0) == {"n": 1, "ok": None}
    for box in (mine, theirs):
        box.close()


STEPS = """
import importlib.util, sys, torch
from autograder.sandbox.without_compiler import unload
unload()
model = torch.nn.Linear(2, 1)
for kind in (torch.optim.Adam, torch.optim.SGD, torch.optim.RMSprop):
    optimizer = kind(model.parameters(), lr=0.1)
    optimizer.zero_grad()
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    optimizer.load_state_dict(optimizer.state_dict())
assert torch.func.grad(lambda x: (x**2).sum())(torch.ones(2)).tolist() == [2, 2]
x = torch.ones(2, requires_grad=True)
torch.utils.checkpoint.checkpoint(torch.exp, x, use_reentrant=False).sum().backward()
assert torch.equal(x.grad, x.detach().exp())
from torchvision import datasets, transforms
from torchvision.utils import make_grid
assert make_grid(torch.zeros(2, 3, 4, 4)).shape == (3, 8, 14)
assert "torch._dynamo.eval_frame" not in sys.modules, "the compiler was loaded"
assert importlib.util.find_spec("torch._dynamo") is not None
print(model.weight.tolist(), torch.func.vmap(torch.sin)(torch.zeros(2)).tolist())
print(torch.compile(model, backend="eager")(torch.ones(1, 2)).shape, torch._dynamo.config.__name__)
optimizer.step()
"""
PART = """
import sys, torch
from autograder.sandbox.without_compiler import unload
unload()
import torch._dynamo.eval_frame
import torch._dynamo.config
from torch._dynamo import utils
assert torch._dynamo.eval_frame is sys.modules["torch._dynamo.eval_frame"]
assert torch._dynamo.optimize is torch._dynamo.eval_frame.optimize, "it was loaded twice"
assert utils.counters is torch._dynamo.utils.counters and torch._dynamo.config.cache_size_limit
"""


def test_a_part_of_the_compiler_that_is_imported_comes_with_the_whole() -> None:
    done = subprocess.run([sys.executable, "-c", PART], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_ordinary_code_works_without_the_compiler_and_code_that_uses_it_gets_it() -> None:
    code = f"import torch; torch.manual_seed(0)\n{STEPS}"
    light = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert light.returncode == 0, light.stderr
    weights, compiled = light.stdout.splitlines()
    assert compiled == "torch.Size([1, 1]) torch._dynamo.config"
    torch.manual_seed(0)
    model = torch.nn.Linear(2, 1)
    for kind in (torch.optim.Adam, torch.optim.SGD, torch.optim.RMSprop):
        optimizer = kind(model.parameters(), lr=0.1)
        optimizer.zero_grad()
        model(torch.ones(1, 2)).sum().backward()
        optimizer.step()
    assert weights == f"{model.weight.tolist()} [0.0, 0.0]"
