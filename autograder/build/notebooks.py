"""Make the notebooks from their sources, `notebooks/*_notebook.py` in the folder of solutions (jupytext's percent format).

Each source gives two notebooks: the complete one for the solutions, with our answers to the written questions, and the
students'. A written question looks like this in a source:

    # %% [markdown]
    # <!-- BEGIN QUESTION -->
    # <!-- question 1-3w -->
    # The question, its points and its limit of words.

    # %% [markdown]
    # <!-- BEGIN SOLUTION -->
    # Our answer.
    # <!-- END SOLUTION -->

    # %% [markdown]
    # <!-- END QUESTION -->

Students get `_Write your answer here._` in place of the answer. The other marks stay in both, so that answers are found again
even when an editor has dropped all metadata. A markdown cell that only the complete notebook has, because it would give an answer
away, is tagged in its source: `# %% [markdown] tags=["solution"]`. Notebooks hold no outputs, and the same source always gives
the same bytes.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import jupytext
import nbformat
from nbformat import NotebookNode

SUFFIX = "_notebook"  # of a source's name: without it, the source could be mistaken for a module
PLACEHOLDER = "_Write your answer here._"
SOLUTION = "solution"  # the tag of cells that students do not get

BEGIN_QUESTION, END_QUESTION = "<!-- BEGIN QUESTION -->", "<!-- END QUESTION -->"
BEGIN_SOLUTION, END_SOLUTION = "<!-- BEGIN SOLUTION -->", "<!-- END SOLUTION -->"
TAG = f'tags=["{SOLUTION}"]'
MARKS = (BEGIN_QUESTION, END_QUESTION, BEGIN_SOLUTION, END_SOLUTION)
QUESTION = re.compile(r"<!-- question (?P<id>[\w.-]+) -->")
# What looks like a mark must be one, letter for letter.
LIKE_A_MARK = re.compile(r"\b(BEGIN|END)\W+(QUESTION|SOLUTION)\b|<!--\s*question\b", re.IGNORECASE)
CELL = re.compile(r"# %%(?P<rest>.*)")

METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


@dataclass(frozen=True)
class Mark:
    """A mark in a source: its line (from 1), the number of its cell, and its text."""

    line: int
    cell: int
    text: str


def notebook(source: str, filename: str, complete: bool) -> bytes:
    """The bytes of a notebook.

    Args:
        source: a Python file in the percent format.
        filename: its name, for error messages.
        complete: whether our answers stay in; otherwise it is the students' notebook.

    Raises:
        ValueError: a mark that is misspelt, unclosed, nested, alone or in code; a question without an id, without
            an answer or with two, or with another question's id; an answer outside a question; a tag other than
            "solution", or one on a code cell or inside a question. The message names the file and the line.
    """
    _check(source, filename)
    cells = []
    for cell in jupytext.reads(source, fmt="py:percent").cells:
        if not complete and SOLUTION in cell.metadata.get("tags", ()):
            continue
        text = _answered(cell.source, complete) if cell.cell_type == "markdown" else cell.source
        cells.append((cell.cell_type, text))
    made = nbformat.v4.new_notebook(metadata=METADATA, cells=_with_ids(cells))
    nbformat.validate(made)
    return (nbformat.writes(made, version=4).rstrip("\n") + "\n").encode()


def notebook_files(solutions: Path, complete: bool) -> dict[str, bytes]:
    """Name and bytes of every notebook that the folder `notebooks` of `solutions` has a source for."""
    return {
        f"{path.stem.removesuffix(SUFFIX)}.ipynb": notebook(
            path.read_text(encoding="utf-8"), f"notebooks/{path.name}", complete
        )
        for path in sorted((solutions / "notebooks").glob("*.py"))
    }


def solution_cells(source: str) -> list[str]:
    """The texts of the cells that students do not get."""
    cells = jupytext.reads(source, fmt="py:percent").cells
    return [cell.source for cell in cells if SOLUTION in cell.metadata.get("tags", ())]


def _answered(text: str, complete: bool) -> str:
    """A markdown cell with our answer, or with the placeholder for the student's, between its marks."""
    before, begun, rest = text.partition(BEGIN_SOLUTION)
    if not begun:
        return text
    answer, _, after = rest.partition(END_SOLUTION)
    return before + (answer.strip() if complete else PLACEHOLDER) + after


def _with_ids(cells: list[tuple[str, str]]) -> list[NotebookNode]:
    """Cells with ids made from their content, so that a change in one leaves the ids of all others."""
    made = []
    seen: Counter[tuple[str, str]] = Counter()
    for kind, text in cells:
        seen[kind, text] += 1
        id = hashlib.sha256(f"{kind}\0{seen[kind, text]}\0{text}".encode()).hexdigest()[:12]
        if kind == "markdown":
            made.append(nbformat.v4.new_markdown_cell(text, id=id))
        else:
            made.append(nbformat.v4.new_code_cell(text, id=id))
    return made


# --- Marks that do not fit together ----------------------------------------------------------------------


def _check(source: str, filename: str) -> None:
    """Raises ValueError unless each question is begun, named, answered and ended before the next one begins."""
    begun: Mark | None = None  # the question that is open
    opened: Mark | None = None  # the answer that is open
    named = answered = False
    ids: dict[str, int] = {}
    for mark in _marks(source, filename):
        where = f"{filename}:{mark.line}"
        if mark.text == TAG:
            if begun:
                raise ValueError(f"{where}: {TAG} inside the question that begins at line {begun.line}")
            continue
        if opened and mark.text != END_SOLUTION:
            raise ValueError(f"{where}: {mark.text} inside the answer that begins at line {opened.line}")
        if mark.text == BEGIN_QUESTION:
            if begun:
                raise ValueError(f"{where}: {mark.text} inside the question that begins at line {begun.line}")
            begun, named, answered = mark, False, False
        elif mark.text == BEGIN_SOLUTION:
            if not begun or not named:
                raise ValueError(
                    f"{where}: an answer must lie in a question, after {BEGIN_QUESTION} and its id"
                )
            if answered:
                raise ValueError(f"{where}: a second answer to the question that begins at line {begun.line}")
            if mark.cell == begun.cell:
                raise ValueError(f"{where}: the answer needs a cell of its own, after the question's")
            opened = mark
        elif mark.text == END_SOLUTION:
            _check_answer(opened, mark, source, filename)
            opened, answered = None, True
        elif mark.text == END_QUESTION:
            if not begun:
                raise ValueError(f"{where}: {END_QUESTION} without {BEGIN_QUESTION}")
            if not answered:
                raise ValueError(
                    f"{where}: the question that begins at line {begun.line} has no answer between "
                    f"{BEGIN_SOLUTION} and {END_SOLUTION}"
                )
            begun = None
        else:
            if not begun or named or mark.cell != begun.cell:
                raise ValueError(f"{where}: a question's id must follow {BEGIN_QUESTION}, once, in its cell")
            if mark.text in ids:
                raise ValueError(f"{where}: the question at line {ids[mark.text]} has the same id")
            ids[mark.text] = mark.line
            named = True
    for left, end in ((opened, END_SOLUTION), (begun, END_QUESTION)):
        if left:
            raise ValueError(f"{filename}:{left.line}: {left.text} without {end}")


def _check_answer(begin: Mark | None, end: Mark, source: str, filename: str) -> None:
    """Raises ValueError for the end of an answer that was not begun in the same cell, or that is empty."""
    if not begin:
        raise ValueError(f"{filename}:{end.line}: {END_SOLUTION} without {BEGIN_SOLUTION}")
    if begin.cell != end.cell:
        raise ValueError(f"{filename}:{end.line}: the answer begins at line {begin.line}, in another cell")
    if not any(line.strip(" #") for line in source.splitlines()[begin.line : end.line - 1]):
        raise ValueError(f"{filename}:{begin.line}: there is nothing between the marks")


def _marks(source: str, filename: str) -> Iterator[Mark]:
    """Every mark of a source, in order. Only whole lines of markdown cells may be marks."""
    cell, markdown = 0, False
    for number, line in enumerate(source.splitlines(), start=1):
        if match := CELL.fullmatch(line):
            kind = match["rest"].strip()
            cell, markdown = cell + 1, kind.startswith("[markdown]")
            if "tags" in kind:
                if kind != f"[markdown] {TAG}":
                    raise ValueError(
                        f"{filename}:{number}: the only tagged cells are '# %% [markdown] {TAG}'; got {line!r}"
                    )
                yield Mark(number, cell, TAG)
            continue
        if not LIKE_A_MARK.search(line):
            continue
        text = line.removeprefix("#").strip()
        if not line.startswith("#") or not (text in MARKS or QUESTION.fullmatch(text)):
            raise ValueError(
                f"{filename}:{number}: a mark must be a line of its own, one of {', '.join(MARKS)} or "
                f"<!-- question 1-3w -->; got {text!r}"
            )
        if not markdown:
            raise ValueError(f"{filename}:{number}: a mark must be in a markdown cell; got {text!r}")
        yield Mark(number, cell, text)
