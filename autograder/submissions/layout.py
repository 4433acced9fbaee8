"""Whether a folder or an archive holds a class's submissions or one student's, from the names of what is in it.

A class has names by a learning platform, or at least two folders or archives that hold modules. If these hold different modules,
as `problem1/` and `problem2/` do, they are the parts of one submission. A roster decides first: the names that are on it are
students.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from autograder.model.rubric import Rubric
from autograder.submissions import names
from autograder.submissions.archives import is_archive, without_ending
from autograder.submissions.spelling import module_of

Parts = tuple[str, ...]
Known = Callable[[str], bool]


def nobody(text: str) -> bool:
    """No name is known to be a student's: there is no roster."""
    return False


@dataclass(frozen=True)
class Layout:
    """prefix: the folder that holds a class's submissions; None if it is one student's. remark: what else to report."""

    prefix: Parts | None
    remark: str = ""


def layout(
    paths: Iterable[Parts],
    outer: str,
    rubric: Rubric,
    known: Known,
    peek: Callable[[Parts], Collection[str]],
    descend: bool,
) -> Layout:
    """Which folder inside holds a class.

    paths: of all files. outer: the name of what holds them. known: whether a name is a student's.
    peek: the modules in an archive inside, by its path. descend: whether a folder that holds everything is looked into.
    """
    inside = list(paths)
    prefix: Parts = ()
    while inside:
        tops = {parts[0] for parts in inside}
        single = {parts[0] for parts in inside if len(parts) == 1}
        if names.platform(single, tops - single, (outer, *prefix)[-1])[0]:
            return Layout(prefix)
        students = sum(known(without_ending(top)) for top in tops)
        # Beside the folders of several students, a module is a stray file.
        if any(module_of(name, rubric.modules) for name in single) and (students < 2 or known(outer)):
            return Layout(None)
        units = _units(inside, rubric)
        if students:
            return Layout(prefix)
        if units and known(outer):
            return Layout(None)
        if len(units) >= 2:
            if _parts_of_one(_modules(units, prefix, rubric, peek), rubric):
                return Layout(
                    None, f"{', '.join(units)} hold different modules, so they are read as one submission"
                )
            return Layout(prefix)
        if len(tops) > 1 or single or not descend:
            return Layout(None)
        prefix += (next(iter(tops)),)
        inside = [parts[1:] for parts in inside]
    return Layout(None)


def _units(inside: Sequence[Parts], rubric: Rubric) -> dict[str, list[Parts]]:
    """The folders and archives at the top that may be a submission each, with their files."""
    tops: dict[str, list[Parts]] = defaultdict(list)
    for parts in inside:
        tops[parts[0]].append(parts)
    return {
        top: tops[top]
        for top in sorted(tops)
        if any(is_archive(p[-1]) or (len(p) > 1 and module_of(p[-1], rubric.modules)) for p in tops[top])
    }


def _modules(
    units: Mapping[str, Sequence[Parts]],
    prefix: Parts,
    rubric: Rubric,
    peek: Callable[[Parts], Collection[str]],
) -> Iterator[set[str]]:
    """The modules of each unit; those in its archives if it has no others."""
    for theirs in units.values():
        own = {module for parts in theirs if (module := module_of(parts[-1], rubric.modules))}
        if not own and len(theirs) <= len(rubric.modules):
            own = {module for parts in theirs if is_archive(parts[-1]) for module in peek((*prefix, *parts))}
        yield own


def _parts_of_one(held: Iterable[set[str]], rubric: Rubric) -> bool:
    """Whether no module is there twice, and every part has one. No more parts are looked at than it takes to tell."""
    together: set[str] = set()
    for some in held:
        if not some or some & together:
            return False
        together |= some
    return True
