"""Reading CSV files as spreadsheets and learning platforms write them: any common delimiter and encoding, bounded in size."""

from __future__ import annotations

import codecs
import csv
import io
import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from autograder.classroom.errors import ClassroomError
from autograder.model.verdicts import tidy
from autograder.support.files import FORMULA_STARTS, cell
from autograder.support.markup import visible

MAX_BYTES = 16 << 20
MAX_ROWS = 100_000
END = "\ue000end"  # no table has this
DELIMITERS = ",;\t|"
DELIMITER_NAMES = {",": "a comma", ";": "a semicolon", "\t": "a tab"}


class TableError(ClassroomError):
    """A file that cannot be read as a table."""


@dataclass(frozen=True)
class Table:
    """A header, and the rows below it as texts of the same length; numbers: each row's line in the file (the header is 1).

    remarks: one line for each problem with the file.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: tuple[int, ...]
    remarks: tuple[str, ...] = ()


def read(path: Path, known: Sequence[str] = ()) -> Table:
    """Reads the CSV file at `path`.

    known: header names in the form of `header_key`; the delimiter that yields most of them is used.
    Raises TableError if it is missing, too large, not text or not CSV.
    """
    content, remarks = text(path)
    # Excel states the delimiter in a line before the header.
    above = 0
    if hint := re.match(r"sep=(.)\r?\n", content):
        content, delimiter, above = content[hint.end() :], hint[1], 1
    else:
        delimiter = _delimiter(content, known)
    records: list[tuple[int, list[str]]] = []
    # A last row of our own: without it, a quotation mark that is never closed would hide all rows below.
    reader = csv.reader(io.StringIO(f"{content}\n{END}", newline=""), delimiter=delimiter, strict=False)
    first = last = 0
    try:
        for record in reader:
            if record == [END]:
                break
            if any(field.strip() for field in record):
                records.append((above + reader.line_num, [bare(field) for field in record]))
            if len(records) > MAX_ROWS:
                raise TableError(f"{path}: more than {MAX_ROWS:,} rows; give one row per student")
            first, last = last + 1, reader.line_num
        else:
            raise TableError(
                f"{path}: a quotation mark in line {first} is not closed, which hides what is below it; close or remove it"
            )
    except csv.Error as error:
        raise TableError(
            f"{path}: line {reader.line_num} is not CSV ({error}); save it as CSV (UTF-8)"
        ) from None
    if not records:
        raise TableError(f"{path}: has no rows; the first one must name the columns")
    width = len(records[0][1])
    for number, fields in records:
        if any(fields[width:]):
            raise TableError(
                f"{path}: line {number} has {len(fields)} cells and the header {width}: put quotation marks around a cell"
                f" that holds {DELIMITER_NAMES.get(delimiter, repr(delimiter))}, or name the column"
            )
    rows = tuple(tuple((fields + [""] * width)[:width]) for _, fields in records[1:])
    return Table(tuple(records[0][1]), rows, tuple(number for number, _ in records[1:]), tuple(remarks))


def text(path: Path) -> tuple[str, list[str]]:
    """The text of a CSV file in whatever encoding it has, and a line where that is a guess. Raises TableError."""
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise TableError(
            f"{path}: cannot be read ({error.strerror}); check the spelling of the path"
        ) from None
    if len(data) > MAX_BYTES:
        raise TableError(
            f"{path}: larger than {MAX_BYTES >> 20} MiB; give a CSV file with one row per student"
        )
    if data.startswith(b"PK\x03\x04"):
        raise TableError(f"{path}: a spreadsheet or a zip, not a CSV file; save it as CSV (UTF-8)")
    return _decode(data, path)


def header_key(name: str) -> str:
    """A column's name without what differs between programs: case, spaces, punctuation."""
    return "".join(c for c in unicodedata.normalize("NFKC", name).casefold() if c.isalnum() or c == "#")


def bare(field: str) -> str:
    """A cell's text, without the apostrophe that keeps it from being a formula (see `support.files.cell`)."""
    text = field.strip()
    return text[1:] if text[:1] == "'" and text[1:].startswith(FORMULA_STARTS) else text


def as_cell(text: str) -> str:
    """A text from outside as one line that no spreadsheet reads as a formula."""
    return cell(visible(text).replace("\n", " ").replace("\t", " ").strip())


def number(text: str) -> float | None:
    """A number as spreadsheets write it, with a decimal point or comma; None if it is anything else."""
    if not re.fullmatch(r"\+?\d{1,6}(?:[.,]\d{0,9})?|[.,]\d{1,9}", text.strip(), re.ASCII):
        return None
    value = float(text.strip().replace(",", "."))
    return tidy(value) if math.isfinite(value) else None


def _decode(data: bytes, path: Path) -> tuple[str, list[str]]:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    elif data[1:2] == b"\0" and data[:1] != b"\0":
        encoding = "utf-16-le"
    elif data[:1] == b"\0" and data[1:2] not in (b"", b"\0"):
        encoding = "utf-16-be"
    else:
        encoding = "utf-8-sig"
    remarks = []
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        text = data.decode("cp1252", errors="replace")
        remarks.append(f"{path}: not UTF-8, read as Windows-1252; save it as CSV (UTF-8) if names look wrong")
    if "\0" in text:
        raise TableError(f"{path}: not text; save it as CSV (UTF-8)")
    return text, remarks


def _delimiter(text: str, known: Sequence[str]) -> str:
    """The delimiter that yields most known names in the first row with text; on a tie, the most columns, then the first."""

    def worth(delimiter: str) -> tuple[int, int]:
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        names = next((row for row in rows if any(name.strip() for name in row)), [])
        return sum(header_key(name) in known for name in names), len(names)

    try:
        return max(DELIMITERS, key=worth)
    except csv.Error:
        return ","
