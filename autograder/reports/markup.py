"""Words that came from student code, made safe to stand in a page: they say what they say and do nothing."""

from __future__ import annotations

import html
import re


def for_html(text: str) -> str:
    """`text` as the content of an element or of a quoted attribute. Line ends stay (show them with `white-space: pre-wrap`)."""
    return html.escape(visible(text), quote=True)


def for_markdown(text: str) -> str:
    """`text` as a fenced block, in which Markdown and HTML mean nothing; the fence is longer than any in the text."""
    shown = visible(text)
    longest = max((len(run) for run in re.findall("`+", shown)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{shown}\n{fence}\n"


def visible(text: str) -> str:
    """Without what moves a cursor, turns the direction of writing or cannot be encoded: a question mark stands for it."""
    return "".join(c if c.isprintable() or c in "\n\t" else "?" for c in text.replace("\r\n", "\n"))
