"""Usual exceptions are explained: each is raised here by real code, or, where this machine cannot, quoted from PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from autograder.grading import judge
from autograder.judging.exceptions import AT_IMPORT, explain
from tests import corpus


class Without(nn.Module):
    def __init__(self) -> None:
        self.layer = nn.Linear(2, 2)


class Methods:
    def no_self(x: Any) -> Any:
        return x

    def two(self, a: int, b: int) -> int:
        return a + b


def nothing() -> Any:
    return None


def twice() -> None:
    w = torch.ones(2, requires_grad=True)
    loss = (w**2).sum()
    loss.backward()  # type: ignore[no-untyped-call]
    loss.backward()  # type: ignore[no-untyped-call]


def changed_in_place() -> None:
    w = torch.ones(2, requires_grad=True)
    y = w.exp()
    loss = (y**2).sum()
    y.add_(1)
    loss.backward()  # type: ignore[no-untyped-call]


def leaf() -> None:
    w = torch.ones(2, requires_grad=True)
    w += 1


CASES: dict[str, tuple[Callable[[], Any], str]] = {
    "undefined": (lambda: undefined_name, "undefined_name is used"),  # type: ignore[name-defined]  # noqa: F821
    "no-self": (lambda: Methods().no_self(1), "counts as one"),  # type: ignore[call-arg, misc]
    "missing-argument": (lambda: Methods().two(1), "was called without 'b'"),  # type: ignore[call-arg]
    "keyword": (lambda: Methods().two(1, c=2), "no parameter c"),  # type: ignore[call-arg]
    "no-super": (lambda: Without(), "own constructor was not called"),
    "none": (lambda: nothing() + 1, "Something is None"),
    "none-attribute": (lambda: nothing().shape, "Something is None"),
    "no-attribute": (lambda: Methods().three, "no attribute three"),  # type: ignore[attr-defined]
    "tuple-attribute": (lambda: (1.0, {}).backward(), "A tuple is used as if it were one of its values"),  # type: ignore[attr-defined]
    "class-for-layer": (lambda: nn.Sequential(nn.Linear(2, 2), nn.ReLU), "ReLU is a class"),  # type: ignore[call-overload]
    "argument-types": (
        lambda: torch.randn(torch.ones(2), 3),  # type: ignore[call-overload]
        "randn does not take arguments of these types: Tensor",
    ),
    "no-gradient-asked": (
        lambda: torch.autograd.grad(torch.ones(2, requires_grad=True).sum(), [torch.zeros(2)]),
        "with respect to a tensor that has none",
    ),
    "no-function": (lambda: torch.rand_lik(1), "no function or class rand_lik"),  # type: ignore[attr-defined]
    "module": (lambda: F(), "module is called"),  # type: ignore[operator]
    "key": (lambda: {"q": 1}["z"], "no entry 'z'"),
    "0-d": (lambda: tuple(torch.ones(())), "single number is taken apart"),
    "unpack": (lambda: [a for a, b in [(1, 2, 3)]], "unpacked"),  # type: ignore[misc]
    "linear": (lambda: nn.Linear(32, 4)(torch.ones(5, 784)), "takes 32 numbers was given rows of 784"),
    "cat": (lambda: torch.cat([torch.ones(2, 3), torch.ones(2, 4)], 0), "joined along axis 0"),
    "cat-axes": (lambda: torch.cat([torch.ones(2, 1, 3), torch.ones(2, 3)], -1), "different numbers of axes"),
    "elementwise": (lambda: torch.ones(2, 3) + torch.ones(2, 4), "3 and 4 entries on axis 1"),
    "view": (lambda: torch.ones(30).view(64, 1, 784), "does not fit the shape [64, 1, 784]"),
    "target": (
        lambda: F.binary_cross_entropy(torch.ones(2, 1, 4), torch.ones(2, 2, 2)),
        "whose shape differs",
    ),
    "axis": (lambda: torch.ones(2).chunk(2, dim=3), "an axis is asked for"),
    "leaf": (leaf, "changed in place"),
    "in-place": (changed_in_place, "backward pass needs was changed"),
    "no-graph": (lambda: torch.ones(()).backward(), "without a graph"),  # type: ignore[no-untyped-call]
    "twice": (twice, "twice through one graph"),
    "many": (lambda: torch.ones(2, requires_grad=True).exp().backward(), "several numbers"),  # type: ignore[no-untyped-call]
    "numpy": (lambda: torch.ones(2, requires_grad=True).numpy(), "NumPy array"),
    "types": (lambda: nn.Linear(2, 2)(torch.ones(1, 2).double()), "two types"),
    "index": (lambda: F.one_hot(torch.tensor([3]), 2), "index is larger"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_usual_exception_is_explained(name: str) -> None:
    run, words = CASES[name]
    with pytest.raises(Exception) as raised:
        run()
    meaning = explain(type(raised.value).__name__, str(raised.value))
    assert meaning is not None, str(raised.value)
    assert words.lower() in meaning.sentence.lower()
    assert meaning.hint


@pytest.mark.parametrize(
    ("type_", "message", "words"),
    [
        ("RuntimeError", "Found no NVIDIA driver on your system.", "asks for a GPU"),
        ("AssertionError", "Torch not compiled with CUDA enabled", "asks for a GPU"),
        ("RuntimeError", "Expected all tensors to be on the same device, but found two", "two devices"),
        ("ModuleNotFoundError", "No module named 'assignment.vae'", "from a folder"),
        ("ImportError", "cannot import name 'Encodr' from 'autoencoder'", "does not have"),
        ("FileNotFoundError", "[Errno 2] No such file or directory: 'data/mnist.npz'", "data/mnist.npz"),
    ],
)
def test_exceptions_that_cannot_happen_here_are_explained_too(type_: str, message: str, words: str) -> None:
    meaning = explain(type_, message, AT_IMPORT)
    assert meaning is not None
    assert words in meaning.sentence


def test_other_exceptions_are_left_alone() -> None:
    assert explain("ValueError", "beta must not be negative") is None


def test_feedback_names_call_line_and_near_name(tmp_path: Path) -> None:
    for file, text in corpus.reference().items():
        (tmp_path / file).write_text(
            text.replace("z = self.reparameterize(mu, log_sigma)", "z = self.reparametrize(mu, log_sigma)"),
            encoding="utf-8",
        )
    result = judge.grade_one(tmp_path, visibilities=("public",), questions=("1-4",))
    (found,) = {v.feedback.text() for v in result.checks if v.id == "1-4:forward_shapes"}
    assert "did you mean reparameterize?" in found
    assert "in forward(x of shape (1, 1, 784))" in found
    assert "at vae.py, line" in found
    assert "This looks like: VAE has no attribute reparametrize" in found
    assert found.count("\n") < 12
