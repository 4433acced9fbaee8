"""Result files, written whole or not at all; names and cells that are safe wherever they end up."""

from __future__ import annotations

import json
import os
import re
import tempfile
from pathlib import Path

from autograder.verdicts import Result

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def write_atomically(path: Path, text: str) -> None:
    """Replaces `path` by a file with `text` in one step: a reader, or a crash, sees the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.")
    try:
        # Half a character (a lone surrogate) is written in a readable way, rather than costing the file.
        with os.fdopen(handle, "w", encoding="utf-8", newline="", errors="backslashreplace") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def remove_leftovers(folder: Path) -> None:
    """Removes the unfinished files of a run that was killed while it wrote."""
    for path in folder.glob(".*.*"):
        if re.fullmatch(r"\..+\.(json|csv|html)\.\w{8}", path.name):
            path.unlink(missing_ok=True)


def write_result(path: Path, result: Result) -> None:
    write_atomically(path, json.dumps(result.to_json(), indent=2, ensure_ascii=False) + "\n")


def cell(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def file_name(name: str, taken: set[str]) -> str:
    """A name for a submission's files that is safe on every system and differs from those `taken` (added to it).

    Names that differ only in case or in Unicode form are one name on some systems, so they count as the same here.
    """
    import unicodedata

    base = "".join(c if c.isalnum() or c in "._- " else "_" for c in unicodedata.normalize("NFC", name))
    base = base.strip(" .")[:100] or "submission"
    if base.startswith("-") or base.lower() in ("grades", "report", "con", "nul", "aux", "prn"):
        base = f"_{base}"
    candidate, number = base, 1
    while unicodedata.normalize("NFKC", candidate).casefold() in taken:
        number += 1
        candidate = f"{base}-{number}"
    taken.add(unicodedata.normalize("NFKC", candidate).casefold())
    return candidate
