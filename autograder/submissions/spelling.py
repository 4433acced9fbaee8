"""Names under which a module arrives although nobody chose them: a browser's second download, a copy, an ending too many."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from functools import cache
from itertools import pairwise
from pathlib import PurePosixPath

from autograder.model.assignment import ENGINE
from autograder.model.rubric import Rubric

_COPY = re.compile(
    r"(?:copy of )?(?P<stem>.+?)\s*(?:\(\d{1,3}\)|-\d{1,3}|- copy(?:\s*\(\d{1,3}\))?| copy(?: \d{1,3})?)?",
    re.S,
)
LONGEST = 200  # characters of a name that is looked at; longer ones are no module's, and would take long
# What people make of a module that is not one: texts, bytecode and exports.
OTHER_ENDINGS = ("", ".txt", ".md", ".pyc", ".html", ".pdf", ".doc", ".docx", ".rtf", ".odt")


def module_of(name: str, modules: Collection[str]) -> str:
    """The module that a file of this name holds, however the name is spelled; "" if none.

    "model (1).py", "Copy of model.py", "MODEL.py" and "model.py.txt" are model.py.
    """
    text = name.strip().casefold()
    for ending in (".txt", ".py"):
        if text.endswith(f".py{ending}"):
            text = text.removesuffix(ending)
    return _bare(text.removesuffix(".py"), modules) if text.endswith(".py") else ""


def graders(paths: Iterable[Sequence[str]], rubric: Rubric) -> set[tuple[str, ...]]:
    """The folders among these files' paths that hold a copy of the grader, whose files are named like modules.

    Some hand in all that they were given. A student's own folder of the same name is none of them.
    """
    folders = _grader_folders(rubric.package)
    found: dict[tuple[str, ...], set[str]] = {}
    for parts in paths:
        for place, (one, two) in enumerate(pairwise(parts)):
            if one == ENGINE.name and (two == "__main__.py" or (two in folders and place + 2 < len(parts))):
                found.setdefault(tuple(parts[: place + 1]), set()).add(two)
    return {root for root, names in found.items() if "__main__.py" in names or len(names) > 2}


def below(parts: Sequence[str], roots: Collection[tuple[str, ...]]) -> bool:
    """Whether a path leads into one of these folders."""
    return any(tuple(parts[: len(root)]) == root for root in roots)


@cache
def _grader_folders(package: str) -> frozenset[str]:
    """The folders of the grader, with the one of the assignment, which a release holds beside the others."""
    return frozenset({package, *(p.name for p in ENGINE.iterdir() if p.is_dir())} - {ENGINE.name})


def resembles(name: str, modules: Collection[str]) -> str:
    """The module that a file is named after although it is no Python file ("model.txt"); "" if none."""
    path = PurePosixPath(name.strip().casefold())
    return _bare(path.stem, modules) if path.suffix in OTHER_ENDINGS and not module_of(name, modules) else ""


def _bare(stem: str, modules: Collection[str]) -> str:
    match = _COPY.fullmatch(stem.strip()) if len(stem) <= LONGEST else None
    found = match["stem"].strip() if match else ""
    return next((m for m in modules if m.casefold() == found), "")


def natural(text: str) -> list[tuple[int, int, str]]:
    """A key that sorts texts as people do: "v2" before "v10"."""
    parts = re.findall(r"\d{1,18}|\D+|\d+", text.casefold())
    return [(0, int(part), "") if part.isdecimal() and len(part) <= 18 else (1, 0, part) for part in parts]
