"""What a check reports, as fields; every report renders them in its own way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

# What students read of hidden checks. "count": how many passed; "rubric": the rubric's line of each as well; "mistake": also the
# recognised mistake, with its hint.
HiddenFeedback = Literal["mistake", "rubric", "count"]
LONGEST = 8000  # characters of one check's rendered feedback, which may quote long messages of student code


@dataclass(frozen=True)
class Location:
    """A line in a student's file."""

    file: str
    line: int
    code: str = ""

    def __str__(self) -> str:
        place = f"{self.file}, line {self.line}"
        return f"{place}: {self.code}" if self.code else place


@dataclass(frozen=True)
class Feedback:
    """The feedback of one check; every field may be empty.

    note: text without a label (such as: the check has not run).
    asked, expected, seen: the task, what a right answer gives, and what the submission gave.
    diagnosis: the recognised mistake in one sentence. hint: what to do about it.
    location: the student's line that `seen` is about. called: the call that raised, as "forward(x of shape (5, 1, 784))";
        through: the line of that function, where it is another one.
    todo: the function that is not written yet, as its stub names it ("1-2: write Model.loss"; "" where it names none);
        None when something was written.
    """

    note: str = ""
    asked: str = ""
    expected: str = ""
    seen: str = ""
    diagnosis: str = ""
    hint: str = ""
    location: Location | None = None
    todo: str | None = None
    called: str = ""
    through: Location | None = None

    def parts(self) -> tuple[tuple[str, str], ...]:
        """Label and text of each nonempty part, in reading order; the note has the label ""."""
        seen = f"{self.seen}\n  at {self.location}" if self.location else self.seen
        seen += f"\n  from {self.through}" if self.through else ""
        seen += f"\n  in {self.called}" if self.called else ""
        parts = (
            ("", self.note),
            ("Asked", self.asked),
            ("Expected", self.expected),
            ("Seen", seen),
            ("This looks like", self.diagnosis),
            ("Try", self.hint),
        )
        return tuple((label, text) for label, text in parts if text)

    def text(self) -> str:
        """The parts as lines of plain text. Continuation lines are indented, so that quoted text cannot look like a part."""
        return "\n".join(_lines(label, text) for label, text in self.parts())[:LONGEST]

    def to_json(self) -> dict[str, Any]:
        """The fields that are not empty."""
        fields = asdict(self)
        return {
            key: fields[key] for key in fields if fields[key] or (key == "todo" and self.todo is not None)
        }

    @classmethod
    def from_json(cls, table: Mapping[str, Any]) -> Feedback:
        """The feedback with this `to_json` form. Raises TypeError when a field is unknown."""
        places = {key: Location(**table[key]) for key in ("location", "through") if table.get(key)}
        return cls(**{**table, **places})


def _lines(label: str, text: str) -> str:
    first, *more = text.splitlines() or [""]
    indented = [line if line.startswith("  ") else f"  {line}" for line in more] if label else more
    return "\n".join([f"{label}: {first}" if label else first, *indented])


@dataclass(frozen=True)
class WrittenMark:
    """What a student's page shows of a written answer. points: "" while there are none."""

    points: str
    comment: str = ""
