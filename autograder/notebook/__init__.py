"""The assignment in a notebook: `from autograder.notebook import Grader`, and the written answers.

Otter is imported at the first use of `Grader`, and nowhere else: the command line does not need it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autograder.notebook.grader import Grader

__all__ = ["Grader"]


def __getattr__(name: str) -> Any:
    if name == "Grader":
        from autograder.notebook.grader import Grader

        return Grader
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
