"""Text from student code, made safe to show."""

from __future__ import annotations

import re

_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def plain(text: str, limit: int = 2000) -> str:
    """Text without control characters, so that it cannot move a terminal's cursor or hide lines; at most `limit` characters."""
    kept = (c if c.isprintable() or c in "\n\t" else "?" for c in text[:limit])
    return "".join(kept)


def printed(text: str, limit: int) -> str:
    """What a program has printed, as a terminal shows it in the end: of a progress bar its last state, and no colours."""
    lines = _ESCAPE.sub("", text.replace("\r\n", "\n")).split("\n")
    return plain("\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines), limit)
