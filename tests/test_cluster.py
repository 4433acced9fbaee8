"""Grading on a cluster: a scheduler and two workers in their own processes, one of which is killed midway."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from autograder.grading import batch, cluster, options
from autograder.model.assignment import assignment

ROOT = Path(__file__).resolve().parents[1]
QUESTIONS = ("1-3", "1-7")
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": str(ROOT),
    "AUTOGRADER_SECRET": "not the course's",  # the instructor's own is sent with each submission
    "DASK_DISTRIBUTED__WORKER__DAEMON": "False",
    "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "10s",
}


class Cluster:
    """A scheduler and its workers, started as an instructor would start them. secured: options for TLS."""

    def __init__(self, folder: Path, secured: Sequence[str] = ()) -> None:
        self.folder, self.secured = folder, secured
        self.file = folder / "scheduler.json"
        options = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(self.file)]
        self.processes = [self._start("scheduler", *options)]
        deadline = time.monotonic() + 60
        # The scheduler creates its file before it writes into it.
        while not (self.file.exists() and self.file.read_text()) and time.monotonic() < deadline:
            time.sleep(0.1)
        self.address = str(json.loads(self.file.read_text())["address"])

    def worker(self, name: str) -> subprocess.Popen[bytes]:
        """Starts a worker in its own folder, without a nanny that would restart it."""
        place = self.folder / name
        place.mkdir()
        options = [
            "--nthreads",
            "1",
            "--no-nanny",
            "--no-dashboard",
            "--name",
            name,
            "--local-directory",
            str(place),
        ]
        self.processes.append(self._start("worker", self.address, *options))
        return self.processes[-1]

    def _start(self, *words: str) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "dask", *words, *self.secured],
                cwd=self.folder,
                env=ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def close(self) -> None:
        for process in reversed(self.processes):
            process.kill()
            process.wait()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Cluster]:
    (tmp_path / "cluster").mkdir()
    made = Cluster(tmp_path / "cluster")
    yield made
    made.close()


def queue(folder: Path, count: int) -> list[options.Job]:
    """Jobs with different submissions. Each takes a while, because one of its modules sleeps when it is imported."""
    found = []
    for number in range(count):
        target = folder / f"student-{number}"
        target.mkdir(parents=True)
        for module in assignment().rubric.modules:
            text = (ROOT / "solutions" / f"{module}.py").read_text()
            slow = "import time\ntime.sleep(1)\n" if module == "autoencoder" else ""
            (target / f"{module}.py").write_text(f"{text}\n{slow}# {number}\n")
        found.append(options.Job(target, target.name, folder / "grades" / f"{target.name}.json"))
    return found


def test_a_worker_that_dies_costs_nothing_but_time(
    running: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOGRADER_SECRET", "the course's")
    victim = running.worker("victim")
    running.worker("survivor")
    chosen = options.GradingOptions(questions=QUESTIONS, isolation="process")
    todo = queue(tmp_path / "class", 5)
    deadline = time.monotonic() + 60
    results = {}
    for number, (job, result) in enumerate(cluster.run(todo, _ready(running, 2, deadline), chosen)):
        results[job.name] = result
        if number == 1:
            os.killpg(victim.pid, signal.SIGKILL)
    assert {name: r.score for name, r in results.items()} == {job.name: 3 for job in todo}
    for job in todo:
        assert job.output is not None
        kept = json.loads(job.output.read_text())
        assert kept["complete"] is True
    # The same as on this machine: the inputs depend on the secret and the submission, not on the worker.
    (_, here), *_ = batch.run(todo[:1], 1, chosen)
    there = results[todo[0].name]
    assert [(v.id, v.status) for v in here.checks] == [(v.id, v.status) for v in there.checks]
    assert here.grader == there.grader
    # A second run sends nothing: all results are known.
    again = options.GradingOptions(questions=QUESTIONS, isolation="process", reuse=True)
    assert {r.seconds for _, r in cluster.run(todo, running.address, again)} == {
        json.loads(job.output.read_text())["seconds"] for job in todo if job.output
    }


def _ready(running: Cluster, count: int, deadline: float) -> str:
    """The cluster's address, once `count` workers have joined."""
    from distributed import Client

    with Client(running.address, timeout="30s", set_as_default=False) as client:  # type: ignore[no-untyped-call]
        client.wait_for_workers(count, timeout=max(1.0, deadline - time.monotonic()))
    return running.address


def test_a_cluster_without_workers_is_reported_in_one_line(running: Cluster, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "autograder",
        "grade",
        str(ROOT / "assignment"),
        "--out",
        str(tmp_path / "out"),
    ]
    done = subprocess.run([*command, "--cluster", running.address], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert "the scheduler has no workers" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_address_where_no_scheduler_answers_is_reported_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cluster, "CONNECT", "1s")
    with pytest.raises(cluster.ClusterError, match="no Dask scheduler answers") as error:
        list(cluster.run([], "tcp://127.0.0.1:9", options.GradingOptions()))
    assert "\n" not in str(error.value)


def test_a_worker_with_another_grader_is_refused(running: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    running.worker("other")
    address = _ready(running, 1, time.monotonic() + 60)
    monkeypatch.setattr(cluster, "grader_digest", lambda: "another")
    with pytest.raises(cluster.ClusterError, match="another version"):
        list(cluster.run([], address, options.GradingOptions()))


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate, and is not here")
def test_grading_over_tls_as_the_guide_says(tmp_path: Path) -> None:
    key, certificate = str(tmp_path / "key.pem"), str(tmp_path / "certificate.pem")
    make = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=course"]
    subprocess.run(
        ["openssl", *make, "-keyout", key, "-out", certificate], check=True, capture_output=True, timeout=60
    )
    files = ["--tls-ca-file", certificate, "--tls-cert", certificate, "--tls-key", key]
    (tmp_path / "cluster").mkdir()
    secured = Cluster(tmp_path / "cluster", [*files, "--protocol", "tls"])
    try:
        assert secured.address.startswith("tls://")
        secured.worker("only")
        command = [sys.executable, "-m", "autograder", "grade", str(ROOT / "solutions"), "-q", "1-3"]
        command += ["--cluster", secured.address, "--out", str(tmp_path / "out"), "--isolation", "process"]
        prefix = "DASK_DISTRIBUTED__COMM__TLS"
        trusted = {
            f"{prefix}__CA_FILE": certificate,
            f"{prefix}__CLIENT__CERT": certificate,
            f"{prefix}__CLIENT__KEY": key,
        }
        refused = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
        assert refused.returncode == 2
        assert "this machine's certificates are not set" in refused.stderr
        assert len(refused.stderr.splitlines()) == 1, refused.stderr
        deadline = time.monotonic() + 60
        while True:  # until the worker has joined
            done = subprocess.run(
                command, cwd=ROOT, capture_output=True, text=True, timeout=120, env={**os.environ, **trusted}
            )
            if "has no workers" not in done.stderr or time.monotonic() > deadline:
                break
        assert done.returncode == 0, done.stderr
        results = json.loads((tmp_path / "out" / "solutions.json").read_text())
        assert {check["status"] for check in results["checks"]} == {"passed"}
    finally:
        secured.close()
