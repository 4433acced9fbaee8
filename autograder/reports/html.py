"""The class report and the students' feedback as self-contained pages: one file each, which needs no network.

Two safeguards keep student text from having any effect: Jinja escapes every value (and shows invisible characters as question
marks), and the page's content security policy allows only our own script, by its hash, and no loading of anything.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from autograder.model.rubric import Rubric
from autograder.model.verdicts import Result, tidy
from autograder.reports import views
from autograder.reports.analysis import ClassAnalysis, analyse
from autograder.reports.hidden import Teaching
from autograder.support.files import file_name, write_atomically
from autograder.support.markup import visible

TEMPLATES = Path(__file__).resolve().parent / "templates"
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
) -> None:
    """Writes `out`/report.html, and a page for each student into `out`/feedback/, in place of earlier ones.

    graded: the time of grading, as text. note: shown at the top of the report. teaching: what students' pages say of hidden checks.
    absent: the names of students who submitted nothing.
    """
    files = feedback_files(results)
    for result, file in zip(results, files, strict=True):
        write_atomically(out / FEEDBACK / file, feedback_page(result, rubric, teaching))
    write_atomically(out / REPORT, report_page(results, rubric, graded, note, files, absent))


def feedback_files(results: Sequence[Result]) -> list[str]:
    """The names of the students' pages, one for each result: `<submission>.html`, safe on every system and all different."""
    taken: set[str] = set()
    return [f"{file_name(result.submission, taken)}.html" for result in results]


def report_page(
    results: Sequence[Result],
    rubric: Rubric,
    graded: str = "",
    note: str = "",
    files: Sequence[str] | None = None,
    absent: Sequence[str] = (),
) -> str:
    """The class report, for instructors. The same arguments give the same text.

    files: the names of the students' pages in the folder `feedback` next to the report; None if there are none.
    absent: the names of students who submitted nothing; they are listed, and left out of the statistics.
    """
    analysis = analyse(results)
    names = files or [""] * len(results)
    rows = [views.for_instructors(r, rubric, f) for r, f in zip(results, names, strict=True)]
    graded_ids = {id for r in results for id, _ in r.points}
    return _page(
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
        blank=sum(r.complete and views.is_blank(r) for r in results),
        graded=graded,
        note=note,
        absent=absent,
    )


def feedback_page(
    result: Result,
    rubric: Rubric,
    teaching: Teaching = Teaching(),  # noqa: B008 (it is immutable)
) -> str:
    """A student's page about their own submission. It holds no script."""
    return _page("feedback.html.j2", rubric=rubric, view=views.for_students(result, rubric, teaching))


def _page(template: str, script: str = "", **values: Any) -> str:
    style = _own("style.css")
    code = _own(script) if script else Markup("")
    policy = f"default-src 'none'; style-src '{_hash(style)}'; base-uri 'none'; form-action 'none'"
    if script:
        policy += f"; script-src '{_hash(code)}'"
    return _environment().get_template(template).render(style=style, script=code, policy=policy, **values)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES, encoding="utf-8"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        points=lambda value: f"{tidy(value):g}",
        one=lambda value: f"{value:.1f}",
        percent=lambda share: f"{share:.0%}",
        signed=_signed,
        short=lambda text: views.cut(text, views.MOST_NAME),
    )
    return environment


def _shown(value: object) -> object:
    """Applied to every value that a template prints, before it is escaped; our own markup is left unchanged."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return visible(views.cut(value))


def _signed(value: float | None) -> str:
    """0.43, or -0.10 with a real minus sign; a dash for None."""
    return "\N{EN DASH}" if value is None else f"{value:.2f}".replace("-", "\N{MINUS SIGN}")


def _highest(analysis: ClassAnalysis) -> int:
    return max((b.count for b in analysis.distribution.bins), default=1) if analysis.distribution else 1


@cache
def _own(name: str) -> Markup:
    """One of our own files, which goes into the page unchanged."""
    return Markup("\n" + (TEMPLATES / name).read_text(encoding="utf-8"))


def _hash(text: str) -> str:
    """How a Content-Security-Policy names the one script or style that it allows."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
