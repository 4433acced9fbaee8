"""The sandbox holds: a sample of the attacks, graded among honest ones at the machine's best level (all: `make attacks`)."""

from __future__ import annotations

import sys

import pytest

from tests import attack
from tests.attacks.entries import KINDS, read

SAMPLE = (
    "frames-of-odd-form",
    "objects-that-lie",
    "exit-with-status-0",
    "environments-of-others",
    "inherited-descriptors",
    "segmentation-fault",
    "fork-bomb",
    "a-daemon",
    "mounts-and-namespaces",
    "becoming-root",
    "the-network",
    "zip-slip",
    "in-utf16",
    "shadowing-modules",
)
QUESTIONS = ("1-1", "1-3", "1-6", "1-9")  # quick ones, of all modules that the sample touches

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="attacks use what only Linux has")


def test_a_sample_of_attacks_is_held() -> None:
    chosen = [a for a in read() if a.name in SAMPLE]
    assert len(chosen) == len(SAMPLE)
    report = attack.grade(chosen, "auto", questions=QUESTIONS)
    if {result.isolation for result in report.results.values()} == {"process"}:
        pytest.skip("this machine has no isolation that stops attacks")
    assert report.broken == {}
    assert report.around == []


def test_every_attack_is_python_where_it_says_so() -> None:
    for entry in read():
        if entry.name != "not-python":
            for file, text in entry.sources().items():
                compile(text, f"{entry.name}/{file}", "exec")


def test_there_are_attacks_of_every_kind_and_each_has_an_origin() -> None:
    found = read()
    for kind in KINDS:
        assert sum(entry.kind == kind for entry in found) >= 12
    assert all(
        bool(entry.code) == bool(entry.module) and bool(entry.code) != bool(entry.upload) for entry in found
    )
