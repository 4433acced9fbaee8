"""Packing what a student hands in: one zip of the modules, the notebooks, and the written answers to be read by hand.

`python -m autograder submit`, `make submit` and the notebook's `grader.export()` all end here. Nothing of the student's is
executed.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from autograder import intake
from autograder.archive import write_zip
from autograder.handed_out import HandedOut, handed_out
from autograder.notebook import written
from autograder.rubric import Rubric, assignment

ZIP_NAME = "generative-models-submission.zip"
TOP = "submission"


@dataclass(frozen=True)
class Reading:
    """A student's folder, read.

    files: what is to be packed, by name. problems: what keeps it from being handed in; warnings: what its author should
    know. answers: the written ones, by question.
    """

    folder: Path
    files: dict[str, bytes]
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    answers: dict[str, written.Answer] = field(default_factory=dict)


@dataclass(frozen=True)
class Packed:
    """The zip, the names and sizes of what is in it, and why there is no PDF ("" when there is one)."""

    path: Path
    sizes: Mapping[str, int]
    no_pdf: str = ""


def read(folder: Path, rubric: Rubric | None = None, given: HandedOut | None = None) -> Reading:
    """Reads a folder to hand in. Raises intake.UnusableSubmission when it is none."""
    rubric, given = rubric or assignment().rubric, given or handed_out()
    names = [f"{module}.py" for module in rubric.modules]
    if not folder.is_dir():
        what = "it is a file" if folder.exists() else "there is no such folder"
        raise intake.UnusableSubmission(f"{folder}: {what}; give the folder that holds {', '.join(names)}")
    if not any((folder / name).is_file() for name in [*names, *rubric.notebooks]):
        raise intake.UnusableSubmission(
            f"{folder}: holds none of {', '.join(names)}; give the folder that does"
        )
    submission = intake.read(folder, rubric, depth=1)
    reading = Reading(folder, dict(submission.files), warnings=list(submission.notes))
    for name in names:
        _look_at_module(reading, name, given)
    for name in rubric.notebooks:
        _look_at_notebook(reading, name, given)
    for question in rubric.written:
        if answer := reading.answers.get(question.id):
            reading.warnings.extend(answer.remarks(question.words))
        elif (home := given.homes.get(question.id)) and home in reading.files:
            mark = f"<!-- question {question.id} -->"
            reading.warnings.append(
                f"{question.id}: its line {mark} is gone from {home}; put it back above the prompt"
            )
    return reading


def _look_at_module(reading: Reading, name: str, given: HandedOut) -> None:
    data = reading.files.get(name)
    if data is None:
        if not (reading.folder / name).is_file():  # else intake has said why it was left out
            reading.problems.append(f"{name} is missing from {reading.folder.name}/")
        else:
            reading.problems.append(f"{name} cannot be packed (see the notes)")
    elif given.untouched(name, data):
        reading.problems.append(f"{name} is untouched: it is as it was handed out")
    elif fault := _not_python(data):
        reading.problems.append(f"{name}{fault}")


def _not_python(data: bytes) -> str:
    """Where a module is not valid Python, and why; "" when it is. It is parsed, never run."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(data)
    except SyntaxError as error:
        where = f", line {error.lineno}" if error.lineno else ""
        return f"{where}: not valid Python ({error.msg})"
    except (ValueError, RecursionError, MemoryError):
        return ": not valid Python; save it as UTF-8 text"
    return ""


def _look_at_notebook(reading: Reading, name: str, given: HandedOut) -> None:
    path = reading.folder / name
    if not path.is_file() or path.is_symlink():
        reading.problems.append(
            f"{name} is missing from {reading.folder.name}/ (it holds your written answers)"
        )
        return
    try:
        if path.stat().st_size > written.MAX_NOTEBOOK:
            raise written.NotebookError(
                f"{name} is larger than {written.MAX_NOTEBOOK >> 20} MiB; clear the outputs of cells and save it again"
            )
        data = path.read_bytes()
        reading.files[name] = data
        reading.answers.update(written.answers_in(data, name, given.prompts))
    except OSError as error:
        reading.problems.append(f"{name} cannot be read ({error.strerror})")
        return
    except written.NotebookError as error:
        reading.problems.append(str(error))
        return
    if given.untouched(name, data):
        reading.problems.append(f"{name} is untouched: it is as it was handed out (have you saved it?)")


def default_path(folder: Path) -> Path:
    """Where the zip goes: beside the folder, or into it where the folder stands at the top of a disk."""
    whole = folder.resolve()
    return (whole if whole.parent == Path(whole.anchor) else whole.parent) / ZIP_NAME


def pack(reading: Reading, out: Path | None = None, pdf: bool = True, rubric: Rubric | None = None) -> Packed:
    """Writes the zip, with the written answers as HTML and, where the machine can, as PDF; then reads it back.

    The same folder gives the same bytes. Raises OSError when the file cannot be written, and RuntimeError when what is read
    back is not what was packed.
    """
    from autograder.notebook.pages import Written, page
    from autograder.notebook.pdf import pdf_of

    rubric = rubric or assignment().rubric
    out = out or default_path(reading.folder)
    files = dict(reading.files)
    items = [Written(q, reading.answers.get(q.id), reading.folder) for q in rubric.written]
    html = page(items)
    files["written.html"] = html.encode("utf-8", "replace")
    printed, reason = pdf_of(html) if pdf else (None, "it was not asked for")
    if printed is not None:
        files["written.pdf"] = printed
    write_zip(out, {f"{TOP}/{name}": data for name, data in files.items()})
    modules = {name: data for name, data in reading.files.items() if name.endswith(".py")}
    if intake.read(out, rubric).sha256 != intake.digest(modules):
        raise RuntimeError(f"{out}: what is in the zip is not what is in {reading.folder}; try again")
    return Packed(out, {name: len(files[name]) for name in sorted(files)}, reason)


def report(reading: Reading, packed: Packed | None, partial: bool) -> list[str]:
    """What to tell the author, in lines: problems, warnings, and what became of it."""
    lines = [f"{'Note' if partial else 'Problem'}: {problem}" for problem in reading.problems]
    lines += [f"Note: {warning}" for warning in reading.warnings]
    if packed is None:
        count = len(reading.problems)
        return [
            *lines,
            f"Nothing was packed: mend the {'problem' if count == 1 else f'{count} problems'} above,"
            " or hand in what there is with --partial (make submit PARTIAL=1; grader.export(partial=True)).",
        ]
    lines += [f"  {name:<20} {_size(size)}" for name, size in packed.sizes.items()]
    if packed.no_pdf:
        lines.append(f"No PDF here ({packed.no_pdf}); the HTML holds the same.")
    return [
        *lines,
        f"Packed: {packed.path}",
        "Hand in this file. `make check` tells what its public checks give.",
    ]


def _size(size: int) -> str:
    return f"{size:>10,} bytes"


def submit(
    folder: Path, out: Path | None = None, partial: bool = False, pdf: bool = True
) -> tuple[Packed | None, list[str]]:
    """Reads, packs unless there are problems (or `partial`), and returns the zip and what to tell.

    Raises intake.UnusableSubmission when the folder, or the place for the zip, cannot be used.
    """
    reading = read(folder)
    if reading.problems and not partial:
        return None, report(reading, None, partial)
    try:
        packed = pack(reading, out, pdf)
    except OSError as error:
        place = out or default_path(folder)
        raise intake.UnusableSubmission(
            f"{place}: the zip cannot be written there ({error.strerror}); close it, or choose another place with --out"
        ) from None
    return packed, report(reading, packed, partial)
