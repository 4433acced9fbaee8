"""The image that a host builds from the upload zip, and containers made from it (Linux, root, debootstrap)."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import resource
import shutil
import subprocess
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
SANDBOX = HERE.parents[2] / "autograder" / "sandbox"
# How this machine reaches its package registries; the image gets the same settings.
CONFIGURATION = ("/etc/pip.conf", "/root/.config/pip", "/root/.config/uv", "/etc/resolv.conf", "/etc/hosts")
CERTIFICATES, BUNDLE = "/etc/ssl/certs/ca-certificates.crt", "/etc/this-machine.crt"
VARIABLES = ("PIP_", "UV_INDEX", "UV_DEFAULT", "SSL_", "REQUESTS_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
# A container's own processes, devices and files. $1 is its root, the rest is the command that runs in it.
ENTER = r"""
set -e
root=$1; shift
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t tmpfs -o mode=755 dev "$root/dev"
for name in null zero full random urandom; do touch "$root/dev/$name"; mount --bind "/dev/$name" "$root/dev/$name"; done
mkdir -m 1777 "$root/dev/shm"; mount -t tmpfs -o size=64m,mode=1777 shm "$root/dev/shm"
ln -s /proc/self/fd "$root/dev/fd"; ln -s fd/0 "$root/dev/stdin"; ln -s fd/1 "$root/dev/stdout"; ln -s fd/2 "$root/dev/stderr"
cd "$root"
exec chroot "$root" "$@"
"""
OVER = r"""
set -e
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$2/root"
shift 2
"""
NAMESPACES = (
    "unshare",
    "--mount",
    "--pid",
    "--ipc",
    "--uts",
    "--fork",
    "--kill-child",
    "--propagation",
    "private",
)


class Unsupported(RuntimeError):
    """This machine cannot simulate the host; the message says why."""


@dataclass(frozen=True)
class Run:
    """One run in a container: its files afterwards, what it printed, seconds, and the most memory it used (bytes or None)."""

    root: Path
    status: int
    output: str
    seconds: float
    peak: int | None


class Image:
    """A Debian system with the upload zip laid out as Gradescope does; a context that removes it."""

    def __init__(self, archive: Path, report: Callable[[str], None]) -> None:
        for program in ("debootstrap", "unshare", "chroot"):
            if shutil.which(program) is None:
                raise Unsupported(f"{program} is not installed")
        if os.geteuid() != 0:
            raise Unsupported("only root can make containers")
        self._folder = Path(tempfile.mkdtemp(prefix="host-"))
        self.root = self._folder / "image"
        report("Installing a small Debian")
        command = ["debootstrap", "--variant=minbase", _suite(), str(self.root)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise Unsupported(f"debootstrap failed: {(done.stdout + done.stderr).strip()[-400:]}")
        self._configure()
        with zipfile.ZipFile(archive) as content:
            content.extractall(self.root / "autograder" / "source")
        for folder in ("submission", "results"):
            (self.root / "autograder" / folder).mkdir()
        source = self.root / "autograder" / "source"
        for name in ("setup.sh", "run_autograder"):
            (source / name).chmod(0o755)
        shutil.copy(source / "run_autograder", self.root / "autograder" / "run_autograder")
        shutil.copytree(SANDBOX, self.root / "contain", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(HERE / "contain.py", self.root / "contain")
        (self.root / "contain").chmod(0o700)

    def __enter__(self) -> Image:
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def set_up(self) -> Run:
        """Runs setup.sh, as root, in the image itself."""
        return self._inside(self.root, ["/autograder/source/setup.sh"], [], None, None)

    def grade(
        self, place: Callable[[Path], None], memory: int | None = None, cores: float | None = None
    ) -> Iterator[Run]:
        """Grades one upload in a fresh container; a generator of one run, whose files exist until it is closed.

        place: puts the upload into a folder, and may put submission_metadata.json beside it.
        memory, cores: the container's limits, in bytes and cores.
        """
        folder = Path(tempfile.mkdtemp(prefix="container-", dir=self._folder))
        try:
            for name in ("upper", "work", "root"):
                (folder / name).mkdir()
            upload = folder / "upper" / "autograder" / "submission"
            upload.mkdir(parents=True)
            place(upload)
            command = [
                "/opt/grader/bin/python",
                "/contain/contain.py",
                "/contain",
                "/autograder/run_autograder",
            ]
            yield self._inside(folder / "root", command, [str(self.root), str(folder)], memory, cores)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _inside(
        self, root: Path, command: Sequence[str], over: Sequence[str], memory: int | None, cores: float | None
    ) -> Run:
        script = (OVER if over else "") + ENTER
        more = {k: v for k, v in os.environ.items() if k.upper().startswith(VARIABLES)}
        environment = {**more, "PATH": os.defpath + ":/sbin:/usr/sbin", "HOME": "/root", "LANG": "C.UTF-8"}
        if (self.root / BUNDLE.lstrip("/")).exists():
            environment.update(dict.fromkeys(("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"), BUNDLE))
        began = time.monotonic()
        with _group(memory, cores) as group, tempfile.TemporaryFile("w+", errors="replace") as output:
            if not over:  # the image itself: it sees the folders of this machine that its configuration names
                script = (
                    "".join(
                        f'mkdir -p "{root}{p}"; mount --rbind "{p}" "{root}{p}"\n' for p in _local_folders()
                    )
                    + script
                )
            process = subprocess.Popen(
                [*NAMESPACES, "bash", "-c", script, "container", *over, str(root), *command],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                preexec_fn=group.enter,
            )
            status = process.wait()
            seconds = time.monotonic() - began
            output.seek(0)
            printed, peak = output.read(), group.peak()
        files = Path(over[1]) / "upper" if over else root
        return Run(files, status, printed, seconds, peak)

    def _configure(self) -> None:
        for name in CONFIGURATION:
            path, target = Path(name), Path(f"{self.root}{name}")
            if path.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                (shutil.copytree if path.is_dir() else shutil.copy)(path, target)
        # The image's own package of certificates overwrites its folder of certificates, so this machine's are stored elsewhere.
        if Path(CERTIFICATES).is_file():
            shutil.copy(CERTIFICATES, f"{self.root}{BUNDLE}")


def _suite() -> str:
    """This machine's Debian release, whose packages it can reach, or else a recent one."""
    words = Path("/etc/os-release").read_text(encoding="utf-8")
    match = re.search(r"^VERSION_CODENAME=(\w+)$", words, re.MULTILINE)
    return match[1] if match and "ID=debian" in words else "bookworm"


def _local_folders() -> list[str]:
    """Folders of this machine that the package managers' configuration names (such as a mirror on disk)."""
    found: set[str] = set()
    for name in CONFIGURATION:
        files = [p for p in [Path(name), *Path(name).glob("**/*")] if p.is_file()]
        for text in [p.read_text(encoding="utf-8", errors="replace") for p in files]:
            found |= set(re.findall(r"(?:file://|[\s=])(/[\w.-]+/[\w./-]+)", text))
    return sorted(p.rstrip("/") for p in found if Path(p).is_dir())


class _Group:
    """The control groups that limit and measure a container; version 1 only, otherwise nothing."""

    def __init__(self, memory: int | None, cores: float | None) -> None:
        self._name = f"container-{os.getpid()}-{time.monotonic_ns()}"
        self._folders: list[Path] = []
        for controller, settings in (
            ("memory", {"memory.limit_in_bytes": memory, "memory.memsw.limit_in_bytes": memory}),
            (
                "cpu",
                {"cpu.cfs_period_us": 100_000, "cpu.cfs_quota_us": int(100_000 * cores) if cores else None},
            ),
        ):
            folder = Path("/sys/fs/cgroup", controller, self._name)
            with contextlib.suppress(OSError):
                folder.mkdir()
                self._folders.append(folder)
                for name, value in settings.items():
                    if value is not None:
                        with contextlib.suppress(FileNotFoundError, PermissionError):
                            (folder / name).write_text(str(value))

    @property
    def limits(self) -> bool:
        return len(self._folders) == 2

    def enter(self) -> None:
        """In the child: everything it starts is counted here."""
        for folder in self._folders:
            (folder / "cgroup.procs").write_text(str(os.getpid()))

    def peak(self) -> int | None:
        """The most memory in use at one time, without caches."""
        for folder in self._folders:
            with contextlib.suppress(OSError):
                return int((folder / "memory.max_usage_in_bytes").read_text())
        usage = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        return None if platform.system() != "Linux" else usage << 10

    def close(self) -> None:
        for folder in self._folders:
            with contextlib.suppress(OSError):
                folder.rmdir()


@contextlib.contextmanager
def _group(memory: int | None, cores: float | None) -> Iterator[_Group]:
    group = _Group(memory, cores)
    try:
        yield group
    finally:
        group.close()
