"""`make gpu`, tried on the CPU: its parts run, tell right from wrong, and end in time; without a GPU it says so."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tests import corpus
from tests.experiments import gpu, gpu_parts
from tests.experiments.gpu_parts import Row, Settings

CPU = Settings("cpu")


def chaff(name: str) -> corpus.Entry:
    return next(entry for entry in corpus.read("chaff") if entry.name == name)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu.main([]) == 2
    printed = capsys.readouterr().out
    assert printed.startswith("No GPU") and printed.count("\n") == 1


def test_there_are_chaffs_about_devices_in_every_module() -> None:
    found = [c for c in corpus.read("chaff") if gpu_parts.ABOUT_DEVICES & set(c.mistakes)]
    assert {c.module for c in found} == {"autoencoder", "vae", "cvae", "gan"}
    assert {id for c in found for id in c.mistakes} >= gpu_parts.ABOUT_DEVICES


def test_a_device_chaff_is_caught_and_another_verdict_than_expected_is_wrong() -> None:
    entry = chaff("onehot-on-the-cpu")
    (right,) = gpu_parts.graded("chaffs", [entry], CPU)
    assert right.right and right.seen == "so", right
    assert right.wanted == "caught on 1-8: one-hot-on-cpu"
    (wrong,) = gpu_parts.graded("chaffs", [replace(entry, questions=("1-9",))], CPU)
    assert not wrong.right and "is not caught on 1-9" in wrong.seen


def test_an_epoch_of_each_training_is_timed() -> None:
    rows = list(gpu_parts.training(CPU, iterations=1, most=256))
    assert [row.what.partition(",")[0] for row in rows] == list(gpu_parts.TRAININGS)
    for row in rows:
        assert row.right, row
        assert row.seconds and row.cpu_seconds


def test_the_command_prints_a_table_and_its_exit_status(capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu.main(["--device", "cpu", "--part", "check"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("On the CPU") and printed.endswith("1 right, 0 wrong\n")
    assert gpu.main(["--device", "cpu", "--part", "check", "--minutes", "0.01"]) == 1
    assert "stopped after 1 s" in capsys.readouterr().out


def test_what_is_wrong_is_shown() -> None:
    rows = [
        Row("chaffs", "a", "caught", "is not caught on 1-2", False, 1.5),
        Row("grade", "b", "", "so", True),
    ]
    table = gpu.shown(rows, "cpu")
    assert "WRONG" in table and "1.50" in table and table.endswith("1 right, 1 wrong")
