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


def test_false_alarms_and_escapes_are_found_under_every_secret() -> None:
    """Graded together, because each group of judges takes seconds to start."""
    entries = [
        WHEAT,
        CHAFF,
        replace(CHAFF, name="alarm", kind="wheat", questions=()),
        replace(WHEAT, name="missed", kind="chaff", questions=("1-6",)),
        replace(CHAFF, name="renamed", mistakes=("beta-too-small",)),
    ]
    subjects = [stability.Subject(entry, ("1-6",), 2) for entry in entries]
    found: dict[str, list[list[str]]] = {entry.name: [] for entry in entries}
    for subject, _, texts in stability.measure(subjects, jobs=1):
        found[subject.entry.name].append(texts)
    assert found[WHEAT.name] == found[CHAFF.name] == [[], []]
    assert len(found["alarm"]) == len(found["renamed"]) == 2
    for texts in found["alarm"]:
        assert "loses points on 1-6" in texts[0] and "BETA" in texts[-1]
    assert found["missed"] == [["is not caught on 1-6"]] * 2
    assert all("is not recognised" in texts[0] for texts in found["renamed"])


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
