"""The trained reference: epochs run one at a time, checkpoints, the data available, the rule of the beta study."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from autograder.generative.checks.hidden import test_vae as beta_check
from autograder.generative.study import commands, handout, plots, runs, sources, sweep, training
from autograder.generative.study.reference import modules
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


def test_an_epoch_yields_full_batches_of_different_examples_in_a_new_order() -> None:
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


def test_denormals_count_as_zero_in_all_threads_until_the_context_ends() -> None:
    code = """if True:
        import torch
        from autograder.generative.study.training import flushing_denormals
        torch.set_num_threads(2)
        with flushing_denormals():
            print((torch.full((1_000_000,), 1e-30) * 1e-10).count_nonzero().item())
        print(bool(torch.tensor(1e-30) * 1e-10))"""
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == ["0", "True"]


@pytest.mark.parametrize("command", ["figures", "sweep"])
def test_denormals_count_as_zero_while_a_command_trains(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def product() -> bool:
        return bool(torch.tensor(1e-30) * 1e-10)

    seen = []

    def digits(root: Path | None, offline: bool) -> sources.Digits:
        seen.append(product())
        raise sources.NoData("none")

    monkeypatch.setattr(sources, "digits", digits)
    assert CliRunner().invoke(getattr(commands, command), ["--offline", "--device", "cpu"]).exit_code == 2
    assert seen == [False] and product()


KINDS = ["ae", "vae", "cvae", "dcgan", "dcgan-spectral"]


def untrained(kind: str, seed: int = 42) -> tuple[Any, Any]:
    """A model, and a function that trains it for one epoch: three iterations."""
    model = runs.build(runs.Plan(kind, kind, 1, 0.1), "cpu", seed)
    torch.manual_seed(seed)
    if kind.startswith("dcgan"):
        model.batch_size = 8
        pixels = torch.rand(24, 3, 32, 32)
        return model, lambda: runs.fit_epoch(model, pixels)
    batches = training.Batches((images(24), torch.arange(24) % 10), 8)
    return model, lambda: runs.train_epoch(kind, model, batches, "cpu")


@pytest.mark.parametrize("kind", KINDS)
def test_epochs_run_one_at_a_time_equal_one_call_of_the_students_function(kind: str) -> None:
    given = modules()
    model, epoch = untrained(kind)
    trained = training.train(model, epoch, 3)
    whole, _ = untrained(kind)
    torch.manual_seed(42)
    if kind.startswith("dcgan"):
        history = whole.fit(torch.rand(24, 3, 32, 32), epochs=3)
        expected = {"dis_loss": history.dis_loss, "gen_loss": history.gen_loss}
    else:
        students = given.vae.train_vae if kind == "vae" else given.cvae.train_cvae
        students = given.autoencoder.train_autoencoder if kind == "ae" else students
        history = students(whole, training.Batches((images(24), torch.arange(24) % 10), 8), 3, runs.RATE)
        expected = {"rec_loss": history} if kind == "ae" else history
    assert trained.curves == expected
    assert all(len(losses) == 9 for losses in expected.values())
    assert torch.equal(parameters(model), parameters(whole))
    assert not torch.allclose(parameters(model), parameters(untrained(kind)[0]), atol=1e-4)


class Interrupted(Exception):
    pass


@pytest.mark.parametrize("kind", ["vae", "dcgan"])
def test_a_resumed_training_ends_exactly_as_one_that_was_not_interrupted(kind: str, tmp_path: Path) -> None:
    def whole(checkpoint: Path | None, progress: Any = lambda done: None) -> tuple[Any, training.Trained]:
        model, epoch = untrained(kind)
        return model, training.train(model, epoch, 3, checkpoint=checkpoint, progress=progress)

    calm, expected = whole(None)
    reports = []

    def stop(done: int) -> None:
        reports.append(done)
        if len(reports) == 2:  # in the second epoch
            raise Interrupted

    with pytest.raises(Interrupted):
        whole(tmp_path / "x.pt", stop)
    again: list[int] = []
    model, trained = whole(tmp_path / "x.pt", again.append)
    assert torch.equal(parameters(model), parameters(calm))
    assert trained.curves == expected.curves
    assert again == [3, 3, 3]  # the first from the checkpoint
    # A third run has nothing left to train.
    assert whole(tmp_path / "x.pt", again.append)[1] == training.Trained(expected.curves, trained.seconds)
    assert again[3:] == [9]


def test_progress_is_reported_within_an_epoch() -> None:
    model = runs.build(runs.Plan("ae", "ae", 1), "cpu")
    batches = training.Batches((images(90), torch.zeros(90)), 2)
    reports: list[int] = []
    training.train(model, lambda: runs.train_epoch("ae", model, batches, "cpu"), 2, progress=reports.append)
    assert reports == [20, 20, 5, 20, 20, 5]


def test_a_checkpoint_of_other_settings_or_a_damaged_one_is_ignored(tmp_path: Path) -> None:
    file = tmp_path / "x.pt"

    def losses(seed: int) -> list[float]:
        model, epoch = untrained("vae", seed)
        return training.train(model, epoch, 1, checkpoint=file, settings={"seed": seed}).curves["rec_loss"]

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
    monkeypatch.setattr(sweep, "LONGER", 5)  # for the classifier
    words = ["--offline", "--device", "cpu", "--epochs", "1", "--seeds", "1", "--jobs", "1"]
    result = CliRunner().invoke(commands.sweep, [*words, "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    points = json.loads((tmp_path / "sweep.json").read_text(encoding="utf-8"))["points"]
    assert [point["beta"] for point in points] == [0.001, 0.03, 1.0]
    kl, rec = [point["kl"] for point in points], [point["rec"] for point in points]
    assert kl[0] > kl[1] > kl[2] and rec[0] < rec[1] < rec[2]  # the effect of beta
    assert all((tmp_path / name).stat().st_size > 3000 for name in ("sweep.png", "sweep-samples.png"))
    assert (tmp_path / "sweep.md").read_text(encoding="utf-8").strip() in result.output


def recorded() -> list[sweep.Point]:
    record = json.loads((ROOT / "docs" / "results" / "sweep.json").read_text(encoding="utf-8"))
    return [sweep.Point(**point) for point in record["points"]]


def test_the_sweeps_curves_have_the_models_colour_their_range_and_labels_with_units() -> None:
    data = sources.Digits("MNIST", *(torch.empty(0),) * 4, embedded=False)
    figure = sweep.curves(sweep.Swept(recorded(), {}, 10), {"low": 0.02, "high": 0.2}, data)
    assert figure.get_suptitle() == "VAE on MNIST, 10 epochs, by beta: mean and range over 3 seeds"
    bound, samples = figure.axes
    assert {line.get_color() for axes in figure.axes for line in axes.lines} == {
        modules().figures.COLOURS["VAE"]
    }
    assert len({(line.get_linestyle(), line.get_marker()) for line in bound.lines}) == 3
    assert bound.get_ylabel() == "nats per image, test set"
    assert samples.get_ylabel().startswith("share of clear samples")
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "-ELBO, the sum of both terms",
        "reconstruction term, 784 x rec",
        "KL term, 32 x KL",
        "range over the seeds",
        "accepted beta",
    ]
    clear = sweep.by_beta(recorded(), "clear")
    corners: Any = samples.collections[0].get_paths()[0].vertices
    ends = {(beta, end(shares)) for beta, shares in clear.items() for end in (min, max)}
    assert ends <= set(map(tuple, corners.tolist()))
    assert samples.lines[0].get_ydata() == pytest.approx(list(sweep.means(recorded(), "clear").values()))


def test_the_check_accepts_the_sweeps_interval() -> None:
    points = recorded()
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


def test_missing_data_are_reported_in_one_line_that_names_the_folder(tmp_path: Path) -> None:
    batches = tmp_path / sources.CIFAR
    batches.mkdir()
    (batches / "data_batch_1").write_bytes(b"not a batch")
    with pytest.raises(sources.NoData, match="data_batch_1: not CIFAR-10's own file") as caught:
        sources.photographs(tmp_path, False)
    assert "\n" not in str(caught.value)
    result = CliRunner().invoke(commands.figures, ["--data", str(tmp_path / "nowhere")])
    assert result.exit_code == 2
    assert result.output.count("\n") == 1 and "nowhere: no such folder" in result.output


@needs_cifar
def test_the_batches_present_are_used(tmp_path: Path) -> None:
    import lzma

    batches = tmp_path / sources.CIFAR
    batches.mkdir()
    (batches / "data_batch_1").write_bytes(lzma.decompress(CIFAR_FILE.read_bytes()))
    found = sources.photographs(tmp_path, False)
    assert found.name == "CIFAR-10 (1 of 5 batches)" and not found.embedded
    assert found.images.shape == (9744, 3, 32, 32) and found.test_images.shape == (256, 3, 32, 32)
    assert (found.images[0, :, 0, 0] * 255).round().tolist() == [59, 62, 63]


def test_figures_and_table_of_both_problems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "QUICK_PHOTOGRAPHS", (256, 8))  # two batches
    out = tmp_path / "figures"
    result = CliRunner().invoke(
        commands.figures, ["--offline", "--quick", "--device", "cpu", "--jobs", "1", "--out", str(out)]
    )
    assert result.exit_code == 0, result.output
    names = {path.stem for path in out.glob("*.png")}
    assert {"ae-samples", "vae-beta-study", "interpolations", "cvae-styles", "dcgan-samples"} <= names
    assert len(names) == 26 and all(path.stat().st_size > 3000 for path in out.glob("*.png"))
    table = json.loads((out / "table.json").read_text(encoding="utf-8"))
    assert [run["name"] for run in table["runs"]][:2] == ["AE", "VAE, beta 0"]
    assert table["seed"] == 42 and table["device"] == "cpu"
    for run in table["runs"]:
        assert run["epochs"] > 0
        assert run["name"] in (out / "table.md").read_text(encoding="utf-8")
    assert "\r" not in result.output and "━" not in result.output  # no progress bar: not a terminal


def named_rows(figure: Any) -> list[str]:
    return [axes.get_ylabel() for axes in figure.axes if axes.get_ylabel()]


def test_the_figures_of_digits_say_epochs_units_and_pairs() -> None:
    def outcome(plan: runs.Plan) -> runs.Outcome:
        losses = {"rec_loss": [0.5, 0.25]} | ({} if plan.kind == "ae" else {"kl_loss": [1.0, 2.0]})
        measured = {"test rec, mean decoded": 0.26, "test kl": 1.59e-7 if plan.beta == 10 else 24.34}
        trained = training.Trained(losses, 0.0)
        return runs.Outcome(plan, runs.build(plan, "cpu"), trained, plan.epochs, measured)

    tests, labels = images(100), torch.arange(100) % 10
    data = sources.Digits("MNIST", tests, labels, tests, labels, embedded=False)
    outcomes = {plan.name: outcome(plan) for plan in runs.digit_plans(0.04)}
    drawn = dict(plots.of_digits(data, outcomes, "cpu", 0.04))
    assert drawn["ae-samples"].get_suptitle() == "Auto-encoder, MNIST, 10 epochs: samples"
    study = drawn["vae-beta-study"]
    assert study.get_suptitle().startswith("VAE on MNIST, 5 epochs, by beta")
    rows = named_rows(study)
    assert rows[1] == "beta 0\nrec 0.260 nats/pixel\nKL 24.3 nats/dimension"
    assert rows[-1] == "beta 10\nrec 0.260 nats/pixel\nKL below 0.001 nats/dimension"
    strips = named_rows(drawn["interpolations"])
    assert len(set(strips)) == 2 * len(plots.PICTURES) * len(modules().vae.INTERPOLATIONS)
    assert strips[:4] == [f"{name}\n4 to 9 ({i})" for i in (1, 2) for name in ("auto-encoder", "VAE")]


def test_the_figures_of_photographs_say_which_loss_over_which_images() -> None:
    photographs = torch.rand(64, 3, 32, 32)
    trained = SimpleNamespace(
        tracked_noise=torch.zeros(64, 64),
        generate=lambda codes: photographs[: len(codes)],
        reconstruct=lambda targets: (0.02, targets),
        actmax=lambda codes, steps: (0.01 if steps else 0.458, photographs[: len(codes)]),
    )
    curves = training.Trained({"dis_loss": [1.0, 0.5], "gen_loss": [2.0, 2.5]}, 0.0)
    outcomes = {
        plan.name: runs.Outcome(plan, trained, curves, plan.epochs) for plan in runs.photograph_plans(25)
    }
    data = sources.Photographs("CIFAR-10", photographs, photographs, embedded=False)
    drawn = dict(plots.of_photographs(data, outcomes))
    assert drawn["dcgan-samples"].get_suptitle() == "DCGAN, CIFAR-10: samples, after epoch 25"
    assert drawn["dcgan-reconstructions"].get_suptitle() == (
        "DCGAN, CIFAR-10: 10 of 64 test images; mean squared error over all 64: 0.0200"
    )
    assert [axes.get_title() for axes in drawn["dcgan-losses-compared"].axes] == [
        "DCGAN on CIFAR-10\nwithout spectral norm",
        "DCGAN on CIFAR-10\nwith spectral norm",
    ]
    assert named_rows(drawn["dcgan-activation-maximisation"]) == [
        "before\nmean -log D(G(z)):\n0.458 nats",
        "after 500 steps\nmean -log D(G(z)):\n0.01 nats",
    ]


def test_a_loss_outside_its_range_is_reported() -> None:
    target = handout.Target("AE", "train rec_loss", 0.08, 0.09, "0.084")
    plan = runs.Plan("AE", "ae", 1)
    outcome = runs.Outcome(plan, None, training.Trained({}, 0.0), 1, {"train rec_loss": 0.1})
    assert handout.Compared(target, outcome.measured["train rec_loss"]).inside is False
    assert handout.Compared(target, 0.085).inside is True
    assert [handout.Compared(target, value).where for value in (0.1, 0.085)] == ["OUTSIDE", "inside"]
    # A value that another seed gives is reported as outside, but is no fault.
    narrow = handout.Target("AE", "train rec_loss", 0.08, 0.09, "0.084", (0.088, 0.089, 0.09))
    assert (
        handout.Compared(narrow, 0.0929).where == "outside, as some seeds are"
    )  # the mean and 3.9 deviations of 0.001
    assert [handout.Compared(narrow, value).plausible for value in (0.0929, 0.0931)] == [True, False]
    names = {(t.run, t.value) for t in handout.REAL}
    assert ("VAE, beta 10", "train kl_loss") in names and ("DCGAN", "reconstruction") in names
