"""The sandbox at each level that this machine allows: what code in it can see, do and leave behind."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from autograder.grading import sandboxed
from autograder.sandbox import fork_launcher, privileges, syscalls
from autograder.sandbox.box import Died
from autograder.sandbox.launch import LEVELS, Launcher, Limits, Unavailable, launcher

ROOT = Path(__file__).resolve().parents[1]
ISOLATED = [pytest.param(level, id=level) for level in ("full", "user")]
KIT = "standing_in = set()\ndevice = 'cpu'\n"


class Launchers:
    """One launcher per level, made at its first use."""

    def __init__(self) -> None:
        self._made: dict[str, Launcher | Unavailable] = {}

    def at(self, level: str) -> Launcher:
        if level not in self._made:
            try:
                made = launcher("fork", level)
                assert made.isolation == level
                self._made[level] = made
            except Unavailable as reason:
                self._made[level] = reason
        found = self._made[level]
        if isinstance(found, Unavailable):
            pytest.skip(str(found))
        return found

    def close(self) -> None:
        for made in self._made.values():
            if not isinstance(made, Unavailable):
                made.close()


@pytest.fixture(scope="module")
def launchers() -> Iterator[Launchers]:
    if sys.platform != "linux":
        pytest.skip("levels above process need Linux")
    made = Launchers()
    yield made
    made.close()


def run(boxes: Launcher, code: str, seconds: float = 30.0, limits: Limits | None = None) -> Any:
    """The value that a function with the body `code` returns in a fresh box, or the answer without one: {"raised": ...}."""
    with running(boxes, code, seconds, limits) as answer:
        return answer


@contextmanager
def running(boxes: Launcher, code: str, seconds: float = 30.0, limits: Limits | None = None) -> Iterator[Any]:
    """What `run` returns, while the box is still alive."""
    box = boxes.box(limits or Limits())
    try:
        source = "def f():\n" + textwrap.indent(textwrap.dedent(code), "    ")
        sources = {"kit": KIT, "probes.p": source}
        compiled = {name: sandboxed._compiled(name, text) for name, text in sources.items()}
        prepare = {
            "op": "prepare",
            "files": {},
            "empty": ["x.py"],
            "code": compiled,
            "kit": "kit",
            "probes": [],
            "replaced": [],
            "stand_ins": {},
            "own": [],
            "device": "cpu",
        }
        assert "ok" in box.request(prepare, 30.0)
        answer = box.request({"op": "probe", "module": "probes.p", "function": "f", "inputs": {}}, seconds)
        yield answer.get("ok", answer)
    finally:
        box.close()


@pytest.mark.parametrize("level", ISOLATED)
def test_code_has_no_privilege(launchers: Launchers, level: str) -> None:
    seen = run(
        launchers.at(level),
        """
        import os
        status = dict(l.split(":\\t", 1) for l in open("/proc/self/status").read().splitlines() if ":\\t" in l)
        return {"status": status, "groups": os.getgroups(), "uid": os.getuid()}
        """,
    )
    status = seen["status"]
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[name], 16) == 0, name
    assert status["NoNewPrivs"] == "1"
    if platform.machine() in syscalls.ARCHITECTURES:
        assert status["Seccomp"] == "2"
    if level == "full":
        uid = seen["uid"]
        assert uid >= fork_launcher.FIRST_USER or fork_launcher.FEW_FIRST <= uid <= fork_launcher.NOBODY
        assert seen["groups"] == []


@pytest.mark.parametrize("level", ISOLATED)
def test_code_sees_python_and_nothing_else_of_the_machine(
    launchers: Launchers, level: str, tmp_path: Path
) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    seen = run(
        launchers.at(level),
        f"""
        import os
        found = []
        for root in ({str(ROOT)!r}, {str(tmp_path)!r}, "/home", "/tmp", "/var/tmp", "/etc", "/dev/shm", "/run"):
            for folder, _, names in os.walk(root):
                if ".venv" not in folder.split("/") and "site-packages" not in folder:
                    found += [os.path.join(folder, n) for n in names]
        return {{"files": found, "processes": [p for p in os.listdir("/proc") if p.isdigit()]}}
        """,
    )
    allowed = {"/etc/passwd", "/etc/group", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/localtime"}
    others = [
        f
        for f in seen["files"]
        if f not in allowed and not f.startswith(("/etc/ld.so.conf.d/", "/etc/alternatives/"))
    ]
    assert [f for f in others if not f.startswith(sys.prefix)] == []
    assert len(seen["processes"]) == 2  # itself and the process that keeps its namespace alive


@pytest.mark.parametrize("level", ISOLATED)
def test_a_hidden_folder_is_empty_wherever_it_is(launchers: Launchers, level: str) -> None:
    """For example a grader in site-packages, or a course's folder below /usr."""
    launchers.at(level)
    hidden = Path(pytest.__file__).parent
    boxes = launcher("fork", level, [hidden])
    try:
        seen = run(
            boxes,
            f"""
            import os
            try:
                open({str(hidden / "note")!r}, "w")
                note = "written"
            except OSError:
                note = "refused"
            return {{"files": os.listdir({str(hidden)!r}), "beside": len(os.listdir({str(hidden.parent)!r})), "note": note}}
            """,
        )
    finally:
        boxes.close()
    assert (seen["files"], seen["note"]) == ([], "refused")
    assert seen["beside"] > 10


@pytest.mark.parametrize("level", ISOLATED)
@pytest.mark.parametrize(
    "call",
    [
        "socket.socket(socket.AF_INET, socket.SOCK_STREAM)",
        "socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)",
        "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
        "os.setuid(0) if os.getuid() else os.setuid(1)",
        "os.chroot('/tmp')",
        "os.mkdir('/new')",
        "open('/usr/new', 'w')",
        "open('/etc/passwd', 'a')",
        "os.kill(1, 9) or libc(62 if x86 else 129, 1, 0) or open('/proc/1/environ').read()",
        "libc(272 if x86 else 97, 0x10000000)",  # unshare
        "libc(165 if x86 else 40, b'none', b'/tmp', b'tmpfs', 0, 0)",  # mount
        "libc(101 if x86 else 117, 16, 1, 0, 0)",  # ptrace
        "libc(56 if x86 else 220, 0x10000011, 0, 0, 0, 0)",  # clone with a user namespace
        "libc(435, b'\\0' * 88, 88)",  # clone3
        "libc(250 if x86 else 219, 0, 0, 0, 0)",  # keyctl
        "libc(321 if x86 else 280, 0, b'\\0' * 64, 64)",  # bpf
        "libc(425, 8, b'\\0' * 120)",  # io_uring_setup
        "os.kill(-1, 0)",
        "os.memfd_create('memory')",
        "libc(29 if x86 else 194, 0, 4096, 0o1600)",  # shmget
        "libc(68 if x86 else 186, 0, 0o1600)",  # msgget
        "libc(248 if x86 else 217, b'user', b'note', b'x', 1, -3)",  # add_key
    ],
)
def test_calls_that_reach_outside_are_refused(launchers: Launchers, level: str, call: str) -> None:
    seen = run(
        launchers.at(level),
        f"""
        import ctypes, errno, os, platform, socket
        x86 = platform.machine() == "x86_64"
        def libc(*arguments):
            done = ctypes.CDLL(None, use_errno=True).syscall(*arguments)
            if done < 0:
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
            return done
        try:
            {call}
        except OSError as error:
            return {{"refused": errno.errorcode[error.errno]}}
        return {{"refused": None}}
        """,
    )
    assert seen["refused"] in ("EPERM", "EACCES", "EROFS", "ENOSYS", "EINVAL")


@pytest.mark.parametrize("level", ISOLATED)
def test_nothing_is_left_for_the_next_box(launchers: Launchers, level: str) -> None:
    leave = """
        for folder in ("/tmp", "/dev/shm", "/box"):
            open(f"{folder}/note", "w").write("note")
        return {"left": True}
        """
    find = """
        import os
        files = [f for f in ("/tmp", "/dev/shm", "/box") if os.path.exists(f"{f}/note")]
        return {"files": files}
        """
    boxes = launchers.at(level)
    assert run(boxes, leave) == {"left": True}
    assert run(boxes, find) == {"files": []}


@pytest.mark.parametrize("level", ISOLATED)
def test_boxes_of_one_fork_server_cannot_meet_in_a_socket(launchers: Launchers, level: str) -> None:
    listen = """
        import builtins, socket
        builtins.kept = socket.socket(socket.AF_UNIX)
        kept.bind("\\0meeting")
        kept.listen()
        return {"listening": True}
        """
    connect = """
        import socket
        try:
            socket.socket(socket.AF_UNIX).connect("\\0meeting")
        except ConnectionRefusedError:
            return {"met": False}
        return {"met": True}
        """
    boxes = launchers.at(level)
    with running(boxes, listen) as first:
        assert first == {"listening": True}
        assert run(boxes, connect) == {"met": False}


@pytest.mark.parametrize("level", LEVELS)
def test_every_process_is_dead_when_its_box_is_closed(launchers: Launchers, level: str) -> None:
    before = {p.pid for p in psutil.process_iter()}
    boxes = launchers.at(level)
    assert run(
        boxes,
        """
        import os, time
        for _ in range(5):
            if os.fork() == 0:
                os.setsid()
                if os.fork() == 0:
                    time.sleep(60)
                os._exit(0)
        return {"forked": True}
        """,
    ) == {"forked": True}
    # The fork server's namespace has one process of its own, and the child that waits for its turn is two.
    own = 1 if level == "process" else 3
    fork_server = boxes._process.pid  # type: ignore[attr-defined]
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        children = psutil.Process(fork_server).children(recursive=True)
        left = [p for p in children if p.pid not in before and _alive(p)]
        if len(left) <= own:
            break
        time.sleep(0.05)
    assert len(left) <= own


def _alive(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:  # it ended after it was listed
        return False


def numbers_in_namespaces(process: psutil.Process) -> list[int]:
    """The process's id in this namespace, then in each nested one (Linux: NSpid of proc_pid_status(5))."""
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
    (line,) = (line for line in status.splitlines() if line.startswith("NSpid:"))
    return [int(number) for number in line.split()[1:]]


@pytest.mark.parametrize("level", ISOLATED)
def test_a_child_that_ended_while_it_waited_for_its_turn_is_replaced(
    launchers: Launchers, level: str
) -> None:
    boxes = launchers.at(level)
    assert run(boxes, "return {'n': 1}") == {"n": 1}
    fork_server = psutil.Process(boxes._process.pid)  # type: ignore[attr-defined]
    deadline, waiting = time.monotonic() + 20, list[psutil.Process]()
    while time.monotonic() < deadline:  # until the previous child has ended and the next one waits
        before, waiting = waiting, fork_server.children(recursive=True)
        if len(waiting) == 3 and waiting == before:
            break
        time.sleep(0.5)
    # Process 2 of the innermost namespace would answer. (Not the one with the largest id out here: ids start over.)
    ended = [p for p in waiting if numbers_in_namespaces(p)[2:] == [2]]
    assert len(waiting) == 3 and len(ended) == 1
    ended[0].kill()
    psutil.wait_procs(ended, 5)
    time.sleep(0.2)  # until the fork server has reported it
    assert run(boxes, "return {'n': 2}") == {"n": 2}


@pytest.mark.parametrize("level", LEVELS)
def test_code_that_ends_its_process_again_and_again_costs_no_waiting(
    launchers: Launchers, level: str
) -> None:
    boxes = launchers.at(level)
    assert run(boxes, "return {'n': 1}") == {"n": 1}
    fork_server = boxes._process.pid  # type: ignore[attr-defined]
    for _ in range(4):
        with pytest.raises(Died, match="status 3"):
            run(boxes, "import os\nos._exit(3)")
    assert run(boxes, "return {'n': 2}") == {"n": 2}
    # A judge that loses the notice of the next process waits half a minute for it, and starts the fork server anew.
    assert boxes._process.pid == fork_server  # type: ignore[attr-defined]


@pytest.mark.parametrize("level", LEVELS)
def test_each_box_has_the_limits_that_were_asked_for(launchers: Launchers, level: str) -> None:
    boxes = launchers.at(level)
    ask = "import resource\nreturn {'size': resource.getrlimit(resource.RLIMIT_FSIZE)[0]}"
    for size in (1 << 20, 2 << 20, 2 << 20):
        assert run(boxes, ask, limits=Limits(file_size=size)) == {"size": size}


@pytest.mark.parametrize("level", LEVELS)
def test_memory_is_limited(launchers: Launchers, level: str) -> None:
    code = """
        try:
            block = bytearray(1 << 31)
        except MemoryError:
            return {"refused": True}
        return {"refused": False}
        """
    assert run(launchers.at(level), code, limits=Limits(memory=1 << 30)) == {"refused": True}


def test_beside_a_gpu_memory_is_limited_and_address_space_is_not() -> None:
    """A GPU's driver reserves as much address space as the machine has memory, and does not start where it may not."""
    code = """
        import mmap
        from autograder.sandbox import privileges
        privileges.limit({"memory": 1 << 30, "file_size": 1 << 20, "gpu": True})
        mmap.mmap(-1, 1 << 37, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=mmap.PROT_READ)
        try:
            bytearray(1 << 31)
        except MemoryError:
            print("limited")
        """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout == "limited\n", done.stderr


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU that code in the sandbox can use")
def test_a_gpu_that_code_cannot_reach_is_reported_before_anything_is_graded() -> None:
    """Checks of devices would otherwise pass whatever they are given."""
    boxes = launcher("fork", "process", gpu=True, own_code=True)
    with pytest.raises(
        Unavailable, match=r"\(process: the GPU cannot be used there; leave out --device cuda: \w+: "
    ):
        assert boxes.isolation


# Eight processes that use 400 MB each.
MUCH_MEMORY = """
import os, time
for _ in range(8):
    if os.fork() == 0:
        block = bytearray(os.urandom(1 << 20)) * 400
        time.sleep(20)
        os._exit(0)
time.sleep(20)
return {"ended": False}
"""


@pytest.mark.parametrize("level", ISOLATED)
def test_many_processes_together_cannot_use_more_memory_than_one(
    launchers: Launchers, level: str, monkeypatch: Any
) -> None:
    with pytest.raises(Died, match="SIGKILL"):
        run(launchers.at(level), MUCH_MEMORY, limits=Limits(memory=1 << 30))


WATCHED = """
from autograder.sandbox.box import Died
from autograder.sandbox.launch import Limits, launcher
from tests.test_isolation import MUCH_MEMORY, run
boxes = launcher("fork", {level!r})
assert boxes.isolation == {level!r}
try:
    print(run(boxes, MUCH_MEMORY, limits=Limits(memory=1 << 30)))
except Died as death:
    print(death)
"""


@pytest.mark.parametrize("level", ["full", "process"])
def test_memory_is_watched_in_a_container_that_may_not_look_into_other_users_processes(
    launchers: Launchers, level: str
) -> None:
    """Containers lack these capabilities unless they are given."""
    launchers.at(level)  # skips where it is unavailable
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("only root, with setpriv, can start a grader with fewer capabilities")
    less = "-sys_ptrace,-perfmon" if level == "full" else "-sys_ptrace,-perfmon,-sys_admin"
    command = ["setpriv", f"--bounding-set={less}", sys.executable, "-c", WATCHED.format(level=level)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    if "student code would run as root here" in done.stderr:
        pytest.skip("without namespaces, no other user can run this Python: " + done.stderr.splitlines()[-1])
    assert "SIGKILL" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("level", ISOLATED)
def test_code_cannot_hide_its_processes_from_the_watch(launchers: Launchers, level: str) -> None:
    hide = "import ctypes\nctypes.CDLL(None).prctl(4, 0, 0, 0, 0)\n"  # PR_SET_DUMPABLE
    with pytest.raises(Died, match="SIGKILL"):
        run(launchers.at(level), hide + MUCH_MEMORY.strip(), limits=Limits(memory=1 << 30))


def test_processes_that_cannot_be_looked_into_count_with_all_that_they_use(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read = Path.read_text

    def refused(self: Path, *arguments: Any, **more: Any) -> str:
        if self.name == "smaps_rollup":
            raise PermissionError(13, "Permission denied")
        return read(self, *arguments, **more)

    monkeypatch.setattr(Path, "read_text", refused)
    own = [str(os.getpid())]
    assert privileges.use(own, 0) > 50 << 20
    assert str(os.getppid()) not in privileges.descendants({os.getpid()})
    assert own[0] in privileges.descendants({os.getppid()})


# A folder in a folder, a thousand times and more: deeper than Python recurses, and than a path may be long.
DEEP = """
import os
for place in {places!r}:
    os.makedirs(place, exist_ok=True)
    os.chdir(place)
    for _ in range(1500):
        os.mkdir("deep")
        os.chdir("deep")
return {{"uid": os.getuid()}}
"""


@pytest.mark.parametrize("level", LEVELS)
def test_folders_nested_without_end_stop_nobody(launchers: Launchers, level: str) -> None:
    boxes = launchers.at(level)
    places = [".", "/tmp/nested"] if level != "process" or os.geteuid() == 0 else ["."]
    before = set(Path(tempfile.gettempdir()).glob("box-*"))
    first = run(boxes, DEEP.format(places=places), 60.0)
    assert run(boxes, "return {'alive': True}") == {"alive": True}
    assert first["uid"] >= 0
    left = set(Path(tempfile.gettempdir()).glob("box-*")) - before
    assert not [path for path in left if (path / "deep").exists()]
    assert not Path("/tmp/nested").exists()


@pytest.mark.parametrize("level", ["full"])
def test_processes_that_are_about_to_end_take_no_place_from_the_next_submission(
    launchers: Launchers, level: str
) -> None:
    user = "import os\nreturn os.getuid()"
    boxes = launchers.at(level)
    with running(boxes, user) as one, running(boxes, user) as other:
        assert one != other
    assert len({run(boxes, user) for _ in range(4)}) == 4


@pytest.mark.parametrize("level", ISOLATED)
def test_code_has_no_variable_of_the_graders(launchers: Launchers, level: str) -> None:
    code = """
        import os
        try:
            text = open("/proc/self/environ").read()  # what the process was started with
        except OSError:
            text = ""
        return {"names": sorted(os.environ), "text": text}
        """
    seen = run(launchers.at(level), code)
    assert seen["names"] == ["HOME", "MPLBACKEND", "PATH", "TMPDIR", "TORCHDYNAMO_DISABLE", "USER"]
    assert "AUTOGRADER" not in seen["text"]


@pytest.mark.parametrize("level", LEVELS)
def test_a_process_is_made_ahead_only_where_code_cannot_reach_it(launchers: Launchers, level: str) -> None:
    boxes = launchers.at(level)
    assert isinstance(boxes, fork_launcher.ForkLauncher)
    run(boxes, "return 1")
    assert (boxes._spare is not None) == (level != "process")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root is refused")
def test_root_cannot_grade_with_processes_of_its_own_account() -> None:
    with pytest.raises(Unavailable, match="AUTOGRADER_START is spawn"):
        launcher("spawn")


@pytest.mark.parametrize("level", ISOLATED)
@pytest.mark.parametrize(
    ("resource", "code"),
    [
        (
            "processes",
            "for _ in range(200):\n    if os.fork() == 0:\n        time.sleep(20)\n        os._exit(0)\n"
            "time.sleep(20)",  # where they are counted now and then, it must still be there to be ended
        ),
        (
            "threads",
            "for _ in range(200):\n    threading.Thread(target=time.sleep, args=(5,), daemon=True).start()",
        ),
        ("descriptors", "kept = [open('/dev/null') for _ in range(1000)]"),
        ("disk", "for i in range(9):\n    open(f'/tmp/{i}', 'wb').write(b'x' * (32 << 20))"),
        ("inodes", "for i in range(9000):\n    open(f'/tmp/{i}', 'w').close()"),
        (
            "a file's size",
            "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\nopen('/box/f', 'wb').truncate(1 << 30)",
        ),
    ],
)
def test_scarce_resources_are_limited(launchers: Launchers, level: str, resource: str, code: str) -> None:
    if resource == "threads" and level == "user" and os.getuid() == 0:
        pytest.skip("root's threads are not limited in a user namespace; too many processes are still ended")
    body = "import os, signal, threading, time\ntry:\n" + textwrap.indent(code, "    ")
    body += (
        "\nexcept (OSError, RuntimeError) as error:\n    return {'refused': True}\nreturn {'refused': False}"
    )
    try:
        assert run(launchers.at(level), body) == {"refused": True}, resource
    except Died as death:
        assert resource == "processes" and "SIGKILL" in str(death)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has capabilities")
def test_an_unavailable_level_is_refused_in_one_line() -> None:
    """As in most containers: root without the right to make namespaces."""
    code = (
        "from autograder.sandbox import launch, linux\n"
        "linux.bound_capabilities()\nlinux.drop_capabilities()\n"
        "launch.launcher('fork', 'full').isolation\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert (
        "this isolation is unavailable on this machine (full: unshare: Operation not permitted)"
        in done.stderr
    )


def test_unknown_levels_are_refused() -> None:
    with pytest.raises(ValueError, match="it can be auto, full, user, process"):
        launcher(isolation="total")


def test_the_filter_is_well_formed_for_both_architectures() -> None:
    """Every jump of the filter stays inside it, and every path ends in a decision."""
    for machine in syscalls.ARCHITECTURES:
        code = syscalls.program(machine)
        count = len(code) // 8
        for i in range(count):
            kind, yes, no = code[8 * i] | code[8 * i + 1] << 8, code[8 * i + 2], code[8 * i + 3]
            if kind & 0x07 == 0x05:
                assert i + 1 + max(yes, no) < count
        assert code[8 * (count - 1)] == syscalls.RETURN
