"""Counting the words of a Markdown text as a reader would."""

from __future__ import annotations

import re

# Formulas in every notation that notebooks render. Dollar amounts do not form a pair: a formula's text touches its
# delimiters, and no digit follows the last one.
FORMULA = re.compile(
    r"""
      (?<!\\)\$\$ .+? \$\$
    | \\\[ .+? \\\]
    | \\\( .+? \\\)
    | \\begin\{(?P<environment>[A-Za-z]+\*?)\} .+? \\end\{(?P=environment)\}
    | (?<![\\$])\$(?=\S) (?:\\. | [^$\\\n] | \n(?!\s*\n))+? (?<=\S)\$(?!\d)
    """,
    re.DOTALL | re.VERBOSE,
)
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)

_IMAGE = re.compile(r"!\[[^\]]*\]\([^)]*\)|<img\b[^<>]*>", re.IGNORECASE)
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")
_TAG = re.compile(r"</?[A-Za-z][^<>]*>")
_LIST_MARK = re.compile(r"^[ \t>]*(?:[-*+]|\d+[.)])[ \t]+", re.MULTILINE)
_BREAKS = re.compile(r"[\s|]+|[\u2013\u2014]|--+")
# Scripts without spaces between words: each character counts as a word.
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")


def count_words(text: str) -> int:
    """Words of a Markdown text.

    A formula counts as one word, however long; comments, images, tags, list markers and link targets count as none.
    """
    text = COMMENT.sub(" ", text)
    text = FORMULA.sub(lambda found: " x " if found[0].startswith(("$$", "\\[", "\\b")) else "x", text)
    text = _LINK.sub(r"\1", _IMAGE.sub(" ", text))
    text = _LIST_MARK.sub("", _TAG.sub(" ", text))
    unspaced = len(_UNSPACED.findall(text))
    words = _BREAKS.split(_UNSPACED.sub(" ", text))
    return unspaced + sum(any(c.isalnum() for c in word) for word in words)
