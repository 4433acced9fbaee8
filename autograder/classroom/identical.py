"""Which uploads of different people hold the same modules, byte for byte."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from autograder.classroom.collect import Entry
from autograder.classroom.rows import NOTHING
from autograder.model.verdicts import Result, is_blank


def identical_work(entries: Iterable[Entry], results: Mapping[str, Result]) -> list[tuple[str, ...]]:
    """The names of submissions with the same modules, in groups; uploads in which nothing is written are left out."""
    return identical(entries, {name: r.sha256 for name, r in results.items() if not is_blank(r)})


def identical(entries: Iterable[Entry], digests: Mapping[str, str]) -> list[tuple[str, ...]]:
    """The same, for digests of modules by name of submission.

    Several uploads of one student, or of a group and its members, are no group: each name stands for other people.
    """
    people: dict[str, set[int]] = {}
    order: list[str] = []  # those that count first
    for place, entry in enumerate(entries):
        for name in filter(None, (entry.work, *entry.earlier)):
            people.setdefault(name, set()).add(place)
        order += [entry.work] if entry.work else []
    groups: dict[str, list[str]] = {}
    for name in dict.fromkeys([*order, *people]):
        if digests.get(name, NOTHING) not in (NOTHING, ""):
            group = groups.setdefault(digests[name], [])
            if all(people[name].isdisjoint(people[other]) for other in group):
                group.append(name)
    return [tuple(group) for group in groups.values() if len(group) > 1]
