"""Why a module may be missing: files that are named after it, and notebooks that define what it should."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from autograder.model.rubric import Rubric
from autograder.submissions import written
from autograder.submissions.files import Entry
from autograder.submissions.spelling import resembles

MAX_NOTEBOOKS = 10
_DEFINED = re.compile(r"^(?:(?:async\s+)?def|class)\s+(\w+)|^(\w+)\s*(?::[^=\n]+)?=(?!=)", re.MULTILINE)


def hints(missing: Sequence[str], found: Iterable[Entry], rubric: Rubric) -> list[str]:
    """One note for each file that may explain why one of the modules is missing."""
    notes: list[str] = []
    files = [entry for entry in found if not entry.fault and not entry.folder]
    for entry in files:
        if (module := resembles(entry.path.name, missing)) and not entry.named(".ipynb"):
            notes.append(f"{entry.path} is not read; send the Python file {module}.py")
    notebooks = [entry for entry in files if entry.named(".ipynb")][:MAX_NOTEBOOKS] if missing else []
    for entry in notebooks:
        defined = _defined(entry)
        for module in missing:
            if names := [name for name in _asked(module, rubric) if name in defined]:
                notes.append(
                    f"{module}.py is missing, and the notebook {entry.path} defines {_listed(names)}: "
                    f"copy the code into a file {module}.py and send that too; code in notebooks is not graded"
                )
    return notes


def _asked(module: str, rubric: Rubric) -> list[str]:
    """The words of the rubric that may be names of functions, classes or constants of a module, in its order."""
    words = [w for q in rubric.auto if q.module == module for w in re.findall(r"[A-Za-z_]\w*", q.asks)]
    return list(dict.fromkeys(words))


def _defined(entry: Entry) -> set[str]:
    """What the code cells of a notebook define at their top level; nothing if it cannot be read."""
    try:
        cells = written.cells_of(entry.read(written.MAX_NOTEBOOK + 1), entry.path.name)
    except (
        Exception
    ):  # a damaged notebook, or a damaged member of an archive: there is nothing to say about it
        return set()
    code = "\n".join(cell["source"] for cell in cells if cell.get("cell_type") == "code")
    return {name for pair in _DEFINED.findall(code) for name in pair if name}


def _listed(names: Sequence[str]) -> str:
    shown = [*names[:8], *(["more"] if len(names) > 8 else [])]
    return f"{', '.join(shown[:-1])} and {shown[-1]}" if len(shown) > 1 else shown[0]
