"""Wheats get full marks; chaffs lose points on their own question and on no other. CORPUS=all grades all, not a sample."""

from __future__ import annotations

import os

import pytest

from autograder.model.assignment import assignment
from tests import corpus

WHEATS, CHAFFS = corpus.read("wheat"), corpus.read("chaff")
ALL = os.environ.get("CORPUS") == "all"
COMBINATIONS, UNFINISHED = corpus.combinations(), corpus.unfinished()
SAMPLE = (
    [*WHEATS, *CHAFFS, *COMBINATIONS, *UNFINISHED]
    if ALL
    else [*corpus.sample(WHEATS, 6, 1), *corpus.sample(CHAFFS, 13, 1), *COMBINATIONS[:1], *UNFINISHED[:1]]
)


# Chaffs of the sample that are graded on every question that their edits can affect; the others on their own alone.
WHOLE = 3


@pytest.mark.parametrize("entry", SAMPLE, ids=lambda entry: f"{entry.kind}-{entry.name}")
def test_the_verdict_is_right(entry: corpus.Entry) -> None:
    chaffs = [other for other in SAMPLE if other.kind == "chaff"]
    alone = entry in chaffs[WHOLE:] and not ALL
    ((_, result),) = corpus.grade([entry], jobs=1, question=entry.questions[0] if alone else None)
    assert corpus.complaints(entry, result) == []


def test_every_edit_of_the_corpora_fits_the_reference() -> None:
    for entry in [*WHEATS, *CHAFFS, *COMBINATIONS, *UNFINISHED]:
        for file, text in entry.sources().items():
            compile(text, f"{entry.name}/{file}", "exec")


def test_every_auto_graded_question_has_chaffs() -> None:
    assert {q for e in CHAFFS for q in e.questions} == {q.id for q in assignment().rubric.auto}
