"""The benchmark: every way of training takes the same steps, ratios are taken within rounds, and the parts run."""

import contextlib
import json
import time
from collections import Counter
from functools import partial
from pathlib import Path

import psutil
import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_post_hook

from autograder.grading.judge import ungraded
from tests.experiments import bench, bench_class, bench_training


def steps_of(ways: bench_training.Rounds) -> dict[str, dict[int, int]]:
    """By way: how many optimisers took how many steps."""
    found = {}
    for name, way in ways.items():
        taken: Counter[int] = Counter()
        hook = register_optimizer_step_post_hook(lambda optimizer, *_, t=taken: t.update([id(optimizer)]))
        try:
            way()
        finally:
            hook.remove()
        found[name] = dict(Counter(taken.values()))
    return found


@pytest.mark.parametrize("kind", ["ae", "vae"])
def test_all_ways_to_train_on_digits_take_one_step_a_batch(kind: str) -> None:
    images, labels = torch.rand(200, 1, 28, 28), torch.zeros(200, dtype=torch.long)
    found = steps_of(bench_training.digits(kind, images, labels, "cpu"))
    assert len(found) == 4
    assert all(steps == {3: 1} for steps in found.values()), found


def test_all_ways_to_train_a_dcgan_take_two_steps_a_batch() -> None:
    found = steps_of(bench_training.photographs(torch.rand(300, 3, 32, 32), "cpu"))
    assert len(found) == 3
    assert all(steps == {2: 2} for steps in found.values()), found


def test_ratios_are_taken_within_a_round() -> None:
    waits = {"base": 0.1, "twice": 0.2}
    found = bench.measure({name: partial(time.sleep, s) for name, s in waits.items()}, 3, "base")
    assert found["base"]["ratio"] == 1
    assert 1.5 < found["twice"]["ratio"] < 2.5


def test_the_seconds_of_things_done_at_once_are_those_of_one() -> None:
    found = bench.measure(
        {"base": partial(time.sleep, 0.1), "two": partial(time.sleep, 0.1)}, 3, "base", {"two": 2}
    )
    assert 0.4 < found["two"]["ratio"] < 0.6


def test_a_way_runs_in_as_many_new_processes_as_asked() -> None:
    children = psutil.Process().children
    before = {child.pid for child in children()}
    with contextlib.ExitStack() as pools:
        run = bench._apart(pools, "ours", 2, "ae", None, "cpu", 64)
        run()
        run()
        workers = [child for child in children() if "spawn_main" in " ".join(child.cmdline())]
        assert len({child.pid for child in workers} - before) == 2


def test_simulated_workers_of_a_cluster_work_at_the_same_time(tmp_path: Path) -> None:
    (job,) = bench_class.copies(tmp_path, 1)
    assert 0.1 <= bench_class.dispatched(2, 0.4, ungraded(job)) < 0.4


def test_a_part_is_measured_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "bench.json"
    assert bench.main(["--only", "sandbox", "--rounds", "1", "--out", str(out)]) == 0
    (ways,) = json.loads(out.read_text(encoding="utf-8"))["measured"].values()
    (sandbox,) = (numbers for name, numbers in ways.items() if name.startswith("fresh sandbox"))
    assert sandbox["ratio"] == 1 and 0 < sandbox["seconds"] < ways["python -c 'import torch'"]["seconds"]
    assert "python -c pass" in capsys.readouterr().out


def test_an_unknown_part_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        bench.main(["--only", "gradings"])
    assert ended.value.code == 2
    assert "the parts are check, grading, class, host, sandbox, training" in capsys.readouterr().err
