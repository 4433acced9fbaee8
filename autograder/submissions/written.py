"""The written answers in a notebook: found between their marks, separated from the prompt, and counted.

A written question begins in a Markdown cell with the lines

    <!-- BEGIN QUESTION -->
    <!-- question 1-3w -->

followed by the prompt; then come the answer's cells; then a cell with `<!-- END QUESTION -->`. People split, merge, move
and delete cells, so nothing here depends on which cell a line is in: the answer is what stands between the marks and was not
there when the notebook was handed out.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autograder.submissions.words import count_words

_BEGIN = re.compile(r"^\s*<!--\s*BEGIN\s+QUESTION\s*-->\s*$", re.IGNORECASE)
_QUESTION = re.compile(r"^\s*<!--\s*question[\s:]+([^\s:]\S*)\s*-->\s*$", re.IGNORECASE)
_END = re.compile(r"<!--\s*END\s+QUESTION\s*-->", re.IGNORECASE)
_PLACEHOLDER = re.compile(r"(?<![a-z])Write your answer here\.?[*_]*", re.IGNORECASE)
NO_END = "the line <!-- END QUESTION --> after it is missing, so what follows counts as part of the answer: put it back"
MAX_NOTEBOOK = 50 << 20  # bytes: figures make notebooks large, but hosts accept at most about 100 MB


class NotebookError(Exception):
    """A notebook that cannot be read; the text is one line that names it and says how to fix it."""


@dataclass(frozen=True)
class Part:
    """A piece of an answer: a Markdown text with its attachments, or a code cell with its outputs."""

    kind: str  # "text" or "code"
    text: str
    attachments: Mapping[str, Mapping[str, str]]
    outputs: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class Answer:
    """A written answer: its pieces in order, the number of words in its texts, and notes on its marks."""

    question: str
    parts: tuple[Part, ...]
    words: int
    notes: tuple[str, ...] = ()

    def remarks(self, limit: int) -> list[str]:
        """What the author should know before handing in, one line each; empty if there is nothing to report."""
        found = []
        if not self.words:
            code = " (text in a code cell does not count: make it a Markdown cell)" if self.parts else ""
            found.append(f"{self.question}: there is no answer yet{code}")
        elif limit and self.words > limit and NO_END not in self.notes:
            found.append(
                f"{self.question}: {self.words} words, {self.words - limit} more than the {limit} allowed; shorten it"
            )
        return found + [f"{self.question}: {note}" for note in self.notes]


def cells_of(data: bytes, name: str) -> list[dict[str, Any]]:
    """The cells of a notebook's bytes, each with its `source` as one text. Raises NotebookError."""
    if len(data) > MAX_NOTEBOOK:
        raise NotebookError(
            f"{name} is larger than {MAX_NOTEBOOK >> 20} MiB; clear the outputs of cells and save it again"
        )
    if not data.strip():
        raise NotebookError(
            f"{name} is empty: take it from .ipynb_checkpoints/, or from the zip that you were given"
        )
    try:
        table = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        raise NotebookError(
            f"{name} is not a notebook, or is damaged; open it in Jupyter and save it again"
        ) from None
    cells = table.get("cells") if isinstance(table, dict) else None
    if not isinstance(cells, list):
        raise NotebookError(
            f"{name} is not a notebook in the current format; open it in Jupyter and save it again"
        )
    return [{**cell, "source": text_of(cell.get("source"))} for cell in cells if isinstance(cell, dict)]


def fingerprint(data: bytes, name: str) -> str:
    """A digest of what people write in a notebook; opening, running and saving it does not change the digest."""
    cells = [(str(c.get("cell_type")), c["source"].split()) for c in cells_of(data, name)]
    return hashlib.sha256(json.dumps([c for c in cells if c[1]]).encode()).hexdigest()


def given_lines(data: bytes, name: str) -> dict[str, list[str]]:
    """By question, the lines between its marks in the notebook as it is handed out."""
    found: dict[str, list[str]] = {}
    for region in _regions(cells_of(data, name)):
        lines = [line for cell in region.cells if cell.kind == "text" for line in cell.text.splitlines()]
        found.setdefault(region.question, []).extend(line for line in lines if line.strip())
    return found


def answers_in(data: bytes, name: str, given: Mapping[str, Sequence[str]]) -> dict[str, Answer]:
    """The answers in a notebook, by question, in the notebook's order.

    Args:
        data: the notebook, as it was saved.
        name: its name, for messages.
        given: by question, what was between its marks before (see `given_lines`). For a question that is not in it, the cell
            with the mark is the prompt; if that is the only cell, its first paragraph is.

    Raises:
        NotebookError: the bytes are not a notebook.
    """
    found: dict[str, Answer] = {}
    for region in _regions(cells_of(data, name)):
        parts = _without(region.cells, given.get(region.question))
        notes = list(region.notes)
        if before := found.get(region.question):
            notes.append("its marks are in the notebook twice; both answers are exported")
            parts = [*before.parts, *parts]
        words = count_words("\n\n".join(part.text for part in parts if part.kind == "text"))
        found[region.question] = Answer(region.question, tuple(parts), words, tuple(dict.fromkeys(notes)))
    return found


@dataclass
class _Region:
    """What is between the marks of one question, including the prompt."""

    question: str
    cells: list[Part]
    notes: list[str]


def _regions(cells: Sequence[Mapping[str, Any]]) -> Iterator[_Region]:
    """The questions of a notebook in order; their notes report a mark that is missing."""
    region: _Region | None = None
    for cell in cells:
        if cell.get("cell_type") == "code":
            if region is not None and cell["source"].strip():
                region.cells.append(_part("code", cell["source"], cell))
            continue
        lines: list[str] = []
        for line in cell["source"].splitlines():
            starts = _QUESTION.match(line)
            if region is not None and (starts or _BEGIN.match(line)):
                region.cells.append(_part("text", "\n".join(lines), cell))
                region.notes.append(NO_END)
                yield region
                region, lines = None, []
            if starts:
                region = _Region(starts[1], [], [])
            elif region is not None and (end := _END.search(line)):
                lines.append(line[: end.start()])
                region.cells.append(_part("text", "\n".join(lines), cell))
                yield region
                region, lines = None, []
            elif region is not None:
                lines.append(line)
        if region is not None:
            region.cells.append(_part("text", "\n".join(lines), cell))
    if region is not None:
        region.notes.append(NO_END)
        yield region


def _without(cells: Sequence[Part], given: Sequence[str] | None) -> list[Part]:
    """The cells without the prompt and the placeholder; empty ones are dropped."""
    if given is None:
        texts = _without_first(cells)
    else:
        kept = _new_lines([cell.text.splitlines() if cell.kind == "text" else [] for cell in cells], given)
        texts = ["\n".join(lines) for lines in kept]
    parts = []
    for cell, text in zip(cells, texts, strict=True):
        if cell.kind == "code":
            parts.append(cell)
        elif (text := _without_placeholder(text).strip("\n")) and text.strip():
            parts.append(Part("text", text, cell.attachments))
    return parts


def _without_placeholder(text: str) -> str:
    *before, last = _PLACEHOLDER.split(text)
    return "".join([*(piece.rstrip("*_") for piece in before), last])


def _without_first(cells: Sequence[Part]) -> list[str]:
    """The texts if the prompt is unknown: it is taken to be the first cell, or its first paragraph if there is no other cell."""
    texts = [cell.text for cell in cells]
    others = any(cell.kind == "code" or _without_placeholder(cell.text).strip() for cell in cells[1:])
    if texts:
        texts[0] = "" if others else "\n\n".join(re.split(r"\n\s*\n", texts[0].strip())[1:])
    return texts


def _new_lines(texts: Sequence[Sequence[str]], given: Sequence[str]) -> list[list[str]]:
    """The lines of each text that are not in `given`, whose lines appear among them in the same order."""
    places = [(i, j) for i, text in enumerate(texts) for j, line in enumerate(text) if line.strip()]
    now = [" ".join(texts[i][j].split()) for i, j in places]
    before = [" ".join(line.split()) for line in given]
    dropped: set[tuple[int, int]] = set()
    shortened: dict[tuple[int, int], str] = {}
    matcher = difflib.SequenceMatcher(None, before, now, autojunk=False)
    for tag, start, stop, first, last in matcher.get_opcodes():
        if tag == "equal":
            dropped.update(places[first:last])
        elif tag == "replace":
            # An answer that continues on the prompt's own line.
            for place, line in zip(places[first:last], now[first:last], strict=True):
                if head := next((g for g in before[start:stop] if len(g) > 20 and line.startswith(g)), ""):
                    shortened[place] = line.removeprefix(head).strip()
    return [
        [shortened.get((i, j), line) for j, line in enumerate(text) if (i, j) not in dropped]
        for i, text in enumerate(texts)
    ]


def _part(kind: str, text: str, cell: Mapping[str, Any]) -> Part:
    attachments = cell.get("attachments")
    outputs = cell.get("outputs")
    return Part(
        kind,
        text,
        attachments if isinstance(attachments, dict) else {},
        [o for o in outputs if isinstance(o, dict)] if isinstance(outputs, list) else (),
    )


def text_of(source: Any) -> str:
    """The text of a cell or an output, which may be stored as one string or as a list of lines."""
    if isinstance(source, list):
        return "".join(line for line in source if isinstance(line, str))
    return source if isinstance(source, str) else ""
