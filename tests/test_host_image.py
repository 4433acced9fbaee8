"""Gradescope, simulated: setup.sh and run_autograder run as root in an image and in containers (see tests/experiments/host)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.experiments.host import image

ROOT = Path(__file__).resolve().parents[1]
CANNOT = 2  # exit status: this machine cannot simulate the host


@pytest.mark.timeout(1500)
def test_uploads_have_the_right_results() -> None:
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root on Linux can make containers")
    if shutil.which("debootstrap") is None:
        pytest.skip("debootstrap is not installed")
    done = subprocess.run(
        [sys.executable, "-m", "tests.experiments.host", "--few"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == CANNOT:
        pytest.skip(f"this machine cannot simulate the host: {done.stdout.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert "14 of 14 uploads have the right result." in done.stdout


def test_a_machine_that_cannot_simulate_the_host_says_why(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(image.Unsupported, match="is not installed"):
        image.Image(tmp_path / "any.zip", print)
