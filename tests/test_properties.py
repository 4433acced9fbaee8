"""Checks over many inputs report the smallest case that fails, and never report a student's randomness as the grader's fault."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import strategies as st

from autograder.judging import Draw, Fault, Mistake, NoAnswer
from autograder.judging.properties import SHRINKS, for_all

LARGE = Mistake("number-large", "The number is large.")


def fault(seen: object, mistake: Mistake | None = None) -> Fault:
    return Fault(expected="another", seen=str(seen), mistake=mistake)


def test_the_smallest_failing_case_is_reported() -> None:
    def body(n: int, rows: list[int]) -> None:
        if n >= 17 and len(rows) >= 2:
            raise fault((n, rows))

    numbers = st.integers(0, 1000)
    with pytest.raises(Fault) as caught:
        for_all(Draw(1), body, examples=50, n=numbers, rows=st.lists(numbers, max_size=9))
    assert caught.value.seen == "(17, [0, 0])"


def cases(seed: int) -> list[int]:
    tried: list[int] = []
    for_all(Draw(seed), lambda n: tried.append(n), n=st.integers(0, 10**6))
    return tried


def test_the_first_and_the_last_class_are_among_several_labels() -> None:
    for seed in range(200):
        for classes in (1, 2, 10):
            labels = Draw(seed).labels(classes, 2 + seed % 4)
            assert {0, classes - 1} <= set(labels.tolist()) <= set(range(classes))
    assert {int(Draw(seed).labels(3, 1)) for seed in range(50)} == {0, 1, 2}


def test_the_same_seed_gives_the_same_cases() -> None:
    assert cases(1) == cases(1)
    assert cases(1) != cases(2)
    assert len(cases(1)) > 8


def test_two_searches_of_one_check_have_different_cases() -> None:
    draw, first, second = Draw(1), [0], [0]
    for tried in (first, second):
        for_all(draw, lambda n, tried=tried: tried.append(n), n=st.integers(0, 10**6))
    assert first != second


def test_cases_do_not_depend_on_the_modules_that_are_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    from hypothesis.internal.conjecture import providers

    def refuse() -> None:
        raise AssertionError("the sources of loaded modules were read")

    monkeypatch.setattr(providers, "_get_local_constants", refuse, raising=False)
    for_all(Draw(1), lambda n: None, examples=100, n=st.integers(0, 10**6))


def test_a_property_that_holds_passes_and_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    for_all(Draw(1), lambda n: None, n=st.integers())
    with pytest.raises(Fault):
        for_all(Draw(1), lambda n: fail_at(n), n=st.integers(0, 10**6))
    assert capfd.readouterr() == ("", "")


def fail_at(n: int) -> None:
    raise fault(n)


@pytest.mark.parametrize("seed", range(20))
def test_a_random_failure_is_reported_as_it_was_seen(seed: int) -> None:
    chance = random.Random(seed)

    def body(n: int) -> None:
        if chance.random() < 0.4:
            raise fault(n)

    with pytest.raises(Fault, match="expected another; seen"):
        for_all(Draw(seed), body, examples=50, n=st.integers(0, 1000))


def test_a_failure_that_occurs_once_is_reported() -> None:
    calls: list[int] = []

    def body(n: int) -> None:
        calls.append(n)
        if len(calls) == 3:
            raise fault(n)

    with pytest.raises(Fault):
        for_all(Draw(1), body, n=st.integers(0, 1000))


@pytest.mark.parametrize("status", ["timeout", "error", "missing"])
def test_the_search_ends_at_once_without_an_answer(status: Any) -> None:
    calls: list[int] = []

    def body(n: int) -> None:
        calls.append(n)
        if len(calls) > 2:
            raise NoAnswer(status, "no answer", "")

    with pytest.raises(NoAnswer) as caught:
        for_all(Draw(1), body, n=st.integers(0, 1000))
    assert caught.value.status == status
    assert len(calls) == 3


def test_the_case_of_a_students_exception_is_made_smaller_too() -> None:
    def body(n: int) -> None:
        if n > 5:
            raise NoAnswer("failed", f"the code raised at {n}", "")

    with pytest.raises(NoAnswer, match="raised at 6"):
        for_all(Draw(1), body, examples=50, n=st.integers(0, 1000))


def test_the_search_for_a_smaller_case_is_bounded() -> None:
    calls: list[int] = []

    def body(rows: list[int]) -> None:
        calls.append(len(rows))
        if sum(rows) > 10**7:
            raise fault(rows)

    with pytest.raises(Fault):
        for_all(Draw(1), body, examples=10, rows=st.lists(st.integers(0, 10**9), min_size=30, max_size=60))
    assert len(calls) <= 10 + SHRINKS + 1


def test_a_mistake_that_was_recognised_stays_named() -> None:
    def body(n: int) -> None:
        if n > 400:
            raise fault(n, LARGE)
        if n > 380:
            raise fault(n)

    with pytest.raises(Fault) as caught:
        for_all(Draw(3), body, examples=50, n=st.integers(0, 1000))
    assert (caught.value.mistake, caught.value.seen) == ("number-large", "401")


def test_an_error_of_the_check_itself_is_not_hidden() -> None:
    def body(n: int) -> None:
        raise KeyError(n)

    with pytest.raises(KeyError):
        for_all(Draw(1), body, n=st.integers(0, 1000))


def test_no_file_is_written(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Fault):
        for_all(Draw(1), fail_at, n=st.integers(0, 10**6))
    assert list(tmp_path.iterdir()) == []
