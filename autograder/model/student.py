"""A student of the class."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Student:
    """A student, as far as known; every field may be empty. canvas: Canvas's own number for them; github: their account there."""

    name: str = ""
    id: str = ""
    email: str = ""
    login: str = ""
    section: str = ""
    canvas: str = ""
    first: str = ""
    last: str = ""
    github: str = ""

    @property
    def shown(self) -> str:
        """What to call them in a message."""
        return self.name or self.id or self.email or self.login or self.canvas or self.github

    @property
    def natural(self) -> str:
        """The name with the first name first; `shown` if there is no name."""
        return " ".join(filter(None, self.split())) or self.shown

    def split(self) -> tuple[str, str]:
        """First and last name; if not given separately, the name is split at its comma ("Last, First") or before its last word."""
        if self.first or self.last:
            return self.first, self.last
        if "," in self.name:
            last, _, first = self.name.partition(",")
            return first.strip(), last.strip()
        first, _, last = self.name.rpartition(" ")
        return (first, last) if first else (last, "")
