"""The sandbox holds: a sample of the attacks is graded among honest submissions at the best level here (all: `make attacks`)."""

from __future__ import annotations

import sys

import pytest

from tests.attacks.entries import KINDS, read
from tests.experiments import attack

SAMPLE = (
    "frames-of-odd-form",
    "objects-that-lie",
    "exit-with-status-0",
    "environments-of-others",
    "inherited-descriptors",
    "what-is-mounted",
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
QUESTIONS = ("1-1", "1-3", "1-6", "1-9")  # quick questions, on all modules that the sample changes

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the attacks need Linux")


@pytest.mark.timeout(900)
def test_the_sandbox_holds_against_a_sample_of_attacks() -> None:
    chosen = [a for a in read() if a.name in SAMPLE]
    assert len(chosen) == len(SAMPLE)
    report = attack.grade(chosen, "auto", questions=QUESTIONS)
    if {result.isolation for result in report.results.values()} == {"process"}:
        pytest.skip("this machine has no isolation that stops attacks")
    assert report.broken == {}
    assert report.other_problems == []


def test_every_attack_is_valid_python_unless_it_must_not_be() -> None:
    for entry in read():
        if entry.name != "not-python":
            for file, text in entry.sources().items():
                compile(text, f"{entry.name}/{file}", "exec")


def test_every_kind_has_attacks_and_each_is_either_code_or_an_upload() -> None:
    found = read()
    for kind in KINDS:
        assert sum(entry.kind == kind for entry in found) >= 12
    assert all(
        bool(entry.code) == bool(entry.module) and bool(entry.code) != bool(entry.upload) for entry in found
    )
