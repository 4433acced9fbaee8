"""Packing what a student hands in: one zip of the modules, the notebooks, and the written answers to be read by hand.

`python -m autograder submit`, `make submit` and the notebook's `grader.export()` all use this module. No student code is
executed.
"""

from __future__ import annotations

import ast
import os
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from autograder.model.assignment import assignment
from autograder.model.rubric import Question, Rubric
from autograder.submissions import intake, written
from autograder.submissions.files import in_folder
from autograder.submissions.handed_out import HandedOut, handed_out
from autograder.submissions.spelling import module_of
from autograder.support.archive import write_zip

TOP = "submission"
NAMED = 5  # files in subfolders that the note about them names


@dataclass(frozen=True)
class Reading:
    """The contents of a student's folder.

    files: what is to be packed, by name. problems: what prevents handing in; warnings: what its author should know.
    answers: the written answers, by question.
    """

    folder: Path
    files: dict[str, bytes]
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    answers: dict[str, written.Answer] = field(default_factory=dict)

    @property
    def where(self) -> str:
        """The folder's name for messages, of "." too."""
        return f"{self.folder.name or self.folder.resolve().name}/"


@dataclass(frozen=True)
class Packed:
    """The zip, the names and sizes of its files, and why there is no PDF ("" if there is one)."""

    path: Path
    sizes: Mapping[str, int]
    no_pdf: str = ""


def read(folder: Path, rubric: Rubric | None = None, given: HandedOut | None = None) -> Reading:
    """Reads a folder to hand in. Raises intake.UnusableSubmission if it is not one."""
    rubric, given = rubric or assignment().rubric, given or handed_out()
    names = [f"{module}.py" for module in rubric.modules]
    if not folder.is_dir():
        what = "it is a file" if folder.exists() else "there is no such folder"
        raise intake.UnusableSubmission(f"{folder}: {what}; give the folder that holds {', '.join(names)}")
    if not any((folder / name).is_file() for name in [*names, *rubric.notebooks]):
        raise intake.UnusableSubmission(
            f"{folder}: holds none of {', '.join(names)}; give the folder that holds them"
        )
    submission = intake.read(folder, rubric, depth=1)
    reading = Reading(folder, dict(submission.files), warnings=list(submission.notes))
    below = _in_subfolders(folder)
    for name in names:
        _look_at_module(reading, name, given, below)
    legible = [name for name in rubric.notebooks if _look_at_notebook(reading, name, given, below)]
    for question in rubric.written:
        _look_at_answer(reading, question, given, legible)
    if modules := [place for place in below if place.endswith(".py")]:
        more = f" and {len(modules) - NAMED} more" if len(modules) > NAMED else ""
        reading.warnings.append(
            f"not packed, because they are in subfolders: {', '.join(modules[:NAMED])}{more}; "
            f"move what your modules import into {reading.where} itself"
        )
    return reading


def _in_subfolders(folder: Path) -> list[str]:
    """The paths from `folder` of the Python files and notebooks in its subfolders, which are not packed."""
    skipped: list[str] = []  # what cannot be opened would not be packed either
    found = in_folder(folder, skipped, wanted=lambda name: name.endswith((".py", ".ipynb")))
    return [str(entry.path) for entry in found if len(entry.path.parts) > 1]


def _missing(reading: Reading, name: str, below: Sequence[str]) -> str:
    """That a file is missing, and where in a subfolder it is. below: the files in subfolders."""
    there = next((place for place in below if place.rpartition("/")[2] == name), "")
    move = f"; move {there} into it" if there else ""
    like = _alike(reading, name)
    return f"{name} is missing from {reading.where}{move}" + (f"; {like} is there: rename it" if like else "")


def _alike(reading: Reading, name: str) -> str:
    """A file in the folder that is a copy of this one by its name, as a browser's second download is; "" if none."""
    stem, _, ending = name.rpartition(".")
    names = sorted(path.name for path in reading.folder.glob(f"*.{ending}"))
    return next((n for n in names if n != name and module_of(n.replace(f".{ending}", ".py"), [stem])), "")


def _look_at_answer(reading: Reading, question: Question, given: HandedOut, legible: Sequence[str]) -> None:
    home = given.homes.get(question.id, "")
    answer = reading.answers.get(question.id)
    if answer is not None:
        remarks = [f"{home}, {remark}" if home else remark for remark in answer.remarks(question.words)]
        if answer.words and written.NO_END not in answer.notes:
            reading.warnings.extend(remarks)
        # Of an untouched notebook, one line is enough.
        elif not given.untouched(home, reading.files.get(home, b"")):
            reading.problems.extend(remarks)
    elif home in legible:
        # Its answer, if there is one, would not be on the page that is graded.
        reading.problems.append(
            f"{home}, {question.id}: its line <!-- question {question.id} --> is missing; put it back above the prompt"
        )


def _look_at_module(reading: Reading, name: str, given: HandedOut, below: Sequence[str]) -> None:
    data = reading.files.get(name)
    if data is None:
        if not (reading.folder / name).is_file():  # otherwise intake has reported why it was left out
            reading.problems.append(_missing(reading, name, below))
        else:
            reading.problems.append(f"{name} cannot be packed (see the notes)")
    elif given.untouched(name, data):
        reading.problems.append(f"{name} is untouched: it is as it was handed out")
    elif fault := _not_python(data):
        reading.problems.append(f"{name}{fault}")
    elif gaps := _gaps(data):
        places = "one place" if gaps == 1 else f"{gaps} places"
        reading.warnings.append(f"{name} still raises NotImplementedError in {places}")


def _gaps(data: bytes) -> int:
    """How often a module raises NotImplementedError, as what is to be written does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        raised = [node.exc for node in ast.walk(ast.parse(data)) if isinstance(node, ast.Raise)]
    names = [error.func if isinstance(error, ast.Call) else error for error in raised]
    return sum(isinstance(name, ast.Name) and name.id == "NotImplementedError" for name in names)


def _not_python(data: bytes) -> str:
    """Where and why a module is not valid Python; "" if it is. It is parsed, never run."""
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


def _look_at_notebook(reading: Reading, name: str, given: HandedOut, below: Sequence[str]) -> bool:
    """Reads a notebook and its answers; False if that is impossible."""
    path = reading.folder / name
    if not path.is_file() or path.is_symlink():
        reading.problems.append(f"{_missing(reading, name, below)} (it holds your written answers)")
        return False
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
        return False
    except written.NotebookError as error:
        reading.problems.append(str(error))
        return False
    like = _alike(reading, name)
    if given.untouched(name, data):
        rename = f"; is your work in {like}? Then rename that to {name}" if like else ""
        reading.problems.append(
            f"{name} is untouched: it is as it was handed out (have you saved it?){rename}"
        )
    elif like:
        reading.warnings.append(f"{like} is not packed; {name} is. Is {name} the newer one?")
    return True


def zip_name() -> str:
    """The name of the zip that students hand in."""
    return f"{assignment().name}-submission.zip"


def default_path(folder: Path) -> Path:
    """The zip's default path: next to the folder, or inside it if the folder is the root of a disk."""
    whole = folder.resolve()
    return (whole if whole.parent == Path(whole.anchor) else whole.parent) / zip_name()


def pack(reading: Reading, out: Path | None = None, pdf: bool = True, rubric: Rubric | None = None) -> Packed:
    """Writes the zip, with the written answers as HTML and, if this machine can make one, as PDF; then reads it back.

    The same folder gives the same bytes. Raises OSError if the file cannot be written, and RuntimeError if what is read back
    differs from what was packed.
    """
    from autograder.submissions.pages import Written, page
    from autograder.submissions.pdf import pdf_of

    rubric = rubric or assignment().rubric
    out = out or default_path(reading.folder)
    files = dict(reading.files)
    items = [Written(q, reading.answers.get(q.id), reading.folder) for q in rubric.written]
    html = page(items)
    files["written.html"] = html.encode("utf-8", "replace")
    printed, reason = pdf_of(html) if pdf else (None, "it was switched off")
    if printed is not None:
        files["written.pdf"] = printed
    modules = {name: data for name, data in reading.files.items() if name.endswith(".py")}
    # An earlier zip stays until the new one is known to be right.
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".submit-", dir=out.parent) as place:
        new = Path(place) / out.name
        write_zip(new, {f"{TOP}/{name}": data for name, data in files.items()})
        if intake.read(new, rubric).sha256 != intake.digest(modules):
            raise RuntimeError(
                f"{out}: the zip does not hold the same modules as {reading.folder}; try again"
            )
        os.replace(new, out)
    return Packed(out, {name: len(files[name]) for name in sorted(files)}, reason)


def report(reading: Reading, packed: Packed | None, partial: bool) -> list[str]:
    """The report to the author, in lines: problems, warnings, and the result."""
    lines = [f"{'Note' if partial else 'Problem'}: {problem}" for problem in reading.problems]
    lines += [f"Note: {warning}" for warning in reading.warnings]
    if packed is None:
        count = len(reading.problems)
        return [
            *lines,
            f"Nothing was packed: fix the {'problem' if count == 1 else f'{count} problems'} above,"
            " or hand in what you have with --partial (make submit PARTIAL=1; grader.export(partial=True)).",
        ]
    lines += [f"  {name:<20} {_size(size)}" for name, size in packed.sizes.items()]
    if packed.no_pdf:
        lines.append(f"No PDF was made ({packed.no_pdf}); the HTML has the same content.")
    return [
        *lines,
        *_left_out(reading),
        f"Packed: {packed.path}",
        f'Hand in this file. To check it: python -m autograder check "{packed.path}"',
    ]


def _left_out(reading: Reading) -> list[str]:
    """What a zip lacks that is packed although something is missing, one line each."""
    given, rubric = handed_out(), assignment().rubric
    lines = []
    for name in (*(f"{module}.py" for module in rubric.modules), *rubric.notebooks):
        if name not in reading.files:
            answers = [q.id for q in rubric.written if given.homes.get(q.id) == name]
            more = f", and with it your answers to {', '.join(answers)}" if answers else ""
            lines.append(f"NOT in the zip: {name}{more}")
    return lines


def _size(size: int) -> str:
    return f"{size:>10,} bytes"


def submit(
    folder: Path, out: Path | None = None, partial: bool = False, pdf: bool = True
) -> tuple[Packed | None, list[str]]:
    """Reads the folder, packs it unless there are problems (`partial`: even then), and returns the zip and the report.

    Raises intake.UnusableSubmission if the folder, or the path for the zip, cannot be used.
    """
    if out is not None and out.suffix.lower() != ".zip":
        raise intake.UnusableSubmission(f"{out}: the name of the zip must end in .zip; choose another one")
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
