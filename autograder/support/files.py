"""Result files, written completely or not at all; file names and table cells that are safe on every system."""

from __future__ import annotations

import contextlib
import json
import os
import re
import tempfile
import unicodedata
from pathlib import Path

from autograder.model.verdicts import Result

NAME_BYTES = 200  # of a file name, to which endings such as "-2.json" are added; systems allow 255
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
RESERVED = (
    "grades",
    "report",
    "manifest",
    "con",
    "nul",
    "aux",
    "prn",
)  # files of our own, and devices of Windows


def write_atomically(path: Path, content: str | bytes) -> None:
    """Replaces `path` by a file with `content` in one step: a reader, or a crash, sees either the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.")
    try:
        # A lone surrogate is written as an escape sequence; it must not prevent writing the file.
        data = content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def hold(folder: Path) -> contextlib.ExitStack:
    """Keeps the folder for this process until what is returned is closed, or the process ends.

    Raises BlockingIOError while another process has it. Where a file system cannot lock (and on Windows), nothing is kept.
    """
    try:
        import fcntl
    except ModuleNotFoundError:
        return contextlib.ExitStack()
    descriptor = os.open(folder, os.O_RDONLY)
    stack = contextlib.ExitStack()
    stack.callback(os.close, descriptor)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        stack.close()
        raise
    except OSError:  # a file system without locks
        pass
    return stack


def remove_leftovers(folder: Path) -> None:
    """Removes the unfinished files of a run that was killed while writing."""
    for path in folder.glob(".*.*"):
        if re.fullmatch(r"\..+\.(json|csv|html)\.\w{8}", path.name):
            path.unlink(missing_ok=True)


class NotWritten(RuntimeError):
    """A result cannot be written: the disk is full or read-only, for instance. Its text is one line for the person who grades."""


def write_result(path: Path, result: Result) -> None:
    """Writes a result, completely or not at all. Raises NotWritten."""
    try:
        write_atomically(path, json.dumps(result.to_json(), indent=2, ensure_ascii=False) + "\n")
    except OSError as error:
        raise NotWritten(not_written(path, error)) from error


def not_written(path: Path, error: OSError) -> str:
    """What to say, in one line, when a run cannot write into `path`."""
    reason = error.strerror or str(error)
    return f"{path}: the run has stopped ({reason}). What is written stays; fix that and run the same command again"


def cell(text: str) -> str:
    """`text` in a form that no spreadsheet reads as a formula."""
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def file_name(name: str, taken: set[str], suffix: str = "") -> str:
    """A file name made from `name` and `suffix` that is safe on every system and differs from those in `taken` (added to it).

    Names that differ only in case or in Unicode form are the same name on some systems, so they count as equal here.
    """
    base = "".join(c if c.isalnum() or c in "._- " else "_" for c in unicodedata.normalize("NFC", name))
    base = base.strip(" .")[: 100 - len(suffix)].encode()[:NAME_BYTES].decode(errors="ignore") or "submission"
    if base.startswith("-") or (not suffix and base.lower() in RESERVED):
        base = f"_{base}"
    candidate, number = f"{base}{suffix}", 1
    while comparable(candidate) in taken:
        number += 1
        candidate = f"{base}-{number}{suffix}"
    taken.add(comparable(candidate))
    return candidate


def comparable(name: str) -> str:
    """A file name as `file_name` compares it: names that differ only in case or Unicode form are the same on some systems."""
    return unicodedata.normalize("NFKC", name).casefold()
