"""The trained generator that everybody gets: what is in its file, what it reaches, and that it goes wherever it is needed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from autograder.build import gradescope, leaks, release
from autograder.generative.checks.hidden import judge_trained
from autograder.generative.checks.hidden import test_gan_trained as threshold
from autograder.generative.stand_ins.gan_trained import TrainedGenerator
from autograder.generative.study import commands, shipped
from autograder.generative.study.reference import modules
from autograder.generative.trained import FILE, load_trained
from autograder.model.assignment import assignment

NAME = f"autograder/generative/data/{FILE.name}"


@pytest.fixture(scope="module")
def losses() -> dict[str, list[float]]:
    return shipped.losses(seeds=[0])


def of_each(losses: dict[str, list[float]], name: str) -> list[float]:
    """Of the images of which the check draws one."""
    return [losses[name][image] for image in judge_trained.NEAR]


def test_the_file_is_small_and_says_where_it_comes_from() -> None:
    assert FILE.stat().st_size < 1_300_000
    notes = load_trained().notes
    assert "CIFAR-10" in notes["generator"] and "seed" in notes["training"]
    assert "figures --only generator" in notes["made with"]
    assert "public domain" in notes["images"]


def test_its_images_are_those_that_the_command_makes() -> None:
    here = shipped.images().float()
    assert here.shape == (4, 3, 32, 32)
    # Decoders of JPEG files round differently.
    assert (here - load_trained().images * 255).abs().max() <= 3


def test_its_weights_fit_the_given_generator_and_the_one_of_the_check() -> None:
    trained, codes = load_trained(), torch.randn(3, 64)
    given = modules().gan.Generator(64)
    given.load_state_dict(trained.weights)
    with torch.no_grad():
        assert torch.equal(given.eval()(codes), TrainedGenerator(trained.weights).eval()(codes))


def test_only_the_trained_generator_is_below_the_bar(losses: dict[str, list[float]]) -> None:
    assert max(of_each(losses, "trained")) < 0.8 * threshold.BAR
    assert min(of_each(losses, "each image's mean colour")) > 1.1 * threshold.BAR
    for baseline in ("grey", "untrained, seed 0", "trained, code zero"):
        assert 0.8 * min(of_each(losses, baseline)) > threshold.BAR, baseline
    for baseline in ("grey", "untrained, seed 0"):
        assert max(of_each(losses, baseline)) < threshold.HANDOUT, baseline


def test_the_command_makes_such_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "QUICK_PHOTOGRAPHS", (256, 8))  # two batches
    options = ["--only", "generator", "--offline", "--quick", "--device", "cpu", "--out", str(tmp_path)]
    result = CliRunner().invoke(commands.figures, options)
    assert result.exit_code == 0, result.output
    assert "| untrained, seed 0 | 0.1" in result.output
    made = load_trained(tmp_path / FILE.name)
    assert made.weights.keys() == load_trained().weights.keys()
    assert (made.images - load_trained().images).abs().max() <= 3 / 255
    assert made.notes["training"] == "256 images, 2 epochs, seed 42"


def test_losses_are_shown_in_a_table(losses: dict[str, list[float]]) -> None:
    lines = shipped.table(losses).splitlines()
    assert lines[0] == "| generator | image 1 | image 2 | image 3 | image 4 | mean |"
    assert any(line.startswith("| grey | 0.1") for line in lines)


def test_repeated_images_are_not_generated_again() -> None:
    generator = TrainedGenerator(load_trained().weights, distinct=2).eval()
    codes = torch.randn(6, 64)
    images = generator(codes)
    assert images.shape == (6, 3, 32, 32)
    assert torch.equal(images[2:4], images[:2])
    assert generator.made.count == 2
    assert torch.equal(generator.made.codes_of(images[:2]), codes[:2])  # type: ignore[arg-type]


def test_students_and_the_grading_host_get_the_file() -> None:
    data = FILE.read_bytes()
    files = release.files_of(assignment())
    assert files[NAME] == data
    assert "autograder/generative/trained.py" in files
    assert gradescope._grader()[NAME] == data


def test_notes_in_the_file_are_searched_for_leaks() -> None:
    line = leaks.solution_lines(assignment().solutions)[0].text  # type: ignore[arg-type]
    planted = shipped.packed({}, torch.zeros(1, 3, 32, 32, dtype=torch.uint8), {"note": line})
    assert any(NAME in found for found in leaks.find({NAME: planted}, assignment()))
