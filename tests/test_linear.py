"""Text that students write is read in time that is in proportion to its length, however it was made up."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from autograder.grading import raised
from autograder.model.assignment import assignment
from autograder.submissions import exports, hints, metadata, names, pages, spelling, written
from autograder.submissions.layout import layout, nobody
from autograder.submissions.words import count_words, replace_formulas, without_comments
from autograder.support.markup import for_markdown
from autograder.support.text import printed

LONG = 1 << 20  # characters
SECONDS = 3.0


def explained(text: str) -> None:
    for kind in ("TypeError", "AttributeError", "RuntimeError", text):
        raised.while_running({"kind": "raised", "type": kind, "message": text})


# What reads such text, and texts that it could take long over: a start, and what is repeated after it.
READERS: dict[str, tuple[Callable[[str], Any], list[tuple[str, str]]]] = {
    "comments": (without_comments, [("", "<!--"), ("", "<!-- ")]),
    "formulas": (
        lambda text: replace_formulas(text, str.upper),
        [("", r"\["), ("", r"\begin{a}\end{b}"), ("$a", "\n "), ("$", "$ "), ("", r"\$")],
    ),
    "words": (count_words, [("", "!["), ("", "[a]("), ("", "<a "), ("<img ", "src='a'"), ("", "\n1 ")]),
    "placeholder": (written._without_placeholder, [("", "*"), ("", "Write your answer here")]),
    "begin": (written._BEGIN.match, [("<!-- BEGIN", " "), ("", "\t")]),
    "question": (written._QUESTION.match, [("<!-- question", ":"), ("<!-- question ", "-"), ("", " ")]),
    "end": (written._END.search, [("<!-- END", " "), ("", "<!-- ")]),
    "paragraphs": (lambda text: written._without_first([written._part("text", text, {})]), [("a", "\n \t")]),
    "image": (lambda text: pages._IMG.sub(pages._markdown_image, text), [("<img ", "src='a'"), ("", "<img ")]),
    "terminal": (lambda text: pages._ANSI.sub("", text), [("", "\x1b["), ("\x1b[", "1;")]),
    "definitions": (
        lambda text: list(hints._DEFINED.finditer(text)),
        [("async", " "), ("", "a\n"), ("a", " "), ("a", ":")],
    ),
    "file name": (lambda text: spelling.module_of(f"{text}.py", ["vae"]), [("a", " "), ("copy of ", "- copy")]),
    "other file": (lambda text: spelling.resembles(f"{text}.txt", ["vae"]), [("a", " ")]),
    "order of names": (spelling.natural, [("", "1"), ("", "a1")]),
    "uploads": (lambda text: names.platform([f"{text}.py"], []), [("", "a"), ("", "a_"), ("1-1 - ", "1"), ("1", "_1")]),
    "folders": (lambda text: names.platform([], [text]), [("", "a"), ("", "_"), ("", "_attempt_")]),
    "time": (names.time_in_words, [("12", " "), ("", "1"), ("", "a")]),
    "exception": (explained, [("m", "1"), ("", "expected "), ("f() ", "takes "), ("", " ")]),
    "prints": (lambda text: printed(text, LONG), [("", "\x1b["), ("\x1b[", "1;"), ("", "\r"), ("", "a\r\n")]),
    "own name": (
        lambda text: exports._own_name(f"{text}.py", assignment().rubric),
        [("", "_"), ("", "-vae"), ("vae", " ")],
    ),
    "time of a submission": (metadata.written_time, [("2026-11-29", " "), ("2026-11-29T10:00:00.", "1")]),
    "held": (lambda text: pages._HELD.sub("", text), [("", "\ue000"), ("\ue000", "1")]),
    "fence": (for_markdown, [("", "`"), ("", "` ")]),
}  # fmt: skip


@pytest.mark.parametrize("name", READERS)
def test_hostile_text_is_read_in_linear_time(name: str) -> None:
    read, texts = READERS[name]
    for start, piece in texts:
        text = start + piece * (LONG // len(piece)) + "!"
        began = time.process_time()
        read(text)
        seconds = time.process_time() - began
        assert seconds < SECONDS, f"{seconds:.1f} s for {start!r} and {piece!r} again and again"


def test_a_class_of_many_folders_is_recognised_in_linear_time() -> None:
    rubric = assignment().rubric
    paths = [(f"student {i}", f"{module}.py") for i in range(40_000) for module in rubric.modules]
    began = time.process_time()
    assert layout(paths, "class", rubric, nobody, lambda parts: (), descend=True).prefix == ()
    assert time.process_time() - began < SECONDS
