"""A mistake is named only if the answer identifies it."""

from __future__ import annotations

import time

import pytest
import torch

from autograder.generative.checks.public import judge_calls as calls
from autograder.generative.mistakes.hidden import gan_reconstruct
from autograder.generative.mistakes.public import common, labels
from autograder.judging import Draw, Fault, Mistake, Observation, expect_unit_spread
from autograder.judging.statistics import OTHER_SPREAD


def mistake_of(shape: tuple[int, ...], asked: tuple[int, ...]) -> str | None:
    seen = Observation({"out": torch.zeros(shape)})
    with pytest.raises(Fault) as caught:
        seen.tensor("out", asked, mistakes=calls.misshapen(asked))
    return caught.value.mistake


@pytest.mark.parametrize(
    ("shape", "asked", "mistake"),
    [
        ((4, 9), (4, 1, 9), common.MIDDLE_AXIS_MISSING),
        ((4, 28, 28), (4, 1, 28, 28), common.CHANNEL_AXIS_MISSING),
        ((4, 1, 784), (4, 1, 28, 28), common.IMAGES_FLAT),
        ((4, 1, 28, 28), (4, 28, 28), common.CHANNEL_AXIS_ADDED),
        ((4, 784), (4, 28, 28), common.IMAGES_FLAT),
        ((28, 28), (1, 28, 28), common.BATCH_AXIS_LOST),
    ],
)
def test_a_known_wrong_shape_is_named(
    shape: tuple[int, ...], asked: tuple[int, ...], mistake: Mistake
) -> None:
    assert mistake_of(shape, asked) == mistake.id


@pytest.mark.parametrize(
    ("shape", "asked"),
    [
        ((1, 9), (1, 1, 9)),  # the middle axis, or the batch axis of a single image
        ((1, 28, 28), (1, 1, 28, 28)),
        ((5, 9), (4, 1, 9)),
        ((28, 28), (4, 28, 28)),
        ((4, 9, 1), (4, 1, 9)),
    ],
)
def test_a_shape_that_several_mistakes_give_is_not_named(
    shape: tuple[int, ...], asked: tuple[int, ...]
) -> None:
    assert mistake_of(shape, asked) is None


def test_a_length_that_two_mistakes_give_is_not_named() -> None:
    seen = Observation({"losses": [1.0, 2.0]})
    once, twice = Mistake("once", "Once an epoch."), Mistake("twice", "Twice in all.")
    with pytest.raises(Fault) as caught:
        seen.numbers("losses", 6, mistakes=[once.giving(2), twice.giving(2)])
    assert caught.value.mistake is None


@pytest.mark.parametrize("std", [0.5, 0.8, 1.5])
def test_normal_draws_with_another_spread_are_named(std: float) -> None:
    with pytest.raises(Fault) as caught:
        expect_unit_spread(Draw(1).normal(2000, std=std), what="the codes")
    assert caught.value.mistake == OTHER_SPREAD.id


def test_other_draws_are_not_called_normal_with_another_spread() -> None:
    for seed in range(50):
        draw = Draw(seed)
        for values in (
            draw.normal(2000),
            draw.uniform(2000, low=-1),
            draw.uniform(2000, low=-3, high=3),
            draw.normal(2000, std=0.5, mean=1.0),
            draw.normal(2000) * draw.uniform(2000, high=2),
            torch.zeros(2000),
        ):
            expect_unit_spread(values, what="the codes")


@pytest.mark.parametrize(
    ("width", "mistake"),
    [(10, labels.ONE_HOT_FIXED_CLASSES.id), (4, labels.ONE_HOT_CLASSES_FROM_LABELS.id), (7, None)],
)
def test_a_wrong_width_of_one_hot_vectors_is_named(width: int, mistake: str | None) -> None:
    idx = torch.tensor([0, 3, 1])
    with pytest.raises(Fault) as caught:
        calls.expect_onehot(torch.eye(width)[idx], idx, 8)
    assert caught.value.mistake == mistake


class UnknownSearch:
    """A search that no known mistake explains; every comparison takes a while."""

    first: torch.Tensor | None = None
    last: torch.Tensor | None = None
    calls = 500
    steps: int | None = None

    def __init__(self) -> None:
        self.compared = 0

    def fits(self, *_: object, **__: object) -> bool:
        until = time.process_time() + 0.02
        while time.process_time() < until:
            pass
        self.compared += 1
        return False

    fits_rate = hardly_moved = fits

    def samples_changed(self) -> bool:
        return False


@pytest.mark.parametrize(("seconds", "most"), [(0.03, 3), (60.0, 99)])
def test_an_unknown_search_is_compared_with_known_mistakes_for_a_while(
    seconds: float, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gan_reconstruct, "SECONDS", seconds)
    case = UnknownSearch()
    assert gan_reconstruct.mistake_of(case) is None
    assert 1 <= case.compared <= most
    assert (case.compared > 9) == (seconds > 1)
