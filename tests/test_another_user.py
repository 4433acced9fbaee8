"""Root at the level `process`: children run as another user, or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from autograder.sandbox import fork_launcher, linux, privileges, process_groups
from autograder.sandbox.box import Died
from autograder.sandbox.launch import Launcher, Limits, Unavailable, launcher
from tests.test_isolation import MUCH_MEMORY, run, running

ROOT = Path(__file__).resolve().parents[1]
FIRST = 210_000  # above the user ids of people and services


@pytest.fixture(scope="module")
def boxes() -> Iterator[Launcher]:
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root on Linux can change to another user")
    made = launcher("fork", "process")
    try:
        assert made.isolation == "process"
    except Unavailable as reason:
        pytest.skip(str(reason))
    yield made
    made.close()


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


def test_children_have_no_privilege_and_reach_nothing(boxes: Launcher, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    tmp_path.chmod(0o700)
    seen = run(
        boxes,
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
        """,
    )
    assert all(seen["refused"].values()), seen["refused"]
    assert {int(seen["status"][n], 16) for n in ("CapPrm", "CapEff", "CapBnd")} == {0}
    assert seen["status"]["NoNewPrivs"] == "1"
    assert seen["status"]["Groups"].strip() == ""
    assert all(int(uid) >= FIRST for uid in seen["status"]["Uid"].split())


def test_children_work_in_their_own_folder(boxes: Launcher) -> None:
    seen = run(
        boxes,
        """
        import os, torch
        with open("note.txt", "w") as f:
            f.write("kept")
        layer = torch.nn.Linear(3, 2)
        layer(torch.ones(4, 3)).sum().backward()
        return {"text": open(os.path.abspath("note.txt")).read(), "grad": layer.bias.grad.tolist()}
        """,
    )
    assert seen == {"text": "kept", "grad": [4.0, 4.0]}


def test_a_child_leaves_nothing_behind(boxes: Launcher) -> None:
    name = f"/tmp/left-by-a-child-{os.getpid()}"
    others = [f"{folder}/left-by-a-child-{os.getpid()}" for folder in process_groups.PUBLIC[1:]]
    first = run(
        boxes,
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
        for other in {others!r}:
            try:
                open(other, "w").close()
            except OSError:
                pass
        return os.getuid()
        """,
    )
    second = run(
        boxes,
        f"""
        import os
        return {{"uid": os.getuid(), "found": os.path.exists({name!r})}}
        """,
    )
    assert second["found"] is False
    assert second["uid"] != first, "children that run at the same time have different users"
    assert not any(map(os.path.exists, (name, *others)))
    deadline = time.monotonic() + 5
    while processes_of(first) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert processes_of(first) == []


def test_user_ids_are_chosen_among_those_that_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container without a user map, one with 65,536 ids, and one with a single id."""
    for table, low, high, count in (
        ("0 0 4294967295", 210_000, 660_000, 9),
        ("0 1000 1\n1 100000 65535", 20_000, 65_000, 9),
        ("0 1000 1", fork_launcher.NOBODY, fork_launcher.NOBODY + 1, 1),
    ):
        monkeypatch.setattr(Path, "read_text", lambda self, table=table: table)
        users = fork_launcher.ForkLauncher._users()
        assert len(set(users)) == count
        assert all(low <= user < high for user in users), (table, users)


def test_the_user_nobody_does_not_run_code(tmp_path: Path) -> None:
    """The grader must not end processes or remove files that belong to the user `nobody`."""
    assert "too few user ids" in process_groups.another_user(
        [fork_launcher.NOBODY], [], str(tmp_path), privileges, linux
    )


def test_no_two_children_that_are_alive_share_a_user(boxes: Launcher) -> None:
    """A reference's process stays while the processes of questions come and go."""
    user = "import os\nreturn os.getuid()"
    with running(boxes, user) as reference:
        others = [run(boxes, user) for _ in range(fork_launcher.TURNS)]
    assert reference not in others


def test_children_see_no_process_of_the_machine(boxes: Launcher) -> None:
    able = subprocess.run(["unshare", "--pid", "--fork", "--mount-proc", "true"], capture_output=True)
    if able.returncode:
        pytest.skip("this machine allows no process namespaces")
    seen = run(
        boxes,
        """
        import os
        return {"own": os.getpid(), "all": [int(p) for p in os.listdir("/proc") if p.isdigit()]}
        """,
    )
    assert sorted(seen["all"]) == [1, seen["own"]]


ROOT_ONLY = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="only root on Linux can change to another user"
)

SIGNALS = """
import os
from autograder.sandbox import linux, process_groups

wait, end = os.pipe()

def start(become):
    ready, started = os.pipe()
    pid = os.fork()
    if pid == 0:
        become()
        os.write(started, b"x")
        os.read(wait, 1)
        os._exit(0)
    os.read(ready, 1)
    return pid

def may_signal(become, pid):
    asked = os.fork()
    if asked == 0:
        become()
        try:
            os.kill(pid, 0)
        except PermissionError:
            os._exit(1)
        os._exit(0)
    return os.waitpid(asked, 0)[1] == 0

def student():
    os.setresuid(209_999, 209_999, 209_999)

def helper():
    process_groups.become_guardian(209_999, 209_998, linux)

first, second = start(student), start(helper)
print(may_signal(helper, first), may_signal(student, second), may_signal(helper, os.getpid()))
os.write(end, b"xx")
"""


@ROOT_ONLY
def test_the_helper_that_ends_a_users_processes_cannot_be_signalled_by_them() -> None:
    done = subprocess.run([sys.executable, "-c", SIGNALS], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "True False False\n", done.stderr


def test_the_processes_of_a_child_cannot_use_more_memory_together_than_one(boxes: Launcher) -> None:
    with pytest.raises(Died, match="SIGKILL"):
        run(boxes, MUCH_MEMORY, limits=Limits(memory=1 << 30))


NO_PROC = """
import os
from types import SimpleNamespace
from autograder.sandbox import linux, namespaces, process_namespace

def mount_proc(*_):
    raise OSError(1, "not here")

try:
    process_namespace.enter([], SimpleNamespace(wait_outside=namespaces.wait_outside, mount_proc=mount_proc), linux)
except OSError as reason:
    print(reason.strerror or reason)
child = os.fork()
if child == 0:
    os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@ROOT_ONLY
def test_where_a_process_namespace_cannot_be_used_processes_start_as_before() -> None:
    """In most containers none can be made; the caller sees no difference."""
    done = subprocess.run([sys.executable, "-c", NO_PROC], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.splitlines() in (["not here", "7"], ["Operation not permitted", "7"]), done.stderr


NO_OTHER_USER = """
from autograder.sandbox import linux
from autograder.sandbox.launch import Unavailable, launcher
from tests.test_isolation import run

linux.prctl(linux.PR_CAPBSET_DROP, 21)  # CAP_SYS_ADMIN: no namespaces, as in most containers
boxes = launcher("fork", "process")
try:
    print(boxes.isolation)
except Unavailable as reason:
    print(str(reason).partition(" (")[0])
boxes = launcher("fork", "process", own_code=True)
code = '''
lines = open("/proc/self/status").read().splitlines()
status = dict(line.split(":\\\\t", 1) for line in lines if ":\\\\t" in line)
return " ".join(status[name] for name in ("CapPrm", "CapEff", "NoNewPrivs", "Seccomp"))
'''
print(run(boxes, code))
boxes.close()
"""


@ROOT_ONLY
def test_where_no_other_user_can_work_root_grades_nothing_and_may_check_its_own_code(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)  # boxes are made here, where no other user can enter
    done = subprocess.run(
        [sys.executable, "-c", NO_OTHER_USER],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    expected = ["student code would run as root here", f"{0:016x} {0:016x} 1 2"]
    assert done.stdout.splitlines() == expected, done.stderr


@ROOT_ONLY
def test_where_no_other_user_can_work_grade_says_so_in_one_line(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    command = ["-m", "autograder", "grade", "solutions", "--isolation", "process", "-q", "1-3"]
    done = subprocess.run(
        [sys.executable, *command, "--out", str(tmp_path / "grades")],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("autograder: student code would run as root here")
    assert f"another user cannot work in {tmp_path} (Permission denied)" in line
    assert "set TMPDIR to a folder that they can enter" in line
