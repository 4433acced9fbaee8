"""The installer (`autograder/support/install.py`): which PyTorch it takes, and what it does where an index cannot be reached."""

from __future__ import annotations

import functools
import http.server
import os
import subprocess
import sys
import threading
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

INSTALLER = Path(__file__).resolve().parents[1] / "autograder" / "support" / "install.py"
# In place of uv: notes its arguments, and fails for the PyTorch builds named in FAILS.
RECORDING_UV = """
import os, sys
with open(os.environ["NOTES"], "a") as notes:
    notes.write(" ".join(sys.argv[1:]) + "\\n")
backend = sys.argv[sys.argv.index("--torch-backend") + 1] if "--torch-backend" in sys.argv else "pypi"
sys.exit(backend in os.environ["FAILS"].split())
"""


def install(python: str | Path, *packages: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("UV_", "PIP_", "TORCH_"))}
    return subprocess.run(
        [str(python), str(INSTALLER), *packages],
        env={**kept, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=100,
    )


@pytest.mark.parametrize(
    ("fails", "chosen", "asked", "status", "words"),
    [
        ("", "", ["auto"], 0, "Installed in"),
        ("auto", "", ["auto", "pypi"], 0, "large (about 5 GB)"),
        ("", "cpu", ["cpu"], 0, "Installed in"),
        ("cpu", "cpu", ["cpu"], 1, "TORCH_BACKEND=pypi takes the default PyTorch"),
        ("", "pypi", ["pypi"], 0, "Installed in"),
    ],
    ids=["reachable", "unreachable", "by hand", "by hand, unreachable", "the default by hand"],
)
def test_pytorch_fits_the_machine_and_a_choice_by_hand_is_kept(
    tmp_path: Path, fails: str, chosen: str, asked: list[str], status: int, words: str
) -> None:
    (tmp_path / "uv.py").write_text(RECORDING_UV)
    notes = tmp_path / "notes"
    done = install(
        sys.executable,
        *("-c", "constraints.txt", "-e", "."),
        PYTHONPATH=str(tmp_path),
        NOTES=str(notes),
        FAILS=fails,
        TORCH_BACKEND=chosen,
    )
    assert done.returncode == status and words in done.stdout
    lines = notes.read_text().splitlines()
    backends = ["--torch-backend " + name if name != "pypi" else "" for name in asked]
    start = f"pip install --python {sys.executable}"
    assert lines == [" ".join(f"{start} {part} -c constraints.txt -e .".split()) for part in backends]


@pytest.fixture
def index(tmp_path: Path) -> Iterator[str]:
    """The address of a package index that has a PyTorch of one line."""
    folder = tmp_path / "index" / "torch"
    folder.mkdir(parents=True)
    name = "torch-9.9-py3-none-any.whl"
    with zipfile.ZipFile(folder / name, "w") as wheel:
        info = "torch-9.9.dist-info"
        wheel.writestr("torch.py", "__version__ = '9.9'\n")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: torch\nVersion: 9.9\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", f"torch.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    (folder / "index.html").write_text(f'<a href="{name}">{name}</a>')
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def test_where_pytorchs_index_cannot_be_reached_the_default_one_is_used(tmp_path: Path, index: str) -> None:
    """With the real uv: PyTorch's index lies behind a proxy that does not answer, the default one does not."""
    uv = pytest.importorskip("uv", reason="the package uv is not installed")
    made = tmp_path / "made"
    venv.create(made, with_pip=False)
    python = made / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    environment = {
        "PYTHONPATH": str(Path(uv.__file__).parents[1]),
        "UV_DEFAULT_INDEX": index,
        "UV_NO_CACHE": "1",
        "HTTPS_PROXY": "http://127.0.0.1:9",
        "NO_PROXY": "127.0.0.1",
    }
    done = install(python, "torch", **environment)
    assert "perhaps PyTorch's own index cannot be reached" in done.stdout
    assert done.returncode == 0 and "; made takes 0." in done.stdout, done.stdout
    code = "import torch; print(torch.__file__, torch.__version__)"
    found = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True).stdout
    assert found.startswith(str(made)) and found.split()[1] == "9.9"
