"""One mistake costs once: checks of a question that fail for one reason, and code that works at the usual sizes only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from autograder.judging.catalogue import Mistake, declared
from autograder.judging.draw import USUAL_SIZES_ONLY, Draw
from autograder.model.assignment import Assignment, UsualSize
from autograder.model.feedback import LONGEST, Feedback
from autograder.model.verdicts import Verdict

EXCUSED = "It fails only because of a mistake that costs points once, in another check: {}"


def charged(verdicts: Sequence[Verdict], explained: Collection[str]) -> Iterator[Verdict]:
    """The verdicts of a question's checks that change because a mistake costs points once.

    explained: the ids of the checks whose failure is explained entirely by its mistake (see Mistake.once). Of the checks that
    fail because of one mistake the most valuable takes the points (the first of several); others that it explains pass, with
    a note.
    """
    groups: dict[str, list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        if verdict.status == "failed" and verdict.mistake is not None:
            groups[verdict.mistake].append(verdict)
    for group in groups.values():
        payer = max(group, key=lambda v: v.max_score)
        for verdict in group:
            if verdict is not payer and verdict.id in explained and verdict.max_score:
                note = Feedback(note=EXCUSED.format(verdict.diagnosis))
                yield replace(verdict, status="passed", score=verdict.max_score, feedback=note, mistake=None)


def usual_sizes(arguments: Mapping[str, Any], sizes: Sequence[UsualSize]) -> Iterator[tuple[UsualSize, ...]]:
    """The sizes at which a check that failed is judged again: each kind that it drew alone, then all together."""
    kinds = {kind for value in arguments.values() if isinstance(value, Draw) for kind in value.kinds}
    drawn = [size for size in sizes if size.kind in kinds]
    yield from ((size,) for size in drawn)
    if len(drawn) > 1:
        yield tuple(drawn)


def size_mistake(assignment: Assignment, sizes: Sequence[UsualSize]) -> Mistake:
    """The mistake of code that works at no other sizes. Raises KeyError where the catalogue lacks it."""
    if len(sizes) > 1:
        return USUAL_SIZES_ONLY
    (size,) = sizes
    for mistake in declared(f"{assignment.package}.mistakes"):
        if mistake.id == size.mistake:
            return mistake
    raise KeyError(f"{assignment.folder}: no mistake has the id {size.mistake}, which [[size]] names")


def at_usual_sizes(verdict: Verdict, sizes: Sequence[UsualSize], mistake: Mistake) -> Verdict:
    """The verdict of a check that failed, and passes at the usual sizes."""
    return explained(verdict, " and ".join(size.words for size in sizes), mistake)


def explained(verdict: Verdict, works: str, mistake: Mistake) -> Verdict:
    """The verdict of a check that failed, and passes at other sizes. works: which, in words."""
    found = replace(
        verdict.feedback,
        seen=f"{verdict.feedback.seen}\n  It works with {works}."[:LONGEST],
        diagnosis=mistake.sentence,
        hint=mistake.hint,
    )
    return replace(verdict, feedback=found, mistake=mistake.id)
