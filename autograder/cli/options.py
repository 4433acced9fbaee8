"""What commands share: options, their validation, and how a command ends when it cannot be carried out."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import click

from autograder.grading.options import known_questions
from autograder.model.assignment import assignment

UNUSABLE = 2  # the exit status when an argument, an option or a file cannot be used

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

QUESTIONS: Decorator = click.option(
    "-q",
    "--question",
    "questions",
    multiple=True,
    metavar="ID",
    help="Only this question, or the one of this check (repeatable).",
)
DEVICE: Decorator = click.option(
    "--device",
    type=click.Choice(["cpu", "cuda"]),
    default="cpu",
    show_default=True,
    help="Look for tensors on the wrong device on a real GPU (cuda), or on a simulated second device (cpu).",
)
ISOLATION: Decorator = click.option(
    "--isolation",
    type=click.Choice(["auto", "full", "user", "process"]),
    default=None,
    help="How student code is isolated: the best level of this machine (auto), or exactly this level.",
)


def out_folder(default: str, help: str) -> Decorator:
    """The option --out DIR."""
    return click.option(
        "--out",
        type=click.Path(path_type=Path),
        default=Path(default),
        show_default=True,
        metavar="DIR",
        help=help,
    )


def fail(message: str) -> NoReturn:
    """Prints one line and ends the program with exit status 2."""
    click.echo(f"autograder: {message}", err=True)
    sys.exit(UNUSABLE)


def of_checks(ids: tuple[str, ...]) -> tuple[str, ...]:
    """The questions among ids of questions and checks: checks of a question are graded together, since one mistake costs once.

    Several may be given at once, separated by commas, and as notebooks call them (q1_3). Ends the program when there is no such
    check.
    """
    typed, ids = ids, tuple(filter(None, (_plain(part) for id in ids for part in id.split(","))))
    if typed and not ids:
        fail("-q names no question; leave it out for all")
    named = [id for id in ids if ":" in id]
    if named:
        from autograder.grading.listing import checks_of  # loads torch

        known = [verdict.id for verdict in checks_of(assignment())]
        for id in named:
            if id not in known:
                question = id.partition(":")[0]
                there = [other for other in known if other.startswith(f"{question}:")]
                fail(f"there is no check {id}" + (f"; there are {', '.join(there)}" if there else ""))
    return tuple(dict.fromkeys(id.partition(":")[0] for id in ids))


def _plain(id: str) -> str:
    """The id of a question or check, however it was typed: 1-3, q1_3, Q1-3."""
    typed = id.strip()
    question, colon, check = typed.partition(":")
    form = question.lower().removeprefix("q").replace("_", "-")
    return f"{form}{colon}{check}" if form in [q.id for q in assignment().rubric.questions] else typed


def require_usable(questions: tuple[str, ...], device: str) -> None:
    """Ends the program when a question is not in the rubric, or the device is unavailable."""
    try:
        known_questions(questions)
    except KeyError as error:
        fail(error.args[0])
    if device == "cpu":
        return
    import torch

    if not torch.cuda.is_available():
        fail("--device cuda: PyTorch finds no GPU on this machine; leave the option out")
