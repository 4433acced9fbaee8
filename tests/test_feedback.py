"""What students read about a fault: a name where one is known, and no cause twice. A sample of `make feedback`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import corpus
from tests.experiments import feedback

CHAFFS = {entry.name: entry for entry in corpus.read("chaff")}


@pytest.mark.parametrize(
    "name", ["kl-arguments-swapped", "train-sgd", "gan-bce-mse", "encoder-with-leaky-relu"]
)
def test_a_fault_is_caught_and_named_publicly(name: str, tmp_path: Path) -> None:
    told = feedback.told(CHAFFS[name], str(tmp_path))
    assert told.caught and told.named
    assert not told.wrong
    assert not told.repeats
    assert told.lines < 40


def test_the_table_counts_faults_by_question() -> None:
    chaff = CHAFFS["gan-bce-mse"]
    one = feedback.Told(chaff, caught=True, named=True, wrong=(), lines=9, repeats=0)
    other = feedback.Told(chaff, caught=False, named=False, wrong=(), lines=0, repeats=0)
    assert "| 2-1a | 2 | 1 (50%) | 1 (100%) | 9 | 9 | 0 |" in feedback.table([one, other])
