"""Isolation levels, the limits of a child, and what a launcher is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, get_args

if TYPE_CHECKING:
    from autograder.sandbox.box import Box

Isolation = Literal["full", "user", "process"]
LEVELS: tuple[Isolation, ...] = get_args(Isolation)


AS_ROOT = "student code would run as root here"
AS_ROOT_FIX = (
    "install Python where other users can read it, outside /root, set TMPDIR to a folder that they can enter, such as /tmp,"
    " or grade as a user that is not root"
)


class Unavailable(RuntimeError):
    """The requested isolation is unavailable on this machine; the text gives the reason."""


@dataclass(frozen=True)
class Limits:
    """What one child may use, beyond what torch has mapped already."""

    # Bytes of address space; at `full` and `user` also of resident memory, summed over its processes.
    memory: int = 4 << 30
    file_size: int = 64 << 20  # bytes in one file


class Launcher(Protocol):
    """Makes boxes; close it at the end."""

    @property
    def isolation(self) -> Isolation:
        """The level its children run at; known once the first one is needed."""
        ...

    @property
    def unable(self) -> Sequence[str]:
        """Why better levels are unavailable, one line each."""
        ...

    @property
    def same_user(self) -> bool:
        """Whether children run under the judge's own account. Known with the level."""
        ...

    def box(self, limits: Limits) -> Box:
        """A fresh child in a fresh, empty folder."""
        ...

    def close(self) -> None: ...
