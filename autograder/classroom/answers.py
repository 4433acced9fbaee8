"""The written answers of a graded class, shared out among graders: one page for each written question and grader."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from hashlib import sha256
from pathlib import Path

from autograder.classroom import collect, folder, roster, worksheets
from autograder.classroom.errors import ClassroomError
from autograder.classroom.gradebook import read as read_grades
from autograder.classroom.marks import Mark, Marks
from autograder.classroom.rows import Row
from autograder.grading.options import Job
from autograder.model.assignment import assignment
from autograder.model.rubric import Question, Rubric
from autograder.reports.written_page import Item, WrittenPage
from autograder.submissions import answers, intake, pages
from autograder.submissions.answers import Answers
from autograder.submissions.handed_out import handed_out
from autograder.submissions.staging import TempStore
from autograder.submissions.written import Answer
from autograder.support.files import file_name

UPLOADS = ".written-uploads"
MAX_HTML = 4 << 20  # characters of one answer as HTML; of a longer one, only the text is shown


Work = tuple[str, list[Row], Answers]  # a submission's name, the rows that share it, and its answers


def graded_rows(out: Path, rubric: Rubric, section: str | None = None) -> dict[str, list[Row]]:
    """The rows of the run in `out` by submission, those of one section or all. Raises ClassroomError."""
    if not (out / "grades.csv").is_file():
        raise ClassroomError(f"{out}: holds no grades.csv; run `grade` first, with the same --out")
    works: dict[str, list[Row]] = {}
    for row in read_grades(out / "grades.csv", rubric):
        if row.entry.work:
            works.setdefault(row.entry.work, []).append(row)
    if section is None:
        return works
    # A group with members in several sections is graded in the first one's, and not twice.
    sections = {name: rows[0].entry.student.section for name, rows in works.items()}
    chosen = {n: works[n] for n, s in sections.items() if section.casefold() in _sections(s)}
    if not chosen:
        known = (
            ", ".join(sorted(set(filter(None, sections.values()))))
            or "none: grade with a roster that has them"
        )
        raise ClassroomError(f"--section {section}: nobody who submitted is in it; the sections are {known}")
    return chosen


def _sections(text: str) -> list[str]:
    return [text.casefold(), *(part.strip().casefold() for part in text.replace(";", ",").split(","))]


def read_class(
    paths: Sequence[Path],
    out: Path,
    rubric: Rubric,
    people: Path | None,
    mapped: Path | None,
    works: Mapping[str, list[Row]],
    store: TempStore,
) -> tuple[Iterator[Work], list[str]]:
    """The answers of the submissions `works`, one by one, and remarks, to which reading them adds. Raises ClassroomError.

    paths, people, mapped: those that the class was graded with. store: receives what must be unpacked.
    """
    try:
        plan = collect.plan(
            paths,
            out,
            rubric,
            store,
            roster.read(people) if people else None,
            None,
            [row.entry for row in read_grades(out / folder.GRADES, rubric)],  # the names are those of the run
            worksheets.read_map(mapped) if mapped else None,
        )
    except OSError as error:
        raise ClassroomError(f"{out}: uploads cannot be unpacked there ({error.strerror})") from None
    jobs = {job.name: job for job in plan.works}
    if not jobs.keys() & works.keys():
        raise ClassroomError(
            "; ".join(plan.problems)
            or f"no submission in {out}/grades.csv is among these; give the PATHs, the --roster and the --map of `grade`"
        )
    remarks = list(plan.problems)
    return _read(works, jobs, rubric, remarks), remarks


def _read(
    works: Mapping[str, list[Row]], jobs: Mapping[str, Job], rubric: Rubric, remarks: list[str]
) -> Iterator[Work]:
    for name, rows in works.items():
        job = jobs.get(name)
        if job is None:
            remarks.append(
                f"{name}: not among the uploads; give the PATHs, the --roster and the --map of `grade`"
            )
            yield name, rows, Answers()
            continue
        if not _same(job.path, rubric, rows[0]):
            remarks.append(f"{name}: this upload is not the one that was graded; grade again")
        found = answers.read(job.path, rubric, handed_out().prompts)
        remarks += [f"{name}: {note}" for note in found.notes]
        yield name, rows, found


def _same(path: Path, rubric: Rubric, row: Row) -> bool:
    try:
        return not row.sha256 or intake.read(path, rubric).sha256 == row.sha256
    except (intake.UnusableSubmission, OSError):
        return True  # it was graded as an upload that cannot be read


def pages_of(
    question: Question,
    works: Sequence[Work],
    graders: int,
    section: str | None,
    marks: Marks,
) -> list[WrittenPage]:
    """The pages of one question, one for each grader. Every grader has every n-th answer, in the gradebook's order."""
    names: set[str] = set()
    made = []
    for grader in range(graders):
        shown = [question.id, section or "", f"grader {grader + 1}" if graders > 1 else ""]
        made.append(
            WrittenPage(
                question,
                tuple(_item(question, *work, marks) for work in works[grader::graders]),
                file_name(" ".join(filter(None, shown)).replace(" ", "-"), names),
                " · ".join(filter(None, (f"section {section}" if section else "", shown[2]))),
                *(_html_of(question, source) for source in _handed_out()),
            )
        )
    return made


def _item(question: Question, name: str, rows: Sequence[Row], found: Answers, marks: Marks) -> Item:
    there = found.found.get(question.id)
    html = _html_of(question, found)
    known = [marks.get(row.key, {}).get(question.id, Mark()) for row in rows]
    same = len({(m.points, m.comment) for m in known}) == 1
    return Item(
        # What a browser keeps belongs to this answer of this student: a new upload starts without points.
        id=sha256(f"{name}\0{html}".encode()).hexdigest()[:16],
        name=" and ".join(dict.fromkeys(row.entry.student.natural or name for row in rows)),
        rows=tuple(row.key for row in rows),
        html=html,
        words=there.answer.words if there else 0,
        remarks=_remarks(question, there.answer if there else None),
        points=known[0].points if same else None,
        comment=known[0].comment if same else "",
    )


def _remarks(question: Question, answer: Answer | None) -> tuple[str, ...]:
    """What a grader should know about an answer, one line each."""
    if answer is None:
        return ("The marks of this question are in none of the notebooks.",)
    lines = list(answer.notes)
    if not answer.words:
        lines.append("There is no text in this answer." if answer.parts else "There is no answer.")
    elif question.words and answer.words > question.words:
        lines.append(f"{answer.words - question.words} words more than the {question.words} allowed.")
    return tuple(lines)


def _html(answer: Answer, folder: Path) -> str:
    html = pages.answer_html(answer, folder)
    if len(html) <= MAX_HTML:
        return html
    text = Answer(answer.question, tuple(p for p in answer.parts if p.kind == "text"), answer.words)
    html = pages.answer_html(text, Path("no images"))
    note = "<p>[figures and outputs are left out here: they are too large; see the notebook]</p>"
    return note + (html if len(html) <= MAX_HTML else "")


@cache
def _handed_out() -> tuple[Answers, Answers]:
    """The prompts and the model answers of the assignment in use, as far as it has them."""
    current = assignment()
    nothing: dict[str, tuple[str, ...]] = {question.id: () for question in current.rubric.written}
    return tuple(  # type: ignore[return-value]
        answers.read(folder, current.rubric, given) if folder and folder.is_dir() else Answers()
        for folder, given in ((current.stubs, nothing), (current.solutions, handed_out().prompts))
    )


def _html_of(question: Question, source: Answers) -> str:
    there = source.found.get(question.id)
    return _html(there.answer, there.folder) if there else ""
