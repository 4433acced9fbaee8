"""The written answers in a submission as it was handed in: a folder, an archive or a file. Nothing is executed.

A question is found by its marks, in whatever notebook they are: renamed and copied notebooks count too, and of several answers
to a question the first that says anything, in the notebook nearest to the top. Archives inside are always opened: the answers
that count may be in one although the modules are outside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from autograder.model.rubric import Rubric
from autograder.submissions import archives, intake, written
from autograder.submissions.files import Entry, UnusableSubmission, file_at, first_line, in_folder, one_line
from autograder.submissions.written import Answer

MAX_NOTEBOOKS = 12


@dataclass(frozen=True)
class Found:
    """An answer, and the folder that may hold its images."""

    answer: Answer
    folder: Path


@dataclass
class Answers:
    """The answers of a submission by question, and one line for each notebook that cannot be read."""

    found: dict[str, Found] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def read(path: Path, rubric: Rubric, given: Mapping[str, Sequence[str]]) -> Answers:
    """The written answers at `path`. given: the prompts by question (see `written.answers_in`)."""
    made = Answers()
    with ExitStack() as stack:
        for entry, folder in _notebooks(path, rubric, made.notes, stack)[:MAX_NOTEBOOKS]:
            _add(made, entry, folder, given)
    return made


def _notebooks(path: Path, rubric: Rubric, notes: list[str], stack: ExitStack) -> list[tuple[Entry, Path]]:
    """The notebooks at `path` in the order in which they count, each with the folder that may hold its images.

    They can be read until `stack` is closed.
    """
    try:
        level = list(in_folder(path, notes, wanted=_wanted)) if path.is_dir() else [file_at(path)]
    except OSError as error:
        notes.append(f"{path}: cannot be read ({error.strerror})")
        return []
    packed = _named(level, archives.READ)
    if path.is_file() and not intake.wanted(rubric)(path.name):
        packed = level  # an archive under another name
    nowhere = path / "no images"  # an archive's images are attached to their cells, or left out

    def renamed(entry: Entry) -> bool:
        """The notebooks' own names come first: a copy under another name is often an earlier state."""
        return entry.path.name not in rubric.notebooks

    found = [
        (entry, path / entry.path.parent if path.is_dir() else nowhere)
        for entry in sorted(_named(level, (".ipynb",)), key=renamed)
    ]
    budget = archives.Budget()
    for _ in range(archives.MAX_LEVELS):
        level = []
        for entry in sorted(packed, key=lambda e: -e.modified):
            try:
                # Within each archive: what is in the newer one comes first, under whatever name.
                level += sorted(archives.opened(entry, _wanted, notes, budget, stack), key=renamed)
            except UnusableSubmission as error:
                notes.append(str(error))
        found += [(e, nowhere) for e in _named(level, (".ipynb",))]
        packed = _named(level, archives.READ)
    return found


def _wanted(name: str) -> bool:
    return name.lower().endswith((".ipynb", *archives.READ))


def _named(entries: Sequence[Entry], suffixes: tuple[str, ...]) -> list[Entry]:
    return [entry for entry in entries if entry.named(*suffixes) and not entry.fault]


def _add(made: Answers, entry: Entry, folder: Path, given: Mapping[str, Sequence[str]]) -> None:
    name = one_line(str(entry.path), 100)
    try:
        answers = written.answers_in(entry.read(written.MAX_NOTEBOOK + 1), name, given)
    except written.NotebookError as error:
        made.notes.append(str(error))
    except Exception as error:  # a damaged member of an archive makes zipfile raise nearly anything
        made.notes.append(f"{name} cannot be read ({first_line(error)}); send it again")
    else:
        for question, answer in answers.items():
            known = made.found.get(question)
            if known is None or (answer.parts and not known.answer.parts):
                made.found[question] = Found(answer, folder)
