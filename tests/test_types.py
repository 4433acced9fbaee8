"""The types are right: the type checker runs as a test, beside others, because it uses one core for half a minute."""

from __future__ import annotations

import subprocess
import sys

from tests.conftest import ROOT


def test_the_type_checker_finds_nothing() -> None:
    done = subprocess.run([sys.executable, "-m", "mypy"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
