"""The class report and the students' feedback as self-contained pages (see `page`)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from autograder.model.feedback import WrittenMark
from autograder.model.rubric import Rubric
from autograder.model.verdicts import Result, is_blank
from autograder.reports import views
from autograder.reports.analysis import ClassAnalysis, analyse
from autograder.reports.hidden import Teaching
from autograder.reports.page import render
from autograder.support.files import comparable, file_name, write_atomically

REPORT, FEEDBACK = "report.html", "feedback"
FIRST_MISTAKES = 12  # shown at first; the others on demand


def write_reports(
    out: Path,
    results: Sequence[Result],
    rubric: Rubric,
    graded: str = "",
    note: str = "",
    teaching: Teaching = Teaching(),  # noqa: B008 (it is immutable)
    absent: Sequence[str] = (),
    identical: Sequence[Sequence[str]] = (),
    marks: Mapping[str, Mapping[str, WrittenMark]] | None = None,
    lines: Mapping[str, Sequence[str]] | None = None,
    rules: Sequence[str] = (),
) -> None:
    """Writes `out`/report.html, and a page for each student into `out`/feedback/, in place of earlier ones.

    graded: the time of grading, as text. note: shown at the top of the report. teaching: what students' pages say of hidden checks.
    absent: the names of students who submitted nothing. identical: groups of submissions with the same modules.
    marks: of written answers, by submission and question. lines: how a submission's points count; rules: how the class's do.
    """
    files = feedback_files(results)
    for result, file in zip(results, files, strict=True):
        name = result.submission
        page = feedback_page(result, rubric, teaching, (marks or {}).get(name), (lines or {}).get(name, ()))
        write_atomically(out / FEEDBACK / file, page)
    report = report_page(results, rubric, graded, note, files, absent, identical, lines, rules)
    write_atomically(out / REPORT, report)


def feedback_files(results: Sequence[Result]) -> list[str]:
    """The names of the students' pages, one for each result: `<submission>.html`, safe on every system and all different.

    They do not depend on the order of the results, which `grade` and `merge` have in different orders.
    """
    taken: set[str] = set()
    names: dict[str, str] = {}
    for name in sorted(
        {result.submission for result in results}, key=lambda name: (not _is_safe(name), name)
    ):
        names[name] = name if _is_safe(name) and comparable(name) not in taken else file_name(name, taken)
        taken.add(comparable(names[name]))
    return [f"{names[result.submission]}.html" for result in results]


def _is_safe(name: str) -> bool:
    """Whether a run could have given this name: one that `file_name` has made, perhaps with a number after it.

    `file_name` must not be applied to it again: it would cut the number off a long name.
    """
    base = re.sub(r"-\d{1,9}$", "", name)
    return file_name(base, set()) == base.rstrip(" .")  # a shortened name may end in a space or a dot


def report_page(
    results: Sequence[Result],
    rubric: Rubric,
    graded: str = "",
    note: str = "",
    files: Sequence[str] | None = None,
    absent: Sequence[str] = (),
    identical: Sequence[Sequence[str]] = (),
    lines: Mapping[str, Sequence[str]] | None = None,
    rules: Sequence[str] = (),
) -> str:
    """The class report, for instructors. The same arguments give the same text.

    files: the names of the students' pages in the folder `feedback` next to the report; None if there are none.
    absent: the names of students who submitted nothing; they are listed, and left out of the statistics.
    identical: groups of submissions (by name) with the same modules.
    lines: how a submission's points count, by its name; rules: how the points of the class do.
    """
    analysis = analyse(results)
    names = files or [""] * len(results)
    rows = [views.for_instructors(r, rubric, f) for r, f in zip(results, names, strict=True)]
    places = {result.submission: place for place, result in enumerate(results)}
    graded_ids = {id for r in results for id, _ in r.points}
    return render(
        "report.html.j2",
        script="report.js",
        rubric=rubric,
        analysis=analysis,
        rows=rows,
        columns=[q for q in rubric.auto if q.id in graded_ids],
        summaries={s.id: s for s in analysis.questions},
        shown_mistakes=FIRST_MISTAKES,
        highest_bin=_highest(analysis),
        levels=views.isolation_levels(results),
        incomplete=[n for n, r in enumerate(results) if not r.complete],
        faulty=[n for n, r in enumerate(results) if views.count_faults(r)],
        noted=[n for n, r in enumerate(results) if r.notes],
        identical=[[places[name] for name in group if name in places] for group in identical],
        blank=sum(r.complete and is_blank(r) for r in results),
        graded=graded,
        note=note,
        absent=absent,
        lines=lines or {},
        rules=rules,
    )


def feedback_page(
    result: Result,
    rubric: Rubric,
    teaching: Teaching = Teaching(),  # noqa: B008 (it is immutable)
    marks: Mapping[str, WrittenMark] | None = None,
    lines: Sequence[str] = (),
) -> str:
    """A student's page about their own submission. It holds no script. marks: of written answers, by question.

    lines: how the points count, where it is not as the checks and graders gave them.
    """
    view = views.for_students(result, rubric, teaching)
    return render(
        "feedback.html.j2", rubric=rubric, view=view, choice=teaching.choice, marks=marks or {}, lines=lines
    )


def _highest(analysis: ClassAnalysis) -> int:
    return max((b.count for b in analysis.distribution.bins), default=1) if analysis.distribution else 1
