"""Students' pages brought up to date when written points are merged, as the run that wrote them has chosen."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import cast, get_args

from autograder.classroom import stored
from autograder.model.assignment import assignment
from autograder.model.counting import Counting
from autograder.model.feedback import HiddenFeedback, WrittenMark
from autograder.model.rubric import Rubric
from autograder.reports.hidden import Teaching
from autograder.support.files import write_atomically

_CHOICE = re.compile(r'<meta name="hidden-feedback" content="(\w+)">')
_HEAD = 4096  # characters of a page within which its choice stands


class _Lessons(Mapping[str, str]):
    """What students read about each mistake, by its id; read when the first is asked for, because that loads torch."""

    @cached_property
    def _all(self) -> dict[str, str]:
        from autograder.judging.catalogue import lessons

        return lessons(assignment())

    def __getitem__(self, mistake: str) -> str:
        return self._all[mistake]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)


def teaching_of(choice: HiddenFeedback) -> Teaching:
    """How much students read about hidden checks where a run has chosen this."""
    return Teaching(choice, _Lessons())


def refresh(
    out: Path,
    rubric: Rubric,
    marks: Mapping[str, Mapping[str, WrittenMark]],
    counting: Counting = Counting(),  # noqa: B008 (it is immutable)
    lines: Mapping[str, Sequence[str]] | None = None,
    everyone: bool = False,
) -> list[str]:
    """Writes the pages in `out` of submissions that have marks or lines again; returns one line for each that cannot be written.

    marks, lines: see `reports.html.write_reports`. everyone: whether all pages are written again.

    A page that is not there (`grade --no-report`) is not made.
    """
    try:
        from autograder.reports.html import FEEDBACK, feedback_files, feedback_page
    except ModuleNotFoundError as error:
        return [f"students' pages are left as they are: the package {error.name} is not installed"]
    remarks: list[str] = []
    teachings = cache(teaching_of)
    results = list(stored.results_in(out)[0].values()) if (out / FEEDBACK).is_dir() else []
    for result, file in zip(results, feedback_files(results), strict=True):
        path = out / FEEDBACK / file
        name = result.submission
        if not (everyone or marks.get(name) or (lines or {}).get(name)) or not path.is_file():
            continue
        try:
            choice = _CHOICE.search(path.read_text(encoding="utf-8")[:_HEAD])
            if choice is None or choice[1] not in get_args(HiddenFeedback):
                remarks.append(
                    f"{path}: an older page, left as it is; grade again to show the written points"
                )
                continue
            teaching = teachings(cast(HiddenFeedback, choice[1]))
            own = (marks.get(name, {}), (lines or {}).get(name, ()))
            write_atomically(path, feedback_page(counting.counted(result), rubric, teaching, *own))
        except (OSError, UnicodeDecodeError) as error:
            remarks.append(
                f"{path}: cannot be written again ({error}); grade again to show the written points"
            )
    return remarks
