"""Which submissions share much of what students wrote: the most similar pairs of a class, and the passages they share.

Modules are compared by fingerprints of their tokens (Schleimer, Wilkerson and Aiken, "Winnowing", SIGMOD 2003; the package
copydetect): names, strings, comments and layout make no difference. Two kinds of passages count for nothing: those of the stubs,
and those that many submissions of the class share, because the question leads there. Nothing is executed.
"""

from __future__ import annotations

import io
from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import nlargest
from itertools import combinations
from statistics import median
from typing import Any

MOST_PAIRS = 30
GRAM = 30  # filtered characters (a name is one) of the shortest passage that counts: about two lines of code
LEAST = 60  # fingerprints; a submission with fewer holds too little of its own to be compared
COMMON = 10  # submissions; a passage that more of them share counts for nothing (in large classes a tenth, in small ones half)
MAX_LINES = 400  # shown of one module
MAX_TEXT = 200_000  # characters of one module
CONTEXT = 2  # lines shown before and after a passage


@dataclass(frozen=True)
class Line:
    """A line of a module as shown. passage: the number of the passage it belongs to, 0 if none. number 0: lines left out."""

    number: int
    text: str
    passage: int = 0


@dataclass(frozen=True)
class Excerpt:
    """The passages of one module that another submission shares, with the lines around them."""

    file: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Pair:
    """Two submissions. share: of what both wrote, how much is in both (0 to 1); left, right: their passages, by module."""

    first: str
    second: str
    share: float
    left: tuple[Excerpt, ...]
    right: tuple[Excerpt, ...]


@dataclass(frozen=True)
class Similarity:
    """The most similar pairs of a class, most similar first.

    count: submissions compared; usual: the median of all pairs' shares; short: the submissions with too little of their own.
    """

    pairs: tuple[Pair, ...]
    count: int
    usual: float
    short: tuple[str, ...] = ()


@dataclass
class _Module:
    """A module's text and, by fingerprint, its places in the filtered text. offsets: from there to the text, in steps."""

    file: str
    text: str
    places: dict[int, list[int]]
    offsets: Sequence[tuple[int, int]]

    def lines_of(self, slices: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
        """The first and the last line of slices of the filtered text."""
        ends = [place for place, character in enumerate(self.text) if character == "\n"]
        for start, stop in slices:
            yield tuple(bisect_right(ends, self._in_text(place) - 1) + 1 for place in (start, stop - 1))  # type: ignore[misc]

    def _in_text(self, place: int) -> int:
        step = bisect_right(self.offsets, (place - 1, 1 << 60))
        return place + (self.offsets[min(step, len(self.offsets) - 1)][1] if self.offsets else 0)


@dataclass
class Work:
    """A submission's modules as fingerprints, without those of the stubs."""

    name: str
    modules: list[_Module] = field(default_factory=list)
    prints: set[int] = field(default_factory=set)


def fingerprints(name: str, files: Mapping[str, bytes], stubs: Collection[int] = ()) -> Work:
    """The fingerprints of a submission's modules. stubs: the `prints` of what was handed out, which are left out."""
    work = Work(name)
    for file, data in sorted(files.items()):
        text = data[:MAX_TEXT].decode("utf-8", "replace").replace("\r\n", "\n")
        made = _fingerprint(text)
        # The library's own way to leave out boilerplate expects every fingerprint to be there once.
        places = {
            int(value): [int(i) for i in at] for value, at in made.hash_idx.items() if value not in stubs
        }
        steps: list[tuple[int, int]] = []
        for place, removed in getattr(made.offsets, "tolist", list)():
            steps.append((place, max(removed, steps[-1][1] if steps else 0)))
        work.modules.append(_Module(file, text, places, steps))
        work.prints |= set(places)
    return work


def _fingerprint(text: str) -> Any:
    from copydetect import CodeFingerprint

    # With a window of one, every passage is a fingerprint: the result depends on no hash's order.
    return CodeFingerprint("module.py", GRAM, 1, language="python", fp=io.StringIO(text))


def compare(works: Sequence[Work], most: int = MOST_PAIRS) -> Similarity:
    """Compares all submissions with each other. most: how many pairs are kept."""
    compared = [work for work in works if len(work.prints) >= LEAST]
    spread = Counter(value for work in compared for value in work.prints)
    limit = max(2, min(max(COMMON, len(compared) // 10), len(compared) // 2))
    own = {work.name: {v for v in work.prints if spread[v] <= limit} for work in compared}
    shares = []
    for a, b in combinations(compared, 2):
        # Of a few fingerprints, many may agree by chance: nobody counts as having written less than LEAST.
        total = max(LEAST, len(own[a.name])) + max(LEAST, len(own[b.name]))
        shares.append((2 * len(own[a.name] & own[b.name]) / total, a, b))
    best = nlargest(most, (s for s in shares if s[0]), key=lambda s: s[0])
    return Similarity(
        tuple(_pair(share, a, b, own[a.name] & own[b.name]) for share, a, b in best),
        len(compared),
        median(s[0] for s in shares) if shares else 0.0,
        tuple(work.name for work in works if len(work.prints) < LEAST),
    )


def _pair(share: float, a: Work, b: Work, shared: Collection[int]) -> Pair:
    """The passages of two submissions, with the same number where they are the same."""
    number_of: dict[int, int] = {}
    left, right = [], []
    count = 0
    for module in a.modules:
        marks = {}
        for piece, values in _slices(module, shared):
            count += 1
            marks[piece] = count
            for value in values:
                number_of.setdefault(value, count)
        left.append((module, marks))
    for module in b.modules:
        right.append(
            (
                module,
                {
                    piece: Counter(number_of[value] for value in values).most_common(1)[0][0]
                    for piece, values in _slices(module, shared)
                },
            )
        )
    return Pair(a.name, b.name, share, _excerpts(left), _excerpts(right))


def _slices(module: _Module, shared: Collection[int]) -> list[tuple[tuple[int, int], set[int]]]:
    """The shared slices of a module's filtered text, each with the fingerprints in it."""
    import numpy as np
    from copydetect.utils import get_copied_slices

    values = {place: value for value, places in module.places.items() if value in shared for place in places}
    if not values:
        return []
    found: list[tuple[tuple[int, int], set[int]]] = []
    for start, stop in np.asarray(get_copied_slices(list(values), GRAM), dtype=int).T.tolist():
        found.append(((start, stop), {values[place] for place in range(start, stop) if place in values}))
    return found


def _excerpts(marked: Iterable[tuple[_Module, Mapping[tuple[int, int], int]]]) -> tuple[Excerpt, ...]:
    return tuple(_excerpt(module, marks) for module, marks in marked if marks)


def _excerpt(module: _Module, marks: Mapping[tuple[int, int], int]) -> Excerpt:
    texts = module.text.split("\n")
    passages: dict[int, int] = {}
    for (first, last), number in zip(module.lines_of(marks), marks.values(), strict=True):
        for line in range(first, last + 1):
            if line <= len(texts) and texts[line - 1].strip():
                passages.setdefault(line, number)
    near = {n + d for n in passages for d in range(-CONTEXT, CONTEXT + 1) if 0 < n + d <= len(texts)}
    shown: list[Line] = []
    before = 0
    for number in sorted(near):
        if len(shown) > MAX_LINES:
            shown.append(Line(0, f"the rest of {module.file} is left out"))
            break
        if number > before + 1:
            gap = number - before - 1
            shown.append(Line(0, f"{gap} line{'' if gap == 1 else 's'} left out"))
        shown.append(Line(number, texts[number - 1], passages.get(number, 0)))
        before = number
    return Excerpt(module.file, tuple(shown))
