"""Text from student code, made safe to show in a page."""

from __future__ import annotations

import html
import re
import unicodedata

KEPT = "\n\t\u200c\u200d"


def for_html(text: str) -> str:
    """`text` as the content of an element or of a quoted attribute. Line ends stay (show them with `white-space: pre-wrap`)."""
    return html.escape(visible(text), quote=True)


def for_markdown(text: str) -> str:
    """`text` as a fenced block, where Markdown and HTML have no effect; the fence is longer than any in the text."""
    shown = visible(text)
    longest = max((len(run) for run in re.findall("`+", shown)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{shown}\n{fence}\n"


def visible(text: str) -> str:
    """`text` with "?" for each character that moves a cursor, changes the writing direction or cannot be encoded.

    Spaces of any width become ordinary ones; what joins or parts the letters of a word stays.
    """
    return "".join(c if c.isprintable() or c in KEPT else _instead(c) for c in text.replace("\r\n", "\n"))


def _instead(char: str) -> str:
    return " " if unicodedata.category(char) == "Zs" else "?"
