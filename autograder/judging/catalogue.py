"""The catalogue of mistakes: what each is called, what it is, what to do, and how it is recognised.

An assignment declares its mistakes in the modules of its `mistakes/` folder, each once:

    SUMMED_OVER_BATCH = Mistake(
        "loss-summed-over-batch",
        "The loss is summed over the batch.",
        hint="Take the mean over every element.",
        questions=("1-2",),
        gives=lambda case: case.right * len(case.x),
    )

A check recognises a mistake by the value that it gives for the check's case, or by a test of the observation; what it saw
goes into `seen`, so that the sentence is the same for every submission and mistakes can be counted by id.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autograder.model.assignment import Assignment

ENGINE = "autograder.judging"  # the package with mistakes that are possible in any assignment


@dataclass(frozen=True)
class Mistake:
    """One entry of the catalogue.

    id: stable, lower case with hyphens; chaffs, verdicts and the class report refer to it.
    sentence: what the mistake is, in one sentence without measured values.
    hint: what to do about it; "" where the sentence says it.
    questions: the questions on which it can be recognised.
    gives: the value that the mistake leads to, as a function of the check's case.
    shows: whether an observation (or whatever the check passes) is a sure sign of the mistake.
    once: whether the mistake explains a failure entirely, so that all else in the answer is right. Where several checks of a
        question fail because of it, it costs points once. Never for something that a program which does no work can show.
    """

    id: str
    sentence: str
    hint: str = ""
    questions: tuple[str, ...] = ()
    gives: Callable[..., Any] | None = None
    shows: Callable[..., bool] | None = None
    once: bool = False

    def giving(self, value: Any) -> Candidate:
        """This mistake with the value (a tensor, a number, a shape or a length) that it leads to here."""
        return Candidate(self, value)


@dataclass(frozen=True)
class Candidate:
    """A mistake and the value that it leads to in one case: when that is the value seen, the mistake is recognised."""

    mistake: Mistake
    value: Any


def candidates(mistakes: Iterable[Mistake], *case: Any) -> list[Candidate]:
    """The mistakes that have `gives`, each with its value for a case."""
    return [m.giving(m.gives(*case)) for m in mistakes if m.gives is not None]


def first_shown(mistakes: Iterable[Mistake], *observed: Any) -> Mistake | None:
    """The first of the mistakes whose `shows` holds for the observation."""
    return next((m for m in mistakes if m.shows is not None and m.shows(*observed)), None)


def declared(package: str) -> list[Mistake]:
    """All mistakes that the modules of a package declare, by id.

    Raises ValueError where two have one id, or an id is not in lower case with hyphens.
    """
    found: dict[str, Mistake] = {}
    for module in _modules(package):
        for mistake in vars(module).values():
            for entry in mistake if isinstance(mistake, (list, tuple)) else (mistake,):
                if not isinstance(entry, Mistake) or found.get(entry.id) is entry:
                    continue
                if entry.id in found:
                    raise ValueError(f"{module.__name__}: {entry.id} is declared twice")
                if entry.id != entry.id.lower() or not entry.id.replace("-", "").isalnum():
                    raise ValueError(f"{module.__name__}: {entry.id!r}: write ids in lower case with hyphens")
                found[entry.id] = entry
    return sorted(found.values(), key=lambda m: m.id)


def all_mistakes(subject: Assignment) -> list[Mistake]:
    """The mistakes of an assignment and of the engine, by id. Raises ValueError when two have the same id."""
    subject.make_importable()
    packages = [f"{subject.package}.mistakes"] if (subject.folder / "mistakes").is_dir() else []
    found: dict[str, Mistake] = {}
    for package in (ENGINE, *packages):
        for mistake in declared(package):
            if found.setdefault(mistake.id, mistake) is not mistake:
                raise ValueError(
                    f"{package}: {mistake.id} is also a mistake of the engine; choose another id"
                )
    return sorted(found.values(), key=lambda m: m.id)


def lessons(subject: Assignment) -> dict[str, str]:
    """What students read about each mistake of an assignment and of the engine: its sentence and its hint, by id."""
    return {m.id: f"{m.sentence} {m.hint}".strip() for m in all_mistakes(subject)}


def _modules(package: str) -> list[Any]:
    """The package and its modules, also those in folders without an __init__.py."""
    root = importlib.import_module(package)
    paths = {
        path.relative_to(place).with_suffix("")
        for place in root.__path__
        for path in Path(place).rglob("*.py")
    }
    names = {".".join([package, *path.parts]).removesuffix(".__init__") for path in paths}
    return [importlib.import_module(name) for name in sorted({package, *names})]
