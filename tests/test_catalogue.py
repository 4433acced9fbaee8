"""The catalogue of mistakes and the chaffs agree: every mistake has a chaff, every chaff names its mistake or says why not."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from autograder.judging import Mistake
from autograder.judging.catalogue import all_mistakes
from autograder.model.assignment import assignment
from tests import corpus

CATALOGUE = all_mistakes(assignment())
CHAFFS = corpus.read("chaff")


def test_every_mistake_has_a_chaff() -> None:
    named = {id for entry in [*CHAFFS, *corpus.read("wheat")] for id in entry.mistakes}
    assert sorted({m.id for m in CATALOGUE} - named) == []


def test_every_chaff_names_a_declared_mistake_or_says_why_not() -> None:
    known = {m.id for m in CATALOGUE}
    assert [c.name for c in CHAFFS if set(c.mistakes) - known] == []
    assert [c.name for c in CHAFFS if not c.mistakes and len(c.unnamed.split()) < 3] == []


def test_a_mistake_is_declared_for_the_questions_of_its_chaffs() -> None:
    questions = {m.id: m.questions for m in CATALOGUE}
    wrong = [
        (chaff.name, id)
        for chaff in CHAFFS
        for id in chaff.mistakes
        if questions[id] and not set(chaff.questions) & set(questions[id])
    ]
    assert wrong == []


def test_questions_of_mistakes_are_in_the_rubric() -> None:
    known = {q.id for q in assignment().rubric.auto}
    assert {q for m in CATALOGUE for q in m.questions} <= known


@pytest.mark.parametrize("mistake", CATALOGUE, ids=lambda m: m.id)
def test_a_mistake_reads_as_one_sentence_without_measured_values(mistake: Mistake) -> None:
    assert mistake.sentence.endswith((".", "?")), mistake.sentence
    assert not re.search(r"\{|\d\.\d{4,}", mistake.sentence), "a value that was filled in or measured"


def test_no_two_mistakes_of_a_question_have_the_same_sentence() -> None:
    pairs = Counter((m.sentence, q) for m in CATALOGUE for q in m.questions)
    assert [pair for pair, count in pairs.items() if count > 1] == []
