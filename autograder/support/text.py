"""Text from student code, made safe to show."""

from __future__ import annotations


def plain(text: str, limit: int = 2000) -> str:
    """Text without control characters, so that it cannot move a terminal's cursor or hide lines; at most `limit` characters."""
    kept = (c if c.isprintable() or c in "\n\t" else "?" for c in text[:limit])
    return "".join(kept)
