"""Stability: wheats and chaffs really graded under two secrets, and what counts as a false alarm or an escape."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests import corpus
from tests.experiments import stability

WHEAT = next(e for e in corpus.read("wheat") if e.name == "beta-from-the-bound")
CHAFF = next(e for e in corpus.read("chaff") if e.name == "beta-one")


def wrong(*entries: corpus.Entry) -> list[tuple[str, int, list[str]]]:
    """The wrong verdicts on question 1-6 under two secrets, in order."""
    subjects = [stability.Subject(entry, ("1-6",), 2) for entry in entries]
    return sorted((s.entry.name, i, texts) for s, i, texts in stability.measure(subjects, jobs=1))


def test_a_wheat_keeps_its_marks_and_a_chaff_is_caught_under_every_secret() -> None:
    assert wrong(WHEAT, CHAFF) == [
        ("beta-from-the-bound", 0, []),
        ("beta-from-the-bound", 1, []),
        ("beta-one", 0, []),
        ("beta-one", 1, []),
    ]


def test_a_wheat_that_loses_points_is_a_false_alarm_with_its_feedback() -> None:
    found = wrong(replace(CHAFF, kind="wheat", questions=()))
    assert len(found) == 2
    assert all("loses points on 1-6" in texts[0] and "BETA" in texts[-1] for _, _, texts in found)


def test_a_chaff_that_is_not_caught_or_has_another_name_is_an_escape() -> None:
    missed = replace(WHEAT, name="missed", kind="chaff", questions=("1-6",))
    renamed = replace(CHAFF, name="renamed", mistakes=("beta-too-small",))
    found = wrong(missed, renamed)
    assert [texts for name, _, texts in found if name == "missed"] == [["is not caught on 1-6"]] * 2
    assert all("is not recognised" in texts[0] for name, _, texts in found if name == "renamed")


def test_a_run_goes_on_where_an_earlier_one_was_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    subject = stability.Subject(WHEAT, ("1-6",), 3)
    monkeypatch.setattr(stability, "wheats", lambda secrets: [subject])
    keep = tmp_path / "right.csv"
    of_another_grader = "beta-from-the-bound,2,0123456789abcdef"
    keep.write_text(f"{','.join(stability.row(subject, 1))}\n{of_another_grader}\n")
    options = ["stability", "--secrets", "3", "--chaffs", "0", "--jobs", "1", "--keep", str(keep)]
    monkeypatch.setattr(sys, "argv", options)
    for _ in range(2):  # the second run has nothing left to grade
        with pytest.raises(SystemExit) as ended:
            stability.main()
        assert ended.value.code == 0
        assert "3 gradings of correct submissions: 0 false alarms" in capsys.readouterr().out
        rows = [tuple(line.split(",")) for line in keep.read_text().split()]
        assert rows[2:] == [stability.row(subject, 0), stability.row(subject, 2)]


def test_the_chaffs_are_spread_over_modules_and_questions() -> None:
    entries = [subject.entry for subject in stability.chaffs(secrets=20)]
    assert len(entries) == len({e.name for e in entries}) == 60
    assert {e.questions for e in entries} == {e.questions for e in corpus.read("chaff")}
    assert entries == [subject.entry for subject in stability.chaffs(secrets=20)]
