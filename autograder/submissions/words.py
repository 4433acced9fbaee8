"""Counting the words of a Markdown text as a reader would."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator

# Where formulas begin, in every notation that notebooks render.
_FORMULA = re.compile(
    r"(?<!\\)\$\$ | \\\[ | \\\( | \\begin\{(?P<environment>[A-Za-z]+\*?)\} | (?<![\\$])\$(?=\S)", re.VERBOSE
)
_FORMULA_END = re.compile(r"\$\$|\\\]|\\\)|\\end\{[A-Za-z]+\*?\}")
_ENDS = {"$$": "$$", r"\[": r"\]", r"\(": r"\)"}
# Dollar amounts do not form a pair: a formula's text touches its delimiters, and no digit follows the last one.
_IN_DOLLARS = re.compile(r"\$(?:\\.|[^$\\\n]|\n(?!\s*\n))+?(?<=\S)\$(?!\d)", re.DOTALL)

_IMAGE_TAG = re.compile(r"<img\b[^<>]*>", re.IGNORECASE)
_TAG = re.compile(r"</?[A-Za-z][^<>]*>")
_LIST_MARK = re.compile(r"^[ \t>]*(?:[-*+]|\d+[.)])[ \t]+", re.MULTILINE)
_BREAKS = re.compile(r"[\s|]+|[\u2013\u2014]|--+")
# Scripts without spaces between words: each character counts as a word.
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")


def count_words(text: str) -> int:
    """Words of a Markdown text.

    A formula counts as one word, however long; comments, images, tags, list markers and link targets count as none.
    """
    text = without_comments(text, " ")
    text = replace_formulas(text, lambda found: " x " if found.startswith(("$$", "\\[", "\\b")) else "x")
    text = _replace_links(_IMAGE_TAG.sub(" ", _replace_links(text, "![", lambda inner: " ")), "[", str)
    text = _LIST_MARK.sub("", _TAG.sub(" ", text))
    unspaced = len(_UNSPACED.findall(text))
    words = _BREAKS.split(_UNSPACED.sub(" ", text))
    return unspaced + sum(any(c.isalnum() for c in word) for word in words)


def without_comments(text: str, instead: str = "") -> str:
    """The text with another one in place of each comment of HTML."""
    pieces, place = [], 0
    while (start := text.find("<!--", place)) >= 0 and (end := text.find("-->", start + 4)) >= 0:
        pieces += [text[place:start], instead]
        place = end + 3
    return "".join([*pieces, text[place:]])


def replace_formulas(text: str, new: Callable[[str], str]) -> str:
    """The text with another one in place of each formula, which `new` makes of it."""
    pieces, place = [], 0
    for start, end in _formulas(text):
        pieces += [text[place:start], new(text[start:end])]
        place = end
    return "".join([*pieces, text[place:]])


def _formulas(text: str) -> Iterator[tuple[int, int]]:
    """Where formulas begin and end. Takes time in proportion to the text: no end is looked for twice."""
    ends: dict[str, list[int]] = defaultdict(list)
    place = 0
    while (found := _FORMULA_END.search(text, place)) is not None:
        ends[found[0]].append(found.start())
        place = found.start() + 1  # "$$$" holds two
    place = 0
    while (begun := _FORMULA.search(text, place)) is not None:
        place = begun.start() + 1
        if begun[0] == "$":
            if (whole := _IN_DOLLARS.match(text, begun.start())) is not None:
                yield whole.span()
                place = whole.end()
            continue
        end = _ENDS.get(begun[0]) or f"\\end{{{begun['environment']}}}"
        after = bisect_left(ends[end], begun.end() + 1)
        if after < len(ends[end]):
            place = ends[end][after] + len(end)
            yield begun.start(), place


def _replace_links(text: str, opening: str, new: Callable[[str], str]) -> str:
    """The text with another one in place of each link or image of Markdown, which `new` makes of its inner text."""
    pieces, place, start = [], 0, text.find(opening)
    while start >= 0 and (middle := text.find("]", start + len(opening))) >= 0:
        if not text.startswith("(", middle + 1):
            start = text.find(opening, middle)  # all that begin before this bracket end there
            continue
        if (end := text.find(")", middle + 2)) < 0:
            break
        pieces += [text[place:start], new(text[start + len(opening) : middle])]
        place = end + 1
        start = text.find(opening, place)
    return "".join([*pieces, text[place:]])
