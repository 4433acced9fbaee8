"""What the judge does with an answer is bounded: its size, the time and the memory that judging it takes."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
import torch

from autograder.grading import bounds
from autograder.judging import NoAnswer
from tests.conftest import ROOT


def compute(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_a_check_that_computes_too_long_is_interrupted() -> None:
    began = time.process_time()
    with pytest.raises(NoAnswer, match="too long to judge") as reason, bounds.bounded(0.2):
        compute(5.0)
    assert reason.value.status == "timeout"
    assert time.process_time() - began < 1.0


def test_a_check_cannot_swallow_the_interruption() -> None:
    def stubborn() -> None:
        try:
            compute(5.0)
        except Exception:
            compute(5.0)

    with pytest.raises(NoAnswer, match="too long to judge"), bounds.bounded(0.2):
        stubborn()


def test_waiting_costs_no_time() -> None:
    with bounds.bounded(0.2):
        time.sleep(0.6)


def test_no_interruption_comes_after_the_check() -> None:
    with bounds.bounded(0.3):
        compute(0.25)
    compute(0.4)


@pytest.mark.parametrize("seconds", [5.0, 0.2])
def test_code_after_a_check_can_be_traced(seconds: float) -> None:
    code = f"""
import cProfile, pathlib, time
from autograder.grading import bounds
from autograder.judging import NoAnswer
try:
    with bounds.bounded({seconds}):
        end = time.process_time() + 0.5
        while time.process_time() < end: pass
    print("in time")
except NoAnswer:
    print("too late")
profile = cProfile.Profile()
profile.enable()
pathlib.Path("folder")
profile.disable()
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "in time\n" if seconds > 1 else "too late\n"), done.stderr


def test_a_check_that_needs_too_much_memory_ends_with_a_reason_for_the_student() -> None:
    with pytest.raises(NoAnswer, match="too large to judge") as reason, bounds.bounded(5.0, memory=1 << 28):
        torch.ones(1 << 27)
    assert reason.value.status == "failed"
    assert len(torch.ones(1 << 27)) == 1 << 27


def test_a_list_that_needs_too_much_memory_ends_in_the_same_way() -> None:
    with pytest.raises(NoAnswer, match="too large to judge"), bounds.bounded(20.0, memory=1 << 28):
        _ = [0] * (1 << 27)


def test_other_errors_of_a_check_stay_what_they_are() -> None:
    with pytest.raises(RuntimeError, match="size of tensor"), bounds.bounded(5.0):
        _ = torch.ones(3) + torch.ones(4)


@pytest.mark.parametrize("answer", [{"x": torch.zeros(1).expand(20_000_000)}, {"x": [[0] * 60_000] * 2}])
def test_an_answer_far_larger_than_any_that_is_asked_for_is_not_judged(answer: object) -> None:
    with pytest.raises(NoAnswer, match="too large to judge"):
        bounds.require_moderate(answer)


def test_an_answer_of_the_sizes_that_are_asked_for_is_judged() -> None:
    bounds.require_moderate({"calls": [{"events": [{"noise": torch.zeros(128, 64)}] * 8}] * 2})
