"""Gradescope's `submission_metadata.yml`: who handed in which folder, and when.

The format, as several public programs that read such exports assume it: "Export Submissions" gives a zip
`assignment_<n>_export/` with one folder per submission and `submission_metadata.yml` next to them. The file maps each folder's
name (`submission_<n>`) to a mapping whose keys are Ruby symbols: `:submitters:` (a list of `:name:`, `:sid:`, `:email:`, of
which any may be missing; several entries for a group; the list may be empty), `:created_at:` (a YAML time, usually in
UTC), `:score:`, `:results:`, `:history:`.

The file comes from outside and may be hostile, so no object is ever built from it: the parser's events are read one by one,
ignoring tags, aliases and merge keys, to a bounded depth, and only the keys above are kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from autograder.model.student import Student

NAME = "submission_metadata.yml"
MAX_BYTES = 64 << 20  # it contains the autograder's output for the whole class
MAX_DEPTH = 40  # the parser's time grows with the square of the depth
MAX_TEXT = 500
KEPT = ("submitters", "created_at", "status")


class MetadataError(ValueError):
    """The file cannot be used; the text is one line that names it."""


@dataclass(frozen=True)
class SubmissionRecord:
    """What the file states about one folder. created_at: None if there is no time that can be parsed."""

    students: tuple[Student, ...]
    created_at: datetime | None


def read(path: Path) -> dict[str, SubmissionRecord]:
    """The records of the file at `path`, by folder name. Raises MetadataError."""
    try:
        import yaml
    except ModuleNotFoundError:
        raise MetadataError(
            f"{path.name}: PyYAML is needed to read it; install the instructors' extra (pip install pyyaml)"
        ) from None
    try:
        if path.stat().st_size > MAX_BYTES:
            raise MetadataError(
                f"{path.name}: larger than {MAX_BYTES >> 20} MiB; the folders' names are used"
            )
        text = path.read_bytes().decode("utf-8-sig")
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        events = yaml.parse(text, Loader=loader)
        table = _document(events, yaml)
    except MetadataError:
        raise
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError, ValueError) as error:
        line = " ".join(str(error).split())[:100]
        raise MetadataError(
            f"{path.name}: not YAML in Gradescope's format ({line}); the folders' names are used"
        ) from None
    entries = table if isinstance(table, dict) else {}
    records = {name: _record(entry) for name, entry in entries.items() if isinstance(entry, dict)}
    if not records:
        raise MetadataError(f"{path.name}: holds no list of submissions; the folders' names are used")
    return records


def _document(events: Iterator[Any], yaml: Any) -> Any:
    for event in events:
        if isinstance(event, (yaml.StreamStartEvent, yaml.DocumentStartEvent)):
            continue
        return _value(event, events, yaml, 0)
    return None


def _value(event: Any, events: Iterator[Any], yaml: Any, depth: int) -> Any:
    """The plain texts, lists and mappings that start with `event`; an alias becomes None."""
    if depth > MAX_DEPTH:
        raise ValueError("nested too deep")
    if isinstance(event, yaml.ScalarEvent):
        return event.value[:MAX_TEXT]
    if isinstance(event, yaml.SequenceStartEvent):
        items = []
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            items.append(_value(event, events, yaml, depth + 1))
        return items
    if isinstance(event, yaml.MappingStartEvent):
        table: dict[str, Any] = {}
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            key = _value(event, events, yaml, depth + 1)
            name = key.removeprefix(":") if isinstance(key, str) and depth else key
            value = _value(next(events), events, yaml, depth + 1)
            # In a submission's own mapping only the keys we use are kept: results may take megabytes.
            if isinstance(name, str) and (depth != 1 or name in KEPT):
                table.setdefault(name, value)
        return table
    return None


def _record(entry: dict[str, Any]) -> SubmissionRecord:
    students = []
    submitters = entry.get("submitters")
    for person in submitters if isinstance(submitters, list) else []:
        if isinstance(person, dict):
            texts = {key: _text(person.get(key)) for key in ("name", "sid", "email")}
            if any(texts.values()):
                students.append(Student(texts["name"], texts["sid"], texts["email"]))
    return SubmissionRecord(tuple(dict.fromkeys(students)), time_of(_text(entry.get("created_at"))))


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) and value.strip() not in ("~", "null") else ""


def time_of(text: str) -> datetime | None:
    """A time as YAML and ISO 8601 write it ("2026-04-26 17:34:00.861687000 Z"); without a zone, UTC, as in YAML."""
    try:
        when = written_time(text)
        return when and (when if when.tzinfo else when.replace(tzinfo=timezone.utc)).astimezone(timezone.utc)
    except OverflowError:
        return None


def written_time(text: str) -> datetime | None:
    """The same, without a zone where the text has none."""
    match = re.fullmatch(
        r"(\d{4})-(\d\d?)-(\d\d?)(?:(?:[Tt]|\s+)(\d\d?):(\d\d)(?::(\d\d)(?:\.(\d*))?)?)?\s*(Z|UTC|[+-]\d\d?:?\d\d)?",
        text.strip(),
    )
    if match is None:
        return None
    zone = match[8] or ""
    if zone[:1] in ("+", "-"):
        digits = zone[1:].replace(":", "").rjust(4, "0")
        zone = f"{zone[0]}{digits[:2]}:{digits[2:]}"
    elif zone:
        zone = "+00:00"
    fraction = (match[7] or "")[:6].ljust(6, "0")
    try:
        return datetime.fromisoformat(
            f"{match[1]}-{int(match[2]):02}-{int(match[3]):02}T{int(match[4] or 0):02}:{match[5] or '00'}:{match[6] or '00'}"
            f".{fraction}{zone}"
        )
    except ValueError:
        return None
