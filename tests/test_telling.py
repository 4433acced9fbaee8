"""A mistake is named only where the answer is surely a sign of it."""

from __future__ import annotations

import pytest
import torch

from autograder.checks.public import telling
from autograder.judging import Draw, Fault, Mistake, Observation, expect_unit_spread


def diagnosis_of(shape: tuple[int, ...], asked: tuple[int, ...]) -> str | None:
    seen = Observation({"out": torch.zeros(shape)})
    with pytest.raises(Fault) as caught:
        seen.tensor("out", asked, mistakes=telling.misshapen(asked))
    return caught.value.diagnosis


@pytest.mark.parametrize(
    ("shape", "asked", "says"),
    [
        ((4, 9), (4, 1, 9), "middle axis"),
        ((4, 28, 28), (4, 1, 28, 28), "channel axis is missing"),
        ((4, 1, 784), (4, 1, 28, 28), "flat"),
        ((4, 1, 28, 28), (4, 28, 28), "channel axis where none"),
        ((4, 784), (4, 28, 28), "flat"),
        ((28, 28), (1, 28, 28), "batch axis"),
    ],
)
def test_a_known_wrong_shape_is_named(shape: tuple[int, ...], asked: tuple[int, ...], says: str) -> None:
    assert says in (diagnosis_of(shape, asked) or "")


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
def test_a_shape_that_several_mistakes_lead_to_is_not_named(
    shape: tuple[int, ...], asked: tuple[int, ...]
) -> None:
    assert diagnosis_of(shape, asked) is None


def test_a_length_that_two_mistakes_give_is_not_named() -> None:
    seen = Observation({"losses": [1.0, 2.0]})
    with pytest.raises(Fault) as caught:
        seen.numbers("losses", 6, mistakes=[Mistake(2, "Once an epoch."), Mistake(2, "Twice in all.")])
    assert caught.value.diagnosis is None


@pytest.mark.parametrize("std", [0.5, 0.8, 1.5])
def test_normal_draws_of_another_spread_are_named(std: float) -> None:
    with pytest.raises(Fault) as caught:
        expect_unit_spread(Draw(1).normal(2000, std=std), what="the codes")
    assert f"about {std:.2g}" in (caught.value.diagnosis or "")


def test_other_draws_are_not_called_normal_of_another_spread() -> None:
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


def test_classes_of_one_hot_vectors_are_named_by_their_number() -> None:
    labels = torch.tensor([0, 3, 1])
    for width, says in [(10, "10"), (4, "largest label"), (7, None)]:
        with pytest.raises(Fault) as caught:
            telling.expect_onehot(torch.eye(width)[labels], labels, 8)
        assert says is None or says in (caught.value.diagnosis or "")
        assert says is not None or caught.value.diagnosis is None
