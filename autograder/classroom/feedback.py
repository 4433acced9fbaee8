"""Students' pages brought up to date when written points are merged, as the run that wrote them has chosen."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast, get_args

from autograder.classroom import stored
from autograder.model.assignment import assignment
from autograder.model.counting import Counting
from autograder.model.feedback import HiddenFeedback, WrittenMark
from autograder.model.rubric import Rubric
from autograder.support.files import write_atomically

_CHOICE = re.compile(r'<meta name="hidden-feedback" content="(\w+)">')
_HEAD = 4096  # characters of a page within which its choice stands


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
    from autograder.judging.catalogue import all_mistakes
    from autograder.reports.hidden import Teaching

    try:
        from autograder.reports.html import FEEDBACK, feedback_files, feedback_page
    except ModuleNotFoundError as error:
        return [f"students' pages are left as they are: the package {error.name} is not installed"]
    remarks: list[str] = []
    results = list(stored.results_in(out)[0].values()) if (out / FEEDBACK).is_dir() else []
    catalogue = {m.id: m for m in all_mistakes(assignment())} if results else {}
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
            teaching = Teaching(cast(HiddenFeedback, choice[1]), catalogue)
            own = (marks.get(name, {}), (lines or {}).get(name, ()))
            write_atomically(path, feedback_page(counting.counted(result), rubric, teaching, *own))
        except (OSError, UnicodeDecodeError) as error:
            remarks.append(
                f"{path}: cannot be written again ({error}); grade again to show the written points"
            )
    return remarks
