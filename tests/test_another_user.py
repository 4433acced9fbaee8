"""Root without the right to make namespaces (most containers): at the level `process`, children run as another user.

The judge runs in a Python that other users can read; the Python that runs these tests may be unreadable for them.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import textwrap
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from autograder.sandbox import fork_launcher, linux, privileges, process_groups

ROOT = Path(__file__).resolve().parents[1]
FIRST = 210_000  # above the user ids of people and services

JUDGE = """
import json, sys
sys.path.insert(0, {root!r})
from tests.test_isolation import run
from autograder.sandbox.launch import Limits, launcher
boxes = launcher("fork", "process")
boxes.isolation
report = {{"same_user": boxes.same_user, "unable": list(boxes.unable)}}
if not boxes.same_user:
    report["seen"] = [run(boxes, code) for code in json.loads({codes!r})]
boxes.close()
print(json.dumps(report))
"""


@cache
def readable_python() -> str | None:
    """A Python of this version whose library other users can read."""
    for path in (sys.executable, shutil.which("python3", path=os.defpath)):
        if path is None:
            continue
        asked = "import os, sys; print(*sys.version_info[:2], os.__file__)"
        done = subprocess.run([path, "-c", asked], capture_output=True, text=True)
        words = done.stdout.split()
        if done.returncode or words[:2] != [str(n) for n in sys.version_info[:2]]:
            continue
        if all(folder.stat().st_mode & 0o001 for folder in Path(words[2]).resolve().parents):
            return path
    return None


@pytest.fixture(scope="module", autouse=True)
def only_as_root_on_linux() -> Iterator[None]:
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root on Linux can change to another user")
    if readable_python() is None:
        pytest.skip("this machine has no Python of this version that other users can read")
    yield


def run_each(*codes: str) -> Any:
    """The value that each function body returns in its own sandbox; one judge runs them all."""
    script = JUDGE.format(root=str(ROOT), codes=json.dumps([textwrap.dedent(code) for code in codes]))
    done = subprocess.run(
        [str(readable_python()), "-c", script],
        env={**os.environ, "PYTHONPATH": sysconfig.get_paths()["purelib"], "AUTOGRADER_ISOLATION": ""},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    if report["same_user"]:
        pytest.skip(f"unavailable on this machine: {report['unable']}")
    return report["seen"]


def processes_of(user: int) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            state = (path / "stat").read_text().rsplit(")", 1)[1].split()[0]
            if path.stat().st_uid == user and state != "Z":
                found.append(path.name)
        except OSError:
            continue
    return found


def test_children_have_no_privilege_and_reach_nothing(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    tmp_path.chmod(0o700)
    (seen,) = run_each(
        f"""
        import os, signal, socket
        status = dict(l.split(":\\t", 1) for l in open("/proc/self/status").read().splitlines() if ":\\t" in l)
        refused = {{}}
        def attempt(name, action):
            try:
                action()
                refused[name] = False
            except OSError:
                refused[name] = True
        attempt("secret", lambda: open({str(tmp_path / "secret.txt")!r}).read())
        attempt("network", lambda: socket.socket(socket.AF_INET))
        attempt("root", lambda: os.setuid(0))
        attempt("parent", lambda: os.kill(os.getppid(), signal.SIGTERM))
        attempt("environment", lambda: open(f"/proc/{{os.getppid()}}/environ").read())
        attempt("memory", lambda: open(f"/proc/{{os.getppid()}}/mem", "rb").read(1))
        attempt("own memory", lambda: open("/proc/self/mem", "rb").read(1))
        attempt("file", lambda: open("/etc/passwd", "a"))
        status = {{k: status[k] for k in ("CapPrm", "CapEff", "CapBnd", "NoNewPrivs", "Uid", "Groups")}}
        return {{"status": status, "refused": refused}}
        """
    )
    assert all(seen["refused"].values()), seen["refused"]
    assert {int(seen["status"][n], 16) for n in ("CapPrm", "CapEff", "CapBnd")} == {0}
    assert seen["status"]["NoNewPrivs"] == "1"
    assert seen["status"]["Groups"].strip() == ""
    assert all(int(uid) >= FIRST for uid in seen["status"]["Uid"].split())


def test_children_work_in_their_own_folder() -> None:
    (seen,) = run_each(
        """
        import os, torch
        with open("note.txt", "w") as f:
            f.write("kept")
        layer = torch.nn.Linear(3, 2)
        layer(torch.ones(4, 3)).sum().backward()
        return {"text": open(os.path.abspath("note.txt")).read(), "grad": layer.bias.grad.tolist()}
        """
    )
    assert seen == {"text": "kept", "grad": [4.0, 4.0]}


def test_a_child_leaves_nothing_behind() -> None:
    name = f"/tmp/left-by-a-child-{os.getpid()}"
    first, second = run_each(
        f"""
        import os, signal, time
        for _ in range(3):
            if os.fork() == 0:
                os.setsid()
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                if os.fork() == 0:
                    time.sleep(600)
                os._exit(0)
        os.mkdir({name!r})
        open({name!r} + "/note", "w").write("for the next one")
        return os.getuid()
        """,
        f"""
        import os
        return {{"uid": os.getuid(), "found": os.path.exists({name!r})}}
        """,
    )
    assert second["found"] is False
    assert second["uid"] != first, "children that run at the same time have different users"
    assert not os.path.exists(name)
    deadline = time.monotonic() + 5
    while processes_of(first) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert processes_of(first) == []


def test_user_ids_are_chosen_among_those_that_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container without a user map, one with 65,536 ids, and one with a single id."""
    for table, low, high, count in (
        ("0 0 4294967295", 210_000, 410_000, 4),
        ("0 1000 1\n1 100000 65535", 20_000, 60_000, 4),
        ("0 1000 1", fork_launcher.NOBODY, fork_launcher.NOBODY + 1, 1),
    ):
        monkeypatch.setattr(Path, "read_text", lambda self, table=table: table)
        users = fork_launcher.ForkLauncher._users()
        assert len(set(users)) == count
        assert all(low <= user < high for user in users), (table, users)


def test_the_user_nobody_does_not_run_code(tmp_path: Path) -> None:
    """The grader must not end processes or remove files that belong to the user `nobody`."""
    assert "too few user ids" in process_groups.another_user([fork_launcher.NOBODY], [], privileges, linux)
