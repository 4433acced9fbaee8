"""The trained reference: loops that are fast and mean the same, checkpoints, the data at hand, the rule of the beta study."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from click.testing import CliRunner

from autograder.checks.hidden import test_vae as beta_check
from autograder.cli import main
from autograder.study import handout, losses, runs, sources, sweep, training
from autograder.study.reference import modules
from tests.test_real_data import CIFAR_FILE, needs_cifar

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def seeded() -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(7)
        yield


def parameters(model: torch.nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def images(count: int) -> torch.Tensor:
    return torch.rand(count, 1, 28, 28)


def test_an_epoch_serves_full_batches_of_different_examples_in_a_new_order() -> None:
    batches = training.Batches((torch.arange(23), torch.arange(23) * 10), 5)
    first, second = list(batches), list(batches)
    assert len(batches) == 4
    assert [len(x) for x, _ in first] == [5, 5, 5, 5]
    seen = torch.cat([x for x, _ in first])
    assert len(set(seen.tolist())) == 20
    assert all(torch.equal(x * 10, y) for x, y in first)
    assert not torch.equal(seen, torch.cat([x for x, _ in second]))


def test_a_set_smaller_than_a_batch_is_one_batch() -> None:
    assert [len(x) for (x,) in training.Batches((torch.arange(3),), 64)] == [3]


def test_the_cross_entropy_of_logits_and_its_gradient_are_pytorchs_own() -> None:
    logits = torch.cat([torch.randn(500) * 10, torch.tensor([0.0, 100.0, -100.0])]).requires_grad_()
    targets = torch.cat([torch.rand(500), torch.tensor([0.3, 0.0, 1.0])])
    both = []
    for loss_of in (losses.cross_entropy, F.binary_cross_entropy_with_logits):
        loss = 3 * loss_of(logits, targets)  # the factor: a gradient comes from beyond
        both.append((loss.detach(), *torch.autograd.grad(loss, logits)))
    torch.testing.assert_close(both[0], both[1], rtol=1e-6, atol=1e-9)
    assert torch.autograd.gradcheck(
        lambda z: losses.cross_entropy(z, targets[:20].double()),
        logits[:20].detach().double().requires_grad_(),
    )


def test_small_numbers_count_as_zero_in_all_threads_until_the_end() -> None:
    code = """if True:
        import torch
        from autograder.study.training import small_numbers_as_zero
        torch.set_num_threads(2)
        with small_numbers_as_zero():
            print((torch.full((1_000_000,), 1e-30) * 1e-10).count_nonzero().item())
        print(bool(torch.tensor(1e-30) * 1e-10))"""
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["0", "True"]


@pytest.mark.parametrize("command", ["figures", "sweep"])
def test_small_numbers_count_as_zero_while_a_command_trains(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def product() -> bool:
        return bool(torch.tensor(1e-30) * 1e-10)

    seen = []

    def digits(root: Path | None, offline: bool) -> sources.Digits:
        seen.append(product())
        raise sources.NoData("none")

    monkeypatch.setattr(sources, "digits", digits)
    assert CliRunner().invoke(main, [command, "--offline", "--device", "cpu"]).exit_code == 2
    assert seen == [False] and product()


@pytest.mark.parametrize("kind", ["ae", "vae", "cvae"])
def test_the_fast_loop_trains_as_the_students_loop(kind: str) -> None:
    given = modules()
    student = {
        "ae": given.autoencoder.train_autoencoder,
        "vae": given.vae.train_vae,
        "cvae": given.cvae.train_cvae,
    }[kind]
    x, labels = images(40), torch.arange(40) % 10
    plan = runs.Plan(kind, kind, 2, 0.1)
    plain = runs.build(plan, "cpu")
    history = student(plain, training.Batches((x, labels), 8), 2, runs.RATE)
    fast = runs.build(plan, "cpu")
    step, names = runs.objective(kind, fast)
    trained = training.train(
        training.Minimise(fast, step, names, runs.RATE), training.Batches((runs.flat(x), labels), 8), 2
    )
    expected = {"rec_loss": history} if kind == "ae" else history
    assert set(trained.curves) == set(expected)
    for name, values in expected.items():
        assert trained.curves[name] == pytest.approx(values, rel=1e-4, abs=1e-7)
    torch.testing.assert_close(parameters(fast), parameters(plain), rtol=1e-3, atol=1e-5)
    assert not torch.allclose(parameters(fast), parameters(runs.build(plan, "cpu")), atol=1e-3)


@pytest.mark.parametrize("kind", ["dcgan", "dcgan-spectral"])
def test_the_fast_gan_step_is_the_training_step(kind: str) -> None:
    # In float64: Adam's first steps have the gradient's sign, which rounding decides where a float32 gradient is nearly zero.
    real = torch.rand(3, 8, 3, 32, 32, dtype=torch.float64)
    plain, fast = (runs.build(runs.Plan(kind, kind, 1), "cpu").double() for _ in range(2))
    torch.manual_seed(1)
    expected = [plain.training_step(batch) for batch in real]
    torch.manual_seed(1)
    steps = training.Adversarial(fast)
    steps.begin_epoch()
    found = [steps.step(batch) for batch in real]
    for pair, numbers in zip(found, expected, strict=True):
        assert [float(value) for value in pair] == pytest.approx(numbers, rel=1e-4)
    torch.testing.assert_close(parameters(fast), parameters(plain), rtol=1e-6, atol=1e-7)
    for (name, here), there in zip(fast.named_buffers(), plain.buffers(), strict=True):
        torch.testing.assert_close(here, there, rtol=1e-6, atol=1e-7, msg=name)


class Interrupted(Exception):
    pass


@pytest.mark.parametrize("kind", ["vae", "dcgan"])
def test_an_interrupted_training_goes_on_and_ends_as_one_that_was_not(kind: str, tmp_path: Path) -> None:
    plan = runs.Plan(kind, kind, 3, 0.1)
    x = images(64) if kind == "vae" else torch.rand(64, 3, 32, 32)

    def whole(checkpoint: Path | None, progress: Any = lambda done: None) -> tuple[Any, training.Trained]:
        model = runs.build(plan, "cpu")
        steps: training.Steps
        if kind == "vae":
            steps = training.Minimise(model, *runs.objective(kind, model), runs.RATE)
            batches = training.Batches((runs.flat(x), torch.zeros(64)), 8)
        else:
            steps, batches = training.Adversarial(model), training.Batches((x,), 16)
        trained = training.train(steps, batches, 3, checkpoint=checkpoint, progress=progress)
        return model, trained

    calm, expected = whole(None)
    told = []

    def stop(done: int) -> None:
        told.append(done)
        if len(told) == 2:  # in the second epoch
            raise Interrupted

    with pytest.raises(Interrupted):
        whole(tmp_path / "x.pt", stop)
    torch.manual_seed(12345)
    torch.rand(3)
    again: list[int] = []
    model, trained = whole(tmp_path / "x.pt", again.append)
    assert torch.equal(parameters(model), parameters(calm))
    assert trained.curves == expected.curves
    assert sum(again) == len(next(iter(expected.curves.values())))
    # A third run has nothing left to train.
    began = trained.seconds
    assert whole(tmp_path / "x.pt")[1] == training.Trained(expected.curves, began)


def test_a_checkpoint_of_other_settings_or_a_damaged_one_is_not_used(tmp_path: Path) -> None:
    plan = runs.Plan("vae", "vae", 1, 0.1)
    file = tmp_path / "x.pt"

    def losses(seed: int) -> list[float]:
        model = runs.build(plan, "cpu", seed)
        steps = training.Minimise(model, *runs.objective("vae", model), runs.RATE)
        batches = training.Batches((runs.flat(x), torch.zeros(16)), 8)
        return training.train(steps, batches, 1, checkpoint=file, settings={"seed": seed}).curves["rec_loss"]

    x = images(16)
    first = losses(1)
    assert losses(2) != first
    file.write_bytes(b"no checkpoint")
    assert losses(1) == first


def test_the_accepted_interval_is_where_the_bound_is_near_its_best_and_samples_are_clear() -> None:
    # By hand: the bound's bar is 120, crossed half-way (in the logarithm) between 0.01 and 0.1, and at 10.
    nats = {0.001: 300, 0.01: 130, 0.1: 110, 1: 100, 10: 120, 100: 500}
    clear = dict.fromkeys(nats, 0.5)
    assert sweep.interval(nats, clear) == (0.03, 10)
    # At least two thirds of 0.6 are asked: half-way between 0.1 and 1.
    unclear = {0.001: 0.1, 0.01: 0.1, 0.1: 0.2, 1: 0.6, 10: 0.6, 100: 0.0}
    assert sweep.interval(nats, unclear) == (0.3, 10)
    with pytest.raises(ValueError, match="wider range"):
        sweep.interval({0.01: 130, 0.1: 100, 1: 110}, {0.01: 0.5, 0.1: 0.5, 1: 0.5})


def test_there_is_no_interval_where_the_best_beta_itself_has_too_few_clear_samples() -> None:
    nats = {0.001: 300, 0.01: 130, 0.1: 100, 1: 130, 10: 500}
    clear = {0.001: 0.4, 0.01: 0.4, 0.1: 0.3, 1: 0.9, 10: 0.1}
    with pytest.raises(ValueError, match=r"too few samples are clear at the best beta, 0\.1"):
        sweep.interval(nats, clear)


def test_the_sweep_trains_measures_and_draws_each_beta(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "betas", lambda: [0.001, 0.03, 1.0])
    words = ["sweep", "--offline", "--device", "cpu", "--epochs", "1", "--seeds", "1", "--jobs", "1"]
    told = CliRunner().invoke(main, [*words, "--out", str(tmp_path)])
    assert told.exit_code == 0, told.output
    points = json.loads((tmp_path / "sweep.json").read_text(encoding="utf-8"))["points"]
    assert [point["beta"] for point in points] == [0.001, 0.03, 1.0]
    kl, rec = [point["kl"] for point in points], [point["rec"] for point in points]
    assert kl[0] > kl[1] > kl[2] and rec[0] < rec[1] < rec[2]  # what beta is there for
    assert all((tmp_path / name).stat().st_size > 3000 for name in ("sweep.png", "sweep-samples.png"))
    assert (tmp_path / "sweep.md").read_text(encoding="utf-8").strip() in told.output


def test_the_check_accepts_what_the_sweep_says() -> None:
    record = json.loads((ROOT / "docs" / "results" / "sweep.json").read_text(encoding="utf-8"))
    points = [sweep.Point(**point) for point in record["points"]]
    assert {p.beta for p in points} == set(sweep.betas())
    assert all(p.nats == pytest.approx(784 * p.rec + 32 * p.kl) for p in points)
    found = sweep.interval(sweep.means(points, "nats"), sweep.means(points, "clear"))
    assert found == (beta_check.LOW, beta_check.HIGH)
    assert beta_check.LOW < modules().vae.BETA < beta_check.HIGH
    assert beta_check.LOW < 32 / 784 < beta_check.HIGH


def test_the_sweep_is_even_on_a_logarithmic_scale() -> None:
    values = torch.tensor(sweep.betas()).log10()
    assert (values[0].item(), values[-1].item()) == pytest.approx((-3, 0))
    assert values.diff().tolist() == pytest.approx([0.25] * 12, abs=2e-3)


def test_missing_data_is_one_line_that_names_the_folder(tmp_path: Path) -> None:
    batches = tmp_path / sources.CIFAR
    batches.mkdir()
    (batches / "data_batch_1").write_bytes(b"not a batch")
    with pytest.raises(sources.NoData, match="data_batch_1: not CIFAR-10's own file") as caught:
        sources.photographs(tmp_path, False)
    assert "\n" not in str(caught.value)
    told = CliRunner().invoke(main, ["figures", "--data", str(tmp_path / "nowhere")])
    assert told.exit_code == 2
    assert told.output.count("\n") == 1 and "nowhere: no such folder" in told.output


@needs_cifar
def test_the_batches_that_are_there_are_taken(tmp_path: Path) -> None:
    import lzma

    batches = tmp_path / sources.CIFAR
    batches.mkdir()
    (batches / "data_batch_1").write_bytes(lzma.decompress(CIFAR_FILE.read_bytes()))
    found = sources.photographs(tmp_path, False)
    assert found.name == "CIFAR-10 (1 of 5 batches)" and not found.embedded
    assert found.images.shape == (9744, 3, 32, 32) and found.test_images.shape == (256, 3, 32, 32)
    assert (found.images[0, :, 0, 0] * 255).round().tolist() == [59, 62, 63]


def test_figures_and_table_of_both_problems(tmp_path: Path) -> None:
    out = tmp_path / "figures"
    told = CliRunner().invoke(main, ["figures", "--offline", "--quick", "--device", "cpu", "--out", str(out)])
    assert told.exit_code == 0, told.output
    names = {path.stem for path in out.glob("*.png")}
    assert {"ae-samples", "vae-beta-study", "interpolations", "cvae-styles", "dcgan-samples"} <= names
    assert len(names) == 26 and all(path.stat().st_size > 3000 for path in out.glob("*.png"))
    table = json.loads((out / "table.json").read_text(encoding="utf-8"))
    assert [run["name"] for run in table["runs"]][:2] == ["AE", "VAE, beta 0"]
    assert table["seed"] == 42 and table["device"] == "cpu"
    for run in table["runs"]:
        assert run["epochs"] > 0
        assert run["name"] in (out / "table.md").read_text(encoding="utf-8")
    assert "\r" not in told.output and "━" not in told.output  # no progress bar where nobody watches


def test_a_loss_outside_of_its_range_is_told() -> None:
    target = handout.Target("AE", "train rec_loss", 0.08, 0.09, "0.084")
    plan = runs.Plan("AE", "ae", 1)
    outcome = runs.Outcome(plan, None, training.Trained({}, 0.0), 1, {"train rec_loss": 0.1})
    assert handout.Compared(target, outcome.measured["train rec_loss"]).inside is False
    assert handout.Compared(target, 0.085).inside is True
    assert [handout.Compared(target, value).where for value in (0.1, 0.085)] == ["OUTSIDE", "inside"]
    # What another seed gives is told as outside too, and is no fault.
    narrow = handout.Target("AE", "train rec_loss", 0.08, 0.09, "0.084", (0.088, 0.089, 0.09))
    assert (
        handout.Compared(narrow, 0.0929).where == "outside, as some seeds are"
    )  # the mean and 3.9 deviations of 0.001
    assert [handout.Compared(narrow, value).plausible for value in (0.0929, 0.0931)] == [True, False]
    names = {(t.run, t.value) for t in handout.REAL}
    assert ("VAE, beta 10", "train kl_loss") in names and ("DCGAN", "reconstruction") in names
